"""Cases, their members and their decisions in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from engine.store.rows import CaseRow, DecisionRow, LookedRow
from engine.store.stamps import instant, instant_or_none, stamp, stamp_or_none

COLUMNS = "c.id, c.name, c.anchored, c.opened_at, c.memory, c.version, c.open, c.wake_at, c.failures from cases c"


class SqliteCases:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._many = connection.executemany

    def get(self, case_id: int) -> CaseRow | None:
        return _one(self._run(f"select {COLUMNS} where c.id = ? and c.absorbed_into is null", (case_id,)))

    def named(self, name: str) -> CaseRow | None:
        found = _one(self._run(f"select {COLUMNS} where c.name = ? and c.absorbed_into is null", (name,)))
        if found is None:
            last = "select absorbed_into from cases where name = ? order by id desc limit 1"
            found = _one(self._run(f"select {COLUMNS} where c.id = ({last})", (name,)))
        return found

    def find(self, text: str) -> list[CaseRow]:
        return _all(
            self._run(
                f"select {COLUMNS} where c.absorbed_into is null and c.id in ("  # noqa: S608 - a constant
                " select id from cases where name = :text"
                " union select m.case_id from records r join case_records m on m.record_id = r.id where r.key = :text"
                " union select m.case_id from links l join case_records m on m.record_id = l.record_id where l.key = :text"
                ") order by c.name = :text desc, c.id",
                {"text": text},
            )
        )

    def holding(self, record_id: int) -> list[CaseRow]:
        return _all(
            self._run(
                f"select {COLUMNS} join case_records m on m.case_id = c.id where m.record_id = ? order by c.id", (record_id,)
            )
        )

    def open(self, name: str, *, anchored: bool, opened_at: datetime, memory: str) -> int:
        row = self._run(
            "insert into cases (name, anchored, opened_at, version, open, memory) values (?, ?, ?, 0, 1, ?) returning id",
            (name, anchored, stamp(opened_at), memory),
        ).fetchone()
        return int(row[0])

    def save(self, row: CaseRow) -> None:
        self._run(
            "update cases set name = ?, anchored = ?, opened_at = ?, memory = ?, version = version + 1, open = ?, wake_at = ?,"
            " failures = ? where id = ?",
            (
                row.name,
                row.anchored,
                stamp(row.opened_at),
                row.memory,
                row.open,
                stamp_or_none(row.wake_at),
                row.failures,
                row.id,
            ),
        )

    def rename(self, case_id: int, name: str) -> None:
        self._run("update cases set name = ? where id = ? and name <> ?", (name, case_id, name))

    def members(self, case_id: int) -> set[int]:
        return {row[0] for row in self._run("select record_id from case_records where case_id = ?", (case_id,))}

    def set_members(self, case_id: int, record_ids: Iterable[int]) -> None:
        before, after = self.members(case_id), set(record_ids)
        self._many("delete from case_records where case_id = ? and record_id = ?", [(case_id, gone) for gone in before - after])
        self._many(
            "insert into case_records (case_id, record_id) values (?, ?)", [(case_id, new) for new in sorted(after - before)]
        )

    def absorb(self, case_id: int, into: int) -> None:
        self._run("delete from case_records where case_id = ?", (case_id,))
        self._run("update cases set absorbed_into = ?, open = 0, wake_at = null where id = ?", (into, case_id))
        self._run("update cases set absorbed_into = ? where absorbed_into = ?", (into, case_id))
        self._run("update or ignore effects set case_id = ? where case_id = ?", (into, case_id))
        self._run("update effects set status = 'withdrawn', due_at = null where case_id = ?", (case_id,))
        self._run("update or ignore exceptions set case_id = ? where case_id = ?", (into, case_id))
        self._run("update late set case_id = ? where case_id = ?", (into, case_id))
        self._run("delete from exceptions where case_id = ? and closed_at is null", (case_id,))

    def wake(self, case_ids: Iterable[int], at: datetime) -> None:
        self._many(
            "update cases set wake_at = :at where id = :id and absorbed_into is null and (wake_at is null or wake_at > :at)",
            [{"id": case_id, "at": stamp(at)} for case_id in case_ids],
        )

    def due(self, now: datetime, limit: int) -> list[int]:
        rows = self._run("select id from cases where wake_at <= ? order by wake_at, id limit ?", (stamp(now), limit))
        return [row[0] for row in rows]

    def next_wake(self, after: datetime) -> datetime | None:
        return instant_or_none(self._run("select min(wake_at) from cases where wake_at > ?", (stamp(after),)).fetchone()[0])

    def all_open(self) -> list[int]:
        return [row[0] for row in self._run("select id from cases where open = 1 order by id")]

    def listed(self, *, only_open: bool, limit: int) -> list[CaseRow]:
        return _all(
            self._run(
                f"select {COLUMNS} where c.absorbed_into is null and (c.open = 1 or not ?) order by c.id desc limit ?",
                (only_open, limit),
            )
        )

    def decided(self, case_id: int, *, rule_set_id: int, seq: int, now: datetime, digest: bytes, trace: str) -> None:
        self._run(
            "insert into clock (id, now) values (1, ?) on conflict (id) do update set now = excluded.now"
            " where excluded.now > now",
            (stamp(now),),
        )
        last = self._run(
            "select id, digest, rule_set_id from decisions where case_id = ? order by id desc limit 1", (case_id,)
        ).fetchone()
        if last and last[1] == digest and last[2] == rule_set_id:
            self._run("update decisions set last_now = ? where id = ?", (stamp(now), last[0]))
            return
        self._run(
            "insert into decisions (case_id, rule_set_id, journal_seq, now, last_now, digest, trace)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            (case_id, rule_set_id, seq, stamp(now), stamp(now), digest, trace),
        )

    def last_decision(self, case_id: int) -> DecisionRow | None:
        row = self._run(
            "select d.id, s.hash, d.now, d.last_now, d.trace from decisions d join rule_sets s on s.id = d.rule_set_id"
            " where d.case_id = ? order by d.id desc limit 1",
            (case_id,),
        ).fetchone()
        return DecisionRow(row[0], row[1], instant(row[2]), instant(row[3]), row[4]) if row else None

    def decisions(self, after: int, limit: int) -> list[LookedRow]:
        rows = self._run(
            "select d.id, c.name, d.journal_seq, d.now, s.hash, d.digest from decisions d join cases c on c.id = d.case_id"
            " join rule_sets s on s.id = d.rule_set_id where d.id > ? order by d.id limit ?",
            (after, limit),
        )
        return [LookedRow(id_, case, seq, instant(now), hash_, digest) for id_, case, seq, now, hash_, digest in rows]


def _row(row: Sequence[Any]) -> CaseRow:
    id_, name, anchored, opened_at, memory, version, open_, wake_at, failures = row
    return CaseRow(
        id_, name, bool(anchored), instant(opened_at), memory, version, bool(open_), instant_or_none(wake_at), failures
    )


def _all(cursor: sqlite3.Cursor) -> list[CaseRow]:
    return [_row(row) for row in cursor]


def _one(cursor: sqlite3.Cursor) -> CaseRow | None:
    row = cursor.fetchone()
    return _row(row) if row else None
