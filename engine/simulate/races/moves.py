"""What can happen next, and what each of it leads to.

Moves that are due (what the scenario lets happen, snapshots that arrive, what the dispatcher has to do) all come before time
passes, in every order. What goes wrong besides (a snapshot that is late or comes twice, a send that times out, somebody who
acts by hand, a restart) may happen at every moment and costs one deviation, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from engine.decide import people
from engine.decide.decision import Decision
from engine.decide.outcomes import retried
from engine.facts.effects import EffectState
from engine.facts.links import Node
from engine.facts.merge import CORRECTION
from engine.facts.record import Observation
from engine.language.show import show
from engine.run.sending import course as sending
from engine.run.sending.steps import Step
from engine.run.waits import Patience
from engine.simulate.races import protocol
from engine.simulate.races.actors import by_hand
from engine.simulate.races.breaches import Breach
from engine.simulate.races.judging import REMEMBERED, of_moment, of_sending
from engine.simulate.races.outside import Request, order_of
from engine.simulate.races.state import Act, Letter, State
from engine.simulate.scenario import Answered, Became, Corrected, Resolved
from engine.simulate.verdicts import fits_effect, show_effect

EVERYTHING = "everything"
ENGINE = "engine"
BOOKS = "books"  # what anybody has a claim to: order matters between those who change it
REFUSAL = "balance_too_low"
NOT_ASKED = "it is not asked for like this any more"
Fate = Literal["takes place", "takes place, the answer is lost", "takes place later, no answer", "is lost, no answer",
               "is refused", "is put off", "takes place, and the process ends before that is recorded"]  # fmt: skip
FATES: tuple[Fate, ...] = Fate.__args__  # type: ignore[attr-defined]


What = Literal["happens", "seen", "sent", "goes wrong", "time passes"]


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a timeline, and what it is as something that happens in a scenario."""

    what: What
    text: str
    happening: Any = None


