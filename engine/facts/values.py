"""The values rules see: money, lists with unsure items, and the three ways a value can be absent.

Python types at run time: text and enums `str`, number `int | Decimal` (never float), boolean `bool`,
money `Money`, timestamp aware `datetime` in UTC, date `date`, duration `timedelta`, working duration
`WorkingDuration`, list `Items`, record `Rec`; absent values are `None` (has not come), `UNKNOWN` and `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self


class Gap:
    """A value that is not there to compare with, though it is not simply missing."""

    __slots__ = ()


class Unknown(Gap):
    """What cannot be computed yet, such as the sum over a list with an unsure item."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __reduce__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()
MISSING = None  # a fact that has not come; the name is for readers


@dataclass(frozen=True, slots=True)
class Unreadable(Gap):
    """A value that came but means nothing to us, such as an unlisted enum value. `raw` is its text."""

    raw: str


def moved(instant: datetime, by: timedelta) -> datetime:
    """`instant` so much later (or earlier); the end of time where there is no such instant any more."""
    try:
        return instant + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if by > timedelta(0) else datetime.min.replace(tzinfo=UTC)


def is_gap(value: object) -> bool:
    """True where there is no value: missing, unknown or unreadable."""
    return value is None or isinstance(value, Gap)


class CurrencyMismatch(ValueError):  # noqa: N818
    """Amounts of two currencies were mixed."""


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount with its ISO 4217 currency. Mixing currencies raises `CurrencyMismatch`."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            if isinstance(self.amount, bool) or not isinstance(self.amount, int):
                raise TypeError(f"money needs a Decimal amount, not {type(self.amount).__name__}")
            object.__setattr__(self, "amount", Decimal(self.amount))

    @classmethod
    def of(cls, amount: str | int | Decimal, currency: str) -> Self:
        return cls(Decimal(amount), currency)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not mix")

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __mul__(self, factor: int | Decimal) -> Money:
        return Money(self.amount * factor, self.currency)

    __rmul__ = __mul__

    def __truediv__(self, by: int | Decimal | Money) -> Any:
        if isinstance(by, Money):
            self._same(by)
            return self.amount / by.amount
        return Money(self.amount / by, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.amount == other.amount and self.currency == other.currency

    def __hash__(self) -> int:
        return hash((self.amount, self.currency))

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount < other.amount

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.amount <= other.amount

    def __gt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount > other.amount

    def __ge__(self, other: Money) -> bool:
        self._same(other)
        return self.amount >= other.amount

    def __bool__(self) -> bool:
        return bool(self.amount)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"


class UnitMismatch(ValueError):  # noqa: N818
    """Working days and working hours were mixed: how many hours a day has depends on the calendar and on the day."""


@dataclass(frozen=True, slots=True)
class WorkingDuration:
    """Time by a business calendar: whole working days (`int`), or time within working hours (`timedelta`,
    whole minutes).

    It neither mixes nor compares with an elapsed duration. Mixing days and hours raises `UnitMismatch`.
    """

    length: int | timedelta

    def _same(self, other: WorkingDuration) -> tuple[Any, Any]:
        if isinstance(self.length, int) is not isinstance(other.length, int):
            raise UnitMismatch(f"{self} and {other} are counted in different units: hours make no days without a calendar")
        return self.length, other.length

    def __add__(self, other: WorkingDuration) -> WorkingDuration:
        mine, others = self._same(other)
        return WorkingDuration(mine + others)

    def __sub__(self, other: WorkingDuration) -> WorkingDuration:
        return self + -other

    def __neg__(self) -> WorkingDuration:
        return WorkingDuration(-self.length)

    def __lt__(self, other: WorkingDuration) -> bool:
        mine, others = self._same(other)
        return bool(mine < others)

    def __le__(self, other: WorkingDuration) -> bool:
        return not other < self

    def __gt__(self, other: WorkingDuration) -> bool:
        return other < self

    def __ge__(self, other: WorkingDuration) -> bool:
        return not self < other

    def equals(self, other: WorkingDuration) -> bool:
        """Whether they are as long; unlike `==` it raises where that cannot be said."""
        mine, others = self._same(other)
        return bool(mine == others)

    def __str__(self) -> str:
        """As an author writes it: `1 working day`, `4 working hours`, `90 working minutes`."""
        if isinstance(self.length, int):
            return _counted(self.length, "day")
        hours, rest = divmod(self.length, timedelta(hours=1))
        return _counted(self.length // timedelta(minutes=1), "minute") if rest else _counted(hours, "hour")


def _counted(count: int, unit: str) -> str:
    return f"{count} working {unit}{'' if abs(count) == 1 else 's'}"


class Items(tuple[Any, ...]):  # noqa: SLOT001 - a tuple of variable length cannot have slots with values
    """A list of facts: the tuple holds the sure items, `unsure` those whose filter could not be decided."""

    unsure: tuple[Any, ...] = ()

    def __new__(cls, sure: Iterable[Any] = (), unsure: Iterable[Any] = ()) -> Self:
        items = super().__new__(cls, sure)
        if unsure:  # seldom: most lists do with that of the class
            items.unsure = tuple(unsure)
        return items

    def __eq__(self, other: object) -> bool:
        return tuple.__eq__(self, other) is True and self.unsure == getattr(other, "unsure", ())

    def __ne__(self, other: object) -> bool:
        return not self.__eq__(other)

    def __hash__(self) -> int:
        return hash((tuple(self), self.unsure))

    def every(self) -> Iterator[Any]:
        """Sure and unsure items, in that order."""
        yield from self
        yield from self.unsure


NONE = Items()  # the empty list; immutable, so one is enough


def listed(value: Any) -> tuple[Any, ...]:
    """The items of a list; none where the list itself is missing or could not be read."""
    return value if isinstance(value, tuple) else ()


class Rec(dict[str, Any]):
    """One record or list item as rules see it: every declared field and relation is a key, missing ones are `None`.

    Two are equal when they are the same thing (kind and key), so that cyclic relations can be compared.
    Filled while facts are derived and not changed after that.
    """

    __slots__ = ("key", "kind", "parent")

    def __init__(self, kind: str, key: str, fields: Mapping[str, Any], parent: Rec | None = None) -> None:
        super().__init__(fields)
        self.kind = kind
        self.key = key
        self.parent = parent  # the record (or item) whose list it stands in

    @property
    def item(self) -> str:
        """How memory, traces and exceptions name it: `rma:1001`, `refund:order:A/line:1/refund:7`."""
        return f"{self.kind}:{self.key}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rec) and self.kind == other.kind and self.key == other.key

    def __ne__(self, other: object) -> bool:
        return not self.__eq__(other)

    def __hash__(self) -> int:  # type: ignore[override]  # identity is kind and key, not content
        return hash((self.kind, self.key))

    def __repr__(self) -> str:
        return f"<{self.item}>"
