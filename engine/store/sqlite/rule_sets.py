"""Rule sets in SQLite: the journal of activations, their files, and what is asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.language.ruleset import RuleSet
from engine.store.rows import ActivationRequest, RuleSetRow
from engine.store.schema import digest
from engine.store.stamps import instant, instant_or_none, stamp

_SETS = "select id, hash, client, activated_at, activated_by, why, passed_over, caught_up_at from rule_sets"
_REQUESTS = "select id, hash, asked_by, asked_at, done_at, fine, outcome from rule_requests"


class SqliteRuleSets:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def activate(
        self, rule_set: RuleSet, files: Mapping[str, str], at: datetime, by: str = "", why: str = "", passed_over: str = ""
    ) -> int:
        last = self.current()
        if last is not None and (last.hash, last.client) == (rule_set.hash, rule_set.client):
            if last.passed_over != passed_over:
                self._run("update rule_sets set passed_over = ? where id = ?", (passed_over, last.id))
            return last.id
        new = self._run(
            "insert into rule_sets (hash, client, activated_at, activated_by, why, passed_over) values (?, ?, ?, ?, ?, ?)"
            " returning id",
            (rule_set.hash, rule_set.client, stamp(at), by, why, passed_over),
        ).fetchone()[0]
        for path, text in sorted(files.items()):
            self._run("insert or ignore into rule_files (digest, text) values (?, ?)", (digest(text), text))
            self._run(
                "insert into rule_set_files (rule_set_id, path, file_id) select ?, ?, id from rule_files where digest = ?",
                (new, path, digest(text)),
            )
        return int(new)

    def active(self) -> tuple[str, str] | None:
        row = self.current()
        return (row.client, row.hash) if row else None

    def current(self) -> RuleSetRow | None:
        rows = self.history(1)
        return rows[0] if rows else None

    def caught_up(self, rule_set_id: int, at: datetime) -> None:
        self._run("update rule_sets set caught_up_at = ? where id = ?", (stamp(at), rule_set_id))

    def history(self, limit: int) -> list[RuleSetRow]:
        return [_set(row) for row in self._run(f"{_SETS} order by id desc limit ?", (limit,))]

    def named(self, start: str) -> list[RuleSetRow]:
        latest = "select max(id) from rule_sets where substr(hash, 1, ?) = ? group by hash"
        return [_set(row) for row in self._run(f"{_SETS} where id in ({latest}) order by id desc", (len(start), start))]

    def files(self, rule_set_id: int) -> dict[str, str]:
        return dict(
            self._run(
                "select s.path, f.text from rule_set_files s join rule_files f on f.id = s.file_id"
                " where s.rule_set_id = ? order by s.path",
                (rule_set_id,),
            )
        )

    def request(self, hash_: str, by: str, at: datetime) -> int:
        row = self._run(
            "insert into rule_requests (hash, asked_by, asked_at) values (?, ?, ?) returning id", (hash_, by, stamp(at))
        ).fetchone()
        return int(row[0])

    def requested(self) -> list[ActivationRequest]:
        return [_request(row) for row in self._run(f"{_REQUESTS} where done_at is null order by id")]

    def request_of(self, request_id: int) -> ActivationRequest | None:
        row = self._run(f"{_REQUESTS} where id = ?", (request_id,)).fetchone()
        return _request(row) if row else None

    def answer_request(self, request_id: int, at: datetime, outcome: str, *, fine: bool) -> None:
        self._run(
            "update rule_requests set done_at = ?, fine = ?, outcome = ? where id = ?", (stamp(at), fine, outcome, request_id)
        )

    def save_status(self, status: str) -> None:
        self._run(
            "insert into rule_status (id, status) values (1, ?) on conflict (id) do update set status = excluded.status",
            (status,),
        )

    def status(self) -> str:
        row = self._run("select status from rule_status").fetchone()
        return str(row[0]) if row else ""


def _set(row: Sequence[Any]) -> RuleSetRow:
    id_, hash_, client, at, by, why, passed_over, caught_up = row
    return RuleSetRow(id_, hash_, client, instant(at), by, why, passed_over, instant_or_none(caught_up))


def _request(row: Sequence[Any]) -> ActivationRequest:
    id_, hash_, by, at, done_at, fine, outcome = row
    return ActivationRequest(id_, hash_, by, instant(at), instant_or_none(done_at), bool(fine), outcome)
