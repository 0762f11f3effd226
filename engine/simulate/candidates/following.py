"""One rule set following what another one does: pure, case by case. The package says what it takes for granted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from engine.decide import outcomes
from engine.decide.decision import Decision, decide
from engine.decide.match import Pass
from engine.decide.memory import Memory
from engine.decide.people import NotPossible
from engine.facts.case import Case
from engine.facts.codec import loads
from engine.facts.effects import EffectState
from engine.facts.record import RecordState
from engine.language.ruleset import RuleSet
from engine.run.deciding.cadence import due_at
from engine.run.sending import course as sending
from engine.simulate.candidates.looks import Look, Real, Turn
from engine.simulate.replay import ASSUMED, refund_of, without_refunds
from engine.simulate.seen import Came, CaseSeen, gone_on

NEAR = timedelta(minutes=1)  # a look of the service this soon after an instant of the candidate's own is the same occasion
MOST_ROUNDS = 1000  # instants of its own in one case between two looks; more is a case that does not come to rest
REMEMBERED = 500  # cases whose last pass and facts spare work
ENDED = frozenset({"settled", "settled_elsewhere", "refused"})
UNENDED = frozenset({"performing", "unsure", "refused"})  # of which the outside may still say something else


@dataclass(frozen=True, slots=True)
class State:
    """How one case stands: what the candidate remembers, when it was decided last, when it acts next by itself, and what came of
    the case really (`was`) and with the candidate (`now`).
    """

    memory: Memory
    looked_at: datetime
    next_at: datetime | None = None
    was: CaseSeen | None = None
    now: CaseSeen | None = None

    def with_part(self, part: State) -> State:
        """One case of two: the other one is part of it now."""
        instants = [at for at in (self.next_at, part.next_at) if at is not None]
        memory = outcomes.merged(self.memory, part.memory)
        looked_at = max(self.looked_at, part.looked_at)
        return replace(self, memory=memory, looked_at=looked_at, next_at=min(instants, default=None))


class Following:
    """By itself it does nothing before `since`, when it was started. `record` is told of every decision of the candidate."""

    def __init__(self, rule_set: RuleSet, since: datetime, record: Callable[[Decision], None] = lambda _: None) -> None:
        self._rule_set = rule_set
        self._since = since
        self._zone = ZoneInfo(rule_set.time_zone)
        self._record = record
        self._known: OrderedDict[int, tuple[Case, Pass]] = OrderedDict()
        self.missed = 0  # answers to questions the candidate did not ask

    def take(self, state: State | None, look: Look) -> State:
        """Follows one decision of the service. Without a state the case is taken up as the service left it before."""
        if state is None:
            state = State(Memory.from_json(loads(look.memory)), look.at)
        else:
            known = self._known.get(look.case_id)
            facts = known[0] if known is not None else look.case
            before = Real(look.given, look.real.leaving)
            state = self.turn(state, Turn(look.case_id, facts, before, look.at - NEAR, look.woken))
        at = max(look.at, state.looked_at)
        memory = with_real(self._with_deed(state.memory, look), look.given)
        memory = self._with_never_sent(memory, look, at)
        decision = self._decide(look.case_id, look.case, memory, at, look.real)
        left = decision.memory
        for effect in decision.effects:
            if _begins(effect, look) and self._is_due(effect, look.case, at):
                left = outcomes.begin(left, effect.key, at)
        state = self._kept(state, look.case, decision, left, look.real)
        return replace(state, was=gone_on(state.was, look.case.id, look.came))

    def turn(self, state: State, turn: Turn) -> State:
        """What the candidate does by itself up to an instant."""
        for _ in range(MOST_ROUNDS):
            if state.next_at is None or state.next_at > turn.until:
                return state
            if turn.woken is not None and turn.woken <= state.next_at + NEAR:
                return state
            state = self._moment(state, turn, max(state.next_at, state.looked_at, self._since))
        raise RuntimeError("the case does not come to rest")

    def _with_deed(self, memory: Memory, look: Look) -> Memory:
        if look.deed is not None:
            try:
                return look.deed(memory)
            except NotPossible:
                self.missed += 1
        return memory

    def _with_never_sent(self, memory: Memory, look: Look, at: datetime) -> Memory:
        """What the active set gave up, or found done, before it sent it, ends so for the candidate if it was its turn as well."""
        theirs = {e.key: e for e in look.given if e.mode == "live" and e.status in ENDED and not e.ever_sent}
        for effect in memory.effects:
            real = theirs.get(effect.key)
            if real is not None and effect.status == "planned" and self._is_due(effect, look.case, at):
                memory = memory.with_effect(_as(effect, real))
        return memory

    def _moment(self, state: State, turn: Turn, at: datetime) -> State:
        """A wake-up, and then all that leaves at this instant, one after another."""
        decision = self._decide(turn.case_id, turn.case, state.memory, at, turn.real)
        state = self._kept(state, turn.case, decision, decision.memory, turn.real)
        for effect in decision.effects:
            memory = state.memory
            current = memory.effect(effect.key)
            if current is None or current.status != "planned" or not self._is_due(current, turn.case, at):
                continue
            if _waits(current, turn.real, at) or sending.blocked(current, memory.effects):
                continue
            sent = _ended(outcomes.begin(memory, effect.key, at), turn.real.effect(effect.key), effect.key, at)
            after = self._decide(turn.case_id, turn.case, sent, at, turn.real)
            state = self._kept(state, turn.case, after, after.memory, turn.real)
        return state

    def _decide(self, case_id: int, case: Case, memory: Memory, at: datetime, real: Real) -> Decision:
        known = self._known.get(case_id)
        seen = as_seen(case, memory, real.effects)
        decision = decide(self._rule_set, seen, memory, at, known[1] if known is not None else None)
        self._known[case_id] = case, decision.basis
        self._known.move_to_end(case_id)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        self._record(decision)
        return decision

    def _kept(self, state: State, case: Case, decision: Decision, left: Memory, real: Real) -> State:
        came = Came(decision.now, left.effects, left.exceptions, decision.closed, decision.blocked)
        return State(left, decision.now, self._next(decision, left, case, real), state.was, gone_on(state.now, case.id, came))

    def _next(self, decision: Decision, memory: Memory, case: Case, real: Real) -> datetime | None:
        """When it acts by itself. What waits for the active set's effect, or for another on its line, goes on with a look."""
        instants = [] if decision.wake_at is None else [decision.wake_at]
        asked = {effect.key for effect in decision.effects}
        for effect in (e for e in memory.effects if e.key in asked):
            due = self._due(effect, case)
            if due is not None and not _waits(effect, real, due) and not sending.blocked(effect, memory.effects):
                instants.append(due)
        return min(instants, default=None)

    def _due(self, effect: EffectState, case: Case) -> datetime | None:
        return due_at(effect, self._rule_set, self._zone, case.opened_at) if effect.status == "planned" else None

    def _is_due(self, effect: EffectState, case: Case, at: datetime) -> bool:
        due = self._due(effect, case)
        return due is not None and due <= at


