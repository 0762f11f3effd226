"""Candidates beside the active rule set, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from engine.store.candidates import BesideRow, CandidateRequest, CandidateRun
from engine.store.stamps import instant, instant_or_none, stamp, stamp_or_none

_RUNS = (
    "select id, ref, hash, against, started_at, started_by, ended_at, why_ended, looks, anew, missed, faults, fault, retired"
    " from candidate_runs"
)
_CASES = "select s.case_id, s.name, s.memory, s.looked_at, s.next_at, s.was, s.now, s.differences from candidate_cases s"
_REQUESTS = "select id, ref, asked_by, asked_at, done_at, fine, outcome from candidate_requests"
_NOT_FOLLOWED = """
select c.id from cases c left join candidate_cases s on s.run_id = ? and s.case_id = c.id
where c.absorbed_into is null and (
    (s.case_id is null and c.open = 1)
    or (s.case_id is not null and exists (select 1 from decisions d where d.case_id = c.id and d.last_now > s.looked_at))
)
order by c.id desc limit ?
"""


class SqliteCandidates:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._many = connection.executemany

    def begin(self, ref: str, hash_: str, against: str, by: str, at: datetime) -> int:
        row = self._run(
            "insert into candidate_runs (ref, hash, against, started_at, started_by) values (?, ?, ?, ?, ?) returning id",
            (ref, hash_, against, stamp(at), by),
        ).fetchone()
        return int(row[0])

    def running(self) -> CandidateRun | None:
        return _run(self._run(f"{_RUNS} where ended_at is null order by id desc limit 1").fetchone())

    def run(self, run_id: int) -> CandidateRun | None:
        return _run(self._run(f"{_RUNS} where id = ?", (run_id,)).fetchone())

    def runs(self, limit: int) -> list[CandidateRun]:
        found = (_run(row) for row in self._run(f"{_RUNS} order by id desc limit ?", (limit,)))
        return [run for run in found if run is not None]

    def end(self, run_id: int, at: datetime, why: str) -> None:
        self._run("update candidate_runs set ended_at = ?, why_ended = ? where id = ?", (stamp(at), why, run_id))
        self._run("update candidate_cases set memory = '', next_at = null where run_id = ?", (run_id,))

    def count(self, run_id: int, *, looks: int = 0, anew: int = 0, missed: int = 0, faults: int = 0, fault: str = "") -> None:
        self._run(
            "update candidate_runs set looks = looks + ?, anew = anew + ?, missed = missed + ?, faults = faults + ?,"
            " fault = case when ? <> '' then ? else fault end where id = ?",
            (looks, anew, missed, faults, fault, fault, run_id),
        )

    def get(self, run_id: int, case_id: int) -> BesideRow | None:
        row = self._run(f"{_CASES} where s.run_id = ? and s.case_id = ?", (run_id, case_id)).fetchone()
        return _beside(row) if row else None

    def put(self, run_id: int, rows: Iterable[BesideRow]) -> None:
        self._many(
            "insert into candidate_cases (run_id, case_id, name, memory, looked_at, next_at, was, now, differences)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (run_id, case_id) do update set name = excluded.name,"
            " memory = excluded.memory, looked_at = excluded.looked_at, next_at = excluded.next_at, was = excluded.was,"
            " now = excluded.now, differences = excluded.differences",
            [
                (run_id, r.case_id, r.name, r.memory, stamp(r.looked_at), stamp_or_none(r.next_at), r.was, r.now, r.differences)
                for r in rows
            ],
        )

    def drop(self, run_id: int, case_ids: Iterable[int]) -> None:
        self._many("delete from candidate_cases where run_id = ? and case_id = ?", [(run_id, case_id) for case_id in case_ids])

    def retire(self, run_id: int, case_ids: Iterable[int], retired: str) -> None:
        self._run("update candidate_runs set retired = ? where id = ?", (retired, run_id))
        self.drop(run_id, case_ids)

    def rows(self, run_id: int) -> Iterator[BesideRow]:
        for row in self._run(f"{_CASES} where s.run_id = ? order by s.name", (run_id,)):
            yield _beside(row)

    def differing(self, run_id: int) -> set[int]:
        found = self._run("select case_id from candidate_cases where run_id = ? and differences > 0", (run_id,))
        return {row[0] for row in found}

    def kept(self, run_id: int) -> int:
        return int(self._run("select count(*) from candidate_cases where run_id = ?", (run_id,)).fetchone()[0])

    def oldest(self, run_id: int, limit: int) -> list[BesideRow]:
        return _all(self._run(f"{_CASES} where s.run_id = ? order by s.differences > 0, s.looked_at limit ?", (run_id, limit)))

    def due(self, run_id: int, until: datetime, now: datetime, limit: int) -> list[BesideRow]:
        return _all(
            self._run(
                f"{_CASES} where s.run_id = ? and s.next_at <= ? and not exists"  # noqa: S608 - a constant
                " (select 1 from cases c where c.id = s.case_id and c.wake_at <= ?) order by s.next_at, s.case_id limit ?",
                (run_id, stamp(until), stamp(now), limit),
            )
        )

    def not_followed(self, run_id: int, limit: int) -> list[int]:
        return [row[0] for row in self._run(_NOT_FOLLOWED, (run_id, limit))]

    def forget_runs(self, keep: int) -> None:
        self._run(
            "delete from candidate_cases where run_id not in (select id from candidate_runs order by id desc limit ?)", (keep,)
        )

    def request(self, ref: str, by: str, at: datetime) -> int:
        row = self._run(
            "insert into candidate_requests (ref, asked_by, asked_at) values (?, ?, ?) returning id", (ref, by, stamp(at))
        ).fetchone()
        return int(row[0])

    def requested(self) -> list[CandidateRequest]:
        return [_request(row) for row in self._run(f"{_REQUESTS} where done_at is null order by id")]

    def request_of(self, request_id: int) -> CandidateRequest | None:
        row = self._run(f"{_REQUESTS} where id = ?", (request_id,)).fetchone()
        return _request(row) if row else None

    def answer_request(self, request_id: int, at: datetime, outcome: str, *, fine: bool) -> None:
        self._run(
            "update candidate_requests set done_at = ?, fine = ?, outcome = ? where id = ?",
            (stamp(at), fine, outcome, request_id),
        )


def _run(row: Sequence[Any] | None) -> CandidateRun | None:
    if row is None:
        return None
    id_, ref, hash_, against, started_at, by, ended_at, *rest = row
    return CandidateRun(id_, ref, hash_, against, instant(started_at), by, instant_or_none(ended_at), *rest)


def _all(cursor: sqlite3.Cursor) -> list[BesideRow]:
    return [_beside(row) for row in cursor]


def _beside(row: Sequence[Any]) -> BesideRow:
    case_id, name, memory, looked_at, next_at, was, now, differences = row
    return BesideRow(case_id, name, memory, instant(looked_at), instant_or_none(next_at), was, now, differences)


def _request(row: Sequence[Any]) -> CandidateRequest:
    id_, ref, by, at, done_at, fine, outcome = row
    return CandidateRequest(id_, ref, by, instant(at), instant_or_none(done_at), bool(fine), outcome)
