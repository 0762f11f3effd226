"""A store copied while it is in use, and an older copy put in its place.

What was sent after a copy was made is not known to it. So a restored store is marked as such: the service looks everything up,
as always, and sends nothing at all until whatever was sent before has had the time to show.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.store.findings import Finding
from engine.store.sqlite.connection import Connection, trouble_of
from engine.store.sqlite.store import SqliteStore, locked

PAGES = 2000  # copied at a time, 8 MB with pages of 4 KB
PAUSE = 0.005  # seconds between, in which others have the disk
MAGIC = b"SQLite format 3\0"
_OF_WRITING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
Check = Callable[[SqliteStore], Iterable[Finding]]


class NotCopied(Exception):  # noqa: N818 - named for what it tells
    """The copy was not made; the message says why. `findings` are what is wrong with it."""

    def __init__(self, why: str, findings: Iterable[Finding] = ()) -> None:
        super().__init__(why)
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy that was checked after it was written, and how far it goes."""

    path: Path
    size: int
    events: int


def backup(path: Path, to: Path, check: Check, progress: Callable[[int, int], None] = lambda _, __: None) -> Copied:
    """A copy of the store as it is at one moment, whether or not a service runs on it: written under another name, checked,
    synced, and only then given its own. `progress` is told pages done and pages in all.

    Raises FileNotFoundError where there is no store, `NotCopied`, and `StoreTrouble` of either file.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no store {path}")
    _may_be_replaced(path, to)
    with _in_its_place(to) as part:
        _copy(path, part, progress)
        events = _checked(part, to, check)
    return Copied(to, to.stat().st_size, events)


def restore(path: Path, source: Path | None, check: Check, at: datetime, by: str) -> tuple[int, Path | None]:
    """Puts a copy of `source` in place of the store, which is kept beside it; without one, the store stays what it is. Either
    way it counts as restored from now on. Answers how many events it holds, and what the store before is called now.

    Raises `StoreInUse` while a service runs on it, FileNotFoundError, `NotCopied` and `StoreTrouble`.
    """
    wanted = path if source is None else source
    if not wanted.exists():
        raise FileNotFoundError(f"there is no file {wanted}")
    if source is not None and source.resolve() == path.resolve():
        raise NotCopied(f"{source} is the store itself: to go on with it as it is, leave out --from")
    lock = locked(path)
    try:
        if source is None:
            events, before = _restored(path, path.name, at, by), None
        else:
            events, before = _put_in_place(path, source, check, at, by)
        lock.forget()
    finally:
        lock.release()
    return events, before


def _put_in_place(path: Path, source: Path, check: Check, at: datetime, by: str) -> tuple[int, Path | None]:
    with _in_its_place(path, aside=at) as part:
        _copy(source, part, lambda _, __: None)
        _checked(part, source, check)
        events = _restored(part, source.name, at, by)
    before = _aside(path, at)
    return events, before if before.exists() else None


def _copy(path: Path, part: Path, progress: Callable[[int, int], None]) -> None:
    source = Connection.to(path)
    target = Connection.to(part)
    try:
        source.execute("begin")  # one moment for all of it: else the copy begins anew with everything that is written meanwhile
        source.execute("select count(*) from sqlite_schema").fetchone()
        try:
            source.backup(target, pages=PAGES, progress=lambda _, left, of: progress(of - left, of), sleep=PAUSE)
        except sqlite3.Error as fault:
            raise _whose(fault, source, target) from None
        target.execute("pragma journal_mode = delete")  # one file, whole by itself
    finally:
        source.undo()
        target.close()
        source.close()


def _whose(fault: sqlite3.Error, source: Connection, target: Connection) -> Exception:
    """Without room or leave to write it is the copy's trouble, else the store's."""
    code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
    return trouble_of(target.path if code in _OF_WRITING else source.path, fault) or fault


def _checked(part: Path, named: Path, check: Check) -> int:
    """How many events it holds. Raises `NotCopied` with what is wrong."""
    store = SqliteStore.open(part, as_="visitor")
    try:
        findings = list(check(store))
        events = store.counts()["journal"]
    finally:
        store.close()
    if findings:
        raise NotCopied(f"{named} was not written: {len(findings)} things in the copy are not as they must be", findings)
    return events


def _restored(path: Path, source: str, at: datetime, by: str) -> int:
    """Marks a file that nobody uses as restored, and brings it up to date."""
    store = SqliteStore.open(path, as_="keeper")
    try:
        with store.transaction():
            at = max(at, store.safekeeping.last_now() or at)
            store.safekeeping.restored(at, by)
            store.audit.append(at, by, "restored", source)
        return store.counts()["journal"]
    finally:
        store.close()


def _may_be_replaced(path: Path, to: Path) -> None:
    if to.resolve() == path.resolve():
        raise NotCopied(f"{to} is the store itself: name another file")
    if to.is_dir():
        raise NotCopied(f"{to} is a folder: name a file in it")
    if to.exists() and to.stat().st_size and not _begins(to, MAGIC):
        raise NotCopied(f"{to} is there and is no backup: it is left alone")


def _begins(path: Path, with_: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(with_)) == with_


@contextmanager
def _in_its_place(to: Path, aside: datetime | None = None) -> Iterator[Path]:
    """A new file for its owner alone, that takes the name `to` only once it is whole and on the disk."""
    part = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        made = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.fchmod(made, 0o600)
        os.close(made)
        yield part
        _sync(part)
        if aside is not None:
            _move_aside(to, aside)
        part.replace(to)
        _sync(to.parent)
    except OSError as fault:
        raise trouble_of(to, fault) or fault from None
    finally:
        for name in (part, Path(f"{part}-journal"), Path(f"{part}-wal"), Path(f"{part}-shm")):
            with suppress(OSError):
                name.unlink()


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _aside(path: Path, at: datetime) -> Path:
    return path.with_name(f"{path.name}.before-{at:%Y%m%dT%H%M%SZ}")


def _move_aside(path: Path, at: datetime) -> None:
    """With its -wal, which holds what was committed last."""
    kept = _aside(path, at)
    for end in ("-wal", "-shm", ""):
        part = Path(f"{path}{end}")
        if part.exists():
            part.rename(f"{kept}{end}")
