"""What the ReturnGO sandbox knows, and what customers, carriers, warehouses and staff can do there.

State is kept in the shape it is sent in. What makes the real thing hard is kept too: `lastUpdated` moves with decisions about
the request and never with shipments, inspections or refunds; every piece is its own item; the timeline is full of
"was updated"; booleans of an inspection are false before there was one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal
from itertools import count, cycle
from typing import Any

from connectors.deliveries import Delivery
from connectors.http import dumps
from connectors.returngo import shapes
from connectors.returngo.shapes import Json, Piece
from connectors.returngo.words import EVENT_NAMES, FINAL
from engine.facts.outside import Clock

SHIPMENT_STEPS: Mapping[str, frozenset[str]] = {
    "Pending": frozenset({"LabelCreated", "Shipped", "Received", "Canceled", "Validated"}),
    "LabelCreated": frozenset({"Shipped", "Received", "Canceled", "Validated"}),
    "Shipped": frozenset({"Received", "Canceled", "Validated"}),
    "Canceled": frozenset({"Received", "Validated"}),
    "Received": frozenset({"Validated"}),
    "Validated": frozenset(),
}
RMA_STEPS: Mapping[str, frozenset[str]] = {  # the page says that some are refused, not which: these are the sensible ones
    "Pending": frozenset({"Approved", "Rejected", "Canceled"}),
    "Approved": frozenset({"Received", "Validated", "Done", "Rejected", "Canceled"}),
    "Received": frozenset({"Validated", "Done", "Rejected", "Canceled"}),
    "Validated": frozenset({"Done", "Rejected", "Canceled"}),
    "Done": frozenset(),
    "Rejected": frozenset(),
    "Canceled": frozenset(),
}
_TIMELINE = {"Approved": "APPROVED", "Rejected": "REJECTED", "Canceled": "CANCELED", "Done": "marked as DONE"}


class NotFoundError(LookupError):
    """No RMA, shipment or webhook of that id."""


class InvalidTransitionError(ValueError):
    """A status that cannot follow the present one."""


@dataclass(slots=True)
class World:
    """The state behind one shop, and its deeds. Ids are texts counting up; amounts are in `currency`."""

    clock: Clock
    currency: str = "USD"
    rmas: dict[str, Json] = field(default_factory=dict)
    webhooks: dict[str, Json] = field(default_factory=dict)
    pending: deque[Delivery] = field(default_factory=deque)
    _before: dict[str, str] = field(default_factory=dict)
    _rma_ids: count[int] = field(default_factory=lambda: count(1001))
    _shipment_ids: count[int] = field(default_factory=lambda: count(5001))
    _piece_ids: count[int] = field(default_factory=lambda: count(9001))
    _transaction_ids: count[int] = field(default_factory=lambda: count(7001))
    _webhook_ids: count[int] = field(default_factory=lambda: count(301))

    def create_rma(
        self,
        order_id: str,
        order_name: str,
        pieces: Sequence[Piece],
        *,
        parcels: int | None = None,
        out_of_policy: bool = False,
    ) -> str:
        """A customer asks to return `pieces` of the store's order. Returns the RMA's id.

        There is one shipment, or `parcels` of them with the pieces dealt out in turn; none where nothing has to come back.
        """
        rma_id = str(next(self._rma_ids))
        coming = [piece for piece in pieces if piece.method != shapes.NO_SHIPMENT]
        wanted = min(1, len(coming)) if parcels is None else parcels
        shipments = [shapes.shipment(str(next(self._shipment_ids))) for _ in range(wanted)]
        turn = cycle([s["shipmentId"] for s in shipments] or [None])
        items = [
            shapes.item(piece, str(next(self._piece_ids)), next(turn) if piece in coming else None, self.currency)
            for piece in pieces
        ]
        self.rmas[rma_id] = shapes.rma(
            rma_id, order_id, order_name, self.now(), shipments=shipments, items=items, out_of_policy=out_of_policy
        )
        self.say(rma_id, "Request SUBMITTED")
        self._send("RMA_CREATED", rma_id)
        for shipment in shipments:
            self._send("SHIPMENT_CREATED", rma_id, shipmentId=shipment["shipmentId"], status="Pending")
        return rma_id

    def approve(self, rma_id: str) -> None:
        """Staff approve the request. The shop's return is created with it."""
        self.set_status(rma_id, "Approved")

    def reject(self, rma_id: str) -> None:
        self.set_status(rma_id, "Rejected")

    def cancel(self, rma_id: str) -> None:
        self.set_status(rma_id, "Canceled")

    def mark_done(self, rma_id: str) -> None:
        self.set_status(rma_id, "Done")

    def reopen(self, rma_id: str) -> None:
        """Staff reopen what was cancelled, rejected or done; it goes back to where it was."""
        rma = self.rma(rma_id)
        if rma["rmaSummary"]["status"] not in FINAL:
            raise InvalidTransitionError(f"{rma_id} is open")
        rma["rmaSummary"]["status"] = self._before.pop(rma_id, "Pending")
        rma["lastUpdated"] = self.now()
        self.say(rma_id, "Request <strong>REOPENED</strong>")
        self._send("RMA_STATUS_UPDATED", rma_id)

    def set_status(self, rma_id: str, status: str) -> None:
        """What PUT /rma/{id}/status does. The same status changes nothing. Raises `InvalidTransitionError`."""
        rma = self.rma(rma_id)
        before = rma["rmaSummary"]["status"]
        if status == before:
            return
        if status not in RMA_STEPS[before]:
            raise InvalidTransitionError(f"{before} -> {status}")
        now = self.now()
        rma["rmaSummary"]["status"] = status
        if status in FINAL:
            self._before[rma_id] = before
        if status in _TIMELINE:
            rma["lastUpdated"] = now
            self.say(rma_id, f"Request <strong>{_TIMELINE[status]}</strong>")
        if status == "Approved":
            rma["rmaSummary"]["events"].append(shapes.event("RMA_APPROVED", now, "Dashboard"))
            name = rma["orderDetails"]["order_name"]
            self.say(rma_id, f"Created &amp; approved Shopify return {name}-R1 for order {name}")
        self._send("RMA_STATUS_UPDATED", rma_id)

    def add_shipment(self, rma_id: str, *, outbound: bool = False) -> str:
        """One more parcel, such as for the second half of a partial return, or an exchange going out. Returns its id."""
        shipment = shapes.shipment(str(next(self._shipment_ids)), outbound=outbound)
        self.rma(rma_id)["shipments"].append(shipment)
        self._send("SHIPMENT_CREATED", rma_id, shipmentId=shipment["shipmentId"], status="Pending")
        return str(shipment["shipmentId"])

    def create_label(self, shipment_id: str, tracking_number: str, carrier: str = "CourierX") -> None:
        """A label with its tracking number."""
        self.update_shipment(shipment_id, {"status": "LabelCreated", "carrierName": carrier, "trackingNumber": tracking_number})

    def ship(self, shipment_id: str) -> None:
        """The platform's tracker saw the parcel move. One in eight real parcels never comes by here."""
        self.update_shipment(shipment_id, {"status": "Shipped"})
        rma_id = self.rma_of(shipment_id)["rmaSummary"]["rmaId"]
        self.say(rma_id, "Shipment <strong>IN TRANSIT</strong>", by="Automation")
        self._send("SHIPMENT_TRACKER_STATUS_UPDATED", rma_id, shipmentId=shipment_id, status="InTransit")

    def receive(self, shipment_id: str) -> None:
        """The warehouse has the parcel."""
        self.update_shipment(shipment_id, {"status": "Received"})

    def cancel_shipment(self, shipment_id: str) -> None:
        self.update_shipment(shipment_id, {"status": "Canceled"})

    def update_shipment(self, shipment_id: str, change: Mapping[str, Any]) -> Json:
        """What PUT /shipment/{id} does: the same status is no transition, other fields are set all the same.

        Returns the shipment. Raises `InvalidTransitionError`.
        """
        rma = self.rma_of(shipment_id)
        shipment: Json = next(s for s in rma["shipments"] if s["shipmentId"] == shipment_id)
        before, after = shipment["status"], change.get("status", shipment["status"])
        if after != before and after not in SHIPMENT_STEPS[before]:
            raise InvalidTransitionError(f"{before} -> {after}")
        shipment.update({k: v for k, v in change.items() if k in shipment and v is not None})
        rma_id = rma["rmaSummary"]["rmaId"]
        self.say(rma_id, f"Shipment with ID: {shipment_id} was updated", by="ReturnGO API")
        self._send("SHIPMENT_STATUS_UPDATED", rma_id, shipmentId=shipment_id, status=after)
        if after == "Received" != before:
            self._received(rma)
        return shipment

    def inspect(self, rma_id: str, verdicts: Mapping[str, bool], *, restockable: bool = True, by: str = "Warehouse") -> None:
        """The warehouse looked at pieces: `{piece id: came back in order}`. With the last piece the RMA is Validated."""
        rma = self.rma(rma_id)
        for item in rma["items"]:
            accepted = verdicts.get(item["returnedItemId"])
            if accepted is None:
                continue
            item["itemValidationStatusResponse"] = {
                **shapes.NOT_INSPECTED,
                "returnedItemId": item["returnedItemId"],
                "isReturned": accepted,
                "isRestockable": accepted and restockable,
                "nonReturnedReason": None if accepted else "Not as sent",
                "lastValidationDate": self.now(),
                "lastValidatedBy": by,
            }
        self.say(rma_id, "Items <strong>VALIDATED</strong>", by=by)
        waiting = [i for i in rma["items"] if not i["itemValidationStatusResponse"]["lastValidationDate"]]
        if not waiting and rma["rmaSummary"]["status"] in {"Approved", "Received"}:
            self.set_status(rma_id, "Validated")

    def refund(
        self,
        rma_id: str,
        pieces: Sequence[str],
        *,
        amount: str | None = None,
        status: str = "Success",
        kind: str = "RefundToPaymentMethod",
    ) -> int:
        """The platform asks the store to refund these pieces, for what was paid unless told. Returns the transaction's id."""
        rma = self.rma(rma_id)
        paid = sum((i["paidPrice"]["amount"] for i in rma["items"] if i["returnedItemId"] in pieces), Decimal(0))
        now, number = self.now(), next(self._transaction_ids)
        moved = Decimal(amount) if amount is not None else paid
        value = shapes.amount(moved, self.currency)
        rma["transactions"].append(shapes.transaction(number, kind, value, status=status, pieces=pieces, now=now))
        if status == "Success":
            self.say(rma_id, f"Refunded {moved} {self.currency}<br>Transaction ID: {number}", by="Automation")
        self._send("TRANSACTION_CREATED", rma_id, transactionId=number, status=status)
        self._send("REFUND_CREATED", rma_id, transactionId=number, status=status)
        return number

    def finish_refund(self, transaction_id: int, status: str = "Success") -> None:
        """A requested refund went through, or failed (it keeps its reference then)."""
        for rma in list(self.rmas.values()):
            for transaction in rma["transactions"]:
                if transaction["id"] == transaction_id:
                    transaction.update(status=status, lastUpdated=self.now())
                    return
        raise NotFoundError(str(transaction_id))

    def say(self, rma_id: str, html: str, *, kind: str = "system", by: str = "") -> None:
        """One more entry in the timeline, newest first."""
        entry = {"commentType": kind, "triggeredBy": by, "htmlText": html, "datetime": self.now()}
        self.rma(rma_id)["comments"].insert(0, entry)

    def register_webhook(self, url: str, event_name: str) -> str:
        """One row for one event name. Returns its id."""
        number = str(next(self._webhook_ids))
        self.webhooks[number] = {"id": number, "url": url, "eventName": event_name}
        return number

    def listen(self, url: str) -> None:
        """Registers one URL for every event name there is."""
        for event_name in EVENT_NAMES:
            self.register_webhook(url, event_name)

    def drain(self) -> list[Delivery]:
        """The deliveries due, for the caller to post. They are gone from here: ReturnGO is not known to try again."""
        due = []
        while self.pending:
            due.append(self.pending.popleft())
        return due

    def rma(self, rma_id: str) -> Json:
        if rma_id not in self.rmas:
            raise NotFoundError(rma_id)
        return self.rmas[rma_id]

    def rma_of(self, shipment_id: str) -> Json:
        for rma in list(self.rmas.values()):
            if any(s["shipmentId"] == shipment_id for s in rma["shipments"]):
                return rma
        raise NotFoundError(shipment_id)

    def shipments(self, rma_id: str) -> list[str]:
        """The ids of its shipments, in order."""
        return [s["shipmentId"] for s in self.rma(rma_id)["shipments"]]

    def pieces(self, rma_id: str) -> list[str]:
        """The ids of its pieces, in order."""
        return [i["returnedItemId"] for i in self.rma(rma_id)["items"]]

    def status(self, rma_id: str) -> str:
        return str(self.rma(rma_id)["rmaSummary"]["status"])

    def now(self) -> str:
        return self.clock().astimezone(UTC).replace(microsecond=0).isoformat()

    def _received(self, rma: Json) -> None:
        rma_id = rma["rmaSummary"]["rmaId"]
        self.say(rma_id, "Shipment <strong>RECEIVED</strong>", by="Automation")
        inbound = [s["status"] for s in rma["shipments"] if not s["isOutbound"] and s["status"] != "Canceled"]
        if rma["rmaSummary"]["status"] == "Approved" and all(s in {"Received", "Validated"} for s in inbound):
            self.set_status(rma_id, "Received")

    def _send(self, event_name: str, rma_id: str, **about: Any) -> None:
        """The inner shapes are not documented, so they differ here: a receiver that leans on one of them breaks."""
        summary = self.rma(rma_id)["rmaSummary"]
        told: Json = {"eventName": event_name, "shopName": "sandbox"}
        if event_name.startswith("RMA"):
            told["rmaSummary"] = {k: v for k, v in summary.items() if k != "events"}
        elif event_name.startswith("SHIPMENT"):
            told |= {"rmaId": rma_id, **about}
        else:
            told["data"] = {"rmaId": rma_id, **about}
        rows = [row for row in list(self.webhooks.values()) if row["eventName"] == event_name]
        self.pending.extend([Delivery(row["url"], {"content-type": "application/json"}, dumps(told)) for row in rows])
