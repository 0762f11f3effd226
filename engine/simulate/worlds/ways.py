"""An effect on its way out of the engine, as the dispatcher sends it: looked up, decided on once more, begun, sent, and its end
taken as a step. Only the calls lead into a world instead of out of the house.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from engine.decide.decision import Decision
from engine.decide.memory import Memory
from engine.decide.outcomes import WrongState
from engine.facts.effects import EffectState
from engine.facts.outside import Event, Evidence, Receipt, Refused, TryLater, Unsure
from engine.language.ruleset import RuleSet
from engine.language.worlds.world import Platform
from engine.run.deciding.cadence import due_at
from engine.run.sending.course import after_look_up, blocked, judged, kept, still_asked
from engine.run.sending.steps import Step
from engine.run.waits import Patience
from engine.simulate.play import Play
from engine.simulate.worlds.budgets import Calls
from engine.simulate.worlds.plot import lasting

BLOCKED_WAIT = timedelta(minutes=1)
UNITS = ("units",)
ORDER_READ = (Event("world", "world.order", b"", datetime.min.replace(tzinfo=UTC), requested=True),)  # the order itself was seen
REFUSAL: Mapping[str, str] = {"marketplace": "balance_too_low"}  # what a system that refuses says, where rules know a word for it
REFUSED = "refused"


class Ways:
    """Sends what is due for one case. What it does to the world goes through the four callables:

    `looked` lets the marketplace's answer be seen, `done` says whether an effect has taken place already, `take` does it,
    `decided` is told of each decision with the memory it left. `choices` gives the stream an effect's fate is drawn from.
    """

    def __init__(
        self,
        play: Play,
        zone: ZoneInfo,
        calls: Calls,
        platform: Callable[[str], Platform],
        choices: Callable[..., Random],
        *,
        looked: Callable[[], None],
        done: Callable[[EffectState], bool | None],
        take: Callable[[EffectState], Receipt],
        decided: Callable[[Decision, Memory], None],
    ) -> None:
        self._play = play
        self._zone = zone
        self._calls = calls
        self._platform = platform
        self._choices = choices
        self._looked = looked
        self._done = done
        self._take = take
        self._decided = decided
        self._patience = Patience()
        self._put_off: dict[str, datetime] = {}
        self._looks: dict[str, int] = {}

    @property
    def _rule_set(self) -> RuleSet:
        return self._play.rule_set

    def decide(self, before: Callable[[Memory], Memory] | None = None) -> None:
        """One pass over the case, after a change of what it remembers if there is one."""
        if before is not None:
            self._play.change(before)
        decision = self._play.decide()
        self._decided(decision, decision.memory)

    def next_due(self, opened: datetime) -> datetime | None:
        """When the next effect has to be looked at."""
        found = (self._due(effect, opened) for effect in self._play.memory.effects)
        return min((at for at in found if at is not None), default=None)

    def _due(self, effect: EffectState, opened: datetime) -> datetime | None:
        due = due_at(effect, self._rule_set, self._zone, opened)
        later = self._put_off.get(effect.key)
        return due if due is None or later is None else max(due, later)

    def send_due(self, now: datetime, opened: datetime) -> None:
        """Everything that is due, one after another."""
        for key in [e.key for e in self._play.memory.effects if (at := self._due(e, opened)) is not None and at <= now]:
            effect = self._play.memory.effect(key)
            due = None if effect is None else self._due(effect, opened)
            if effect is not None and due is not None and due <= now:
                self._serve(effect, now, opened)

    def _serve(self, effect: EffectState, now: datetime, opened: datetime) -> None:
        if effect.status == "refused":
            self._step(Step("anew", effect.key), now)
            tried = self._play.memory.effect(effect.key)
            if tried is None or tried.status != "planned":
                return
            effect = tried
        if effect.status == "planned" and blocked(effect, self._play.memory.effects):
            self._put_off[effect.key] = now + BLOCKED_WAIT
            return
        found = self._look_up(effect, now)
        if effect.status == "unsure":
            current = self._play.memory.effect(effect.key)
            if current is not None and current.status == "unsure":
                spec = self._rule_set.actions.get(effect.action)
                self._step(judged(current, found, spec.quiet if spec is not None else None, now, now), now)
            return
        spec = self._rule_set.actions.get(effect.action)
        match after_look_up(found, about_units=spec is not None and spec.subject == UNITS):
            case "wait":
                wait = self._patience.after_failure(effect.key, now)
                why = "it could not be looked up"
                if wait is None:
                    self._step(Step("refused", effect.key, "gave_up", why), now)
                else:
                    self._step(Step("later", effect.key, detail=why, wait=wait, nothing_sent=True), now)
            case "settled_elsewhere":
                self._patience.forget(effect.key)
                self._step(Step("settled_elsewhere", effect.key, receipt=kept(found.receipt if found else None)), now)
            case "begin":
                self._patience.forget(effect.key)
                self._begin(effect, now, opened)

    def _look_up(self, effect: EffectState, now: datetime) -> Evidence | None:
        role = effect.action.partition(".")[0]
        self._looks[effect.key] = number = self._looks.get(effect.key, 0) + 1
        fate = self._choices("look", effect.key, number).random()
        try:
            self._calls.spend(role, "look_up", now)
        except TryLater:
            return None
        if fate < self._platform(role).busy:
            return None
        done = self._done(effect)
        if done is None:
            self._looked()
            return Evidence(effect.key, None, events=ORDER_READ)
        return Evidence(effect.key, done)

    def _begin(self, effect: EffectState, now: datetime, opened: datetime) -> None:
        """Decided with what the look-up brought; only what that decision still asks for, exactly so, is begun."""
        current = self._play.memory.effect(effect.key)
        due = None if current is None or current.status != "planned" else self._due(current, opened)
        if current is None or due is None or due > now:
            return
        if blocked(current, self._play.memory.effects):
            self._put_off[effect.key] = now + BLOCKED_WAIT
            return
        decision = self._play.decide()
        if not still_asked(decision, effect):
            self._decided(decision, decision.memory)
            left = self._play.memory.effect(effect.key)
            if left is not None and left.status == "planned" and (at := self._due(left, opened)) is not None and at <= now:
                self._put_off[effect.key] = now + BLOCKED_WAIT
            return
        self._play.change(lambda memory: Step("begun", effect.key).taken(memory, now))
        self._decided(decision, self._play.memory)
        begun = self._play.memory.effect(effect.key)
        if begun is not None:
            self._step(self._perform(begun, now), now)

    def _perform(self, effect: EffectState, now: datetime) -> Step:
        """What becomes of a call, as a step."""
        try:
            self._calls.spend(effect.action.partition(".")[0], "perform", now)
            return Step("settled", effect.key, receipt=kept(self._called(effect)))
        except TryLater as no:
            wait = Patience.after_send(effect.key, effect.tries, no.after)
            if wait is None:
                return Step("refused", effect.key, "gave_up", no.reason)
            return Step("later", effect.key, detail=no.reason, wait=wait, nothing_sent=True)
        except Refused as no:
            return Step("refused", effect.key, no.reason, no.detail)
        except Unsure as no:
            return Step("unsure", effect.key, detail=str(no))

    def _called(self, effect: EffectState) -> Receipt:
        """The call itself, and what the world makes of it."""
        role = effect.action.partition(".")[0]
        platform = self._platform(role)
        choices = self._choices("send", effect.key, effect.attempts)
        busy, refuses, times_out, worked = (choices.random() for _ in range(4))
        if busy < platform.busy:
            raise TryLater("too many calls", lasting(platform.busy_for, choices))
        if refuses < platform.refuses:
            raise Refused(REFUSAL.get(role, REFUSED), "as the world has it")
        if times_out >= platform.times_out:
            return self._take(effect)
        if worked < platform.worked:
            with suppress(Refused):  # a no that did not reach us either
                self._take(effect)
        raise Unsure("no answer in time")

    def _step(self, step: Step, now: datetime) -> None:
        """Where the facts already settled it, the step is not needed."""
        with suppress(WrongState):
            self._play.change(lambda memory: step.taken(memory, now))
        decision = self._play.decide()
        self._decided(decision, decision.memory)
