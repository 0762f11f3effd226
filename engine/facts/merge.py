"""What is kept of a record over all its observations. Order, repetition and delay of observations make no difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.facts.record import Fields, Observation, RecordState, Snapshot
from engine.facts.schema import Vocabulary
from engine.facts.values import is_gap, listed

CORRECTION = "correction:"  # a mapping of this name holds what a person said against a milestone; it wins over it
GIVEN = "given"


def merge(state: RecordState | None, observation: Observation) -> RecordState:
    """The record after one more observation: commutative, associative and idempotent.

    Per mapping the greater version wins, then the greater digest. Equal ones are the same payload, read anew: it replaces
    what an older mapping made of it.
    """
    if state is None:
        state = RecordState(observation.kind, observation.key, observation.observed_at)
    snapshots = dict(state.snapshots)
    for name, snapshot in _snapshots(observation):
        held = snapshots.get(name)
        if held is None:
            snapshots[name] = snapshot
        elif name.partition("/")[0].endswith("+"):
            snapshots[name] = replace(held, fields=_kept_item(held.fields, snapshot.fields))
        elif (snapshot.version, snapshot.digest) >= (held.version, held.digest):
            snapshots[name] = snapshot
    scalars = {f: v for f, v in observation.milestones.items() if not isinstance(v, tuple | Mapping)}
    return RecordState(
        kind=state.kind,
        key=state.key,
        seen_at=min(state.seen_at, observation.observed_at),
        snapshots=snapshots,
        milestones=_kept(state.milestones, scalars),
        links=frozenset().union(*(s.links for s in snapshots.values())),
    )


def _snapshots(observation: Observation) -> Iterator[tuple[str, Snapshot]]:
    """The observation itself, and one snapshot for each item of a kept list and each item with kept fields.

    A kept item stands under `refunds[id]/7`, kept fields of an item under `units[key]+/47`: named by list, the field that is
    its key, and the key. `refunds[id]` alone says that the list has come, if only empty. Two mappings may feed one kept list,
    so its items do not carry the mapping's name.
    """
    yield observation.mapping, Snapshot(observation.version, observation.digest, observation.fields, observation.links)
    for name, value in observation.milestones.items():
        if isinstance(value, Mapping):
            key_field = _key_field(observation, name)
            for key, kept in value.items():
                fields = {f: v for f, v in kept.items() if not is_gap(v)}
                yield f"{name}[{key_field}]+/{key}", Snapshot("", "", {name: ({key_field: key, **fields},)})
        elif isinstance(value, tuple):
            key_field = _key_field(observation, name)
            digest = f"{observation.digest}/{observation.mapping}"
            yield f"{name}[{key_field}]", Snapshot("", "", {name: ()})
            for item in value:
                kept_name = f"{name}[{key_field}]/{item[key_field]}"
                yield kept_name, Snapshot(observation.version, digest, {name: (item,)}, observation.links)


def _key_field(observation: Observation, name: str) -> str:
    try:
        return observation.item_keys[name]
    except KeyError:
        raise ValueError(f"{observation.mapping} keeps {observation.kind}.{name} without naming the key of its items") from None


def _kept(old: Fields, new: Fields) -> dict[str, Any]:
    """The earliest of two times, and true once true."""
    kept = dict(old)
    for name, value in new.items():
        if is_gap(value):
            continue
        held = kept.get(name)
        if is_gap(held):
            kept[name] = value
        else:
            kept[name] = held or value if isinstance(value, bool) else min(held, value)
    return kept


def _kept_item(old: Fields, new: Fields) -> dict[str, Any]:
    return {name: (_kept(next(iter(listed(old.get(name))), {}), items[0]),) for name, items in new.items()}


def fields_of(state: RecordState) -> dict[str, Any]:
    """The merged fields: the winner of each mapping, kept lists, milestones, and last what a person corrected."""
    fields: dict[str, Any] = {}
    last: list[str] = []
    for name in sorted(state.snapshots):
        if "[" in name or name.startswith(CORRECTION):
            last.append(name)
        else:
            fields.update(state.snapshots[name].fields)
    fields.update(state.milestones)
    if last:
        _put_kept_items(fields, {name: state.snapshots[name] for name in last if "[" in name})
        for name in last:
            if name.startswith(CORRECTION):
                field = name.removeprefix(CORRECTION)
                fields[field] = state.snapshots[name].fields.get(field)  # nothing where it never happened
    return fields


def without_corrections(state: RecordState) -> RecordState:
    """As it would be had nobody said anything against what was seen."""
    return replace(state, snapshots={name: one for name, one in state.snapshots.items() if not name.startswith(CORRECTION)})


def _put_kept_items(fields: dict[str, Any], kept: Mapping[str, Snapshot]) -> None:
    """Items of kept lists join those of the winning snapshot; kept fields of an item are put where the item still is."""
    lists: dict[str, dict[str, dict[str, Any]]] = {}
    for whole_items in (True, False):
        for kept_name, snapshot in kept.items():
            name, _, rest = kept_name.partition("[")
            key_field, _, form = rest.partition("]")
            if form.startswith("+") is whole_items:
                continue
            if name not in lists:
                lists[name] = {str(item[key_field]): dict(item) for item in listed(fields.get(name))}
            if not form and fields.get(name) is None:
                fields[name] = ()
            item: Mapping[str, Any] = next(iter(listed(snapshot.fields.get(name))), {})
            key = str(item.get(key_field))
            if key_field not in item:
                continue
            if whole_items:
                lists[name].setdefault(key, dict(item))
            elif key in lists[name]:
                lists[name][key].update(item)
    for name, items in lists.items():
        if items or fields.get(name) is not None:
            fields[name] = tuple(items.values())


def given(vocabulary: Vocabulary, kind: str, fields: Fields, seen_at: datetime) -> RecordState:
    """A record given whole, by hand or by a scenario. A list that is not mentioned is empty; one given as missing is missing."""
    whole = _whole(vocabulary, kind, fields)
    key = str(whole[vocabulary[kind].key])
    links = frozenset(links_of(vocabulary, kind, whole)) - {(kind, key)}
    return RecordState(kind, key, seen_at, {GIVEN: Snapshot("", "", whole, links)}, {}, links)


def _whole(vocabulary: Vocabulary, kind: str, fields: Fields) -> dict[str, Any]:
    whole = dict(fields)
    for name, spec in vocabulary[kind].fields.items():
        if spec.type.of is None or spec.computed:
            continue
        items = whole.setdefault(name, ())
        if spec.type.of.kind and items:
            whole[name] = tuple(_whole(vocabulary, spec.type.of.kind, item) for item in items)
    return whole


def links_of(vocabulary: Vocabulary, kind: str, fields: Fields) -> Iterator[tuple[str, str]]:
    """The keys of other records that a record and its items name, by the relations of either side."""
    declared = vocabulary[kind]
    named = [(r.to, r.keys) for r in declared.relations.values() if r.keys]
    named += [(k.name, r.back) for k in vocabulary.kinds.values() for r in k.relations.values() if r.back and r.to == kind]
    for to, name in named:
        held = fields.get(name)
        for key in held if isinstance(held, tuple) else (held,):
            if not is_gap(key) and vocabulary[to].scope == "case":
                yield to, str(key)
    for name, spec in declared.fields.items():
        items = fields.get(name)
        if spec.type.of is not None and spec.type.of.kind and isinstance(items, tuple):
            for item in items:
                yield from links_of(vocabulary, spec.type.of.kind, item)
