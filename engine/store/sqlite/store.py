"""The embedded store: opening, migrating, locking and transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from sqlite_utils import Database

from engine.store.base import NewerStore
from engine.store.schema import migrations, unknown_steps
from engine.store.sqlite.budgets import SqliteBudgets
from engine.store.sqlite.cases import SqliteCases
from engine.store.sqlite.exceptions import SqliteExceptions
from engine.store.sqlite.journal import SqliteJournal
from engine.store.sqlite.lock import WriterLock
from engine.store.sqlite.outbox import SqliteOutbox
from engine.store.sqlite.records import SqliteRecords
from engine.store.sqlite.rounds import SqliteRounds
from engine.store.sqlite.rule_sets import SqliteRuleSets

COUNTED = ("journal", "records", "cases", "decisions", "effects", "exceptions", "set_aside")


class SqliteStore:
    """One file. The `owner` runs the client and holds the writer lock; a `visitor` reads, and may append to the journal what a
    person decided, and ask for a rule set, which the owner then looks after.
    """

    def __init__(self, connection: sqlite3.Connection, lock: WriterLock | None) -> None:
        self._connection = connection
        self._lock = lock
        self._depth = 0
        self.journal = SqliteJournal(connection)
        self.records = SqliteRecords(connection)
        self.cases = SqliteCases(connection)
        self.outbox = SqliteOutbox(connection)
        self.exceptions = SqliteExceptions(connection)
        self.rounds = SqliteRounds(connection)
        self.budgets = SqliteBudgets(connection)
        self.rule_sets = SqliteRuleSets(connection)
        self._seen_version = self._data_version()

    @classmethod
    def open(
        cls, path: Path | str, *, as_: Literal["owner", "visitor"] = "owner", synchronous: Literal["FULL", "NORMAL"] = "FULL"
    ) -> Self:
        """Opens, and for the owner makes or migrates, the file.

        `FULL` keeps what was acknowledged through a power cut; `NORMAL` may lose the last commits then, never the file.
        Raises `StoreInUse` for a second owner, `NewerStore` where a newer version wrote it, FileNotFoundError for a visitor
        where there is none.
        """
        path = Path(path)
        if as_ == "visitor" and not path.exists():
            raise FileNotFoundError(f"there is no store {path}")
        lock = WriterLock(path) if as_ == "owner" else None
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            _prepare(connection, path, synchronous, migrate=as_ == "owner")
            return cls(connection, lock)
        except BaseException:
            connection.close()
            if lock:
                lock.release()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        name = f"part_{self._depth}"
        begin, commit, undo = (
            (f"savepoint {name}", f"release {name}", f"rollback to {name}; release {name}")
            if self._depth
            else ("begin immediate", "commit", "rollback")
        )
        self._connection.execute(begin)
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if self._connection.in_transaction:
                for statement in undo.split("; "):
                    self._connection.execute(statement)
            raise
        self._depth -= 1
        self._end(commit)

    def _end(self, commit: str) -> None:
        self._connection.execute(commit)

    def changed_elsewhere(self) -> bool:
        version = self._data_version()
        changed, self._seen_version = version != self._seen_version, version
        return changed

    def counts(self) -> Mapping[str, int]:
        return {
            table: int(self._connection.execute(f"select count(*) from {table}").fetchone()[0])  # noqa: S608 - our own names
            for table in COUNTED
        }

    def close(self) -> None:
        self._connection.close()
        if self._lock:
            self._lock.release()

    def _data_version(self) -> int:
        return int(self._connection.execute("pragma data_version").fetchone()[0])


def _prepare(connection: sqlite3.Connection, path: Path, synchronous: str, *, migrate: bool) -> None:
    connection.execute("pragma foreign_keys = on")
    connection.execute(f"pragma synchronous = {synchronous}")
    database = Database(connection, execute_plugins=False)
    unknown = unknown_steps(database)
    if unknown:
        raise NewerStore(
            f"{path} was written by a newer version of instep ({', '.join(unknown)}): update instep, or use another store"
        )
    if migrate:
        connection.execute("pragma journal_mode = wal")
        migrations().apply(database)
    elif migrations().pending(database):
        raise NewerStore(f"{path} was written by an older version of instep: start the service once to bring it up to date")
