"""People act by hand, messages come late and twice: what was done is seen, and what is unclear has an owner."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.decide import outcomes
from engine.facts.merge import fields_of, merge
from engine.facts.record import Observation
from tests.journeys.base_pack import NOON, Journey, base_with, eur, line, piece, refund, shipment


def test_an_agents_refund_first_seen_in_the_look_up_is_not_repeated() -> None:
    case = Journey().order().rma().scan()
    assert case.refunds == [("L1#1", "50.00")]
    case.refund_by_hand("L1", refund("X1", "50.00"))
    assert case.refunds == []
    case.hours(60)
    assert case.refunds == []
    assert case.open == {} or case.open.keys() <= {"expected_return_missing"}


def test_a_refund_whose_answer_was_lost_is_found_by_its_sum_and_not_sent_again() -> None:
    case = Journey().order().rma().scan()
    (effect,) = [e for e in case.decide().effects if e.action == "marketplace.refund"]
    case.begin(effect)
    case.memory = outcomes.unsure(case.memory, effect.key, "time-out")
    case.hours(2)
    assert case.refunds == []
    assert case.open["outcome_unknown"].owner == "operations"
    case.show_refund(effect)
    case.decide()
    assert case.memory.effect(effect.key).status == "settled"
    assert "outcome_unknown" not in case.open


def test_a_piece_refunded_twice_is_finances_until_they_say_it_is_settled() -> None:
    case = Journey().order().rma().scan()
    case.send()
    case.refund_by_hand("L1", refund("X1", "50.00", NOON + timedelta(minutes=5)))
    case.decide()
    assert case.open["refunded_twice"].severity == "critical"
    case.answer("refunded_twice", "accepted")
    case.hours(48)
    assert "refunded_twice" not in case.open


def test_a_stale_delivery_changes_nothing() -> None:
    def seen(version: str, status: str) -> Observation:
        fields = {"tracking_number": "T1", "status": status}
        return Observation("easypost.tracker", "parcel", "T1", version, version, NOON, fields)

    fresh = merge(merge(None, seen("2026-09-02", "delivered")), seen("2026-09-01", "in_transit"))
    assert fields_of(fresh)["status"] == "delivered"
    assert fields_of(fresh) == fields_of(merge(None, seen("2026-09-02", "delivered")))


def test_an_empty_summary_after_a_full_record_takes_nothing_away() -> None:
    full = Observation("returngo.rma", "rma", "1001", "1", "a", NOON, {"id": "1001", "status": "approved", "units": (piece(),)})
    summary = Observation("returngo.rma_summary", "rma", "1001", "2", "b", NOON, {"id": "1001"})
    fields = fields_of(merge(merge(None, full), summary))
    case = Journey().order().rma(**{k: v for k, v in fields.items() if k != "id"}).scan()
    assert case.refunds == [("L1#1", "50.00")]


def test_a_cancellation_while_the_goods_leave_stops_everything_until_somebody_decides() -> None:
    case = Journey().order().rma().sale(cancelled_at=NOON).scan()
    case.hours(60)
    assert case.refunds == []
    assert case.open["cancelled_while_fulfilled"].owner == "customer service"
    case.answer("cancelled_while_fulfilled", "go_on")
    assert case.refunds == [("L1#1", "50.00")]


def test_a_cancellation_before_the_goods_leave_is_passed_on_after_a_while() -> None:
    unsent = line(debited_at=None, shipped_at=None, state="waiting_debit")
    case = Journey().order(unsent, state="waiting_debit", can_cancel=True, debited_at=None)
    case.sale(cancelled_at=NOON, fulfilled_at=None)
    assert case.planned == []
    case.hours(0.5)
    assert case.planned == ["marketplace.cancel"]
    case.sale(fulfilled_at=NOON)
    assert case.planned == []
    assert "cancelled_while_fulfilled" in case.open


def test_a_paid_order_that_cannot_be_cancelled_is_refunded_instead() -> None:
    case = Journey().order(line(shipped_at=None, state="shipping"), state="shipping", can_cancel=False)
    case.sale(cancelled_at=NOON, fulfilled_at=None)
    case.hours(0.5)
    assert case.refunds == [("L1#1", "50.00")]


def test_goods_coming_back_for_a_cancelled_order_belong_to_somebody() -> None:
    case = Journey().order(state="cancelled").rma().scan()
    case.hours(60)
    assert case.refunds == []
    assert "return_for_cancelled_order" in case.open


def test_a_return_of_no_order_belongs_to_somebody() -> None:
    case = Journey().rma().scan()
    case.hours(25)
    assert case.refunds == []
    assert case.open["orphaned_return"].owner == "operations"


def test_a_parcel_for_a_rejected_return_belongs_to_somebody() -> None:
    case = Journey().order().rma(status="rejected").scan()
    case.hours(60)
    assert case.refunds == []
    assert "parcel_without_return" in case.open
    assert "promise_broken" not in case.open


@pytest.mark.parametrize(
    ("reason", "rule", "owner"),
    [
        ("balance_too_low", "balance_too_low", "finance"),
        ("missing_role", "role_missing", "operations"),
        ("reason_not_allowed", "reason_refused", "operations"),
        ("reason_unmapped", "reason_refused", "operations"),
        ("order_closed", "state_refused", "operations"),
        ("not_debited", "state_refused", "operations"),
        ("line_not_refundable", "state_refused", "operations"),
        ("refund_in_progress", "less_left_than_asked", "customer service"),
        ("invalid_amount", "less_left_than_asked", "customer service"),
        ("tax_missing", "tax_refused", "finance"),
    ],
)
def test_every_refusal_has_an_owner_and_only_one(reason: str, rule: str, owner: str) -> None:
    case = Journey().order().rma().scan()
    (effect,) = [e for e in case.decide().effects if e.action == "marketplace.refund"]
    case.refuse(effect, reason)
    assert {name: e.owner for name, e in case.open.items()} == {rule: owner}
    assert case.refunds == []


def test_a_refusal_no_rule_knows_is_still_somebodys() -> None:
    case = Journey().order().rma().scan()
    (effect,) = [e for e in case.decide().effects if e.action == "marketplace.refund"]
    case.refuse(effect, "moon_in_the_wrong_phase")
    assert case.open.keys() == {"unhandled_outcome"}


def test_part_of_a_line_is_not_refunded_where_the_operator_forbids_it() -> None:
    case = Journey(base_with(partial_refund=False)).order(line(quantity=2, price="100.00")).rma().scan()
    case.hours(60)
    assert case.refunds == []
    assert case.open["partial_refund_not_permitted"].owner == "operations"
    assert "promise_broken" not in case.open
    case.answer("partial_refund_not_permitted", "permitted")
    assert case.refunds == [("L1#1", "50.00")]


def test_a_whole_line_is_refunded_where_the_operator_forbids_parts() -> None:
    case = Journey(base_with(partial_refund=False)).order(line(quantity=2, price="100.00")).rma(piece("P1"), piece("P2")).scan()
    assert case.refunds == [("L1#1+L1#2", "100.00")]


@pytest.mark.parametrize("state", ["closed", "waiting_debit"])
def test_resolving_the_exception_of_a_veto_does_not_lift_the_veto(state: str) -> None:
    case = Journey().order(state=state).rma().scan()
    case.decide()
    case.resolve("order_not_refundable")
    case.hours(60)
    assert case.refunds == []
    assert "order_not_refundable" in case.open


def test_an_unpaid_line_waits_until_it_is_paid() -> None:
    case = Journey().order(line(debited_at=None), debited_at=None).rma().scan()
    assert case.refunds == []
    assert "line_not_debited" in case.open
    case.order(line(), debited_at=NOON)
    assert case.refunds == [("L1#1", "50.00")]


@pytest.mark.parametrize(("allowed", "refunds"), [(True, 1), (False, 0)])
def test_orders_paid_to_us_directly_are_refunded_only_where_the_platform_lets_us(allowed: bool, refunds: int) -> None:
    case = Journey().order(customer_pays_seller=True).rma().scan()
    case.see("seller", "2001", id="2001", direct_payment_refunds=allowed)
    assert len(case.refunds) == refunds
    assert ("customer_paid_us" in case.open) is not allowed


@pytest.mark.parametrize(("code", "ours", "held"), [("17", True, False), ("17", False, True), ("15", True, True)])
def test_a_reason_the_operator_does_not_let_us_use_is_never_sent(code: str, ours: bool, held: bool) -> None:
    reason = {"id": f"REFUND/{code}", "code": code, "type": "REFUND", "label": "Item returned", "shop_right": ours}
    case = Journey().order().rma().scan().see("seller", "2001", id="2001", reasons=(reason,))
    assert (case.refunds == []) is held
    assert ("reason_not_ours" in case.open) is held


def test_every_parcel_of_a_return_is_announced_and_what_goes_out_is_not() -> None:
    out = shipment("S3", "T3", outbound=True, receipt_ref=None)
    case = Journey().order(line(quantity=2, price="100.00"))
    case.rma(piece("P1"), piece("P2", shipment_id="S2", resolution="exchange"), shipments=(shipment(), shipment("S2", None), out))
    announced = [e.params["shipment"] for e in case.decide().effects]
    assert sorted(s["receipt_ref"] for s in announced) == ["RG-S1", "RG-S2"]
    assert [s["lines"] for s in announced] == [({"sku": "SHOE", "quantity": 1},)] * 2
    case.send()
    case.hours(100)
    assert not [a for a in case.planned if a == "warehouse.create_asn"]


def test_a_moving_parcel_the_warehouse_does_not_expect_is_the_warehouses() -> None:
    case = Journey().order().rma().scan()
    (announced,) = [e for e in case.decide().effects if e.action == "warehouse.create_asn"]
    case.refuse(announced, "sku_unknown")
    assert case.open["expected_return_refused"].owner == "warehouse"
    case.hours(5)
    assert case.open["expected_return_missing"].owner == "warehouse"


def test_an_announcement_is_called_off_with_its_return() -> None:
    case = Journey().order().rma().see("receipt", "RG-S1", ref="RG-S1", id="77", status="awaiting", lines=())
    case.see("rma", "1001", status="cancelled")
    assert case.planned == ["warehouse.cancel_asn"]


@pytest.mark.parametrize(
    ("found", "rule"),
    [
        ({"expected": 2, "received": 1}, "short_receipt"),
        ({"expected": 1, "received": 2}, "over_receipt"),
        ({"expected": 0, "received": 1}, "unknown_goods"),
    ],
)
def test_what_the_warehouse_counts_otherwise_is_told(found: dict[str, int], rule: str) -> None:
    case = Journey().order().rma()
    case.see("receipt", "RG-S1", ref="RG-S1", id="77", status="completed", lines=({"sku": "SHOE"} | found,))
    case.decide()
    assert rule in case.open


def test_money_out_for_goods_that_were_rejected_is_finances() -> None:
    case = Journey().order().rma().scan()
    case.send()
    case.see("rma", "1001", units=(piece(verdict="rejected"),))
    case.decide()
    assert case.open["paid_without_goods"].owner == "finance"
    assert "rejected_at_inspection" not in case.open


def test_a_return_that_is_done_but_open_in_the_marketplace_is_told() -> None:
    case = Journey(base_with(refund_on="inspection")).order().rma(status="done")
    case.hours(3)
    assert case.open["still_open_in_marketplace"].owner == "operations"


def test_an_incident_is_resolved_once_its_line_is_refunded() -> None:
    case = Journey().order(line(state="incident_open")).rma().scan()
    case.send()
    case.hours(2)
    assert "marketplace.resolve_incident" in case.planned


def test_a_refund_is_booked_once_and_its_commission_put_right_later() -> None:
    case = Journey().order()
    case.refund_by_hand("L1", refund("X1", "50.00", state="refunded", commission=eur("4.00")))
    assert case.planned == ["finance.post"]
    case.send()
    booked = {"id": "X1-c", "posting": "X1", "order_id": "A", "refund_id": "X1", "component": "commission", "amount": eur("4.00")}
    case.see("ledger_line", "X1-c", **booked)
    assert case.planned == []
    assert case.open["commission_differs"].owner == "finance"
    line_now = case.records["order", "A"]["lines"][0]
    case.order(line_now | {"refunds": (refund("X1", "50.00", state="refunded", commission=eur("5.00")),)})
    assert case.planned == ["finance.adjust"]
    assert "commission_differs" not in case.open
