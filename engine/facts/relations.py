"""Ties between the records of one case, by the keys they hold of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from engine.facts.assemble import Builder
from engine.facts.schema import NO_WAY, Relation, Way
from engine.facts.values import NONE, Items, Rec, is_gap, listed

Related = dict[str, dict[str, Rec]]  # kind -> key -> record


def relate(builder: Builder, records: Related) -> None:
    """Fill every relation of every record and list item. A key whose record has not come gets a stub, one for all who name it."""
    backs: dict[tuple[str, str], dict[str, list[Rec]]] = {}
    stubs: dict[tuple[str, str], Rec] = {}

    def there(kind: str, key: str) -> Rec:
        found = records.get(kind, {}).get(key) or stubs.get((kind, key))
        if found is None:
            found = stubs[kind, key] = builder.stub(kind, key)
            fill(found)
        return found

    def pointing(relation: Relation, key: str) -> list[Rec]:
        index = backs.get((relation.to, relation.back))
        if index is None:
            index = backs[relation.to, relation.back] = _index(records.get(relation.to, {}).values(), relation.back)
        return index.get(key, [])

    def fill(rec: Rec) -> None:
        for name, relation in builder[rec.kind].relations.items():
            if relation.keys:
                rec[name] = _by_keys(relation, rec[relation.keys], there)
            else:
                found = pointing(relation, rec.key)
                rec[name] = (Items(found) if found else NONE) if relation.many else (found[0] if found else None)

    for kind, same_kind in list(records.items()):
        way = builder.ways[kind]
        if way != NO_WAY:
            for rec in same_kind.values():
                _visit(rec, way, fill)


def _visit(rec: Rec, way: Way, fill: Callable[[Rec], None]) -> None:
    related, below = way
    if related:
        fill(rec)
    for name, further in below:
        for item in listed(rec[name]):
            _visit(item, further, fill)


def _by_keys(relation: Relation, keys: Any, there: Callable[[str, str], Rec]) -> Any:
    """A missing or unreadable key leaves the relation missing or unreadable too."""
    if is_gap(keys):
        return keys
    named = keys if isinstance(keys, tuple) else (keys,)
    found = [there(relation.to, str(key)) for key in dict.fromkeys(named) if not is_gap(key)]
    if relation.many:
        return Items(found)
    return found[0] if found else None


def _index(records: Iterable[Rec], field: str) -> dict[str, list[Rec]]:
    index: dict[str, list[Rec]] = {}
    for rec in records:
        held = rec.get(field)
        for key in dict.fromkeys(held if isinstance(held, tuple) else (held,)):
            if not is_gap(key):
                index.setdefault(str(key), []).append(rec)
    return index
