"""What operators do to values that are there, and to gaps. The compiled forms and the walker share it.

Over gaps: with any operand unknown or unreadable the outcome is unknown, else with any missing it is missing; a comparison
with any gap is unknown. What cannot be computed (a division by zero, two currencies) raises, and the walker makes it unknown
with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from operator import ge, gt, le, lt
from types import NoneType
from typing import Any

from engine.facts.values import UNKNOWN, CurrencyMismatch, Gap, Items, Money, Rec, WorkingDuration

ABSENT = (NoneType, Gap)
_TRAPS = [InvalidOperation, DivisionByZero, Overflow]
EXACT = Context(prec=60, Emax=9999, Emin=-9999, traps=_TRAPS)  # sums and products of money never come near 60 digits
QUOTIENT = Context(prec=28, Emax=9999, Emin=-9999, traps=_TRAPS)  # Python's own precision
_MICROSECOND = timedelta(microseconds=1)
Number = int | Decimal


class Undecidable(ValueError):  # noqa: N818 - not a fault of the program: the value is unknown, and this is why
    """Why a value cannot be computed, as a sentence for people."""


def lacking(*values: Any) -> Any:
    """The outcome of an operation over operands of which at least one is a gap."""
    return UNKNOWN if any(isinstance(v, Gap) for v in values) else None


def family(value: Any) -> str:
    """The type a value has at run time, for payloads and messages."""
    for classes, name in _FAMILIES:
        if isinstance(value, classes):
            return name
    return type(value).__name__


_FAMILIES: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bool,), "boolean"),
    ((int, Decimal), "number"),
    ((str,), "text"),
    ((Money,), "money"),
    ((datetime,), "timestamp"),
    ((date,), "date"),
    ((timedelta,), "duration"),
    ((WorkingDuration,), "working duration"),
    ((Rec,), "record"),
    ((tuple, list), "list"),
    ((dict,), "object"),
    (ABSENT, "nothing"),
)


_WITHOUT_ORDER = frozenset({"boolean", "record", "list", "object"})


def as_items(value: Any) -> Any:
    """Any list as `Items`: a payload's, a parameter's. Gaps stay what they are; what is no list is unknown."""
    if isinstance(value, Items):
        return value
    if isinstance(value, (list, tuple)):
        return Items(value)
    if isinstance(value, ABSENT):
        return lacking(value)
    raise Undecidable(f"{family(value)} is not a list")


def truth(value: Any) -> Any:
    """True, False or UNKNOWN: a value as a condition."""
    if value is True or value is False:
        return value
    if isinstance(value, Items):
        return True if len(value) else UNKNOWN if value.unsure else False
    if isinstance(value, (list, tuple)):
        return bool(value)
    return UNKNOWN


def negate(value: Any) -> Any:
    return False if value is True else True if value is False else UNKNOWN


def agree(left: Any, right: Any) -> Any:
    """What a choice is whose condition is unknown: its branches' value if they have the same."""
    if isinstance(left, ABSENT) or isinstance(right, ABSENT):
        return None if left is None and right is None else UNKNOWN
    return left if equal(left, right) is True else UNKNOWN


def choose(condition: Any, yes: Any, no: Any) -> Any:
    return yes if condition is True else no if condition is False else agree(yes, no)


_PLAIN = frozenset({str, bool, int, Decimal, datetime, date, timedelta, Rec})  # Python's == is ours

# --- comparison -----------------------------------------------------------------------------------------------------


def equal(left: Any, right: Any) -> Any:
    """True, False or UNKNOWN."""
    if isinstance(left, ABSENT) or isinstance(right, ABSENT):
        return UNKNOWN
    if left.__class__ is right.__class__ and left.__class__ in _PLAIN:
        return left == right
    if isinstance(left, (tuple, list)) and isinstance(right, (tuple, list)):
        return _equal_lists(as_items(left), as_items(right))
    if isinstance(left, Money) and isinstance(right, Money):
        _one_currency(left, right)
        return left.amount == right.amount
    if isinstance(left, WorkingDuration) and isinstance(right, WorkingDuration):
        return left.equals(right)
    if family(left) != family(right):
        raise Undecidable(f"{family(left)} and {family(right)} do not compare")
    return bool(left == right)


def _equal_lists(left: Items, right: Items) -> Any:
    if left.unsure or right.unsure:
        return UNKNOWN
    if len(left) != len(right):
        return False
    outcomes = [equal(a, b) for a, b in zip(left, right, strict=True)]
    if any(o is False for o in outcomes):
        return False
    return True if all(o is True for o in outcomes) else UNKNOWN


def unequal(left: Any, right: Any) -> Any:
    return negate(equal(left, right))


def _ordered(order: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compared(left: Any, right: Any) -> Any:
        if isinstance(left, ABSENT) or isinstance(right, ABSENT):
            return UNKNOWN
        if isinstance(left, Money) and isinstance(right, Money):
            _one_currency(left, right)
            return order(left.amount, right.amount)
        if family(left) != family(right) or family(left) in _WITHOUT_ORDER:
            raise Undecidable(f"{family(left)} and {family(right)} have no order")
        return order(left, right)

    return compared


def member(item: Any, container: Any) -> Any:
    """Whether `item` is in a list: unknown where only an unsure or absent element could be it."""
    items = as_items(container)
    if isinstance(item, ABSENT) or isinstance(items, ABSENT):
        return UNKNOWN
    outcomes = [_perhaps_equal(item, element) for element in items]
    if any(o is True for o in outcomes):
        return True
    doubtful = any(o is UNKNOWN for o in outcomes) or any(_perhaps_equal(item, e) is not False for e in items.unsure)
    return UNKNOWN if doubtful else False


def _perhaps_equal(left: Any, right: Any) -> Any:
    try:
        return equal(left, right)
    except ValueError:  # they do not compare
        return UNKNOWN


def not_member(item: Any, container: Any) -> Any:
    return negate(member(item, container))


COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": equal,
    "!=": unequal,
    "<": _ordered(lt),
    "<=": _ordered(le),
    ">": _ordered(gt),
    ">=": _ordered(ge),
    "in": member,
    "not in": not_member,
}


