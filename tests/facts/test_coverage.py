"""Every refund of a line is for certain pieces, or a person is asked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.facts.derive import Facts
from engine.facts.record import RecordState
from engine.facts.values import Rec
from tests.facts.words import at, effect, eur, facts, line, order, piece, record, refund, rma, unit_of, units


def first_line(found: Facts) -> Rec:
    assert found.order is not None
    rec: Rec = found.order["lines"][0]
    return rec


def refunded(found: Facts) -> dict[str, int]:
    return {key: unit["times_refunded"] for key, unit in units(found).items()}


def unexplained(found: Facts) -> list[str]:
    assert found.order is not None
    return [r["id"] for r in found.order["unexplained_refunds"]]


def two(*refunds: dict[str, object], **more: object) -> RecordState:
    return order(line(quantity=2, price="100", refunds=refunds, **more))


def test_a_refund_of_ours_is_known_by_its_receipt_whatever_its_amount() -> None:
    paid = effect("A-1#2", receipt={"refund_id": "r1"}, claims={"rma_unit:1/a": "A-1#2"})
    found = facts(two(refund("r1", "12")), rma("1", piece("a")), effects=[paid])
    (seen,) = first_line(found)["refunds"]
    assert (seen["ours"], seen["explained"], [u.key for u in seen["units"]]) == (True, True, ["A-1#2"])
    assert refunded(found) == {"A-1#1": 0, "A-1#2": 1}
    assert units(found)["A-1#2"]["refunded_at"] == at(10)


@pytest.mark.parametrize("receipt", [{"reference": "r1"}, {"details": {"refund_id": "r1"}}])
def test_a_receipt_is_read_wherever_the_refund_s_id_stands_in_it(receipt: dict[str, object]) -> None:
    found = facts(two(refund("r1", "12")), effects=[effect("A-1#1", receipt=receipt)])
    assert first_line(found)["refunds"][0]["ours"] is True


def test_our_refund_covers_its_unit_before_the_marketplace_shows_it_and_counts_once_when_it_does() -> None:
    paid = effect("A-1#1", receipt={"refund_id": "r1"})
    for world in (two(), two(refund("r1", "50"))):
        found = facts(world, effects=[paid])
        assert refunded(found) == {"A-1#1": 1, "A-1#2": 0}
        assert first_line(found)["left"] == eur(50)


def test_an_unsure_refund_is_matched_by_its_sum_on_the_line() -> None:
    tax = ({"code": "V", "amount": eur(4)},)
    sent = effect("A-1#1", status="unsure", shipping="3", taxes=tax)
    seen = refund("r1", "50", shipping_amount=eur(3), taxes=(*tax, {"code": "MADE-UP", "amount": eur(9)}))
    found = facts(two(seen), effects=[sent])
    assert found.matches == {sent.key: "r1"}
    assert units(found)["A-1#1"]["in_flight"] is False
    assert first_line(found)["refunds"][0]["ours"] is True


def test_one_piece_of_evidence_never_serves_two_effects() -> None:
    sure = effect("A-1#1", receipt={"refund_id": "r1"})
    unsure = effect("A-1#2", status="unsure")
    found = facts(two(refund("r1", "50")), effects=[sure, unsure])
    assert found.matches == {}
    assert units(found)["A-1#2"]["in_flight"] is True
    assert units(found)["A-1#2"]["settled"] is False


def test_a_refund_from_before_an_effect_was_sent_is_no_evidence_for_it() -> None:
    sent = effect("A-1#1", status="unsure", hours=8, claims={"rma_unit:1/a": "A-1#1"})
    found = facts(two(refund("r0", "50", hours=-20)), rma("1", piece("a")), effects=[sent])
    assert found.matches == {}
    assert refunded(found) == {"A-1#1": 0, "A-1#2": 1}


def test_a_second_attempt_still_finds_the_refund_of_the_first() -> None:
    sent = effect("A-1#1", status="unsure", hours=8, attempts=2, sent_at=at(12))
    assert facts(two(refund("r1", "50", hours=8.5)), effects=[sent]).matches == {sent.key: "r1"}


def test_clocks_may_differ_by_a_little() -> None:
    sent = effect("A-1#1", status="performing", sent_at=at(10) + timedelta(milliseconds=600))
    assert facts(two(refund("r1", "50", hours=10)), effects=[sent]).matches == {sent.key: "r1"}


def test_a_refund_by_hand_of_one_piece_covers_the_piece_in_the_rma() -> None:
    found = facts(two(refund("r1", "50")), rma("1", piece("a"), hours=5))
    assert refunded(found) == {"A-1#1": 1, "A-1#2": 0}
    (seen,) = first_line(found)["refunds"]
    assert (seen["ours"], seen["explained"]) == (False, True)


def test_what_is_refunded_of_a_line_does_not_change_when_our_refund_shows() -> None:
    paid = effect("A-1#1", receipt={"refund_id": "r1"})
    assert {first_line(facts(w, effects=[paid]))["refunded"] for w in (two(), two(refund("r1", "50")))} == {eur(50)}


def test_a_refund_from_before_the_rma_goes_first_to_pieces_outside_it() -> None:
    found = facts(two(refund("r1", "50", hours=1)), rma("1", piece("a"), hours=5))
    assert unit_of(found, "1/a") == "A-1#1"
    assert refunded(found) == {"A-1#1": 0, "A-1#2": 1}


def test_a_refund_of_several_pieces_together_covers_as_many() -> None:
    found = facts(order(line(quantity=3, price="150", refunds=(refund("r1", "100"),))), rma("1", piece("a")))
    assert refunded(found) == {"A-1#1": 1, "A-1#2": 1, "A-1#3": 0}


def test_a_cent_of_rounding_does_not_hide_which_piece_was_refunded() -> None:
    found = facts(order(line(quantity=3, price="100", refunds=(refund("r1", "33.33"),))), rma("1", piece("a")))
    assert refunded(found)["A-1#1"] == 1
    assert unexplained(found) == []


def test_a_goodwill_refund_by_hand_makes_the_line_unclear_until_someone_answers() -> None:
    world = (two(refund("r1", "10")), rma("1", piece("a")))
    found = facts(*world)
    assert unexplained(found) == ["r1"]
    assert {u["coverage"] for u in units(found).values()} == {"unclear"}
    assert first_line(found)["left"] == eur(90)
    assert first_line(found)["refunds"][0]["explained"] is False


def test_a_goodwill_refund_that_stands_apart_covers_nothing_and_stays_gone() -> None:
    found = facts(two(refund("r1", "10")), rma("1", piece("a")), answers={"A/A-1/r1": "apart"})
    assert unexplained(found) == []
    assert {(u["coverage"], u["refunded"]) for u in units(found).values()} == {("clear", False)}
    assert first_line(found)["left"] == eur(90)
    assert first_line(found)["refunds"][0]["units"] == ()


def test_a_refund_that_a_person_says_covers_settles_the_next_piece() -> None:
    found = facts(two(refund("r1", "40")), rma("1", piece("a")), answers={"A/A-1/r1": "covers"})
    assert refunded(found) == {"A-1#1": 1, "A-1#2": 0}
    assert units(found)["A-1#2"]["coverage"] == "clear"


def test_a_large_refund_that_covers_settles_as_many_pieces_as_it_pays_in_full() -> None:
    world = order(line(quantity=4, price="200", refunds=(refund("r1", "120"),)))
    assert refunded(facts(world, answers={"A/A-1/r1": "covers"})) == {"A-1#1": 1, "A-1#2": 1, "A-1#3": 0, "A-1#4": 0}


def test_settled_pieces_stay_clear_when_a_later_refund_is_not() -> None:
    found = facts(two(refund("r1", "50", hours=1), refund("r2", "7", hours=2)))
    assert {k: u["coverage"] for k, u in units(found).items()} == {"A-1#1": "clear", "A-1#2": "unclear"}


def test_a_refund_that_takes_all_that_is_left_covers_all_open_pieces() -> None:
    found = facts(two(refund("r1", "10", hours=1), refund("r2", "90", hours=2)), answers={"A/A-1/r1": "apart"})
    assert refunded(found) == {"A-1#1": 1, "A-1#2": 1}


def test_a_refund_that_takes_all_that_is_left_leaves_no_piece_that_nothing_is_left_for() -> None:
    made = (refund("r1", "60", hours=1), refund("r2", "90", hours=2))
    found = facts(order(line(quantity=3, price="150", refunds=made)), answers={"A/A-1/r1": "apart"})
    assert refunded(found) == {"A-1#1": 1, "A-1#2": 1, "A-1#3": 1}


def test_a_cent_matters_where_pieces_divide_evenly() -> None:
    assert unexplained(facts(two(refund("r1", "49.99")))) == ["r1"]


def test_a_piece_paid_twice_is_counted_twice() -> None:
    found = facts(order(line(refunds=(refund("r1", "50", hours=1), refund("r2", "50", hours=2)))))
    assert refunded(found) == {"A-1#1": 2}
    assert unexplained(found) == []


def test_an_agent_and_our_own_refund_in_the_same_minute_are_two_refunds_of_one_piece() -> None:
    ours = effect("A-1#1", receipt={"refund_id": "r2"}, claims={"rma_unit:1/a": "A-1#1"})
    world = (order(line(refunds=(refund("r1", "50", hours=7.99), refund("r2", "50", hours=8)))), rma("1", piece("a")))
    assert refunded(facts(*world, effects=[ours])) == {"A-1#1": 2}


def test_two_refunds_in_the_same_minute_are_not_spread_over_the_other_pieces_of_the_line() -> None:
    ours = effect("A-1#1", receipt={"refund_id": "r2"}, claims={"rma_unit:1/a": "A-1#1"})
    world = (two(refund("r1", "50", hours=7.99), refund("r2", "50", hours=8)), rma("1", piece("a")))
    assert refunded(facts(*world, effects=[ours])) == {"A-1#1": 2, "A-1#2": 0}


def test_a_refund_by_hand_while_ours_is_unsure_is_for_the_piece_that_came_back() -> None:
    unsure = effect("A-1#1", status="unsure", amount="50", shipping="2", claims={"rma_unit:1/a": "A-1#1"})
    found = facts(two(refund("r1", "50", hours=9)), rma("1", piece("a")), effects=[unsure])
    assert found.matches == {}
    assert refunded(found) == {"A-1#1": 1, "A-1#2": 0}


def test_an_agent_s_refund_is_seen_to_be_a_second_one_before_ours_shows() -> None:
    ours = effect("A-1#1", receipt={"refund_id": "r2"}, claims={"rma_unit:1/a": "A-1#1"})
    world = (order(line(refunds=(refund("r1", "50", hours=7.99),))), rma("1", piece("a")))
    assert refunded(facts(*world, effects=[ours])) == {"A-1#1": 2}


def test_what_someone_else_settled_stays_settled_and_takes_their_refund_when_it_shows() -> None:
    elsewhere = effect("A-1#2", status="settled_elsewhere", ever_sent=False, settled_at=at(9))
    found = facts(two(), effects=[elsewhere])
    assert refunded(found) == {"A-1#1": 0, "A-1#2": 1}
    assert units(found)["A-1#2"]["refunded_at"] == elsewhere.settled_at
    assert refunded(facts(two(refund("r1", "50")), effects=[elsewhere])) == {"A-1#1": 0, "A-1#2": 1}


def test_an_agent_refunding_the_other_line_of_the_same_sku_leaves_both_unclear() -> None:
    world = (order(line(), line("A-2", refunds=(refund("r1", "50"),))), rma("1", piece("a")))
    found = facts(*world)
    assert units(found)["A-1#1"]["coverage"] == "unclear"
    assert unexplained(found) == ["r1"]
    covers = facts(*world, answers={"A/A-2/r1": "covers"})
    assert unit_of(covers, "1/a") == "A-2#1"
    assert units(covers)["A-2#1"]["refunded"] is True
    assert units(covers)["A-1#1"]["coverage"] == "clear"
    apart = facts(*world, answers={"A/A-2/r1": "apart"})
    assert unit_of(apart, "1/a") == "A-1#1"
    assert (units(apart)["A-1#1"]["coverage"], units(apart)["A-1#1"]["due"]) == ("clear", eur(50))


def test_one_sku_on_two_lines_stays_clear_while_only_we_refund() -> None:
    ours = effect("A-2#1", receipt={"refund_id": "r1"})
    found = facts(order(line(), line("A-2", refunds=(refund("r1", "50"),))), rma("1", piece("a")), effects=[ours])
    assert {u["coverage"] for u in units(found).values()} == {"clear"}


def test_an_agent_refunding_the_other_line_of_the_same_sku_while_ours_was_on_its_way_is_asked_about() -> None:
    ours = effect("A-1#1", receipt={"refund_id": "r1"}, claims={"rma_unit:1/a": "A-1#1"})
    for hours, asked in ((8.5, ["r2"]), (9.5, [])):  # whoever refunds after ours could see it
        lines = line(refunds=(refund("r1", "50", hours=9),)), line("A-2", refunds=(refund("r2", "50", hours=hours),))
        assert unexplained(facts(order(*lines), rma("1", piece("a")), effects=[ours])) == asked


def test_a_cancellation_covers_pieces_by_its_amount_or_else_its_quantity() -> None:
    for gone in ({"id": "c", "amount": eur(50)}, {"id": "c", "amount": eur(48), "quantity": 1}):
        found = facts(two(cancelations=(gone | {"created_at": at(0)},)), rma("1", piece("a"), hours=1))
        assert {k: u["cancelled"] for k, u in units(found).items()} == {"A-1#1": False, "A-1#2": True}
        assert first_line(found)["left"] == eur(100) - gone["amount"]


def test_a_cancellation_of_ours_covers_what_it_was_for() -> None:
    gone = {"id": "c1", "amount": eur(50), "created_at": at(9)}
    ours = effect("A-1#2", action="marketplace.cancel", receipt={"cancelation_id": "c1"})
    unsure = effect("A-1#2", action="marketplace.cancel", status="unsure")
    for sent in (ours, unsure):
        found = facts(two(cancelations=(gone,)), effects=[sent])
        assert {k: u["cancelled"] for k, u in units(found).items()} == {"A-1#1": False, "A-1#2": True}
    assert found.matches == {unsure.key: "c1"}


@pytest.mark.parametrize("state", ["cancelled", "refused"])
def test_a_cancelled_or_refused_order_has_every_piece_cancelled_and_nothing_left(state: str) -> None:
    for world in (order(line(quantity=2), state=state), order(line(quantity=2, state=state))):
        found = facts(world)
        assert {(u["cancelled"], u["settled"], u["due"]) for u in units(found).values()} == {(True, True, eur(0))}
        assert first_line(found)["left"] == eur(0)


def test_an_unsure_cancellation_of_an_order_that_is_cancelled_now_took_place() -> None:
    sent = effect("A-1#1", action="marketplace.cancel", status="unsure")
    assert facts(order(line(), state="cancelled"), effects=[sent]).matches == {sent.key: "A-1"}


def test_a_refused_effect_covers_nothing() -> None:
    found = facts(two(), effects=[effect("A-1#1", status="refused", reason="balance_too_low")])
    assert refunded(found) == {"A-1#1": 0, "A-1#2": 0}
    (told,) = found.records["effect"]
    assert (told["status"], told["reason"], told["units"][0].key) == ("refused", "balance_too_low", "A-1#1")


def test_a_refund_in_another_currency_explains_nothing_and_breaks_nothing() -> None:
    odd = refund("r1", "50") | {"amount": eur(50).__class__.of("50", "USD")}
    found = facts(two(odd))
    assert unexplained(found) == ["r1"]
    assert first_line(found)["left"] == eur(100)


def test_a_refund_of_nothing_covers_nothing() -> None:
    for amount in ("0", "0.00"):
        assert unexplained(facts(order(line(quantity=3, price="0.02", refunds=(refund("r1", amount),))))) == ["r1"]


def test_a_line_without_a_price_asks_about_every_refund_by_others() -> None:
    found = facts(order(line(price="1") | {"price": None, "refunds": (refund("r1", "50"),)}))
    assert unexplained(found) == ["r1"]
    assert units(found)["A-1#1"]["due"] is None


def test_an_effect_that_only_waits_is_not_a_fact() -> None:
    waiting = effect("A-1#1", status="planned")
    running = effect("A-1#2", status="performing")
    shadow = effect("A-1#2", status="settled", mode="shadow", key="s")
    found = facts(two(), effects=[waiting, running, shadow])
    assert [(e["units"][0].key, e["status"]) for e in found.records["effect"]] == [("A-1#2", "unsure")]
    assert found.records["effect"][0]["amount"] == eur(50)
    assert units(found)["A-1#2"]["in_flight"] is True


def test_the_total_of_a_refund_counts_taxes_only_where_they_come_on_top() -> None:
    seen = refund("r1", "50", shipping_amount=eur(5), taxes=({"code": "V", "amount": eur(10)},))
    for mode, total in (("included", 55), ("excluded", 65)):
        found = facts(order(line(quantity=2, price="100", refunds=(seen,)), tax_mode=mode))
        assert first_line(found)["refunds"][0]["total"] == eur(total)


def test_the_shop_s_tax_mode_stands_in_where_the_order_names_none() -> None:
    shop = record("seller", {"id": "1", "tax_mode": "excluded"})
    taxed = line(taxes=({"code": "V", "amount": eur(10), "rule": "proportional"},))
    assert units(facts(order(taxed, tax_mode=None), client=[shop]))["A-1#1"]["due"] == eur(60)


def test_somebody_elses_earlier_refund_never_moves_onto_a_piece_we_paid_for() -> None:
    """The RMA is called off after its refund: its pieces are in no RMA any more, and still ours."""
    paid = effect("A-1#1", receipt={"refund_id": "r2"}, claims={"rma_unit:1/a": "A-1#1"})
    world = two(refund("r1", "50", hours=-20), refund("r2", "50", hours=2))
    assert refunded(facts(world, rma("1", piece("a"), status="cancelled"), effects=[paid])) == {"A-1#1": 1, "A-1#2": 1}


@pytest.mark.parametrize("minutes", [-1, 0, 30])
def test_a_refund_made_while_ours_was_on_its_way_is_a_second_one_of_the_piece_that_came_back(minutes: float) -> None:
    """The look-up before ours could not show it. A line of two of which one came back: nothing else says what it was for."""
    paid = effect("A-1#1", receipt={"refund_id": "r1"}, claims={"rma_unit:1/a": "A-1#1"})
    assert paid.sent_at == at(8)
    world = two(refund("r1", "50", hours=9), refund("r2", "50", hours=8 + minutes / 60))
    assert refunded(facts(world, rma("1", piece("a")), effects=[paid])) == {"A-1#1": 2, "A-1#2": 0}


def test_where_both_pieces_come_back_one_made_meanwhile_is_for_the_other() -> None:
    paid = effect("A-1#1", receipt={"refund_id": "r1"}, claims={"rma_unit:1/a": "A-1#1"})
    world = two(refund("r1", "50", hours=9), refund("r2", "50", hours=8.5))
    assert refunded(facts(world, rma("1", piece("a"), piece("b")), effects=[paid])) == {"A-1#1": 1, "A-1#2": 1}


def test_one_made_after_ours_is_for_another_piece() -> None:
    """Whoever made it could see ours."""
    paid = effect("A-1#1", receipt={"refund_id": "r1"}, claims={"rma_unit:1/a": "A-1#1"})
    world = two(refund("r1", "50", hours=9), refund("r2", "50", hours=9.5))
    assert refunded(facts(world, rma("1", piece("a")), effects=[paid])) == {"A-1#1": 1, "A-1#2": 1}


def test_one_made_while_ours_was_on_its_way_is_not_for_a_piece_that_gets_an_exchange() -> None:
    paid = effect("A-1#2", receipt={"refund_id": "r1"}, claims={"rma_unit:1/b": "A-1#2"})
    world = two(refund("r1", "50", hours=9), refund("r2", "50", hours=8.5))
    returned = rma("1", piece("a", resolution="exchange"), piece("b", resolution="refund"))
    assert refunded(facts(world, returned, effects=[paid])) == {"A-1#1": 0, "A-1#2": 2}
