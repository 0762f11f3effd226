"""Random small tables, the inputs that tell their rows apart, and a plain reading of what DMN says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain, combinations, product
from typing import Any

from hypothesis import strategies as st

from engine.facts.schema import BOOLEAN, DATE, MONEY, NUMBER, TEXT, WORKING_DURATION, Type, enum_of
from engine.facts.values import UNKNOWN, Items, Money, Unreadable, WorkingDuration, is_gap
from engine.language.tables.cells import ANY_CELL, Cell, Is, Within
from engine.language.tables.hit import Values
from engine.language.tables.policies import AGGREGATES, HITS, ORDERED_BY_OUTPUT, Hit
from engine.language.tables.table import Input, Output, Row, Table
from engine.language.written import constant
from engine.problems import Place

HERE = Place("t.yaml", 1, 1)
WORDS = enum_of("a", "b", "c")
DAY = date(2026, 11, 1)
CURRENCIES = ("EUR", "USD")


@dataclass(frozen=True)
class Sort:
    """A type of input: what its cells compare with, and values of which one is in every atom such cells make."""

    type: Type
    points: tuple[Any, ...]
    pool: tuple[Any, ...]

    @property
    def has_order(self) -> bool:
        return self.type.name in ("number", "money", "date", "working_duration")


HALVES = tuple(Decimal(n) / 2 for n in range(-2, 10))
SORTS = (
    Sort(WORDS, ("a", "b", "c"), ("a", "b", "c")),
    Sort(BOOLEAN, (True, False), (True, False)),
    Sort(TEXT, ("x", "y"), ("x", "y", "z")),
    Sort(NUMBER, (0, 1, 2, Decimal("2.50"), 3), (*HALVES, Decimal("2.25"), Decimal("2.75"))),
    Sort(DATE, tuple(DAY + timedelta(n) for n in (0, 1, 3)), tuple(DAY + timedelta(n) for n in range(-1, 6))),
    Sort(
        WORKING_DURATION,
        tuple(WorkingDuration(n) for n in (1, 2, 3)),
        (*(WorkingDuration(n) for n in range(5)), WorkingDuration(timedelta(hours=1))),
    ),
    Sort(
        MONEY,
        tuple(Money(Decimal(n), currency) for n in (0, 1, 2) for currency in CURRENCIES),
        tuple(Money(n, currency) for n in HALVES[:8] for currency in (*CURRENCIES, "GBP")),
    ),
)


@st.composite
def cells(draw: st.DrawFn, sort: Sort) -> Cell:
    if draw(st.integers(0, 3)) == 0:
        return ANY_CELL
    points = sort.points
    if sort.type == MONEY:  # a cell speaks of one currency
        currency = draw(st.sampled_from(CURRENCIES))
        points = tuple(point for point in points if point.currency == currency)
    tests: list[Is | Within] = []
    for _ in range(draw(st.integers(1, 2))):
        if not sort.has_order or draw(st.booleans()):
            tests.append(Is(draw(st.sampled_from(points))))
            continue
        low, high = sorted(draw(st.tuples(st.sampled_from(points), st.sampled_from(points))))
        closed = draw(st.tuples(st.booleans(), st.booleans()))
        ends = draw(st.sampled_from(["both", "low", "high"]))
        span = Within(low if ends != "high" else None, high if ends != "low" else None, *closed)
        tests.append(Is(low) if span.is_empty else span)
    return Cell(tuple(tests), negated=draw(st.integers(0, 3)) == 0)


@st.composite
def tables(draw: st.DrawFn, hits: tuple[Hit, ...] = HITS, most: int = 5) -> Table:
    hit = draw(st.sampled_from(hits))
    sorts = draw(st.lists(st.sampled_from(SORTS), min_size=1, max_size=3))
    if hit in AGGREGATES:
        outputs: tuple[Output, ...] = (Output("n", NUMBER),)
        values = st.tuples(st.sampled_from([0, 0, 1, 2, -1]))
    else:
        order = ("p", "q", "r") if hit in ORDERED_BY_OUTPUT else ()
        outputs = (Output("word", enum_of("p", "q", "r"), order), Output("n", NUMBER))
        values = st.tuples(st.sampled_from(["p", "q", "r"]), st.sampled_from([1, 2]))
    rows = tuple(
        Row(number, tuple(draw(cells(sort)) for sort in sorts), draw(values), Place("t.yaml", number, 1))
        for number in range(1, draw(st.integers(1, most)) + 1)
    )
    otherwise = draw(st.none() | values) if hit != "collect count" else None
    given = tuple(Input(f"i{n}", constant("x", HERE, sort.type, None)) for n, sort in enumerate(sorts))
    return Table("t", "rma", hit, given, outputs, rows, otherwise, HERE, HERE)


def pools(table: Table) -> list[tuple[Any, ...]]:
    return [next(sort.pool for sort in SORTS if sort.type == given.type) for given in table.inputs]


def points(table: Table) -> Iterator[tuple[Any, ...]]:
    """Inputs of which at least one is in every region the rows make."""
    return product(*pools(table))


@st.composite
def inputs(draw: st.DrawFn, table: Table) -> tuple[Any, ...]:
    """Inputs with gaps."""
    gaps = st.sampled_from([None, UNKNOWN, Unreadable("?")])
    return tuple(draw(gaps if draw(st.integers(0, 2)) == 0 else st.sampled_from(pool)) for pool in pools(table))


# --- the plain reading ----------------------------------------------------------------------------------------------


class Undefined:
    """What DMN calls the result of a table whose hit policy is violated."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = Undefined()


