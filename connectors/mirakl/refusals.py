"""Why Mirakl said no, in words rules can read.

No error codes or messages are published for OR28, OR29, OR30, OR64 and the returns calls, and messages are localised. So
the word comes from the status and from the order as it stands; a message only adds what the order cannot tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from connectors.http import HttpError
from connectors.mirakl.client import Json, objects
from engine.facts.outside import Refused

REFUNDABLE = frozenset({"SHIPPING", "SHIPPED", "TO_COLLECT", "RECEIVED", "INCIDENT_OPEN"})
CANCELABLE = frozenset({"STAGING", "WAITING_ACCEPTANCE", "WAITING_DEBIT", "WAITING_DEBIT_PAYMENT", "SHIPPING"})
UNPAID = frozenset({"WAITING_REFUND_TAX_CONFIRMATION", "WAITING_REFUND", "WAITING_REFUND_PAYMENT"})
_BALANCE = re.compile(r"balance|\bsolde\b|\bsaldo\b|guthaben", re.IGNORECASE)
_WORDS = (
    (re.compile(r"\btax(es)?\b", re.IGNORECASE), "tax_missing"),
    (re.compile(r"reason[ _]code|reason\b.*\b(cannot|not|invalid)\b|invalid reason", re.IGNORECASE), "reason_not_allowed"),
    (re.compile(r"in progress", re.IGNORECASE), "refund_in_progress"),
    (re.compile(r"\bamount\b|exceed", re.IGNORECASE), "invalid_amount"),
    (re.compile(r"does not exist|not found", re.IGNORECASE), "not_found"),
    (re.compile(r"invalid state|must be '|expected state", re.IGNORECASE), "wrong_state"),
)


def by_status(no: HttpError) -> Refused | None:
    """What the status alone settles."""
    if no.status == 403:
        return Refused("missing_role", said(no))
    if no.status == 404:
        return Refused("not_found", said(no))
    return None


def by_message(detail: str, *, otherwise: str = "invalid_request") -> Refused:
    """The word for a message, where nothing better is known."""
    return Refused(next((word for pattern, word in _WORDS if pattern.search(detail)), otherwise), detail)


def speaks_of_balance(detail: str) -> bool:
    return bool(_BALANCE.search(detail))


def said(no: HttpError) -> str:
    """The outside's own words: `message` (`error_message` in parts of the API), `code` and `errors[]` where there are any, else
    the body as text.
    """
    body = no.json()
    if not isinstance(body, dict):
        return no.body[:500].decode("utf-8", "replace").strip() or f"HTTP {no.status}"
    found = [body, *objects(body, "errors")]
    words = [str(part[name]) for part in found for name in ("code", "field", "message", "error_message") if part.get(name)]
    return "; ".join(words)[:500] or f"HTTP {no.status}"


def refund_refused(order: Json, line_id: str, item: Json, detail: str) -> Refused | None:
    """Why a refund of `item` on that line could not be, judged by the order as OR11 shows it now."""
    line = _line(order, line_id)
    if line is None:
        return Refused("not_found", detail)
    checks: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("order_closed", lambda: "CLOSED" in (order.get("order_state"), line.get("order_line_state"))),
        ("not_debited", lambda: not (line.get("debited_date") or order.get("customer_debited_date"))),
        ("line_not_refundable", lambda: line.get("order_line_state") not in REFUNDABLE),
        ("tax_missing", lambda: _tax_missing(line, item)),
        ("invalid_amount", lambda: _too_much(line, item, besides=UNPAID)),
        ("refund_in_progress", lambda: _too_much(line, item)),
        # refunds of these need a setting of the platform (PC01 refund_cancel_authorized)
        ("line_not_refundable", lambda: order.get("customer_directly_pays_seller") is True),
    )
    return next((Refused(word, detail) for word, holds in checks if holds()), None)


def refund_waits(order: Json, line_id: str) -> bool:
    """Whether a refund of the line is still under way: some operators take one at a time."""
    line = _line(order, line_id)
    return line is not None and any(_state(r) in UNPAID for r in objects(line, "refunds"))


def cancel_refused(order: Json, line_id: str, item: Json, detail: str) -> Refused | None:
    """Why a cancellation of `item` could not be: paid orders are refunded, not cancelled."""
    line = _line(order, line_id)
    if line is None:
        return Refused("not_found", detail)
    if line.get("debited_date") or line.get("order_line_state") not in CANCELABLE:
        return Refused("line_not_cancelable", detail)
    return Refused("invalid_amount", detail) if _too_much(line, item) else None


def _line(order: Json, line_id: str) -> Json | None:
    return next((one for one in objects(order, "order_lines") if one.get("order_line_id") == line_id), None)


def _state(refund: Json) -> Any:
    # `state` is the deprecated name of `refund_state`; samples have only one or the other
    return refund.get("refund_state") or refund.get("state")


def _too_much(line: Json, item: Json, besides: frozenset[str] = frozenset()) -> bool:
    """Whether more is asked for than is left, not counting refunds in the states `besides`."""
    gone = [*(r for r in objects(line, "refunds") if _state(r) not in besides), *objects(line, "cancelations")]
    parts = (("price", "amount"), ("shipping_price", "shipping_amount"))
    return any(_number(item, mine) > _number(line, whole) - sum(_number(g, mine) for g in gone) for whole, mine in parts)


def _tax_missing(line: Json, item: Json) -> bool:
    """A tax with rule NONE is only refunded when its amount is stated."""
    for name, part in (("taxes", "amount"), ("shipping_taxes", "shipping_amount")):
        stated = {t["code"] for t in objects(item, name) if _number(t, "amount")}
        due = {t.get("code") for t in objects(line, name) if t.get("tax_calculation_rule") == "NONE" and _number(t, "amount")}
        if _number(item, part) and due - stated:
            return True
    return False


def _number(body: Mapping[str, Any], name: str) -> Decimal:
    value = body.get(name)
    return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else Decimal(0)
