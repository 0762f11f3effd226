"""The marketplace of the sandbox: its orders, its books, and the rules its API keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import count
from threading import RLock
from uuid import UUID

from connectors.mirakl.amounts import PARTS, No, commission, left, nothing_left, paid_to_customer, taken, tax_left, total
from connectors.mirakl.client import Json, wire_time
from connectors.mirakl.refusals import CANCELABLE, REFUNDABLE, UNPAID
from connectors.mirakl.shapes import ZERO, reason_bodies
from engine.facts.outside import Clock

BALANCE = "The shop does not have a sufficient payable balance for the refund"


@dataclass(frozen=True, slots=True)
class Booked:
    """A refund the marketplace has taken, as its own books show it. `total` is what the customer gets."""

    refund_id: str
    order_id: str
    line_id: str
    amount: Decimal
    shipping_amount: Decimal
    taxes: Decimal
    total: Decimal
    currency: str
    by: str  # "seller" through the API, "hand" in a back office
    at: datetime


class Marketplace:
    """All state is here, in the shape OR11 shows it. Everything is done under one lock.

    What Mirakl's documents leave open is a switch: `strict_taxes` (a missing tax is refused, or silently not refunded),
    `one_refund_at_a_time` per line, `refused_inside` (a refusal is told of the line, inside a 200), `refunds_touch_orders` (a
    refund that is paid moves `last_updated_date`), `resolving_closes` (OR64 ends the incident at once).
    """

    def __init__(self, clock: Clock, currency: str, tax_mode: str) -> None:
        self._clock = clock
        self.currency = currency
        self.tax_mode = tax_mode
        self.orders: dict[str, Json] = {}
        self.reasons = reason_bodies()
        self.pending = self.payable = Decimal("1000.00")
        self.strict_taxes = True
        self.one_refund_at_a_time = False
        self.refused_inside = False
        self.refunds_touch_orders = True
        self.resolving_closes = True
        self.direct_payment = self.direct_refunds = False
        self.lock = RLock()
        self._books: list[Booked] = []
        self._order_of: dict[str, str] = {}
        self._before_incident: dict[str, str] = {}
        self._ids = count(1001)

    def books(self) -> tuple[Booked, ...]:
        """Every refund taken, whoever asked for it."""
        with self.lock:
            return tuple(self._books)

    def refund(self, body: Json) -> Json:
        """OR28, all or nothing."""
        items = _items(body, "refunds")
        if not self.refused_inside:
            return self._refunded(items, body)
        try:
            return self._refunded(items, body)
        except No as no:
            told = [{"order_line_id": item.get("order_line_id"), "message": str(no)} for item in items]
            return {"order_tax_mode": body.get("order_tax_mode") or self.tax_mode, "refunds": [], "refund_errors": told}

    def _refunded(self, items: list[Json], body: Json) -> Json:
        with self._all_or_nothing(items):
            order_refunds: dict[str, str] = {}
            made = []
            for item in items:
                order, line = self._find(item)
                self._check_refund(order, line, item, body)
                together = order_refunds.setdefault(order["order_id"], self._uuid())
                booked = self._book(order, line, item, together, by="seller", strict=self.strict_taxes)
                echo = {k: booked[k] for k in ("amount", "shipping_amount", "taxes", "shipping_taxes", "reason_code", "quantity")}
                made.append(
                    {**echo, "refund_id": booked["id"], "order_refund_id": together, "order_line_id": line["order_line_id"],
                     "currency_iso_code": order["currency_iso_code"], "fees": []}
                )  # fmt: skip
            return {"order_tax_mode": body.get("order_tax_mode") or self.tax_mode, "refunds": made}

    def cancel_lines(self, body: Json) -> Json:
        """OR30, all or nothing: for lines that are not debited."""
        items = _items(body, "cancelations")
        with self._all_or_nothing(items):
            made = []
            for item in items:
                order, line = self._find(item)
                self._check_reason(item, "CANCELATION")
                if line.get("debited_date") or line["order_line_state"] not in CANCELABLE:
                    raise No(400, f"Order line {line['order_line_id']} is not in the expected state")
                _check_quantity({"quantity": None, **item})
                done = self._cancel(order, line, taken(line, item, strict=self.strict_taxes), item)
                made.append(
                    {**{k: v for k, v in done.items() if k not in {"id", "created_date"} and not k.startswith("commission")},
                     "cancelation_id": done["id"], "order_line_id": line["order_line_id"]}
                )  # fmt: skip
            return {"order_tax_mode": body.get("order_tax_mode") or self.tax_mode, "cancelations": made}

    def cancel_order(self, order_id: str) -> None:
        """OR29: only where OR11 says can_cancel."""
        with self._changing(order_id) as order:
            if not order["can_cancel"]:
                raise No(400, f"Order {order_id} is not in the expected state")
            self._cancel_whole(order, "34")

    def resolve_incident(self, order_id: str, line_id: str, body: Json) -> None:
        """OR64."""
        with self._changing(order_id) as order:
            line = self._line(order, line_id)
            if line["order_line_state"] != "INCIDENT_OPEN":
                raise No(400, f"Order line {line_id} is not in the expected state")
            self._check_reason(body, "INCIDENT_CLOSE")
            if self.resolving_closes:
                self._end_incident(line)

    def _check_refund(self, order: Json, line: Json, item: Json, body: Json) -> None:
        line_id = line["order_line_id"]
        if (body.get("order_tax_mode") or self.tax_mode) != order["order_tax_mode"]:
            raise No(400, f"The amounts of order {order['order_id']} are {order['order_tax_mode']}")
        if item.get("currency_iso_code", self.currency) != order["currency_iso_code"]:
            raise No(400, f"The currency of order {order['order_id']} is {order['currency_iso_code']}")
        self._check_reason(item, "REFUND")
        _check_quantity(item)
        if order["customer_directly_pays_seller"] and not self.direct_refunds:
            raise No(400, f"Order {order['order_id']} was paid to the shop directly")
        if order["order_state"] == "CLOSED" or line["order_line_state"] not in REFUNDABLE or not line.get("debited_date"):
            raise No(400, f"Order line {line_id} is not in the expected state")
        if self.one_refund_at_a_time and any(r["refund_state"] in UNPAID for r in line["refunds"]):
            raise No(400, f"A refund of order line {line_id} is already in progress")
        found = taken(line, item, strict=self.strict_taxes)
        cost = paid_to_customer(found, order["order_tax_mode"]) - commission(line, found)["commission_total_amount"]
        if cost > (self.payable if order["order_state"] == "RECEIVED" else self.pending):
            raise No(400, BALANCE)

    def _check_reason(self, item: Json, kind: str) -> None:
        code = item.get("reason_code")
        if not any(r["code"] == code and r["type"] == kind and r["is_shop_right"] for r in self.reasons):
            raise No(400, f"The reason {code!r} cannot be used by a shop for {kind}")

    def _book(self, order: Json, line: Json, item: Json, together: str, *, by: str, strict: bool) -> Json:
        found = taken(line, item, strict=strict)
        given_back = commission(line, found)
        refund = {
            **found,
            **given_back,
            "id": str(next(self._ids)),
            "order_refund_id": together,
            "refund_state": "WAITING_REFUND",
            "state": "WAITING_REFUND",
            "quantity": int(item.get("quantity") or 0),
            "reason_code": item["reason_code"],
            "created_date": self._now(),
            "commission_tax_amount": given_back["commission_total_amount"] - given_back["commission_amount"],
            "fees": [],
        }
        line["refunds"].append(refund)
        paid = paid_to_customer(found, order["order_tax_mode"])
        cost = paid - given_back["commission_total_amount"]
        if order["order_state"] == "RECEIVED":
            self.payable -= cost
        else:
            self.pending -= cost
        self._books.append(
            Booked(refund["id"], order["order_id"], line["order_line_id"], found["amount"], found["shipping_amount"],
                   total(found) - found["amount"] - found["shipping_amount"], paid, order["currency_iso_code"], by, self._clock())
        )  # fmt: skip
        if nothing_left(line):
            self._end_incident(line)
        self._touch(order)
        return refund

    def _cancel_whole(self, order: Json, reason: str) -> None:
        for line in order["order_lines"]:
            rest = {part: left(line, part, whole) for part, whole, _ in PARTS}
            taxes = {
                names: [{"code": t["code"], "amount": tax_left(line, names, t["code"])} for t in line[names]]
                for _, _, names in PARTS
            }
            if any(rest.values()):
                self._cancel(order, line, {**rest, **taxes}, {"quantity": line["quantity"], "reason_code": reason})
        order["order_state"] = "CANCELED"

    def _cancel(self, order: Json, line: Json, found: Json, item: Json) -> Json:
        """Unlike a refund, a cancellation reduces the total price."""
        done = {
            **found, **commission(line, found), "id": str(next(self._ids)), "quantity": item["quantity"],
            "reason_code": item["reason_code"], "created_date": self._now(), "fees": [],
        }  # fmt: skip
        line["cancelations"].append(done)
        for body in (line, order):
            body["total_price"] -= found["amount"] + found["shipping_amount"]
        if nothing_left(line):
            line["order_line_state"] = "CANCELED"
        if all(one["order_line_state"] == "CANCELED" for one in order["order_lines"]):
            order["order_state"] = "CANCELED"
        self._touch(order)
        return done

    def _touch(self, order: Json) -> None:
        """Work out again what OR11 tells of an order that has changed."""
        order["last_updated_date"] = self._now()
        lines = order["order_lines"]
        for line in lines:
            line["last_updated_date"] = self._now()
            # of the FULL line only: a part refunded before does not change it
            line["can_refund"] = bool(line.get("debited_date")) and line["order_line_state"] in REFUNDABLE
        order["has_incident"] = any(one["order_line_state"] == "INCIDENT_OPEN" for one in lines)
        order["can_cancel"] = not order.get("customer_debited_date") and order["order_state"] in CANCELABLE
        active = [one for one in lines if one["order_line_state"] not in {"CANCELED", "REFUSED"}]
        order["fully_refunded"] = bool(active) and all(one["refunds"] and nothing_left(one) for one in active)

    def _worth(self, order: Json) -> Decimal:
        """What the shop gets of what is left of an order."""
        worth = ZERO
        for line in order["order_lines"]:
            rest: Json = {part: left(line, part, whole) for part, whole, _ in PARTS}
            for _, _, taxes in PARTS:
                rest[taxes] = [{"amount": tax_left(line, taxes, t["code"])} for t in line[taxes]]
            gone = sum((g["commission_total_amount"] for g in (*line["refunds"], *line["cancelations"])), ZERO)
            worth += paid_to_customer(rest, order["order_tax_mode"]) - (line["total_commission"] - gone)
        return worth

    def _find(self, item: Json) -> tuple[Json, Json]:
        line_id = str(item.get("order_line_id"))
        if line_id not in self._order_of:
            raise No(404, f"Order line {line_id} not found")
        order = self.orders[self._order_of[line_id]]
        return order, self._line(order, line_id)

    def _line(self, order: Json, line_id: str) -> Json:
        for line in order["order_lines"]:
            if line["order_line_id"] == line_id:
                return line  # type: ignore[no-any-return]
        raise No(404, f"Order line {line_id} not found")

    @contextmanager
    def _changing(self, order_id: str) -> Iterator[Json]:
        with self.lock:
            if order_id not in self.orders:
                raise No(404, f"Order {order_id} not found")
            yield self.orders[order_id]
            self._touch(self.orders[order_id])

    @contextmanager
    def _all_or_nothing(self, items: Iterable[Json]) -> Iterator[None]:
        with self.lock:
            touched = {self._order_of.get(str(item.get("order_line_id")), "") for item in items} & set(self.orders)
            orders = {order_id: deepcopy(self.orders[order_id]) for order_id in touched}
            books, balances = list(self._books), (self.pending, self.payable)
            try:
                yield
            except No:
                self.orders.update(orders)
                self._books, (self.pending, self.payable) = books, balances
                raise

    def _now(self) -> str:
        return wire_time(self._clock())

    def _uuid(self) -> str:
        return str(UUID(int=next(self._ids), version=4))

    def _end_incident(self, line: Json) -> None:
        if line["order_line_state"] == "INCIDENT_OPEN":
            line["order_line_state"] = self._before_incident.pop(line["order_line_id"], "RECEIVED")
            line.pop("order_line_state_reason_code", None)


def _check_quantity(item: Json) -> None:
    if type(item.get("quantity", 0)) is not int:
        raise No(400, "Error with field quantity. Please check the field datatype.")


def _items(body: Json, name: str) -> list[Json]:
    items = body.get(name)
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise No(400, f"Error with field {name}. Please check the field datatype.")
    return items
