"""What shadow rules see and say stays among themselves; what is over a limit waits its turn; a renamed rule remembers."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decide import Decision, Memory, decide, outcomes, people
from engine.decide.document import decision_to_json
from engine.decide.trace import trace
from engine.facts.case import case_of
from engine.facts.effects import EffectState
from engine.facts.merge import merge
from engine.facts.record import RecordState
from engine.language.compiled import Rule
from engine.language.ruleset import RuleSet
from tests.decide.small import REFUND, Told, refunds, rules
from tests.decide.test_properties import RULES, SOME, happens, observations
from tests.journeys.world import START

SHADOW = REFUND.replace("  refund:", "  shadow_refund:").replace("group: refund", "group: {group}\n    mode: shadow")
HOLD = """
  hold:
    group: hold
    mode: {mode}
    each: rma
    when: ['rma.out_of_policy']
    then: [{{forbid: marketplace.refund, because: waiting}}]
"""
TELL = """
  tell:
    group: sync
    mode: {mode}
    each: rma
    when: ['rma.status == "approved"']
    then: [{{raise: {{owner: operations, severity: low, title: "RMA {{rma.id}}", runbook: look}}}}]
"""
NOTE = """
  note:
    group: sync
    at_most: {limit}
    each: rma
    when: ['rma.status == "approved"']
    then:
      - returns.comment: {{rma: rma, text: first}}
      - returns.comment: {{rma: rma, text: second}}
      - returns.comment: {{rma: rma, text: third}}
