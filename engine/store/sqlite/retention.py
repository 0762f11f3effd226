"""What left the store, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.store.retention import Pruning
from engine.store.stamps import instant, stamp

COLUMNS = "p.id, p.at, p.who, p.before, p.events, p.size, p.file, p.sha256 from prunings p"
QUIET = """
select id, name from cases c where open = 0 and wake_at is null and absorbed_into is null
    and not exists (select 1 from decisions where case_id = c.id and last_now >= :before)
    and not exists (
        select 1 from effects where case_id = c.id and (status in ('planned', 'performing', 'unsure')
        or max(planned_at, coalesce(sent_at, ''), coalesce(settled_at, '')) >= :before)
    )
    and not exists (select 1 from exceptions where case_id = c.id and (closed_at is null or closed_at >= :before))
    and not exists (select 1 from pruned_cases where case_id = c.id)
"""


class SqliteRetention:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._many = connection.executemany

    def quiet_cases(self, before: datetime) -> dict[int, str]:
        return dict(self._run(QUIET, {"before": stamp(before)}).fetchall())

    def names(self, case_ids: Iterable[int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for case_id in case_ids:
            for (name,) in self._run("select name from cases where id = :id or absorbed_into = :id", {"id": case_id}):
                found[name] = case_id
        return found

    def remove(self, seqs: Iterable[int], cases: Mapping[int, str], pruning: Pruning) -> Pruning:
        self._run("pragma secure_delete = on")
        new = self._run(
            "insert into prunings (at, who, before, events, size, file, sha256) values (?, ?, ?, ?, ?, ?, ?) returning id",
            (
                stamp(pruning.at), pruning.by, stamp(pruning.before), pruning.events, pruning.size, pruning.file, pruning.sha256,
            ),
        ).fetchone()[0]  # fmt: skip
        self._many("update journal set pruning_id = ? where seq = ?", [(new, seq) for seq in seqs])
        self._hand_over(new)
        self._run("update journal set payload = null, repeats = null where pruning_id = ?", (new,))
        self._many(
            "insert into pruned_cases (case_id, name, pruning_id) values (?, ?, ?)",
            [(case_id, name, new) for name, case_id in self.names(cases).items()],
        )
        return replace(pruning, id=new)

    def _hand_over(self, pruning_id: int) -> None:
        """A payload that an event which stays repeats is kept by the first such event."""
        heirs = self._run(
            "select j.seq, min(r.seq) from journal j join journal r on r.repeats = j.seq and r.pruning_id is null"
            " where j.pruning_id = ? and j.payload is not null group by j.seq",
            (pruning_id,),
        ).fetchall()
        for holder, heir in heirs:
            self._run(
                "update journal set payload = (select payload from journal where seq = ?), repeats = null where seq = ?",
                (holder, heir),
            )
            self._run("update journal set repeats = ? where repeats = ? and pruning_id is null", (heir, holder))

    def prunings(self) -> list[Pruning]:
        return [_pruning(row) for row in self._run(f"select {COLUMNS} order by p.id")]

    def of_event(self, seq: int) -> Pruning | None:
        row = self._run(f"select {COLUMNS} join journal j on j.pruning_id = p.id where j.seq = ?", (seq,)).fetchone()
        return _pruning(row) if row else None

    def of_case(self, case_id: int) -> Pruning | None:
        wanted = "join pruned_cases c on c.pruning_id = p.id where c.case_id = ? order by p.id desc limit 1"
        row = self._run(f"select {COLUMNS} {wanted}", (case_id,)).fetchone()
        return _pruning(row) if row else None

    def cases(self) -> frozenset[str]:
        return frozenset(name for (name,) in self._run("select name from pruned_cases"))

    def reopened(self) -> list[str]:
        rows = self._run(
            "select distinct c.name from pruned_cases x join cases c on c.id = x.case_id join prunings p on p.id = x.pruning_id"
            " where exists (select 1 from decisions where case_id = c.id and last_now > p.at) order by 1"
        )
        return [name for (name,) in rows]


def _pruning(row: Sequence[Any]) -> Pruning:
    id_, at, by, before, events, size, file, sha256 = row
    return Pruning(id_, instant(at), by, instant(before), events, size, file, sha256)
