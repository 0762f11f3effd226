"""The lines a refund is booked as. Negative amounts leave us, positive ones come back to us."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.facts.outside import Order, Refused
from engine.facts.values import CurrencyMismatch, Money

LEAVES_US, COMES_BACK = -1, 1
_TAXES = (
    ("tax", "taxes", LEAVES_US),
    ("shipping_tax", "shipping_taxes", LEAVES_US),
    ("commission_tax", "commission_taxes", COMES_BACK),
)


@dataclass(frozen=True, slots=True)
class PostingLine:
    """One booked component. `tax_mode` tells whether `amount` and `shipping` hold their taxes (`included`, `excluded`)."""

    posting: str
    kind: str  # refund | adjustment
    posted_at: datetime
    order_id: str
    order_line_id: str
    refund_id: str
    component: str
    code: str
    amount: Money
    tax_mode: str

    @property
    def id(self) -> str:
        return "/".join(part for part in (self.posting, self.component, self.code) if part)


@dataclass(frozen=True, slots=True)
class _Of:
    """What all lines of a posting have in common."""

    posting: str
    kind: str
    posted_at: datetime
    order_id: str
    order_line_id: str
    refund_id: str
    tax_mode: str

    def line(self, component: str, amount: Money, code: str = "") -> PostingLine:
        return PostingLine(
            self.posting, self.kind, self.posted_at, self.order_id, self.order_line_id, self.refund_id,
            component, code, amount, self.tax_mode,
        )  # fmt: skip


def lines_of(order: Order, posted_at: datetime, booked: Iterable[PostingLine]) -> tuple[PostingLine, ...]:
    """What an order books, where `booked` is in the books already. Raises `Refused`."""
    action = order.action.rpartition(".")[2]
    if action not in {"post", "adjust"}:
        raise Refused("unknown_action", order.action)
    refund = order.params["refund"]
    if not isinstance(refund.get("amount"), Money):
        raise Refused("incomplete", f"refund {refund.get('id')} has no amount")
    try:
        if action == "post":
            return tuple(_refund_lines(_of(order, "refund", posted_at), refund))
        return (_adjustment(_of(order, "adjustment", posted_at), order.params.get("commission"), booked),)
    except CurrencyMismatch as fault:
        raise Refused("currency_differs", f"refund {refund['id']}: {fault}") from None


def _of(order: Order, kind: str, posted_at: datetime) -> _Of:
    refund = order.params["refund"]
    line = refund.get("parent") or {}
    line_id = str(line.get("id") or "")
    order_id = str(line.get("key") or "").removesuffix(f"/{line_id}")
    return _Of(order.key, kind, posted_at, order_id, line_id, str(refund["id"]), _tax_mode(refund))


def _refund_lines(of: _Of, refund: Mapping[str, Any]) -> Iterator[PostingLine]:
    """The amount always, so that every posting is found again; any other component where it is not zero."""
    yield of.line("amount", refund["amount"] * LEAVES_US)
    for component, name, sign in (("shipping", "shipping_amount", LEAVES_US), ("commission", "commission", COMES_BACK)):
        if isinstance(refund.get(name), Money) and refund[name]:
            yield of.line(component, refund[name] * sign)
    for component, name, sign in _TAXES:
        for code, amount in _by_code(refund.get(name) or ()).items():
            if amount:
                yield of.line(component, amount * sign, code)
    if not refund.get("commission_taxes"):
        rest = _unnamed_commission_tax(refund)
        if rest:
            yield of.line("commission_tax", rest * COMES_BACK)


def _by_code(taxes: Iterable[Mapping[str, Any]]) -> dict[str, Money]:
    """Taxes added up by code: two entries of one code are one line of the books."""
    found: dict[str, Money] = {}
    for tax in taxes:
        code, amount = str(tax.get("code") or ""), tax.get("amount")
        if isinstance(amount, Money):
            found[code] = found[code] + amount if code in found else amount
    return found


def _unnamed_commission_tax(refund: Mapping[str, Any]) -> Money | None:
    """Where only the commission with tax is known, the tax is the difference."""
    net, whole = refund.get("commission"), refund.get("commission_total")
    return whole - net if isinstance(net, Money) and isinstance(whole, Money) else None


def _adjustment(of: _Of, wanted: Any, booked: Iterable[PostingLine]) -> PostingLine:
    """What makes the commission booked for the refund the one it should be. Written even where that is nothing."""
    if not isinstance(wanted, Money):
        raise Refused("incomplete", f"refund {of.refund_id}: the commission it should be is missing")
    there = Money(Decimal(0), wanted.currency)
    for line in booked:
        if line.refund_id == of.refund_id and line.component == "commission":
            there = there + line.amount
    return of.line("commission", wanted * COMES_BACK - there)


def _tax_mode(refund: Mapping[str, Any]) -> str:
    """Read off the total: it is the amounts, or the amounts and the taxes. Empty where there is no tax to tell it by."""
    given = [refund["amount"], refund.get("shipping_amount")]
    taxes = [tax.get("amount") for name in ("taxes", "shipping_taxes") for tax in refund.get(name) or ()]
    total = refund.get("total")
    if not isinstance(total, Money):
        return ""
    zero = Money(Decimal(0), total.currency)
    net = sum((m for m in given if isinstance(m, Money)), zero)
    tax = sum((m for m in taxes if isinstance(m, Money)), zero)
    if not tax:
        return ""
    return {net: "included", net + tax: "excluded"}.get(total, "")
