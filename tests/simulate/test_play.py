"""One case on virtual time: seen in any order it ends in the same, time jumps to where something happens, nothing is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from engine.decide import outcomes
from engine.facts.merge import GIVEN, given
from engine.facts.record import Observation
from engine.facts.values import Money
from engine.simulate import play as playing
from engine.simulate.play import Play, Restless
from tests.simulate.small_scenarios import suite

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
TRIED = "scenarios:\n  it: {given: return, then: marketplace.refund}\n"


@pytest.fixture
def rules(tmp_path: Path):
    return suite(tmp_path, TRIED).rule_set


def observation(rules, kind: str, version: str = "1", **fields) -> Observation:
    whole = given(rules.vocabulary, kind, fields, START)
    snapshot = whole.snapshots[GIVEN]
    return Observation(GIVEN, kind, whole.key, version, "", START, snapshot.fields, links=snapshot.links)


def return_seen(rules, status: str = "approved", version: str = "1") -> list[Observation]:
    units = ({"key": "P1", "sku": "SHOE", "resolution": "refund", "method": "ship"},)
    line = {"id": "L1", "index": 1, "sku": "SHOE", "quantity": 1}
    return [
        observation(rules, "order", id="A", state="received", lines=(line,)),
        observation(rules, "sale", id="9", order_ref="A", of_marketplace=True),
        observation(rules, "rma", version, id="1001", status=status, sale_id="9", units=units),
    ]


def test_what_is_seen_in_any_order_ends_in_the_same_decision(rules) -> None:
    stale = return_seen(rules, "approved", "0")[2]
    decisions = set()
    for order in permutations([*return_seen(rules, "requested"), stale]):
        play = Play(rules, START)
        for one in order:
            play.see(one)
        decided = play.decide()
        decisions.add((decided.case, decided.wake_at, str(play.case())))
    assert len(decisions) == 1


def test_time_jumps_to_where_a_decision_asked_to_be_looked_at(rules) -> None:
    play = Play(rules, START)
    for one in return_seen(rules, "requested"):
        play.see(one)
    play.decide()
    passed = [(d.now, [e.rule for e in d.exceptions]) for d in play.advance(START + timedelta(hours=3))]
    assert passed == [(START + timedelta(hours=2), ["slow"])]
    assert play.now == START + timedelta(hours=3)


def test_what_became_of_an_effect_is_seen_by_the_next_decision(rules) -> None:
    play = Play(rules, START)
    order, *others = return_seen(rules)
    priced = [{**line, "price": Money.of("50.00", "EUR")} for line in order.fields["lines"]]
    for one in (replace(order, fields={**order.fields, "currency": "EUR", "lines": tuple(priced)}), *others):
        play.see(one)
    (effect,) = play.decide().effects
    play.change(lambda memory: outcomes.begin(memory, effect.key, play.now))
    assert play.decide().effects == ()


def test_records_that_nothing_ties_to_the_case_are_told_apart(rules) -> None:
    play = Play(rules, START)
    for one in (*return_seen(rules), observation(rules, "parcel", tracking_number="T9")):
        play.see(one)
    assert play.strangers() == [("parcel", "T9")]
    assert [record.kind for record in play.case().records] == ["order", "rma", "sale"]


def test_a_case_that_never_comes_to_rest_is_an_error_and_no_endless_loop(rules, monkeypatch: pytest.MonkeyPatch) -> None:
    def restless(rule_set, case, memory, now, previous):
        return replace(real(rule_set, case, memory, now, previous), wake_at=now + timedelta(microseconds=1))

    real = playing.decide
    monkeypatch.setattr(playing, "decide", restless)
    monkeypatch.setattr(playing, "MOST_PASSES", 50)
    play = Play(rules, START)
    play.decide()
    with pytest.raises(Restless, match="50 times"):
        list(play.advance(START + timedelta(hours=1)))
