"""Polls and fetches in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime

from engine.facts.outside import Ref
from engine.store.rows import FeedRow, FetchRow
from engine.store.stamps import instant, instant_or_none, stamp, stamp_or_none

FEEDS = "select connector, feed, cursor, next_at, failures, fault from cursors"


class SqliteRounds:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def feed(self, connector: str, feed: str) -> FeedRow | None:
        rows = _feeds(self._run(f"{FEEDS} where connector = ? and feed = ?", (connector, feed)))
        return rows[0] if rows else None

    def feeds(self) -> list[FeedRow]:
        return _feeds(self._run(f"{FEEDS} order by connector, feed"))

    def save_feed(self, row: FeedRow) -> None:
        self._run(
            "insert into cursors (connector, feed, cursor, next_at, failures, fault) values (?, ?, ?, ?, ?, ?)"
            " on conflict (connector, feed) do update set cursor = excluded.cursor, next_at = excluded.next_at,"
            " failures = excluded.failures, fault = excluded.fault",
            (row.connector, row.feed, row.cursor, stamp(row.next_at), row.failures, row.fault),
        )

    def ask(self, connector: str, ref: Ref, due_at: datetime, reason: str) -> None:
        self._run(
            "insert into fetches (connector, kind, key, due_at, asked, attempts, reason, fault) values (?, ?, ?, ?, 1, 0, ?, '')"
            " on conflict (connector, kind, key) do update set reason = excluded.reason, asked = asked + 1, attempts = 0,"
            " due_at = min(excluded.due_at, coalesce(due_at, excluded.due_at))",
            (connector, ref.kind, ref.key, stamp(due_at), reason),
        )

    def ask_once(self, connector: str, ref: Ref, due_at: datetime, reason: str) -> None:
        self._run(
            "insert into fetches (connector, kind, key, due_at, asked, attempts, reason, fault) values (?, ?, ?, ?, 1, 0, ?, '')"
            " on conflict (connector, kind, key) do nothing",
            (connector, ref.kind, ref.key, stamp(due_at), reason),
        )

    def fetches_due(self, now: datetime, limit: int, but: Iterable[str] = (), but_kinds: Iterable[str] = ()) -> list[FetchRow]:
        rows = self._run(
            "select id, asked, connector, kind, key, attempts, reason from fetches where due_at <= ?"
            " and connector not in (select value from json_each(?)) and kind not in (select value from json_each(?))"
            " order by due_at, id limit ?",
            (stamp(now), json.dumps(list(but)), json.dumps(list(but_kinds)), limit),
        )
        return [FetchRow(id_, asked, name, Ref(kind, key), tried, why) for id_, asked, name, kind, key, tried, why in rows]

    def fetched(self, row: FetchRow) -> None:
        self._run(
            "update fetches set due_at = null, attempts = attempts + 1, fault = '' where id = ? and asked = ?",
            (row.id, row.asked),
        )

    def fetch_later(self, fetch_id: int, due_at: datetime | None, fault: str) -> None:
        self._run(
            "update fetches set due_at = ?, attempts = attempts + 1, fault = ? where id = ?",
            (stamp_or_none(due_at), fault, fetch_id),
        )

    def next_fetch(self, after: datetime) -> datetime | None:
        return instant_or_none(self._run("select min(due_at) from fetches where due_at > ?", (stamp(after),)).fetchone()[0])


def _feeds(cursor: sqlite3.Cursor) -> list[FeedRow]:
    return [
        FeedRow(connector, feed, at, instant(next_at), failures, fault)
        for connector, feed, at, next_at, failures, fault in cursor
    ]
