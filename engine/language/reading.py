"""From what a payload holds to the declared type of a field: text, exact numbers, instants in UTC, listed enum values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from engine.facts.codec import describe, number, timestamp
from engine.facts.schema import Type
from engine.facts.values import Gap, Items, Money, Unreadable

Values = Mapping[str, Any]  # their text -> our value


class Misfit(Exception):  # noqa: N818 - it tells of the payload, not of a fault of ours
    """A payload does not hold what its mapping says; the event is set aside with this reason. `path` grows outwards."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def below(self, path: str) -> Misfit:
        """The same, seen from the holder of the field or item at `path`."""
        joined = path + self.path if self.path.startswith("[") or not self.path else f"{path}.{self.path}"
        return Misfit(self.reason, joined)

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


def read_value(value: Any, wanted: Type, *, values: Values | None = None, zone: ZoneInfo | None = None) -> Any:
    """The canonical value of type `wanted` for a payload's `value`; None where there is none.

    With `values`, their words are translated; one that is not listed is `Unreadable`. `zone` is that of timestamps that
    name none. Raises `Misfit` where the value is of another type.
    """
    if value is None or isinstance(value, Unreadable):
        return value
    if isinstance(value, Gap):
        return None
    if wanted.name == "list" and wanted.of is not None:
        return _list(value, wanted.of, values, zone)
    if values is not None:
        return _translated(value, values)
    if value == "" and wanted.name != "text":
        return None
    if wanted.name == "timestamp":
        return _timestamp(value, zone)
    if wanted.name == "enum":
        word = read_text(value)
        return word if word in wanted.values else Unreadable(word)
    return _READERS[wanted.name](value)


def read_text(value: Any) -> str:
    """Text; numbers, which many APIs use as ids, become text. Raises `Misfit`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Misfit(f"text is wanted, not {describe(value)}")
    return str(value) if isinstance(value, int) else f"{value:f}"


def read_key(value: Any) -> str | None:
    """The key of a record or item: text that is not empty, else None. Raises `Misfit`."""
    if value is None or isinstance(value, Gap):
        return None
    return read_text(value).strip() or None


def read_keys(value: Any) -> tuple[str, ...]:
    """The keys in a text or a list of texts, without the empty ones. Raises `Misfit`."""
    each = value if isinstance(value, list | tuple) else (value,)
    return tuple(key for key in map(read_key, each) if key is not None)


def read_version(value: Any, zone: ZoneInfo | None = None) -> str:
    """A version as text that sorts as it should: an instant in UTC, or a number padded with zeros. Raises `Misfit`."""
    if isinstance(value, bool) or value is None or isinstance(value, Gap) or value == "":
        raise Misfit("the version is missing")
    if isinstance(value, int | Decimal):
        return _padded(Decimal(value))
    if isinstance(value, str):
        try:
            return _padded(number(value))
        except ValueError:
            value = _timestamp(value, zone)
    if isinstance(value, datetime):
        return version_of(value)
    raise Misfit(f"a version is a timestamp or a number, not {describe(value)}")


def version_of(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _padded(value: Decimal) -> str:
    if value < 0:
        raise Misfit(f"a version cannot be negative, as {value} is")
    whole, _, decimals = f"{value:f}".partition(".")
    return whole.zfill(40) + (f".{decimals.rstrip('0')}" if decimals.strip("0") else "")


def _list(value: Any, element: Type, values: Values | None, zone: ZoneInfo | None) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise Misfit(f"a list is wanted, not {describe(value)}")
    if isinstance(value, Items) and value.unsure:
        raise Misfit("it cannot be told which items belong to the list: a value its filter reads is missing")
    read: list[Any] = []
    for position, each in enumerate(value):
        try:
            one = read_value(each, element, values=values, zone=zone)
        except Misfit as misfit:
            raise misfit.below(f"[{position}]") from None
        if one is not None:
            read.append(one)
    return tuple(read)


def _translated(value: Any, values: Values) -> Any:
    theirs = str(value).lower() if isinstance(value, bool) else read_text(value)
    if theirs in values:
        return values[theirs]
    return Unreadable(theirs) if theirs else None


def _number(value: Any) -> int | Decimal:
    if isinstance(value, str):
        try:
            value = number(value)
        except ValueError as error:
            raise Misfit(str(error)) from None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Misfit(f"a number is wanted, not {describe(value)}")
    return int(value) if value == int(value) else value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal) and value in (0, 1):
        return bool(value)
    raise Misfit(f"true or false is wanted, not {describe(value)}")


def _money(value: Any) -> Money:
    if isinstance(value, Money):
        return value
    raise Misfit(f"an amount of money is wanted, as made by money(amount, currency), not {describe(value)}")


def _timestamp(value: Any, zone: ZoneInfo | None) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise Misfit(f"a timestamp is wanted, not {describe(value)}")
    try:
        return timestamp(value)
    except ValueError as error:
        moment = _zoneless(value)
        if moment is None or zone is None:
            raise Misfit(str(error)) from None
    try:
        return moment.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:
        raise Misfit(f"{value!r} is out of range") from None


def _zoneless(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo is None else None


def _date(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(read_text(value)[:10])
    except ValueError:
        raise Misfit(f"{value!r} is not a date like 2026-11-01") from None


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "text": read_text,
    "number": _number,
    "boolean": _boolean,
    "money": _money,
    "date": _date,
}
