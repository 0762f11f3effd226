"""The inputs of a table as finitely many cases: for each input its atoms, every one with a value that stands for it.

Within an atom no cell tells one value from another, so what is true of the values that stand for the atoms is true of all
inputs. Atoms that hold no value of the type are left out: between two days that follow each other there is none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import ceil, floor
from typing import Any

from engine.language.parse import Fault, parse
from engine.language.tables.cells import WHOLE_LINE, value_at
from engine.language.tables.index import WORDS, Bits, Column, Line
from engine.language.tables.table import Input

ELSE = "anything else"
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Atom:
    """A value for all like it; None where the value makes no difference. `sure` and `possible` as in `Masks`."""

    value: Any
    sure: Bits
    possible: Bits


def atoms_of(given: Input, column: Column) -> tuple[Atom, ...]:
    """Every atom an input can be in, in order."""
    if given.type.name in WORDS:
        return tuple(_words(given, column))
    if not column.lines:
        return (Atom(None, column.other.sure, column.other.possible),)
    whole = _is_count(given)
    found = [atom for name, line in column.lines.items() for atom in _line(name, line, whole=whole)]
    if given.type.name in ("money", "working_duration"):  # any other currency; days beside hours
        found.append(Atom(ELSE, column.other.sure, column.other.possible))
    return tuple(found)


def _words(given: Input, column: Column) -> Iterator[Atom]:
    if given.type.name == "boolean":
        values: tuple[Any, ...] = (True, False)
    else:
        values = given.type.values if given.type.name == "enum" else tuple(column.words)
    if not column.words:
        values = ()
    for value in values:
        masks = column.words.get(value, column.other)
        yield Atom(value, masks.sure, masks.possible)
    if not column.words:
        yield Atom(None, column.other.sure, column.other.possible)
    elif given.type.name == "text":
        yield Atom(ELSE, column.other.sure, column.other.possible)


def _line(name: str, line: Line, *, whole: bool) -> Iterator[Atom]:
    for place, masks in enumerate(line.atoms):
        low = line.points[(place - 1) // 2] if place else None
        high = line.points[place // 2] if place < len(line.atoms) - 1 else None
        point = low if place % 2 else _between(low, high, whole=whole or name == WHOLE_LINE)
        if whole and not place % 2 and point is not None and point < 0 and (high is None or high > 0):
            point = 0
        if point is not None and not (whole and (point < 0 or point != int(point))):
            yield Atom(value_at(name, point), masks.sure, masks.possible)


def _between(low: Any, high: Any, *, whole: bool) -> Any:
    """A value strictly between the two, the simplest there is; None where there is none."""
    end = high if low is None else low
    try:
        if isinstance(end, (int, Decimal)):
            return _number_between(low, high, whole=whole)
        if isinstance(end, datetime):
            return _moment_between(low, high, timedelta(days=1), _MICROSECOND)
        if isinstance(end, date):
            return _moment_between(low, high, timedelta(days=1), timedelta(days=1))
        return _moment_between(low, high, timedelta(hours=1), _MICROSECOND)
    except OverflowError:
        return None


def _number_between(low: Any, high: Any, *, whole: bool) -> Any:
    if low is None:
        return ceil(high) - 1
    if high is None or floor(low) + 1 < high:
        return floor(low) + 1
    return None if whole else (Decimal(low) + Decimal(high)) / 2


def _moment_between(low: Any, high: Any, step: timedelta, least: timedelta) -> Any:
    if low is None:
        return high - step
    if high is None or low + step < high:
        return low + step
    if high - low <= least:
        return None
    middle = low + (high - low) / 2
    return middle if low < middle < high else low + least


def _is_count(given: Input) -> bool:
    """Whether it counts something, so that it is a whole number and not negative."""
    try:
        body = parse(given.expression.text).body
    except Fault:
        return False
    return isinstance(body, ast.Call) and isinstance(body.func, ast.Name) and body.func.id in ("count", "len")
