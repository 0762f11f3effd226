"""What is due is sent: the most urgent first, many cases side by side, each order line in order.

For each role a round is looked up at once and then sent, a few cases at a time. A round that something more urgent overtakes,
or whose look-up has grown old, ends early; what is left of it is looked up anew in the next. One that hangs keeps its place
among the few, and nothing else waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from engine.facts.outside import ROLES, Connector, Evidence, Order, SendsTogether
from engine.language.client import SIDE_BY_SIDE
from engine.run.clock import Clock
from engine.run.deciding.worker import Worker
from engine.run.lanes import Lanes
from engine.run.sending.lines import lines_of
from engine.run.sending.performing import Due, Performing
from engine.run.sending.reach import Reach
from engine.store.base import Store
from engine.store.queue import Skip
from engine.store.rows import EffectRow

AT_ONCE = 100  # looked up together
LARGEST_BATCH = 10_000
SHARE = 5  # every fifth goes to the one that waits longest, however urgent others are
FRESH = timedelta(minutes=1)  # how long what was looked up is good enough to send by


@dataclass(slots=True)
class Lane:
    """The sending of one role. `opening` while a round has something left to begin, `cases` have something on its way."""

    role: str
    connector: Connector | None
    side_by_side: int
    opening: bool = False
    cases: set[int] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    rounds: list[set[str]] = field(default_factory=list)  # of each round: lines something was sent for since its look-up
    turn: int = 0
    stopping: Callable[[], bool] = lambda: False

    @property
    def full(self) -> bool:
        return len(self.cases) >= self.side_by_side


class Dispatch:
    """Sends what is due. `side_by_side` is how many cases at a time, by role; `wake` is called when there is room again."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        connectors: Mapping[str, Connector],
        clock: Clock,
        *,
        performing: Performing,
        reach: Reach,
        side_by_side: Mapping[str, int],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._worker = worker
        self._clock = clock
        self._performing = performing
        self._reach = reach
        self._wake = wake
        self._lanes = [Lane(role, connectors.get(role), side_by_side.get(role, SIDE_BY_SIDE)) for role in ROLES]

    def start_due(self, lanes: Lanes) -> bool:
        """Starts sending what is due, as far as there is room. True if anything was."""
        started = [self._start(lane, lanes) for lane in self._lanes]
        return any(started)

    def resumes_at(self) -> datetime | None:
        """When something that is due may go to a connector that is left alone now."""
        now = self._clock()
        found = (
            self._reach.resumes_at(lane.connector.name)
            for lane in self._lanes
            if lane.connector is not None and self._store.queue.waiting(lane.role, now)
        )
        return min((at for at in found if at is not None), default=None)

    def status(self) -> list[dict[str, Any]]:
        """For a status page, of each connector: whether it can be reached, how much is due, and how much is on its way."""
        now = self._clock()
        return [
            {
                "connector": lane.connector.name,
                "due": self._store.queue.waiting(lane.role, now),
                "on_its_way": len(lane.cases),
                **self._reach.status(lane.connector.name),
            }
            for lane in self._lanes
            if lane.connector is not None
        ]

    def _start(self, lane: Lane, lanes: Lanes) -> bool:
        if lane.opening or lane.full:
            return False
        if lane.connector is None:
            return self._nobody(lane)
        rows = self._rows(lane, lane.connector)
        if not rows:
            return False
        dues = [due for row in rows if (due := self._due(row)) is not None]
        if dues:
            lane.opening, lane.stopping = True, lanes.stopping
            lanes.start(f"send {lane.role}", self._round(lane, lane.connector, dues))
        return True

    def _nobody(self, lane: Lane) -> bool:
        rows = self._store.queue.most_urgent(lane.role, self._clock(), AT_ONCE)
        for row in rows:
            due = self._due(row)
            if due is not None:
                self._performing.refuse(due, "no_connector", f"no connector has the role {lane.role}")
        return bool(rows)

    def _rows(self, lane: Lane, connector: Connector) -> list[EffectRow]:
        """What is due and may be sent, once every case of it is decided with the rule set that is active: with it, it may be
        due no more.
        """
        rows = self._next_rows(lane, connector)
        if not self._worker.behind:
            return rows
        held = [row for row in rows if not self._worker.catch_up(row.case_id)]
        for row in held:
            self._performing.put_off(row.case_id, row.entry.key)
        return self._next_rows(lane, connector)

    def _next_rows(self, lane: Lane, connector: Connector) -> list[EffectRow]:
        """As many as the connector can be asked about now; only one where it has to be found out whether it answers."""
        asking, sending = self._reach.leave(connector.name, "look_up"), self._reach.leave(connector.name, "perform")
        if asking == "none":
            return []
        trial = "one" in {asking, sending}
        if trial and (lane.cases or lane.rounds):
            return []
        return self._urgent(lane, connector, 1) if trial else self._in_turn(lane, connector)

    def _in_turn(self, lane: Lane, connector: Connector) -> list[EffectRow]:
        """The most urgent, among them some that wait longest; but a batch that leaves as one as a whole."""
        urgent = self._urgent(lane, connector, AT_ONCE)
        if len(urgent) < AT_ONCE:
            return urgent
        if any(self._leave_together(connector, row.entry.action) for row in urgent):
            return self._urgent(lane, connector, LARGEST_BATCH)
        skip = self._skip(lane, connector)
        oldest = self._store.queue.longest_waiting(lane.role, self._clock(), AT_ONCE // SHARE, skip)
        return in_turn(urgent, oldest, lane.turn)[:AT_ONCE]

    def _urgent(self, lane: Lane, connector: Connector, limit: int) -> list[EffectRow]:
        return self._store.queue.most_urgent(lane.role, self._clock(), limit, self._skip(lane, connector))

    def _skip(self, lane: Lane, connector: Connector) -> Skip:
        """What cannot go now. Where nothing may be sent, what may have been sent is looked for all the same."""
        planned = self._reach.resting(connector.name, "perform")
        if self._reach.leave(connector.name, "perform") == "none":
            planned |= {""}
        return Skip(lane.cases, self._reach.resting(connector.name, "look_up"), planned)

    def _leave_together(self, connector: Connector, action: str) -> bool:
        return action in self._worker.rule_set.cadence and isinstance(connector, SendsTogether)

    def _due(self, row: EffectRow) -> Due | None:
        effect = self._worker.effect(row.case_id, row.entry.key)
        if effect is not None and effect.status == "refused":
            effect = self._performing.anew(row.case_id, effect.key)
        if effect is None or effect.status not in {"planned", "unsure"}:
            self._store.outbox.reschedule(row.case_id, row.entry.key, None)
            return None
        if effect.status == "planned" and self._performing.blocked(row.case_id, effect):
            self._performing.put_off(row.case_id, effect.key)
            return None
        return Due(row.case_id, row.case, effect, row.deadline)

    async def _round(self, lane: Lane, connector: Connector, dues: Sequence[Due]) -> None:
        touched: set[str] = set()
        lane.rounds.append(touched)
        asked_at = self._clock()
        try:
            found = await self._performing.look_up(connector, dues)
            ready = await self._performing.ready(connector, dues, asked_at, found)
            async with asyncio.TaskGroup() as group:
                await self._send(lane, connector, ready, found, asked_at, touched, group)
                lane.opening = False
                self._wake()
        finally:
            lane.opening = False
            lane.rounds[:] = [each for each in lane.rounds if each is not touched]

    async def _send(
        self,
        lane: Lane,
        connector: Connector,
        ready: Sequence[Due],
        found: Mapping[str, Evidence],
        asked_at: datetime,
        touched: set[str],
        group: asyncio.TaskGroup,
    ) -> None:
        """Begins what is ready, case by case, whenever there is room."""
        batch = [due for due in ready if self._leave_together(connector, due.effect.action)]
        waiting = _by_case([due for due in ready if not self._leave_together(connector, due.effect.action)])
        for number, dues in enumerate(waiting):
            while lane.full and lane.tasks:
                await asyncio.wait(lane.tasks, return_when=asyncio.FIRST_COMPLETED)
            if number and self._ends_early(lane, connector, waiting[number:], asked_at):
                return
            lane.turn += 1
            lane.cases.add(dues[0].case_id)
            task = group.create_task(self._send_case(lane, connector, dues, found, touched))
            lane.tasks.add(task)
            task.add_done_callback(lane.tasks.discard)
        if batch:
            group.create_task(self._send_batch(lane, connector, batch, found, touched))

    def _ends_early(self, lane: Lane, connector: Connector, rest: Sequence[Sequence[Due]], asked_at: datetime) -> bool:
        """Whether what is left of a round had better wait for the next: the service stops, the connector is to be left alone, it
        was looked up too long ago, or something sooner is due.
        """
        now = self._clock()
        if lane.stopping() or self._reach.leave(connector.name, "perform") != "all" or now - asked_at > FRESH:
            return True
        soonest = min((due.deadline for dues in rest for due in dues if due.deadline is not None), default=None)
        return self._store.queue.any_sooner(lane.role, now, soonest, self._skip(lane, connector))

    async def _send_case(
        self, lane: Lane, connector: Connector, dues: Sequence[Due], found: Mapping[str, Evidence], touched: set[str]
    ) -> None:
        """The effects of one case one after another; of those on one order line only the first, the next round looks anew."""
        try:
            for number, due in enumerate(dues):
                if number and (lane.stopping() or self._reach.leave(connector.name, "perform") != "all"):
                    return
                if due.effect.action in self._reach.resting(connector.name, "perform"):
                    continue
                order = self._begun(lane, due, found[due.key], touched)
                if order is not None:
                    await self._performing.perform(connector, due, order)
        finally:
            lane.cases.discard(dues[0].case_id)
            self._wake()

    async def _send_batch(
        self, lane: Lane, connector: Connector, batch: Sequence[Due], found: Mapping[str, Evidence], touched: set[str]
    ) -> None:
        cases = {due.case_id for due in batch}
        lane.cases |= cases
        try:
            begun = [(due, order) for due in batch if (order := self._begun(lane, due, found[due.key], touched)) is not None]
            await self._performing.perform_many(connector, begun)
        finally:
            lane.cases -= cases
            self._wake()

    def _begun(self, lane: Lane, due: Due, found: Evidence, touched: set[str]) -> Order | None:
        lines = lines_of(due.effect)
        if not touched.isdisjoint(lines):
            return None
        order = self._performing.begun(due, found)
        touched |= lines
        if order is not None:
            for others in lane.rounds:
                others.update(lines)
        return order


def in_turn(urgent: Sequence[EffectRow], oldest: Sequence[EffectRow], turn: int) -> list[EffectRow]:
    """All of both once: by urgency, but at every fifth turn the one that waits longest."""
    ahead, old = iter(urgent), iter(oldest)
    taken: dict[int, EffectRow] = {}

    def take(rows: Iterator[EffectRow]) -> bool:
        row = next((row for row in rows if row.id not in taken), None)
        if row is not None:
            taken[row.id] = row
        return row is not None

    while True:
        sources = (old, ahead) if (turn + len(taken)) % SHARE == SHARE - 1 else (ahead, old)
        if not any(take(rows) for rows in sources):
            return list(taken.values())


def _by_case(dues: Sequence[Due]) -> list[list[Due]]:
    """Together what is of one case, in the order of the first of each."""
    first: dict[int, int] = {}
    for number, due in enumerate(dues):
        first.setdefault(due.case_id, number)
    ordered = sorted(dues, key=lambda due: first[due.case_id])
    return [list(mine) for _, mine in groupby(ordered, key=lambda due: due.case_id)]
