"""Which case a record is in, kept up as links come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from engine.facts.links import ORDER, owners, reach
from engine.store.base import Placements, Records
from engine.store.rows import Node

Absorb = Callable[[int, int], None]  # (case that ends, case it lives on in): the memories become one


class Linking:
    """Every order opens a case that holds what can be reached from it. What reaches no order that has come waits in a case of
    its own, and is absorbed when the order arrives.
    """

    def __init__(self, records: Records, cases: Placements, absorb: Absorb) -> None:
        self._records = records
        self._cases = cases
        self._absorb = absorb

    def place(self, node: Node, lost: Iterable[Node], now: datetime) -> set[int]:
        """Puts a record, whose links are new or have changed, where it belongs. `lost` are the nodes it no longer names.

        Answers the cases to decide again.
        """
        records = self._records
        touched: set[int] = set()
        was_in = {case.id for id_ in records.ids([node]).values() for case in self._cases.holding(id_)}
        homeless: set[Node] = set()
        for case_id in sorted(was_in):
            homeless |= self._shrink(case_id)
            touched.add(case_id)
        for start in [node, *sorted(lost), *sorted(homeless)]:
            if records.ids([start]):
                touched |= self._home(start, now)
        return {case_id for case_id in touched if self._cases.get(case_id) is not None}

    def stubs(self, case_id: int) -> list[Node]:
        """Nodes named by the records of a case that have not come."""
        rows = self._records.of_case(case_id)
        named = {n for row in rows for n in self._records.neighbours((row.kind, row.key))}
        return sorted(named - self._records.ids(named).keys())

    def _home(self, start: Node, now: datetime) -> set[int]:
        """The record's cases: those of the orders it reaches, else one without an order."""
        neighbours = self._records.neighbours
        orders = self._records.ids(owners(start, neighbours))
        if not orders:
            return {self._unanchored(start, now)}
        touched = set()
        for order in sorted(orders):
            case = self._cases.named(_name(order))
            case_id = case.id if case else self._cases.open(_name(order), anchored=True, opened_at=now, memory="{}")
            members = self._records.ids(reach(order, neighbours))
            self._cases.set_members(case_id, members.values())
            self._take_over(case_id, members)
            touched.add(case_id)
        return touched

    def _unanchored(self, start: Node, now: datetime) -> int:
        members = self._records.ids(n for n in reach(start, self._records.neighbours) if n[0] != ORDER)
        held = {c.id: c for id_ in members.values() for c in self._cases.holding(id_) if not c.anchored}
        name = _name(min(members))
        case_id = min(held) if held else self._cases.open(name, anchored=False, opened_at=now, memory="{}")
        self._take_over(case_id, members)
        self._cases.set_members(case_id, members.values())
        self._cases.rename(case_id, name)
        return case_id

    def _take_over(self, case_id: int, members: dict[Node, int]) -> None:
        """Cases without an order whose records are all here live on here."""
        for id_ in members.values():
            for case in self._cases.holding(id_):
                if not case.anchored and case.id != case_id:
                    self._absorb(case.id, case_id)

    def _shrink(self, case_id: int) -> set[Node]:
        """Lets go of records the case no longer reaches; answers those that are now in no case."""
        case = self._cases.get(case_id)
        if case is None:
            return set()
        rows = {(row.kind, row.key): row.id for row in self._records.of_case(case_id)}
        kind, _, key = case.name.partition(":")
        start = (kind, key)
        reached = reach(start, self._records.neighbours)
        self._cases.set_members(case_id, [id_ for node, id_ in rows.items() if node in reached])
        return {node for node, id_ in rows.items() if node not in reached and not self._cases.holding(id_)}


def _name(node: Node) -> str:
    return f"{node[0]}:{node[1]}"
