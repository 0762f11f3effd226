"""Records as rules see them, built from what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.facts.account import Account
from engine.facts.merge import fields_of
from engine.facts.record import RecordState
from engine.facts.schema import Kind, Vocabulary
from engine.facts.values import Items, Rec, is_gap

ORDER_LINE = "order_line"


class OrderLine(Rec):
    """A line of an order. Besides its fields it carries the account of its money, which rules see only in parts."""

    __slots__ = ("account",)

    account: Account | None


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind, ready to be filled: every field missing, and which fields are lists of what."""

    kind: Kind
    blank: Mapping[str, Any]
    lists: tuple[tuple[str, str], ...]  # field and the kind of its items; "" for lists of plain values
    computed: tuple[str, ...]  # computed lists, empty until derivation fills them


class Shapes:
    """The shapes of a vocabulary, worked out as they are asked for."""

    __slots__ = ("_shapes", "vocabulary")

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._shapes: dict[str, Shape] = {}

    def __getitem__(self, name: str) -> Shape:
        shape = self._shapes.get(name)
        if shape is None:
            shape = self._shapes[name] = _shape(self.vocabulary[name])
        return shape

    def record(self, state: RecordState) -> Rec:
        """The record of one state with its items below it; relations and computed fields are still to come."""
        rec = self._filled(state.kind, state.key, fields_of(state), None)
        rec["seen_at"] = state.seen_at
        return rec

    def blank(self, kind: str, key: str, known: Mapping[str, Any], parent: Rec | None = None) -> Rec:
        """A record of which nothing is known but this."""
        return Rec(kind, key, {**self[kind].blank, **known}, parent)

    def stub(self, kind: str, key: str) -> Rec:
        """Stands for a record that has not come: only its key is known."""
        return self.blank(kind, key, {"seen_at": None, self[kind].kind.key: key})

    def _filled(self, name: str, key: str, fields: Mapping[str, Any], parent: Rec | None) -> Rec:
        shape = self[name]
        rec = _line(key, dict(shape.blank), parent) if name == ORDER_LINE else Rec(name, key, dict(shape.blank), parent)
        rec.update(fields)
        if parent is not None and shape.kind.parent:
            rec[shape.kind.parent] = parent
        for listed, of in shape.lists:
            value = rec[listed]
            if type(value) is tuple:
                rec[listed] = self._items(of, value, rec) if of else Items(value)
        for computed in shape.computed:
            rec[computed] = Items()
        return rec

    def _items(self, kind: str, items: tuple[Mapping[str, Any], ...], parent: Rec) -> Items:
        field = self[kind].kind.key
        built = []
        for place, item in enumerate(items):
            own = item.get(field)
            key = f"?{place}" if is_gap(own) else str(own)
            built.append(self._filled(kind, f"{parent.key}/{key}", item, parent))
        return Items(built)


def _line(key: str, fields: dict[str, Any], parent: Rec | None) -> OrderLine:
    line = OrderLine(ORDER_LINE, key, fields, parent)
    line.account = None
    return line


def _shape(kind: Kind) -> Shape:
    lists, computed = [], []
    for name, spec in kind.fields.items():
        of = spec.type.of
        if of is None:
            continue
        if spec.computed:
            computed.append(name)
        else:
            lists.append((name, of.kind))
    names = (*kind.fields, *kind.relations, *((kind.parent,) if kind.parent else ()))
    return Shape(kind, dict.fromkeys(names), tuple(lists), tuple(computed))
