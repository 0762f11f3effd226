"""Values as people read them: in titles, traces and reasons."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.facts.values import Items, Money, Rec, Unreadable, is_gap
from engine.language.durations import show_duration

# ISO 4217: currencies without a smaller unit.
_WHOLE = frozenset({
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF",
})  # fmt: skip


def show(value: Any) -> str:
    """`12.50 EUR`, `2026-11-03T09:30Z`, `SKU-1, SKU-2`. What is missing is `(missing)`; unsure items end in `?`."""
    if value is None:
        return "(missing)"
    if isinstance(value, Unreadable):
        return f"(unreadable: {value.raw})"
    if is_gap(value):
        return "(unknown)"
    if isinstance(value, Rec):
        return value.key.rsplit("/", 1)[-1]
    if isinstance(value, Items):
        return ", ".join([*(show(v) for v in value), *(f"{show(v)}?" for v in value.unsure)]) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(show(v) for v in value) or "none"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {show(v)}" for k, v in value.items()) + "}"
    return _scalar(value)


def counted(value: Any) -> str:
    """The same, but a list of records says how many of what there are: `2 units (9012, 9013)`."""
    if not isinstance(value, Items) or not all(isinstance(v, Rec) for v in value.every()):
        return show(value)
    many = len(list(value.every()))
    if not many:
        return show(value)
    noun = next(iter(value.every())).kind.rsplit("_", 1)[-1]
    return f"{many} {noun}{'' if many == 1 else 's'} ({show(value)})"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Money):
        return f"{_amount(value)} {value.currency}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%MZ") if not value.second else value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return show_duration(value)
    return str(value)  # a working duration is written as authors write it


def _amount(money: Money) -> str:
    """The exact amount, with at least the cents it is usually written with."""
    written = f"{money.amount:f}"
    if money.currency in _WHOLE:
        return written
    whole, _, cents = written.partition(".")
    return f"{whole}.{cents:0<2}"