@dataclass(frozen=True, slots=True)
class Taken:
    """Where a move leads, how it is told and which promises broke."""

    state: State
    told: tuple[Told, ...] = ()
    decision: Decision | None = None
    breaches: tuple[Breach, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """Something that can happen. `cost` is how many deviations it is, wherever it stands. `touches` is what it reads or changes:
    two moves that touch nothing in common lead to the same, whichever comes first.
    """

    name: str
    touches: frozenset[str]
    take: Callable[[], Taken]
    cost: int = 0

    def independent_of(self, other: frozenset[str]) -> bool:
        return EVERYTHING not in self.touches and EVERYTHING not in other and self.touches.isdisjoint(other)


@dataclass(slots=True)
class Moves:
    """The moves of one scenario. Wake-ups are waited for until `horizon`."""

    engine: protocol.Engine
    horizon: datetime
    refusals: Mapping[str, str] = field(default_factory=dict)

    def of(self, state: State) -> list[Move]:
        """Everything that can happen now, what is due first."""
        urgent = list(self._urgent(state))
        time = [] if urgent else list(self._time(state))
        late = [self._arrives(state, letter) for letter in state.network if letter.late]
        rest = urgent or time or late
        return [*urgent, *time, *late, *(self._by_hand(state) if rest else ()), *(self._restart(state) if rest else ())]

    def _urgent(self, state: State) -> Iterator[Move]:
        heads: set[Node | None] = set()
        for act in state.acts:
            if act.at > state.now or act.node in heads:
                continue
            heads.add(act.node)
            yield from self._act(state, act)
        for request in state.outside.under_way:
            if request.at <= state.now:
                yield self._comes_through(state, request)
        for letter in state.network:
            if not letter.late:
                yield self._arrives(state, letter)
        yield from self._dispatching(state)

    # What the scenario lets happen.

    def _act(self, state: State, act: Act) -> Iterator[Move]:
        left = tuple(a for a in state.acts if a.number != act.number)
        if act.node is None or act.change is None:
            yield Move(f"person {act.number}", frozenset({ENGINE, BOOKS}), lambda: self._deed(state, act, left))
            return
        node, fields = act.node, state.outside.after(act.node, act.change)
        touches = _of_record(node)
        for how, cost in (("", 0), (" late", 1), (" twice", 1)):
            yield Move(
                f"act {act.number}{how}",
                touches,
                partial(self._changed, replace(state, acts=left), node, fields, how, "happens"),
                cost,
            )

    def _changed(
        self,
        state: State,
        node: Node,
        fields: Mapping[str, Any],
        how: str,
        what: Literal["happens", "goes wrong"],
        said: str = "",
    ) -> Taken:
        was = state.outside.records.get(node, {})
        outside = state.outside.with_record(node, fields)
        snapshot = outside.snapshot(node, state.now)
        assert snapshot is not None
        letters = [Letter(snapshot, late=how == " late")]
        if how == " twice":
            letters.append(Letter(snapshot, late=True, again=True))
        text = said or f"{node[0]} {node[1]}: {_difference(was, fields)}"
        if how:
            text += " (seen late)" if how == " late" else " (seen twice)"
        return self._taken(state, replace(state, outside=outside, network=(*state.network, *letters)), (Told(what, text),))

    def _deed(self, state: State, act: Act, left: tuple[Act, ...]) -> Taken:
        play = state.play.fork()
        text = ""
        happening: Any = None
        match act.deed:
            case Answered() | Resolved() as deed:
                opened = [e for e in play.memory.exceptions.values() if e.rule == deed.rule and deed.item in {"", e.item}]
                if len(opened) == 1:
                    key = opened[0].key
                    if isinstance(deed, Answered):
                        play.memory = people.answered(play.memory, key, deed.answer, deed.by, state.now)
                        text = f"{deed.by} answers {deed.rule}: {deed.answer}"
                        happening = {"answer": {deed.rule: {"answer": deed.answer, "by": deed.by, "for": opened[0].item}}}
                    else:
                        play.memory = people.resolved(play.memory, key, state.now)
                        text, happening = f"{deed.rule} is resolved by hand", {"resolve": deed.rule}
            case Corrected() as deed:
                name = f"{CORRECTION}{deed.field}"
                fields = {deed.field: deed.value}
                version = state.now.isoformat()
                play.see(Observation(name, deed.kind, deed.key, version, "", state.now, fields))
                text = f"{deed.kind} {deed.key}: {deed.field} is corrected"
                happening = {"correct": {f"{deed.kind} {deed.key}": fields}}
            case Became(deed="retried") as deed:
                for effect in play.memory.effects:
                    if effect.status == "refused" and (deed.match is None or fits_effect(effect, deed.match)):
                        play.memory = retried(play.memory, effect.key)
                        text, happening = f"{show_effect(effect)} is tried again", {"retry": effect.action}
        after = replace(state, acts=left)
        if not text:
            return self._taken(state, after)
        after, decision = self.engine.decided(replace(after, outside=after.outside.by_person()), play)
        return self._taken(state, after, (Told("happens", text, happening),), decision)

    # What arrives.

    def _arrives(self, state: State, letter: Letter) -> Move:
        def take() -> Taken:
            network = list(state.network)
            network.remove(letter)
            play, of = state.play.fork(), letter.observation
            after = replace(state, network=tuple(network))
            text = f"{of.kind} {of.key} is seen as of its change {int(of.version)}"
            if not protocol.take_in(play, [of]):
                return self._taken(state, after, (Told("seen", f"{text}, which is known"),))
            after, decision = self.engine.decided(after, play)
            return self._taken(state, after, (Told("seen", text, _shown(of)),), decision)

        return Move(f"see {letter.name}", frozenset({ENGINE}), take)

    # What the dispatcher does.

    def _dispatching(self, state: State) -> Iterator[Move]:
        round_ = state.round
        if round_ is not None and round_.begun is not None:
            yield from self._sends(state, round_.begun)
        elif round_ is not None:
            yield Move("begin", frozenset({ENGINE}), lambda: self._begin(state))
        found = self.engine.due_now(state)
        for effect in found:
            if effect.status == "refused":
                yield Move(f"try {effect.key} again", frozenset({ENGINE}), partial(self._anew, state, effect))
        due = [effect for effect in found if effect.status != "refused"]
        money = [e for e in due if self.engine.about_units(e)]
        if round_ is None and money:
            touches = frozenset({ENGINE, *(t for e in money for t in self._records(state, e))})
            yield Move("look up", touches, lambda: self._look_up(state, money))
        for effect in due:
            if not self.engine.about_units(effect):
                yield from self._other(state, effect)

    def _anew(self, state: State, effect: EffectState) -> Taken:
        """What it was refused for passes by itself, and may have."""
        after, decision = self.engine.step(state, Step("anew", effect.key))
        told = Told("sent", f"{effect.key}: tried again, {effect.reason} may have passed", {"retry": effect.action})
        return self._taken(state, after, (told,), decision)

    def _records(self, state: State, effect: EffectState) -> frozenset[str]:
        shown = state.outside.shows(order_of(effect))
        return frozenset(t for node in shown for t in _of_record(node))

    def _look_up(self, state: State, effects: list[EffectState]) -> Taken:
        after, decision = protocol.open_round(self.engine, state, effects)
        names = ", ".join(e.key for e in effects)
        nodes = dict.fromkeys(node for e in effects for node in state.outside.shows(order_of(e)))
        seen = [_shown(s) for node in nodes if (s := state.outside.snapshot(node, state.now)) is not None]
        return self._taken(state, after, (Told("sent", f"{names}: looked up", seen),), decision)

    def _begin(self, state: State) -> Taken:
        assert state.round is not None
        key = state.round.waiting[0].key
        after, decision, begun = protocol.begin_next(self.engine, state)
        if begun is None:
            return self._taken(
                state, after, (Told("sent", f"{key}: not sent, it is not asked for like this any more"),), decision
            )
        broken = tuple(of_sending(self.engine.rule_set, decision, begun))
        return self._taken(
            state, after, (Told("sent", f"{key}: begun ({show_effect(begun)}, by {begun.rule})"),), decision, broken
        )

    def _sends(self, state: State, effect: EffectState) -> Iterator[Move]:
        assert state.round is not None
        seen = state.round.seen
        touches = frozenset({ENGINE, BOOKS}) | self._records(state, effect)
        for fate in FATES:
            yield Move(f"send {effect.key}: {fate}", touches, partial(self._sent, state, effect, seen, fate), fate != FATES[0])

    def _sent(self, before: State, effect: EffectState, seen: int | None, fate: Fate) -> Taken:
        """The outside does it or not, and what becomes of the effect is recorded; the order is read again after a success."""
        state = before
        order = order_of(effect)
        if fate.startswith("takes place") and fate != "takes place later, no answer":
            state = replace(state, outside=state.outside.carried_out(order, state.now, seen))
        if fate == "takes place later, no answer":
            half = (self.engine.quiet(effect) or timedelta(minutes=20)) / 2
            at = state.now + max(half, timedelta(minutes=10))
            state = replace(state, outside=replace(state.outside, under_way=(*state.outside.under_way, Request(at, order, seen))))
        if state.round is not None and state.round.begun is not None:
            left = replace(state.round, begun=None)
            state = replace(state, round=left if left.waiting else None)
        told = Told("sent" if fate == FATES[0] else "goes wrong", f"{effect.key}: sent; it {fate}", self._became(effect, fate))
        if fate == "takes place, and the process ends before that is recorded":
            after, decision, whole = protocol.restarted(self.engine, state)
            return self._taken(before, after, (told,), decision, _forgot(whole=whole))
        after, decision = self.engine.step(state, self._step(state, effect, fate))
        if fate == FATES[0]:
            shown = [s for node in after.outside.shows(order) if (s := after.outside.snapshot(node, after.now)) is not None]
            after = replace(after, network=(*after.network, *(Letter(s) for s in shown)))
        return self._taken(before, after, (told,), decision)

    def _step(self, state: State, effect: EffectState, fate: Fate) -> Step:
        if fate == "takes place":
            made = {"refund_id": state.outside.last_made} if self.engine.about_units(effect) else {}
            return Step("settled", effect.key, receipt={"reference": made.get("refund_id", effect.key), **made})
        if fate == "is refused":
            return Step("refused", effect.key, self.refusals.get(effect.action, REFUSAL), "they said no")
        if fate == "is put off":
            wait = Patience.after_send(effect.key, effect.tries, None)
            if wait is None:
                return Step("refused", effect.key, "gave_up", "they said not now too often")
            return Step("later", effect.key, detail="not now", wait=wait, nothing_sent=True)
        return Step("unsure", effect.key, detail="no answer")

    def _became(self, effect: EffectState, fate: Fate) -> Any:
        named = {effect.action: {"units": list(effect.units)} if effect.units else {}}
        if fate == "takes place":
            return {"settled": named}
        if fate == "is refused":
            return {"refused": {effect.action: self.refusals.get(effect.action, REFUSAL)}}
        return None if fate == "is put off" else {"unsure": named}

    def _comes_through(self, state: State, request: Request) -> Move:
        def take() -> Taken:
            left = tuple(r for r in state.outside.under_way if r is not request)
            outside = replace(state.outside, under_way=left).carried_out(request.order, state.now, request.seen)
            text = f"{request.order.key}: what was sent without an answer takes place now"
            return self._taken(state, replace(state, outside=outside), (Told("goes wrong", text),))

        return Move(f"comes through {request.order.key}", frozenset({EVERYTHING}), take)

    def _other(self, state: State, effect: EffectState) -> Iterator[Move]:
        """What is about no order line is looked up, begun and sent in one go: nobody competes with it for a piece."""
        touches = frozenset({ENGINE}) | self._records(state, effect)
        if effect.status == "unsure":
            yield Move(f"look for {effect.key}", touches, lambda: self._look_for(state, effect))
            return
        for fate in FATES[:2] if effect.action.startswith("finance") else (FATES[0], FATES[1], FATES[3], FATES[4]):
            yield Move(f"send {effect.key}: {fate}", touches, partial(self._in_one_go, state, effect, fate), fate != FATES[0])

    def _look_for(self, state: State, effect: EffectState) -> Taken:
        found, observations = protocol.answers(state.outside, [effect], state.now)
        play = state.play.fork()
        protocol.take_in(play, observations)
        step = sending.judged(effect, found[effect.key], self.engine.quiet(effect), state.now, state.now)
        after, decision = self.engine.step(replace(state, play=play), step)
        happening: Any = {"settled": {effect.action: {}}} if step.what == "settled" else None
        return self._taken(state, after, (Told("sent", f"{effect.key}: looked for; {step.what}", happening),), decision)

    def _in_one_go(self, state: State, effect: EffectState, fate: Fate) -> Taken:
        found, observations = protocol.answers(state.outside, [effect], state.now)
        play = state.play.fork()
        protocol.take_in(play, observations)
        if sending.after_look_up(found[effect.key], about_units=False) == "settled_elsewhere":
            after, decision = self.engine.step(replace(state, play=play), Step("settled_elsewhere", effect.key))
            return self._taken(state, after, (Told("sent", f"{effect.key}: done already"),), decision)
        after, decision = self.engine.decided(state, play)
        wanted = after.play.memory.effect(effect.key)
        if wanted is None or wanted.status != "planned" or not sending.still_asked(decision, effect):
            return self._taken(state, after, (Told("sent", f"{effect.key}: not sent, {NOT_ASKED}"),), decision)
        broken = tuple(of_sending(self.engine.rule_set, decision, wanted))
        play = after.play.fork()
        play.memory = Step("begun", effect.key).taken(play.memory, state.now)
        begun = play.memory.effect(effect.key)
        assert begun is not None
        sent = self._sent(replace(after, play=play, text=protocol.persisted(play.memory)), begun, 0, fate)
        return replace(sent, breaches=(*broken, *sent.breaches))

    # Time, people and restarts.

    def _time(self, state: State) -> Iterator[Move]:
        dues = [self.engine.due(state, e) for e in state.play.memory.effects if e.status in protocol.DISPATCHED]
        wake = state.wake_at if state.wake_at is not None and state.wake_at <= self.horizon else None
        coming = [*dues, wake, *(act.at for act in state.acts), *(r.at for r in state.outside.under_way)]
        at = min((t for t in coming if t is not None and t > state.now), default=None)
        if at is not None:
            yield Move("time", frozenset({EVERYTHING}), lambda: self._passes(state, at))

    def _passes(self, state: State, at: datetime) -> Taken:
        play = state.play.fork()
        play.now = at
        if state.wake_at is None or at < state.wake_at:
            return self._taken(state, replace(state, play=play), (Told("time passes", ""),))
        after, decision = self.engine.decided(state, play)
        return self._taken(state, after, (Told("time passes", ""),), decision)

    def _by_hand(self, state: State) -> Iterator[Move]:
        for deed in by_hand(state.outside, state.used, state.now):
            used = replace(state, used=state.used | {deed.name})
            yield Move(
                deed.name,
                _of_record(deed.node),
                partial(self._changed, used, deed.node, deed.fields, " late", "goes wrong", deed.name),
                1,
            )

    def _restart(self, state: State) -> Iterator[Move]:
        if "restart" in state.used:
            return

        def take() -> Taken:
            after, decision, whole = protocol.restarted(self.engine, replace(state, used=state.used | {"restart"}))
            told = Told("goes wrong", "the process ends and starts again")
            return self._taken(state, after, (told,), decision, _forgot(whole=whole))

        yield Move("restart", frozenset({ENGINE}), take, 1)

    def _taken(
        self,
        before: State,
        after: State,
        told: tuple[Told, ...] = (),
        decision: Decision | None = None,
        breaches: tuple[Breach, ...] = (),
    ) -> Taken:
        return Taken(after, told, decision, (*breaches, *of_moment(self.engine.rule_set, before, after)))


def _forgot(*, whole: bool) -> tuple[Breach, ...]:
    return () if whole else (Breach(REMEMBERED, "what was remembered before the restart is not what is known after it"),)


def _of_record(node: Node) -> frozenset[str]:
    """What a change of a record touches: itself, and the books where it gives or takes a claim."""
    kind, key = node
    return frozenset({f"{kind} {key}", BOOKS} if kind in {"order", "rma", "sale"} else {f"{kind} {key}"})


def _shown(of: Observation) -> Any:
    return {f"{of.kind} {of.key}": of.fields}


def _difference(was: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    changed = [name for name, value in fields.items() if was.get(name) != value and value is not None]
    return ", ".join(f"{n} {show(fields[n])}" if not isinstance(fields[n], tuple) else n for n in changed) or "as it was"
