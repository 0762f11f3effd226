"""When the base pack refunds, when it waits, and when it must not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.decide import outcomes
from engine.facts.values import Unreadable
from tests.journeys.base_pack import NOON, Journey, base_pack, base_with, eur, line, piece, refund, shipment


def test_every_rule_says_what_it_is_for_and_every_exception_what_to_do() -> None:
    for rule in base_pack().rules:
        assert rule.title, rule.id
        for raised in rule.raises:
            assert raised.owner, rule.id
            assert raised.runbook is not None, rule.id


def test_an_ordinary_return_is_refunded_on_its_first_scan_and_troubles_nobody() -> None:
    case = Journey().order().rma()
    assert case.hours(5).effects[0].action == "warehouse.create_asn"
    case.send()
    case.scan()
    assert case.refunds == [("L1#1", "50.00")]
    case.send()
    case.see("receipt", "RG-S1", ref="RG-S1", id="77", status="awaiting", lines=({"sku": "SHOE", "expected": 1},))
    case.hours(60)
    assert case.refunds == []
    assert case.open == {}
    assert case.memory.undecided == {}


def test_nothing_is_refunded_before_anybody_has_seen_the_parcel() -> None:
    case = Journey().order().rma().see("parcel", "T1", tracking_number="T1", status="label_created")
    assert case.refunds == []
    assert case.memory.undecided == {}


@pytest.mark.parametrize("sign", [{"in_transit_at": NOON}, {"received_at": NOON}])
def test_a_parcel_its_carrier_never_reported_counts_from_the_first_other_sign(sign: dict[str, object]) -> None:
    assert Journey().order().rma(**sign).refunds == [("L1#1", "50.00")]


def test_what_the_customer_may_keep_is_refunded_on_approval() -> None:
    case = Journey(base_with(refund_on="inspection")).order()
    case.rma(piece(method="no_shipment", shipment_id=None), shipments=(), status="requested")
    assert case.refunds == []
    case.see("rma", "1001", status="approved")
    assert case.refunds == [("L1#1", "50.00")]


@pytest.mark.parametrize("resolution", ["store_credit", "exchange"])
def test_credit_and_exchange_are_never_refunded_whatever_asks_for_it(resolution: str) -> None:
    case = Journey().order().rma(piece(resolution=resolution)).scan()
    case.hours(72)
    assert case.refunds == []
    assert "no_money_for_it" not in case.open
    case.sale(refunds=(store_refund(),))
    assert case.refunds == []
    assert case.open["no_money_for_it"].owner == "customer service"
    case.answer("no_money_for_it", "refund")
    assert case.refunds == [("L1#1", "50.00")]


def test_on_receipt_each_piece_waits_for_its_own_parcel() -> None:
    case = Journey(base_with(refund_on="receipt")).order(line(quantity=2, price="100.00"))
    case.rma(piece("P1"), piece("P2", shipment_id="S2"), shipments=(shipment(), shipment("S2", "T2"))).scan()
    assert case.refunds == []
    case.see("parcel", "T1", delivered_at=case.now)
    assert case.refunds == [("L1#1", "50.00")]
    assert case.memory.undecided == {}


def test_waiting_for_inspection_ends_at_the_deadline() -> None:
    case = Journey(base_with(refund_on="inspection")).order().rma().scan()
    case.hours(43.9)
    assert case.refunds == []
    case.hours(0.2)
    assert case.refunds == [("L1#1", "50.00")]


def test_rejected_goods_are_not_paid_at_the_deadline_and_somebody_knows() -> None:
    case = Journey(base_with(refund_on="inspection")).order().rma().scan()
    case.hours(20)
    case.see("rma", "1001", units=(piece(verdict="rejected", inspected_at=case.now),))
    case.hours(60)
    assert case.refunds == []
    assert case.open["rejected_at_inspection"].owner == "customer service"
    assert "promise_broken" not in case.open
    case.answer("rejected_at_inspection", "refund")
    assert case.refunds == [("L1#1", "50.00")]


def test_an_answer_about_one_piece_does_not_speak_for_another_rejected_later() -> None:
    case = Journey(base_with(refund_on="inspection")).order(line(quantity=2, price="100.00")).rma(piece("P1"), piece("P2")).scan()
    case.see("rma", "1001", units=(piece("P1", verdict="rejected"), piece("P2")))
    case.hours(1)
    case.answer("rejected_at_inspection", "refund")
    case.see("rma", "1001", units=(piece("P1", verdict="rejected"), piece("P2", verdict="rejected")))
    case.hours(50)
    assert case.refunds == []
    assert "rejected_at_inspection" in case.open


def test_a_verdict_that_becomes_unreadable_keeps_its_veto_and_its_exception() -> None:
    case = Journey().order().rma(piece(verdict="rejected")).scan()
    assert "rejected_at_inspection" in case.open
    case.see("rma", "1001", units=(piece(verdict=Unreadable("SEND_TO_LAB")),))
    case.hours(72)
    assert case.refunds == []
    assert {"rejected_at_inspection", "unlisted_value"} <= case.open.keys()


def test_a_verdict_that_cannot_be_read_is_no_acceptance() -> None:
    case = Journey(base_with(refund_on="inspection")).order().rma(piece(verdict="accepted"))
    assert case.refunds == [("L1#1", "50.00")]
    case.see("rma", "1001", units=(piece(verdict=Unreadable("SEND_TO_LAB")),))
    assert case.refunds == []


def test_an_unlisted_resolution_among_three_pieces_holds_back_only_itself_and_is_told() -> None:
    case = Journey().order(line(quantity=3, price="150.00"))
    case.rma(piece("P1"), piece("P2"), piece("P3", resolution=Unreadable("GIFT"))).scan()
    assert case.refunds == [("L1#1+L1#2", "100.00")]
    case.send()
    assert "unlisted_value" in case.open
    case.hours(60)
    assert case.refunds == []


def test_without_a_refund_policy_nobody_refunds_and_somebody_is_told() -> None:
    case = Journey(base_with(refund_on=None)).order().rma().scan()
    case.hours(25)
    assert case.refunds == []
    assert "undecided" in case.open


def test_without_a_deadline_nothing_is_paid_for_it_and_somebody_is_told() -> None:
    case = Journey(base_with(refund_on="inspection", refund_within=None)).order().rma().scan()
    case.hours(25)
    assert case.refunds == []
    assert "undecided" in case.open
    assert "promise_broken" not in case.open


def test_two_returns_of_one_piece_are_one_refund() -> None:
    case = Journey().order().rma().rma(piece("Q1", shipment_id="S9"), key="1002", shipments=(shipment("S9", "T9"),))
    case.scan("T1").scan("T9")
    assert case.refunds == [("L1#1", "50.00")]
    case.send()
    assert case.refunds == []


def test_a_refund_in_the_store_and_a_return_of_the_same_piece_are_one_refund() -> None:
    case = Journey().order().rma()
    case.sale(refunds=(store_refund(),))
    assert case.refunds == [("L1#1", "50.00")]
    case.send()
    case.scan()
    assert case.refunds == []


def test_a_refund_in_the_store_of_one_piece_of_several_and_its_return_are_one_refund() -> None:
    case = Journey().order(line(quantity=3, price="150.00")).rma()
    case.sale(refunds=(store_refund(),))
    case.send()
    case.scan()
    assert case.refunds == []
    case.see("rma", "1001", status="done")
    case.hours(60)
    assert case.refunds == []
    assert len([e for e in case.sent if e.action == "marketplace.refund"]) == 1
    assert case.open.keys() <= {"expected_return_missing"}


def test_a_return_seen_only_after_its_piece_was_refunded_from_the_store_is_not_refunded_again() -> None:
    case = Journey().order(line(quantity=3, price="150.00")).sale(refunds=(store_refund(),))
    case.send()
    case.rma(requested_at=NOON - timedelta(hours=1)).scan()
    assert case.refunds == []
    case.rma(piece("Q1", shipment_id="S9"), key="1002", shipments=(shipment("S9", "T9"),), requested_at=NOON + timedelta(hours=5))
    case.scan("T9")
    assert case.refunds == [("L1#2", "50.00")]


def test_a_veto_of_one_return_leaves_its_sibling_alone() -> None:
    case = Journey().order(line(), line("L2", "BOOT"))
    case.rma(piece(verdict="rejected")).rma(piece("Q1", "BOOT", shipment_id="S9"), key="1002", shipments=(shipment("S9", "T9"),))
    case.scan("T1").scan("T9")
    assert case.refunds == [("L2#1", "50.00")]


def test_a_veto_of_one_return_leaves_its_sibling_of_the_same_line_alone() -> None:
    case = Journey().order(line(quantity=2, price="100.00"))
    case.rma(piece(verdict="rejected")).rma(piece("Q1", shipment_id="S9"), key="1002", shipments=(shipment("S9", "T9"),))
    case.scan("T1").scan("T9")
    assert case.refunds == [("L1#2", "50.00")]
    case.send()
    case.hours(60)
    assert case.refunds == []


def test_a_veto_of_a_piece_binds_it_also_where_the_store_refunds_it_beside_its_sibling() -> None:
    case = Journey().order(line(quantity=2, price="100.00")).rma(piece(verdict="rejected"), piece("P2"))
    case.sale(refunds=(store_refund("100.00", quantity=2),))
    assert case.refunds == [("L1#2", "50.00")]
    assert "rejected_at_inspection" in case.open


def test_a_return_cancelled_while_its_refund_is_on_its_way_is_neither_sent_again_nor_forgotten() -> None:
    case = Journey().order(line(quantity=2, price="100.00")).rma().scan()
    (effect,) = [e for e in case.decide().effects if e.action == "marketplace.refund"]
    case.begin(effect)
    case.memory = outcomes.unsure(case.memory, effect.key, "time-out")
    case.see("rma", "1001", status="cancelled")
    case.rma(piece("Q1", shipment_id="S9"), key="1002", shipments=(shipment("S9", "T9"),)).scan("T9")
    assert case.refunds == [("L1#2", "50.00")]
    case.show_refund(effect)
    case.decide()
    assert case.memory.effect(effect.key).status == "settled"
    assert case.open["return_gone_after_refund"].owner == "customer service"
    assert case.refunds == [("L1#2", "50.00")]


def test_a_return_cancelled_before_its_refund_left_is_not_refunded() -> None:
    case = Journey().order().rma().scan()
    assert case.refunds
    case.see("rma", "1001", status="cancelled")
    assert case.refunds == []


def test_a_return_cancelled_after_its_refund_left_belongs_to_somebody() -> None:
    case = Journey().order().rma().scan()
    case.send()
    case.see("rma", "1001", status="cancelled")
    case.decide()
    assert case.open["return_gone_after_refund"].owner == "customer service"


def test_a_piece_that_leaves_its_return_does_not_pass_its_number_on() -> None:
    case = Journey(base_with(refund_on="inspection")).order(line(quantity=2, price="100.00"))
    case.rma(piece("P1", verdict="accepted"), piece("P2"))
    (paid,) = [e for e in case.send() if e.action == "marketplace.refund"]
    assert paid.units == ("L1#1",)
    case.see("rma", "1001", units=(piece("P2", verdict="accepted"),))
    assert case.refunds == [("L1#2", "50.00")]


def test_the_last_piece_of_a_line_gets_what_is_left() -> None:
    case = Journey(base_with(refund_on="inspection")).order(line(quantity=3, price="100.00"))
    pieces = [piece(k) for k in ("P1", "P2", "P3")]
    amounts = []
    for number in range(3):
        pieces[number] = pieces[number] | {"verdict": "accepted"}
        case.rma(*pieces)
        amounts += [e.params["amount"].amount for e in case.send() if e.action == "marketplace.refund"]
    assert len(amounts) == 3
    assert sum(amounts) == 100


def test_a_return_nobody_approved_is_not_paid_at_the_deadline_and_somebody_is_asked() -> None:
    case = Journey().order().rma(status="requested").scan()
    case.hours(60)
    assert case.refunds == []
    assert "not_approved" in case.open
    assert "promise_broken" not in case.open


def test_a_return_outside_the_policy_waits_for_an_answer() -> None:
    case = Journey().order().rma(out_of_policy=True).scan()
    assert case.refunds == []
    assert case.open["out_of_policy"].owner == "customer service"
    case.answer("out_of_policy", "refund")
    assert case.refunds == [("L1#1", "50.00")]


def test_a_piece_that_is_not_on_the_order_is_nobodys_refund() -> None:
    case = Journey().order().rma(piece(), piece("P2", sku="HAT")).scan()
    assert case.refunds == [("L1#1", "50.00")]
    case.hours(2)
    assert case.open["not_ours"].owner == "customer service"


def test_goods_the_warehouse_turned_down_are_doubtful_until_somebody_says_which() -> None:
    case = Journey(base_with(refund_on="inspection")).order(line(quantity=2, price="100.00")).rma(piece("P1"), piece("P2")).scan()
    found = {"sku": "SHOE", "expected": 2, "received": 2, "restocked": 1, "rejected": 1}
    case.see("receipt", "RG-S1", ref="RG-S1", id="77", status="completed", lines=(found,))
    case.hours(60)
    assert case.refunds == []
    assert "which_was_rejected" in case.open
    case.see("rma", "1001", units=(piece("P1", verdict="accepted"), piece("P2", verdict="rejected")))
    assert case.refunds == [("L1#1", "50.00")]
    assert "which_was_rejected" not in case.open


def test_a_refund_the_marketplace_will_not_make_never_misses_its_deadline_in_silence() -> None:
    case = Journey().order().rma().scan()
    (effect,) = [e for e in case.decide().effects if e.action == "marketplace.refund"]
    case.refuse(effect, "balance_too_low")
    assert case.open["balance_too_low"].owner == "finance"
    case.hours(47)
    assert "deadline_at_risk" in case.open
    case.hours(2)
    assert case.open["deadline_missed"].severity == "critical"


def test_a_snooze_never_sleeps_through_a_deadline() -> None:
    case = Journey().order(state="closed").rma().scan()
    case.decide()
    case.resolve("order_not_refundable")
    assert "order_not_refundable" not in case.open
    case.at(NOON + timedelta(hours=46, minutes=59))
    assert "order_not_refundable" not in case.open
    case.at(NOON + timedelta(hours=47, minutes=1))
    assert "order_not_refundable" in case.open


def store_refund(amount: str = "50.00", sku: str = "SHOE", quantity: int = 1, **fields: object) -> dict[str, object]:
    sold = {
        "id": "1",
        "line_item_id": "91",
        "sku": sku,
        "quantity": quantity,
        "restock": "return",
        "subtotal": eur("50.00"),
        "tax": eur("0.00"),
    }
    plain = {"id": "SR1", "created_at": NOON, "amount": eur(amount), "user_id": "7", "lines": (sold,)}
    return plain | fields


def test_a_refund_by_an_agent_in_the_store_is_passed_on() -> None:
    case = Journey().order().sale(refunds=(store_refund(),))
    assert case.refunds == [("L1#1", "50.00")]


@pytest.mark.parametrize(
    "made",
    [store_refund("5.00"), store_refund("5.00", lines=()), store_refund("0.00"), store_refund(amount="0.00", lines=())],
)
def test_a_refund_in_the_store_that_is_not_the_price_of_a_piece_is_not_passed_on(made: dict[str, object]) -> None:
    case = Journey().order().sale(refunds=(made,))
    case.hours(30)
    assert case.refunds == []
    moved = made["amount"] != eur("0.00")
    assert ("store_refund_in_part" in case.open) is moved


def test_a_refund_in_the_store_waits_for_inspection_like_any_other() -> None:
    case = Journey(base_with(refund_on="inspection")).order().rma()
    case.sale(refunds=(store_refund(),))
    assert case.refunds == []
    case.see("rma", "1001", units=(piece(verdict="accepted"),))
    assert case.refunds == [("L1#1", "50.00")]


def test_what_the_returns_platform_refunded_is_refunded_in_the_marketplace() -> None:
    case = Journey(base_with(refund_on="receipt")).order().rma()
    paid = {
        "id": "7001",
        "type": "RefundToPaymentMethod",
        "status": "failed",
        "amount": eur("50.00"),
        "units": ("P1",),
        "created_at": NOON,
    }
    case.see("rma", "1001", transactions=(paid,))
    assert case.refunds == []
    case.see("rma", "1001", transactions=(paid | {"status": "success"},))
    assert case.refunds == [("L1#1", "50.00")]


def test_taxes_the_marketplace_does_not_work_out_go_with_every_refund() -> None:
    tax = {"code": "VAT", "amount": eur("10.00"), "rate": 20, "rule": "none"}
    case = Journey().order(line(quantity=2, price="100.00", taxes=(tax,))).rma().scan()
    (effect,) = [e for e in case.decide().effects if e.action == "marketplace.refund"]
    assert effect.params["taxes"] == ({"code": "VAT", "amount": eur("5.00")},)


def test_goodwill_by_hand_makes_everybody_wait_for_an_answer() -> None:
    case = Journey().order().rma().scan()
    case.refund_by_hand("L1", refund("X1", "12.00"))
    case.hours(40)
    assert case.refunds == []
    assert case.open["coverage_unclear"].answers.keys() == {"apart", "covers"}
    case.answer("coverage_unclear", "apart")
    assert case.refunds == [("L1#1", "38.00")]
    case.send()
    case.hours(24)
    assert case.refunds == []
    assert "coverage_unclear" not in case.open


def test_goodwill_that_was_the_refund_ends_the_matter() -> None:
    case = Journey().order().rma().scan()
    case.refund_by_hand("L1", refund("X1", "12.00"))
    case.decide()
    case.answer("coverage_unclear", "covers")
    case.hours(60)
    assert case.refunds == []
    assert case.open.keys() <= {"commission_differs", "expected_return_missing"}


def test_one_article_on_two_lines_and_an_agent_who_refunds_the_other_one() -> None:
    case = Journey().order(line(), line("L2")).rma(piece(line_item_id=None)).scan()
    case.refund_by_hand("L2", refund("X1", "50.00"))
    case.hours(40)
    assert case.refunds == []
    assert "coverage_unclear" in case.open
    case.answer("coverage_unclear", "covers")
    case.hours(40)
    assert case.refunds == []


def test_a_decision_to_pay_for_rejected_goods_does_not_wait_for_the_deadline() -> None:
    case = Journey(base_with(refund_on="inspection")).order().rma(piece(verdict="rejected")).scan()
    case.decide()
    case.answer("rejected_at_inspection", "refund")
    assert case.refunds == [("L1#1", "50.00")]


def test_a_decision_to_pay_for_doubtful_goods_does_not_wait_for_an_inspection() -> None:
    case = Journey(base_with(refund_on="inspection")).order().rma().scan()
    found = {"sku": "SHOE", "expected": 1, "received": 1, "rejected": 1}
    case.see("receipt", "RG-S1", ref="RG-S1", id="77", status="completed", lines=(found,))
    case.hours(1)
    assert case.refunds == []
    case.answer("which_was_rejected", "refund")
    assert case.refunds == [("L1#1", "50.00")]


def test_a_second_return_of_an_accepted_piece_does_not_hold_its_refund() -> None:
    case = Journey(base_with(refund_on="inspection")).order()
    case.rma(piece(verdict="accepted")).rma(piece("Q1", shipment_id="S9"), key="1002", shipments=(shipment("S9", "T9"),))
    assert case.refunds == [("L1#1", "50.00")]


@pytest.mark.parametrize(
    ("rule", "rma"),
    [("rejected_at_inspection", {"units": (piece(verdict="rejected"),)}), ("out_of_policy", {"out_of_policy": True})],
)
def test_a_decision_not_to_refund_breaks_no_promise_and_stays_in_sight_until_the_return_is_closed(rule: str, rma: dict) -> None:
    case = Journey().order().rma(**rma).scan()
    case.see("receipt", "RG-S1", ref="RG-S1", id="77", status="awaiting", lines=({"sku": "SHOE", "expected": 1},))
    case.decide()
    case.answer(rule, "keep")
    case.hours(60)
    assert case.refunds == []
    assert case.open.keys() == {"decided_not_to_refund"}
    case.see("rma", "1001", status="rejected")
    assert "decided_not_to_refund" not in case.open
    assert "promise_broken" not in case.open


def test_a_verdict_that_comes_in_time_saves_everybody_a_question() -> None:
    case = Journey(base_with(refund_on="inspection")).order().rma().scan()
    found = {"sku": "SHOE", "expected": 1, "received": 1, "rejected": 1}
    case.see("receipt", "RG-S1", ref="RG-S1", id="77", status="completed", lines=(found,))
    case.hours(0.4)
    assert case.open == {}
    case.see("rma", "1001", units=(piece(verdict="rejected"),))
    assert case.open.keys() == {"rejected_at_inspection"}


def test_a_gift_in_a_return_is_not_refunded_and_troubles_nobody() -> None:
    gift = line("L2", "GIFT", price="0.00", commission=eur("0.00"))
    case = Journey().order(line(), gift).rma(piece(), piece("P2", "GIFT", paid=eur("0.00"))).scan()
    assert case.refunds == [("L1#1", "50.00")]
    case.send()
    case.see("rma", "1001", status="done")
    case.hours(60)
    assert case.refunds == []
    assert case.open.keys() <= {"expected_return_missing"}


def test_a_gift_is_cancelled_with_its_order() -> None:
    unsent = {"debited_at": None, "shipped_at": None, "state": "waiting_debit"}
    case = Journey().order(line(**unsent), line("L2", "GIFT", price="0.00", **unsent), state="waiting_debit", can_cancel=True)
    case.sale(cancelled_at=NOON, fulfilled_at=None)
    case.hours(0.5)
    assert sorted(e.units for e in case.decision.effects if e.action == "marketplace.cancel") == [("L1#1",), ("L2#1",)]


@pytest.mark.parametrize("told", ["return", "store"])
def test_a_line_without_a_price_is_not_refunded_and_a_person_is_told_what_is_missing(told: str) -> None:
    case = Journey().order(line() | {"price": None}).sale()
    if told == "return":
        case.rma().scan()
    else:
        case.sale(refunds=(store_refund(),))
    case.hours(25)
    assert case.refunds == []
    assert case.open["undecided"].facts == ("order_line:A/L1.price",)


def test_an_agents_refund_is_for_the_piece_that_came_back_for_money_not_for_the_exchange() -> None:
    case = Journey().order(line(quantity=2, price="100.00"))
    case.rma(piece(resolution="exchange")).rma(
        piece("Q1", shipment_id="S9"), key="1002", shipments=(shipment("S9", "T9"),), requested_at=NOON - timedelta(hours=1)
    )
    case.refund_by_hand("L1", refund("X1", "50.00")).scan("T9")
    case.hours(60)
    assert case.refunds == []
    assert "promise_broken" not in case.open
