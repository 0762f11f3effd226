"""Tries one scenario: plays it on virtual time and holds every decision against what is expected.

Between instants the case is looked at only when a decision asked for it, as in production: a scenario also finds a wake-up that
is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.decide import outcomes, people
from engine.decide.decision import Decision
from engine.decide.trace import Entry, trace
from engine.facts.effects import EffectState
from engine.facts.merge import CORRECTION, GIVEN, given
from engine.facts.outside import Event
from engine.facts.record import Observation
from engine.facts.schema import Kind
from engine.language.mapping import observe
from engine.language.ruleset import RuleSet
from engine.language.show import show
from engine.problems import Place
from engine.simulate.given import ItemChanges, ItemsGiven, RecordChange, applied
from engine.simulate.made import SHOWN_IN, with_made
from engine.simulate.play import Play, Restless
from engine.simulate.scenario import (
    Answered,
    Became,
    Corrected,
    ExceptionMatch,
    Expected,
    Happening,
    Payload,
    Resolved,
    Scenario,
)
from engine.simulate.verdicts import Failure, described, failures, fits_effect, show_effect, show_exception, show_veto, unwelcome

Watch = Callable[[Decision], None]
_STATES: Mapping[str, frozenset[str]] = {
    "settled": frozenset({"planned", "performing", "unsure"}),
    "refused": frozenset({"planned", "performing", "unsure"}),
    "unsure": frozenset({"planned", "performing"}),
    "settled_elsewhere": frozenset({"planned", "refused"}),
    "retried": frozenset({"refused"}),
}


@dataclass(frozen=True, slots=True)
class Found:
    """An expectation that was not met, with the trace of the rules in question as of then."""

    at: datetime
    failure: Failure
    entries: tuple[Entry, ...] = ()


@dataclass(slots=True)
class Moment:
    """One instant of the timeline: what was observed, what changed in the decision, what was not as expected."""

    at: datetime
    observed: list[str] = field(default_factory=list)
    decided: list[str] = field(default_factory=list)
    met: list[str] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)


@dataclass(slots=True)
class Tried:
    """How a scenario went. `passes` is how many decisions were made."""

    scenario: Scenario
    moments: list[Moment] = field(default_factory=list)
    passes: int = 0

    @property
    def found(self) -> list[Found]:
        return [one for moment in self.moments for one in moment.found]

    @property
    def fine(self) -> bool:
        return not self.found


def try_scenario(rule_set: RuleSet, scenario: Scenario, watch: Watch | None = None) -> Tried:
    """Play it to its end. `watch` sees every decision. Never raises for what a scenario says."""
    attempt = _Attempt(rule_set, scenario, watch)
    try:
        attempt.run()
    except Restless as fault:
        attempt.fail(Failure(scenario.place, "a case that comes to rest", str(fault)))
    return attempt.tried


class _Attempt:
    def __init__(self, rule_set: RuleSet, scenario: Scenario, watch: Watch | None) -> None:
        self.rule_set, self.scenario, self.watch = rule_set, scenario, watch
        self.play = Play(rule_set, scenario.start)
        self.tried = Tried(scenario)
        self.known: dict[tuple[str, str], dict[str, Any]] = {}
        self.told: set[tuple[Place, str]] = set()
        self.promises = not scenario.names_exception("promise_broken")
        self.seen = 0
        self.refunds = 0
        self.before: Said | None = None

    def run(self) -> None:
        self._moment(self.scenario.start)
        self._given()
        self._decided(self.play.decide())
        for step in self.scenario.steps:
            for decision in self._pass_time(step.at):
                self._decided(decision)
            self._moment(step.at)
            for happening in step.happenings:
                self._happens(happening)
                self._decided(self.play.decide())
            for expected in step.expected:
                self._hold(expected)
        for decision in self._pass_time(self.scenario.until):
            self._decided(decision)
        for kind, key in self.play.strangers():
            said = f"no link ties {kind} {key} to the case, so nothing was decided about it"
            self.fail(Failure(self.scenario.place, f"{kind} {key} to be part of the case", said))

    def _pass_time(self, until: datetime) -> Iterator[Decision]:
        for decision in self.play.advance(until):
            self._moment(self.play.now)
            yield decision

    @property
    def moment(self) -> Moment:
        return self.tried.moments[-1]

    def _moment(self, at: datetime) -> None:
        if not self.tried.moments or self.tried.moments[-1].at != at:
            self.tried.moments.append(Moment(at))

    def fail(self, failure: Failure) -> None:
        """Keep a failure, once, with the trace of its rules."""
        if (failure.place, failure.actual) in self.told:
            return
        self.told.add((failure.place, failure.actual))
        self.moment.found.append(Found(self.moment.at, failure, self._entries(failure)))

    def _entries(self, failure: Failure) -> tuple[Entry, ...]:
        decision = self.play.decision
        if decision is None or not failure.rules:
            return ()
        wanted = {rule_id: n for n, rule_id in enumerate(failure.rules)}
        entries = [e for e in trace(self.rule_set, decision) if e.rule in wanted]
        weight = {"held": 0, "waiting": 0, "unknown": 1, "did not hold": 2, "no items": 3, "off": 3}
        return tuple(sorted(entries, key=lambda e: (weight[e.outcome], wanted[e.rule], e.item)))

    # What is seen.

    def _given(self) -> None:
        changes = [change for change in self.scenario.given if isinstance(change, RecordChange)]
        last = {(change.kind, change.key): change for change in changes}
        seen_at = {(c.kind, c.key): c.seen_at for c in changes if c.seen_at is not None}
        for change in changes:
            self._apply(change)
        for node, change in last.items():
            self._see(change, seen_at.get(node, self.scenario.start))
            self.moment.observed.append(change.name)
        for payload in self.scenario.given:
            if isinstance(payload, Payload):
                self._payload(payload)

    def _apply(self, change: RecordChange) -> None:
        node = (change.kind, change.key)
        self.known[node] = applied(self.rule_set.vocabulary, change.kind, self.known.get(node, {}), change.fields)

    def _see(self, change: RecordChange, at: datetime) -> None:
        """The record as it is known now, as one more snapshot of it."""
        held = self.play.records.get((change.kind, change.key))
        if held is not None and held.snapshots.keys() - {GIVEN} and not _only_corrections(held.snapshots):
            self.fail(Failure(change.place, f"{change.name} as a payload, as it came before", "it is given as a record"))
            return
        whole = given(self.rule_set.vocabulary, change.kind, self.known[change.kind, change.key], at).snapshots[GIVEN]
        self.seen += 1
        version = f"{self.seen:06}"
        self.play.see(Observation(GIVEN, change.kind, change.key, version, "", at, whole.fields, links=whole.links))

    def _payload(self, payload: Payload) -> None:
        event = Event(payload.event.partition(".")[0], payload.event, payload.content, self.play.now, True, payload.about)
        found, aside = observe(self.rule_set.mappings[payload.event], event)
        self.moment.observed.append(payload.text)
        for reason in aside:
            self.fail(Failure(payload.place, f"{payload.event} to be read", f"it is set aside: {reason.reason} ({reason.place})"))
        for observation in found:
            self.play.see(observation)

    def _changes(self, kind: str, fields: Mapping[str, Any]) -> str:
        """What is new, in words; keys are named already."""
        declared = self.rule_set.vocabulary[kind]
        said = [f"{name} {self._value(declared, name, value)}" for name, value in fields.items() if name != declared.key]
        return ", ".join(said) or "as it is"

    def _value(self, declared: Kind, name: str, value: Any) -> str:
        element = declared.fields[name].type.of
        match value:
            case ItemChanges():
                kind = element.kind if element is not None else ""
                told = (
                    f"{k} ({self._changes(kind, one)})" if one is not None else f"{k} is gone" for k, one in value.items.items()
                )
                return "; ".join(told)
            case ItemsGiven():
                return f"{len(value.items)} in all"
        return show(value)

    # What happens.

    def _happens(self, happening: Happening) -> None:
        match happening:
            case RecordChange():
                self._apply(happening)
                self._see(happening, self.play.now)
                self.moment.observed.append(f"{happening.name}: {self._changes(happening.kind, happening.fields)}")
            case Payload():
                self._payload(happening)
            case Answered() | Resolved():
                self._decided_by_person(happening)
            case Corrected():
                version = f"{self.play.now.isoformat()}"
                fields = {happening.field: happening.value}
                name = f"{CORRECTION}{happening.field}"
                self.play.see(Observation(name, happening.kind, happening.key, version, "", self.play.now, fields))
                said = f"{happening.kind} {happening.key}: {happening.field} corrected to {show(happening.value)}"
                self.moment.observed.append(said)
            case Became():
                self._became(happening)

    def _decided_by_person(self, deed: Answered | Resolved) -> None:
        open_now = [e for e in self.play.memory.exceptions.values() if e.rule == deed.rule and deed.item in {"", e.item}]
        wanted = f"an open exception of {deed.rule} to {'answer' if isinstance(deed, Answered) else 'resolve'}"
        if len(open_now) != 1:
            items = ", ".join(e.item for e in open_now)
            said = f"there are {len(open_now)}, for {items}: say which" if open_now else "there is none"
            rules = (deed.rule,) if self.rule_set.rule(deed.rule) is not None else ()
            self.fail(Failure(deed.place, wanted, said, rules))
            return
        key, now = open_now[0].key, self.play.now
        try:
            if isinstance(deed, Answered):
                self.play.change(lambda memory: people.answered(memory, key, deed.answer, deed.by, now))
                self.moment.observed.append(f"{deed.by} answers {deed.rule}: {deed.answer}")
            else:
                self.play.change(lambda memory: people.resolved(memory, key, now))
                self.moment.observed.append(f"{deed.rule} is resolved by hand")
        except people.NotPossible as no:
            self.fail(Failure(deed.place, wanted, str(no)))

    def _became(self, became: Became) -> None:
        allowed = _STATES[became.deed]
        effects = [
            e
            for e in self.play.memory.effects
            if e.status in allowed and e.mode == "live" and (became.match is None or fits_effect(e, became.match))
        ]
        if not effects:
            what = "an effect" if became.match is None else described(became.match)
            known = "; ".join(f"{show_effect(e)} is {e.status}" for e in self.play.memory.effects)
            rules = () if became.match is None else tuple(
                r.id for r in self.rule_set.rules if any(u.action == became.match.action for u in r.actions)
            )  # fmt: skip
            wanted = f"{what} that can be {became.deed.replace('_', ' ')}"
            self.fail(Failure(became.place, wanted, known or "nothing is planned and nothing was sent", rules))
        for effect in effects:
            self._one_became(became, effect)

    def _one_became(self, became: Became, effect: EffectState) -> None:
        key, now = effect.key, self.play.now
        if became.deed in {"settled", "refused", "unsure"} and effect.status == "planned":
            self.play.change(lambda memory: outcomes.begin(memory, key, now))
        said = became.deed.replace("_", " ")
        match became.deed:
            case "settled":
                receipt = {"reference": "ok", **self._shown_in_order(effect)}
                self.play.change(lambda memory: outcomes.settled(memory, key, receipt, now))
            case "refused":
                self.play.change(lambda memory: outcomes.refused(memory, key, became.reason, became.detail, now))
                said = f"refused: {became.reason}"
            case "unsure":
                self.play.change(lambda memory: outcomes.unsure(memory, key, "no answer"))
            case "settled_elsewhere":
                self.play.change(lambda memory: outcomes.settled_elsewhere(memory, key, {}, now))
            case "retried":
                self.play.change(lambda memory: outcomes.retried(memory, key))
        self.moment.observed.append(f"{show_effect(effect)} is {said}")

    def _shown_in_order(self, effect: EffectState) -> dict[str, Any]:
        """A refund or cancellation that took place stands in the order from then on, where the order was given as a record."""
        role, _, name = effect.action.partition(".")
        node = ("order", str(effect.params.get("order")))
        if role != "marketplace" or name not in SHOWN_IN or node not in self.known:
            return {}
        self.refunds += 1
        made_id = f"made-{self.refunds}"
        self.known[node] = with_made(self.known[node], name, effect.params, made_id, self.play.now)
        self._see(RecordChange("order", node[1], {}, self.scenario.place), self.play.now)
        return {"refund_id": made_id}

    # What came of it.

    def _decided(self, decision: Decision) -> None:
        self.tried.passes += 1
        if self.watch is not None:
            self.watch(decision)
        before = self.before
        self.before = Said.of(decision)
        self.moment.decided.extend(self.before.since(before))
        self.moment.decided.extend(f"closed: {show_exception(e)} ({why})" for e, why in decision.closed)
        for match in self.scenario.never:
            for failure in unwelcome(self.rule_set, decision, match):
                self.fail(failure)
        if self.promises:
            broken = ExceptionMatch("promise_broken", self.scenario.place)
            for failure in unwelcome(self.rule_set, decision, broken):
                self.fail(Failure(failure.place, "every promise to be kept", failure.actual))

    def _hold(self, expected: Expected) -> None:
        decision = self.play.decision
        assert decision is not None
        found = list(failures(self.rule_set, decision, expected))
        for failure in found:
            self.fail(failure)
        if not found:
            self.moment.met.extend(described(match) for match in expected.wanted)
            self.moment.met.extend(f"not {described(match)}" for match in expected.unwanted)
            if expected.nothing:
                self.moment.met.append("nothing")


@dataclass(frozen=True, slots=True)
class Said:
    """What a decision comes to, as text; only what differs from the one before is told."""

    planned: frozenset[str]
    vetoes: frozenset[str]
    exceptions: frozenset[str]

    @classmethod
    def of(cls, decision: Decision) -> Said:
        return cls(
            frozenset(show_effect(e) for e in decision.effects),
            frozenset(show_veto(v) for v in decision.vetoes),
            frozenset(f"{e.state}: {show_exception(e)}" for e in decision.exceptions),
        )

    def since(self, before: Said | None) -> list[str]:
        was = before or Said(frozenset(), frozenset(), frozenset())
        return [
            *(f"planned: {text}" for text in sorted(self.planned - was.planned)),
            *(f"no longer planned: {text}" for text in sorted(was.planned - self.planned)),
            *sorted(self.vetoes - was.vetoes),
            *(f"no longer: {text}" for text in sorted(was.vetoes - self.vetoes)),
            *sorted(self.exceptions - was.exceptions),
        ]


def _only_corrections(snapshots: Mapping[str, object]) -> bool:
    return all(name == GIVEN or name.startswith(CORRECTION) for name in snapshots)
