"""The journal in SQLite. A payload that is there already is kept once; a repeat points at it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from engine.facts.outside import Event
from engine.store.rows import IntakeRow, Journalled, SetAsideRow
from engine.store.stamps import instant, stamp

COLUMNS = """
    j.seq, j.connector, j.kind, coalesce(j.payload, first.payload), j.observed_at, j.requested, j.about, j.delivery, j.received_at
    from journal j left join journal first on first.seq = j.repeats
"""


def digest_of(payload: bytes) -> bytes:
    """Sixteen bytes that tell payloads apart."""
    return hashlib.blake2b(payload, digest_size=16).digest()


class SqliteJournal:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def append(self, events: Sequence[Event], received_at: datetime) -> list[int]:
        return [seq for event in events if (seq := self._append(event, stamp(received_at))) is not None]

    def _append(self, event: Event, received_at: str) -> int | None:
        digest = digest_of(event.payload)
        delivery = self._delivery(event, digest)
        if delivery is None:
            return None
        first = self._run("select seq from journal where digest = ? and payload is not null", (digest,)).fetchone()
        cursor = self._run(
            "insert into journal"
            " (connector, kind, about, delivery, digest, payload, repeats, observed_at, received_at, requested)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.connector,
                event.kind,
                event.about,
                delivery,
                digest,
                None if first else event.payload,
                first[0] if first else None,
                stamp(event.observed_at),
                received_at,
                event.requested,
            ),
        )
        return cursor.lastrowid

    def _delivery(self, event: Event, digest: bytes) -> str | None:
        """What the delivery is known by; None if it is there. The same id with something else in it is another delivery."""
        for known_by in (event.delivery, f"{event.delivery}#{digest.hex()}"):
            found = (
                known_by
                and self._run(
                    "select kind, about, digest from journal where connector = ? and delivery = ?", (event.connector, known_by)
                ).fetchone()
            )
            if not found:
                return known_by
            if found == (event.kind, event.about, digest):
                break
        return None

    def after(self, seq: int, limit: int) -> list[Journalled]:
        rows = self._run(f"select {COLUMNS} where j.seq > ? and j.pruning_id is null order by j.seq limit ?", (seq, limit))
        return [_journalled(row) for row in rows]

    def one(self, seq: int) -> Journalled | None:
        row = self._run(f"select {COLUMNS} where j.seq = ? and j.pruning_id is null", (seq,)).fetchone()
        return _journalled(row) if row else None

    def position(self) -> int:
        return int(self._run("select journal_seq from position").fetchone()[0])

    def move_to(self, seq: int, at: datetime) -> None:
        self._run("update position set journal_seq = ?", (seq,))
        self._run("insert into intakes (upto_seq, at) values (?, ?)", (seq, stamp(at)))

    def intakes(self, after: int, limit: int) -> list[IntakeRow]:
        rows = self._run("select upto_seq, at from intakes where upto_seq > ? order by upto_seq limit ?", (after, limit))
        return [IntakeRow(seq, instant(at)) for seq, at in rows]

    def behind(self) -> int:
        return int(self._run("select count(*) from journal where seq > (select journal_seq from position)").fetchone()[0])

    def last(self) -> int:
        return int(self._run("select coalesce(max(seq), 0) from journal").fetchone()[0])

    def waiting_since(self) -> datetime | None:
        row = self._run(
            "select received_at from journal where seq > (select journal_seq from position) order by seq limit 1"
        ).fetchone()
        return instant(row[0]) if row else None

    def set_aside(self, seq: int, reason: str, place: str, at: datetime) -> None:
        self._run(
            "insert into set_aside (journal_seq, reason, place, at) values (?, ?, ?, ?)"
            " on conflict (journal_seq) do update set reason = excluded.reason, place = excluded.place, taken_in_at = null",
            (seq, reason, place, stamp(at)),
        )

    def waiting_aside(self) -> list[SetAsideRow]:
        rows = self._run(
            "select s.journal_seq, j.connector, j.kind, s.reason, s.place, s.at from set_aside s"
            " join journal j on j.seq = s.journal_seq where s.taken_in_at is null and s.discarded_at is null order by s.id"
        )
        return [SetAsideRow(seq, connector, kind, reason, place, instant(at)) for seq, connector, kind, reason, place, at in rows]

    def no_longer_aside(self, seq: int, at: datetime) -> None:
        self._run("update set_aside set taken_in_at = ? where journal_seq = ?", (stamp(at), seq))


def _journalled(row: Sequence[Any]) -> Journalled:
    seq, connector, kind, payload, observed_at, requested, about, delivery, received_at = row
    event = Event(connector, kind, payload, instant(observed_at), bool(requested), about, delivery)
    return Journalled(seq, event, instant(received_at))
