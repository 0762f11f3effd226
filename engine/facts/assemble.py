"""Records as rules see them, built from what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.facts.account import Account
from engine.facts.merge import fields_of
from engine.facts.record import RecordState
from engine.facts.schema import Kind, Vocabulary
from engine.facts.values import NONE, Items, Rec, is_gap

ORDER_LINE = "order_line"


class OrderLine(Rec):
    """A line of an order. Besides its fields it carries the account of its money, which rules see only in parts."""

    __slots__ = ("account",)

    account: Account | None

    def __init__(self, kind: str, key: str, fields: Mapping[str, Any], parent: Rec | None = None) -> None:
        super().__init__(kind, key, fields, parent)
        self.account = None


class Builder:
    """Builds the records of one case in the words of a vocabulary."""

    __slots__ = ("_kinds", "ways")

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._kinds = vocabulary.kinds
        self.ways = vocabulary.ways

    def __getitem__(self, name: str) -> Kind:
        return self._kinds[name]

    def record(self, state: RecordState) -> Rec:
        """The record of one state with its items below it; relations and computed fields are still to come."""
        rec = self._filled(state.kind, state.key, fields_of(state), None)
        rec["seen_at"] = state.seen_at
        key = self._kinds[state.kind].key
        if rec[key] is None:
            rec[key] = state.key
        return rec

    def blank(self, kind: str, key: str, known: Mapping[str, Any], parent: Rec | None = None) -> Rec:
        """A record of which nothing is known but this."""
        rec = Rec(kind, key, self._kinds[kind].shape.missing, parent)
        rec.update(known)
        return rec

    def stub(self, kind: str, key: str) -> Rec:
        """Stands for a record that has not come: only its key is known."""
        return self.blank(kind, key, {"seen_at": None, self._kinds[kind].key: key})

    def _filled(self, name: str, key: str, fields: Mapping[str, Any], parent: Rec | None) -> Rec:
        kind = self._kinds[name]
        rec = (OrderLine if name == ORDER_LINE else Rec)(name, key, kind.shape.empty, parent)
        rec.update(fields)
        if kind.parent:
            rec[kind.parent] = parent
        for listed, of in kind.shape.lists:
            value = rec[listed]
            if value.__class__ is tuple:
                rec[listed] = (self._items(of, value, rec) if of else Items(value)) if value else NONE
        return rec

    def _items(self, name: str, items: tuple[Mapping[str, Any], ...], parent: Rec) -> Items:
        field = self._kinds[name].key
        built = []
        for place, item in enumerate(items):
            own = item.get(field)
            key = own if own.__class__ is str else f"?{place}" if is_gap(own) else str(own)
            built.append(self._filled(name, f"{parent.key}/{key}", item, parent))
        return Items(built)
