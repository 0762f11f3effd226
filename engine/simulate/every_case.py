"""What came of every case of a replay, in a file of its own: there may be as many cases as a history has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from engine.simulate import packed
from engine.simulate.seen import CaseSeen


class EveryCase(Mapping[str, CaseSeen]):
    """Cases by name, in the order of their names. The file goes with it."""

    def __init__(self) -> None:
        self._opened: sqlite3.Connection | None = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = sqlite3.connect("", check_same_thread=False)  # a file without a name
            self._opened.execute("create table cases (name text primary key, seen blob) without rowid")
        return self._opened

    def add(self, cases: Iterable[tuple[str, bytes]]) -> None:
        """By name and as `packed`."""
        self._db.executemany("insert or replace into cases values (?, ?)", cases)

    def __getitem__(self, name: str) -> CaseSeen:
        row = self._db.execute("select seen from cases where name = ?", (name,)).fetchone()
        if row is None:
            raise KeyError(name)
        seen: CaseSeen = packed.loads(row[0])
        return seen

    def __iter__(self) -> Iterator[str]:
        return (name for (name,) in self._db.execute("select name from cases order by name"))

    def __len__(self) -> int:
        count: int = self._db.execute("select count(*) from cases").fetchone()[0]
        return count
