"""Accounts in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from engine.store.accounts import Account, Pass
from engine.store.stamps import instant, instant_or_none, stamp, stamp_or_none

ACCOUNT = "select name, role, password, made_at, made_by, closed_at from accounts"
PASS = "select digest, account, kind, form, label, made_at, seen_at, ends_at from passes"  # noqa: S105 - a query


class SqliteAccounts:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def put(self, account: Account) -> None:
        self._run(
            "insert into accounts (name, role, password, made_at, made_by, closed_at) values (?, ?, ?, ?, ?, ?)"
            " on conflict (name) do update set role = excluded.role, password = excluded.password,"
            " closed_at = excluded.closed_at",
            (
                account.name,
                account.role,
                account.password,
                stamp(account.made_at),
                account.made_by,
                stamp_or_none(account.closed_at),
            ),
        )

    def get(self, name: str) -> Account | None:
        row = self._run(f"{ACCOUNT} where name = ?", (name,)).fetchone()
        return None if row is None else _account(row)

    def listed(self) -> list[Account]:
        return [_account(row) for row in self._run(f"{ACCOUNT} order by name")]

    def let_in(self, one: Pass) -> None:
        self._run(
            "insert into passes (digest, account, kind, form, label, made_at, seen_at, ends_at) values (?, ?, ?, ?, ?, ?, ?, ?)",
            (one.digest, one.account, one.kind, one.form, one.label, stamp(one.made_at), stamp(one.seen_at), stamp(one.ends_at)),
        )

    def passed(self, digest: str) -> Pass | None:
        row = self._run(f"{PASS} where digest = ?", (digest,)).fetchone()
        return None if row is None else _pass(row)

    def seen(self, digest: str, at: datetime) -> None:
        self._run("update passes set seen_at = ? where digest = ?", (stamp(at), digest))

    def passes(self, account: str) -> list[Pass]:
        return [_pass(row) for row in self._run(f"{PASS} where account = ? order by made_at", (account,))]

    def end(self, digest: str) -> None:
        self._run("delete from passes where digest = ?", (digest,))

    def end_all(self, account: str, but: str = "") -> None:
        self._run("delete from passes where account = ? and digest <> ?", (account, but))

    def forget(self, before: datetime) -> None:
        self._run("delete from passes where ends_at < ?", (stamp(before),))


def _account(row: Sequence[Any]) -> Account:
    name, role, password, made_at, made_by, closed_at = row
    return Account(name, role, password, instant(made_at), made_by, instant_or_none(closed_at))


def _pass(row: Sequence[Any]) -> Pass:
    digest, account, kind, form, label, made_at, seen_at, ends_at = row
    return Pass(digest, account, kind, form, label, instant(made_at), instant(seen_at), instant(ends_at))
