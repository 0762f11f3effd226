"""An expected return: what ShipBob is told of it, and which of several returns of one reference counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from engine.facts.outside import Refused

Return = Mapping[str, Any]
LONGEST_REFERENCE = 50  # ShipBob's limit
AWAITING, CANCELLED = "AwaitingArrival", "Cancelled"
_PROGRESS = (CANCELLED, AWAITING, "Arrived", "Processing", "Completed")


def reference_of(text: str) -> str:
    """The reference ShipBob is given: the text itself where it may be one, else its start and a digest of it.

    A comma would split it in ShipBob's own filters.
    """
    if len(text) <= LONGEST_REFERENCE and text.isascii() and text.isprintable() and "," not in text:
        return text
    start = "".join(c if c.isascii() and c.isalnum() else "-" for c in text[: LONGEST_REFERENCE - 13])
    return f"{start}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def request_body(
    shipment: Mapping[str, Any], inventory: Mapping[str, int], fulfillment_center: int, action: str
) -> dict[str, Any]:
    """`POST /return` for a shipment with its `lines`. Raises `Refused` for what cannot be announced.

    ShipBob takes each inventory id once, so articles that share one are added up.
    """
    reference = shipment.get("receipt_ref")
    if not reference:
        raise Refused("no_reference", f"shipment {shipment.get('id')} has no receipt_ref: nothing is expected of it")
    wanted: dict[int, int] = {}
    for line in shipment.get("lines") or ():
        if line["sku"] not in inventory:
            raise Refused(
                "sku_unknown",
                f"{line['sku']!r} has no ShipBob inventory id in `inventory` or under codes.warehouse.create_asn.sku",
            )
        wanted[inventory[line["sku"]]] = wanted.get(inventory[line["sku"]], 0) + int(line["quantity"])
    if not wanted or min(wanted.values()) < 1:
        raise Refused("nothing_expected", f"shipment {shipment.get('id')} has no pieces")
    body: dict[str, Any] = {
        "fulfillment_center": {"id": fulfillment_center},
        "inventory": [{"id": i, "quantity": n, "requested_action": action} for i, n in sorted(wanted.items())],
        "reference_id": reference_of(str(reference)),
    }
    if shipment.get("tracking_number"):
        body["tracking_number"] = str(shipment["tracking_number"])
    return body


def status_of(found: Return) -> str:
    """`AwaitingArrival`, whichever way it is written: one schema has "Awaiting Arrival"."""
    return str(found.get("status") or "").replace(" ", "")


def foremost(found: Iterable[Return]) -> Return | None:
    """The return that counts among those of one reference: the furthest along, of equals the first made."""
    return max(found, key=lambda one: (_progress(one), -one["id"]), default=None)


def _progress(one: Return) -> int:
    status = status_of(one)
    return _PROGRESS.index(status) if status in _PROGRESS else _PROGRESS.index("Arrived")