# --- arithmetic -----------------------------------------------------------------------------------------------------


def _one_currency(left: Money, right: Money) -> None:
    if left.currency != right.currency:
        raise CurrencyMismatch(f"{left.currency} and {right.currency} do not mix")


def micros(duration: timedelta) -> int:
    return duration // _MICROSECOND


def duration_of(amount: Number, unit: timedelta) -> timedelta:
    """`amount` units, to the microsecond."""
    exact = EXACT.multiply(Decimal(amount), Decimal(micros(unit)))
    return timedelta(microseconds=int(exact.quantize(Decimal(1), ROUND_HALF_EVEN, EXACT)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal)) and value is not True and value is not False


def _sum_of_numbers(left: Number, right: Number) -> Number:
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    return EXACT.add(Decimal(left), Decimal(right))


def add(left: Any, right: Any) -> Any:
    if _is_number(left) and _is_number(right):
        return _sum_of_numbers(left, right)
    if isinstance(left, Money) and isinstance(right, Money):
        _one_currency(left, right)
        return Money(EXACT.add(left.amount, right.amount), left.currency)
    if isinstance(left, (tuple, list)) and isinstance(right, (tuple, list)):
        first, second = as_items(left), as_items(right)
        return Items((*first, *second), (*first.unsure, *second.unsure))
    pair = (family(left), family(right))
    if pair in _ADDABLE:
        return left + right
    raise Undecidable(f"{pair[0]} and {pair[1]} do not add")


_ADDABLE = frozenset(
    {
        ("text", "text"),
        ("timestamp", "duration"),
        ("duration", "timestamp"),
        ("duration", "duration"),
        ("working duration", "working duration"),
    },
)
_SUBTRACTABLE = frozenset(
    {
        ("timestamp", "timestamp"),
        ("timestamp", "duration"),
        ("duration", "duration"),
        ("date", "date"),
        ("working duration", "working duration"),
    },
)


def subtract(left: Any, right: Any) -> Any:
    if _is_number(left) and _is_number(right):
        return _sum_of_numbers(left, -right)
    if isinstance(left, Money) and isinstance(right, Money):
        _one_currency(left, right)
        return Money(EXACT.subtract(left.amount, right.amount), left.currency)
    pair = (family(left), family(right))
    if pair in _SUBTRACTABLE:
        return left - right
    raise Undecidable(f"{pair[1]} cannot be taken from {pair[0]}")


def multiply(left: Any, right: Any) -> Any:
    if _is_number(left) and _is_number(right):
        if isinstance(left, int) and isinstance(right, int):
            return _bounded(left * right)
        return EXACT.multiply(Decimal(left), Decimal(right))
    for one, other in ((left, right), (right, left)):
        if _is_number(other) and isinstance(one, Money):
            return Money(EXACT.multiply(one.amount, Decimal(other)), one.currency)
        if _is_number(other) and isinstance(one, timedelta):
            return duration_of(other, one)
    raise Undecidable(f"{family(left)} and {family(right)} do not multiply")


def _bounded(number: int) -> int:
    """Whole numbers stay short enough to be written down."""
    if number.bit_length() > 4096:
        raise Undecidable("the number is too large")
    return number


def divide(left: Any, right: Any) -> Any:
    if isinstance(left, Money) and isinstance(right, Money):
        _one_currency(left, right)
        return _quotient(left.amount, right.amount)
    if isinstance(left, timedelta) and isinstance(right, timedelta):
        return _quotient(micros(left), micros(right))
    if _is_number(right):
        if _is_number(left):
            return _quotient(left, right)
        if isinstance(left, Money):
            return Money(_quotient(left.amount, right), left.currency)
        if isinstance(left, timedelta):
            return duration_of(_quotient(Decimal(micros(left)), right), _MICROSECOND)
    raise Undecidable(f"{family(left)} cannot be divided by {family(right)}")


def _quotient(left: Number, right: Number) -> Decimal:
    if not right:
        raise Undecidable("division by zero")
    return QUOTIENT.divide(Decimal(left), Decimal(right))


def minus(value: Any) -> Any:
    """`-value`, a gap for a gap."""
    if isinstance(value, ABSENT):
        return lacking(value)
    if isinstance(value, Money):
        return Money(-value.amount, value.currency)
    if _is_number(value) or isinstance(value, timedelta | WorkingDuration):
        return -value
    raise Undecidable(f"{family(value)} has no negative")


def _over_gaps(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def operated(left: Any, right: Any) -> Any:
        if isinstance(left, ABSENT) or isinstance(right, ABSENT):
            return lacking(left, right)
        return operate(left, right)

    return operated


ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": _over_gaps(add),
    "-": _over_gaps(subtract),
    "*": _over_gaps(multiply),
    "/": _over_gaps(divide),
}
