"""Chances in plain words: a share, a rate, a spread of durations or amounts, and what part of the whole each choice has."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import accumulate
from random import Random
from statistics import NormalDist
from typing import Any, NamedTuple

from engine.language.durations import PATTERN
from engine.language.forms import DATE, DURATION, TEXT, Shape, map_of
from engine.language.node import Node
from engine.problems import Problems, did_you_mean

P90 = 1.2815515655446004  # standard deviations below which nine in ten values of a normal distribution are
FURTHEST = 10  # times the p90: nothing is drawn beyond
_STANDARD = NormalDist()
_SHARE = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,4})?)\s*%")
_PER_DAY = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,4})?) per day")
_HOURS = re.compile(r"([01]?[0-9]|2[0-3])-([01]?[0-9]|2[0-4])")


@dataclass(frozen=True, slots=True)
class Spread:
    """Values that are drawn: evenly between two, or around a median such that one in ten lies above `high`."""

    low: float
    high: float
    even: bool = False

    def draw(self, random: Random) -> float:
        """One value. Draws from `random` once, whatever the spread, so that what is drawn after it stays the same."""
        point = random.random()
        if self.high <= self.low:
            return self.low
        if self.even:
            return self.low + point * (self.high - self.low)
        return min(self.low * math.exp(_normal(point) * math.log(self.high / self.low) / P90), self.high * FURTHEST)


@dataclass(frozen=True, slots=True)
class Weights:
    """Choices, each with its part of the whole."""

    choices: tuple[Any, ...]
    parts: tuple[float, ...]

    def draw(self, random: Random) -> Any:
        point = random.random() * sum(self.parts)
        ends = accumulate(self.parts)
        return next((choice for choice, end in zip(self.choices, ends, strict=True) if point < end), self.choices[-1])


def _normal(point: float) -> float:
    """The value below which this part of a normal distribution lies."""
    return _STANDARD.inv_cdf(min(max(point, 1e-9), 1 - 1e-9))


class Kind(NamedTuple):
    """One kind of value an author writes: its shape for editors, and what reads it. `read` answers None after a problem."""

    shape: Shape
    read: Callable[[Node, Problems, str], Any]


def _share(node: Node, problems: Problems, what: str, most: float = 1.0) -> float | None:
    match = _SHARE.fullmatch(node.text) if node.kind == "scalar" else None
    if match is None:
        _bad(node, problems, f"{what} must be a share such as 3%, not {node.described()}")
        return None
    share = float(match[1]) / 100
    if share > most:
        _bad(node, problems, f"{what} is {node.text}: there is no more than {most:.0%}")
        return None
    return share


def _per_day(node: Node, problems: Problems, what: str) -> float | None:
    match = _PER_DAY.fullmatch(node.text) if node.kind == "scalar" else None
    if match is None:
        _bad(node, problems, f"{what} must be a rate such as 40 per day, not {node.described()}")
        return None
    return float(match[1])


def _spread(
    node: Node, problems: Problems, what: str, one: Callable[[Node, Problems, str], float | None], example: str
) -> Spread | None:
    if node.kind == "list":
        _bad(node, problems, f"{what} must be {example}, not a list")
        return None
    if node.kind == "scalar":
        value = one(node, problems, what)
        return None if value is None else Spread(value, value)
    even = node.get("from") is not None or node.get("to") is not None
    ends = ("from", "to") if even else ("median", "p90")
    if not node.expect_keys(problems, f"{what}, written as {example},", ends):
        return None
    low, high = (one(node.get(end) or node, problems, f"{end} of {what}") for end in ends)
    if low is None or high is None:
        return None
    if high < low or (not even and high > low == 0):
        wanted = f"{ends[1]} of {what} must not be less than its {ends[0]}" if high < low else f"the median of {what} is nothing"
        _bad(node.get(ends[1]) or node, problems, wanted)
        return None
    return Spread(low, high, even)


def _seconds(node: Node, problems: Problems, what: str) -> float | None:
    found = node.expect_duration(problems, what)
    return None if found is None else found.total_seconds()


def _number(node: Node, problems: Problems, what: str) -> float | None:
    if isinstance(node.value, int | Decimal) and not isinstance(node.value, bool) and node.value > 0:
        return float(node.value)
    _bad(node, problems, f"{what} must be a number above 0, not {node.described()}")
    return None


def _weights(
    node: Node, problems: Problems, what: str, choice: Callable[[str], Any], wanted: str, names: tuple[str, ...] = ()
) -> Weights | None:
    """Choices whose shares make up the whole."""
    if not node.expect_map(problems, what):
        return None
    found: dict[Any, float] = {}
    for key, place, inner in node.items():
        share = _share(inner, problems, f"the share of {key} in {what}")
        chosen = choice(key)
        if chosen is None:
            problems.add(place, "bad-value", f'{what} is about {wanted}, not "{key}"{did_you_mean(key, names)}')
        elif share is not None:
            found[chosen] = share
    if len(found) < len(node.entries):
        return None
    total = sum(found.values())
    if abs(total - 1) > 1e-9:
        _bad(node, problems, f"the shares of {what} make up {total:.4g} of the whole: they must come to 100%")
        return None
    return Weights(tuple(found), tuple(found.values()))


def _count(text: str) -> int | None:
    return NUMBERS.index(text) + 1 if text in NUMBERS else None


def _hours(text: str) -> tuple[int, int] | None:
    match = _HOURS.fullmatch(text)
    return (int(match[1]), int(match[2])) if match is not None and int(match[1]) < int(match[2]) else None


def _day(node: Node, problems: Problems, what: str) -> date | None:
    try:
        return date.fromisoformat(node.text)
    except ValueError:
        _bad(node, problems, f"{what} must be a date such as 2026-11-27, not {node.described()}")
        return None


def _currency(node: Node, problems: Problems, what: str) -> str | None:
    if node.kind == "scalar" and re.fullmatch(r"[A-Z]{3}", node.text):
        return node.text
    _bad(node, problems, f"{what} must be a currency such as EUR, not {node.described()}")
    return None


def _whole(node: Node, problems: Problems, what: str) -> int | None:
    if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value > 0:
        return node.value
    _bad(node, problems, f"{what} must be a whole number above 0, not {node.described()}")
    return None


def _times(node: Node, problems: Problems, what: str) -> Mapping[str, float] | None:
    """By day of the week, how many times as much as on others."""
    if not node.expect_keys(problems, what, (), WEEK):
        return None
    read = {key: _share(inner, problems, f"{key} in {what}", most=10) for key, _, inner in node.items()}
    return {key: value for key, value in read.items() if value is not None}


def _bad(node: Node, problems: Problems, message: str) -> None:
    problems.add(node.place, "bad-value", message)


NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SHARE_SHAPE: Shape = {"type": "string", "pattern": r"^[0-9]{1,4}(\.[0-9]{1,4})?\s*%$", "examples": ["3%", "0.5%"]}
_RATE_SHAPE: Shape = {"type": "string", "pattern": r"^[0-9]{1,7}(\.[0-9]{1,4})? per day$", "examples": ["40 per day"]}


def _spread_shape(one: Shape) -> Shape:
    def ends(low: str, high: str) -> Shape:
        return {"type": "object", "properties": {low: one, high: one}, "required": [low, high], "additionalProperties": False}

    return {"anyOf": [one, ends("median", "p90"), ends("from", "to")]}


SHARE = Kind(_SHARE_SHAPE, _share)
RATE = Kind(_RATE_SHAPE, _per_day)
TIMES = Kind({"type": "number", "exclusiveMinimum": 0}, _number)
WHOLE = Kind({"type": "integer", "minimum": 1}, _whole)
PERIOD = Kind({"type": "string", "pattern": PATTERN}, _seconds)
DELAY = Kind(_spread_shape(DURATION), lambda n, p, w: _spread(n, p, w, _seconds, "2d or {median: 2d, p90: 5d}"))
AMOUNT = Kind(
    _spread_shape({"type": "number", "exclusiveMinimum": 0}),
    lambda n, p, w: _spread(n, p, w, _number, "40 or {median: 40, p90: 120}"),
)
COUNTS = Kind(
    {"type": "object", "properties": dict.fromkeys(NUMBERS, _SHARE_SHAPE), "additionalProperties": False},
    lambda n, p, w: _weights(n, p, w, _count, "one to ten", NUMBERS),
)
HOURS = Kind(
    map_of(_SHARE_SHAPE, {"pattern": "^[0-9]{1,2}-[0-9]{1,2}$"}),
    lambda n, p, w: _weights(n, p, w, _hours, "hours of a day such as 08-18"),
)
DAYS = Kind({"type": "object", "properties": dict.fromkeys(WEEK, _SHARE_SHAPE), "additionalProperties": False}, _times)
DAY = Kind(DATE, _day)
CURRENCY = Kind({"type": "string", "pattern": "^[A-Z]{3}$"}, _currency)
WORDS = Kind(TEXT, lambda n, p, w: n.expect_text(p, w))
