"""One writer per file, held by the operating system: it ends with the process, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from engine.store.base import StoreInUse


class WriterLock:
    """An exclusive lock on `<store>.lock`, which says whose it is. Raises `StoreInUse` where another process has it."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._file, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise StoreInUse(
                f"{path} is in use by process {owner}: one process at a time runs a client. Stop it first, or use another store."
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """May be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def is_held(store: Path) -> bool:
    """Whether a process runs the client of this store now."""
    try:
        found = os.open(store.with_name(store.name + ".lock"), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(found, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(found)
    return False
