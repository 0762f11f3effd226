"""What people ask about a case is answered piece by piece: why refunded, why held, what is waited for, who did it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from engine.decide import Decision, outcomes, people
from engine.decide.trace import trace
from engine.language.batches import Cadence, parse_batch
from engine.run.kept.story import Known, Said, Told, story
from tests.decide.small import REFUND
from tests.decide.small import Told as Case
from tests.decide.test_modes import SHADOW
from tests.decide.test_time_and_people import ASK, SLOW
from tests.decide.test_vetoes_and_claims import HOLD

MORE = REFUND.replace("  refund:\n    group: refund", "  first:\n    group: sla")


def texts(said: Iterable[Said]) -> list[str]:
    return [one.text for one in said]


def piece(case: Case, decision: Decision, known: Known | None = None) -> Told:
    """The first piece."""
    return story(case.rules, decision, known or Known())[0]


def ended(case: Case, how: str, *more: object) -> Decision:
    """The first effect begun, and ended so."""
    (effect, *_) = case.decided().effects
    case.memory = outcomes.begin(case.memory, effect.key, case.now)
    case.memory = getattr(outcomes, how)(case.memory, effect.key, *more)
    return case.decided()


def seen_in_the_marketplace(case: Case, refund: str = "77", amount: str = "10.00") -> None:
    case.order["lines"][0]["refunds"] = [
        {"id": refund, "state": "refunded", "amount": {"amount": amount, "currency": "EUR"}, "created_at": case.now.isoformat()}
    ]


def test_what_a_rule_refunded_says_which_rule_why_and_with_what_receipt() -> None:
    case = Case(REFUND, pieces=1)
    first = case.decided()
    (entry,) = trace(case.rules, first)
    key = first.effects[0].key
    decision = ended(case, "settled", {"refund_id": "77"}, case.now)
    seen_in_the_marketplace(case)
    told = piece(case, case.decided(hours=1), Known(asked={key: (first.now, entry)}))
    assert told.state.startswith("refunded")
    assert texts(told.refunded) == ["refund asked for marketplace.refund of 10.00 EUR for rma:1"]
    (said,) = told.refunded
    assert (said.since, said.place) == (first.now, "rules/base/rules.yaml:6:3")
    assert [(b.text, b.truth) for b in said.because] == [('rma.status == "approved"', True)]
    assert texts(told.who) == ["instep, by rule refund, receipt 77"]
    assert decision.memory.effects[0].status == "settled"


def test_what_somebody_else_refunded_is_not_said_to_be_ours() -> None:
    case = Case(REFUND, pieces=1)
    seen_in_the_marketplace(case)
    told = piece(case, case.decided())
    assert texts(told.who) == ["somebody else in the marketplace: refund 77 of 10.00 EUR"]
    assert texts(told.refunded) == ["the marketplace shows refund 77 of 10.00 EUR, which we did not make"]


def test_what_somebody_did_before_we_could_is_theirs() -> None:
    case = Case(REFUND, pieces=1)
    case.decided()
    seen_in_the_marketplace(case)
    told = piece(case, case.decided(hours=1))
    assert "somebody else, before refund could" in texts(told.who)


def test_a_veto_says_what_it_waits_for_since_when_and_who_asked() -> None:
    case = Case(REFUND + HOLD.format(group="hold", forbid="marketplace.refund"), pieces=1)
    decision = case.decided(out_of_policy=True)
    since = case.now - timedelta(hours=3)
    (said,) = piece(case, decision, Known(bound_since={("hold", "rma:1"): since})).held
    assert said.text == "hold forbids marketplace.refund: waiting; asked for by refund"
    assert (said.rule, said.place, said.since) == ("hold", "rules/base/rules.yaml:12:3", since)
    assert [b.text for b in said.because] == ["rma.out_of_policy"]


def test_a_veto_that_binds_for_want_of_a_fact_says_so_and_which() -> None:
    case = Case(REFUND + HOLD.format(group="hold", forbid="marketplace.refund"), pieces=1)
    told = piece(case, case.decided())
    assert texts(told.held) == ["hold forbids marketplace.refund, for want of a fact: waiting; asked for by refund"]
    (waiting,) = told.waiting
    assert waiting.text == (
        "rma:1.out_of_policy not known, so hold cannot be decided for rma:1; a person is told at 2026-03-03T12:00Z"
    )
    case.decided(hours=24)
    asked = piece(case, case.decided()).waiting
    assert any(one.text.startswith("operations to look at it: rma:1.out_of_policy is not known") for one in asked)


def test_what_waits_for_time_says_for_which_and_until_when() -> None:
    held_for = Case(SLOW, pieces=1)
    (said,) = piece(held_for, held_for.decided()).waiting
    assert said.text == "refund asks for marketplace.refund for rma:1 at 2026-03-02T14:00Z"
    assert [(b.path, b.text) for b in said.because] == [("for", "params.wait")]
    after = Case(REFUND.replace("    then:", "    after: rma.received_at + params.wait\n    then:"), pieces=1)
    (said,) = piece(after, after.decided(received_at="2026-03-02T13:00:00Z")).waiting
    assert said.until == after.now + timedelta(hours=3)
    assert [(b.path, b.text) for b in said.because] == [("after", "rma.received_at + params.wait")]


def test_what_waits_for_its_batch_says_when_that_leaves() -> None:
    case = Case(REFUND, pieces=1)
    case.rules = replace(case.rules, cadence={"marketplace.refund": Cadence(parse_batch("daily 02:00"))})
    (said,) = piece(case, case.decided()).waiting
    assert said.text == "marketplace.refund for L#1 leaves with its batch at 2026-03-03T02:00Z"


def test_what_is_unsure_is_looked_up_and_says_since_when() -> None:
    case = Case(REFUND, pieces=1)
    told = piece(case, ended(case, "unsure", "no answer"))
    assert told.state == "sent, and its end is not known yet"
    assert texts(told.held) == ["marketplace.refund was sent and may or may not have happened: no answer"]
    assert told.waiting[0].text.startswith("marketplace.refund for L#1 was sent: it is looked up at 2026-03-02T12:01Z")


def test_what_was_refused_says_in_whose_words_and_who_looks() -> None:
    case = Case(REFUND, pieces=1)
    told = piece(case, ended(case, "refused", "balance_too_low", "12 EUR left", case.now))
    assert texts(told.held) == ["marketplace.refund was refused (balance_too_low: 12 EUR left)"]
    assert [one.text.partition(":")[0] for one in told.waiting] == ["operations to look at it"]


def test_what_waits_for_a_person_says_for_whose_answer_and_who_gave_it() -> None:
    case = Case(REFUND + ASK, pieces=1)
    told = piece(case, case.decided())
    assert texts(told.held) == ["ask forbids marketplace.refund: somebody has to say; asked for by refund"]
    (waiting,) = told.waiting
    assert (waiting.text, waiting.since) == ("customer service to answer pay or keep: RMA 1", case.now)
    (key,) = case.memory.exceptions
    case.memory = people.answered(case.memory, key, "pay", "Ana", case.now)
    told = piece(case, case.decided(hours=1))
    assert told.held == ()
    assert texts(told.who) == ['Ana answered "pay" to ask for rma:1: pay it']


def test_what_lost_a_piece_says_to_which_rule() -> None:
    case = Case(REFUND + MORE, pieces=1)
    assert "refund asked for marketplace.refund for rma:1; it goes to first, which stands above it" in texts(
        piece(case, case.decided()).held
    )


def test_what_nobody_asked_for_says_what_keeps_each_rule_from_asking() -> None:
    case = Case(REFUND, pieces=1)
    (said,) = piece(case, case.decided(status="requested")).held
    assert said.text == "refund does not ask for it for rma:1"
    assert [(b.text, b.truth) for b in said.because] == [('rma.status == "approved"', False)]
    case.rma["units"] = []
    assert texts(piece(case, case.decided(hours=1)).held) == [
        "nobody has asked for it: no return and no refund in the store names it"
    ]


def test_rules_in_shadow_hold_nothing_and_are_waited_for_by_nobody() -> None:
    case = Case(SHADOW.replace("{group}", "refund"), pieces=1)
    told = piece(case, case.decided())
    assert (told.refunded, told.waiting, told.who) == ((), (), ())


def test_a_client_in_shadow_waits_for_nothing_to_leave() -> None:
    case = Case(REFUND, pieces=1)
    decision = case.decided()
    case.rules = replace(case.rules, mode="shadow")
    (said,) = piece(case, decision).waiting
    assert said.text == "marketplace.refund for L#1 is only decided and shown, it is never sent"
