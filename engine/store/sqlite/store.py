"""The embedded store: opening, migrating, locking and transactions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from sqlite_utils import Database

from engine.store.findings import Finding
from engine.store.rows import NewerStore, StoreBusy
from engine.store.schema import migrations, unknown_steps
from engine.store.sqlite import verify
from engine.store.sqlite.accounts import SqliteAccounts
from engine.store.sqlite.aside import SqliteAsides
from engine.store.sqlite.audit import SqliteAudit
from engine.store.sqlite.budgets import SqliteBudgets
from engine.store.sqlite.candidates import SqliteCandidates
from engine.store.sqlite.cases import SqliteCases
from engine.store.sqlite.connection import Connection, trouble_of
from engine.store.sqlite.effects import SqliteEffects
from engine.store.sqlite.exceptions import SqliteExceptions
from engine.store.sqlite.journal import SqliteJournal
from engine.store.sqlite.lock import Mark, WriterLock, lock_file
from engine.store.sqlite.outbox import SqliteOutbox
from engine.store.sqlite.queue import SqliteQueue
from engine.store.sqlite.records import SqliteRecords
from engine.store.sqlite.retention import SqliteRetention
from engine.store.sqlite.rounds import SqliteRounds
from engine.store.sqlite.rule_sets import SqliteRuleSets
from engine.store.sqlite.safekeeping import SqliteSafekeeping
from engine.store.sqlite.turns import Turns
from engine.store.trouble import StoreTrouble

LONGEST_TURN = 60.0  # seconds that another thread may write for: longer is a fault, not work
COUNTED = ("journal", "records", "cases", "decisions", "effects", "exceptions", "set_aside")
MARK = """
    select max((select journal_seq from position), coalesce((select max(seq) from journal), 0)),
    coalesce((select max(id) from steps), 0)
