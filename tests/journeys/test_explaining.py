"""What is told of a case says what is only shown, what waits for its turn, and who changed a rule."""

from __future__ import annotations

from dataclasses import replace

from engine.cli.explaining import explanation
from engine.decide import outcomes
from engine.decide.decision import Decision
from engine.desk.explained import Explained
from engine.problems import Place
from tests.decide.small import REFUND, Told
from tests.decide.test_modes import NOTE, SHADOW, TELL

EACH_UNIT = """
  not_twice:
    group: sync
    each: unit
    when: [unit.times_refunded > 1]
    then: [{raise: {owner: operations, severity: low, title: twice, runbook: look, answers: {accepted: so be it}}}]
"""
GAVE_UP = """
  gave_up:
    group: sync
    each: effect
    when: ['effect.status == "refused"', 'effect.reason == "gave_up"']
    then: [{raise: {owner: operations, severity: low, title: refused, runbook: look}}]
"""


def told_of(told: Told, decision: Decision) -> str:
    return "\n".join(line.plain for line in explanation(Explained(told.rules, decision, None), every=False))


def test_shadow_rules_are_told_apart() -> None:
    told = Told(REFUND + SHADOW.replace("{group}", "refund") + TELL.format(mode="shadow"))
    text = told_of(told, told.decided())
    assert "shadow            marketplace.refund L#1+L#2" in text
    assert "planned           marketplace.refund L#1+L#2" in text
    assert "operations, only shown, its rule is in shadow, since" in text
    assert "shadow_refund rma:1  rules/base/rules.yaml" in text
    assert "  in shadow" in text


def test_a_client_in_shadow_and_a_case_from_before_say_that_nothing_is_sent() -> None:
    told = Told(REFUND)
    decision = told.decided()
    told.rules = replace(told.rules, mode="shadow")
    assert "The client is in shadow: all is decided and shown, nothing is sent." in told_of(told, decision)
    told.rules = replace(told.rules, mode="live", since=told.now.replace(year=2027))
    assert "before 2027-03-02T12:00Z: decided and shown, nothing is sent." in told_of(told, decision)


def test_what_waits_for_its_turn_says_until_when() -> None:
    told = Told(NOTE.format(limit="1 per 24h"))
    assert "comment:rma:1/second@1 (at most 1 per 1d: not before 2026-03-03T12:00Z)" in told_of(told, told.decided())


def test_an_overridden_rule_names_every_place() -> None:
    told = Told(REFUND)
    (rule,) = told.rules.rules
    told.rules = replace(told.rules, rules=(replace(rule, origins=(rule.place, Place("rules/clients/shop/own.yaml", 2, 3))),))
    assert "overridden at rules/clients/shop/own.yaml:2:3" in told_of(told, told.decided())


def test_items_of_which_the_same_is_to_be_said_are_told_together_unless_each_is_asked_for() -> None:
    told = Told(REFUND + EACH_UNIT, pieces=4)
    decision = told.decided()
    assert "not_twice for 4 units  unit.times_refunded > 1 is false  rules/base/rules.yaml:15:12" in told_of(told, decision)
    every = [line.plain for line in explanation(Explained(told.rules, decision, None), every=True)]
    assert len([line for line in every if "not_twice unit:L#" in line]) == 4


def test_rules_about_bad_ends_are_left_out_while_there_is_none() -> None:
    told = Told(REFUND + GAVE_UP)
    (effect,) = told.decided().effects
    told.memory = outcomes.settled(outcomes.begin(told.memory, effect.key, told.now), effect.key, {"refund_id": "1"}, told.now)
    text = told_of(told, told.decided(hours=1))
    assert "gave_up" not in text
    assert "and 1 rule about refusals and unsure ends" in text
    told = Told(REFUND + GAVE_UP)
    (effect,) = told.decided().effects
    told.memory = outcomes.refused(outcomes.begin(told.memory, effect.key, told.now), effect.key, "closed", "", told.now)
    assert f'gave_up for effect:{effect.key}  effect.reason == "gave_up" is false' in told_of(told, told.decided(hours=1))


def test_lists_are_counted_and_named() -> None:
    told = Told(REFUND.replace("""['rma.status == "approved"']""", """['rma.status == "approved"', rma.units]"""))
    assert "rma.units is true: rma:1.units = 2 units (1, 2)" in told_of(told, told.decided())
