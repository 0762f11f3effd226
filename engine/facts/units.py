"""The pieces of order lines, and on which line an article of the store can stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine.facts.assemble import Builder
from engine.facts.values import NONE, Rec, is_gap, listed

MOST_PIECES = 10_000  # of one line; also how many items an expression may visit
SOMETHING_ELSE = 2  # the customer is to get an exchange or store credit for a piece, not money
LAST = datetime.max.replace(tzinfo=UTC)  # sorts what has no time behind what has one


def time_of(value: Any) -> datetime:
    """For sorting: a time that is missing or unreadable comes last."""
    return value if isinstance(value, datetime) else LAST


def pieces_of(quantity: Any) -> int:
    """How many pieces a quantity is; none where it is not known or past all sense."""
    return int(quantity) if not is_gap(quantity) and 0 < quantity <= MOST_PIECES else 0


def otherwise(unit: Rec) -> int:
    """Whether the customer is to get something else for a returned piece than money: 0 no, 1 not known, 2 yes."""
    return min((something_else(returned) for returned in unit["rma_units"]), default=0)


def something_else(rma_unit: Rec) -> int:
    """The same of one piece of a return."""
    resolution = rma_unit["resolution"]
    return 1 if is_gap(resolution) else 0 if resolution == "refund" else SOMETHING_ELSE


def make_units(builder: Builder, line: Rec) -> list[Rec]:
    """`<line>#1..n` for a line of quantity n; none where the quantity is not known."""
    quantity = line["quantity"]
    count = pieces_of(quantity)
    line_id = line.key.rpartition("/")[2] if is_gap(line["id"]) else line["id"]
    units = []
    for number in range(1, count + 1):
        name = f"{line_id}#{number}"
        known = {
            "id": name,
            "number": number,
            "sku": line["sku"],
            "line": line,
            "rma_units": NONE,
            "store_refunds": NONE,
        }
        units.append(builder.blank("unit", name, known, line))
    return units


@dataclass(slots=True)
class Ties:
    """Which order lines an article of the store can stand on: by SKU, and where that is on several lines, by the store's line
    if no other has its quantity and price.
    """

    by_sku: Mapping[str, tuple[Rec, ...]]
    _fitted: dict[str, Mapping[str, Rec]] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Iterable[Rec]) -> Ties:
        return cls({sku: tuple(same) for sku, same in _by_sku(lines).items()})

    def lines(self, sku: Any, line_item: Any, sale: Any) -> tuple[Rec, ...]:
        """The order lines a piece may stand on: one if it is certain, all of its SKU if it is not, none if it fits nowhere."""
        found = self.by_sku.get(sku, ()) if isinstance(sku, str) else ()
        if len(found) == 1 or is_gap(line_item) or not isinstance(sale, Rec):
            return found
        if not found:
            found = self.by_sku.get(_sku_of(sale, line_item), ())
        if len(found) > 1:
            if sale.key not in self._fitted:
                self._fitted[sale.key] = self._fit(sale)
            only = self._fitted[sale.key].get(line_item)
            return found if only is None else (only,)
        return found

    def _fit(self, sale: Rec) -> dict[str, Rec]:
        fitted: dict[str, Rec] = {}
        for sku, sold in _by_sku(listed(sale["lines"])).items():
            lines = self.by_sku.get(sku, ())
            priced = not any(is_gap(rec["price"]) for rec in (*sold, *lines))
            ordered = _alike(lines, lambda line: line["price"] if priced else None)  # noqa: B023 - called at once
            bought = _alike(sold, lambda one: one["price"] * one["quantity"] if priced else None)  # noqa: B023
            for alike, same in bought.items():
                if len(same) == 1 and len(ordered.get(alike, ())) == 1:
                    fitted[same[0]["id"]] = ordered[alike][0]
        return fitted


def _by_sku(recs: Iterable[Rec]) -> dict[str, list[Rec]]:
    found: dict[str, list[Rec]] = {}
    for rec in recs:
        if isinstance(rec["sku"], str):
            found.setdefault(rec["sku"], []).append(rec)
    return found


def _alike(recs: Iterable[Rec], price_of: Callable[[Rec], Any]) -> dict[tuple[Any, Any], list[Rec]]:
    found: dict[tuple[Any, Any], list[Rec]] = {}
    for rec in recs:
        if not is_gap(rec["quantity"]):
            found.setdefault((rec["quantity"], price_of(rec)), []).append(rec)
    return found


def _sku_of(sale: Rec, line_item: str) -> str:
    return next((s["sku"] for s in listed(sale["lines"]) if s["id"] == line_item and isinstance(s["sku"], str)), "")
