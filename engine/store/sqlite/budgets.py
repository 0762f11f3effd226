"""Budgets in SQLite."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from engine.store.budgets import MarkRow, SpentRow
from engine.store.stamps import instant, stamp


class SqliteBudgets:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def spend(self, connector: str, operation: str, purpose: str, at: datetime, units: int) -> int:
        made = self._run(
            "insert into spendings (connector, operation, purpose, at, units) values (?, ?, ?, ?, ?)",
            (connector, operation, purpose, stamp(at), units),
        )
        return int(made.lastrowid or 0)

    def change(self, row_id: int, at: datetime, units: int) -> None:
        self._run("update spendings set at = ?, units = ? where id = ?", (stamp(at), units, row_id))

    def spent(self, connector: str) -> list[SpentRow]:
        rows = self._run("select id, operation, purpose, at, units from spendings where connector = ? order by id", (connector,))
        return [SpentRow(id_, operation, purpose, instant(at), units) for id_, operation, purpose, at, units in rows]

    def forget(self, connector: str, operation: str, before: datetime) -> None:
        old = (connector, operation, stamp(before))
        self._run("delete from spendings where connector = ? and operation = ? and at < ?", old)

    def mark(self, connector: str, row: MarkRow) -> None:
        self._run(
            "insert into budget_marks (connector, kind, operation, at, units) values (?, ?, ?, ?, ?)"
            " on conflict (connector, kind, operation) do update set at = excluded.at, units = excluded.units",
            (connector, row.kind, row.operation, stamp(row.at), row.units),
        )

    def marks(self, connector: str) -> list[MarkRow]:
        rows = self._run("select kind, operation, at, units from budget_marks where connector = ?", (connector,))
        return [MarkRow(kind, operation, instant(at), units) for kind, operation, at, units in rows]

    def declare(self, connector: str, limits: str) -> None:
        self._run("delete from budget_limits where connector = ?", (connector,))
        if limits:
            self._run("insert into budget_limits (connector, limits) values (?, ?)", (connector, limits))

    def declared(self) -> dict[str, str]:
        return dict(self._run("select connector, limits from budget_limits order by connector").fetchall())
