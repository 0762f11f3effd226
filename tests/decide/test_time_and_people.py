"""Clocks, exceptions, answers, snoozes and what comes again."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from engine.decide import outcomes, people
from engine.decide.match import about_text
from engine.facts.values import Money
from tests.decide.small import REFUND, Told, refunds

SLOW = REFUND.replace("    then:", "    for: params.wait\n    then:")
ASK = """
  ask:
    group: verdict
    each: rma
    when: [rma.units, 'default(answer.ask, "") != "pay"']
    then:
      - forbid: {marketplace.refund: {units: rma.units}}
        because: somebody has to say
      - raise:
          owner: customer service
          severity: high
          title: "RMA {rma.id}"
          about: rma.units
          answers: {pay: pay it, keep: keep it}
"""
TELL = """
  tell:
    group: sync
    each: rma
    when: ['rma.status == "approved"']
    then: [{raise: {owner: operations, severity: low, title: "RMA {rma.id}", runbook: look}}]
"""


def test_a_for_clock_runs_while_true_pauses_while_unknown_and_starts_over_when_false() -> None:
    told = Told(SLOW)
    first = told.decided()
    assert (refunds(first), first.wake_at) == ([], told.now + timedelta(hours=2))
    told.decided(hours=1, status=None)
    assert refunds(told.decided(hours=5)) == []
    told.decided(status="approved")
    assert refunds(told.decided(hours=0.5)) == []
    assert refunds(told.decided(hours=0.5)) == [("L#1", "L#2")]
    told.decided(status="requested")
    assert refunds(told.decided(status="approved")) == []
    assert refunds(told.decided(hours=2)) == [("L#1", "L#2")]


def test_after_waits_for_an_instant_and_says_when() -> None:
    told = Told(REFUND.replace("    then:", "    after: rma.received_at + params.wait\n    then:"))
    told.rma["received_at"] = "2026-03-02T13:00:00Z"
    decision = told.decided()
    assert (refunds(decision), decision.wake_at) == ([], told.now + timedelta(hours=3))
    assert refunds(told.decided(hours=3)) == [("L#1", "L#2")]


def test_an_answer_is_a_fact_until_what_it_is_about_changes() -> None:
    told = Told(REFUND + ASK)
    told.decided()
    assert told.opened() == ["ask"]
    (key,) = told.memory.exceptions
    with pytest.raises(people.NotPossible, match="keep, pay"):
        people.answered(told.memory, key, "perhaps", "Ana", told.now)
    told.memory = people.answered(told.memory, key, "pay", "Ana", told.now)
    assert refunds(told.decided()) == [("L#1", "L#2")]
    assert told.opened() == []
    assert people.answered(told.memory, key, "pay", "Ana", told.now) == told.memory  # who did not hear says it again
    with pytest.raises(people.NotPossible, match="no open exception"):
        people.answered(told.memory, key, "keep", "Ana", told.now)
    told.rma["units"] = [*told.rma["units"], {"key": "3", "sku": "S", "resolution": "refund"}]
    assert refunds(told.decided()) == []
    assert told.opened() == ["ask"]


def test_resolving_while_the_rule_holds_only_puts_it_off() -> None:
    told = Told(TELL)
    told.decided()
    (key,) = told.memory.exceptions
    told.memory = people.resolved(told.memory, key, told.now)
    decision = told.decided(hours=1)
    assert (told.opened(), decision.wake_at) == ([], told.now + timedelta(hours=47))
    told.decided(hours=47)
    assert told.opened() == ["tell"]
    told.decided(status="done")
    assert told.memory.exceptions == {}
    assert told.last is not None
    assert [why for _, why in told.last.closed] == ["its condition is known to be false"]


def test_a_snooze_never_sleeps_through_a_deadline() -> None:
    promise = "\npromises:\n  in_time: {each: rma, by: rma.received_at, must: 'rma.status == \"done\"'}\n"
    told = Told(f"\nrules:{TELL}{promise}")
    told.rma["received_at"] = "2026-03-02T18:00:00Z"
    told.decided()
    (key,) = told.memory.exceptions
    told.memory = people.resolved(told.memory, key, told.now)
    assert told.decided().wake_at == told.now + timedelta(hours=5)
    told.decided(hours=5)
    assert told.opened() == ["tell"]
    told.decided(hours=1)
    assert told.opened() == ["promise_broken", "tell"]
    told.decided(status="done")
    assert told.opened() == []


def test_a_raise_stays_as_it_was_while_its_condition_is_unknown() -> None:
    told = Told(TELL)
    told.decided()
    told.decided(hours=1, status=None)
    assert told.opened() == ["tell"]
    never = Told(TELL)
    never.decided(status=None)
    assert never.opened() == []


def test_what_may_be_done_again_comes_once_for_as_long_as_it_is_asked_for_and_three_times_a_day() -> None:
    comment = """
  note:
    group: sync
    each: rma
    when: ['rma.status == "approved"']
    then: [{returns.comment: {rma: rma, text: "RMA {rma.id} is approved"}}]
"""
    told = Told(comment)
    for turn in range(1, 4):
        (effect,) = told.decided(hours=1, status="approved").effects
        assert effect.key.endswith(f"@{turn}")
        told.memory = outcomes.settled(outcomes.begin(told.memory, effect.key, told.now), effect.key, {}, told.now)
        assert told.decided(hours=1).effects == ()
        told.decided(status="requested")
    decision = told.decided(hours=1, status="approved")
    assert (decision.effects, told.opened()) == ((), ["flapping"])
    assert decision.wake_at is not None
    told.now = decision.wake_at
    assert len(told.decided().effects) == 1


def test_an_unsure_effect_is_never_withdrawn() -> None:
    told = Told(REFUND)
    (effect,) = told.decided().effects
    told.memory = outcomes.unsure(outcomes.begin(told.memory, effect.key, told.now), effect.key, "no answer")
    decision = told.decided(status="cancelled")
    assert [e.status for e in decision.memory.effects] == ["unsure"]


def test_after_a_crash_nobody_knows_how_far_it_came() -> None:
    told = Told(REFUND)
    (effect,) = told.decided().effects
    assert [e.status for e in outcomes.interrupted(outcomes.begin(told.memory, effect.key, told.now)).effects] == ["unsure"]


def test_shadow_rules_plan_nothing_that_is_sent_and_off_rules_nothing_at_all() -> None:
    shadow = Told(REFUND.replace("group: refund", "group: refund\n    mode: shadow"))
    assert [e.mode for e in shadow.decided().effects] == ["shadow"]
    off = Told(REFUND.replace("group: refund", "group: refund\n    mode: off"))
    assert off.decided().effects == ()


def test_an_amount_is_the_same_thing_to_be_asked_about_however_it_is_written() -> None:
    amounts = [Money(Decimal(text), "EUR") for text in ("10", "10.0", "10.00", "1E+1")]
    assert {about_text(amount) for amount in amounts} == {"10 EUR"}
    assert about_text(Money(Decimal("0.10"), "EUR")) == "0.1 EUR"
