"""One scenario as a race: its observations become moves, and every interleaving of them is held against the promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

from engine.decide.decision import Decision
from engine.facts.links import ORDER, Node
from engine.facts.record import Observation
from engine.language.ruleset import RuleSet
from engine.simulate.given import RecordChange, applied
from engine.simulate.play import Play
from engine.simulate.races import orders, protocol
from engine.simulate.races.breaches import Breach
from engine.simulate.races.moves import Moves, Told
from engine.simulate.races.outside import Outside, first
from engine.simulate.races.search import Limits, Searched, search
from engine.simulate.races.state import Act, State
from engine.simulate.scenario import Answered, Became, Corrected, Payload, Resolved, Scenario
from engine.simulate.trying import Said

AFTERWARDS = timedelta(days=4)  # past the last thing that happens: longer than any limit of the pack counts


class NoRace(ValueError):  # noqa: N818 - it says what the scenario is
    """A scenario that cannot be raced; the message says why."""


@dataclass(frozen=True, slots=True)
class At:
    """One instant of a counterexample: what happened, and what the engine decided then."""

    at: datetime
    told: tuple[Told, ...]
    decided: tuple[str, ...] = ()


@dataclass(slots=True)
class Raced:
    """What came of one scenario."""

    scenario: Scenario
    searched: Searched
    orders: int = 0  # moments in which the order of observations alone was tried
    breaches: tuple[Breach, ...] = ()
    timeline: list[At] = field(default_factory=list)

    @property
    def fine(self) -> bool:
        return not self.breaches


def why_not(scenario: Scenario) -> str:
    """Why a scenario cannot be raced; nothing where it can."""
    happenings = [*scenario.given, *(h for step in scenario.steps for h in step.happenings)]
    if any(isinstance(h, Payload) for h in happenings):
        return "it shows payloads: the world of a race keeps records, and needs them given as such"
    if not any(isinstance(h, RecordChange) and h.kind == ORDER for h in happenings):
        return "it has no order: without one there is no money to send"
    if scenario.names_exception("promise_broken"):
        return "it expects a broken promise itself"
    return ""


def race(rule_set: RuleSet, scenario: Scenario, limits: Limits, clock: Callable[[], float] = perf_counter) -> Raced:
    """Search the interleavings of a scenario. Raises `NoRace` where it is not one that can be raced."""
    reason = why_not(scenario)
    if reason:
        raise NoRace(reason)
    set_up = _SetUp(rule_set, scenario)
    engine = protocol.Engine.of(rule_set)
    state, decision = set_up.start(engine)
    moves = Moves(engine, set_up.horizon, set_up.refusals())
    began = clock()
    breach, met, order = orders.agree(engine, *set_up.all_at_once(state))
    if breach is not None:
        found = Searched(states=met, seconds=clock() - began)
        told = tuple(Told("seen", f"{o.kind} {o.key} is seen as of its change {int(o.version)}", _record(o)) for o in order)
        return Raced(scenario, found, met, (breach,), [At(scenario.until, told)])
    found = search(moves, state, limits, clock)
    raced = Raced(scenario, found, met, found.breaches)
    if found.breaches:
        raced.timeline = list(_replayed(moves, state, decision, found.path))
    return raced


def _replayed(moves: Moves, state: State, decision: Decision, path: list[str]) -> Iterator[At]:
    """The path once more, with what was decided on the way."""
    said = Said.of(decision)
    yield At(state.now, (), tuple(said.since(None)))
    for name in path:
        move = next(m for m in moves.of(state) if m.name == name)
        taken = move.take()
        decided: tuple[str, ...] = ()
        if taken.decision is not None:
            now = Said.of(taken.decision)
            decided, said = tuple(now.since(said)), now
        state = taken.state
        told = tuple(t for t in taken.told if t.text)
        if told or decided:
            yield At(state.now, told, decided)


def _record(of: Observation) -> Any:
    return {f"{of.kind} {of.key}": of.fields}


class _SetUp:
    """What a scenario starts from, and what it lets happen."""

    def __init__(self, rule_set: RuleSet, scenario: Scenario) -> None:
        self.rule_set, self.scenario = rule_set, scenario
        self.known: dict[Node, dict[str, Any]] = {}
        for one in scenario.given:
            if isinstance(one, RecordChange):
                self._apply(one)
        self.at_first = dict(self.known)
        self.acts = tuple(self._acts())
        self.horizon = max(scenario.until, scenario.start) + AFTERWARDS

    def _apply(self, change: RecordChange) -> Node:
        node = (change.kind, change.key)
        self.known[node] = applied(self.rule_set.vocabulary, change.kind, self.known.get(node, {}), change.fields)
        return node

    def _acts(self) -> Iterator[Act]:
        number = 0
        for step in self.scenario.steps:
            for happening in step.happenings:
                number += 1
                match happening:
                    case RecordChange():
                        node = self._apply(happening)
                        yield Act(step.at, number, node, happening.fields)
                    case Answered() | Resolved() | Corrected() | Became(deed="retried"):
                        yield Act(step.at, number, deed=happening)

    def refusals(self) -> dict[str, str]:
        """Why the outside refuses an action, where the scenario says so."""
        told = (h for step in self.scenario.steps for h in step.happenings if isinstance(h, Became) and h.deed == "refused")
        return {h.match.action: h.reason for h in told if h.match is not None}

    def ordered(self) -> dict[str, int]:
        pieces: dict[str, int] = {}
        for (kind, _), fields in self.known.items():
            for line in fields.get("lines") or () if kind == ORDER else ():
                sku = str(line.get("sku"))
                pieces[sku] = pieces.get(sku, 0) + int(line.get("quantity") or 0)
        return pieces

    def start(self, engine: protocol.Engine) -> tuple[State, Decision]:
        """What is given is known; the first pass is made."""
        outside = first(self.rule_set.vocabulary, self.ordered())
        for node, fields in sorted(self.at_first.items(), key=lambda each: each[0][0] != ORDER):
            outside = outside.with_record(node, fields)
        play = Play(self.rule_set, self.scenario.start)
        seen_at = {(c.kind, c.key): c.seen_at for c in self.scenario.given if isinstance(c, RecordChange) and c.seen_at}
        for node in self.at_first:
            snapshot = outside.snapshot(node, seen_at.get(node, self.scenario.start))
            if snapshot is not None:
                play.see(snapshot)
        state = State(play, "", None, outside, acts=self.acts)
        return engine.decided(state, play)

    def all_at_once(self, state: State) -> tuple[State, list[Observation]]:
        """Every snapshot of the scenario, to be seen at its end."""
        outside: Outside = state.outside
        observations: list[Observation] = []
        for act in self.acts:
            if act.node is not None and act.change is not None:
                outside = outside.with_record(act.node, outside.after(act.node, act.change))
                snapshot = outside.snapshot(act.node, act.at)
                if snapshot is not None:
                    observations.append(snapshot)
        play = state.play.fork()
        play.now = self.scenario.until
        return replace(state, play=play), observations
