"""The sandbox's returns, and how ShipBob's API 2026-01 writes them: one way when listed, a shorter one when just created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = dict[str, Any]
AWAITING, ARRIVED, PROCESSING, COMPLETED, CANCELLED = (
    "AwaitingArrival", "Arrived", "Processing", "Completed", "Cancelled",
)  # fmt: skip


@dataclass(slots=True)
class Piece:
    """What is expected of one inventory id, and what was done with what came: (action, pieces, reason)."""

    id: int
    sku: str
    expected: int
    requested: str
    taken: list[tuple[str, int, str]] = field(default_factory=list)


@dataclass(slots=True)
class ReturnOrder:
    id: int
    reference_id: str
    tracking_number: str | None
    fulfillment_center: int
    created_at: datetime
    pieces: list[Piece]
    status: str = AWAITING
    moments: dict[str, datetime] = field(default_factory=dict)  # when each status was reached


def listed(order: ReturnOrder, channel: int) -> Json:
    """`PublicReturnDto`: what `GET /return` and deliveries show."""
    return {
        **_both(order, channel),
        "awaiting_arrival_date": _instant(order.created_at),
        "arrived_date": _instant(order.moments.get(ARRIVED)),
        "processing_date": _instant(order.moments.get(PROCESSING)),
        "cancelled_date": _instant(order.moments.get(CANCELLED)),
        "shipment_tracking_number": None,
        "status_history": [
            {"status": AWAITING, "timestamp": _instant(order.created_at)},
            *({"status": status, "timestamp": _instant(moment)} for status, moment in order.moments.items()),
        ],
        "inventory": [
            {**_item(piece), "sku": piece.sku, "barcodes": [], "lot_information": {"number": None, "expiration": None}}
            for piece in order.pieces
        ],
        "invoice": {"amount": None, "currency_code": None},
    }


def created(order: ReturnOrder, channel: int) -> Json:
    """`PublicReturnV1Dto`: what `POST /return` answers, without SKUs and without dates of arrival."""
    return {**_both(order, channel), "inventory": [_item(piece) for piece in order.pieces], "invoice_amount": None}


def _both(order: ReturnOrder, channel: int) -> Json:
    return {
        "id": order.id,
        "reference_id": order.reference_id,
        "return_type": "Regular",
        "status": order.status,
        "tracking_number": order.tracking_number,
        "original_shipment_id": None,
        "store_order_id": None,
        "customer_name": "Demo",
        "channel": {"id": channel, "name": "Demo"},
        "fulfillment_center": {"id": order.fulfillment_center, "name": "Demo FC"},
        "insert_date": _instant(order.created_at),
        "completed_date": _instant(order.moments.get(COMPLETED)),
        "transactions": [],
    }


def _item(piece: Piece) -> Json:
    taken: list[Mapping[str, Any]] = [
        {"action": action, "action_reason": reason or None, "image_url": None, "quantity_processed": quantity}
        for action, quantity, reason in piece.taken
    ]
    return {
        "id": piece.id,
        "name": piece.sku,
        "quantity": piece.expected,
        "action_requested": {"action": piece.requested, "action_type": "Inventory Default", "instructions": None},
        "action_taken": taken,
    }


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
