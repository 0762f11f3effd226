"""A refund never exceeds what is left, per component, and never loses a cent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.derive import Facts
from engine.facts.refunds import payload
from engine.facts.values import Money, Rec
from tests.facts.words import at, effect, eur, facts, line, order, refund, units


def first_line(found: Facts) -> Rec:
    assert found.order is not None
    rec: Rec = found.order["lines"][0]
    return rec


def ask(found: Facts, *numbers: int, **more: Any) -> dict[str, Any]:
    return payload(first_line(found), [units(found)[f"A-1#{n}"] for n in numbers], reason="17", **more)


def taxed(quantity: int = 2, price: str = "100", **more: Any) -> dict[str, Any]:
    return line(
        quantity=quantity,
        price=price,
        shipping_price=eur("5.01"),
        taxes=(
            {"code": "STATE", "amount": eur("7.01"), "rule": "none"},
            {"code": "VAT", "amount": eur(20), "rule": "proportional"},
        ),
        shipping_taxes=({"code": "STATE", "amount": eur("0.01"), "rule": "none"},),
        **more,
    )


def test_a_refund_states_everything_the_marketplace_does_not_work_out_itself() -> None:
    assert ask(facts(order(taxed(), tax_mode="excluded")), 1) == {
        "line": "A-1",
        "order": "A",
        "currency": "EUR",
        "tax_mode": "excluded",
        "reason": "17",
        "quantity": 1,
        "amount": eur(50),
        "shipping_amount": eur("2.51"),
        "taxes": ({"code": "STATE", "amount": eur("3.51")},),
        "shipping_taxes": ({"code": "STATE", "amount": eur("0.01")},),
    }


def test_a_tax_of_nothing_is_left_out() -> None:
    assert ask(facts(order(taxed())), 2)["shipping_taxes"] == ()


def test_shipping_can_be_kept_back() -> None:
    kept = ask(facts(order(taxed())), 1, shipping=False)
    assert (kept["amount"], kept["shipping_amount"], kept["shipping_taxes"]) == (eur(50), eur(0), ())


def test_due_counts_every_tax_that_comes_on_top_also_those_the_marketplace_works_out() -> None:
    unit = units(facts(order(taxed(), tax_mode="excluded")))["A-1#1"]
    assert unit["due"] == eur("50") + eur("2.51") + eur("3.51") + eur("10") + eur("0.01")
    assert units(facts(order(taxed())))["A-1#1"]["due"] == eur("52.51")


def test_the_last_piece_gets_what_rounding_left_behind() -> None:
    by_hand = (refund("r1", "33.33", hours=1), refund("r2", "33.33", hours=2))
    found = facts(order(line(quantity=3, price="100", refunds=by_hand)))
    open_units = [u for u in units(found).values() if not u["settled"]]
    assert [u["due"] for u in open_units] == [eur("33.34")]
    assert payload(first_line(found), open_units, reason="")["amount"] == eur("33.34")


def test_goodwill_that_was_paid_apart_comes_off_the_last_piece() -> None:
    found = facts(order(line(quantity=2, price="100", refunds=(refund("r1", "10"),))), answers={"A/A-1/r1": "apart"})
    assert ask(found, 1)["amount"] == eur(50)
    assert ask(found, 1, 2)["amount"] == eur(90)


def test_what_was_kept_from_one_piece_is_not_paid_with_another() -> None:
    found = facts(order(line(quantity=2, price="100", refunds=(refund("r1", "40"),))), answers={"A/A-1/r1": "covers"})
    assert ask(found, 2)["amount"] == eur(50)


def test_what_is_under_way_is_not_promised_twice() -> None:
    found = facts(
        order(line(quantity=2, price="100", refunds=(refund("r0", "40", hours=0),))),
        effects=[effect("A-1#1", status="unsure")],
        answers={"A/A-1/r0": "apart"},
    )
    assert ask(found, 2)["amount"] == eur(10)
    assert first_line(found)["left"] == eur(60)


def test_what_we_refunded_is_gone_with_its_taxes_before_the_marketplace_shows_it() -> None:
    paid = effect("A-1#1", receipt={"refund_id": "r1"}, shipping="2.51", taxes=({"code": "STATE", "amount": eur("3.51")},))
    found = facts(order(taxed(), tax_mode="excluded"), effects=[paid])
    assert first_line(found)["left"] == eur("50") + eur("2.50") + eur("3.50") + eur("10") + eur("0.01")


def test_cancelled_money_is_not_left_to_refund() -> None:
    found = facts(order(line(quantity=2, price="100", cancelations=({"id": "c", "amount": eur(50), "created_at": at(0)},))))
    assert first_line(found)["left"] == eur(50)
    assert ask(found, 2)["amount"] == eur(50)


def test_a_line_without_a_price_cannot_be_refunded() -> None:
    found = facts(order(line(price="1") | {"price": None}))
    with pytest.raises(ValueError, match="order_line:A/A-1 has no price"):
        ask(found, 1)


def test_amounts_of_sixty_digits_are_not_rounded() -> None:
    price = "9" * 50 + "." + "01"
    assert ask(facts(order(line(quantity=2, price=price))), 1, 2)["amount"] == eur(price)


def test_yen_are_not_divided() -> None:
    jpy = line(quantity=3) | {"price": Money.of(100, "JPY"), "shipping_price": Money.of(0, "JPY")}
    found = facts(order(jpy, currency="JPY"))
    assert [ask(found, n)["amount"].amount for n in (1, 2, 3)] == [34, 33, 33]


def components(paid: dict[str, Any]) -> dict[tuple[str, str], Decimal]:
    found = {("price", ""): paid["amount"].amount, ("shipping", ""): paid["shipping_amount"].amount}
    for name in ("taxes", "shipping_taxes"):
        for tax in paid[name]:
            found[name, tax["code"]] = tax["amount"].amount
    return found


cents = st.integers(0, 20_000).map(lambda n: eur(Decimal(n) / 100))


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    quantity = draw(st.integers(1, 6))
    rules = st.sampled_from(["none", "proportional", None])
    taxes = tuple(
        {"code": c, "amount": draw(cents), "rule": draw(rules)} for c in draw(st.lists(st.sampled_from("VW"), unique=True))
    )
    more = {"taxes": taxes, "shipping_taxes": taxes[:1], "shipping_price": draw(cents)}
    return line(quantity=quantity, price="0") | {"price": draw(cents)} | more


def whole_of(sold: dict[str, Any]) -> dict[tuple[str, str], Decimal]:
    found = {("price", ""): sold["price"].amount, ("shipping", ""): sold["shipping_price"].amount}
    for name in ("taxes", "shipping_taxes"):
        found |= {(name, t["code"]): t["amount"].amount for t in sold[name] if t["rule"] != "proportional"}
    return found


def as_refund(number: int, paid: dict[str, Any]) -> dict[str, Any]:
    return {k: paid[k] for k in ("amount", "shipping_amount", "taxes", "shipping_taxes")} | {
        "id": f"r{number}",
        "created_at": at(number),
    }


@settings(max_examples=120, deadline=None)
@given(lines(), st.sampled_from(["included", "excluded"]), st.randoms(use_true_random=False))
def test_refunding_a_line_in_any_portions_pays_exactly_what_it_was_sold_for(sold: dict[str, Any], mode: str, chance: Any) -> None:
    numbers = list(range(1, sold["quantity"] + 1))
    chance.shuffle(numbers)
    paid: dict[tuple[str, str], Decimal] = {}
    refunds: list[dict[str, Any]] = []
    effects = []
    while numbers:
        portion = [numbers.pop() for _ in range(chance.randint(1, len(numbers)))]
        found = facts(order(sold | {"refunds": tuple(refunds)}, tax_mode=mode), effects=effects)
        asked = ask(found, *portion)
        for key, amount in components(asked).items():
            paid[key] = paid.get(key, Decimal(0)) + amount
        refunds.append(as_refund(len(refunds), asked))
        names = [f"A-1#{n}" for n in portion]
        effects.append(effect(*names, params=asked, receipt={"refund_id": refunds[-1]["id"]}))
    assert {k: v for k, v in paid.items() if v} == {k: v for k, v in whole_of(sold).items() if v}


@settings(max_examples=120, deadline=None)
@given(lines(), st.data())
def test_whatever_others_refund_we_never_ask_for_more_than_is_left(sold: dict[str, Any], data: st.DataObject) -> None:
    made: list[dict[str, Any]] = []
    answers = {}
    whole = whole_of(sold)
    for number in range(data.draw(st.integers(0, 4))):
        left = sold["price"].amount - sum(r["amount"].amount for r in made)
        amount = data.draw(st.sampled_from([left, (left / 2).quantize(Decimal("0.01")), min(left, Decimal(3))]))
        made.append(refund(f"r{number}", str(max(amount, Decimal(0))), hours=number))
        answers[f"A/A-1/r{number}"] = data.draw(st.sampled_from(["apart", "covers", ""]))
    found = facts(order(sold | {"refunds": tuple(made)}), answers=answers)
    open_units = [u for u in units(found).values() if not u["settled"]]
    if not open_units:
        return
    asked = payload(first_line(found), open_units, reason="")
    assert asked["amount"].amount <= sold["price"].amount - sum(r["amount"].amount for r in made)
    assert all(Decimal(0) <= amount <= whole[key] for key, amount in components(asked).items() if amount)
