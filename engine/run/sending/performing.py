"""One effect on its way out: looked up, decided on once more, committed as being sent, sent, and its end recorded.

Nothing is lost, because the intent is committed before anything is sent; nothing is sent twice, because what may have been
sent is only sent again once the outside shows that it was not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from engine.decide import outcomes
from engine.decide.decision import Decision
from engine.decide.memory import Memory
from engine.facts.budget import OverBudget
from engine.facts.codec import dumps
from engine.facts.effects import EffectState
from engine.facts.outside import Connector, Event, Evidence, Order, Receipt, Refused, SendsTogether, TryLater, Unsure
from engine.run.clock import Clock, SinceSent
from engine.run.deciding.worker import Worker
from engine.run.hearing.fetching import Asking
from engine.run.hearing.intake import Intake
from engine.run.limits.budget import Budget
from engine.run.logs import where
from engine.run.sending import course as sending
from engine.run.sending.reach import SHORTEST_PAUSE, Reach
from engine.run.sending.steps import Step
from engine.run.waits import Patience
from engine.store.base import Store
from engine.store.trouble import StoreTrouble

BLOCKED_WAIT = timedelta(minutes=1)
LONGEST_CALL = 300.0  # seconds; a connector has its own, shorter limits, and this one is for when they fail
LATEST = 0.1  # the share of the last send in how long one takes
UNITS = ("units",)


@dataclass(frozen=True, slots=True)
class Due:
    """An effect to look at, with the case it belongs to and by when it has to be out."""

    case_id: int
    case: str
    effect: EffectState
    deadline: datetime | None = None

    @property
    def key(self) -> str:
        return self.effect.key

    def order(self) -> Order:
        e = self.effect
        return Order(e.key, e.action, e.subject, e.units, e.params, e.attempts + 1, e.planned_at, e.sent_at)


class Performing:
    """What is done for an effect, step by step. `points` is told of each step as it is passed, for tests that end the process
    there. Each step is decided and kept without a pause: no other effect gets in between.
    """

    def __init__(
        self,
        store: Store,
        worker: Worker,
        intake: Intake,
        clock: Clock,
        *,
        budget: Budget,
        asking: Asking,
        reach: Reach,
        points: Callable[[str], None],
        give_way: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._worker = worker
        self._intake = intake
        self._clock = clock
        self._budget = budget
        self._asking = asking
        self._reach = reach
        self._points = points
        self._give_way = give_way
        self._patience = Patience()
        self._since = SinceSent(clock)
        self._paces: dict[str, timedelta] = {}  # by connector: how long one effect takes, the latest counting most
        self._log = structlog.get_logger("instep.dispatch")

    def pace(self, connector: str) -> timedelta:
        """How long sending one effect to it takes, from what was sent last. Nothing where nothing was."""
        return self._paces.get(connector, timedelta())

    def recover(self) -> None:
        """At start-up: nobody knows how far an effect came that was being sent when the process ended."""
        for case_id in sorted({row.case_id for row in self._store.outbox.under_way() if row.entry.status == "performing"}):
            self._take(case_id, Step("interrupted"))

    def blocked(self, case_id: int, effect: EffectState) -> bool:
        """While an effect on an order line is being sent or unsure, no other on that line goes out."""
        if self._store.outbox.under_way_elsewhere(case_id, effect.key):
            return True
        row = self._store.cases.get(case_id)
        return sending.blocked(effect, self._worker.memory(row).effects if row else ())

    def anew(self, case_id: int, key: str) -> EffectState | None:
        """A refused effect whose refusal passes by itself, planned again. None where nobody asks for it any more."""
        self._take(case_id, Step("anew", key))
        effect = self._worker.effect(case_id, key)
        return effect if effect is not None and effect.status == "planned" else None

    def put_off(self, case_id: int, key: str) -> None:
        self._store.outbox.reschedule(case_id, key, self._clock() + BLOCKED_WAIT)

    async def look_up(self, connector: Connector, dues: Sequence[Due]) -> Mapping[str, Evidence]:
        """What the outside says of them, taken in as facts before anything else is decided. Without those it cannot speak of.

        What cannot be looked up together is looked up action by action: one kind of call may be over its limit, or fail for
        reasons of its own.
        """
        answers = [(dues, await self._asked(connector, dues))]
        by_action = {due.effect.action: [d for d in dues if d.effect.action == due.effect.action] for due in dues}
        if len(by_action) > 1 and _of_some(answers[0][1]):
            answers = [(mine, await self._asked(connector, mine)) for mine in by_action.values()]
        found: list[Evidence] = []
        for mine, answer in answers:
            if isinstance(answer, Exception):
                self._not_answered(connector, mine, answer)
            else:
                self._reach.worked(connector.name, "look_up", {due.effect.action for due in mine})
                found.extend(answer)
        if found:
            self._points("looked_up")
            self._intake.journal(_distinct([event for answer in found for event in answer.events]))
            await self._take_in()
        return {answer.key: answer for answer in found}

    async def _take_in(self) -> None:
        """What is in the journal by now, a little at a time where much waits there; what comes meanwhile can wait."""
        last = self._store.journal.last()
        while self._intake.take_some(last):
            if self._store.journal.position() < last:
                await self._give_way()

    async def _asked(self, connector: Connector, dues: Sequence[Due]) -> Sequence[Evidence] | Exception:
        """The answer, or why there is none."""
        try:
            with self._budget.spending(connector, "look_up"):
                async with asyncio.timeout(LONGEST_CALL):
                    return await connector.look_up([due.order() for due in dues])
        except StoreTrouble:
            raise
        except Exception as fault:
            return fault

    def _not_answered(self, connector: Connector, dues: Sequence[Due], fault: Exception) -> None:
        if not isinstance(fault, TryLater):
            self._log.error("look_up_failed", connector=connector.name, **where(fault))
        else:
            say = self._log.debug if isinstance(fault, OverBudget) else self._log.warning  # that is in the status, and no trouble
            say("look_up_put_off", connector=connector.name, fault=fault.reason)
        if isinstance(fault, TryLater) and _for_all(fault):
            for action in {due.effect.action for due in dues}:
                self._reach.put_off(connector.name, "look_up", action, fault)
        else:
            self._reach.failed(connector.name, "look_up", [due.key for due in dues], _said(fault))

    async def ready(
        self, connector: Connector, dues: Sequence[Due], asked_at: datetime, found: Mapping[str, Evidence]
    ) -> list[Due]:
        """Those of them that can be sent, as far as the look-up tells. Unsure ones are judged by it; without an answer the
        others wait.
        """
        ready = []
        for due in dues:
            if due.effect.status == "unsure":
                self._judge(connector, due, found.get(due.key), asked_at)
            elif due.key not in found or self._after_look_up(due, found[due.key]) == "wait":
                self._wait_for_evidence(connector, due)
            else:
                ready.append(due)
        await self._take_in()
        return ready

    def _wait_for_evidence(self, connector: Connector, due: Due) -> None:
        """Without a look-up nothing is sent. That cannot go on for ever without somebody being told; where the whole system is
        in trouble they are told of that, and nothing is given up.
        """
        if self._reach.down(connector.name, "look_up", due.effect.action):
            self._patience.forget(due.key)
            return
        now = self._clock()
        wait = self._patience.after_failure(due.key, now)
        if wait is None:
            self.refuse(due, "gave_up", "it could not be looked up")
        else:
            self.change(due, Step("later", due.key, detail="it could not be looked up", wait=wait, nothing_sent=True))

    def _after_look_up(self, due: Due, found: Evidence) -> sending.Next:
        return sending.after_look_up(found, about_units=self._is_about_units(due.effect.action))

    def begun(self, due: Due, found: Evidence) -> Order | None:
        """What is to be sent now, if it has not been done meanwhile and is still asked for."""
        due = self._at_home(due)
        self._patience.forget(due.key)
        if self._after_look_up(due, found) == "settled_elsewhere":
            self.change(due, Step("settled_elsewhere", due.key, receipt=sending.kept(found.receipt)))
            return None
        begun = self._begin(due)
        if begun is not None:
            self._points("begun")
        return begun

    async def perform_many(self, connector: Connector, begun: Sequence[tuple[Due, Order]]) -> None:
        """All of a batch as one. Where the whole is refused nothing took place, and one by one it shows which is at fault."""
        if not begun or not isinstance(connector, SendsTogether):
            return
        now = self._clock()
        try:
            with self._budget.spending(connector, "perform"):
                async with asyncio.timeout(LONGEST_CALL):
                    receipts = await connector.perform_many([order for _, order in begun])
        except TryLater as no:
            self._not_now(connector, [due for due, _ in begun], no)
            for due, order in begun:
                self._try_later(connector, due, order, no)
        except StoreTrouble:
            raise
        except Refused:
            for due, order in begun:
                await self.perform(connector, due, order)
        except Exception as fault:
            self._no_answer(connector, [due for due, _ in begun], fault, now)
        else:
            self._reach.worked(connector.name, "perform", {due.effect.action for due, _ in begun})
            self._points("performed")
            for (due, _), receipt in zip(begun, receipts, strict=True):
                self._settle(connector, due, receipt)
            await self._take_in()
            self._points("settled")

    async def perform(self, connector: Connector, due: Due, begun: Order) -> None:
        """Sends it, and records what came of it."""
        now = self._clock()
        await self._perform(connector, due, begun, now)
        took = self._clock() - now
        known = self._paces.get(connector.name, took)
        self._paces[connector.name] = known + (took - known) * LATEST

    async def _perform(self, connector: Connector, due: Due, begun: Order, now: datetime) -> None:
        try:
            with self._budget.spending(connector, "perform"):
                async with asyncio.timeout(LONGEST_CALL):
                    receipt = await connector.perform(begun)
        except TryLater as no:
            self._not_now(connector, [due], no)
            self._try_later(connector, due, begun, no)
        except StoreTrouble:
            raise
        except Refused as no:
            self._reach.worked(connector.name, "perform", [due.effect.action])
            self.refuse(due, no.reason, no.detail)
        except Exception as fault:
            self._no_answer(connector, [due], fault, now)
        else:
            self._reach.worked(connector.name, "perform", [due.effect.action])
            self._points("performed")
            self._settle(connector, due, receipt)
            await self._take_in()
            self._points("settled")

    def _begin(self, due: Due) -> Order | None:
        """The case is decided with what the look-up brought; only what that decision still asks for, exactly so, is begun.
        The intent is committed when this returns.
        """
        begun: list[EffectState] = []
        step = Step("begun", due.key)

        def begin(decision: Decision) -> Memory:
            if not sending.still_asked(decision, due.effect):
                return decision.memory
            memory = step.taken(decision.memory, decision.now)
            effect = memory.effect(due.key)
            if effect is None:
                return decision.memory
            begun.append(effect)
            return memory

        now = self._clock()
        with self._store.transaction():
            if not self._worker.catch_up(due.case_id):
                return None
            if not self._still_due(due, now):
                return None
            if self.blocked(due.case_id, due.effect):
                self.put_off(due.case_id, due.key)
                return None
            decided = self._worker.decide(due.case_id, after=begin)
            if begun:
                self._keep(due.case_id, step, decided.now)
            elif self._still_due(due, now):  # asked for otherwise than looked up: looked up again, never in a tight circle
                self.put_off(due.case_id, due.key)
        return replace(due, effect=begun[0]).order() if begun else None

    def _still_due(self, due: Due, now: datetime) -> bool:
        row = next((r for r in self._store.outbox.of_case(due.case_id) if r.entry.key == due.key), None)
        return row is not None and row.entry.status == "planned" and row.entry.due_at is not None and row.entry.due_at <= now

    def _settle(self, connector: Connector, due: Due, receipt: Receipt) -> None:
        """The receipt, what it brought, and the end of the effect in one commit. What it brought is still to be taken in."""
        due = self._at_home(due)
        now = self._clock()
        with self._store.transaction():
            self._store.outbox.receipt(due.case_id, due.key, now, receipt.reference, dumps(receipt.details))
            self.change(due, Step("settled", due.key, receipt=sending.kept(receipt)))
            self._intake.journal(receipt.events)
            if not receipt.events and self._is_about_units(due.effect.action):
                self._asking.again(("order", str(due.effect.params.get("order", ""))), connector.name)

    def _is_about_units(self, action: str) -> bool:
        spec = self._worker.rule_set.actions.get(action)
        return spec is not None and spec.subject == UNITS

    def _not_now(self, connector: Connector, dues: Sequence[Due], no: TryLater) -> None:
        if _for_all(no):
            self._reach.put_off(connector.name, "perform", dues[0].effect.action, no)
        else:
            self._reach.failed(connector.name, "perform", [due.key for due in dues], no.reason)

    def _try_later(self, connector: Connector, due: Due, begun: Order, no: TryLater) -> None:
        down = self._reach.down(connector.name, "perform", due.effect.action)
        wait = Patience.after_send(due.key, begun.attempt - due.effect.cut_off, no.after, for_ever=down)
        if isinstance(no, OverBudget):
            wait = max(no.after, SHORTEST_PAUSE)
        if wait is None:
            self.refuse(due, "gave_up", no.reason)
        else:
            self.change(due, Step("later", due.key, detail=no.reason, wait=wait, nothing_sent=True))

    def _no_answer(self, connector: Connector, dues: Sequence[Due], fault: Exception, sent_at: datetime) -> None:
        """It may have happened."""
        if not isinstance(fault, Unsure | TimeoutError):
            self._log.error("perform_failed", connector=connector.name, key=dues[0].key, **where(fault))
        self._reach.failed(connector.name, "perform", [due.key for due in dues], _said(fault))
        for due in dues:
            self._since.sent(due.case_id, due.key)
            self._log.warning("effect_unsure", key=due.key, why=_said(fault), sent_at=sent_at.isoformat())
            self.change(due, Step("unsure", due.key, detail=_said(fault)))

    def _judge(self, connector: Connector, due: Due, found: Evidence | None, asked_at: datetime) -> None:
        """An unsure effect after a look-up: settled by evidence, performed once more after its quiet period if the outside shows
        that it did not happen, and else looked up again.
        """
        due = self._at_home(due)
        effect = self._worker.effect(due.case_id, due.key)
        if effect is None or effect.status != "unsure":
            return
        spec = self._worker.rule_set.actions.get(effect.action)
        sent_at = self._since.counts_from(due.case_id, due.key, effect.sent_at or effect.planned_at, asked_at)
        effect = replace(effect, sent_at=sent_at)
        step = sending.judged(effect, found, spec.quiet if spec is not None else None, asked_at, self._clock())
        if step.what == "settled":
            self._settle(connector, due, (found.receipt if found is not None else None) or Receipt("seen", {}))
        else:
            self.change(due, step)
        if step.what != "later":
            self._since.forget(due.case_id, due.key)

    def refuse(self, due: Due, reason: str, detail: str) -> None:
        self.change(due, Step("refused", due.key, reason, detail))

    def change(self, due: Due, step: Step) -> None:
        """One step of an effect, decided on at once. Where the facts already settled it, the step is not needed."""
        due = self._at_home(due)
        try:
            self._take(due.case_id, step)
        except outcomes.WrongState as no:
            self._log.info("step_not_needed", key=due.key, why=str(no))
            self._worker.decide(due.case_id)

    def _at_home(self, due: Due) -> Due:
        """In the case it belongs to now: while something was on its way, its case may have become part of another."""
        if self._store.cases.get(due.case_id) is not None:
            return due
        row = self._store.cases.named(due.case)
        return due if row is None else replace(due, case_id=row.id)

    def _take(self, case_id: int, step: Step) -> None:
        """The step, what is decided after it, and that it was taken, in one commit."""
        now = self._clock()
        with self._store.transaction():
            self._worker.decide(case_id, before=lambda memory: step.taken(memory, now), at=now)
            self._keep(case_id, step, now)

    def _keep(self, case_id: int, step: Step, at: datetime) -> None:
        case = self._store.cases.get(case_id)
        if case is not None:
            self._store.outbox.stepped(case.name, step.key, self._store.journal.position(), at, step.to_json())


def _for_all(no: TryLater) -> bool:
    """Whether the next one of the kind would fare no better."""
    return no.for_all or isinstance(no, OverBudget)


def _of_some(answer: Sequence[Evidence] | Exception) -> bool:
    """Whether a look-up of several actions may have failed for the sake of one of them."""
    return isinstance(answer, Exception) and (not isinstance(answer, TryLater) or _for_all(answer))


def _said(fault: Exception) -> str:
    match fault:
        case TryLater():
            return fault.reason
        case Unsure():
            return str(fault) or "no answer"
        case TimeoutError():
            return f"no answer within {LONGEST_CALL:.0f} seconds"
    return f"{type(fault).__name__}: {fault}"


def _distinct(events: Sequence[Event]) -> list[Event]:
    """One answer often speaks of several effects."""
    return list(dict.fromkeys(events))