def matching(table: Table, values: tuple[Any, ...]) -> tuple[list[int], list[int]]:
    """The rows all of whose cells are true, and those of which none is false and one is unknown."""
    sure, unsure = [], []
    for n, row in enumerate(table.rows):
        tests = [cell.test(value) for cell, value in zip(row.cells, values, strict=True)]
        if all(test is True for test in tests):
            sure.append(n)
        elif not any(test is False for test in tests):
            unsure.append(n)
    return sure, unsure


def gives(table: Table, rows: list[int]) -> Values | Undefined:
    """What a table gives where exactly these rows match."""
    found = [table.rows[row].values for row in sorted(rows)]
    nothing = table.otherwise if table.otherwise is not None else (None,) * len(table.outputs)
    match table.hit:
        case "unique":
            return nothing if not found else found[0] if len(found) == 1 else UNDEFINED
        case "any":
            return nothing if not found else found[0] if len(set(found)) == 1 else UNDEFINED
        case "first":
            return found[0] if found else nothing
        case "priority":
            return min(found, key=lambda values: "pqr".index(values[0])) if found else nothing
        case "collect" | "rule order" | "output order":
            if table.hit == "output order":
                found.sort(key=lambda values: "pqr".index(values[0]))
            if not found and table.otherwise is not None:
                found = [table.otherwise]
            return tuple(tuple(values[n] for values in found) for n in range(len(table.outputs)))
        case "collect count":
            return (len(found),)
    amounts = [values[0] for values in found] or ([table.otherwise[0]] if table.otherwise is not None else [])
    if table.hit == "collect sum":
        return (sum(amounts),)
    return ((min if table.hit == "collect min" else max)(amounts, default=None),)


def expected(table: Table, values: tuple[Any, ...]) -> Values:
    """What must come out: an output is known if it is the same whichever of the unsure rows match."""
    sure, unsure = matching(table, values)
    if table.hit in ("collect", "rule order", "output order"):
        return _lists(table, sure, unsure)
    subsets = chain.from_iterable(combinations(unsure, size) for size in range(len(unsure) + 1))
    outcomes = [gives(table, [*sure, *more]) for more in subsets]
    found = []
    for n in range(len(table.outputs)):
        each = {UNKNOWN if isinstance(outcome, Undefined) else outcome[n] for outcome in outcomes}
        found.append(each.pop() if len(each) == 1 else UNKNOWN)
    return tuple(found)


def _lists(table: Table, sure: list[int], unsure: list[int]) -> Values:
    certain = gives(table, sure)
    assert not isinstance(certain, Undefined)
    if not unsure:
        return tuple(Items(each) for each in certain)
    alone = gives(table, unsure)
    assert not isinstance(alone, Undefined)
    if sure or table.otherwise is None:
        return tuple(Items(each, more) for each, more in zip(certain, alone, strict=True))
    return tuple(Items((), (*more, last)) for more, last in zip(alone, table.otherwise, strict=True))


def completions(table: Table, values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Everything the inputs may turn out to be."""
    return product(*(pool if is_gap(value) else (value,) for value, pool in zip(values, pools(table), strict=True)))
