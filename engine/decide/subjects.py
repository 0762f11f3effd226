"""What a record stands for when an action or a veto names it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.facts.values import Items, Rec, is_gap


def units_of(rec: Rec) -> tuple[Rec, ...]:
    """The order-line units a record means: a unit itself, an RMA unit's piece, the units of a refund, an RMA or an effect."""
    if rec.kind == "unit":
        return (rec,)
    one = rec.get("unit")
    if isinstance(one, Rec):
        return (one,)
    found: dict[str, Rec] = {}
    many = rec.get("units")
    if isinstance(many, tuple):
        for each in many:
            if isinstance(each, Rec):
                for unit in units_of(each):
                    found.setdefault(unit.key, unit)
    if rec.kind == "order":
        return tuple(found.values())
    if rec.kind in {"parcel", "receipt"} and isinstance(rma := rec.get("rma"), Rec):
        return units_of(rma)
    return tuple(found.values())


def lineage(rec: Rec) -> Iterator[Rec]:
    """The record and everything that holds it."""
    above: Rec | None = rec
    while above is not None:
        yield above
        above = above.parent


def given_parameter(value: Any) -> Any:
    """A parameter as the outside is given it: a record as a mapping of its own scalar fields, its key and what holds it."""
    if isinstance(value, Rec):
        return _described(value)
    if isinstance(value, Items):
        return tuple(given_parameter(v) for v in value)
    return _stable(value)


def _stable(value: Any) -> Any:
    """A scalar in the form it also has when it is read back from memory."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else f"{value:f}"
    return value


def _scalars(rec: Rec) -> dict[str, Any]:
    return {k: _stable(v) for k, v in rec.items() if not is_gap(v) and not isinstance(v, Rec | Items)} | {"key": rec.key}


def _described(rec: Rec) -> Mapping[str, Any]:
    described = _scalars(rec)
    for name, value in rec.items():
        if isinstance(value, Items) and name.endswith("taxes"):
            described[name] = tuple({"code": tax["code"], "amount": tax["amount"]} for tax in value)
    if rec.kind == "shipment":
        counted = Counter(u["sku"] for u in rec.get("units") or () if isinstance(u["sku"], str))
        described["lines"] = tuple({"sku": sku, "quantity": n} for sku, n in sorted(counted.items()))
    if rec.parent is not None:
        described["parent"] = _scalars(rec.parent)
    return described
