"""What is due, by urgency, in SQLite. Every question is answered from an index, however long the backlog is."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from engine.store.queue import NOTHING, Ahead, Skip
from engine.store.rows import EffectRow
from engine.store.sqlite.outbox import COLUMNS, effect_rows
from engine.store.stamps import instant, stamp, stamp_or_none

NO_DEADLINE = "9999"  # sorts after every instant
DEADLINE = f"coalesce(e.deadline, '{NO_DEADLINE}')"


class SqliteQueue:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._many = connection.executemany

    def set_deadlines(self, case_id: int, deadlines: Mapping[str, datetime | None]) -> None:
        self._many(
            "update effects set deadline = :by where case_id = :case and key = :key and deadline is not :by",
            [{"case": case_id, "key": key, "by": stamp_or_none(by)} for key, by in deadlines.items()],
        )

    def most_urgent(self, role: str, now: datetime, limit: int, skip: Skip = NOTHING) -> list[EffectRow]:
        return self._due("effects_by_urgency", f"{DEADLINE}, e.due_at, e.id", role, now, limit, skip)

    def longest_waiting(self, role: str, now: datetime, limit: int, skip: Skip = NOTHING) -> list[EffectRow]:
        return self._due("effects_by_wait", "e.due_at, e.id", role, now, limit, skip)

    def _due(self, index: str, order: str, role: str, now: datetime, limit: int, skip: Skip) -> list[EffectRow]:
        columns = COLUMNS.replace("from effects e", f"from effects e indexed by {index}")
        but, values = _not(skip)
        query = f"select {columns} where e.role = ? and e.due_at <= ?{but} order by {order} limit ?"
        return effect_rows(self._run(query, (role, stamp(now), *values, limit)))

    def any_sooner(self, role: str, now: datetime, than: datetime | None, skip: Skip = NOTHING) -> bool:
        but, values = _not(skip)
        row = self._run(
            f"select 1 from effects e indexed by effects_by_urgency where e.role = ? and {DEADLINE} < ? and e.due_at <= ?"  # noqa: S608 - constants
            f"{but} limit 1",
            (role, NO_DEADLINE if than is None else stamp(than), stamp(now), *values),
        ).fetchone()
        return row is not None

    def waiting(self, role: str, now: datetime) -> int:
        row = self._run(
            "select count(*) from effects indexed by effects_by_wait where role = ? and due_at <= ?", (role, stamp(now))
        ).fetchone()
        return int(row[0])

    def ahead(self, role: str, after: datetime, until: datetime, limit: int) -> list[Ahead]:
        rows = self._run(
            "select e.action, c.name, e.key, e.deadline, e.due_at from effects e indexed by effects_by_urgency"  # noqa: S608 - constants
            f" join cases c on c.id = e.case_id where e.role = ? and {DEADLINE} > ? and {DEADLINE} <= ? and e.due_at is not null"
            f" and e.status = 'planned' order by {DEADLINE}, e.due_at, e.id limit ?",
            (role, stamp(after), stamp(until), limit),
        )
        return [Ahead(action, case, key, instant(by), instant(due)) for action, case, key, by, due in rows]


def _not(skip: Skip) -> tuple[str, tuple[Any, ...]]:
    """As conditions, and the values in them."""
    parts = [
        *([f"e.case_id not in ({_marks(skip.cases)})"] if skip.cases else ()),
        *([f"e.action not in ({_marks(skip.actions)})"] if skip.actions else ()),
    ]
    planned = () if "" in skip.planned else tuple(skip.planned)
    if skip.planned:
        of_these = f" and e.action in ({_marks(planned)})" if planned else ""
        parts.append(f"not (e.status = 'planned'{of_these})")
    return "".join(f" and {part}" for part in parts), (*skip.cases, *skip.actions, *planned)


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))
