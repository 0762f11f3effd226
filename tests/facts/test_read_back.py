"""A refund that came out otherwise than it was sent is told component by component, with both amounts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.facts.account import Account, Component
from engine.facts.effects import EffectState
from engine.facts.read_back import difference
from engine.facts.values import Items, Money, Rec
from tests.facts.words import T0

cents = st.integers(0, 5000).map(lambda n: Decimal(n) / 100)


def eur(amount: str | Decimal) -> Money:
    return Money(Decimal(amount), "EUR")


def account() -> Account:
    def part(whole: str, *, stated: bool = True) -> Component:
        amount = Decimal(whole)
        return Component(amount, amount, (amount,), Decimal(0), stated)

    parts = {
        ("price", ""): part("50.00"), ("shipping", ""): part("5.00"), ("tax", "STATED"): part("2.00"),
        ("tax", "WORKED_OUT"): part("4.00", stated=False), ("shipping_tax", "S"): part("0.50"),
    }  # fmt: skip
    return Account("EUR", True, 1, Decimal("0.01"), parts)


def sent(**params: Any) -> EffectState:
    known = {
        "amount": eur("50.00"),
        "shipping_amount": eur("5.00"),
        "taxes": taxes(STATED="2.00"),
        "shipping_taxes": taxes(S="0.50"),
    }
    return EffectState(
        "k", "marketplace.refund", "s", (), (), {**known, **params}, "r", "", "refund", "settled", T0
    )  # fmt: skip


def taxes(**amounts: str | Decimal) -> Items:
    return Items(Rec("tax", code, {"code": code, "amount": eur(amount)}) for code, amount in amounts.items())


def refund(**fields: Any) -> Rec:
    known = {
        "amount": eur("50.00"), "shipping_amount": eur("5.00"), "taxes": taxes(STATED="2.00", WORKED_OUT="4.00"),
        "shipping_taxes": taxes(S="0.50"),
    }  # fmt: skip
    return Rec("order_refund", "R", {**known, **fields})


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({}, None),
        ({"amount": eur("30.00")}, "item 50.00 EUR sent but 30.00 EUR refunded"),
        ({"amount": eur("50.01")}, "item 50.00 EUR sent but 50.01 EUR refunded"),
        ({"shipping_amount": None}, "shipping 5.00 EUR sent but 0.00 EUR refunded"),
        ({"taxes": taxes(WORKED_OUT="4.00")}, "tax STATED 2.00 EUR sent but 0.00 EUR refunded"),
        ({"taxes": taxes(STATED="2.00", WORKED_OUT="4.01")}, None),  # the marketplace rounds as it likes
        ({"taxes": taxes(STATED="2.01", WORKED_OUT="4.00")}, "tax STATED 2.00 EUR sent but 2.01 EUR refunded"),
        ({"taxes": taxes(STATED="2.00", WORKED_OUT="4.02")}, "tax WORKED_OUT 4.00 EUR sent but 4.02 EUR refunded"),
        ({"taxes": taxes(STATED="2.00", WORKED_OUT="4.00", NEW="1.00")}, "tax NEW 0.00 EUR sent but 1.00 EUR refunded"),
        ({"taxes": None, "shipping_taxes": None}, None),  # it tells nothing of taxes
        (
            {"amount": eur("52.00"), "shipping_taxes": Items()},
            "item 50.00 EUR sent but 52.00 EUR refunded; shipping tax S 0.50 EUR sent but 0.00 EUR refunded",
        ),
    ],
)
def test_each_component_that_differs_is_named_with_both_amounts(made: dict[str, Any], said: str | None) -> None:
    assert difference(account(), sent(), refund(**made)) == said


@given(cents, cents, cents)
def test_the_same_sum_in_other_components_is_a_difference(price: Decimal, shipping: Decimal, shifted: Decimal) -> None:
    effect = sent(amount=eur(price + shifted), shipping_amount=eur(shipping), taxes=Items())
    made = refund(amount=eur(price), shipping_amount=eur(shipping + shifted), taxes=None)
    told = difference(account(), effect, made)
    assert (told is None) == (shifted == 0)
    if told is not None:
        assert told.count("sent but") == 2
