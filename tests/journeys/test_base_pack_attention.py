"""What nobody would notice otherwise is put before the right person, and goes away when it is no longer so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from engine.decide import outcomes
from engine.facts.effects import EffectState
from tests.journeys.base_pack import NOON, Journey, eur, line, piece, refund, shipment

AWAITED = {"ref": "RG-S1", "id": "77", "status": "awaiting", "lines": ({"sku": "SHOE", "expected": 1},)}


def planned(case: Journey, action: str) -> EffectState:
    return next(e for e in case.decide().effects if e.action == action)


def test_an_approved_return_that_never_moves_is_asked_after() -> None:
    case = Journey().order().rma().see("receipt", "RG-S1", **AWAITED)
    case.hours(24 * 13)
    assert case.open == {}
    case.hours(25)
    assert case.open.keys() == {"parcel_never_scanned"}
    case.scan()
    assert "parcel_never_scanned" not in case.open


def test_a_return_that_grows_after_it_was_announced_is_the_warehouses() -> None:
    case = Journey().order(line(quantity=2, price="100.00")).rma(piece("P1"), piece("P2")).see("receipt", "RG-S1", **AWAITED)
    case.hours(2)
    assert case.open["announced_wrongly"].owner == "warehouse"
    case.see("rma", "1001", units=(piece("P1"),))
    assert "announced_wrongly" not in case.open


def test_an_expected_return_called_off_while_its_parcel_moves_is_the_warehouses() -> None:
    case = Journey().order().rma().see("receipt", "RG-S1", **(AWAITED | {"status": "cancelled"}))
    assert "expected_return_called_off" not in case.open
    case.scan()
    assert case.open["expected_return_called_off"].owner == "warehouse"


def test_a_cancellation_that_fits_no_way_out_is_told() -> None:
    waiting = line(state="waiting_debit", debited_at=None, shipped_at=None)
    case = (
        Journey()
        .order(waiting, state="waiting_debit", can_cancel=False, debited_at=None)
        .sale(cancelled_at=NOON, fulfilled_at=None)
    )
    case.hours(5.9)
    assert case.open == {}
    case.hours(0.2)
    assert case.open["cancellation_stuck"].owner == "operations"
    assert case.planned == []


def test_pieces_taken_off_in_the_store_are_told_and_not_refunded() -> None:
    taken = {
        "id": "1",
        "line_item_id": "91",
        "sku": "SHOE",
        "quantity": 1,
        "restock": "cancel",
        "subtotal": eur("50.00"),
        "tax": eur("0.00"),
    }
    made = {"id": "SR1", "created_at": NOON, "amount": eur("50.00"), "lines": (taken,)}
    case = Journey().order(line(shipped_at=None, state="shipping"), state="shipping").sale(fulfilled_at=None, refunds=(made,))
    case.hours(3)
    assert case.refunds == []
    assert case.open["taken_off_before_fulfilment"].owner == "operations"


def test_an_incident_nobody_deals_with_is_told_after_a_day() -> None:
    case = Journey().order(line(state="incident_open", state_reason="1"))
    case.hours(23)
    assert case.open == {}
    case.hours(2)
    assert case.open["incident_without_return"].owner == "customer service"
    case.rma()
    assert "incident_without_return" not in case.open


def test_an_incident_that_outlives_its_refund_is_told() -> None:
    case = Journey().order(line(state="incident_open")).rma().see("receipt", "RG-S1", **AWAITED).scan()
    case.send()
    case.hours(2)
    case.send()
    case.hours(23)
    assert case.open["incident_still_open"].owner == "customer service"


def test_an_incident_somebody_else_closed_is_noted_once() -> None:
    case = Journey().order(line(state="incident_open")).rma().see("receipt", "RG-S1", **AWAITED).scan()
    case.send()
    case.hours(2)
    effect = planned(case, "marketplace.resolve_incident")
    case.memory = outcomes.settled_elsewhere(case.memory, effect.key, {}, case.now)
    case.decide()
    assert case.open.keys() == {"incident_closed_by_hand"}
    case.answer("incident_closed_by_hand", "accepted")
    case.hours(24)
    assert "incident_closed_by_hand" not in case.open


def test_what_a_rejected_return_means_is_told_to_the_marketplace() -> None:
    case = Journey().order().rma(status="rejected", shipments=())
    case.see("market_return", "MR1", id="MR1", order_id="A", rma_id="1001", state="waiting_acceptance", lines=())
    assert case.planned == ["marketplace.set_return"]
    assert planned(case, "marketplace.set_return").params["state"] == "refused"


def test_a_return_goes_through_the_marketplace_step_by_step() -> None:
    case = Journey().order().rma().see("receipt", "RG-S1", **AWAITED)
    asked: list[str] = []
    for state, seen in (("waiting_acceptance", {}), ("in_progress", {"status": "received"}), ("received", {})):
        case.see("market_return", "MR1", id="MR1", order_id="A", rma_id="1001", state=state, lines=())
        if seen:
            case.see("rma", "1001", **seen, received_at=case.now, shipments=(shipment(status="received"),))
        case.hours(2)
        asked += [str(e.params["state"]) for e in case.send() if e.action == "marketplace.set_return"]
    case.hours(2)
    asked += [str(e.params["state"]) for e in case.send() if e.action == "marketplace.set_return"]
    assert asked == ["accepted", "received", "closed"]


@pytest.mark.parametrize(
    ("action", "rule", "owner"),
    [
        ("returns.comment", "returns_platform_refused", "operations"),
        ("marketplace.set_return", "market_return_refused", "operations"),
        ("finance.post", "posting_refused", "finance"),
        ("marketplace.refund", "gave_up", "operations"),
    ],
)
def test_what_could_not_be_done_is_its_owners(action: str, rule: str, owner: str) -> None:
    case = Journey().order().rma().see("receipt", "RG-S1", **AWAITED).scan()
    case.see("market_return", "MR1", id="MR1", order_id="A", rma_id="1001", state="waiting_acceptance", lines=())
    if action in {"returns.comment", "finance.post"}:
        case.send()
    case.refuse(planned(case, action), "gave_up")
    assert case.open[rule].owner == owner
    assert "unhandled_outcome" not in case.open


def test_a_refund_that_never_reaches_the_books_is_told() -> None:
    case = Journey().order()
    case.refund_by_hand("L1", refund("X1", "50.00", state="refunded", commission=None))
    case.hours(71)
    assert case.open == {}
    case.hours(2)
    assert case.open["posting_missing"].owner == "finance"


@pytest.mark.parametrize("missing", [{"tracking_number": None}, {"status": None}, {"carrier": None}])
def test_what_a_parcel_does_not_tell_yet_troubles_nobody(missing: dict[str, Any]) -> None:
    case = Journey().order().rma(shipments=(shipment(**missing),)).see("receipt", "RG-S1", **AWAITED)
    case.hours(72)
    assert case.open == {}
    assert case.memory.undecided == {}


def test_a_record_that_has_only_been_named_troubles_nobody() -> None:
    case = Journey().order().rma()
    case.records = {k: v for k, v in case.records.items() if k[0] == "rma"} | {("order", "A"): case.records["order", "A"]}
    case.hours(timedelta(hours=72) / timedelta(hours=1))
    assert case.memory.undecided == {}
