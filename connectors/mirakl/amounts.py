"""What Mirakl works out by itself when part of a line is refunded or cancelled: taxes and commission."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.mirakl.client import Json
from connectors.mirakl.shapes import CENT, ZERO, cents

PARTS: tuple[tuple[str, str, str], ...] = (
    ("amount", "price", "taxes"),
    ("shipping_amount", "shipping_price", "shipping_taxes"),
)


class No(Exception):  # noqa: N818 - an answer of the marketplace, not a fault of ours
    """Refused with a 4xx."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def left(line: Json, part: str, whole: str) -> Decimal:
    """What is left of the price or the shipping of a line: prices stay gross, what is gone is taken off."""
    gone = (one.get(part, ZERO) for one in (*line["refunds"], *line["cancelations"]))
    return Decimal(line[whole] - sum(gone, ZERO))


def tax_left(line: Json, taxes: str, code: str) -> Decimal:
    whole = sum((t["amount"] for t in line[taxes] if t["code"] == code), ZERO)
    gone = (t["amount"] for one in (*line["refunds"], *line["cancelations"]) for t in one.get(taxes, ()) if t["code"] == code)
    return Decimal(whole - sum(gone, ZERO))


def share(line: Json, part: str, whole: str, taxes: str, code: str, amount: Decimal) -> Decimal:
    """The tax that goes with `amount`: in proportion, the last part takes what is left."""
    rest, rest_of_tax = left(line, part, whole), tax_left(line, taxes, code)
    if amount >= rest:
        return rest_of_tax
    return min(cents(rest_of_tax * amount / rest), rest_of_tax)


def taken(line: Json, item: Mapping[str, Any], *, strict: bool) -> Json:
    """The amounts and taxes of a refund or cancellation of part of a line. Raises `No` where they do not fit.

    With `strict`, a tax of rule NONE that is due must be stated; else it is left out. Mirakl's page says both.
    """
    found: Json = {}
    for part, whole, taxes in PARTS:
        amount = _number(item.get(part), part)
        if amount < 0 or amount > left(line, part, whole):
            raise No(400, f"The {part} {amount} exceeds what is left on order line {line['order_line_id']}")
        found[part] = amount
        found[taxes] = _taxes(line, item, (part, whole, taxes), amount, strict=strict)
    if total(found) == 0:
        raise No(400, f"The amount of order line {line['order_line_id']} is zero")
    return found


def _taxes(line: Json, item: Mapping[str, Any], names: tuple[str, str, str], amount: Decimal, *, strict: bool) -> list[Json]:
    part, whole, taxes = names
    given = item.get(taxes) or []
    if not isinstance(given, list) or not all(isinstance(t, dict) for t in given):
        raise No(400, f"Error with field {taxes}. Please check the field datatype.")
    stated = {str(t.get("code")): t.get("amount") for t in given}
    unknown = set(stated) - {t["code"] for t in line[taxes]}
    if unknown:
        raise No(400, f"Unknown tax {sorted(unknown)} on order line {line['order_line_id']}")
    found: list[Json] = []
    for tax in line[taxes]:
        code = tax["code"]
        due = share(line, part, whole, taxes, code, amount)
        if tax["tax_calculation_rule"] == "NONE":
            value = _number(stated.get(code) or 0, taxes)
            if strict and due > CENT and value <= 0:  # a cent may be rounding
                raise No(400, f"The tax {code} of order line {line['order_line_id']} is required")
            if value < 0 or value > tax_left(line, taxes, code):
                raise No(400, f"The tax {code} exceeds what is left on order line {line['order_line_id']}")
            due = value
        found.append({"code": code, "amount": due})
    return found


def nothing_left(line: Json) -> bool:
    return not any(left(line, part, whole) for part, whole, _ in PARTS)


def total(found: Json) -> Decimal:
    """All amounts and taxes of a refund or cancellation, whatever the tax mode."""
    parts = (found["amount"], found["shipping_amount"])
    return sum(parts, ZERO) + sum((t["amount"] for t in (*found["taxes"], *found["shipping_taxes"])), ZERO)


def paid_to_customer(found: Json, tax_mode: str) -> Decimal:
    """With TAX_INCLUDED the taxes are in the amounts, with TAX_EXCLUDED they come on top."""
    return total(found) if tax_mode == "TAX_EXCLUDED" else Decimal(found["amount"] + found["shipping_amount"])


def commission(line: Json, found: Json) -> Json:
    """Commission given back with a refund or cancellation: in proportion to amount and shipping, its taxes on top."""
    whole = line["price"] + line["shipping_price"]
    part = found["amount"] + found["shipping_amount"]
    gone = [*line["refunds"], *line["cancelations"]]
    rest = whole - sum((g["amount"] + g["shipping_amount"] for g in gone), ZERO)

    def portion(fee: Decimal, back: Decimal) -> Decimal:
        if part >= rest:
            return fee - back
        return min(cents(fee * part / whole), fee - back) if whole else ZERO

    fee = portion(line["commission_fee"], sum((g["commission_amount"] for g in gone), ZERO))
    taxes = [
        {
            "code": t["code"],
            "amount": portion(
                t["amount"],
                sum((b["amount"] for g in gone for b in g["commission_taxes"] if b["code"] == t["code"]), ZERO),
            ),
        }
        for t in line["commission_taxes"]
    ]
    return {
        "commission_amount": fee,
        "commission_taxes": taxes,
        "commission_total_amount": fee + sum((t["amount"] for t in taxes), ZERO),
    }


def _number(value: Any, name: str) -> Decimal:
    """A number, or one written as text: samples of Mirakl's own requests have tax amounts as text."""
    try:
        number = Decimal("NaN" if isinstance(value, bool) or not isinstance(value, int | str | Decimal) else value)
    except ArithmeticError:
        number = Decimal("NaN")
    if not number.is_finite():
        raise No(400, f"Error with field {name}. Please check the field datatype.")
    return number
