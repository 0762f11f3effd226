"""The world around one case: what marketplace, store, returns platform, carrier and warehouse really hold, and its own books.

The engine sees only snapshots of it. What we sent is judged by these books, not by what the engine believes. It does whatever
it is told: a marketplace that would refuse a second refund must not hide that we asked for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.facts.effects import EffectState
from engine.facts.links import ORDER, Node
from engine.facts.merge import GIVEN, given
from engine.facts.outside import Order
from engine.facts.record import Observation
from engine.facts.schema import Vocabulary
from engine.facts.values import Money
from engine.simulate.claims import Claims
from engine.simulate.given import applied
from engine.simulate.made import SHOWN_IN, with_made
from engine.simulate.races.breaches import Breach

OURS = "us"
MONEY = frozenset({"marketplace.refund", "marketplace.cancel"})


@dataclass(frozen=True, slots=True)
class Payout:
    """Money that went back on one line, by whom, and for how many whole pieces."""

    by: str
    line: str
    what: str
    pieces: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Request:
    """What we sent and got no answer to, and what is carried out of it all the same at `at`. `seen` is how many payouts there
    were when it was last looked up, None where nobody looked.
    """

    at: datetime
    order: Order
    seen: int | None


@dataclass(frozen=True, slots=True)
class Outside:
    """All of it at one moment; every change makes a new one.

    `done` are the keys of what was carried out for us, `breaches` what its books hold against us. `excused` is set once money
    was paid that we could not prevent: by others with no claim left, or by them between our look-up and our refund. `twice`
    says that more pieces of a line were paid back than it has.
    """

    vocabulary: Vocabulary
    records: Mapping[Node, Mapping[str, Any]]
    versions: Mapping[Node, tuple[int, str]]
    claims: Claims
    payouts: tuple[Payout, ...] = ()
    done: frozenset[str] = frozenset()
    under_way: tuple[Request, ...] = ()
    breaches: tuple[Breach, ...] = ()
    excused: bool = False
    twice: bool = False

    def key(self) -> tuple[object, ...]:
        """Equal for worlds in which the same can happen."""
        waiting = tuple((r.at, r.order.key, r.seen) for r in self.under_way)
        versions = tuple(sorted(self.versions.items()))
        return versions, self.payouts, tuple(sorted(self.done)), waiting, self.claims.key(), self.excused, self.twice

    @property
    def last_made(self) -> str:
        """The id of the refund or cancellation that was made last for us."""
        return f"made-{len(self.payouts)}"

    def made_at(self, now: datetime) -> datetime:
        """When the next payout is made: no two at the same instant, so that the order shows which came first."""
        return now + timedelta(seconds=len(self.payouts))

    def snapshot(self, node: Node, at: datetime) -> Observation | None:
        """What somebody sees who asks for a record now."""
        if node not in self.records:
            return None
        kind, key = node
        number, digest = self.versions[node]
        whole = given(self.vocabulary, kind, self.records[node], at).snapshots[GIVEN]
        return Observation(GIVEN, kind, key, f"{number:06}", digest, at, whole.fields, links=whole.links)

    def after(self, node: Node, change: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a record after a change as scenarios write it, whatever else has happened to it."""
        return applied(self.vocabulary, node[0], self.records.get(node, {}), change)

    def with_record(self, node: Node, fields: Mapping[str, Any]) -> Outside:
        """After a change of a record by anybody; reasons to refund, and refunds by others, are noted as they appear."""
        was = self.records.get(node, {})
        claims = self.claims.copy()
        payouts, excused, twice = self.payouts, self.excused, self.twice
        if node[0] == ORDER:
            payouts = (*payouts, *_new_payouts(was, fields))
            for one in payouts[len(self.payouts) :]:
                if one.what == "refund":
                    line = _line(fields, one.line)
                    sku = str(line.get("sku"))
                    excused = excused or not claims.allow(sku, one.pieces)
                    twice = twice or _twice(payouts, line)
                    claims.refunded(sku, one.pieces)
        elif node[0] == "rma":
            _asked_back(claims, was, fields)
        elif node[0] == "sale":
            _in_store(claims, was, fields)
        return replace(self._changed(node, fields), claims=claims, payouts=payouts, excused=excused, twice=twice)

    def _changed(self, node: Node, fields: Mapping[str, Any]) -> Outside:
        number = self.versions.get(node, (0, ""))[0] + 1
        digest = hashlib.blake2b(repr(sorted(fields.items())).encode(), digest_size=8).hexdigest()
        return replace(self, records={**self.records, node: fields}, versions={**self.versions, node: (number, digest)})

    def by_person(self) -> Outside:
        """A person decided something: from here on what is paid is their word."""
        claims = self.claims.copy()
        claims.called_off()
        return replace(self, claims=claims, excused=True)

    # What we ask of it.

    def carried_out(self, order: Order, at: datetime, seen: int | None) -> Outside:
        """After it did what we sent."""
        role, _, name = order.action.partition(".")
        after = replace(self, done=self.done | {order.key})
        if role == "marketplace" and name in SHOWN_IN:
            return after._paid(order, name, at, seen)
        if order.action == "warehouse.create_asn":
            return after._announced(order, at)
        return after._status_set(order)

    def _paid(self, order: Order, name: str, at: datetime, seen: int | None) -> Outside:
        node = (ORDER, str(order.params.get("order")))
        if node not in self.records:
            return self
        fields, line_id = self.records[node], str(order.params["line"])
        line = _line(fields, line_id)
        pieces, amount = len(order.units), _amount(order.params)
        mine = [p for p in self.payouts if p.line == line_id]
        alike = {other["id"] for other in fields.get("lines") or () if other.get("sku") == line.get("sku")}
        raced = seen is not None and any(p.by != OURS for p in self.payouts[seen:] if p.line in alike)
        found = list(self._held_against(order, line, pieces, amount, mine))
        claims = self.claims.copy()
        if name == "refund":
            claims.refunded(str(line.get("sku")), pieces)
        made = with_made(fields, name, order.params, f"made-{len(self.payouts) + 1}", self.made_at(at))
        payouts = (*self.payouts, Payout(OURS, line_id, name, pieces, amount))
        return replace(
            self._changed(node, made),
            claims=claims,
            payouts=payouts,
            breaches=self.breaches if raced else (*self.breaches, *found),
            excused=self.excused or raced,
            twice=self.twice or _twice(payouts, line),
        )

    def _held_against(
        self, order: Order, line: Mapping[str, Any], pieces: int, amount: Decimal, mine: list[Payout]
    ) -> Iterable[Breach]:
        sku, line_id, units = str(line.get("sku")), str(line.get("id")), ", ".join(order.units)
        refunds = order.action == "marketplace.refund"
        if refunds and not self.claims.allow(sku, pieces):
            paid = self.claims.paid(sku)
            said = f"{units} is refunded though {paid} of {sku} are paid for already, and nobody has a claim to more"
            yield Breach("no piece is refunded twice", said, (), order.action, order.units)
        gone = sum(p.pieces for p in mine if p.what == ("cancel" if refunds else "refund"))
        if gone and gone + pieces + sum(p.pieces for p in mine if p.what == "refund") * refunds > int(line.get("quantity") or 0):
            said = f"{order.action} of {units} though {gone} of line {line_id} are {'cancelled' if refunds else 'refunded'}"
            yield Breach("no refund after a cancellation, no cancellation after a refund", said, (), order.action, order.units)
        paid_for = sum((v.amount for n in ("price", "shipping_price") if isinstance(v := line.get(n), Money)), Decimal())
        if amount + sum((p.amount for p in mine), Decimal()) > paid_for:
            said = f"{amount} more on line {line_id}, of which all was paid back"
            yield Breach("never more is refunded than was paid", said, (), order.action, order.units)

    def _announced(self, order: Order, at: datetime) -> Outside:
        shipment = order.params.get("shipment")
        ref = shipment.get("receipt_ref") if isinstance(shipment, Mapping) else None
        if ref is None:
            return self
        node = ("receipt", str(ref))
        if self.records.get(node, {}).get("id") is not None:
            said = f"{ref} is announced once more"
            return replace(self, breaches=(*self.breaches, Breach("one expected return for each shipment", said)))
        expected: dict[str, int] = {}
        for item in shipment.get("lines") or () if isinstance(shipment, Mapping) else ():
            expected[str(item["sku"])] = int(item["quantity"])
        lines = tuple({"sku": sku, "expected": number} for sku, number in sorted(expected.items()))
        return self._changed(node, {"ref": ref, "id": f"W-{ref}", "status": "awaiting", "created_at": at, "lines": lines})

    def _status_set(self, order: Order) -> Outside:
        wanted = {
            "returns.set_status": ("rma", "status", order.params.get("status")),
            "marketplace.set_return": ("market_return", "state", _RETURN_STATES.get(str(order.params.get("state")))),
            "warehouse.cancel_asn": ("receipt", "status", "cancelled"),
        }.get(order.action)
        if wanted is None or wanted[2] is None:
            return self
        kind, field, value = wanted
        about = order.params.get(kind)
        key = self.vocabulary[kind].key
        node = (kind, str(about.get(key)) if isinstance(about, Mapping) else str(about))
        return self._changed(node, {**self.records[node], field: value}) if node in self.records else self

    def shows(self, order: Order) -> list[Node]:
        """The records in which what was carried out can be seen."""
        if order.action in MONEY:
            return [(ORDER, str(order.params.get("order")))]
        for name in ("rma", "market_return", "receipt", "shipment"):
            about = order.params.get(name)
            if isinstance(about, Mapping):
                kind, field = ("receipt", "receipt_ref") if name == "shipment" else (name, self.vocabulary[name].key)
                return [(kind, str(about.get(field)))]
        return []


