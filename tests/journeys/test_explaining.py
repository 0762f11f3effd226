"""What is told of a case says what is only shown, what waits for its turn, and who changed a rule."""

from __future__ import annotations

from dataclasses import replace

from engine.cli.explaining import explanation
from engine.decide.decision import Decision
from engine.problems import Place
from tests.decide.small import REFUND, Told
from tests.decide.test_modes import NOTE, SHADOW, TELL


def told_of(told: Told, decision: Decision) -> str:
    return "\n".join(line.plain for line in explanation(told.rules, decision, every=False))


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
