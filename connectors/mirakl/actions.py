"""What rules can ask of the marketplace, and the request bodies that ask it of Mirakl."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from engine.facts.outside import Action, Codes, Order, Param, Refused
from engine.facts.schema import BOOLEAN, TEXT, enum_of, list_of, record_of
from engine.facts.values import Money

Json = dict[str, Any]
_UNITS = Param(list_of(record_of("unit")), "Order-line units, or whatever names them: units of an RMA, refunds in the store")
_REASON = Param(TEXT, "Why, in our words; `codes` maps it to the operator's reason code", required=False)
_CODED = MappingProxyType({"reason": "The operator's code for a reason, as RE01 lists them"})
# another refund of the line is paid, the shop earns again, the customer is debited: nobody has to do anything for that
_PASSES = MappingProxyType(
    {"refund_in_progress": timedelta(minutes=30), "balance_too_low": timedelta(hours=1), "not_debited": timedelta(hours=1)}
)
_RETURN = Param(record_of("market_return"), "The return in the marketplace")

_DECLARED = (
    Action(
        "refund",
        {"units": _UNITS, "reason": _REASON},
        subject=("units",),
        doc="Refund units of an order line, with their share of shipping and taxes (OR28)",
        coded=_CODED,
        passes=_PASSES,
    ),
    Action(
        "cancel",
        {"units": _UNITS, "reason": _REASON},
        subject=("units",),
        doc="Cancel units of an order line that is not debited yet (OR30, or OR29 where it is the whole order)",
        coded=_CODED,
    ),
    Action(
        "resolve_incident",
        {"line": Param(record_of("order_line"), "The order line with the incident"), "reason": _REASON},
        subject=("line",),
        doc="Say that the incident on an order line is resolved (OR64); the customer or the operator closes it",
        coded=_CODED,
        once=False,
    ),
    Action(
        "set_return",
        {
            "market_return": _RETURN,
            "state": Param(enum_of("accepted", "refused", "received", "closed"), "What the return shall become"),
            "reason": _REASON,
        },
        subject=("market_return",),
        doc="Accept or refuse a return (RT21), mark it received (RT25) or close it (RT27)",
        coded=_CODED,
        once=False,
        sets="state",
    ),
    Action(
        "report_compliance",
        {
            "market_return": _RETURN,
            "compliant": Param(BOOLEAN, "Whether what came back was in order, for every line of the return"),
            "reason": _REASON,
        },
        subject=("market_return",),
        doc="Tell the marketplace what was found in a return (RT26)",
        coded=_CODED,
        quiet=timedelta(minutes=5),
    ),
)
_TAX_MODES = MappingProxyType({"included": "TAX_INCLUDED", "excluded": "TAX_EXCLUDED"})
ACTIONS: Mapping[str, Action] = MappingProxyType({a.name: a for a in _DECLARED})


def action_of(order: Order) -> str:
    """`refund` of `marketplace.refund`."""
    return order.action.rpartition(".")[2]


def code_for(order: Order, codes: Codes) -> str:
    """The operator's code for the order's reason. Without a reason it is the `default`.
    Raises `Refused("reason_unmapped")` where there is none.
    """
    table = codes.get(f"marketplace.{action_of(order)}.reason", {})
    word = order.params.get("reason")
    key = "default" if word in {None, ""} else str(word)
    if key not in table:
        raise Refused("reason_unmapped", f"no reason code for {key!r} in marketplace.{action_of(order)}.reason")
    return str(table[key])


def refund_body(order: Order, code: str) -> Json:
    """OR28 for one line. Taxes Mirakl does not work out by itself are stated, each with its exact amount."""
    return {"order_tax_mode": _tax_mode(order), "refunds": [_item(order, code)]}


def cancel_body(order: Order, code: str, *, order_level_taxes: bool) -> Json:
    """OR30 for one line. With taxes worked out per order, Mirakl forbids taxes here in TAX_EXCLUDED."""
    item = _item(order, code)
    if order_level_taxes and _tax_mode(order) == "TAX_EXCLUDED":
        item.pop("taxes", None)
        item.pop("shipping_taxes", None)
    return {"order_tax_mode": _tax_mode(order), "cancelations": [item]}


def _tax_mode(order: Order) -> str:
    """Amounts mean nothing without it, and the platform's default may be the other one."""
    mode = str(order.params.get("tax_mode"))
    if mode not in _TAX_MODES:
        raise Refused("invalid_request", f"whether the amounts of order {order.params['order']} hold their taxes is not known")
    return _TAX_MODES[mode]


def _item(order: Order, code: str) -> Json:
    params = order.params
    amount, shipping = _exact(params["amount"]), _exact(params.get("shipping_amount"))
    taxes, shipping_taxes = _taxes(params.get("taxes")), _taxes(params.get("shipping_taxes"))
    every = [amount, shipping, *(t["amount"] for t in (*taxes, *shipping_taxes))]
    if min(every) < 0 or not any(every):
        raise Refused("invalid_amount", f"{amount} and {shipping} for shipping on line {params['line']}")
    item: Json = {
        "order_line_id": str(params["line"]),
        "amount": amount,
        "shipping_amount": shipping,
        "quantity": int(params.get("quantity") or 0),
        "reason_code": code,
        "currency_iso_code": str(params["currency"]),
    }
    if taxes:
        item["taxes"] = taxes
    if shipping_taxes:
        item["shipping_taxes"] = shipping_taxes
    return item


def _taxes(given: Any) -> list[Json]:
    return [{"code": str(t["code"]), "amount": _exact(t["amount"])} for t in given or ()]


def _exact(value: Any) -> Decimal:
    if value is None:
        return Decimal(0)
    return value.amount if isinstance(value, Money) else Decimal(value)
