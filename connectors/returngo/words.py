"""ReturnGO's closed vocabularies beside ours. Its page lists exactly these statuses."""

from __future__ import annotations

from collections.abc import Mapping

RMA_STATUS: Mapping[str, str] = {
    "requested": "Pending",
    "approved": "Approved",
    "received": "Received",
    "validated": "Validated",
    "done": "Done",
    "rejected": "Rejected",
    "cancelled": "Canceled",
}
SHIPMENT_STATUS: Mapping[str, str] = {
    "pending": "Pending",
    "label_created": "LabelCreated",
    "shipped": "Shipped",
    "received": "Received",
    "validated": "Validated",
    "cancelled": "Canceled",
}
FINAL = frozenset({"Done", "Rejected", "Canceled"})  # of an RMA; one of these may still be reopened by hand
EVENT_NAMES = (
    "RMA_CREATED",
    "RMA_STATUS_UPDATED",
    "SHIPMENT_CREATED",
    "SHIPMENT_STATUS_UPDATED",
    "SHIPMENT_TRACKER_STATUS_UPDATED",
    "TRANSACTION_CREATED",
    "REFUND_CREATED",
)
