"""Records and cases held in this process for as long as a replay lasts: what a store promises, without a store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from engine.facts.record import RecordState
from engine.store.rows import CaseRow, Node, RecordRow


class HeldStates:
    """States of records kept as they are, where a store keeps text."""

    def __init__(self) -> None:
        self._held: dict[Node, RecordState] = {}

    def decode(self, row: RecordRow) -> RecordState:
        return self._held[row.kind, row.key]

    def encode(self, state: RecordState) -> str:
        self._held[state.kind, state.key] = state
        return ""


class HeldRecords:
    """Records by kind and key, and their links both ways. `members` are those of each case."""

    def __init__(self) -> None:
        self._rows: dict[Node, RecordRow] = {}
        self._by_id: dict[int, RecordRow] = {}
        self._links: dict[int, frozenset[Node]] = {}
        self._named_by: dict[Node, set[int]] = defaultdict(set)
        self.members: dict[int, set[int]] = defaultdict(set)

    def get(self, kind: str, key: str) -> RecordRow | None:
        return self._rows.get((kind, key))

    def put(self, row: RecordRow) -> int:
        known = self._rows.get((row.kind, row.key))
        kept = replace(row, id=known.id if known else len(self._rows) + 1)
        self._rows[row.kind, row.key] = self._by_id[kept.id] = kept
        return kept.id

    def link(self, record_id: int, links: Iterable[Node]) -> None:
        for node in self._links.get(record_id, ()):
            self._named_by[node].discard(record_id)
        self._links[record_id] = frozenset(links)
        for node in self._links[record_id]:
            self._named_by[node].add(record_id)

    def neighbours(self, node: Node) -> list[Node]:
        own = self._rows.get(node)
        named = sorted(self._links.get(own.id, ())) if own else []
        return [*named, *sorted((self._by_id[i].kind, self._by_id[i].key) for i in self._named_by.get(node, ()))]

    def ids(self, nodes: Iterable[Node]) -> dict[Node, int]:
        return {node: self._rows[node].id for node in nodes if node in self._rows}

    def of_case(self, case_id: int) -> list[RecordRow]:
        return [self._by_id[i] for i in sorted(self.members.get(case_id, ()))]

    def of_kind(self, kind: str) -> list[RecordRow]:
        return sorted((row for row in self._rows.values() if row.kind == kind), key=lambda row: row.key)


class HeldCases:
    """Cases and when each is to be looked at again."""

    def __init__(self, records: HeldRecords) -> None:
        self._records = records
        self._rows: dict[int, CaseRow] = {}
        self._names: dict[str, int] = {}
        self.absorbed: dict[int, int] = {}

    def get(self, case_id: int) -> CaseRow | None:
        return None if case_id in self.absorbed else self._rows.get(case_id)

    def every(self) -> list[CaseRow]:
        """Also those that live on in another."""
        return [self._rows[i] for i in sorted(self._rows)]

    def named(self, name: str) -> CaseRow | None:
        case_id = self._names.get(name)
        while case_id in self.absorbed:
            case_id = self.absorbed[case_id]
        return None if case_id is None else self._rows[case_id]

    def holding(self, record_id: int) -> list[CaseRow]:
        return [self._rows[c] for c in sorted(self._rows) if c not in self.absorbed and record_id in self._records.members[c]]

    def open(self, name: str, *, anchored: bool, opened_at: datetime, memory: str) -> int:
        case_id = len(self._rows) + 1
        self._rows[case_id] = CaseRow(case_id, name, anchored, opened_at, memory)
        self._names[name] = case_id
        return case_id

    def save(self, row: CaseRow) -> None:
        self._rows[row.id] = row

    def rename(self, case_id: int, name: str) -> None:
        row = self._rows[case_id]
        if row.name != name:
            if self._names.get(row.name) == case_id:
                del self._names[row.name]
            self._rows[case_id] = replace(row, name=name)
            self._names[name] = case_id

    def members(self, case_id: int) -> set[int]:
        return set(self._records.members[case_id])

    def set_members(self, case_id: int, record_ids: Iterable[int]) -> None:
        self._records.members[case_id] = set(record_ids)

    def absorb(self, case_id: int, into: int) -> None:
        self.absorbed[case_id] = into
        self._records.members[case_id] = set()
        self._rows[case_id] = replace(self._rows[case_id], open=False, wake_at=None)

    def wake(self, case_ids: Iterable[int], at: datetime) -> None:
        for case_id in case_ids:
            row = self.get(case_id)
            if row is not None and (row.wake_at is None or row.wake_at > at):
                self._rows[case_id] = replace(row, wake_at=at)

    def due(self, now: datetime, limit: int) -> list[int]:
        waiting = sorted((row.wake_at, row.id) for row in self._rows.values() if row.wake_at is not None and row.wake_at <= now)
        return [case_id for _, case_id in waiting[:limit]]

    def next_wake(self, after: datetime) -> datetime | None:
        return min((row.wake_at for row in self._rows.values() if row.wake_at is not None and row.wake_at > after), default=None)

    def all_open(self) -> list[int]:
        return [row.id for row in self.every() if row.open]
