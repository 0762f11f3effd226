"""What was set aside, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from engine.store.aside import Aside
from engine.store.stamps import instant, instant_or_none, stamp

COLUMNS = """
    s.journal_seq, j.connector, j.kind, j.about, s.reason, s.place, s.told, s.at, j.observed_at,
    coalesce(length(coalesce(j.payload, first.payload)), 0), s.taken_in_at, s.discarded_at, s.discarded_by, s.discarded_for
    from set_aside s join journal j on j.seq = s.journal_seq left join journal first on first.seq = j.repeats
"""


class SqliteAsides:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def of(self, seq: int) -> Aside | None:
        row = self._run(f"select {COLUMNS} where s.journal_seq = ?", (seq,)).fetchone()
        return _aside(row) if row else None

    def listed(self) -> list[Aside]:
        return [_aside(row) for row in self._run(f"select {COLUMNS} order by s.journal_seq")]

    def waiting(self) -> int:
        counted = "select count(*) from set_aside where taken_in_at is null and discarded_at is null"
        return int(self._run(counted).fetchone()[0])

    def telling(self, seq: int, told: str) -> None:
        self._run("update set_aside set told = ? where journal_seq = ?", (told, seq))

    def wait(self, told: str) -> bool:
        waiting = "select 1 from set_aside where told = ? and taken_in_at is null and discarded_at is null limit 1"
        return self._run(waiting, (told,)).fetchone() is not None

    def discard(self, seq: int, by: str, reason: str, at: datetime) -> None:
        self._run(
            "update set_aside set discarded_at = ?, discarded_by = ?, discarded_for = ? where journal_seq = ?",
            (stamp(at), by, reason, seq),
        )

    def restore(self, seq: int) -> None:
        self._run("update set_aside set discarded_at = null, discarded_by = '', discarded_for = '' where journal_seq = ?", (seq,))


def _aside(row: Sequence[Any]) -> Aside:
    seq, connector, kind, about, reason, place, told, at, observed_at, size, taken_in_at, discarded_at, by, why = row
    times = (instant_or_none(taken_in_at), instant_or_none(discarded_at))
    return Aside(seq, connector, kind, about, reason, place, told, instant(at), instant(observed_at), size, *times, by, why)
