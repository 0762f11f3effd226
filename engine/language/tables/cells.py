"""One cell of a table: what it asks of one input.

`Cell.test` is the meaning of a cell, spelled out; `engine.language.tables.index` answers the same for all rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from engine.facts.values import UNKNOWN, Money, WorkingDuration, is_gap
from engine.language.show import show


@dataclass(frozen=True, slots=True)
class Is:
    """This very value."""

    value: Any

    def test(self, point: Any) -> bool:
        return bool(point == point_of(self.value))

    @property
    def line(self) -> str:
        return line_of(self.value)

    def __str__(self) -> str:
        return show(self.value)


@dataclass(frozen=True, slots=True)
class Within:
    """From `low` to `high`; None where it has no end on that side."""

    low: Any = None
    high: Any = None
    low_closed: bool = False
    high_closed: bool = False

    def test(self, point: Any) -> bool:
        if self.low is not None:
            low = point_of(self.low)
            if point < low or (point == low and not self.low_closed):
                return False
        if self.high is not None:
            high = point_of(self.high)
            if point > high or (point == high and not self.high_closed):
                return False
        return True

    @property
    def line(self) -> str:
        return line_of(self.high if self.low is None else self.low)

    @property
    def is_empty(self) -> bool:
        if self.low is None or self.high is None:
            return False
        low, high = point_of(self.low), point_of(self.high)
        return bool(low > high or (low == high and not (self.low_closed and self.high_closed)))

    def __str__(self) -> str:
        if self.low is None:
            return f"<{'=' if self.high_closed else ''} {show(self.high)}"
        if self.high is None:
            return f">{'=' if self.low_closed else ''} {show(self.low)}"
        return f"{'[' if self.low_closed else '('}{show(self.low)}..{show(self.high)}{']' if self.high_closed else ')'}"


Test = Is | Within


@dataclass(frozen=True, slots=True)
class Cell:
    """True where one of its `tests` is (with `negated`, where none is). Without tests it is `any`, which asks for nothing.

    An `unset` one compares with a parameter no client has set yet; whether it matches is never known.
    """

    tests: tuple[Test, ...] = ()
    negated: bool = False
    unset: bool = False

    @property
    def is_any(self) -> bool:
        return not self.tests and not self.unset

    @property
    def line(self) -> str:
        """Only values on this line compare with it: a currency, working days or hours; "" for all other types."""
        return self.tests[0].line if self.tests else ""

    def test(self, value: Any) -> Any:
        """True, False or UNKNOWN."""
        if self.is_any:
            return True
        if self.unset or is_gap(value) or line_of(value) != self.line:
            return UNKNOWN
        point = point_of(value)
        return any(test.test(point) for test in self.tests) is not self.negated

    def __str__(self) -> str:
        if self.is_any:
            return "any"
        said = ", ".join(str(test) for test in self.tests) or "a parameter that is not set"
        return f"not({said})" if self.negated else said


ANY_CELL = Cell()


_WORKING = ("working days", "working hours")
WHOLE_LINE = _WORKING[0]  # there is no half a working day


def line_of(value: Any) -> str:
    """Values of different lines do not compare: amounts of two currencies, working days and working hours."""
    if isinstance(value, Money):
        return value.currency
    if isinstance(value, WorkingDuration):
        return _WORKING[0] if isinstance(value.length, int) else _WORKING[1]
    return ""


def value_at(line: str, point: Any) -> Any:
    """The value that stands there on that line."""
    if line in _WORKING:
        return WorkingDuration(point)
    return Money(Decimal(point), line) if line else point


def point_of(value: Any) -> Any:
    """Where a value stands on its line."""
    if isinstance(value, Money):
        return value.amount
    return value.length if isinstance(value, WorkingDuration) else value
