"""What the sandbox shop knows: orders and what became of them, in no one's wire format."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(slots=True)
class Line:
    id: int
    sku: str
    quantity: int
    price: Decimal  # of one piece


@dataclass(slots=True)
class RefundLine:
    id: int
    line: Line
    quantity: int
    restock: str
    tax: Decimal = Decimal(0)

    @property
    def subtotal(self) -> Decimal:
        return self.line.price * self.quantity


@dataclass(slots=True)
class Transaction:
    id: int
    kind: str
    status: str
    amount: Decimal
    processed_at: datetime


@dataclass(slots=True)
class StoreRefund:
    id: int
    created_at: datetime
    note: str
    user_id: int | None
    lines: list[RefundLine]
    transactions: list[Transaction]


@dataclass(slots=True)
class Fulfillment:
    id: int
    created_at: datetime
    updated_at: datetime
    status: str
    tracking_number: str


@dataclass(slots=True)
class StoreOrder:
    id: int
    name: str
    currency: str
    created_at: datetime
    updated_at: datetime
    lines: list[Line]
    attributes: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    source_identifier: str | None = None
    financial_status: str = "paid"
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None
    refunds: list[StoreRefund] = field(default_factory=list)
    fulfillments: list[Fulfillment] = field(default_factory=list)

    def line_of(self, sku: str) -> Line:
        """The line of an article. Raises LookupError."""
        for line in self.lines:
            if line.sku == sku:
                return line
        raise LookupError(f"order {self.name} has no {sku!r}")

    def refund_of(self, refund_id: int) -> StoreRefund:
        for refund in self.refunds:
            if refund.id == refund_id:
                return refund
        raise LookupError(f"order {self.name} has no refund {refund_id}")