def _begins(effect: EffectState, look: Look) -> bool:
    """Whether the active set began to send it with this very decision."""
    before = next((e for e in look.given if e.key == effect.key), None)
    after = look.real.effect(effect.key)
    return (before is None or before.status == "planned") and after is not None and after.status == "performing"


def _waits(effect: EffectState, real: Real, at: datetime) -> bool:
    """Whether the active set is about to send it too: then what comes of that is waited for."""
    theirs = real.effect(effect.key)
    leaves = real.leaving.get(effect.key)
    return theirs is not None and theirs.status == "planned" and leaves is not None and leaves <= at + NEAR


def _ended(memory: Memory, theirs: EffectState | None, key: str, at: datetime) -> Memory:
    """The end of an effect that was just begun: what became of the active set's, else well."""
    mine = memory.effect(key)
    if mine is None or theirs is None or theirs.status == "planned":
        return outcomes.settled(memory, key, {"reference": ASSUMED}, at)
    when = at if theirs.status in ENDED else None
    return memory.with_effect(replace(_as(mine, theirs), settled_at=when))


def with_real(memory: Memory, theirs: Iterable[EffectState]) -> Memory:
    """The memory with what has become meanwhile of effects that both sets sent."""
    real = {e.key: e for e in theirs if e.mode == "live"}
    effects = tuple(_followed(e, real[e.key]) if e.mode == "live" and e.key in real else e for e in memory.effects)
    return memory if effects == memory.effects else replace(memory, effects=effects)


def _followed(mine: EffectState, theirs: EffectState) -> EffectState:
    if mine.status == "planned":
        put_off = theirs.status == "planned" and theirs.not_before is not None
        return replace(mine, not_before=theirs.not_before, detail=theirs.detail) if put_off else mine
    if mine.receipt.get("reference") == ASSUMED:
        if theirs.status not in ENDED:
            return mine
        return replace(mine, status=theirs.status, reason=theirs.reason, detail=theirs.detail, receipt=theirs.receipt)
    if mine.status not in UNENDED:
        return mine
    return _as(mine, theirs)


def _as(mine: EffectState, theirs: EffectState) -> EffectState:
    """Mine, on its way as far as theirs."""
    return replace(
        mine,
        status=theirs.status,
        settled_at=theirs.settled_at,
        not_before=theirs.not_before,
        reason=theirs.reason,
        detail=theirs.detail,
        receipt=theirs.receipt,
        attempts=theirs.attempts,
        cut_off=theirs.cut_off,
        acknowledged=theirs.acknowledged,
    )


def as_seen(case: Case, memory: Memory, theirs: Iterable[EffectState]) -> Case:
    """The case without the refunds that came of effects which the candidate has not sent."""
    sent = {e.key for e in memory.effects if e.status in ENDED or e.status in UNENDED}
    made = (e for e in theirs if e.status == "settled" and e.action.endswith(".refund") and e.key not in sent)
    hidden = {refund_of(e.receipt) for e in made} - {""}
    if not hidden:
        return case
    return replace(case, records=tuple(_without(r, hidden) if r.kind == "order" else r for r in case.records))


def _without(record: RecordState, hidden: set[str]) -> RecordState:
    seen = {name: replace(one, fields=without_refunds(one.fields, hidden)) for name, one in record.snapshots.items()}
    return replace(record, snapshots=seen)
