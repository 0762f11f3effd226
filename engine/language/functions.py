"""The functions authors can call. One entry gives the checker its types, the compiler its code and the handbook its text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Literal

from engine.facts.calendars import Calendar
from engine.facts.schema import ANY, BOOLEAN, CALENDAR, DATE, DURATION, MONEY, NUMBER, PERIOD, TEXT, TIMESTAMP, Type, list_of
from engine.facts.values import UNKNOWN, Gap, Items, Money, Rec, Unreadable, WorkingDuration
from engine.language.operations import (
    ABSENT,
    Undecidable,
    add,
    as_items,
    duration_of,
    family,
    lacking,
    negate,
    truth,
)
from engine.language.types import NONE, ORDERED, fits, join

Gaps = Literal["seen", "passed", "unknown"]
Special = Literal["", "pattern", "code", "table", "zone", "zero", "calendar"]


class Mistyped(Exception):  # noqa: N818 - caught by the checker, which knows the place
    """Argument `position` is not what the function takes."""

    def __init__(self, position: int, wanted: str) -> None:
        super().__init__(wanted)
        self.position = position
        self.wanted = wanted


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    `typed` gives the type of the result from those of the arguments, or raises `Mistyped`. `run` computes it from values. A
    gap among the arguments is `seen` by it, or `passed` on as the outcome, or makes a truth `unknown`. `special` marks an
    argument that is settled when the expression is checked: the pattern of `matches`, the parameter of `mapped`, the table of
    `lookup`, the calendar and a duration that are written out; added at the end, the time zone of `date` and what the `sum` of
    nothing is.
    """

    name: str
    signature: str
    doc: str
    least: int
    most: int
    typed: Callable[[Sequence[Type]], Type]
    run: Callable[..., Any]
    gaps: Gaps = "passed"
    special: Special = ""

    @property
    def over(self) -> Callable[..., Any]:
        """Computes the value over arguments that may be gaps."""
        return self.run if self.gaps == "seen" else self._over_gaps

    def _over_gaps(self, *values: Any) -> Any:
        for value in values:
            if isinstance(value, ABSENT):
                return lacking(*values) if self.gaps == "passed" else UNKNOWN
        return self.run(*values)


# --- types ----------------------------------------------------------------------------------------------------------


def _takes(*wanted: Type, gives: Type) -> Callable[[Sequence[Type]], Type]:
    def typed(types: Sequence[Type]) -> Type:
        for position, (actual, want) in enumerate(zip(types, wanted, strict=False)):
            if not fits(actual, want):
                raise Mistyped(position, str(want))
        return gives

    return typed


def _element(types: Sequence[Type], position: int = 0) -> Type:
    """The element of the list an argument must be."""
    given = types[position]
    if given == ANY:
        return ANY
    if given.of is None:
        raise Mistyped(position, "a list")
    return given.of


def _conditions(types: Sequence[Type]) -> Type:
    element = _element(types)
    if not fits(element, BOOLEAN):
        raise Mistyped(0, "conditions, as in any(l.open for l in order.lines); a list alone is already a condition")
    return BOOLEAN


def _counted(types: Sequence[Type]) -> Type:
    if _element(types) == BOOLEAN:
        raise Mistyped(0, "the items to count: put the condition after `if`, as in count(l for l in order.lines if l.open)")
    return NUMBER


def _length(types: Sequence[Type]) -> Type:
    if not fits(types[0], TEXT):
        _element(types)
    return NUMBER


def _same_list(types: Sequence[Type]) -> Type:
    return list_of(_element(types))


def _one_of_list(types: Sequence[Type]) -> Type:
    element = _element(types)
    return ANY if element == NONE else element


def _extreme(types: Sequence[Type]) -> Type:
    if len(types) == 1:
        element = _one_of_list(types)
        if element.name not in ORDERED:
            raise Mistyped(0, "a list of numbers, money, times, durations or text")
        return element
    found = NONE
    for position, given in enumerate(types):
        joined = join(found, given)
        if given.name not in ORDERED | {"none"} or joined is None or joined == PERIOD:
            raise Mistyped(position, "of one type that has an order" if position == 0 else str(found))
        found = joined
    return found


def _summed(types: Sequence[Type]) -> Type:
    element = _element(types)
    if element == NONE:
        element = NUMBER
    if element not in (NUMBER, MONEY, DURATION, ANY):
        raise Mistyped(0, "a list of numbers, money or durations")
    if len(types) == 2:
        if not fits(element, MONEY):
            raise Mistyped(0, "a list of money where a currency is given")
        if not fits(types[1], TEXT):
            raise Mistyped(1, "a currency")
        return MONEY
    return element