_RETURN_STATES = {"accepted": "in_progress", "refused": "refused", "received": "received", "closed": "closed"}


def first(vocabulary: Vocabulary, ordered: Mapping[str, int]) -> Outside:
    """Nothing has happened yet; `ordered` are the pieces of each article that are ever ordered."""
    return Outside(vocabulary, {}, {}, Claims(ordered))


def order_of(effect: EffectState) -> Order:
    """An effect as its connector would be asked to perform it."""
    return Order(
        effect.key, effect.action, effect.subject, effect.units, effect.params, effect.attempts, effect.planned_at, effect.sent_at
    )


def one_piece(order: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    """What a person enters who pays one piece of a line back."""
    quantity = int(line.get("quantity") or 1)
    nothing = Money(Decimal(), str(order.get("currency") or "EUR"))

    def share(name: str) -> Money:
        value = line.get(name)
        whole = value if isinstance(value, Money) else nothing
        return Money((whole.amount / quantity).quantize(Decimal("0.01")), whole.currency)

    return {
        "line": line["id"], "amount": share("price"), "shipping_amount": share("shipping_price"), "taxes": (),
        "shipping_taxes": (), "quantity": 1, "reason": "by hand",
    }  # fmt: skip


def _line(order: Mapping[str, Any], line_id: str) -> Mapping[str, Any]:
    return next((line for line in order.get("lines") or () if line["id"] == line_id), {})


def _amount(of: Mapping[str, Any]) -> Decimal:
    return sum((v.amount for n in ("amount", "shipping_amount") if isinstance(v := of.get(n), Money)), Decimal())


def _new_payouts(was: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterable[Payout]:
    for line in fields.get("lines") or ():
        before = _line(was, line["id"])
        for what, listed in SHOWN_IN.items():
            known = {str(made["id"]) for made in before.get(listed) or ()}
            for made in line.get(listed) or ():
                if str(made["id"]) not in known:
                    yield Payout("others", line["id"], what, _pieces(line, made), _amount(made))


def _twice(payouts: Iterable[Payout], line: Mapping[str, Any]) -> bool:
    """Whether more pieces of a line are paid back than it has."""
    paid = sum(p.pieces for p in payouts if p.line == line.get("id") and p.what == "refund")
    return paid > int(line.get("quantity") or 0)


def _pieces(line: Mapping[str, Any], made: Mapping[str, Any]) -> int:
    """How many whole pieces an amount pays for."""
    price = line.get("price")
    if not isinstance(price, Money) or not price.amount:
        return int(made.get("quantity") or 1)
    shipping = line.get("shipping_price")
    whole = price.amount + (shipping.amount if isinstance(shipping, Money) else 0)
    return int(_amount(made) * int(line.get("quantity") or 1) // whole)


def _asked_back(claims: Claims, was: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    known = {unit["key"] for unit in was.get("units") or () if unit.get("resolution") == "refund"}
    for unit in fields.get("units") or ():
        if unit["key"] not in known and unit.get("resolution") == "refund":
            claims.asked_back(str(unit.get("sku")))


def _in_store(claims: Claims, was: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    if fields.get("cancelled_at") is not None and was.get("cancelled_at") is None:
        claims.called_off()
    known = {refund["id"] for refund in was.get("refunds") or ()}
    for refund in fields.get("refunds") or ():
        if refund["id"] not in known:
            for line in refund.get("lines") or ():
                for _ in range(int(line.get("quantity") or 1)):
                    claims.refunded_in_store(str(line.get("sku")))
