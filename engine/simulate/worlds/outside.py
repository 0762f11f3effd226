"""The outside systems as far as one order goes: what stands in each of them, and what becomes of what is sent there.

A machine of its own, in the records' words: the engine's floor may not know a client's connectors, and a world is not about
payloads. It keeps its own books, by which the engine is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from engine.facts.effects import EffectState
from engine.facts.links import ORDER
from engine.facts.merge import links_of
from engine.facts.outside import Receipt, Refused
from engine.facts.record import Observation
from engine.facts.schema import Vocabulary
from engine.facts.values import Money
from engine.simulate.worlds.books import Books
from engine.simulate.worlds.plot import ByHand, Order, Return

COMMISSION = Decimal("0.12")
CENT = Decimal("0.01")
ROLE_OF: Mapping[str, str] = {
    ORDER: "marketplace",
    "sale": "store",
    "rma": "returns",
    "parcel": "carrier",
    "receipt": "warehouse",
    "ledger_line": "finance",
}
Changed = Callable[[str, str], None]  # told of the kind and key of a record that is otherwise now


class Outside:
    """Every system's view of one order. `now` is moved by whoever plays it; `changed` is told of each record that changes."""

    def __init__(self, order: Order, currency: str, vocabulary: Vocabulary, changed: Changed) -> None:
        self.plot = order
        self.now = order.created_at
        self.books = Books(order)
        self.records: dict[tuple[str, str], dict[str, Any]] = {}
        self._currency = currency
        self._vocabulary = vocabulary
        self._changed = changed
        self._made: dict[int, list[dict[str, Any]]] = {n: [] for n in range(len(order.lines))}
        self._called_off: dict[int, list[dict[str, Any]]] = {n: [] for n in range(len(order.lines))}
        self._sold = f"S{order.id}"
        self._store_refunds = 0

    def observed(self, kind: str, key: str, number: int) -> Observation:
        """The record as it stands now. `number` sets apart what is read at one instant."""
        fields = dict(self.records[kind, key])
        links = frozenset(links_of(self._vocabulary, kind, fields)) - {(kind, key)}
        version = f"{self.now.isoformat(timespec='microseconds')}/{number:06}"
        return Observation(f"world.{kind}", kind, key, version, "", self.now, fields, links=links)

    def _is(self, kind: str, key: str, **fields: Any) -> None:
        held = self.records.setdefault((kind, key), {})
        if any(held.get(name, held) != value for name, value in fields.items()):
            held.update(fields)
            self._changed(kind, key)

    def _money(self, amount: Decimal) -> Money:
        return Money(amount, self._currency)

    # The order

    def place(self) -> None:
        """The customer orders: the marketplace has the order, and the store hears of it."""
        plot = self.plot
        self._is(
            ORDER,
            plot.id,
            id=plot.id,
            state="shipping",
            currency=self._currency,
            tax_mode="included",
            created_at=self.now,
            debited_at=self.now,
            can_cancel=False,
            customer_pays_seller=False,
            fully_refunded=False,
            lines=self._lines("shipping"),
        )
        self._is(
            "sale", self._sold, id=self._sold, order_ref=plot.id, of_marketplace=True, currency=self._currency, refunds=()
        )  # fmt: skip

    def ship(self) -> None:
        self._is(ORDER, self.plot.id, state="shipped", lines=self._lines("shipped"))
        self._is("sale", self._sold, fulfilled_at=self.now)

    def deliver(self) -> None:
        self._is(ORDER, self.plot.id, state="received", lines=self._lines("received"))

    def _lines(self, state: str) -> tuple[dict[str, Any], ...]:
        zero = self._money(Decimal())
        return tuple(
            {
                "id": line.id,
                "index": n + 1,
                "state": "refunded" if self._made[n] and not self._left(n) else state,
                "sku": line.sku,
                "quantity": line.pieces,
                "price": self._money(line.price * line.pieces),
                "shipping_price": zero,
                "taxes": (),
                "shipping_taxes": (),
                "commission": self._money((line.price * line.pieces * COMMISSION).quantize(CENT)),
                "debited_at": self.plot.created_at,
                **({"shipped_at": self.plot.shipped_at} if state != "shipping" else {}),
                "refunds": tuple(dict(r) for r in self._made[n]),
                "cancelations": tuple(dict(c) for c in self._called_off[n]),
            }
            for n, line in enumerate(self.plot.lines)
        )

    def _left(self, number: int) -> Decimal:
        line = self.plot.lines[number]
        gone = (*self._made[number], *self._called_off[number])
        return line.price * line.pieces - sum((one["amount"].amount for one in gone), Decimal())

    def _lines_again(self) -> None:
        state = str(self.records[ORDER, self.plot.id]["state"])
        left = any(self._left(n) for n in range(len(self.plot.lines)))
        self._is(ORDER, self.plot.id, lines=self._lines(state), fully_refunded=not left)

    # A return and its parcel

    def request(self, one: Return) -> None:
        """The customer asks for a return; what is in it, and the parcel it is to come in."""
        for piece in one.pieces:
            if not piece.exchange:
                self.books.claims.asked_back(self.plot.lines[piece.line].sku)
        tracking, ref, shipment = f"T{one.id}", f"W{one.id}", f"H{one.id}"
        self._is(
            "rma",
            one.id,
            id=one.id,
            status="requested",
            sale_id=self._sold,
            requested_at=self.now,
            tracking_numbers=(tracking,),
            receipt_refs=(ref,),
            units=tuple(
                {
                    "key": piece.key,
                    "sku": self.plot.lines[piece.line].sku,
                    "resolution": "exchange" if piece.exchange else "refund",
                    "method": "ship",
                    "shipment_id": shipment,
                }
                for piece in one.pieces
            ),
            shipments=(
                {
                    "id": shipment,
                    "status": "label_created",
                    "tracking_number": tracking,
                    "outbound": False,
                    "receipt_ref": ref,
                },
            ),
            transactions=(),
        )

    def turn(self, one: Return, status: str) -> None:
        """The return's status is set, where it has not come to its end by another way."""
        if self.records["rma", one.id]["status"] not in {"done", "cancelled"}:
            self._is("rma", one.id, status=status)
            if status == "cancelled":
                self.books.called_off(one)

    def scan(self, one: Return) -> None:
        self._is("parcel", f"T{one.id}", tracking_number=f"T{one.id}", status="in_transit", first_scan_at=self.now)
        self.books.scanned(one, self.now)

    def arrive(self, one: Return) -> None:
        """At the gate; what has never been scanned before is now."""
        self._is("parcel", f"T{one.id}", tracking_number=f"T{one.id}", status="delivered", delivered_at=self.now)
        if "first_scan_at" not in self.records["parcel", f"T{one.id}"]:
            self._is("parcel", f"T{one.id}", first_scan_at=self.now)
            self.books.scanned(one, self.now)

    def receive(self, one: Return) -> None:
        """The warehouse has got to it."""
        self.books.received(one, self.now)
        self.turn(one, "received")
        if ("receipt", f"W{one.id}") in self.records:
            self._received(one)

    def _received(self, one: Return) -> None:
        self._is("receipt", f"W{one.id}", status="arrived", arrived_at=one.received_at, lines=self._counted(one, looked=False))

    def inspect(self, one: Return) -> None:
        """What was in the parcel, piece by piece; a piece that was not there has no verdict."""
        self.books.inspected(one, self.now)
        found = {p.key: "rejected" if p.rejected else "accepted" for p in one.pieces if not p.missing}
        units = self.records["rma", one.id]["units"]
        judged = tuple({**u, "inspected_at": self.now, "verdict": found[u["key"]]} if u["key"] in found else u for u in units)
        self._is("rma", one.id, units=judged)
        self.turn(one, "validated")
        if ("receipt", f"W{one.id}") in self.records:
            self._inspected(one)

    def _inspected(self, one: Return) -> None:
        lines = self._counted(one, looked=True)
        self._is("receipt", f"W{one.id}", status="completed", completed_at=one.inspected_at, lines=lines)

    def _counted(self, one: Return, *, looked: bool) -> tuple[dict[str, Any], ...]:
        """By article: what was announced, what was there, and once somebody looked, what became of it."""
        lines: dict[str, dict[str, Any]] = {}
        for piece in one.pieces:
            sku = self.plot.lines[piece.line].sku
            line = lines.setdefault(sku, {"sku": sku, "expected": 0, "received": 0, "restocked": 0, "rejected": 0})
            line["expected"] += 1
            if looked and not piece.missing:
                line["received"] += 1
                line["rejected" if piece.rejected else "restocked"] += 1
        if looked and one.over:
            first = next(iter(lines.values()))
            first["received"] += 1
            first["restocked"] += 1
        return tuple(lines.values())

    # By hand

    def do(self, deed: ByHand) -> None:
        """What somebody does in a back office, as far as it can still be done."""
        line = self.plot.lines[deed.line]
        match deed.what:
            case "refund" if self._left(deed.line) >= line.price:
                self._refund(deed.line, line.price, "by hand", 1)
            case "goodwill" if self._left(deed.line) > deed.amount:
                self._refund(deed.line, deed.amount, "goodwill", 0)
            case "store_refund":
                self._refund_in_store(deed.line)
            case "cancel":
                self.books.claims.called_off()
                self.books.cancelled = True
                self._is("sale", self._sold, cancelled_at=self.now)

    def _refund_in_store(self, number: int) -> None:
        line = self.plot.lines[number]
        self.books.claims.refunded_in_store(line.sku)
        self._store_refunds += 1
        name = f"{self._sold}/{self._store_refunds}"
        amount = self._money(line.price)
        told = {"id": f"{name}L", "sku": line.sku, "quantity": 1, "restock": "return", "subtotal": amount}
        made = {"id": name, "created_at": self.now, "amount": amount, "lines": (told,)}
        self._is("sale", self._sold, refunds=(*self.records["sale", self._sold]["refunds"], made))

    def _refund(self, number: int, amount: Decimal, by: str, pieces: int) -> str:
        line = self.plot.lines[number]
        made_id = f"{line.id}/r{len(self._made[number]) + 1}"
        back = self._money((amount * COMMISSION).quantize(CENT))
        self._made[number].append(
            {
                "id": made_id,
                "state": "refunded",
                "amount": self._money(amount),
                "shipping_amount": self._money(Decimal()),
                "taxes": (),
                "shipping_taxes": (),
                "created_at": self.now,
                "commission": back,
                "commission_total": back,
                "commission_taxes": (),
            }
        )
        self.books.paid(line.sku, pieces, amount, by, self.now)
        self._lines_again()
        return made_id

    # What we send

    def done(self, effect: EffectState) -> bool | None:
        """What a look-up says of it: done, not done, or None where the order's own facts have to tell."""
        if effect.action == "warehouse.create_asn":
            return ("receipt", effect.params["shipment"]["receipt_ref"]) in self.records
        return None if effect.action in {"marketplace.refund", "marketplace.cancel"} else False

    def take(self, effect: EffectState) -> Receipt:
        """Does what is asked for. Raises `Refused` for what cannot be done."""
        params = effect.params
        match effect.action:
            case "marketplace.refund":
                return Receipt(effect.key, {"refund_id": self._refunded(effect)})
            case "marketplace.cancel":
                self._cancelled(effect)
            case "warehouse.create_asn":
                self._announced(str(params["shipment"]["receipt_ref"]))
            case "warehouse.cancel_asn":
                self._is("receipt", str(params["receipt"]["ref"]), status="cancelled")
            case "returns.set_status":
                self._is("rma", str(params["rma"]["id"]), status=str(params["status"]))
            case "finance.post" | "finance.adjust":
                self._booked(effect)
        return Receipt(effect.key, {})

    def _refunded(self, effect: EffectState) -> str:
        number = self._number(str(effect.params["line"]))
        amount = effect.params["amount"].amount
        if amount <= 0:
            raise Refused("invalid_amount", "nothing to refund")
        if amount > self._left(number):
            self.books.too_much.append(effect.key)
            raise Refused("invalid_amount", f"only {self._left(number)} is left")
        if not self.books.claims.allow(self.plot.lines[number].sku, len(effect.units)):
            self.books.unfounded.append(effect.key)
        return self._refund(number, amount, effect.rule, len(effect.units))

    def _cancelled(self, effect: EffectState) -> None:
        number = self._number(str(effect.params["line"]))
        made = {name: effect.params[name] for name in ("amount", "shipping_amount", "taxes", "shipping_taxes", "quantity")}
        self._called_off[number].append(
            {"id": f"{self.plot.lines[number].id}/c{len(self._called_off[number]) + 1}", "created_at": self.now, **made}
        )
        self._lines_again()

    def _number(self, line_id: str) -> int:
        return next(n for n, line in enumerate(self.plot.lines) if line.id == line_id)

    def _announced(self, ref: str) -> None:
        """The warehouse expects it from now on; what has come already is booked on it."""
        one = next(one for one in self.plot.returns if f"W{one.id}" == ref)
        counted = self._counted(one, looked=False)
        self._is("receipt", ref, ref=ref, id=f"I{ref}", status="awaiting", created_at=self.now, lines=counted)
        if one.received_at is not None and one.received_at <= self.now:
            self._received(one)
        if one.inspected_at is not None and one.inspected_at <= self.now:
            self._inspected(one)

    def _booked(self, effect: EffectState) -> None:
        refund = effect.params["refund"]
        for component in ("amount", "commission"):
            key = f"{refund['id']}/{component}"
            amount = refund[component] * (-1 if component == "amount" else 1)
            self._is(
                "ledger_line",
                key,
                id=key,
                posting=effect.key,
                order_id=self.plot.id,
                refund_id=refund["id"],
                component=component,
                amount=amount,
                posted_at=self.now,
            )
