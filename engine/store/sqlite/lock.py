"""One writer per file, held by the operating system: it ends with the process, however that ends.

The lock's file also says how far the store had come at its last commit. A store that has come less far when it is opened is not
the one that was closed: its -wal is gone, or an older copy was put in its place.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from engine.store.rows import StoreInUse


class Mark(NamedTuple):
    """How far a store has come: its last event and its last step of an effect."""

    journal: int
    steps: int


def lock_file(path: Path) -> Path:
    """The same for every way to name one file."""
    real = path.resolve()
    return real.with_name(real.name + ".lock")


class WriterLock:
    """An exclusive lock on `<store>.lock`, which says whose it is. Raises `StoreInUse` where another process has it, and OSError
    where it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(lock_file(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner, _ = _read(self._file)
            os.close(self._file)
            raise StoreInUse(
                f"{path} is in use by process {owner or 'unknown'}: one process at a time runs a client. Stop it first, or use"
                " another store."
            ) from None
        _, self.mark = _read(self._file)
        self._write(self.mark)

    def keep(self, mark: Mark) -> None:
        """Notes how far the store has come. Not synced, and left behind where it cannot be written: it never says too much."""
        self.mark = mark
        with suppress(OSError):
            self._write(mark)

    def forget(self) -> None:
        """The store is another one from now on, on purpose."""
        self._write(None)
        self.mark = None

    def _write(self, mark: Mark | None) -> None:
        come = "" if mark is None else f"{mark.journal:>20}{mark.steps:>20}"
        os.pwrite(self._file, f"{os.getpid():>10}\n{come:40}\n".encode(), 0)

    def release(self) -> None:
        """May be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def left_at(store: Path) -> Mark | None:
    """How far the store had come when its last owner committed."""
    try:
        found = os.open(lock_file(store), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read(found)[1]
    finally:
        os.close(found)


def is_held(store: Path) -> bool:
    """Whether a process runs the client of this store now."""
    try:
        found = os.open(lock_file(store), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(found, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(found)
    return False


def _read(file: int) -> tuple[str, Mark | None]:
    """Whose it is or was, and how far the store had come."""
    lines = os.pread(file, 100, 0).decode("ascii", "replace").splitlines()
    owner = lines[0].strip() if lines else ""
    come = lines[1].split() if len(lines) > 1 else []
    return owner, Mark(int(come[0]), int(come[1])) if len(come) == 2 and all(n.isdigit() for n in come) else None
