"""The connection every part of the store uses. What SQLite and the disk refuse becomes `StoreTrouble` here, and nowhere else.

After the first trouble nothing more is done on a connection: whoever goes on after a fault, as with the next case, meets the
same trouble again. What was under way is rolled back, and only a store opened anew knows how far it came.
"""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Any, Self

from engine.store.trouble import StoreTrouble

WAIT_SECONDS = 10  # for another process to end its transaction

_FREE = "Make room on that disk; nothing that was acknowledged is lost"
_CLOSE = "Close whatever else has it open for writing"
_WRITABLE = (
    "Make the file, its -wal and -shm, and its folder writable for the user the service runs as, and see that the disk is not"
    " mounted read-only"
)
_FOLDER = "See that its folder is there, and that file and folder can be written by the user the service runs as"
_MEND = (
    "Stop every process that uses it, keep a copy of the file with its -wal, run `instep verify` on the copy to see what is"
    " damaged, and go back to the last good backup with `instep restore`"
)
_DISK = (
    "Look at the disk, its quota and the system's log before starting again; what was acknowledged is in the file and its -wal"
)
_TOLD: dict[int, tuple[str, str, bool]] = {
    sqlite3.SQLITE_FULL: ("has no room to grow", _FREE, True),
    sqlite3.SQLITE_BUSY: ("is locked by another process", _CLOSE, True),
    sqlite3.SQLITE_LOCKED: ("is locked by another process", _CLOSE, True),
    sqlite3.SQLITE_PROTOCOL: ("is locked by another process", _CLOSE, True),
    sqlite3.SQLITE_READONLY: ("cannot be written", _WRITABLE, False),
    sqlite3.SQLITE_PERM: ("may not be used", _WRITABLE, False),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", _FOLDER, False),
    sqlite3.SQLITE_CORRUPT: ("is damaged", _MEND, False),
    sqlite3.SQLITE_NOTADB: ("is not a database, or its beginning is damaged", _MEND, False),
    sqlite3.SQLITE_IOERR: ("could not be read or written", _DISK, False),
}
_NOT_TEXT = "Could not decode to UTF-8"
_FAULTS = (sqlite3.DatabaseError, UnicodeDecodeError)
_BY_ERRNO = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EROFS: sqlite3.SQLITE_READONLY,
    errno.EACCES: sqlite3.SQLITE_PERM,
    errno.EPERM: sqlite3.SQLITE_PERM,
    errno.EIO: sqlite3.SQLITE_IOERR,
}


def trouble_of(path: Path, fault: sqlite3.Error | OSError | UnicodeDecodeError) -> StoreTrouble | None:
    """The trouble behind a fault of SQLite or of the system; None where it is a fault of ours."""
    code: int | None
    if isinstance(fault, OSError):
        code = _BY_ERRNO.get(fault.errno or 0, sqlite3.SQLITE_CANTOPEN)
    elif isinstance(fault, UnicodeDecodeError) or str(fault).startswith(_NOT_TEXT):
        code = sqlite3.SQLITE_CORRUPT  # all text in a store was written as UTF-8
    else:
        code = getattr(fault, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _TOLD:
        return None
    said, remedy, passes = _TOLD[code & 0xFF]
    reason = fault.strerror if isinstance(fault, OSError) else str(fault)
    return StoreTrouble(f"the store {path} {said} ({reason})", remedy, passes=passes)


class Connection(sqlite3.Connection):
    """SQLite's own, in autocommit, that stops at the first trouble."""

    path: Path
    trouble: StoreTrouble | None = None

    @classmethod
    def to(cls, path: Path) -> Self:
        """Opens, or makes, the file. Raises `StoreTrouble`."""
        try:
            made = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=WAIT_SECONDS, factory=cls)
        except sqlite3.Error as fault:
            raise trouble_of(path, fault) or fault from None
        made.path = path
        return made

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _Cursor)

    def execute(self, *statement: Any) -> sqlite3.Cursor:
        made: _Cursor = self.cursor()  # made any other way, SQLite's module never forgets it
        return made.execute(*statement)

    def executemany(self, *statement: Any) -> sqlite3.Cursor:
        made: _Cursor = self.cursor()
        return made.executemany(*statement)

    def undo(self) -> None:
        """Ends the transaction, if one is open, whatever the trouble is."""
        try:
            self.rollback()
        except sqlite3.Error as fault:
            self.trouble = self.trouble or trouble_of(self.path, fault)

    def refuse(self) -> None:
        """Raises what the trouble was, if there was any."""
        if self.trouble is not None:
            raise self.trouble

    def met(self, fault: sqlite3.Error | UnicodeDecodeError) -> Exception:
        """What to raise for a fault."""
        found = trouble_of(self.path, fault)
        self.trouble = self.trouble or found
        return found or fault


class _Cursor(sqlite3.Cursor):
    connection: Connection  # it is made by one

    def execute(self, *statement: Any) -> Self:
        self.connection.refuse()
        try:
            return super().execute(*statement)
        except _FAULTS as fault:
            raise self.connection.met(fault) from None

    def executemany(self, *statement: Any) -> Self:
        self.connection.refuse()
        try:
            return super().executemany(*statement)
        except _FAULTS as fault:
            raise self.connection.met(fault) from None

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except _FAULTS as fault:
            raise self.connection.met(fault) from None

    def fetchone(self) -> Any:
        try:
            return super().fetchone()
        except _FAULTS as fault:
            raise self.connection.met(fault) from None

    def fetchall(self) -> list[Any]:
        try:
            return super().fetchall()
        except _FAULTS as fault:
            raise self.connection.met(fault) from None
