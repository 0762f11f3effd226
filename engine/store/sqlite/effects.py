"""Single effects in SQLite."""

from __future__ import annotations

import sqlite3

from engine.store.effects import ReceiptRow
from engine.store.rows import EffectRow, StepRow
from engine.store.sqlite.outbox import COLUMNS, STEP_COLUMNS, effect_rows
from engine.store.sqlite.outbox import _steps as step_rows
from engine.store.stamps import instant


class SqliteEffects:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def named(self, name: str) -> list[EffectRow]:
        wanted = "where e.key = ? or e.id = ? order by e.id"
        return effect_rows(self._run(f"select {COLUMNS} {wanted}", (name, int(name) if name.isdecimal() else -1)))

    def receipts(self, effect_id: int) -> list[ReceiptRow]:
        rows = self._run("select at, reference, details from receipts where effect_id = ? order by id", (effect_id,))
        return [ReceiptRow(instant(at), reference, details) for at, reference, details in rows]

    def steps(self, effect_id: int) -> list[StepRow]:
        of_its_cases = "select c.name from cases c join effects e on e.case_id in (c.id, c.absorbed_into) where e.id = :id"
        its_key = "select key from effects where id = :id"
        wanted = f"where case_name in ({of_its_cases}) and key in ('', ({its_key})) order by id"
        return step_rows(self._run(f"select {STEP_COLUMNS} {wanted}", {"id": effect_id}))
