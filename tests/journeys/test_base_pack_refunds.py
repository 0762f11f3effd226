"""What the base pack keeps where a scenario cannot say it: rules read without being tried, facts that come in pieces or late,
parameters nobody has set. Everything else it promises stands in `rules/base/*.test.yaml`.
"""

from __future__ import annotations

import pytest

from engine.facts.merge import fields_of, merge
from engine.facts.record import Observation
from tests.journeys.base_pack import NOON, Journey, base_pack, base_with, piece


def test_every_rule_says_what_it_is_for_and_every_exception_what_to_do() -> None:
    for rule in base_pack().rules:
        assert rule.title, rule.id
        for raised in rule.raises:
            assert raised.owner, rule.id
            assert raised.runbook is not None, rule.id


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


def test_a_record_that_has_only_been_named_troubles_nobody() -> None:
    case = Journey().order().rma()
    case.records = {k: v for k, v in case.records.items() if k[0] == "rma"} | {("order", "A"): case.records["order", "A"]}
    case.hours(72)
    assert case.memory.undecided == {}
