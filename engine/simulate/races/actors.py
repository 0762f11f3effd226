"""What people may do by hand at any moment, whatever the scenario tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.facts.links import ORDER, Node
from engine.facts.values import Money
from engine.simulate.made import with_made
from engine.simulate.races.outside import Outside, one_piece

OPEN = frozenset({"approved", "received", "validated"})


@dataclass(frozen=True, slots=True)
class ByHand:
    """One thing somebody does once: a record as it is from then on."""

    name: str
    node: Node
    fields: Mapping[str, Any]


def by_hand(outside: Outside, used: frozenset[str], now: datetime) -> Iterator[ByHand]:
    """Everything that somebody could do now and has not done yet."""
    for node, fields in outside.records.items():
        kind, key = node
        if kind == ORDER:
            yield from _refunds(outside, node, fields, used, now)
        elif kind == "rma":
            yield from _of_rma(key, fields, used)
        elif kind == "sale":
            yield from _of_sale(outside, node, fields, used, now)


def _refunds(outside: Outside, node: Node, fields: Mapping[str, Any], used: frozenset[str], now: datetime) -> Iterator[ByHand]:
    """An agent pays a piece back in the marketplace's back office, if somebody has a claim to it: they look before they pay."""
    for line in fields.get("lines") or ():
        name = f"an agent refunds one piece of {line['id']} in the marketplace"
        if (
            name in used
            or not outside.claims.allow(str(line.get("sku")), 1)
            or line.get("debited_at") is None
            or not isinstance(line.get("price"), Money)
        ):
            continue
        if str(line.get("sku")) in _returned(outside):
            made = with_made(fields, "refund", one_piece(fields, line), f"by-hand-{line['id']}", outside.made_at(now))
            yield ByHand(name, node, made)


def _returned(outside: Outside) -> set[str]:
    return {
        str(unit.get("sku"))
        for (kind, _), fields in outside.records.items()
        if kind == "rma"
        for unit in fields.get("units") or ()
    }


def _of_rma(key: str, fields: Mapping[str, Any], used: frozenset[str]) -> Iterator[ByHand]:
    called_off, reopened = f"the customer calls RMA {key} off", f"an agent reopens RMA {key}"
    if fields.get("status") in OPEN and called_off not in used:
        yield ByHand(called_off, ("rma", key), {**fields, "status": "cancelled"})
    if fields.get("status") == "cancelled" and reopened not in used and called_off in used:
        yield ByHand(reopened, ("rma", key), {**fields, "status": "approved"})


def _of_sale(outside: Outside, node: Node, fields: Mapping[str, Any], used: frozenset[str], now: datetime) -> Iterator[ByHand]:
    name = f"somebody cancels order {node[1]} in the store"
    if fields.get("cancelled_at") is None and name not in used:
        yield ByHand(name, node, {**fields, "cancelled_at": now})
    order = next((f for (kind, key), f in outside.records.items() if kind == ORDER and key == fields.get("order_ref")), {})
    for line in order.get("lines") or ():
        sku = str(line.get("sku"))
        name = f"an agent refunds one {sku} in the store"
        if name in used or sku not in _returned(outside) or not isinstance(line.get("price"), Money):
            continue
        amount = one_piece(order, line)["amount"]
        made = {
            "id": f"by-hand-{sku}",
            "created_at": now,
            "amount": amount,
            "lines": ({"id": "1", "sku": sku, "quantity": 1, "restock": "return", "subtotal": amount},),
        }
        yield ByHand(name, node, {**fields, "refunds": (*(fields.get("refunds") or ()), made)})
