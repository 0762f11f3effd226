"""The service of one client: everything that is due, done; then until when there is nothing to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from pydantic import SecretStr

from engine.facts.budget import Limit
from engine.facts.outside import Codes, Connector, Event, Hint
from engine.language.ruleset import RuleSet
from engine.run import audit
from engine.run.clock import Clock, VirtualClock
from engine.run.deciding.worker import Worker
from engine.run.hearing.catching_up import CatchUp
from engine.run.hearing.deeds import Deed, noted
from engine.run.hearing.fetching import Asking, Fetcher
from engine.run.hearing.intake import Intake, aside_of, case_of_deed, correction_of, must_be_seen
from engine.run.hearing.journalling import Written
from engine.run.hearing.polls import Polls, waits_for
from engine.run.lanes import Lanes
from engine.run.limits.budget import Budget, quota_of
from engine.run.sending.deadlines import Deadlines
from engine.run.sending.dispatch import Dispatch
from engine.run.sending.performing import Performing
from engine.run.sending.reach import Reach
from engine.run.sending.valid_codes import CodeWatch
from engine.run.timekeeping import Timekeeping
from engine.store.base import Store
from engine.store.trouble import StoreTrouble

GLANCE = timedelta(seconds=1)  # how often the store is looked at for what another process wrote
MOST_ROUNDS = 10_000  # a step that does not come to an end is a fault, not work
DUE_AT_ONCE = 50
REST = 2.0  # of the time worked, while deliveries wait
LONGEST_REST = 0.5  # seconds
CODES = "codes"


class Service:
    """Owns the store of one client while it lives. Drive it with `run` in real time, or with `step` and `play`.

    `limits` are the client's own, by role, for operations of which its connector says otherwise.
    """

    def __init__(
        self,
        store: Store,
        rule_set: RuleSet,
        connectors: Mapping[str, Connector],
        clock: Clock,
        *,
        zone: ZoneInfo | None = None,
        limits: Mapping[str, Sequence[Limit]] | None = None,
        side_by_side: Mapping[str, int] | None = None,
        files: Mapping[str, str] | None = None,
        before: RuleSet | None = None,
        by: str = "instep",
        why: str = "start",
        passed_over: str = "",
        settings: str = "",
        codes: LiveCodes | None = None,
        points: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.store = store
        self.connectors = connectors
        self.clock = clock
        if (last := store.safekeeping.last_now()) is not None:
            clock.resume(last)
        self._timekeeping = Timekeeping(store, clock)
        self.worker = Worker(store, clock, zone)
        self._asking = Asking(store, clock, connectors)
        self.intake = Intake(store, self.worker, clock, self._asking)
        quotas = {c.name: quota_of(c, (limits or {}).get(role, ())) for role, c in connectors.items()}
        self.budget = budget = Budget(store, clock, quotas)
        self._polls = Polls(store, connectors, clock, budget, self._take_in)
        self._code_watch = CodeWatch(store, connectors, clock, budget)
        self._fetcher = Fetcher(store, connectors, clock, budget)
        self._woken = asyncio.Event()
        self._lanes = Lanes(self._woken)
        self.reach = Reach(store, clock, [connector.name for connector in connectors.values()])
        self._performing = Performing(
            store, self.worker, self.intake, clock,
            budget=budget, asking=self._asking, reach=self.reach, points=points, give_way=self._give_way,
        )  # fmt: skip
        self._dispatch = Dispatch(
            store, self.worker, connectors, clock,
            performing=self._performing, reach=self.reach, side_by_side=side_by_side or {}, wake=self._woken.set,
        )  # fmt: skip
        self._deadlines = Deadlines(
            store, connectors, clock,
            budget=budget, reach=self.reach, performing=self._performing, side_by_side=side_by_side or {},
        )  # fmt: skip
        self._outside = (self._polls.start_due, self._fetcher.start_due, self._start_sending)
        self._catch_up = CatchUp(store, self.worker, self.intake, clock)
        self._active: RuleSet | None = None
        self._points = points
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: Callable[[], bool] = lambda: False
        self._rested = time.monotonic()
        self._busy = asyncio.Lock()
        self._log = structlog.get_logger("instep.service").bind(client=rule_set.client)
        self._codes = codes if codes is not None else LiveCodes()
        self.rules_status: Callable[[], dict[str, Any]] = dict
        self.candidate_status: Callable[[], dict[str, Any] | None] = lambda: None
        self.status_token: SecretStr | None = None  # who has it may see the status from anywhere; nobody else then
        self.activate(rule_set, files or {}, by=by, why=why, passed_over=passed_over, before=before)
        with store.transaction():
            audit.started(store, clock(), rule_set.hash, settings)
        self._performing.recover()

    @property
    def rule_set(self) -> RuleSet:
        return self.worker.rule_set

    def activate(
        self,
        rule_set: RuleSet,
        files: Mapping[str, str],
        *,
        by: str = "instep",
        why: str = "",
        passed_over: str = "",
        before: RuleSet | None = None,
        held_back: Sequence[str] = (),
    ) -> None:
        """Decides with this rule set from now on: it is journalled and swapped in. Where it means something else than the one
        before, every open case is looked at anew before anything more is done for it, and where payloads become other records,
        what was kept is mapped anew.

        `before` is the last active one where this process has not used it, `held_back` why the set waited until a person wanted
        it all the same. Raises ValueError for the store of another client.
        """
        last = self.store.rule_sets.current()
        if last is not None and last.client != rule_set.client:
            raise ValueError(f"this is the store of {last.client}, not of {rule_set.client}")
        before = self._active or before
        now = self.clock()
        changed = last is None or last.hash != rule_set.hash
        with self.store.transaction():
            rule_set_id = self.store.rule_sets.activate(rule_set, files, now, by, why, passed_over)
            if changed:
                audit.activated(self.store, now, rule_set.hash, by, why, last.hash if last else "", held_back)
            unfinished = self._active is None and last is not None and last.caught_up_at is None
            if changed or unfinished:
                self._catch_up.begin(rule_set_id, mapping=not changed or before is None or not maps_alike(before, rule_set))
            self._points("journalled")
        self._points("committed")
        self.worker.use(rule_set, rule_set_id)
        self._asking.sources = fetchable(rule_set)
        self._codes.use(rule_set.codes)
        self._active = rule_set
        self._points("swapped")
        if last is not None and changed:
            self._log.info("activated", rule_set=rule_set.hash, before=last.hash, by=by, why=why)
        self._woken.set()

    def hear(self, heard: Sequence[Event | Hint]) -> Written:
        """Writes down what was delivered; when this returns it can be acknowledged. The rest is done in the next step."""
        written = self.intake.journal(heard)
        self._woken.set()
        return written

    def wake(self) -> None:
        """Something was written down beside the service. May be called from any thread."""
        loop = self._loop
        if loop is None:
            self._woken.set()
        else:
            with suppress(RuntimeError):  # it has just ended; what was written is found at the next start
                loop.call_soon_threadsafe(self._woken.set)

    def deed(self, deed: Deed) -> None:
        """What a person decided. Raises NotPossible, saying what can be done instead."""
        now = self.clock()
        if deed.event_seq:
            aside_of(self.store, deed)
        elif deed.kind == "person.correct":
            must_be_seen(self.store, correction_of(self.rule_set, deed, now))
        else:
            row = self.store.cases.get(case_of_deed(self.store, deed))
            if row is not None:
                deed.done_to(self.worker.memory(row), now)
        noted(self.store, deed, now)
        self._woken.set()

    async def step(self) -> datetime | None:
        """Does all that is due until nothing is and nothing is under way, and answers when the next thing will be. Sends come
        before fetches and fetches before polls, as they do for every budget, so that the same story always goes the same way.
        """
        async with self._busy:
            for _ in range(MOST_ROUNDS):
                self._woken.clear()
                self._timekeeping.look()
                worked = await self._take_in()
                worked |= await self._timers()
                for start_due in reversed(self._outside):
                    worked |= start_due(self._lanes)
                    await self._lanes.finish()
                if not worked and not self._woken.is_set():
                    self._deadlines.look()
                    return self.next_due()
            raise RuntimeError(f"a step of {self.rule_set.client} does not come to an end")

    def next_due(self) -> datetime | None:
        """The next instant something is due, by itself."""
        now = self.clock()
        found = (
            self.store.cases.next_wake(now),
            self.store.outbox.next_due(now),
            self._fetcher.next_at(),
            self._polls.next_at(self._lanes),
            self._dispatch.resumes_at(),
            self._timekeeping.held_until(self.rule_set),
        )
        return min((instant for instant in found if instant is not None), default=None)

    async def run(self, stop: asyncio.Event) -> None:
        """Real time, until `stop`: whatever is due is begun at once, and nothing waits for what is under way with the outside.
        What has begun by then is finished.
        """
        self._loop = asyncio.get_running_loop()
        self._stopping = self._lanes.stopping = stop.is_set
        ending = asyncio.create_task(self._wake_on(stop))
        try:
            while not stop.is_set():
                self._woken.clear()
                self._lanes.check()
                self._timekeeping.look()
                if self._code_watch.wants(self.rule_set.codes) and not self._lanes.busy(CODES):
                    self._lanes.start(CODES, self._code_watch.look(self.rule_set.codes))
                worked = await self._take_in()
                worked |= await self._timers()
                for start_due in reversed(self._outside):  # effects have the first call on every budget
                    worked |= start_due(self._lanes)
                await self._give_way()
                self._deadlines.look()
                if not worked and self._lanes.under_way and not self.clock.passes:
                    await self._woken.wait()
                elif not worked:
                    await self._idle(_sooner(self.next_due(), self._deadlines.next_at), stop)
            await self._lanes.finish()
        finally:
            self._loop = None
            self._stopping = self._lanes.stopping = lambda: False
            self._lanes.stop()
            ending.cancel()
            with suppress(asyncio.CancelledError):
                await ending

    async def play(self, clock: VirtualClock, until: datetime) -> None:
        """Plays on to an instant, stopping at everything that falls due on the way."""
        while (due := await self.step()) is not None and due <= until:
            clock.move(max(due, clock()))
        clock.move(max(until, clock()))

    async def close(self) -> None:
        """Connections and store. An effect that is being sent becomes unsure at the next start."""
        for connector in self.connectors.values():
            await connector.close()
        with suppress(StoreTrouble):  # the trail then says that it was cut off, as it was
            audit.stopped(self.store, self.clock())
        self.store.close()

    def status(self) -> dict[str, Any]:
        """For a status page: nothing secret, no payloads."""
        return {
            "client": self.rule_set.client,
            "rule_set": self.rule_set.hash,
            "rules": self.rules_status(),
            "candidate": self.candidate_status(),
            "mode": self.rule_set.mode,
            "now": self.clock().isoformat(),
            "clock": self._timekeeping.status(self.rule_set),
            "behind": self.store.journal.behind(),
            "set_aside": self.store.asides.waiting(),
            "waiting_since": waiting.isoformat() if (waiting := self.store.journal.waiting_since()) else None,
            "counts": dict(self.store.counts()),
            "effects": self.store.outbox.by_status(),
            "exceptions": self.store.exceptions.by_severity(),
            "unsure": sum(row.entry.status == "unsure" for row in self.store.outbox.under_way()),
            "connectors": self._dispatch.status(),
            "deadlines": self._deadlines.status(),
            "failing": [
                {"connector": row.connector, "feed": row.feed, "failures": row.failures, "fault": row.fault}
                for row in self.store.rounds.feeds()
                if row.failures
            ],
            "waiting": [
                {"connector": row.connector, "feed": row.feed, "until": row.next_at.isoformat(), "why": waits_for(row)}
                for row in self.store.rounds.feeds()
                if waits_for(row)
            ],
            "budgets": self.budget.told(),
            "requests": self.budget.requests(),
        }

    async def _take_in(self) -> bool:
        """All that is known by now, before anything is done about it. Few at a time: others want to write, too."""
        worked, last = False, self.store.journal.last()
        while not self._stopping() and (self._catch_up.some() or self.intake.take_some(last)):
            worked = True
            await self._give_way()
        return worked

    def _start_sending(self, lanes: Lanes) -> bool:
        return not self._timekeeping.holds(self.rule_set) and self._dispatch.start_due(lanes)

    async def _give_way(self) -> None:
        """Others get their turn. While deliveries wait for their answers the engine rests twice as long as it worked: threads of
        one process run one at a time, and a sender waits seconds where a decision waits hours.
        """
        worked = time.monotonic() - self._rested
        await asyncio.sleep(min(REST * worked, LONGEST_REST) if self.intake.pressed() else 0)
        self._rested = time.monotonic()

    async def _timers(self) -> bool:
        due = self.store.cases.due(self.clock(), DUE_AT_ONCE)
        if due:
            with self.store.transaction():
                for n, case_id in enumerate(due):
                    if n and self.store.wanted_elsewhere:
                        break  # the rest is still due
                    self.worker.decide_all([case_id])
        return bool(due)

    async def _idle(self, due: datetime | None, stop: asyncio.Event) -> None:
        while not (stop.is_set() or self._woken.is_set() or (due is not None and self.clock() >= due)):
            glance = self.clock() + GLANCE
            await self.clock.wait(glance if due is None else min(due, glance), self._woken)
            self._rested = time.monotonic()
            if self.store.changed_elsewhere() and self.store.journal.behind():
                return

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()


def _sooner(*instants: datetime | None) -> datetime | None:
    return min((at for at in instants if at is not None), default=None)


class LiveCodes(Mapping[str, Mapping[str, str]]):
    """Outbound codes as the active rule set has them: connectors are given these once, and see every change."""

    def __init__(self) -> None:
        self._codes: Codes = {}

    def use(self, codes: Codes) -> None:
        self._codes = codes

    def __getitem__(self, name: str) -> Mapping[str, str]:
        return self._codes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._codes)

    def __len__(self) -> int:
        return len(self._codes)


def fetchable(rule_set: RuleSet) -> dict[str, list[str]]:
    """For each kind of record, the kinds of events that bring one when asked for by its key."""
    found: dict[str, list[str]] = {}
    for mappings in rule_set.mappings.values():
        for mapping in mappings:
            if not mapping.pushed and mapping.each is None:
                found.setdefault(mapping.kind, []).append(mapping.event)
    return {kind: sorted(set(events)) for kind, events in found.items()}


def maps_alike(one: RuleSet, other: RuleSet) -> bool:
    """Whether payloads become the same records with both."""
    return bool(one.mapping_hash) and one.mapping_hash == other.mapping_hash
