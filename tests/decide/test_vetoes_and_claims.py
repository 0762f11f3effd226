"""What is forbidden is not sent, what is asked for twice is sent once, and what lost says to whom."""

from __future__ import annotations

from engine.decide import outcomes
from tests.decide.small import REFUND, Told, refunds

HOLD = """
  hold:
    group: {group}
    each: rma
    when: ['rma.out_of_policy']
    then: [{{forbid: {forbid}, because: waiting}}]
"""


def test_a_veto_binds_strictly_lower_groups_for_as_long_as_it_holds() -> None:
    above = Told(REFUND + HOLD.format(group="hold", forbid="marketplace.refund"))
    assert refunds(above.decided(out_of_policy=True)) == []
    assert [(b.by, b.because, b.units) for b in above.decided().blocked] == [("hold", "waiting", ("L#1", "L#2"))]
    assert refunds(above.decided(out_of_policy=False)) == [("L#1", "L#2")]
    beside = HOLD.format(group="refund", forbid="marketplace.refund") + REFUND.replace(
        "refund:\n    group: refund", "last:\n    group: sync"
    )
    told = Told(REFUND + beside)
    assert refunds(told.decided(out_of_policy=True)) == [("L#1", "L#2")]


def test_a_veto_on_units_binds_only_those() -> None:
    told = Told(
        REFUND + HOLD.format(group="hold", forbid="{marketplace.refund: {units: '[u for u in rma.units if u.key == \"1\"]'}}")
    )
    assert refunds(told.decided(out_of_policy=True)) == [("L#2",)]


def test_what_is_not_known_binds_and_a_person_is_told_if_that_lasts() -> None:
    told = Told(REFUND + HOLD.format(group="hold", forbid="marketplace.refund"))
    assert refunds(told.decided()) == []
    assert told.opened() == []
    told.decided(hours=24)
    assert told.opened() == ["undecided"]
    assert told.last is not None
    assert told.last.exceptions[0].facts == ("rma:1.out_of_policy",)
    assert refunds(told.decided(hours=1, out_of_policy=False)) == [("L#1", "L#2")]
    assert told.opened() == []


ARRIVED = """
  refund:
    group: refund
    each: rma
    when: ['all(p.status == "delivered" for p in rma.parcels)']
    then: [{marketplace.refund: {units: rma.units}}]
"""
ON_ITS_WAY = """
  on_its_way:
    group: hold
    each: rma
    when: ['any(p.status != "delivered" for p in rma.parcels)']
    then: [{forbid: marketplace.refund, because: not all of it is here}]
"""


def test_all_over_parcels_not_yet_seen_is_not_true_and_a_person_is_told_which_if_that_lasts() -> None:
    told = Told(ARRIVED)
    assert refunds(told.decided(tracking_numbers=["T1", "T2"])) == []
    told.parcels = [{"tracking_number": "T1", "status": "delivered"}]
    assert refunds(told.decided()) == []
    told.decided(hours=24)
    assert told.opened() == ["undecided"]
    assert told.last is not None
    assert told.last.exceptions[0].facts == ("parcel:T2.status",)
    told.parcels.append({"tracking_number": "T2", "status": "delivered"})
    assert refunds(told.decided()) == [("L#1", "L#2")]
    assert told.opened() == []


def test_a_parcel_not_yet_seen_binds_a_forbid_that_asks_for_all_of_them() -> None:
    told = Told(REFUND + ON_ITS_WAY)
    told.parcels = [{"tracking_number": "T1", "status": "delivered"}]
    assert refunds(told.decided(tracking_numbers=["T1", "T2"])) == []
    told.parcels.append({"tracking_number": "T2", "status": "delivered"})
    assert refunds(told.decided()) == [("L#1", "L#2")]


def test_a_veto_on_parts_binds_what_is_left_of_a_line_after_all_other_vetoes() -> None:
    parts = """
  whole_lines:
    group: hold
    when: ['order.state == "received"']
    then: [{forbid: {marketplace.refund: {partial: true}}, because: no parts}]
"""
    one = HOLD.format(group="verdict", forbid="{marketplace.refund: {units: '[u for u in rma.units if u.key == \"1\"]'}}")
    told = Told(REFUND + parts + one)
    assert refunds(told.decided(out_of_policy=True)) == []
    assert {b.why for b in told.decided().blocked} == {"veto", "partial"}
    assert refunds(told.decided(out_of_policy=False)) == [("L#1", "L#2")]


def test_each_unit_goes_to_the_highest_group_and_the_loser_keeps_the_others() -> None:
    first = """
  urgent:
    group: sla
    each: rma
    when: ['rma.status == "approved"']
    then: [{marketplace.refund: {units: '[u for u in rma.units if u.key == "1"]'}}]
"""
    told = Told(REFUND + first)
    assert sorted(refunds(told.decided())) == [("L#1",), ("L#2",)]
    assert told.last is not None
    assert [(b.rule, b.units, b.why, b.by) for b in told.last.blocked] == [("refund", ("L#1",), "claimed", "urgent")]


def test_rules_of_one_group_that_ask_for_different_things_wait_for_a_person() -> None:
    other = REFUND.replace("  refund:", "  other:").replace(
        "units: rma.units", "units: '[u for u in rma.units if u.key == \"1\"]', reason: gone"
    )
    told = Told(REFUND + other)
    assert refunds(told.decided()) == [("L#2",)]
    assert told.opened() == ["conflict"]
    same = Told(REFUND + REFUND.replace("  refund:", "  other:"))
    assert refunds(same.decided()) == [("L#1", "L#2")]


def test_a_settled_unit_is_not_sent_again_and_a_refused_one_only_when_a_person_says_so() -> None:
    told = Told(REFUND)
    (effect,) = told.decided().effects
    told.memory = outcomes.settled(outcomes.begin(told.memory, effect.key, told.now), effect.key, {"refund_id": "7"}, told.now)
    assert refunds(told.decided(hours=1)) == []
    again = Told(REFUND)
    (effect,) = again.decided().effects
    again.memory = outcomes.refused(outcomes.begin(again.memory, effect.key, again.now), effect.key, "no", "", again.now)
    assert refunds(again.decided(hours=1)) == []
    assert again.opened() == ["unhandled_outcome"]
    again.memory = outcomes.retried(again.memory, effect.key)
    assert refunds(again.decided()) == [("L#1", "L#2")]


def test_a_refused_unit_later_refunded_by_somebody_is_settled_elsewhere() -> None:
    told = Told(REFUND, pieces=1)
    (effect,) = told.decided().effects
    told.memory = outcomes.refused(outcomes.begin(told.memory, effect.key, told.now), effect.key, "no", "", told.now)
    price = told.order["lines"][0]["price"]
    told.order["lines"][0]["refunds"] = [{"id": "9", "amount": price, "created_at": "2026-03-02T13:00:00Z"}]
    decision = told.decided(hours=2)
    assert [e.status for e in decision.memory.effects] == ["settled_elsewhere"]
    assert decision.exceptions == ()


def test_a_planned_effect_is_withdrawn_replaced_or_keeps_its_place() -> None:
    told = Told(REFUND)
    (first,) = told.decided().effects
    (kept,) = told.decided(hours=1).effects
    assert kept.planned_at == first.planned_at
    told.rma["units"] = told.rma["units"][:1]
    decision = told.decided(hours=1)
    assert (refunds(decision), decision.withdrawn) == ([("L#1",)], (first.key,))
    assert told.decided(status="cancelled").effects == ()
