"""The amounts of a refund or cancellation, per component of a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from engine.facts.account import PRICE, SHIPPING, SHIPPING_TAX, TAX, ZERO, Account, ComponentKey
from engine.facts.allocate import exact
from engine.facts.assemble import OrderLine
from engine.facts.values import Rec


def payload(line: Rec, units: Sequence[Rec], *, reason: str, shipping: bool = True) -> dict[str, Any]:
    """What a refund or cancellation of these units of this line has to say.

    Each unit's share of price, shipping and every tax of rule `none`, at most what is left of it on the line; the last open
    units also get what rounding left behind. Taxes the marketplace works out in proportion are left out, as are those of
    nothing. Raises `ValueError` where the price of the line is not known.
    """
    account = line.account if isinstance(line, OrderLine) else None
    if account is None:
        raise ValueError(f"{line.item} has no price to share among its units")
    with exact():
        return _payload(line, account, units, reason=reason, shipping=shipping)


def _payload(line: Rec, account: Account, units: Sequence[Rec], *, reason: str, shipping: bool) -> dict[str, Any]:
    numbers = {unit["number"] for unit in units}
    last = not any(u["number"] not in numbers and not u["settled"] and not u["in_flight"] for u in line["units"])
    amounts = account.due(numbers, last=last)
    if not shipping:
        amounts = {key: ZERO if key[0] in (SHIPPING[0], SHIPPING_TAX) else amount for key, amount in amounts.items()}
    order = line["order"] or {}
    return {
        "line": line["id"],
        "order": order.get("id"),
        "currency": account.currency,
        "tax_mode": "excluded" if account.on_top else "included",
        "reason": reason,
        "quantity": len(units),
        "amount": account.money(amounts[PRICE]),
        "shipping_amount": account.money(amounts[SHIPPING]),
        "taxes": _stated(account, amounts, TAX),
        "shipping_taxes": _stated(account, amounts, SHIPPING_TAX),
    }


def _stated(account: Account, amounts: Mapping[ComponentKey, Decimal], what: str) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"code": key[1], "amount": account.money(amount)}
        for key, amount in amounts.items()
        if key[0] == what and amount and account.components[key].stated
    )
