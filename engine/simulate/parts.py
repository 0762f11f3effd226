"""A history cut into parts that have nothing to do with each other, so that they can be replayed side by side.

The history is read once, however long it is. What goes into which part is known only at its end. Until then what was read waits
in files, and so does what is known of which records belong together: memory does not grow with the history.
"""

from __future__ import annotations

import json
import os
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Self

from engine.language.ruleset import RuleSet
from engine.simulate import packed
from engine.simulate.chunks import Chunk, chunks_of
from engine.simulate.cutting import ROW, SHARED, Cutter, Found, Names, Written, node_of
from engine.simulate.history import BadHistory, Entry, Looked, Outcome, Stepped, in_order
from engine.simulate.replay import Told, ToldAt
from engine.store.rows import Node

Placed = ToldAt | Stepped | Looked
INDEX = "index.sqlite"
CACHE = 32_000  # kB of the index that are kept in memory
LEAST, MOST = 50, 2000  # entries in a range of parts
RANGES = 128  # of a short history; a long one has more, so that the last ones do not take long
MOST_RANGES = 2000
TABLES = """
create table nodes (node integer primary key, root integer, number integer);
create table entries (node integer, place integer, piece integer, start integer, length integer, which integer);
create table asides (mark text primary key, nodes text);
create table work (part integer, place integer, piece integer, start integer, length integer, which integer);
"""
ROOT = "select root, number from nodes where node = ?"
UNDER = "update nodes set root = ? where node = ?"
TO_THE_ROOT = (
    "update nodes set root = (select above.root from nodes above where above.node = nodes.root)"
    " where exists (select 1 from nodes above where above.node = nodes.root and above.root <> above.node)"
)
NUMBER_OF_ROOT = (
    "update nodes set number = (select above.number from nodes above where above.node = nodes.root) where root <> node"
)
SORTED = (
    "insert into work select n.number, e.place, e.piece, e.start, e.length, e.which"
    " from entries e join nodes n on n.node = e.node order by n.number, e.rowid"
)


@dataclass(frozen=True, slots=True)
class Cut:
    """What was found while cutting, and where it is written down."""

    folder: Path
    events: int
    set_aside: int
    ends: datetime | None  # the last instant of the history
    pieces: tuple[str, ...]
    kinds: frozenset[str]  # of records
    begun: Mapping[int, datetime]  # when entries were taken in that are written down in two halves


Cutting = Callable[[int, int], None]


def cut(
    history: Iterable[Entry],
    rule_sets: Sequence[RuleSet],
    folder: Path,
    by: Callable[[Iterable[Chunk]], Iterable[tuple[Chunk, Found]]] | None = None,
    progress: Cutting = lambda *_: None,
) -> Cut:
    """Writes the parts of a history into an empty folder. What belongs together under any of the rule sets is one part.

    `by` cuts chunks, elsewhere or not, and gives what it found in their order. `progress` is told how many events were read, and
    of how many about, 0 where that is not known. Raises `BadHistory`, OSError, and whatever reading the history raises.
    """
    if by is None:
        cutter = Cutter(rule_sets, folder)
        by = lambda chunks: ((chunk, cutter.cut(chunk)) for chunk in chunks)  # noqa: E731
    with closing(sqlite3.connect(folder / INDEX)) as db:
        index = _Index(db)
        for chunk, found in by(chunks_of(history)):
            index.add(found)
            progress(index.events, round(index.events / chunk.share) if chunk.share else 0)
        index.finish()
        return Cut(
            folder, index.events, index.set_aside, index.ends, tuple(index.pieces), frozenset(index.kinds), dict(index.begun)
        )