"""


def live(found: Iterable[EffectState]) -> list[EffectState]:
    return [e for e in found if e.mode == "live"]


def with_shadows(draw: random.Random) -> RuleSet:
    """The base pack, and beside it some of its rules again, in shadow and in groups they do not belong to."""
    groups = RULES.precedence
    copies = []
    for rule in draw.sample(RULES.rules, draw.randint(1, len(RULES.rules))):
        rank = draw.randrange(len(groups))
        copies.append(replace(rule, id=f"shadow_{rule.id}", mode="shadow", group=groups[rank], rank=rank))
    whole: list[Rule] = sorted([*RULES.rules, *copies], key=lambda r: r.id)
    return replace(RULES, hash="with shadows", rules=tuple(whole))


def of_live_rules(decision: Decision) -> dict[str, Any]:
    """All that live rules did, and all they remember."""
    told = decision_to_json(RULES, decision, with_trace=False)
    memory = told["memory"]
    return {
        "effects": [e for e in told["effects"] if e["mode"] == "live"],
        "withdrawn": [key for key in decision.withdrawn if not key.startswith("shadow:")],
        "blocked": [b for b in told["blocked"] if "mode" not in b],
        "vetoes": [v for v in told["vetoes"] if "mode" not in v],
        "exceptions": [e for e in told["exceptions"] if e["state"] != "shadow"],
        "closed": [c for c in told["closed"] if not c["key"].startswith("shadow:")],
        "outbox": [e for e in memory["effects"] if e["mode"] == "live"],
        "answers": memory["answers"],
        **{
            part: {k: v for k, v in memory[part].items() if not k.startswith("shadow")}
            for part in ("clocks", "undecided", "occurrences", "exceptions")
        },
    }


@SOME
@given(seed=st.integers(0, 10_000), draw=st.randoms(use_true_random=False))
def test_no_shadow_rules_ever_change_what_live_rules_do(seed: int, draw: random.Random) -> None:
    shadowed = with_shadows(draw)
    records: dict[tuple[str, str], RecordState] = {}
    alone, beside, now = Memory(), Memory(), START
    for one in observations(seed):
        records[one.kind, one.key] = merge(records.get((one.kind, one.key)), one)
        now = max(now, one.observed_at) + timedelta(hours=draw.choice([0, 0, 1, 30]))
        case = case_of("order:A", list(records.values()), [], START)
        first, second = decide(RULES, case, alone, now), decide(shadowed, case, beside, now)
        assert of_live_rules(second) == of_live_rules(first)
        fate = draw.random()
        alone = happens(first.memory, random.Random(fate), now)
        beside = replace(happens(replace(second.memory, effects=tuple(live(second.memory.effects))), random.Random(fate), now))
        shadows = (e for e in second.memory.effects if e.mode == "shadow")
        beside = replace(beside, effects=tuple(sorted((*beside.effects, *shadows), key=lambda e: e.key)))
        asking = sorted(k for k, e in alone.exceptions.items() if e.answers)
        if asking and draw.random() < 0.3:
            key = draw.choice(asking)
            answer = draw.choice(sorted(alone.exceptions[key].answers))
            alone, beside = (people.answered(memory, key, answer, "Ana", now) for memory in (alone, beside))


@pytest.mark.parametrize("group", ["sla", "refund", "sync"])
def test_a_shadow_rule_that_asks_for_the_same_takes_nothing_from_a_live_one(group: str) -> None:
    told = Told(REFUND + SHADOW.replace("{group}", group))
    decision = told.decided()
    assert [(e.key, e.mode) for e in decision.effects] == [("refund:L#1+L#2", "live"), ("shadow:refund:L#1+L#2", "shadow")]
    assert decision.blocked == ()


def test_a_shadow_veto_holds_back_shadow_proposals_only() -> None:
    told = Told(REFUND + SHADOW.replace("{group}", "refund") + HOLD.format(mode="shadow"))
    decision = told.decided(out_of_policy=True)
    assert [(e.key, e.mode) for e in decision.effects] == [("refund:L#1+L#2", "live")]
    assert [(b.rule, b.by, b.mode) for b in decision.blocked] == [("shadow_refund", "hold", "shadow")]


def test_a_live_veto_does_not_hold_back_shadow_proposals() -> None:
    told = Told(REFUND + SHADOW.replace("{group}", "refund") + HOLD.format(mode="live"))
    assert [e.mode for e in told.decided(out_of_policy=True).effects] == ["shadow"]


def test_what_a_shadow_rule_raises_is_recorded_and_not_opened() -> None:
    told = Told(TELL.format(mode="shadow"))
    decision = told.decided()
    assert [(e.rule, e.mode) for e in decision.exceptions] == [("tell", "shadow")]
    assert decision_to_json(told.rules, decision)["exceptions"][0]["state"] == "shadow"
    (key,) = told.memory.exceptions
    with pytest.raises(people.NotPossible, match="in shadow"):
        people.resolved(told.memory, key, told.now)


def test_a_shadow_rule_that_raises_a_refusal_does_not_keep_it_from_people() -> None:
    raising = """
  refused:
    group: sync
    mode: shadow
    each: effect
    when: ['effect.status == "refused"']
    then: [{raise: {owner: finance, severity: high, title: refused, runbook: look}}]