def _defaulted(types: Sequence[Type]) -> Type:
    joined = join(types[0], types[1])
    if joined is None:
        raise Mistyped(1, str(types[0]))
    return joined


def _made_of_money(types: Sequence[Type]) -> Type:
    if types[0] != NUMBER and not fits(types[0], TEXT):
        raise Mistyped(0, "a number or text")
    if not fits(types[1], TEXT):
        raise Mistyped(1, "a currency")
    return MONEY


def _counted_by_calendar(*wanted: Type, gives: Type) -> Callable[[Sequence[Type]], Type]:
    """The last argument is a calendar."""
    takes = _takes(*wanted, CALENDAR, gives=gives)

    def typed(types: Sequence[Type]) -> Type:
        try:
            return takes(types)
        except Mistyped as wrong:
            hint = {CALENDAR.name: _A_CALENDAR, PERIOD.name: _A_PERIOD}.get(wrong.wanted, wrong.wanted)
            raise Mistyped(wrong.position, hint) from None

    return typed


_A_CALENDAR = "a calendar (its name in quotes, or a parameter of type calendar)"
_A_PERIOD = 'a duration (such as "5 working days" or "48h" in quotes, or a parameter of type period)'


def _anything(gives: Type) -> Callable[[Sequence[Type]], Type]:
    return lambda _types: gives


# --- values ---------------------------------------------------------------------------------------------------------


def exists(value: Any) -> Any:
    if value is None:
        return False
    if isinstance(value, tuple | list):
        return truth(value)
    return UNKNOWN if value is UNKNOWN else True


def missing(value: Any) -> Any:
    return negate(exists(value))


def default(value: Any, instead: Any) -> Any:
    if value is None:
        return instead
    return UNKNOWN if isinstance(value, Gap) else value


def known(items: Any) -> Any:
    return Items(v for v in as_items(items) if not isinstance(v, ABSENT))


def _whole(items: Any) -> Items | None:
    """The list if every item is sure and there."""
    whole: Items = as_items(items)
    return None if whole.unsure or any(isinstance(v, ABSENT) for v in whole) else whole


def first(items: Any) -> Any:
    return _at_end(as_items(items), 0)


def last(items: Any) -> Any:
    return _at_end(as_items(items), -1)


def _at_end(items: Items, index: int) -> Any:
    if items.unsure:
        return UNKNOWN
    return items[index] if items else None


def length(value: Any) -> Any:
    if isinstance(value, str):
        return len(value)
    items = as_items(value)
    return UNKNOWN if items.unsure else len(items)


def count(items: Any) -> Any:
    whole = _whole(items)
    return UNKNOWN if whole is None else len(whole)


def least(*values: Any) -> Any:
    return _furthest(values, min)


def greatest(*values: Any) -> Any:
    return _furthest(values, max)


def _furthest(values: tuple[Any, ...], pick: Callable[..., Any]) -> Any:
    if len(values) == 1 and isinstance(values[0], ABSENT):
        return lacking(values[0])
    whole = _whole(values[0] if len(values) == 1 else values)
    if whole is None:
        return UNKNOWN
    if not whole:
        return None
    _comparable(whole)
    return pick(whole)


def _comparable(values: Items) -> None:
    families = {family(v) for v in values}
    if len(families) > 1 or families & {"boolean", "list", "object", "record"}:
        raise Undecidable(f"{' and '.join(sorted(families))} have no order")
    if len({v.currency for v in values if isinstance(v, Money)}) > 1:
        raise Undecidable("amounts of several currencies do not mix")


NO_ZERO = object()  # the sum of no money has no currency to be zero in


def total(items: Any, *given: Any) -> Any:
    """The sum over `items`. `given` is an optional currency and, at the end, what the sum of no items is."""
    *currency, zero = given
    whole = _whole(items)
    if whole is None:
        return UNKNOWN
    if currency:
        result: Any = Money(Decimal(0), currency[0])
    elif whole:
        result, whole = whole[0], Items(whole[1:])
        if family(result) not in ("number", "money", "duration"):
            raise Undecidable(f"{family(result)} cannot be summed")
    elif zero is NO_ZERO:
        raise Undecidable("the sum of no money has no currency: name one, as in sum(amounts, order.currency)")
    else:
        return zero
    for value in whole:
        result = add(result, value)
    return result