class _Index:
    """Gathers what chunks hold, in their order."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(f"pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -{CACHE};" + TABLES)
        self.events = self.set_aside = 0
        self.ends: datetime | None = None
        self.pieces: dict[str, int] = {}
        self.kinds: set[str] = set()
        self.begun: dict[int, datetime] = {}
        self._places = 0  # so many entries so far
        self._nodes = 0
        self._open: tuple[object, datetime | None] = (None, None)  # the batch that may go on, and when it was taken in
        self._latest: datetime | None = None

    def add(self, found: Found) -> None:
        """Raises `BadHistory`."""
        edges = found.edges
        if edges.begins is not None:
            in_order(self._latest, *edges.begins)
        if found.fault:
            raise BadHistory(found.fault)
        self._latest = edges.ends or self._latest
        self.events += found.events
        self.set_aside += found.set_aside
        self.kinds |= found.kinds
        self._tie(found.ties)
        self._enter(found, self._first_place(found))

    def _first_place(self, found: Found) -> int:
        """The place of the chunk's first entry: that of the last one before it where they are halves of one batch."""
        edges, (batch, at) = found.edges, self._open
        halved = found.entries > 0 and batch is not None and edges.first == batch
        first = self._places - 1 if halved else self._places
        if halved and at is not None and found.first_at != at:
            self.begun[first] = at
        if found.entries:
            whole = halved and found.entries == 1
            self._open = (edges.last, at if whole else found.last_at)
            self.ends = (at if whole else found.ends) or self.ends
        self._places = first + found.entries
        return first

    def _enter(self, found: Found, first: int) -> None:
        piece = self.pieces.setdefault(found.piece, len(self.pieces))
        done = 0
        for aside in found.asides:
            if aside.deed is None:
                self._db.execute("insert or replace into asides values (?, ?)", (aside.mark, json.dumps(aside.nodes)))
                continue
            self._rows(found.rows[done * ROW : aside.row * ROW], piece, first)
            done = aside.row
            place, start, length = aside.deed
            known = self._db.execute("select nodes from asides where mark = ?", (aside.mark,)).fetchone()
            for node in sorted(set(json.loads(known[0]))) if known is not None else ():
                self._rows(array("q", (node, place, start, length, -1)), piece, first)
        self._rows(found.rows[done * ROW :], piece, first)

    def _rows(self, rows: array[int], piece: int, first: int) -> None:
        each = iter(rows)
        into = f"insert into entries values (?, ? + {first}, {piece}, ?, ?, ?)"  # noqa: S608 - numbers of our own
        self._db.executemany(into, zip(each, each, each, each, each, strict=True))

    def _tie(self, ties: array[int]) -> None:
        at = 0
        while at < len(ties):
            count = ties[at]
            root = self._root(ties[at + 1])
            for node in ties[at + 2 : at + 1 + count]:
                root = self._joined(root, self._root(node))
            at += 1 + count

    def _root(self, node: int) -> tuple[int, int]:
        """Of all that a record belongs together with the one that was seen first, and how many were seen before it."""
        known = self._db.execute(ROOT, (node,)).fetchone()
        if known is None:
            self._db.execute("insert into nodes values (?, ?, ?)", (node, node, self._nodes))
            self._nodes += 1
            return node, self._nodes - 1
        passed: list[int] = []
        at = node
        while known[0] != at:
            passed.append(at)
            at = known[0]
            known = self._db.execute(ROOT, (at,)).fetchone()
        for below in passed[:-1]:
            self._db.execute(UNDER, (at, below))
        return at, known[1]

    def _joined(self, one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
        if one[0] == other[0]:
            return one
        kept, gone = (one, other) if one[1] < other[1] else (other, one)
        self._db.execute(UNDER, (kept[0], gone[0]))
        return kept

    def finish(self) -> None:
        """Puts the entries of each part beside each other, in their order."""
        while self._db.execute(TO_THE_ROOT).rowcount:
            pass
        self._db.execute(NUMBER_OF_ROOT)
        shared = f"insert into work select node, place, piece, start, length, which from entries where node = {SHARED}"  # noqa: S608
        self._db.execute(f"{shared} order by rowid")
        self._db.execute(SORTED)
        self._db.execute("create index work_by_part on work (part)")
        self._db.commit()


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its entries in order, each with its place in the whole history, and the records it is about."""

    number: int
    entries: tuple[tuple[int, Placed], ...]
    outcomes: tuple[Outcome, ...]
    own: frozenset[Node]


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """Parts from one to another, and how many entries they have."""

    first: int
    last: int
    entries: int


Row = tuple[int, int, int, int, int, int]


class Parts:
    """Reads the parts of a cut."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._db = sqlite3.connect(f"{(cut.folder / INDEX).absolute().as_uri()}?mode=ro", uri=True)
        self._files: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def set_aside(self) -> int:
        """Events that are of no part."""
        return self._cut.set_aside

    def close(self) -> None:
        self._db.close()
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def ranges(self) -> list[Range]:
        """All parts, in ranges of about as many entries each; a part that has more is in one of its own where it can be."""
        (shared, every) = self._db.execute("select count(*) filter (where part = ?), count(*) from work", (SHARED,)).fetchone()
        entries = every - shared
        size = max(entries // MOST_RANGES, min(MOST, max(LEAST, entries // RANGES)))
        at = (self._db.execute("select part from work where rowid = ?", (row,)) for row in range(shared + 1, every + 1, size))
        firsts = [number for number, _ in groupby(found.fetchone()[0] for found in at)]
        begins = [self._db.execute("select min(rowid) from work where part = ?", (part,)).fetchone()[0] for part in firsts]
        ends = [*begins[1:], every + 1]
        lasts = [*(part - 1 for part in firsts[1:]), *self._db.execute("select max(part) from work").fetchone()]
        return [Range(f, u, end - begin) for f, u, begin, end in zip(firsts, lasts, begins, ends, strict=bool(firsts))]

    def of(self, some: Range) -> Iterator[Part]:
        """The parts of a range, one at a time."""
        rows = self._db.execute("select * from work where part between ? and ? order by rowid", (some.first, some.last))
        for number, found in groupby(rows, key=lambda row: row[0]):
            yield self._part(number, found)

    def every(self) -> Iterator[Part]:
        """All parts, one at a time."""
        return (part for some in self.ranges() for part in self.of(some))

    def one(self, number: int) -> Part:
        return self._part(number, self._db.execute("select * from work where part = ? order by rowid", (number,)))

    def named(self, name: str) -> list[int]:
        """The parts in which something has this name: `rma:1001`, or just `1001`."""
        nodes = [node_of(name), *(node_of(f"{kind}:{name}") for kind in sorted(self._cut.kinds))]
        found = (self._db.execute("select number from nodes where node = ?", (node,)).fetchone() for node in nodes)
        return sorted({row[0] for row in found if row is not None})

    def shared(self) -> Iterator[tuple[int, ToldAt]]:
        """What is the same for every case, each with its place in the whole history."""
        rows = self._db.execute("select * from work where part = ? order by rowid", (SHARED,))
        for place, found in groupby(rows, key=lambda row: row[1]):
            for entry in self._entries(place, found, set()):
                if isinstance(entry, ToldAt):
                    yield place, entry

    def _part(self, number: int, rows: Iterable[Row]) -> Part:
        entries: list[tuple[int, Placed]] = []
        outcomes: list[Outcome] = []
        names: set[str] = set()
        for place, found in groupby(rows, key=lambda row: row[1]):
            for entry in self._entries(place, found, names):
                if isinstance(entry, Outcome):
                    outcomes.append(entry)
                else:
                    entries.append((place, entry))
        own = frozenset((kind, key) for kind, _, key in (name.partition(":") for name in names))
        return Part(number, tuple(entries), tuple(outcomes), own)

    def _entries(self, place: int, rows: Iterable[Row], names: set[str]) -> Iterator[Placed | Outcome]:
        """What stands at one place: events that were taken in together, as one, or something else."""
        read: dict[tuple[int, int], Written] = {}
        for _, _, piece, start, length, which in rows:
            written = read.get((piece, start))
            if written is None:
                written = read[piece, start] = packed.loads(os.pread(self._file(piece), length, start))
            own: Names | None = written[2][which] if which >= 0 else None
            names.update(own or ())
        told = [(at, one) for at, one, _ in read.values() if isinstance(one, Told)]
        yield from (one for _, one, _ in read.values() if not isinstance(one, Told))
        if told and told[0][0] is not None:
            yield ToldAt(self._cut.begun.get(place, told[0][0]), tuple(one for _, one in told))

    def _file(self, piece: int) -> int:
        known = self._files.get(piece)
        if known is None:
            known = self._files[piece] = os.open(self._cut.folder / self._cut.pieces[piece], os.O_RDONLY)
        return known