"""
    told = Told(REFUND + raising)
    (effect,) = told.decided().effects
    told.memory = outcomes.refused(outcomes.begin(told.memory, effect.key, told.now), effect.key, "no", "", told.now)
    told.decided()
    assert told.last is not None
    assert {(e.rule, e.mode) for e in told.last.exceptions} == {("refused", "shadow"), ("unhandled_outcome", "live")}


def test_a_shadow_exception_keeps_no_promise() -> None:
    promise = (
        "\npromises:\n  kept: {each: rma, by: rma.received_at, must: 'rma.status == \"done\" or owned(marketplace.refund)'}\n"
    )
    hold = HOLD.replace("then: [{{", "then: [{{raise: {{owner: o, severity: low, title: t, runbook: r}}}}, {{")
    broken = Told(f"\nrules:{REFUND}{hold.format(mode='shadow')}{promise}")
    broken.decided(out_of_policy=True, received_at="2026-03-02T09:00:00Z")
    assert "promise_broken" in broken.opened()
    kept = Told(f"\nrules:{REFUND}{hold.format(mode='live')}{promise}")
    kept.decided(out_of_policy=True, received_at="2026-03-02T09:00:00Z")
    assert "promise_broken" not in kept.opened()


def test_a_shadow_rule_that_cannot_be_decided_is_shown_as_such() -> None:
    told = Told(SHADOW.replace("{group}", "refund"))
    told.decided(status=None)
    told.decided(hours=25)
    assert told.last is not None
    assert [(e.rule, e.mode, e.rules) for e in told.last.exceptions] == [("undecided", "shadow", ("shadow_refund",))]


def test_what_a_rule_planned_in_shadow_is_discarded_when_it_goes_live() -> None:
    told = Told(REFUND.replace("group: refund", "group: refund\n    mode: shadow") + TELL.format(mode="shadow"))
    told.decided()
    told.rules = rules(REFUND + TELL.format(mode="live"))
    decision = told.decided(hours=5)
    assert decision.withdrawn == ("shadow:refund:L#1+L#2",)
    assert [(e.key, e.mode, e.planned_at) for e in decision.memory.effects] == [("refund:L#1+L#2", "live", told.now)]
    assert [(e.mode, e.opened_at) for e in decision.exceptions] == [("live", told.now)]


@pytest.mark.parametrize(
    ("now", "why"), [("off", "its rule is off"), ("shadow", "its rule is in shadow now"), ("", "its rule is no longer there")]
)
def test_an_exception_that_closes_with_a_change_of_its_rule_says_so(now: str, why: str) -> None:
    told = Told(TELL.format(mode="live"))
    told.decided()
    told.rules = rules(TELL.format(mode=now) if now else REFUND)
    assert [(e.rule, said) for e, said in told.decided().closed] == [("tell", why)]


def test_what_a_rule_planned_live_is_withdrawn_when_it_goes_into_shadow() -> None:
    told = Told(REFUND)
    told.decided()
    told.rules = rules(REFUND.replace("group: refund", "group: refund\n    mode: shadow"))
    decision = told.decided()
    assert (decision.withdrawn, [e.mode for e in decision.effects]) == (("refund:L#1+L#2",), ["shadow"])


def test_a_shadow_rule_asks_for_nothing_that_was_really_done() -> None:
    told = Told(REFUND)
    (effect,) = told.decided().effects
    told.memory = outcomes.settled(outcomes.begin(told.memory, effect.key, told.now), effect.key, {"refund_id": "7"}, told.now)
    told.rules = rules(REFUND.replace("group: refund", "group: refund\n    mode: shadow"))
    assert told.decided().effects == ()


def test_the_trace_says_which_rules_are_in_shadow() -> None:
    told = Told(REFUND + SHADOW.replace("{group}", "refund"))
    assert [(e.rule, e.mode, e.planned) for e in trace(told.rules, told.decided())] == [
        ("refund", "live", ("refund:L#1+L#2",)),
        ("shadow_refund", "shadow", ("shadow:refund:L#1+L#2",)),
    ]


def sent(told: Told, decision: Decision) -> list[str]:
    """Sends what may go now, one after another, as the dispatcher does."""
    texts: list[str] = []
    while True:
        ready = [e for e in decision.effects if (e.turn_at or told.now) <= told.now]
        if not ready:
            return texts
        effect = min(ready, key=lambda e: (e.turn_at or e.planned_at, str(e.params["text"])))
        texts.append(str(effect.params["text"]))
        told.memory = outcomes.settled(outcomes.begin(told.memory, effect.key, told.now), effect.key, {}, told.now)
        decision = told.decided()


def test_what_is_over_a_limit_is_delayed_in_order_and_not_dropped() -> None:
    told = Told(NOTE.format(limit="1 per 24h"))
    first = told.decided()
    assert [e.turn_at for e in sorted(first.effects, key=lambda e: e.turn_at or told.now)] == [
        None,
        told.now + timedelta(hours=24),
        told.now + timedelta(hours=48),
    ]
    assert first.wake_at == told.now + timedelta(hours=24)
    assert sent(told, first) == ["first"]
    assert sent(told, told.decided(hours=23)) == []
    assert sent(told, told.decided(hours=1)) == ["second"]
    assert sent(told, told.decided(hours=30)) == ["third"]


def test_a_limit_counts_from_what_really_went_out() -> None:
    """The first one leaves late: the next waits its full time from there."""
    told = Told(NOTE.format(limit="2 per 10h"))
    told.decided()
    late = told.decided(hours=9)
    assert sent(told, late) == ["first", "second"]
    assert sent(told, told.decided(hours=9.5)) == []
    assert sent(told, told.decided(hours=0.5)) == ["third"]


def test_what_is_no_longer_asked_for_while_it_waits_its_turn_is_withdrawn() -> None:
    told = Told(NOTE.format(limit="1 per 24h"))
    sent(told, told.decided())
    decision = told.decided(hours=2, status="done")
    assert (decision.effects, len(decision.withdrawn)) == ((), 2)


def test_a_limit_is_one_for_each_item() -> None:
    """Told keeps one RMA; its two units are the items here."""
    note = NOTE.format(limit="1 per 24h").replace("each: rma", "each: {piece: rma.units}")
    note = note.replace("'rma.status == \"approved\"'", "exists(piece)").replace("text: first", 'text: "{piece.key}"')
    told = Told(note.split("      - returns.comment: {rma: rma, text: second}")[0])
    assert [e.turn_at for e in told.decided().effects] == [None, None]


CLOCK = """
  {id}:
    {was}group: verdict
    each: rma
    when: ['rma.status == "approved"', 'default(answer.{id}, "") != "pay"']
    for: 2h
    then:
      - forbid: marketplace.refund
        because: wait
      - raise: {{owner: ops, severity: low, title: "{{rma.id}}", runbook: look, answers: {{pay: pay, keep: keep}}}}
