"""What came of the day. Refunds, and whether any was made twice or late, are read from the outside's own books, not from ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.demo.outside import Outside, tracking_of
from engine.run.service import Service

MOST = 100_000
REFUND = "RefundToPaymentMethod"
Deadline = Callable[[datetime], datetime]


@dataclass(frozen=True, slots=True)
class Summary:
    """`refunds` are those the marketplace took from us, `withheld` how many orders had a refund held back, by reason."""

    cases: int
    events: int
    refunds: Mapping[str, Any]
    withheld: Mapping[str, int]
    expected_returns: int
    exceptions: Mapping[str, Mapping[str, int]]
    refunded_twice: int
    deadlines_missed: int
    set_aside: int
    rule_set: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Owed:
    """Pieces of one article of an order that the outside's own records say must be refunded by `due`."""

    order: str
    sku: str
    pieces: int
    due: datetime


def summarise(service: Service, outside: Outside, withheld: Mapping[str, int], *, deadline: Deadline, seconds: float) -> Summary:
    """At the end of the day; `deadline` gives the marketplace's from the first scan."""
    ours = [booked for booked in outside.market.books() if booked.by == "seller"]
    amounts: Counter[str] = Counter()
    for booked in ours:
        amounts[booked.currency] += booked.total  # type: ignore[assignment]
    exceptions: dict[str, Counter[str]] = {"open": Counter(), "closed": Counter()}
    for row in service.store.exceptions.listed(only_open=False, limit=MOST):
        exceptions["closed" if row.closed_at else "open"][row.entry.owner] += 1
    return Summary(
        cases=len(service.store.cases.listed(only_open=False, limit=MOST)),
        events=service.store.journal.position(),
        refunds={"count": len(ours), "amounts": {currency: f"{amount:.2f}" for currency, amount in sorted(amounts.items())}},
        withheld=dict(sorted(withheld.items())),
        expected_returns=len(outside.warehouse.returns),
        exceptions={state: dict(sorted(owners.items())) for state, owners in exceptions.items()},
        refunded_twice=len(list(refunded_twice(outside))),
        deadlines_missed=len(list(deadlines_missed(outside, deadline, service.clock()))),
        set_aside=len(service.store.journal.waiting_aside()),
        rule_set=service.rule_set.hash,
        seconds=round(seconds, 1),
    )


def refunded_twice(outside: Outside) -> Iterator[str]:
    """Order lines for which more whole pieces were refunded than anybody, customer or agent, had a reason to refund."""
    for order_id, order in outside.market.world.orders.items():
        for line in order["order_lines"]:
            price = Decimal(line["price_unit"])
            whole = sum(int(r["amount"] / price) for r in line["refunds"])
            by_hand = sum(
                int(b.amount / price) for b in outside.market.books() if b.line_id == line["order_line_id"] and b.by == "hand"
            )
            if whole > max(_claimed(outside, order_id, line["offer_sku"]), by_hand):
                yield str(line["order_line_id"])


def _claimed(outside: Outside, order_id: str, sku: str) -> int:
    """How many pieces of an article were returned for money, refunded in the store or called off; a piece counts once."""
    sold = outside.sold[order_id]
    store = outside.store.orders[sold.store_id]
    ordered = sum(line.quantity for line in store.lines if line.sku == sku)
    if store.cancelled_at is not None:
        return ordered
    returned = sum(
        sum(item["sku"] == sku and item["resolutionType"] == REFUND for item in outside.returns.world.rma(rma)["items"])
        for rma in sold.rmas
    )
    paid = sum(line.quantity for refund in store.refunds for line in refund.lines if line.line.sku == sku)
    return min(ordered, max(returned, paid))


def deadlines_missed(outside: Outside, deadline: Deadline, now: datetime) -> Iterator[Owed]:
    """What was owed by a deadline that has passed, and was not refunded by then. Goods that were turned down are not owed."""
    for owed in owed_by(outside, deadline):
        if owed.due > now:
            continue
        lines = {line["order_line_id"]: line for line in outside.market.world.orders[owed.order]["order_lines"]}
        mine = [number for number, line in lines.items() if line["offer_sku"] == owed.sku]
        paid = sum((b.amount for b in outside.market.books() if b.line_id in mine and b.at <= owed.due), Decimal(0))
        gestures = sum((b.amount for b in outside.market.books() if b.line_id in mine and b.by == "hand"), Decimal(0))
        price = min(Decimal(lines[number]["price_unit"]) for number in mine)
        if paid < price * owed.pieces - gestures:
            yield owed


def owed_by(outside: Outside, deadline: Deadline) -> Iterator[Owed]:
    for order_id, sold in outside.sold.items():
        for number in sold.rmas:
            rma = outside.returns.world.rma(number)
            scanned = _scanned_at(outside, rma)
            if rma["rmaSummary"]["status"] in {"Pending", "Rejected", "Canceled"} or scanned is None:
                continue
            known = {line.sku for line in sold.items}
            owed = Counter(item["sku"] for item in rma["items"] if item["sku"] in known and _is_owed(item))
            for sku, pieces in sorted(owed.items()):
                ordered = sum(item.quantity for item in sold.items if item.sku == sku)
                yield Owed(order_id, sku, min(pieces, ordered), deadline(scanned))


def _is_owed(item: Mapping[str, Any]) -> bool:
    found = item["itemValidationStatusResponse"]
    turned_down = found["lastValidationDate"] is not None and not found["isReturned"]
    return item["resolutionType"] == REFUND and not turned_down


def _scanned_at(outside: Outside, rma: Mapping[str, Any]) -> datetime | None:
    scans = [
        datetime.fromisoformat(detail["datetime"])
        for shipment in rma["shipments"]
        for detail in outside.carrier.trackers.get(tracking_of(shipment["shipmentId"]), {"tracking_details": ()})[
            "tracking_details"
        ]
        if detail["status"] not in {"unknown", "pre_transit"}
    ]
    return min(scans, default=None)
