"""The JSON shapes of ReturnGO's API, as the sandbox sends them: every key a detail answer was seen to have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Json = dict[str, Any]

SHIPPED = "Ship with any carrier"
NO_SHIPMENT = "No shipment required"
NOT_INSPECTED: Mapping[str, Any] = {
    "isRestockable": False,
    "isReturned": False,
    "nonRestockableReason": None,
    "nonReturnedReason": None,
    "storeLocationId": None,
    "lastValidationDate": None,
    "lastValidatedBy": None,
    "thirdPartyName": None,
    "userDetails": None,
}


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece a customer sends back. `paid` and `tax` are for the piece, in the shop's currency."""

    line_item_id: str
    sku: str
    paid: str
    tax: str = "0"
    tax_included: bool = True
    resolution: str = "RefundToPaymentMethod"
    method: str = SHIPPED
    reason: str = "Does not fit"


def event(name: str, at: str, via: str) -> Json:
    return {"eventName": name, "eventDate": at, "triggeredVia": via, "storeLocationId": "online", "userDetails": None}


def amount(value: Decimal, currency: str) -> Json:
    """Numbers as they come: 199 and 25.96, never 199.00."""
    plain = int(value) if value == value.to_integral_value() else value.normalize()
    return {"amount": plain, "currency": currency, "shopAmount": plain, "shopCurrency": currency}


def shipment(number: str, *, outbound: bool = False) -> Json:
    names = ("carrierName", "requestedServiceLevel", "actualServiceLevel", "trackingNumber", "trackingURL", "labelURL")
    return {
        "shipmentId": number,
        "status": "Pending",
        **dict.fromkeys(names),
        "customerAddress": _address("Customer"),
        "returnAddress": _address("Returns"),
        "isOutbound": outbound,
    }


def item(piece: Piece, number: str, shipment_id: str | None, currency: str) -> Json:
    """One piece; `shipmentId` is absent where it need not come back."""
    return {
        "shopLineItemId": piece.line_item_id,
        "shopProductId": "1" + piece.line_item_id,
        "variantId": "2" + piece.line_item_id,
        "returnedItemId": number,
        "fullName": piece.sku,
        "productName": piece.sku,
        "image": "",
        "sku": piece.sku,
        "paidPrice": amount(Decimal(piece.paid), currency),
        "paidTax": amount(Decimal(piece.tax), currency),
        "taxIncluded": piece.tax_included,
        "returnReason": piece.reason,
        "extendedReason": f" > {piece.reason} <br />\n > Yes",
        "resolutionName": piece.resolution,
        "resolutionType": piece.resolution,
        "policyRuleName": "Default policy rule",
        "isAutoApprove": 0,
        "restockingFee": 0,
        "returnFee": 0,
        "shipmentFee": 0,
        **({"shipmentId": shipment_id} if shipment_id else {}),
        "returnMethod": {"type": piece.method, "name": piece.method},
        "itemValidationStatusResponse": dict(NOT_INSPECTED),
        "exchangeItems": [],
        "followUpQuestions": [],
    }


def rma(
    number: str,
    order_id: str,
    order_name: str,
    now: str,
    *,
    shipments: Sequence[Json],
    items: Sequence[Json],
    out_of_policy: bool,
) -> Json:
    return {
        "rmaSummary": {
            "rmaId": number,
            "status": "Pending",
            "order_name": order_name,
            "events": [event("RMA_CREATED", now, "Return Portal")],
        },
        "orderDetails": {"orderId": order_id, "order_name": order_name},
        "shipments": list(shipments),
        "items": list(items),
        "comments": [],
        "exchangeOrders": [],
        "exchangeItems": [],
        "cancellationFee": 0,
        "transactions": [],
        "createdAt": now,
        "lastUpdated": now,
        "isOutOfPolicy": int(out_of_policy),
    }


def transaction(number: int, kind: str, value: Json, *, status: str, pieces: Sequence[str], now: str) -> Json:
    """A failed one has a reference of its refund too, as seen live."""
    return {
        "id": number,
        "type": kind,
        "externalReferenceId": str(880_000 + number),
        "externalReferenceType": "StoreCreditCode" if kind == "RefundToStoreCredit" else "PlatformRefundId",
        "amount": value,
        "status": status,
        "processor": "Shopify",
        "bankAccountDetails": None,
        "returnItemIds": list(pieces),
        "createdAt": now,
        "lastUpdated": now,
    }


def _address(name: str) -> Json:
    return {
        "name": name,
        "street1": "1 Example Street",
        "street2": "",
        "city": "Springfield",
        "state": "IL",
        "zip": "62701",
        "country": "US",
        "phone": "",
        "email": f"{name.lower()}@example.test",
    }
