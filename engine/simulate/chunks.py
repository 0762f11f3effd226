"""A history in chunks that are read one by one, by whichever process is free."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Protocol

from engine.simulate import packed
from engine.simulate.history import Batch, Entry, HistoryFile, Lines, together

ENTRIES = 500  # of a history that is given entry by entry
BYTES = 1_000_000  # of a file of lines, and what is left of the last of them


@dataclass(slots=True)
class Edges:
    """What is to be known of a chunk beside those before and after it: the batches it begins and ends with, which may be cut in
    two, and the instants, which must be in order.
    """

    first: Batch = None
    last: Batch = None
    begins: tuple[datetime, str] | None = None  # and where that stands
    ends: datetime | None = None


class Chunk(Protocol):
    """Some entries that follow each other. `share` is how much of the history is read with it, 0 where that is not known."""

    @property
    def share(self) -> float: ...

    def read(self, edges: Edges) -> Iterator[Entry]:
        """The entries in order; `edges` are filled in meanwhile. Raises `BadHistory` and OSError."""
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """Entries that were read already."""

    entries: tuple[Entry, ...]
    share: float = 0.0

    def read(self, edges: Edges) -> Iterator[Entry]:  # noqa: ARG002 - nothing is cut apart here
        yield from self.entries

    def __reduce__(self) -> tuple[Callable[[bytes], Given], tuple[bytes]]:
        return _given, (packed.dumps(self.entries),)


def _given(told: bytes) -> Given:
    return Given(packed.loads(told))


@dataclass(frozen=True, slots=True)
class OfFile:
    """Lines of a file, from a byte on."""

    path: Path
    start: int
    length: int
    line: int  # the number of the first
    share: float

    def read(self, edges: Edges) -> Iterator[Entry]:
        with self.path.open("rb") as file:
            file.seek(self.start)
            told = BytesIO(file.read(self.length))
        lines = Lines(self.path.name, self.line)
        try:
            for number, (batch, entry) in enumerate(together(lines.read(line.decode() for line in told))):
                edges.first = batch if number == 0 else edges.first
                edges.last = batch
                yield entry
        finally:
            edges.begins, edges.ends = lines.begins, lines.latest


def chunks_of(history: Iterable[Entry]) -> Iterator[Chunk]:
    """A file is not read here but for where its lines end. Raises OSError, and whatever reading the entries raises."""
    if isinstance(history, HistoryFile):
        yield from _chunks_of_file(history.path)
        return
    entries = iter(history)
    while some := tuple(islice(entries, ENTRIES)):
        yield Given(some)


def _chunks_of_file(path: Path) -> Iterator[OfFile]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start, line = 0, 1
        while told := file.read(BYTES):
            told += file.readline()
            yield OfFile(path, start, len(told), line, min(1.0, (start + len(told)) / max(size, 1)))
            start, line = start + len(told), line + told.count(b"\n")
