"""An index over one column: for any value, which rows it matches, as the bits of two whole numbers.

Values are cut into atoms, the largest sets between which no cell tells a difference: each listed word and all others; each
point where an interval begins or ends, and what lies between two of them. An input is found in a dictionary or by bisection,
and the rows of a table are the bits its columns have in common, so the cost hardly grows with the number of rows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.facts.values import is_gap
from engine.language.tables.cells import Cell, Is, Test, line_of, point_of

WORDS = frozenset({"text", "enum", "boolean"})
Bits = int


@dataclass(frozen=True, slots=True)
class Masks:
    """`sure` are the rows whose cell is known to match; `possible` those whose cell is not known to fail."""

    sure: Bits
    possible: Bits


@dataclass(frozen=True, slots=True)
class Line:
    """The atoms of one line: before `points[0]`, at it, between it and `points[1]`, and so on."""

    points: tuple[Any, ...]
    atoms: tuple[Masks, ...]

    def at(self, point: Any) -> Masks:
        place = bisect_left(self.points, point)
        hit = place < len(self.points) and self.points[place] == point
        return self.atoms[2 * place + hit]


@dataclass(frozen=True, slots=True)
class Column:
    """All cells of one input. `words` or `lines` hold the atoms, `other` is for a value of none of them, `gap` for no value."""

    gap: Masks
    other: Masks
    words: dict[Any, Masks] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)

    def masks(self, value: Any) -> Masks:
        """Never raises: a value that does not compare with a cell leaves it open whether it matches."""
        if is_gap(value):
            return self.gap
        if not self.lines:
            return self.words.get(value, self.other)
        line = self.lines.get(line_of(value))
        try:
            return self.other if line is None else line.at(point_of(value))
        except TypeError:
            return self.gap


def column(cells: Sequence[Cell], type_name: str) -> Column:
    """The index of a column whose input is of that type."""
    every = (1 << len(cells)) - 1
    anything = bits(n for n, cell in enumerate(cells) if cell.is_any)
    gap = Masks(anything, every)
    return _words(cells, gap) if type_name in WORDS else _lines(cells, gap)


def bits(rows: Iterable[int]) -> Bits:
    found = 0
    for row in rows:
        found |= 1 << row
    return found


def rows_in(mask: Bits) -> list[int]:
    """The rows whose bits are set, in their order."""
    found = []
    while mask:
        lowest = mask & -mask
        found.append(lowest.bit_length() - 1)
        mask ^= lowest
    return found


def _words(cells: Sequence[Cell], gap: Masks) -> Column:
    unset = bits(n for n, cell in enumerate(cells) if cell.unset)
    other = bits(n for n, cell in enumerate(cells) if cell.negated and not cell.unset) | gap.sure
    found: dict[Any, Bits] = {}
    for n, cell in enumerate(cells):
        for value in {test.value for test in cell.tests if isinstance(test, Is)}:
            found[value] = found.get(value, other) ^ (1 << n)  # set for a cell that lists it, cleared for one that excludes it
    words = {value: Masks(mask, mask | unset) for value, mask in found.items()}
    return Column(gap, Masks(other, other | unset), words=words)


def _lines(cells: Sequence[Cell], gap: Masks) -> Column:
    names = sorted({cell.line for cell in cells if cell.tests})
    return Column(gap, gap, lines={name: _line(name, cells, gap) for name in names})


def _line(name: str, cells: Sequence[Cell], gap: Masks) -> Line:
    here = [(n, cell) for n, cell in enumerate(cells) if cell.tests and cell.line == name]
    points = sorted({point for _, cell in here for test in cell.tests for point in _ends(test)})
    place = {point: n for n, point in enumerate(points)}
    last = 2 * len(points)
    turns = [0] * (last + 2)
    for n, cell in here:
        spans = _merged(_span(test, place, last) for test in cell.tests)
        for start, end in _complement(spans, last) if cell.negated else spans:
            turns[start] ^= 1 << n
            turns[end + 1] ^= 1 << n
    open_rows = gap.possible & ~gap.sure & ~bits(n for n, _ in here)  # their cells are about another line
    sure = gap.sure
    atoms = []
    for turn in turns[:-1]:
        sure ^= turn
        atoms.append(Masks(sure, sure | open_rows))
    return Line(tuple(points), tuple(atoms))


def _ends(test: Test) -> list[Any]:
    if isinstance(test, Is):
        return [point_of(test.value)]
    return [point_of(end) for end in (test.low, test.high) if end is not None]


def _span(test: Test, place: dict[Any, int], last: int) -> tuple[int, int]:
    """The first and last atom a test is true of."""
    if isinstance(test, Is):
        at = 2 * place[point_of(test.value)] + 1
        return at, at
    start = 0 if test.low is None else 2 * place[point_of(test.low)] + (1 if test.low_closed else 2)
    end = last if test.high is None else 2 * place[point_of(test.high)] + (1 if test.high_closed else 0)
    return start, end


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif start <= end:
            found.append((start, end))
    return found


def _complement(spans: list[tuple[int, int]], last: int) -> list[tuple[int, int]]:
    found, at = [], 0
    for start, end in spans:
        if at < start:
            found.append((at, start - 1))
        at = end + 1
    return [*found, (at, last)] if at <= last else found
