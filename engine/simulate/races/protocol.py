"""The engine's side of a race: what it takes in, how it decides, and how it sends. Looking up, deciding again, committing the
intent and what follows are those of the service, as values (`engine.run.sending.course`, `engine.run.sending.steps`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from engine.decide.decision import Decision, decide
from engine.decide.match import Pass
from engine.decide.memory import Memory
from engine.decide.outcomes import WrongState
from engine.facts.effects import EffectState
from engine.facts.outside import Evidence
from engine.facts.record import Observation
from engine.language.ruleset import RuleSet
from engine.run.deciding.cadence import due_at
from engine.run.sending import course as sending
from engine.run.sending.lines import lines_of
from engine.run.sending.steps import Step
from engine.simulate.play import Play
from engine.simulate.races.outside import Outside, order_of
from engine.simulate.races.state import Round, State, seen_key

UNITS = ("units",)
DISPATCHED = frozenset({"planned", "unsure", "refused"})


@dataclass(slots=True)
class Engine:
    """Decides one case under one rule set. The last pass spares the next one work, whichever moment it was of."""

    rule_set: RuleSet
    zone: ZoneInfo
    basis: Pass | None = None
    passes: int = 0

    @classmethod
    def of(cls, rule_set: RuleSet) -> Engine:
        return cls(rule_set, ZoneInfo(rule_set.time_zone))

    def look(self, play: Play) -> Decision:
        """What deciding now comes to."""
        self.passes += 1
        decision = decide(self.rule_set, play.case(), play.memory, play.now, self.basis)
        self.basis = decision.basis
        return decision

    def decided(self, state: State, play: Play) -> tuple[State, Decision]:
        """The moment after a pass over this play."""
        decision = self.look(play)
        play.memory = decision.memory
        return replace(state, play=play, text=persisted(play.memory), wake_at=decision.wake_at), decision

    def due(self, state: State, effect: EffectState) -> datetime | None:
        return due_at(effect, self.rule_set, self.zone, state.play.case().opened_at)

    def due_now(self, state: State) -> list[EffectState]:
        """What the dispatcher would serve now, with the refusals that may have passed."""
        found = []
        for effect in state.play.memory.effects:
            if effect.status not in DISPATCHED:
                continue
            due = self.due(state, effect)
            if due is None or due > state.now:
                continue
            if effect.status != "planned" or not sending.blocked(effect, state.play.memory.effects):
                found.append(effect)
        return found

    def about_units(self, effect: EffectState) -> bool:
        spec = self.rule_set.actions.get(effect.action)
        return spec is not None and spec.subject == UNITS

    def quiet(self, effect: EffectState) -> timedelta | None:
        spec = self.rule_set.actions.get(effect.action)
        return spec.quiet if spec is not None else None

    def step(self, state: State, step: Step) -> tuple[State, Decision]:
        """A step of an effect, decided on at once. Where the facts already settled it, it is not needed."""
        play = state.play.fork()
        with suppress(WrongState):
            play.memory = step.taken(play.memory, state.now)
        return self.decided(state, play)


def persisted(memory: Memory) -> str:
    return json.dumps(memory.to_json(), sort_keys=True, separators=(",", ":"))


def read_back(text: str) -> Memory:
    return Memory.from_json(json.loads(text))


def answers(outside: Outside, effects: Sequence[EffectState], now: datetime) -> tuple[dict[str, Evidence], list[Observation]]:
    """What the outside says of these effects when it is asked now: of order lines the order, of all else whether it is done."""
    found: dict[str, Evidence] = {}
    seen: dict[tuple[str, str], Observation] = {}
    for effect in effects:
        order = order_of(effect)
        for node in outside.shows(order):
            snapshot = outside.snapshot(node, now)
            if snapshot is not None:
                seen[node] = snapshot
        found[effect.key] = Evidence(effect.key, done=effect.key in outside.done)
    return found, list(seen.values())


def take_in(play: Play, observations: Sequence[Observation]) -> bool:
    """These become facts; says whether anything is new."""
    was = seen_key(play)
    for observation in observations:
        play.see(observation)
    return seen_key(play) != was


def looked_up(outside: Outside) -> int | None:
    """How much of the world a look-up has shown: what happens after it, nobody could have known."""
    return len(outside.payouts)


def open_round(engine: Engine, state: State, effects: Sequence[EffectState]) -> tuple[State, Decision]:
    """Look up all that is due about order lines at once; what the outside says is taken in and decided on."""
    _, observations = answers(state.outside, effects, state.now)
    play = state.play.fork()
    take_in(play, observations)
    state, decision = engine.decided(state, play)
    for effect in effects:
        now = state.play.memory.effect(effect.key)
        if now is not None and now.status == "unsure":
            # what became of money the order itself tells, which has been taken in by now
            found = Evidence(effect.key, done=False) if observations else None
            state, decision = engine.step(state, sending.judged(now, found, engine.quiet(now), state.now, state.now))
    waiting = tuple(e for e in effects if e.status == "planned")
    opened = Round(state.now, looked_up(state.outside), waiting) if waiting else None
    return replace(state, round=opened), decision


def begin_next(engine: Engine, state: State) -> tuple[State, Decision, EffectState | None]:
    """Decide with what the look-up brought; only what that decision still asks for, exactly so, is begun."""
    assert state.round is not None
    effect, *rest = state.round.waiting
    left = replace(state.round, waiting=tuple(rest))
    decision = engine.look(state.play)
    wanted = decision.memory.effect(effect.key)
    free = state.round.touched.isdisjoint(lines_of(effect))
    due = None if wanted is None else engine.due(state, wanted)
    ready = due is not None and due <= state.now and wanted is not None and wanted.status == "planned"
    if free and ready and sending.still_asked(decision, effect) and not sending.blocked(effect, decision.memory.effects):
        play = state.play.fork()
        play.memory = Step("begun", effect.key).taken(decision.memory, state.now)
        begun = play.memory.effect(effect.key)
        left = replace(left, begun=begun, touched=left.touched | lines_of(effect))
        return replace(state, play=play, text=persisted(play.memory), wake_at=decision.wake_at, round=left), decision, begun
    play = state.play.fork()
    play.memory = decision.memory
    after = left if left.waiting else None
    return replace(state, play=play, text=persisted(play.memory), wake_at=decision.wake_at, round=after), decision, None


def restarted(engine: Engine, state: State) -> tuple[State, Decision, bool]:
    """The process ends and starts again: what was persisted is read back, and what was being sent is unsure. Says whether all
    that was remembered came back.
    """
    play = state.play.fork()
    play.memory = read_back(state.text)
    whole = persisted(play.memory) == state.text
    play.memory = Step("interrupted").taken(play.memory, state.now)
    engine.basis = None
    state, decision = engine.decided(replace(state, round=None), play)
    return state, decision, whole
