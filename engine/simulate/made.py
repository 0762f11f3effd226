"""What a refund or cancellation leaves in the order it was made for, as the marketplace shows it from then on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.facts.values import Money

SHOWN_IN = {"refund": "refunds", "cancel": "cancelations"}
_TAKEN = ("amount", "shipping_amount", "taxes", "shipping_taxes", "quantity")


def with_made(order: Mapping[str, Any], what: str, params: Mapping[str, Any], made_id: str, at: datetime) -> dict[str, Any]:
    """The fields of the order after a `refund` or `cancel` with these parameters."""
    shown = SHOWN_IN[what]
    made = {"id": made_id, "created_at": at, "reason_code": str(params.get("reason") or "")}
    made |= {name: params[name] for name in _TAKEN}
    lines = []
    for line in order.get("lines") or ():
        if line["id"] == params["line"]:
            extra = {"state": "refunded", **_commission(line, made)} if shown == "refunds" else {}
            line = {**line, shown: (*(line.get(shown) or ()), made | extra)}  # noqa: PLW2901 - the line with one more
        lines.append(line)
    return {**order, "lines": tuple(lines)}


def _commission(line: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """The share of the line's commission that a refund brings back, to the cent."""
    fee, price, shipping = line.get("commission"), line.get("price"), line.get("shipping_price")
    whole = (price.amount if isinstance(price, Money) else Decimal(0)) + (shipping.amount if isinstance(shipping, Money) else 0)
    if not isinstance(fee, Money) or not whole:
        return {}
    share = fee.amount * (made["amount"].amount + made["shipping_amount"].amount) / whole
    given_back = Money(share.quantize(Decimal("0.01")), fee.currency)
    return {"commission": given_back, "commission_total": given_back}
