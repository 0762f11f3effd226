"""Canonical values as JSON and back: what the store keeps, what `instep decide` reads, what `--json` shows.

Text is a string, a working duration `5 working days`; a number a JSON integer or, where it has decimals, a string; money is
`{"amount": "12.50", "currency": "EUR"}`, a timestamp ISO 8601 with `Z`, a list a list, a value that could not be read
`{"unreadable": "its text"}`. What is missing is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from engine.facts.schema import Kind, Type, Vocabulary
from engine.facts.values import Items, Money, Rec, Unknown, Unreadable, WorkingDuration
from engine.problems import did_you_mean


class CannotRead(ValueError):  # noqa: N818 - named for what it tells
    """JSON that does not stand for a declared value; names its path."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")


MAX_DIGITS = 60  # either side of the point: far past any amount, and small enough to compute with


def loads(text: bytes | str) -> Any:
    """JSON in UTF-8 with exact decimals. Raises ValueError for anything else, also for text that no store could keep."""
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")  # json itself lets halves of surrogate pairs through
    try:
        value = json.loads(text, parse_float=number, parse_constant=_not_a_number)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if _may_hold_half_a_pair(text):
        json.dumps(value, ensure_ascii=False, default=str).encode()
    return value


def dumps(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no blanks, plain ASCII. Takes anything `encode` takes."""
    return json.dumps(encode(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def encode(value: Any) -> Any:
    """A JSON-able form of any canonical value. A record becomes its item id; unsure items of a list are left out."""
    match value:
        case None | bool() | int() | str():
            return value
        case Decimal():
            return _plain(value)
        case Money():
            return {"amount": f"{value.amount:f}", "currency": value.currency}
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case timedelta():
            return _iso_duration(value)
        case WorkingDuration():
            return str(value)
        case Unreadable():
            return {"unreadable": value.raw}
        case Unknown():
            return {"unknown": True}
        case Rec():
            return value.item
        case Mapping():
            return {_text_key(key): encode(each) for key, each in value.items()}
        case list() | tuple():
            return [encode(each) for each in value]
        case set() | frozenset():
            return sorted((encode(each) for each in value), key=str)
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r}")


def encode_fields(vocabulary: Vocabulary, kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Canonical fields of a record or item as JSON; what is missing is left out. `decode_fields` gives them back."""
    for name in fields:
        _declared(vocabulary[kind], name, f"{kind}.{name}")
    return {name: _encode_nested(value) for name, value in fields.items() if value is not None}


def decode_fields(vocabulary: Vocabulary, kind: str, given: Any) -> dict[str, Any]:
    """The canonical fields that JSON stands for. An enum's text that is not listed becomes `Unreadable`.

    Raises ValueError naming the path of what cannot be read: `order.lines[0].price: ...`.
    """
    if kind not in vocabulary:
        raise CannotRead(kind, f"there is no such kind of record{did_you_mean(kind, vocabulary.kinds)}")
    return _decode_record(vocabulary, vocabulary[kind], given, kind)


def number(text: str) -> Decimal:
    """An exact number of at most `MAX_DIGITS` digits either side of the point. Raises ValueError."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
    return _bounded(value)


def timestamp(text: str) -> datetime:
    """An instant from ISO 8601 text with its zone, in UTC. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a timestamp like 2026-11-01T09:30:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write 2026-11-01T09:30:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None


def _decode_record(vocabulary: Vocabulary, kind: Kind, given: Any, path: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise CannotRead(path, f"fields by name are wanted, not {describe(given)}")
    fields: dict[str, Any] = {}
    for name, value in given.items():
        where = f"{path}.{name}"
        wanted = _declared(kind, name, where)
        if value is not None:
            fields[name] = _decode(vocabulary, wanted, value, where)
    return fields


def _declared(kind: Kind, name: str, path: str) -> Type:
    spec = kind.fields.get(name)
    mapped = {field.name for field in kind.fields.values() if not field.computed}
    if spec is None:
        raise CannotRead(path, f"{kind.name} has no such field{did_you_mean(name, mapped)}")
    if spec.computed:
        raise CannotRead(path, "is worked out from other facts and cannot be given")
    return spec.type


def _decode(vocabulary: Vocabulary, wanted: Type, value: Any, path: str) -> Any:
    if isinstance(value, Mapping) and value.keys() == {"unreadable"}:
        return Unreadable(_text(value["unreadable"], path))
    if wanted.name == "list" and wanted.of is not None:
        return _decode_list(vocabulary, wanted.of, value, path)
    if wanted.name == "enum":
        text = _text(value, path)
        return text if text in wanted.values else Unreadable(text)
    try:
        return _SCALARS[wanted.name](value, path)
    except KeyError:
        raise CannotRead(path, f"{wanted} cannot be given") from None


def _decode_list(vocabulary: Vocabulary, element: Type, value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise CannotRead(path, f"a list is wanted, not {describe(value)}")
    if element.name != "record":
        return tuple(_decode(vocabulary, element, each, f"{path}[{n}]") for n, each in enumerate(value))
    kind = vocabulary[element.kind]
    items = tuple(_decode_record(vocabulary, kind, each, f"{path}[{n}]") for n, each in enumerate(value))
    seen: set[str] = set()
    for n, item in enumerate(items):
        key = item.get(kind.key)
        if not isinstance(key, str) or not key:
            raise CannotRead(f"{path}[{n}]", f"needs its key, {kind.key}")
        if key in seen:
            raise CannotRead(f"{path}[{n}].{kind.key}", f"{key!r} is there twice")
        seen.add(key)
    return items


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise CannotRead(path, f"text is wanted, not {describe(value)}")
    return value


def _boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise CannotRead(path, f"true or false is wanted, not {describe(value)}")
    return value


def _number(value: Any, path: str) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise CannotRead(path, f"a number is wanted, not {describe(value)}")
    try:
        return _integral(number(value) if isinstance(value, str) else _bounded(Decimal(value)))
    except ValueError as error:
        raise CannotRead(path, str(error)) from None


def _money(value: Any, path: str) -> Money:
    if not isinstance(value, Mapping) or value.keys() != {"amount", "currency"}:
        raise CannotRead(path, f'money is wanted, like {{"amount": "12.50", "currency": "EUR"}}, not {describe(value)}')
    currency = _text(value["currency"], f"{path}.currency")
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise CannotRead(f"{path}.currency", f"{currency!r} is not an ISO 4217 code")
    return Money(Decimal(_number(value["amount"], f"{path}.amount")), currency)


def _timestamp(value: Any, path: str) -> datetime:
    text = _text(value, path)
    try:
        return timestamp(text)
    except ValueError as error:
        raise CannotRead(path, str(error)) from None


def _date(value: Any, path: str) -> date:
    try:
        return date.fromisoformat(_text(value, path))
    except ValueError:
        raise CannotRead(path, f"{value!r} is not a date like 2026-11-01") from None


_SCALARS: Mapping[str, Callable[[Any, str], Any]] = {
    "text": _text,
    "boolean": _boolean,
    "number": _number,
    "money": _money,
    "timestamp": _timestamp,
    "date": _date,
}


def describe(value: Any) -> str:
    """What a value is, in an author's words, for a message that wanted something else."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {value[:40]!r}"
        case int() | Decimal():
            return f"the number {str(value)[:40]}"
        case Mapping():
            return "a group of fields"
        case list() | tuple():
            return "a list"
    return type(value).__name__


def _encode_nested(value: Any) -> Any:
    """As `encode`, with what is missing left out of items."""
    if isinstance(value, Items | tuple | list):
        return [_encode_nested(each) for each in value]
    if isinstance(value, Mapping) and not isinstance(value, Rec):
        return {name: _encode_nested(each) for name, each in value.items() if each is not None}
    return encode(value)


def _plain(value: Decimal) -> int | str:
    whole = _integral(_bounded(value))
    return whole if isinstance(whole, int) else f"{whole:f}"


def _integral(value: Decimal) -> int | Decimal:
    return int(value) if value == value.to_integral_value() else value


def _bounded(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError(f"{value} is not a number")
    exponent = value.as_tuple().exponent
    if value.adjusted() >= MAX_DIGITS or not isinstance(exponent, int) or -exponent > MAX_DIGITS:
        raise ValueError(f"{str(value)[:40]} has more digits than any amount")
    return value


def _not_a_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


def _iso_duration(value: timedelta) -> str:
    sign = "-" if value < timedelta(0) else ""
    seconds, micro = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
    fraction = f".{micro:06d}".rstrip("0") if micro else ""
    return f"{sign}PT{seconds}{fraction}S"


def _text_key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a JSON object is keyed by text, not {type(key).__name__}: {key!r}")
    return key


def _may_hold_half_a_pair(text: bytes | str) -> bool:
    r"""Whether an escape like `\ud800` is in it: half of a surrogate pair is no character, and no store keeps it."""
    if isinstance(text, str):
        return "\\u" in text or not text.isascii()
    return b"\\u" in text