def zero_of(element: Type) -> Any:
    """What the sum of no items of that type is."""
    return timedelta(0) if element == DURATION else NO_ZERO if element == MONEY else 0


def any_of(items: Any) -> Any:
    conditions = as_items(items)
    sure = [truth(v) for v in conditions]
    if any(v is True for v in sure):
        return True
    doubtful = any(v is UNKNOWN for v in sure) or any(truth(v) is not False for v in conditions.unsure)
    return UNKNOWN if doubtful else False


def all_of(items: Any) -> Any:
    conditions = as_items(items)
    sure = [truth(v) for v in conditions]
    if any(v is False for v in sure):
        return False
    doubtful = any(v is UNKNOWN for v in sure) or any(truth(v) is not True for v in conditions.unsure)
    return UNKNOWN if doubtful else True


def unique(items: Any) -> Any:
    given = as_items(items)
    sure = {_identity(v): v for v in reversed(given)}
    unsure = {_identity(v): v for v in reversed(given.unsure)}
    return Items(reversed(sure.values()), [v for i, v in reversed(unsure.items()) if i not in sure])


def _identity(value: Any) -> Any:
    """Equal for equal values of one type."""
    if isinstance(value, dict) and not isinstance(value, Rec):
        return ("object", tuple((key, _identity(v)) for key, v in sorted(value.items())))
    if isinstance(value, list | tuple):
        return ("list", tuple(_identity(v) for v in value))
    return (family(value), value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Undecidable(f"{family(value)} is not text")
    return value


def _number(value: Any) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Undecidable(f"{family(value)} is not a number")
    return value


def _in_units(unit: timedelta) -> Callable[[Any], timedelta]:
    return lambda amount: duration_of(_number(amount), unit)


_AMOUNT = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,20})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def money(amount: Any, currency: Any) -> Any:
    """What is no amount or no ISO 4217 currency came and cannot be read."""
    written = amount if isinstance(amount, str) else format(Decimal(_number(amount)), "f")
    if not _AMOUNT.fullmatch(written) or not _CURRENCY.fullmatch(_text(currency)):
        return Unreadable(f"{written} {currency}")
    return Money(Decimal(written), currency)


def date_in(timestamp: Any, zone: tzinfo) -> Any:
    return _timestamp(timestamp).astimezone(zone).date()


def add_working(timestamp: Any, duration: Any, calendar: Any) -> datetime:
    if not isinstance(duration, timedelta | WorkingDuration):
        raise Undecidable(f"{family(duration)} is not a duration")
    return _calendar(calendar).add(_timestamp(timestamp), duration)


def working_days_between(start: Any, end: Any, calendar: Any) -> int:
    return _calendar(calendar).working_days_between(_timestamp(start), _timestamp(end))


def _calendar(value: Any) -> Calendar:
    if not isinstance(value, Calendar):
        raise Undecidable(f"{family(value)} is not a calendar")
    return value


