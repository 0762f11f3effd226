"""Exceptions in SQLite: one row per occurrence, closed ones stay."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.store.rows import ExceptionEntry, ExceptionRow
from engine.store.stamps import instant, instant_or_none, stamp, stamp_or_none

COLUMNS = """
    x.id, x.case_id, coalesce(c.name, ''), x.key, x.rule, x.item, x.about, x.owner, x.severity, x.title, x.runbook, x.answers,
    x.state, x.opened_at, x.until, x.assigned_to, x.closed_at, x.why_closed
    from exceptions x left join cases c on c.id = x.case_id
"""
OPEN = """
    insert into exceptions (case_id, key, rule, item, about, owner, severity, title, runbook, answers, state, opened_at, until)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (coalesce(case_id, 0), key) where closed_at is null do update set
    owner = excluded.owner, severity = excluded.severity, title = excluded.title, runbook = excluded.runbook,
    answers = excluded.answers, state = excluded.state, until = excluded.until
"""


class SqliteExceptions:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._many = connection.executemany

    def replace(self, case_id: int, entries: Iterable[ExceptionEntry], at: datetime, why_closed: Mapping[str, str]) -> None:
        now_open = {entry.key: entry for entry in entries}
        was_open = {
            row[0]: row[1:]
            for row in self._run(
                "select key, owner, severity, title, runbook, answers, state, until from exceptions"
                " where case_id = ? and closed_at is null",
                (case_id,),
            )
        }
        for key in was_open.keys() - now_open.keys():
            self.close_one(case_id, key, at, why_closed.get(key, "no longer the case"))
        self._many(OPEN, [_values(case_id, e) for e in now_open.values() if was_open.get(e.key) != _changing(e)])

    def raise_one(self, case_id: int | None, entry: ExceptionEntry) -> None:
        self._run(OPEN, _values(case_id, entry))

    def close_one(self, case_id: int | None, key: str, at: datetime, why: str) -> None:
        self._run(
            "update exceptions set state = 'closed', closed_at = ?, why_closed = ?"
            " where coalesce(case_id, 0) = ? and key = ? and closed_at is null",
            (stamp(at), why, case_id or 0, key),
        )

    def assign(self, exception_id: int, to: str) -> None:
        self._run("update exceptions set assigned_to = ? where id = ?", (to, exception_id))

    def rename(self, case_id: int, key: str, to: str, rule: str) -> None:
        self._run(
            "update or ignore exceptions set key = ?, rule = ? where case_id = ? and key = ? and closed_at is null",
            (to, rule, case_id, key),
        )

    def listed(self, *, case_id: int | None = None, only_open: bool = True, limit: int = 1000) -> list[ExceptionRow]:
        rows = self._run(
            f"select {COLUMNS} where (:case is null or x.case_id = :case)"
            " and (not :only_open or (x.closed_at is null and x.state <> 'shadow')) order by x.id desc limit :limit",
            {"case": case_id, "only_open": only_open, "limit": limit},
        )
        return [_row(row) for row in rows]

    def by_severity(self) -> dict[str, int]:
        return dict(
            self._run(
                "select severity, count(*) from exceptions where closed_at is null and state = 'open' group by severity"
                " order by severity"
            )
        )

    def of_client(self) -> list[ExceptionRow]:
        return [_row(row) for row in self._run(f"select {COLUMNS} where x.case_id is null and x.closed_at is null order by x.id")]


def _changing(entry: ExceptionEntry) -> tuple[Any, ...]:
    return (entry.owner, entry.severity, entry.title, entry.runbook, entry.answers, entry.state, stamp_or_none(entry.until))


def _values(case_id: int | None, e: ExceptionEntry) -> tuple[Any, ...]:
    return (
        case_id, e.key, e.rule, e.item, e.about, e.owner, e.severity, e.title, e.runbook, e.answers, e.state, stamp(e.opened_at),
        stamp_or_none(e.until),
    )  # fmt: skip


def _row(row: Sequence[Any]) -> ExceptionRow:
    id_, case_id, case, *texts, opened_at, until, assigned_to, closed_at, why_closed = row
    key, rule, item, about, owner, severity, title, runbook, answers, state = texts
    entry = ExceptionEntry(
        key=key,
        rule=rule,
        item=item,
        about=about,
        owner=owner,
        severity=severity,
        title=title,
        runbook=runbook,
        answers=answers,
        state=state,
        opened_at=instant(opened_at),
        until=instant_or_none(until),
    )
    return ExceptionRow(id_, case_id, case, entry, assigned_to, instant_or_none(closed_at), why_closed)
