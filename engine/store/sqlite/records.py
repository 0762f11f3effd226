"""Records and their links in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from engine.store.rows import Node, RecordRow
from engine.store.stamps import instant, stamp


class SqliteRecords:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._many = connection.executemany

    def get(self, kind: str, key: str) -> RecordRow | None:
        rows = _rows(
            self._run("select id, kind, key, seen_at, state, sources from records where kind = ? and key = ?", (kind, key))
        )
        return rows[0] if rows else None

    def put(self, row: RecordRow) -> int:
        found = self._run(
            "insert into records (kind, key, seen_at, state, sources) values (?, ?, ?, ?, ?) on conflict (kind, key)"
            " do update set seen_at = excluded.seen_at, state = excluded.state, sources = excluded.sources returning id",
            (row.kind, row.key, stamp(row.seen_at), row.state, json.dumps(dict(row.sources), sort_keys=True)),
        ).fetchone()
        return int(found[0])

    def link(self, record_id: int, links: Iterable[Node]) -> None:
        self._run("delete from links where record_id = ?", (record_id,))
        self._many("insert into links (record_id, kind, key) values (?, ?, ?)", [(record_id, *link) for link in links])

    def neighbours(self, node: Node) -> list[Node]:
        rows = self._run(
            "select l.kind, l.key from links l join records r on r.id = l.record_id where r.kind = :kind and r.key = :key"
            " union select r.kind, r.key from links l join records r on r.id = l.record_id where l.kind = :kind and l.key = :key"
            " order by 1, 2",
            {"kind": node[0], "key": node[1]},
        )
        return [(kind, key) for kind, key in rows]

    def ids(self, nodes: Iterable[Node]) -> dict[Node, int]:
        found = {}
        for node in sorted(nodes):
            row = self._run("select id from records where kind = ? and key = ?", node).fetchone()
            if row:
                found[node] = int(row[0])
        return found

    def of_case(self, case_id: int) -> list[RecordRow]:
        return _rows(
            self._run(
                "select r.id, r.kind, r.key, r.seen_at, r.state, r.sources from case_records c"
                " join records r on r.id = c.record_id where c.case_id = ? order by r.kind, r.key",
                (case_id,),
            )
        )

    def of_kind(self, kind: str) -> list[RecordRow]:
        return _rows(self._run("select id, kind, key, seen_at, state, sources from records where kind = ? order by key", (kind,)))


def _rows(cursor: sqlite3.Cursor) -> list[RecordRow]:
    return [
        RecordRow(id_, kind, key, instant(seen_at), state, json.loads(sources))
        for id_, kind, key, seen_at, state, sources in cursor
    ]
