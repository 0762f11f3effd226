"""What people do in the sandbox marketplace: customers, agents in back offices, the operator."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.mirakl.amounts import PARTS, left, nothing_left, share
from connectors.mirakl.client import Json
from connectors.mirakl.market import Marketplace
from connectors.mirakl.returns import ReturnDesk
from connectors.mirakl.shapes import NewLine, cents, order_body
from engine.facts.outside import Clock

_AFTER = {
    "WAITING_REFUND_TAX_CONFIRMATION": "WAITING_REFUND",
    "WAITING_REFUND": "WAITING_REFUND_PAYMENT",
    "WAITING_REFUND_PAYMENT": "REFUNDED",
}


class World(Marketplace):
    """The marketplace with the people in it. A deed is one method."""

    def __init__(self, clock: Clock, currency: str, tax_mode: str) -> None:
        super().__init__(clock, currency, tax_mode)
        self.desk = ReturnDesk(clock)

    def add_order(
        self,
        order_id: str,
        *lines: NewLine,
        state: str = "SHIPPING",
        debited: bool = True,
        channel: str = "US",
        commercial_id: str = "",
        store_reference: str = "",
        currency: str = "",
        paid_to_seller: bool = False,
    ) -> None:
        """A new order with lines `<order>-1`, `<order>-2`, ..."""
        with self.lock:
            order = order_body(
                order_id, lines or (NewLine("SKU-1"),), self._clock(), state=state, currency=currency or self.currency,
                tax_mode=self.tax_mode, commercial_id=commercial_id or order_id.rsplit("-", 1)[0], channel=channel,
                store_reference=store_reference,
            )  # fmt: skip
            order["customer_directly_pays_seller"] = paid_to_seller
            self.orders[order_id] = order
            self._order_of.update({line["order_line_id"]: order_id for line in order["order_lines"]})
            self._touch(order)
            if debited:
                self.debit(order_id)

    def debit(self, order_id: str) -> None:
        """The customer pays: the order's money becomes pending."""
        with self._changing(order_id) as order:
            order["customer_debited_date"] = self._now()
            for line in order["order_lines"]:
                line["debited_date"] = self._now()
            self.pending += self._worth(order)

    def ship(self, order_id: str) -> None:
        self._move(order_id, "SHIPPED", "shipped_date")

    def receive(self, order_id: str) -> None:
        """The customer has it: what is left of the order's money becomes payable."""
        with self.lock:
            self._move(order_id, "RECEIVED", "received_date")
            worth = self._worth(self.orders[order_id])
            self.pending, self.payable = self.pending - worth, self.payable + worth

    def close(self, order_id: str) -> None:
        self._move(order_id, "CLOSED", "")

    def cancel_by_operator(self, order_id: str) -> None:
        """Everything that is left is cancelled, such as for a late shipment."""
        with self._changing(order_id) as order:
            self._cancel_whole(order, "SYSTEM_LATE_SHIPMENT_CANCELATION")

    def refund_by_hand(
        self, order_id: str, line_id: str, amount: str | None = None, *, shipping: str | None = None, reason: str = "19"
    ) -> str:
        """An agent or the operator refunds in a back office: all that is left of the line, or these amounts, with their taxes.
        Only the operator can make the balance negative, and here they do. The refund's id.
        """
        with self._changing(order_id) as order:
            line = self._line(order, line_id)
            given = {"amount": amount, "shipping_amount": shipping if shipping is not None or amount is None else "0"}
            item: Json = {"order_line_id": line_id, "reason_code": reason, "quantity": 0}
            for part, whole, taxes in PARTS:
                item[part] = left(line, part, whole) if given[part] is None else cents(given[part])
                item[taxes] = [
                    {"code": t["code"], "amount": share(line, part, whole, taxes, t["code"], item[part])} for t in line[taxes]
                ]
            return str(self._book(order, line, item, self._uuid(), by="hand", strict=False)["id"])

    def advance_refunds(self, order_id: str = "") -> None:
        """The operator's payments go one step on: waiting, waiting for payment, refunded."""
        with self.lock:
            for order in [self.orders[order_id]] if order_id else list(self.orders.values()):
                moved = [r for line in order["order_lines"] for r in line["refunds"] if r["refund_state"] in _AFTER]
                for refund in moved:
                    refund["refund_state"] = refund["state"] = _AFTER[refund["refund_state"]]
                    if refund["refund_state"] == "REFUNDED":
                        refund["transaction_date"] = self._now()
                        refund["transaction_number"] = f"TR-{refund['id']}"
                for line in order["order_lines"]:
                    self._finish(line)
                if moved and self.refunds_touch_orders:
                    self._touch(order)

    def pay_refunds(self, order_id: str = "") -> None:
        """Every refund becomes REFUNDED."""
        for _ in _AFTER:
            self.advance_refunds(order_id)

    def open_incident(self, order_id: str, line_id: str, reason: str = "1") -> None:
        with self._changing(order_id) as order:
            line = self._line(order, line_id)
            self._before_incident.setdefault(line_id, line["order_line_state"])
            line["order_line_state"], line["order_line_state_reason_code"] = "INCIDENT_OPEN", reason

    def close_incident(self, order_id: str, line_id: str) -> None:
        with self._changing(order_id) as order:
            self._end_incident(self._line(order, line_id))

    def open_return(self, order_id: str, lines: Mapping[str, int], *, rma: str = "", reason: str = "RETURN_CHANGED_MIND") -> str:
        """The customer asks for a return in the marketplace. The return's id."""
        with self.lock:
            return self.desk.open(self._uuid(), self.orders[order_id], lines, rma=rma, reason=reason)

    def set_return_state(self, return_id: str, state: str) -> None:
        """Someone moves the return in a back office."""
        with self.lock:
            self.desk.move(return_id, state)

    def _move(self, order_id: str, state: str, dated: str) -> None:
        with self._changing(order_id) as order:
            order["order_state"] = state
            for line in order["order_lines"]:
                if line["order_line_id"] in self._before_incident:
                    self._before_incident[line["order_line_id"]] = state
                elif line["order_line_state"] not in {"CANCELED", "REFUSED", "REFUNDED"}:
                    line["order_line_state"] = state
                if dated:
                    line.setdefault(dated, self._now())

    def _finish(self, line: Json) -> None:
        """A line all of which is refunded and paid."""
        if line["refunds"] and nothing_left(line) and all(r["refund_state"] == "REFUNDED" for r in line["refunds"]):
            line["order_line_state"] = "REFUNDED"
