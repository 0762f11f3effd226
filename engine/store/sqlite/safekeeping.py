"""What a store keeps about itself and about time, in SQLite."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engine.store.safekeeping import Late, Lateness
from engine.store.sqlite.connection import Connection
from engine.store.stamps import instant, instant_or_none, stamp


class SqliteSafekeeping:
    def __init__(self, connection: Connection) -> None:
        self._run = connection.execute
        self._many = connection.executemany

    def last_now(self) -> datetime | None:
        row = self._run("select now from clock").fetchone()
        return instant(row[0]) if row else None

    def restored(self, at: datetime, by: str) -> None:
        self._run("insert into restores (at, restored_by) values (?, ?)", (stamp(at), by))

    def restored_at(self) -> datetime | None:
        return instant_or_none(self._run("select max(at) from restores where ended_at is null").fetchone()[0])

    def restore_over(self, at: datetime) -> None:
        self._run("update restores set ended_at = ? where ended_at is null", (stamp(at),))

    def note_late(self, case_id: int, found: Iterable[Late]) -> None:
        self._many(
            "insert into late (case_id, kind, key, due_at, at) values (?, ?, ?, ?, ?)",
            [(case_id, late.what, late.key, stamp(late.due_at), stamp(late.at)) for late in found],
        )

    def late(self, case_id: int | None = None) -> Lateness:
        rows = self._run(
            "select kind, key, due_at, at from late where :case_id is null or case_id = :case_id order by id",
            {"case_id": case_id},
        )
        found = [Late(what, key, instant(due_at), instant(at)) for what, key, due_at, at in rows]
        return {(late.what, late.key, late.at): late for late in found}