"""


class SqliteStore:
    """One file. The `owner` runs the client and holds the writer lock; a `visitor` reads, and may append to the journal what a
    person decided, and ask for a rule set or a candidate, which the owner then looks after.

    Whatever of it is used may raise `StoreTrouble`; after that it does nothing more.
    """

    def __init__(self, connection: Connection, lock: WriterLock | None, turns: Turns | None = None) -> None:
        self._connection = connection
        self._lock = lock
        self._turns = turns or Turns()
        self._patience = LONGEST_TURN
        self._depth = 0
        self.journal = SqliteJournal(connection)
        self.records = SqliteRecords(connection)
        self.cases = SqliteCases(connection)
        self.outbox = SqliteOutbox(connection)
        self.queue = SqliteQueue(connection)
        self.exceptions = SqliteExceptions(connection)
        self.rounds = SqliteRounds(connection)
        self.budgets = SqliteBudgets(connection)
        self.rule_sets = SqliteRuleSets(connection)
        self.safekeeping = SqliteSafekeeping(connection)
        self.accounts = SqliteAccounts(connection)
        self.asides = SqliteAsides(connection)
        self.effects = SqliteEffects(connection)
        self.audit = SqliteAudit(connection)
        self.retention = SqliteRetention(connection)
        self.candidates = SqliteCandidates(connection)
        self._seen_version = self._data_version()

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        as_: Literal["owner", "visitor", "keeper"] = "owner",
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
    ) -> Self:
        """Opens, and for the owner makes or migrates, the file. A `keeper` holds the lock already, and puts right what is there.

        `FULL` keeps what was acknowledged through a power cut; `NORMAL` may lose the last commits then, never the file.
        Raises `StoreInUse` for a second owner, `NewerStore` where a newer version wrote it, FileNotFoundError for a visitor
        where there is none, and `StoreTrouble` where it cannot be used or is not as its last owner left it.
        """
        path = Path(path)
        if as_ != "owner" and not path.exists():
            raise FileNotFoundError(f"there is no store {path}")
        lock = locked(path) if as_ == "owner" else None
        connection: Connection | None = None
        try:
            if lock:
                _as_it_was_left(path, lock)
            connection = Connection.to(path)
            _prepare(connection, path, synchronous, migrate=as_ != "visitor")
            opened = cls(connection, lock)
            if lock:
                opened._come_as_far(path, lock)
        except BaseException:
            if connection:
                connection.close()
            if lock:
                lock.release()
            raise
        return opened

    def beside(self, seconds: float) -> Self:
        """A second connection to the same file, for another thread. The two take turns to write; this one waits for its own at
        most that long, and then raises `StoreBusy`; for another process it does not wait longer either.
        """
        synchronous = self._connection.execute("pragma synchronous").fetchone()[0]
        connection = Connection.to(self._connection.path)
        try:
            connection.execute(f"pragma busy_timeout = {seconds * 1000:.0f}")
            _prepare(connection, connection.path, str(synchronous), migrate=False)
            made = type(self)(connection, None, self._turns)
        except BaseException:
            connection.close()
            raise
        made._patience = seconds
        return made

    @property
    def wanted_elsewhere(self) -> bool:
        """Whether another thread waits for its turn to write."""
        return self._turns.wanted

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._depth:
            with self._part():
                yield
            return
        if not self._turns.take(self._patience):
            raise StoreBusy(f"nothing could be written for {self._patience:g} seconds")
        try:
            with self._part():
                yield
        finally:
            self._turns.give()

    @contextmanager
    def _part(self) -> Iterator[None]:
        name = f"part_{self._depth}"
        self._connection.execute(f"savepoint {name}" if self._depth else "begin immediate")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            self._undo(name)
            raise
        self._depth -= 1
        if self._depth:
            self._end(f"release {name}")
            return
        mark = self._mark() if self._lock else None
        try:
            self._end("commit")
        except BaseException:
            self._undo(name)
            raise
        if self._lock and mark:
            self._lock.keep(mark)

    def _end(self, commit: str) -> None:
        self._connection.execute(commit)

    def _undo(self, name: str) -> None:
        if not self._connection.in_transaction:
            return
        if self._connection.trouble or not self._depth:
            self._connection.undo()  # all of it: nothing more is done here
            return
        self._connection.execute(f"rollback to {name}")
        self._connection.execute(f"release {name}")

    def changed_elsewhere(self) -> bool:
        version = self._data_version()
        changed, self._seen_version = version != self._seen_version, version
        return changed

    def counts(self) -> Mapping[str, int]:
        return {
            table: int(self._connection.execute(f"select count(*) from {table}").fetchone()[0])  # noqa: S608 - our own names
            for table in COUNTED
        }

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """Everything read within is as it was when it began, whatever others write meanwhile."""
        self._connection.execute("begin")
        try:
            yield
        finally:
            self._connection.undo()

    def damaged(self) -> Iterator[Finding]:
        """What SQLite finds wrong with the file."""
        return verify.damaged(self._connection)

    def broken(self) -> Iterator[Finding]:
        """What is not as it was written."""
        return verify.broken(self._connection)

    def close(self) -> None:
        """May be called twice."""
        self._connection.close()
        if self._lock:
            self._lock.release()

    def _data_version(self) -> int:
        return int(self._connection.execute("pragma data_version").fetchone()[0])

    def _mark(self) -> Mark:
        return Mark(*self._connection.execute(MARK).fetchone())

    def older_than(self, mark: Mark) -> bool:
        """Whether less is in it than there was."""
        now = self._mark()
        return now.journal < mark.journal or now.steps < mark.steps

    def _come_as_far(self, path: Path, lock: WriterLock) -> None:
        """Raises `StoreTrouble` where less is in the store than its last owner had committed."""
        was, now = lock.mark, self._mark()
        if was is not None and self.older_than(was):
            raise StoreTrouble(
                f"the store {path} is older than it was: it holds {now.journal} events and {now.steps} steps of effects, and its"
                f" last owner had committed {was.journal} and {was.steps}",
                f"If {path.name}-wal was moved or deleted, put it back beside the store. If the store cannot be had as it was, or"
                f" is an older copy on purpose, say so: `instep restore {path}`; what may have been sent since is then looked up"
                " before anything is sent",
            )
        lock.keep(now)


def locked(path: Path) -> WriterLock:
    """The lock of the store's owner. Raises `StoreInUse`, and `StoreTrouble` where there can be no such store."""
    if path.is_dir():
        raise StoreTrouble(f"the store {path} is a folder", "Name the file with --database")
    if not path.resolve().parent.is_dir():
        raise StoreTrouble(
            f"there is no folder {path.parent} for the store {path.name}", "Make it, or name the store with --database"
        )
    try:
        if path.exists() and path.stat().st_nlink > 1:
            raise StoreTrouble(
                f"the store {path} has a second name (a hard link)",
                "Two processes could then write it without seeing each other. Keep one name; a symbolic link may lead to it",
            )
        return WriterLock(path)
    except OSError as fault:
        raise trouble_of(lock_file(path), fault) or fault from None


def _as_it_was_left(path: Path, lock: WriterLock) -> None:
    """A new file is made for its owner alone, whatever the umask. Raises `StoreTrouble` where a store is gone."""
    if path.exists():
        return
    if lock.mark is not None and lock.mark > Mark(0, 0):
        raise StoreTrouble(
            f"the store {path} is gone: its last owner had committed {lock.mark.journal} events",
            f"Put it back, or a backup with `instep restore`. To begin without any memory of what was sent, delete"
            f" {lock_file(path)}",
        )
    try:
        made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(made, 0o600)
        os.close(made)  # before SQLite opens it: closing it later would drop SQLite's own locks
    except OSError as fault:
        raise trouble_of(path, fault) or fault from None


def _prepare(connection: Connection, path: Path, synchronous: str, *, migrate: bool) -> None:
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
