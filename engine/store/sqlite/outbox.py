"""Effects and receipts in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from engine.store.rows import EffectEntry, EffectRow, StepRow
from engine.store.stamps import instant, instant_or_none, stamp, stamp_or_none

NAMES = (
    "key", "action", "subject", "status", "mode", "rule", "item", "group_name", "units", "params", "planned_at", "due_at",
    "not_before", "sent_at", "settled_at", "attempts", "reason", "detail", "receipt",
)  # fmt: skip
ENTRY_FIELDS = tuple("group" if name == "group_name" else name for name in NAMES)
COLUMNS = (
    f"e.id, e.case_id, c.name, e.deadline, {', '.join(f'e.{name}' for name in NAMES)}"
    " from effects e join cases c on c.id = e.case_id"
)
STEP_COLUMNS = "id, case_name, key, journal_seq, at, step from steps"
PUT = (
    f"insert into effects (case_id, {', '.join(NAMES)}) values (?{', ?' * len(NAMES)})"  # noqa: S608 - constants
    f" on conflict (case_id, key) do update set {', '.join(f'{name} = excluded.{name}' for name in NAMES[1:])}"
)


class SqliteOutbox:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._many = connection.executemany

    def put(self, case_id: int, entries: Iterable[EffectEntry]) -> None:
        self._many(PUT, [(case_id, *_values(entry)) for entry in entries])

    def withdraw(self, case_id: int, keys: Iterable[str]) -> None:
        self._many(
            "update effects set status = 'withdrawn', due_at = null where case_id = ? and key = ?",
            [(case_id, key) for key in keys],
        )

    def reschedule(self, case_id: int, key: str, due_at: datetime | None) -> None:
        self._run("update effects set due_at = ? where case_id = ? and key = ?", (stamp_or_none(due_at), case_id, key))

    def next_due(self, after: datetime) -> datetime | None:
        return instant_or_none(self._run("select min(due_at) from effects where due_at > ?", (stamp(after),)).fetchone()[0])

    def of_case(self, case_id: int) -> list[EffectRow]:
        return effect_rows(self._run(f"select {COLUMNS} where e.case_id = ? order by e.id", (case_id,)))

    def under_way(self) -> list[EffectRow]:
        return effect_rows(self._run(f"select {COLUMNS} where e.status in ('performing', 'unsure') order by e.id"))

    def under_way_elsewhere(self, case_id: int, key: str) -> bool:
        row = self._run(
            "select 1 from effects where key = ? and case_id <> ? and status in ('performing', 'unsure')", (key, case_id)
        ).fetchone()
        return row is not None

    def listed(self, statuses: Sequence[str], limit: int) -> list[EffectRow]:
        marks = ", ".join("?" * len(statuses))
        return effect_rows(
            self._run(f"select {COLUMNS} where e.status in ({marks}) order by e.id desc limit ?", (*statuses, limit))
        )

    def every(self, after: int, limit: int) -> list[EffectRow]:
        return effect_rows(self._run(f"select {COLUMNS} where e.id > ? order by e.id limit ?", (after, limit)))

    def by_status(self) -> dict[str, int]:
        return dict(self._run("select status, count(*) from effects group by status order by status"))

    def receipt(self, case_id: int, key: str, at: datetime, reference: str, details: str) -> None:
        self._run(
            "insert into receipts (effect_id, at, reference, details)"
            " select id, ?, ?, ? from effects where case_id = ? and key = ?",
            (stamp(at), reference, details, case_id, key),
        )

    def stepped(self, case: str, key: str, journal_seq: int, at: datetime, step: str) -> None:
        self._run(
            "insert into steps (case_name, key, journal_seq, at, step) values (?, ?, ?, ?, ?)",
            (case, key, journal_seq, stamp(at), step),
        )

    def steps(self, after: int, limit: int) -> list[StepRow]:
        return _steps(self._run(f"select {STEP_COLUMNS} where id > ? order by id limit ?", (after, limit)))

    def steps_of(self, cases: Iterable[str]) -> list[StepRow]:
        names = tuple(cases)
        marks = ", ".join("?" * len(names))
        return _steps(self._run(f"select {STEP_COLUMNS} where case_name in ({marks}) order by id", names))


def _steps(cursor: sqlite3.Cursor) -> list[StepRow]:
    return [StepRow(id_, case, key, seq, instant(at), step) for id_, case, key, seq, at, step in cursor]


def _values(entry: EffectEntry) -> tuple[Any, ...]:
    return (
        entry.key, entry.action, entry.subject, entry.status, entry.mode, entry.rule, entry.item, entry.group, entry.units,
        entry.params, stamp(entry.planned_at), stamp_or_none(entry.due_at), stamp_or_none(entry.not_before),
        stamp_or_none(entry.sent_at), stamp_or_none(entry.settled_at), entry.attempts, entry.reason, entry.detail, entry.receipt,
    )  # fmt: skip


def effect_rows(cursor: sqlite3.Cursor) -> list[EffectRow]:
    """The rows of a query for `COLUMNS`."""
    return [EffectRow(row[0], row[1], row[2], _entry(row[4:]), instant_or_none(row[3])) for row in cursor]


def _entry(row: Sequence[Any]) -> EffectEntry:
    values = dict(zip(ENTRY_FIELDS, row, strict=True))
    values["planned_at"] = instant(values["planned_at"])
    for name in ("due_at", "not_before", "sent_at", "settled_at"):
        values[name] = instant_or_none(values[name])
    return EffectEntry(**values)
