"""The audit trail in SQLite. Triggers refuse every change, and every entry that does not follow the last one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.store.audit import FIRST, AuditEntry, hash_of
from engine.store.stamps import stamp

COLUMNS = "id, at, who, did, about, case_name, reason, details, hash_before, hash"


class SqliteAudit:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._run = connection.execute

    def append(
        self,
        at: datetime,
        by: str,
        did: str,
        about: str = "",
        *,
        case: str = "",
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> AuditEntry:
        if not self._connection.in_transaction:
            raise RuntimeError("an audit entry is written in the transaction of what it tells")
        last = self.last()
        text = json.dumps(dict(details or {}), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        number, before = (last.number + 1, last.hash) if last else (1, FIRST)
        entry = AuditEntry(number, stamp(at), by, did, about, case, reason, text, before, "")
        entry = replace(entry, hash=hash_of(entry))
        self._run(
            f"insert into audit ({COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a constant
            (
                entry.number, entry.at, entry.by, entry.did, entry.about, entry.case, entry.reason, entry.details, entry.before,
                entry.hash,
            ),
        )  # fmt: skip
        return entry

    def entries(self, after: int, limit: int) -> list[AuditEntry]:
        rows = self._run(f"select {COLUMNS} from audit where id > ? order by id limit ?", (after, limit))  # noqa: S608
        return [AuditEntry(*row) for row in rows]

    def about(self, about: str, case: str = "") -> list[AuditEntry]:
        wanted = "where about = ? and ? in ('', case_name) order by id"
        return [AuditEntry(*row) for row in self._run(f"select {COLUMNS} from audit {wanted}", (about, case))]  # noqa: S608

    def last(self) -> AuditEntry | None:
        row = self._run(f"select {COLUMNS} from audit order by id desc limit 1").fetchone()  # noqa: S608
        return AuditEntry(*row) if row else None
