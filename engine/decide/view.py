"""What rules see in one pass: the facts of the case, the YAML's derived facts on top, and what changed since the last pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.facts.derive import Facts
from engine.facts.values import Items, Money, Rec, Unreadable
from engine.language.compiled import Each
from engine.language.ruleset import RuleSet
from engine.language.tables.table import Decided, Table

HOLD_NONE = frozenset({str, int, bool, Decimal, Money, datetime, date, timedelta, type(None)})  # no record is in such a value
Index = dict[str, dict[str, Rec]]  # kind -> key -> record or item
Changes = Mapping[str, AbstractSet[str]]  # a fact that changed -> the keys of the records or items it changed for


class Answers(dict[str, str | None]):
    """Answers of one item by rule id; a question nobody answered is missing."""

    def __missing__(self, rule_id: str) -> None:
        return None


@dataclass(frozen=True, slots=True)
class View:
    """Facts with derived facts filled in, `env` the names every rule sees, `index` every record and item by kind and key.
    `unreadable` are the fields whose value came and means nothing to us.
    """

    facts: Facts
    env: Mapping[str, Any]
    index: Index
    unreadable: list[tuple[Rec, str]]
    _bound: dict[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)

    def bound(self, name: str, rec: Rec) -> Mapping[str, Any]:
        """The names seen by an evaluation for `rec`: it, what holds it, and the names everyone sees. One for all who ask."""
        known = self._bound.get((name, id(rec)))
        if known is None:
            known = self._bound[name, id(rec)] = self._names(name, rec)
        return known

    def _names(self, name: str, rec: Rec) -> Mapping[str, Any]:
        env = dict(self.env)
        holder = rec.parent
        while holder is not None:
            env.setdefault(holder.kind, holder)
            if env[holder.kind] is None or holder.kind not in self.env:
                env[holder.kind] = holder
            holder = holder.parent
        env[name] = rec
        return env

    def items(self, each: Each) -> Iterator[Rec]:
        """What a rule with this `each` is evaluated for, in the order of the facts."""
        level: list[Rec] = list(self.facts.records.get(each.kind, ()))
        for step in each.path:
            level = [below for rec in level for below in (rec.get(step) or ())]
        yield from level


def view_of(rule_set: RuleSet, facts: Facts) -> View:
    """Fill in the derived facts, in their order, and index everything."""
    unreadable: list[tuple[Rec, str]] = []
    index = _index(facts, unreadable)
    env: dict[str, Any] = {**facts.env(), "params": rule_set.params, "answer": Answers()}
    view = View(facts, env, index, unreadable)
    for table in rule_set.tables.values():
        settled = table.under(rule_set.params)
        index[table.id] = {key: _decided(settled, rec) for key, rec in index.get(table.kind, {}).items()}
    seen: dict[str, list[tuple[Rec, Mapping[str, Any]]]] = {}
    for fact in rule_set.facts:
        if fact.kind not in seen:
            seen[fact.kind] = [(rec, view.bound(fact.kind, rec)) for rec in index.get(fact.kind, {}).values()]
        value = fact.expression.value
        for rec, names in seen[fact.kind]:
            rec[fact.name] = found = value(names)
            if found.__class__ is Unreadable:
                unreadable.append((rec, fact.name))
    return view


def _decided(table: Table, rec: Rec) -> Rec:
    """What the table gives for a record, to be filled in with the derived facts it and others read."""
    rec[table.id] = made = Decided(table, rec.key, rec)
    return made


def _index(facts: Facts, unreadable: list[tuple[Rec, str]]) -> Index:
    """Everything that can be reached, sorted. Fields that could not be read are noted on the way."""
    index: Index = {}
    waiting: list[Rec] = [facts.case, *(rec for records in facts.records.values() for rec in records)]
    while waiting:
        rec = waiting.pop()
        of_kind = index.setdefault(rec.kind, {})
        if rec.key in of_kind:
            continue
        of_kind[rec.key] = rec
        for name, value in rec.items():
            if value.__class__ in HOLD_NONE:
                continue
            if isinstance(value, Rec):
                waiting.append(value)
            elif isinstance(value, Items):
                waiting.extend(v for v in value if isinstance(v, Rec))
            elif value.__class__ is Unreadable:
                unreadable.append((rec, name))
    return {kind: dict(sorted(recs.items())) if len(recs) > 1 else recs for kind, recs in sorted(index.items())}


def changed(before: View, after: View) -> Changes:
    """The facts whose value differs, as `kind.field`, plus the bare kinds of which one came or went."""
    found: dict[str, set[str]] = {}
    if before is after:
        return found
    for kind in before.index.keys() | after.index.keys():
        old, new = before.index.get(kind, {}), after.index.get(kind, {})
        for key in old.keys() | new.keys():
            was, now = old.get(key), new.get(key)
            if was is None or now is None or _is_seen(was) is not _is_seen(now):
                found.setdefault(kind, set()).add(key)
                differing: Iterable[str] = (*(was or ()), *(now or ()))
            elif was is not now:
                differing = _differing(was, now)
            else:
                continue
            for name in differing:
                found.setdefault(f"{kind}.{name}", set()).add(key)
    return found


def _differing(was: Rec, now: Rec) -> list[str]:
    """The fields of a record whose value is another one. Most are the very same object, so that is asked first."""
    found = [name for name, value in now.items() if (old := was.get(name)) is not value and not _same(old, value)]
    if was.keys() != now.keys():
        found += [name for name in was if name not in now and was[name] is not None]
    return found


def _is_seen(rec: Rec) -> bool:
    """Whether a record has come; rules are not evaluated for one that others only name."""
    return rec.get("seen_at") is not None


def _same(left: Any, right: Any) -> bool:
    return (
        left is right or (left.__class__ is right.__class__ and left == right) or (left == right and not isinstance(left, bool))
    )
