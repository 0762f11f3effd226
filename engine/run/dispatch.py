"""Effects leave here: looked up, decided on once more, committed as being sent, sent, and their end recorded.

Nothing is lost, because the intent is committed before anything is sent; nothing is sent twice, because what may have been
sent is only sent again once the outside shows that it was not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from engine.decide import outcomes
from engine.decide.decision import Decision
from engine.decide.memory import Memory
from engine.facts.codec import dumps
from engine.facts.effects import EffectState
from engine.facts.outside import Connector, Event, Evidence, Order, Receipt, Refused, SendsTogether, TryLater, Unsure
from engine.run import sending
from engine.run.budget import Budget
from engine.run.clock import Clock
from engine.run.fetching import Asking
from engine.run.intake import Intake
from engine.run.lines import lines_of
from engine.run.logs import where
from engine.run.steps import Step
from engine.run.waits import Patience
from engine.run.worker import Worker
from engine.store.base import EffectRow, Store

AT_ONCE = 100
LARGEST_BATCH = 10_000
BLOCKED_WAIT = timedelta(minutes=1)
UNITS = ("units",)


@dataclass(frozen=True, slots=True)
class Due:
    """An effect to look at, with the case it belongs to."""

    case_id: int
    effect: EffectState

    @property
    def key(self) -> str:
        return self.effect.key

    def order(self) -> Order:
        e = self.effect
        return Order(e.key, e.action, e.subject, e.units, e.params, e.attempts + 1, e.planned_at, e.sent_at)


class Dispatch:
    """Sends what is due. `points` is told of each step as it is passed, for tests that end the process there."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        intake: Intake,
        connectors: Mapping[str, Connector],
        clock: Clock,
        *,
        budget: Budget,
        asking: Asking,
        points: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._worker = worker
        self._intake = intake
        self._connectors = connectors
        self._clock = clock
        self._budget = budget
        self._asking = asking
        self._points = points
        self._patience = Patience()
        self._log = structlog.get_logger("instep.dispatch")

    def recover(self) -> None:
        """At start-up: nobody knows how far an effect came that was being sent when the process ended."""
        for case_id in sorted({row.case_id for row in self._store.outbox.under_way() if row.entry.status == "performing"}):
            self._take(case_id, Step("interrupted"))

    async def send_due(self) -> bool:
        """True if anything was due. Roles are served side by side, the effects of one after another."""
        rows = self._due_rows()
        by_role: dict[str, list[Due]] = {}
        for row in rows:
            due = self._due(row)
            if due is not None:
                by_role.setdefault(row.entry.action.partition(".")[0], []).append(due)
        async with asyncio.TaskGroup() as group:
            for role, dues in by_role.items():
                group.create_task(self._serve(role, dues))
        return bool(rows)

    def _due_rows(self) -> list[EffectRow]:
        """What is due, once every case of it is decided with the rule set that is active: with it, it may be due no more."""
        rows = self._next_rows()
        if not self._worker.behind:
            return rows
        held = [row for row in rows if not self._worker.catch_up(row.case_id)]
        for row in held:
            self._put_off(row.case_id, row.entry.key)
        return self._next_rows()

    def _next_rows(self) -> list[EffectRow]:
        """A few at a time, but a batch that leaves as one as a whole."""
        rows = self._store.outbox.due(self._clock(), AT_ONCE)
        if len(rows) < AT_ONCE or not any(self._leave_together(row.entry.action) for row in rows):
            return rows
        return self._store.outbox.due(self._clock(), LARGEST_BATCH)

    def _leave_together(self, action: str) -> bool:
        connector = self._connectors.get(action.partition(".")[0])
        return action in self._worker.rule_set.cadence and isinstance(connector, SendsTogether)

    def _due(self, row: EffectRow) -> Due | None:
        effect = self._worker.effect(row.case_id, row.entry.key)
        if effect is None or effect.status not in {"planned", "unsure"}:
            self._store.outbox.reschedule(row.case_id, row.entry.key, None)
            return None
        if effect.status == "planned" and self._blocked(row.case_id, effect):
            self._put_off(row.case_id, effect.key)
            return None
        return Due(row.case_id, effect)

    def _blocked(self, case_id: int, effect: EffectState) -> bool:
        """While an effect on an order line is being sent or unsure, no other on that line goes out."""
        if self._store.outbox.under_way_elsewhere(case_id, effect.key):
            return True
        row = self._store.cases.get(case_id)
        return sending.blocked(effect, self._worker.memory(row).effects if row else ())

    def _put_off_if_due(self, due: Due, now: datetime) -> None:
        """Asked for otherwise now than when it was looked up: it is looked up again, but never in a tight circle."""
        row = next((r for r in self._store.outbox.of_case(due.case_id) if r.entry.key == due.key), None)
        if row is not None and row.entry.status == "planned" and row.entry.due_at is not None and row.entry.due_at <= now:
            self._put_off(due.case_id, due.key)

    def _put_off(self, case_id: int, key: str) -> None:
        self._store.outbox.reschedule(case_id, key, self._clock() + BLOCKED_WAIT)

    async def _serve(self, role: str, dues: Sequence[Due]) -> None:
        connector = self._connectors.get(role)
        if connector is None:
            for due in dues:
                self._refuse(due, "no_connector", f"no connector has the role {role}")
            return
        asked_at = self._clock()
        evidence = await self._look_up(connector, dues)
        touched: set[str] = set()  # lines something was sent for since the look-up: the next pass looks at them anew
        batch: list[tuple[Due, Evidence]] = []
        for due in dues:
            found = evidence.get(due.key)
            if due.effect.status == "unsure":
                self._judge(connector, due, found, asked_at)
            elif found is None or self._after_look_up(due, found) == "wait":
                self._wait_for_evidence(due)
            elif touched.isdisjoint(lines_of(due.effect)):
                if self._leave_together(due.effect.action):
                    batch.append((due, found))
                else:
                    await self._send(connector, due, found)
                touched |= lines_of(due.effect)
        await self._send_together(connector, batch)

    async def _look_up(self, connector: Connector, dues: Sequence[Due]) -> Mapping[str, Evidence]:
        """What the outside says of them, taken in as facts before anything else is decided. Empty if it cannot say."""
        try:
            with self._budget.spending(connector, "look_up"):
                answers = await connector.look_up([due.order() for due in dues])
        except TryLater as no:
            self._log.warning("look_up_put_off", connector=connector.name, fault=no.reason)
            return {}
        except Exception as fault:
            self._log.error("look_up_failed", connector=connector.name, **where(fault))
            return {}
        self._points("looked_up")
        self._intake.journal(_distinct([event for answer in answers for event in answer.events]))
        self._intake.take_in()
        return {answer.key: answer for answer in answers}

    def _wait_for_evidence(self, due: Due) -> None:
        """Without a look-up nothing is sent. That cannot go on for ever without somebody being told."""
        now = self._clock()
        wait = self._patience.after_failure(due.key, now)
        if wait is None:
            self._refuse(due, "gave_up", "it could not be looked up")
        else:
            self._change(due, Step("later", due.key, detail="it could not be looked up", wait=wait, nothing_sent=True))

    def _after_look_up(self, due: Due, found: Evidence) -> sending.Next:
        return sending.after_look_up(found, about_units=self._is_about_units(due.effect.action))

    async def _send(self, connector: Connector, due: Due, found: Evidence) -> None:
        begun = self._begun(due, found)
        if begun is not None:
            await self._perform(connector, due, begun)

    def _begun(self, due: Due, found: Evidence) -> Order | None:
        """What is to be sent now, if it has not been done meanwhile and is still asked for."""
        self._patience.forget(due.key)
        if self._after_look_up(due, found) == "settled_elsewhere":
            self._change(due, Step("settled_elsewhere", due.key, receipt=sending.kept(found.receipt)))
            return None
        begun = self._begin(due)
        if begun is not None:
            self._points("begun")
        return begun

    async def _send_together(self, connector: Connector, batch: Sequence[tuple[Due, Evidence]]) -> None:
        """All of a batch as one. Where the whole is refused nothing took place, and one by one it shows which is at fault."""
        begun = [(due, order) for due, found in batch if (order := self._begun(due, found)) is not None]
        if not begun or not isinstance(connector, SendsTogether):
            return
        now = self._clock()
        try:
            with self._budget.spending(connector, "perform"):
                receipts = await connector.perform_many([order for _, order in begun])
        except TryLater as no:
            for due, order in begun:
                self._try_later(due, order, no)
        except Refused:
            for due, order in begun:
                await self._perform(connector, due, order)
        except Exception as fault:
            if not isinstance(fault, Unsure):
                self._log.error("perform_failed", connector=connector.name, key=begun[0][0].key, **where(fault))
            for due, _ in begun:
                self._unsure(due, f"{type(fault).__name__}: {fault}", now)
        else:
            self._points("performed")
            for (due, _), receipt in zip(begun, receipts, strict=True):
                self._settle(connector, due, receipt)
            self._points("settled")

    async def _perform(self, connector: Connector, due: Due, begun: Order) -> None:
        now = self._clock()
        try:
            with self._budget.spending(connector, "perform"):
                receipt = await connector.perform(begun)
        except TryLater as no:
            self._try_later(due, begun, no)
        except Refused as no:
            self._refuse(due, no.reason, no.detail)
        except Unsure as no:
            self._unsure(due, str(no) or "no answer", now)
        except Exception as fault:
            self._log.error("perform_failed", connector=connector.name, key=due.key, **where(fault))
            self._unsure(due, f"{type(fault).__name__}: {fault}", now)
        else:
            self._points("performed")
            self._settle(connector, due, receipt)
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
            row = next((r for r in self._store.outbox.of_case(due.case_id) if r.entry.key == due.key), None)
            still_due = (
                row is not None and row.entry.status == "planned" and row.entry.due_at is not None and row.entry.due_at <= now
            )
            if not still_due:
                return None
            if self._blocked(due.case_id, due.effect):
                self._put_off(due.case_id, due.key)
                return None
            decided = self._worker.decide(due.case_id, after=begin)
            if begun:
                self._keep(due.case_id, step, decided.now)
            else:
                self._put_off_if_due(due, now)
        return Due(due.case_id, begun[0]).order() if begun else None

    def _settle(self, connector: Connector, due: Due, receipt: Receipt) -> None:
        """The receipt, what it brought, and the end of the effect in one commit."""
        now = self._clock()
        with self._store.transaction():
            self._store.outbox.receipt(due.case_id, due.key, now, receipt.reference, dumps(receipt.details))
            self._change(due, Step("settled", due.key, receipt=sending.kept(receipt)))
            self._intake.journal(receipt.events)
            if not receipt.events and self._is_about_units(due.effect.action):
                self._asking.again(("order", str(due.effect.params.get("order", ""))), connector.name)
        self._intake.take_in()

    def _is_about_units(self, action: str) -> bool:
        spec = self._worker.rule_set.actions.get(action)
        return spec is not None and spec.subject == UNITS

    def _try_later(self, due: Due, begun: Order, no: TryLater) -> None:
        wait = Patience.after_send(begun.attempt, no.after)
        if wait is None:
            self._refuse(due, "gave_up", no.reason)
        else:
            self._change(due, Step("later", due.key, detail=no.reason, wait=wait, nothing_sent=True))

    def _unsure(self, due: Due, why: str, sent_at: datetime) -> None:
        self._log.warning("effect_unsure", key=due.key, why=why, sent_at=sent_at.isoformat())
        self._change(due, Step("unsure", due.key, detail=why))

    def _judge(self, connector: Connector, due: Due, found: Evidence | None, asked_at: datetime) -> None:
        """An unsure effect after a look-up: settled by evidence, performed once more after its quiet period if the outside shows
        that it did not happen, and else looked up again.
        """
        effect = self._worker.effect(due.case_id, due.key)
        if effect is None or effect.status != "unsure":
            return
        spec = self._worker.rule_set.actions.get(effect.action)
        step = sending.judged(effect, found, spec.quiet if spec is not None else None, asked_at, self._clock())
        if step.what == "settled":
            self._settle(connector, due, (found.receipt if found is not None else None) or Receipt("seen", {}))
        else:
            self._change(due, step)

    def _refuse(self, due: Due, reason: str, detail: str) -> None:
        self._change(due, Step("refused", due.key, reason, detail))

    def _change(self, due: Due, step: Step) -> None:
        """One step of an effect, decided on at once. Where the facts already settled it, the step is not needed."""
        try:
            self._take(due.case_id, step)
        except outcomes.WrongState as no:
            self._log.info("step_not_needed", key=due.key, why=str(no))
            self._worker.decide(due.case_id)

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


def _distinct(events: Sequence[Event]) -> list[Event]:
    """One answer often speaks of several effects."""
    return list(dict.fromkeys(events))
