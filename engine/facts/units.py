"""The pieces of order lines, and on which line an article of the store can stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine.facts.assemble import Builder
from engine.facts.values import Items, Rec, is_gap

MOST_PIECES = 10_000  # of one line; also how many items an expression may visit
LAST = datetime.max.replace(tzinfo=UTC)  # sorts what has no time behind what has one


def time_of(value: Any) -> datetime:
    """For sorting: a time that is missing or unreadable comes last."""
    return value if isinstance(value, datetime) else LAST


def pieces_of(quantity: Any) -> int:
    """How many pieces a quantity is; none where it is not known or past all sense."""
    return int(quantity) if not is_gap(quantity) and 0 < quantity <= MOST_PIECES else 0


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
            "rma_units": Items(),
            "store_refunds": Items(),
        }
        units.append(builder.blank("unit", name, known, line))
    return units


@dataclass(slots=True)
class Ties:
    """Which order lines an article of the store can stand on: by SKU, and where that is on several lines, by the store's line
    if exactly one of them has its quantity and price.
    """

    by_sku: Mapping[str, Sequence[Rec]]
    _fitted: dict[str, Mapping[str, Rec]] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Iterable[Rec]) -> Ties:
        by_sku: dict[str, list[Rec]] = {}
        for line in lines:
            if not is_gap(line["sku"]):
                by_sku.setdefault(line["sku"], []).append(line)
        return cls(by_sku)

    def lines(self, sku: Any, line_item: Any, sale: Rec | None) -> tuple[Rec, ...]:
        """The order lines a piece may stand on: one if it is certain, several if it is not, none if it fits nowhere."""
        found = self.by_sku.get(sku, ()) if isinstance(sku, str) else ()
        if (found and len(found) == 1) or is_gap(line_item) or sale is None:
            return tuple(found)
        if not found:
            found = self.by_sku.get(_sku_of(sale, line_item), ())
        if len(found) > 1:
            fitted = self._fitted.get(sale.key)
            if fitted is None:
                fitted = self._fitted[sale.key] = self._fit(sale)
            if line_item in fitted:
                return (fitted[line_item],)
        return tuple(found)

    def _fit(self, sale: Rec) -> dict[str, Rec]:
        fits: dict[str, list[Rec]] = {}
        for sold in sale["lines"] or ():
            lines = self.by_sku.get(sold["sku"], ()) if isinstance(sold["sku"], str) else ()
            fits[sold["id"]] = [line for line in lines if _alike(sold, line)]
        taken: dict[str, int] = {}
        for lines in fits.values():
            for line in lines:
                taken[line.key] = taken.get(line.key, 0) + 1
        return {sold: lines[0] for sold, lines in fits.items() if len(lines) == 1 and taken[lines[0].key] == 1}


def _sku_of(sale: Rec, line_item: str) -> str:
    return next((s["sku"] for s in sale["lines"] or () if s["id"] == line_item and isinstance(s["sku"], str)), "")


def _alike(sold: Rec, line: Rec) -> bool:
    if is_gap(sold["quantity"]) or sold["quantity"] != line["quantity"]:
        return False
    if is_gap(sold["price"]) or is_gap(line["price"]):
        return True
    return bool(sold["price"] * sold["quantity"] == line["price"])