"""


def test_a_renamed_rule_keeps_its_exceptions_and_answers() -> None:
    told = Told(REFUND + CLOCK.format(id="old", was=""))
    told.decided()
    opened = told.decided(hours=2)
    began = told.now
    assert told.opened() == ["old"]
    told.rules = rules(REFUND + CLOCK.format(id="new", was="was: old\n    "))
    renamed = told.decided(hours=1)
    assert [(e.key, e.rule, e.rules, e.opened_at) for e in renamed.exceptions] == [("new|rma:1|", "new", ("new",), began)]
    assert renamed.closed == ()
    assert refunds(opened) == refunds(renamed) == []
    told.memory = people.answered(told.memory, "new|rma:1|", "pay", "Ana", told.now)
    assert refunds(told.decided()) == [("L#1", "L#2")]
    told.rules = rules(REFUND + CLOCK.format(id="newest", was="was: new\n    "))
    assert refunds(told.decided(hours=1)) == [("L#1", "L#2")]
    assert told.opened() == []


def test_a_renamed_rule_keeps_its_clock_unless_its_condition_means_something_else() -> None:
    told = Told(CLOCK.format(id="old", was="").replace(', \'default(answer.old, "") != "pay"\'', "") + REFUND)
    told.decided()
    new = CLOCK.format(id="new", was="was: old\n    ").replace(', \'default(answer.new, "") != "pay"\'', "") + REFUND
    told.rules = rules(new)
    told.decided(hours=1.5)
    told.decided(hours=0.5)
    assert told.opened() == ["new"]
    other = Told(CLOCK.format(id="old", was="").replace(', \'default(answer.old, "") != "pay"\'', "") + REFUND)
    other.decided()
    other.rules = rules(new.replace('rma.status == "approved"', 'rma.status != "requested"'))
    other.decided(hours=1.5)
    other.decided(hours=0.5)
    assert other.opened() == []


def test_a_renamed_rule_keeps_how_long_it_has_been_undecided_and_what_it_sent() -> None:
    told = Told(NOTE.format(limit="1 per 24h"))
    sent(told, told.decided())
    told.decided(hours=1, status=None)
    told.rules = rules(NOTE.format(limit="1 per 24h").replace("  note:", "  said:\n    was: note"))
    told.decided(hours=23.5)
    assert told.opened() == []
    told.decided(hours=0.5)
    assert told.opened() == ["undecided"]
    assert {e.rule for e in told.memory.effects} == {"said"}
    told.decided(status="approved")
    assert told.opened() == []
