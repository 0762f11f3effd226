"""Every piece of an order has a name, and whoever means it means the same one."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.effects import EffectState
from tests.facts.words import effect, facts, line, order, piece, record, rma, sale, store_refund, unit_of, units


def test_a_line_has_one_unit_for_each_piece() -> None:
    found = facts(order(line(quantity=3, price="10"), line("A-2", "HAT")))
    assert [u.key for u in found.records["unit"]] == ["A-1#1", "A-1#2", "A-1#3", "A-2#1"]
    assert [u["number"] for u in found.records["unit"]] == [1, 2, 3, 1]
    assert found.order is not None
    assert found.order["lines"][0]["units"] == found.records["unit"][:3]


def test_a_line_whose_quantity_is_unknown_or_past_all_sense_has_no_units() -> None:
    assert facts(order(line(quantity=None))).records["unit"] == ()  # type: ignore[arg-type]
    assert facts(order(line(quantity=10**12))).records["unit"] == ()


def test_units_of_rmas_are_numbered_in_the_order_they_were_asked_for() -> None:
    found = facts(
        order(line(quantity=3, price="30")),
        rma("9", piece("x"), hours=1),
        rma("2", piece("b"), hours=2),
        rma("1", piece("a"), hours=2),
    )
    assert [unit_of(found, u) for u in ("9/x", "1/a", "2/b")] == ["A-1#1", "A-1#2", "A-1#3"]


def test_two_rmas_for_one_piece_mean_the_same_unit() -> None:
    found = facts(order(line()), rma("1", piece("a"), hours=1), rma("2", piece("b"), hours=2))
    assert unit_of(found, "1/a") == unit_of(found, "2/b") == "A-1#1"
    assert [u.item for u in units(found)["A-1#1"]["rma_units"]] == ["rma_unit:1/a", "rma_unit:2/b"]


def test_two_rows_for_one_store_line_are_two_pieces() -> None:
    found = facts(order(line(quantity=2)), rma("1", piece("a", line_item_id="9"), piece("b", line_item_id="9")))
    assert {unit_of(found, "1/a"), unit_of(found, "1/b")} == {"A-1#1", "A-1#2"}


def test_a_unit_that_was_ever_sent_keeps_its_number_when_its_neighbour_leaves_the_rma() -> None:
    paid = effect("A-1#1", claims={"rma_unit:1/a": "A-1#1"}, receipt={"refund_id": "r1"})
    found = facts(order(line(quantity=2, price="100")), rma("1", piece("b")), effects=[paid])
    assert unit_of(found, "1/b") == "A-1#2"
    assert units(found)["A-1#2"]["settled"] is False
    assert units(found)["A-1#1"]["settled"] is True


def test_a_sent_unit_keeps_its_number_when_an_earlier_claim_appears() -> None:
    paid = effect("A-1#1", claims={"rma_unit:5/a": "A-1#1"})
    found = facts(
        order(line(quantity=2, price="100")), rma("5", piece("a"), hours=5), rma("1", piece("b"), hours=0), effects=[paid]
    )
    assert (unit_of(found, "5/a"), unit_of(found, "1/b")) == ("A-1#1", "A-1#2")


def test_more_claims_than_pieces_mean_a_unit_that_is_settled() -> None:
    paid = effect("A-1#1", claims={"rma_unit:1/a": "A-1#1"})
    found = facts(order(line()), rma("1", piece("a")), rma("2", piece("b"), hours=3), effects=[paid])
    assert unit_of(found, "2/b") == "A-1#1"
    assert units(found)["A-1#1"]["settled"] is True


def test_an_effect_that_was_only_planned_or_is_in_shadow_holds_no_number() -> None:
    for unsent in (
        effect("A-1#1", status="planned", claims={"rma_unit:9/z": "A-1#1"}),
        effect("A-1#1", mode="shadow", claims={"rma_unit:9/z": "A-1#1"}),
    ):
        assert unit_of(facts(order(line(quantity=2)), rma("1", piece("a")), effects=[unsent]), "1/a") == "A-1#1"


def test_an_effect_that_was_sent_and_then_withdrawn_still_holds_its_number() -> None:
    sent = effect("A-1#1", status="withdrawn", claims={"rma_unit:9/z": "A-1#1"})
    assert unit_of(facts(order(line(quantity=2)), rma("1", piece("a")), effects=[sent]), "1/a") == "A-1#2"


def test_the_units_of_a_cancelled_rma_have_no_number_even_while_its_refund_is_under_way() -> None:
    pending = effect("A-1#1", status="unsure", claims={"rma_unit:1/a": "A-1#1"})
    found = facts(
        order(line(quantity=2, price="100")), rma("1", piece("a"), status="cancelled"), rma("2", piece("b")), effects=[pending]
    )
    assert unit_of(found, "1/a") is None
    assert found.unfit == ()
    assert unit_of(found, "2/b") == "A-1#2"
    assert units(found)["A-1#1"]["in_flight"] is True


def test_a_unit_that_fits_no_line_is_told() -> None:
    found = facts(order(line()), rma("1", piece("a"), piece("b", "UNKNOWN"), piece("c", sku=None)))  # type: ignore[arg-type]
    assert found.unfit == ("rma_unit:1/b", "rma_unit:1/c")
    assert unit_of(found, "1/b") is None


def test_the_store_s_line_stands_in_for_a_missing_sku() -> None:
    sold = sale(lines=({"id": "9", "sku": "SHOE", "quantity": 1},))
    found = facts(order(line()), sold, rma("1", piece("a", sku=None, line_item_id="9")))  # type: ignore[arg-type]
    assert unit_of(found, "1/a") == "A-1#1"


def test_a_sku_on_two_lines_is_told_apart_by_the_store_s_line_where_only_one_fits() -> None:
    sold = sale(lines=({"id": "x", "sku": "SHOE", "quantity": 1}, {"id": "y", "sku": "SHOE", "quantity": 2}))
    found = facts(order(line(), line("A-2", quantity=2)), sold, rma("1", piece("a", line_item_id="y")))
    assert unit_of(found, "1/a") == "A-2#1"


def test_a_sku_on_two_lines_that_nothing_tells_apart_is_spread_over_them_in_order() -> None:
    found = facts(order(line("A-2"), line("A-1")), rma("1", piece("a"), piece("b"), piece("c")))
    assert [unit_of(found, f"1/{k}") for k in "abc"] == ["A-1#1", "A-2#1", "A-1#1"]


def test_a_piece_that_can_stand_on_one_line_only_goes_before_those_that_can_stand_on_several() -> None:
    sold = sale(lines=({"id": "x", "sku": "SHOE", "quantity": 1}, {"id": "y", "sku": "SHOE", "quantity": 2}))
    early, late = rma("1", piece("a"), hours=1), rma("2", piece("b", line_item_id="x"), hours=2)
    found = facts(order(line(), line("A-2", quantity=2)), sold, early, late)
    assert (unit_of(found, "2/b"), unit_of(found, "1/a")) == ("A-1#1", "A-2#1")


def test_a_store_refund_and_an_rma_for_one_piece_mean_the_same_unit() -> None:
    found = facts(
        order(line(quantity=2)), rma("1", piece("a")), sale(store_refund("r", {"id": "l", "sku": "SHOE", "quantity": 1}))
    )
    refunded = found.records["sale"][0]["refunds"][0]
    assert [u.key for u in refunded["units"]] == [unit_of(found, "1/a")] == ["A-1#1"]
    assert found.claimants["A-1#1"] == ("rma_unit:1/a", "store_refund:S/r")


def test_a_store_refund_takes_refunded_units_first_then_those_of_rmas_then_others() -> None:
    paid = effect("A-1#2", claims={"rma_unit:0/gone": "A-1#2"})
    one = {"id": "l", "sku": "SHOE", "quantity": 1}
    found = facts(
        order(line(quantity=3, price="150")),
        rma("1", piece("a")),
        sale(store_refund("r1", one, hours=1), store_refund("r2", one, hours=2), store_refund("r3", one, hours=3)),
        effects=[paid],
    )
    assert [[u.key for u in r["units"]] for r in found.records["sale"][0]["refunds"]] == [["A-1#2"], ["A-1#1"], ["A-1#3"]]


def test_a_store_refund_is_for_a_piece_returned_for_money_before_one_that_is_exchanged() -> None:
    returned = rma("1", piece("a", resolution="exchange"), piece("b", resolution="refund"))
    found = facts(order(line(quantity=2)), returned, sale(store_refund("r", {"id": "l", "sku": "SHOE", "quantity": 1})))
    assert [u.key for u in found.records["sale"][0]["refunds"][0]["units"]] == [unit_of(found, "1/b")]


def test_what_was_refunded_before_the_return_was_seen_is_its_piece_returned_for_money() -> None:
    paid = effect("A-1#1", claims={"store_refund:S/r": "A-1#1"})
    returned = rma("1", piece("a", resolution="exchange"), piece("b", resolution="refund"), hours=1)
    found = facts(
        order(line(quantity=2)), returned, sale(store_refund("r", {"id": "l", "sku": "SHOE", "quantity": 1})), effects=[paid]
    )
    assert (unit_of(found, "1/b"), unit_of(found, "1/a")) == ("A-1#1", "A-1#2")


def test_a_store_refund_made_by_the_returns_platform_is_for_the_units_its_transaction_names() -> None:
    transaction = {"id": "t", "reference": "r", "status": "success", "units": ("b",)}
    found = facts(
        order(line(quantity=2)),
        rma("1", piece("a"), piece("b"), transactions=(transaction,)),
        sale(store_refund("r", {"id": "l", "sku": "SHOE", "quantity": 1})),
    )
    assert [u.key for u in found.records["sale"][0]["refunds"][0]["units"]] == [unit_of(found, "1/b")] == ["A-1#2"]


def test_a_store_refund_keeps_the_units_it_was_paid_for() -> None:
    paid = effect("A-1#1", claims={"store_refund:S/r": "A-1#1"}, status="unsure")
    found = facts(
        order(line(quantity=2, price="100")),
        rma("1", piece("a"), hours=9),
        sale(store_refund("r", {"id": "l", "sku": "SHOE", "quantity": 1})),
        effects=[paid],
    )
    assert [u.key for u in found.records["sale"][0]["refunds"][0]["units"]] == ["A-1#1"]
    assert unit_of(found, "1/a") == "A-1#2"


@st.composite
def claims(draw: st.DrawFn) -> tuple[list[Any], list[EffectState]]:
    quantity = draw(st.integers(1, 3))
    rmas = [
        rma(
            str(i),
            *(piece(k) for k in draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3))),
            hours=draw(st.integers(0, 3)),
        )
        for i in range(draw(st.integers(1, 3)))
    ]
    found = facts(order(line(quantity=quantity, price="60")), *rmas)
    sent = [
        effect(
            u["unit"].key,
            status=draw(st.sampled_from(["settled", "unsure", "refused"])),
            claims={u.item: u["unit"].key},
            key=u.item,
        )
        for r in found.records["rma"]
        for u in r["units"]
        if draw(st.booleans())
    ]
    return [order(line(quantity=quantity, price="60")), *rmas], sent


@settings(max_examples=100, deadline=None)
@given(claims(), st.randoms(use_true_random=False))
def test_numbers_do_not_depend_on_the_order_of_records_or_effects(
    world: tuple[list[Any], list[EffectState]], chance: random.Random
) -> None:
    records, sent = world
    first = facts(*records, effects=sent)
    shuffled, other = list(records), list(sent)
    chance.shuffle(shuffled)
    chance.shuffle(other)
    second = facts(*shuffled, effects=other)
    assert first.claimants == second.claimants
    assert [dict(u) for u in first.records["unit"]] == [dict(u) for u in second.records["unit"]]


@settings(max_examples=100, deadline=None)
@given(claims(), st.data())
def test_a_sent_number_stays_whatever_leaves_or_joins(world: tuple[list[Any], list[EffectState]], data: st.DataObject) -> None:
    records, sent = world
    before = facts(*records, effects=sent)
    leaving = data.draw(st.sampled_from(records[1:]))
    joining = rma("7", piece("z"), hours=data.draw(st.integers(0, 3)))
    after = facts(*(r for r in records if r is not leaving), joining, effects=sent)
    kept = {claimant for e in sent for _, claimant in e.claims}
    for owner in after.records["rma"]:
        for unit in owner["units"]:
            if unit.item in kept:
                assert unit["unit"].key == unit_of(before, unit.key)


@settings(max_examples=100, deadline=None)
@given(claims())
def test_claims_share_a_unit_only_where_there_are_more_of_them_than_pieces(world: tuple[list[Any], list[EffectState]]) -> None:
    records, _ = world
    found = facts(*records)
    shares = [len(u["rma_units"]) for u in found.records["unit"]]
    assert max(shares) - min(shares) <= 1


def test_a_market_return_alone_claims_nothing() -> None:
    found = facts(order(line()), record("market_return", {"id": "m", "order_id": "A", "lines": ({"order_line_id": "A-1"},)}))
    assert found.claimants == {"A-1#1": ()}