def _timestamp(value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Undecidable(f"{family(value)} is not a timestamp")
    return value


def found(text: Any, pattern: Any) -> bool:
    return pattern.search(_text(text)) is not None


def looked_up(codes: Mapping[str, str], value: Any) -> str | None:
    return codes.get(_text(value))


def in_table(table: Any, params: Any, *values: Any) -> Any:
    return table.under(params or {}).record(values)


# --- the table ------------------------------------------------------------------------------------------------------

_TEXT_TEST = _takes(TEXT, TEXT, gives=BOOLEAN)

FUNCTIONS: Mapping[str, Function] = {
    f.name: f
    for f in (
        Function(
            "exists",
            "exists(x)",
            "Whether x has come; of a list, whether it has an item. True of what came and cannot be read.",
            1,
            1,
            _anything(BOOLEAN),
            exists,
            gaps="seen",
        ),
        Function("missing", "missing(x)", "The opposite of exists.", 1, 1, _anything(BOOLEAN), missing, gaps="seen"),
        Function("default", "default(x, d)", "x, or d where x has not come.", 2, 2, _defaulted, default, gaps="seen"),
        Function("known", "known(list)", "The items that are sure and have come.", 1, 1, _same_list, known),
        Function("first", "first(list)", "Its first item; missing if it is empty.", 1, 1, _one_of_list, first),
        Function("last", "last(list)", "Its last item; missing if it is empty.", 1, 1, _one_of_list, last),
        Function("len", "len(list or text)", "How many items or characters it has.", 1, 1, _length, length),
        Function(
            "min",
            "min(list) or min(a, b, ...)",
            "The least; missing for an empty list, unknown while an item is.",
            1,
            8,
            _extreme,
            least,
            gaps="seen",
        ),
        Function(
            "max",
            "max(list) or max(a, b, ...)",
            "The greatest; missing for an empty list, unknown while an item is.",
            1,
            8,
            _extreme,
            greatest,
            gaps="seen",
        ),
        Function(
            "sum",
            "sum(list, currency?)",
            "The sum, unknown while an item is. Zero for an empty list; of money only if a currency is given.",
            1,
            2,
            _summed,
            total,
            special="zero",
        ),
        Function("any", "any(condition for x in list)", "Whether one holds.", 1, 1, _conditions, any_of, gaps="unknown"),
        Function("all", "all(condition for x in list)", "Whether every one holds.", 1, 1, _conditions, all_of, gaps="unknown"),
        Function("count", "count(list)", "How many items it has, unknown while an item is.", 1, 1, _counted, count),
        Function("unique", "unique(list)", "Each item once, where it first stood.", 1, 1, _same_list, unique),
        Function("lower", "lower(text)", "In small letters.", 1, 1, _takes(TEXT, gives=TEXT), lambda t: _text(t).lower()),
        Function("upper", "upper(text)", "In capitals.", 1, 1, _takes(TEXT, gives=TEXT), lambda t: _text(t).upper()),
        Function("strip", "strip(text)", "Without blanks around it.", 1, 1, _takes(TEXT, gives=TEXT), lambda t: _text(t).strip()),
        Function(
            "starts_with",
            "starts_with(text, start)",
            "Whether it starts with that.",
            2,
            2,
            _TEXT_TEST,
            lambda t, s: _text(t).startswith(_text(s)),
            gaps="unknown",
        ),
        Function(
            "ends_with",
            "ends_with(text, end)",
            "Whether it ends with that.",
            2,
            2,
            _TEXT_TEST,
            lambda t, s: _text(t).endswith(_text(s)),
            gaps="unknown",
        ),
        Function(
            "contains",
            "contains(text, part)",
            "Whether that is somewhere in it.",
            2,
            2,
            _TEXT_TEST,
            lambda t, s: _text(s) in _text(t),
            gaps="unknown",
        ),
        Function(
            "matches",
            'matches(text, "pattern")',
            "Whether the RE2 pattern is found somewhere in it; ^ and $ tie it to the ends. In linear time.",
            2,
            2,
            _TEXT_TEST,
            found,
            gaps="unknown",
            special="pattern",
        ),
        Function("money", "money(amount, currency)", "An amount in a currency.", 2, 2, _made_of_money, money),
        Function(
            "days", "days(n)", "That many times 24 hours.", 1, 1, _takes(NUMBER, gives=DURATION), _in_units(timedelta(days=1))
        ),
        Function("hours", "hours(n)", "That many hours.", 1, 1, _takes(NUMBER, gives=DURATION), _in_units(timedelta(hours=1))),
        Function(
            "minutes",
            "minutes(n)",
            "That many minutes.",
            1,
            1,
            _takes(NUMBER, gives=DURATION),
            _in_units(timedelta(minutes=1)),
        ),
        Function(
            "date",
            "date(timestamp)",
            "Its day, in the client's time zone.",
            1,
            1,
            _takes(TIMESTAMP, gives=DATE),
            date_in,
            special="zone",
        ),
        Function(
            "add_working",
            "add_working(timestamp, duration, calendar)",
            "That much later: a working duration by the calendar, an elapsed one as time passes. Earlier, if it is negative.",
            3,
            3,
            _counted_by_calendar(TIMESTAMP, PERIOD, gives=TIMESTAMP),
            add_working,
            special="calendar",
        ),
        Function(
            "working_days_between",
            "working_days_between(from, to, calendar)",
            "How many whole working days lie between; negative if the second is earlier.",
            3,
            3,
            _counted_by_calendar(TIMESTAMP, TIMESTAMP, gives=NUMBER),
            working_days_between,
            special="calendar",
        ),
        Function(
            "mapped",
            "mapped(role.action.parameter, value)",
            "The outside's code for our word; missing where there is none.",
            2,
            2,
            _takes(ANY, TEXT, gives=TEXT),
            looked_up,
            special="code",
        ),
        Function(
            "lookup",
            "lookup(table, input, ...)",
            "What a table gives for these inputs, in the order of its `given`: lookup(policy, order.channel, 3).refund_on.",
            1,
            40,
            _anything(ANY),
            in_table,
            gaps="seen",
            special="table",
        ),
    )
}
