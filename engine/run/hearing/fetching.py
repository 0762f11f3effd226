"""What is to be fetched, from whom: hints, links to records that have not come, and what we changed ourselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from engine.facts.budget import OverBudget
from engine.facts.outside import Connector, Ref, TryLater
from engine.run.clock import Clock
from engine.run.lanes import Lanes
from engine.run.limits.budget import Budget
from engine.run.logs import where
from engine.store.base import Store
from engine.store.rows import FetchRow, Node

LINK = "link"
AT_ONCE = 100
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
LINK_ATTEMPTS = 10  # about two days: an order that has not come by then has another reason


class Asking:
    """Turns a record that is wanted into what its connectors can fetch. `sources` names, per kind of record, the kinds of
    events it is mapped from.
    """

    def __init__(self, store: Store, clock: Clock, connectors: Mapping[str, Connector]) -> None:
        self._store = store
        self._clock = clock
        self._names = {connector.name for connector in connectors.values()}
        self.sources: Mapping[str, Sequence[str]] = {}

    def refs(self, node: Node) -> list[tuple[str, Ref]]:
        """Connector and reference of everything that can bring this record."""
        found = [(kind.partition(".")[0], Ref(kind, node[1])) for kind in self.sources.get(node[0], ())]
        return [(connector, ref) for connector, ref in found if connector in self._names]

    def for_stubs(self, nodes: Iterable[Node]) -> None:
        """Fetched once, then by back-off."""
        for node in nodes:
            for connector, ref in self.refs(node):
                self._store.rounds.ask_once(connector, ref, self._clock(), LINK)

    def again(self, node: Node, connector: str) -> None:
        """Read anew from this connector, now."""
        for name, ref in self.refs(node):
            if name == connector:
                self._store.rounds.ask(name, ref, self._clock(), "changed by us")


class Fetcher:
    """Fetches what is due. What is over the budget stays due, and nothing of its kind is asked for until the budget allows."""

    def __init__(self, store: Store, connectors: Mapping[str, Connector], clock: Clock, budget: Budget) -> None:
        self._store = store
        self._by_name = {connector.name: connector for connector in connectors.values()}
        self._clock = clock
        self._budget = budget
        self._waits: dict[str, datetime] = {}
        self._log = structlog.get_logger("instep.fetch")

    def start_due(self, lanes: Lanes) -> bool:
        """Starts fetching what is due and the budget allows, for each connector by itself. True if anything was."""
        now = self._clock()
        self._waits = {name: until for name, until in self._waits.items() if until > now}
        busy = [name for name in self._by_name if lanes.busy(_lane(name))]
        due: dict[str, list[FetchRow]] = {}
        for row in self._store.rounds.fetches_due(now, AT_ONCE, but=busy, but_kinds=self._waits):
            due.setdefault(row.connector, []).append(row)
        for name, rows in due.items():
            lanes.start(_lane(name), self._fetch_all(rows, lanes))
        return bool(due)

    async def _fetch_all(self, rows: Sequence[FetchRow], lanes: Lanes) -> None:
        for row in rows:
            if lanes.stopping():
                return
            if row.ref.kind not in self._waits:
                await self._fetch(row)

    def next_at(self) -> datetime | None:
        """When something is due next, or may be asked for again."""
        now = self._clock()
        later = [self._store.rounds.next_fetch(now)]
        later += [until for until in self._waits.values() if until > now]
        return min((at for at in later if at is not None), default=None)

    async def _fetch(self, row: FetchRow) -> None:
        connector = self._by_name.get(row.connector)
        if connector is None:
            self._store.rounds.fetch_later(row.id, None, f"no connector {row.connector}")
            return
        now = self._clock()
        try:
            with self._budget.spending(connector, "fetch"):
                events = await connector.fetch(row.ref)
        except OverBudget as no:
            self._waits[row.ref.kind] = self._clock() + max(no.after, timedelta(seconds=1))
            self._log.info("fetches_wait", kind=row.ref.kind, why=no.reason)
            return
        except TryLater as no:
            wait = no.after or _wait(row.attempts)
            self._store.rounds.fetch_later(row.id, now + max(wait, timedelta(seconds=1)), no.reason)
            return
        except Exception as fault:
            self._log.error("fetch_failed", connector=row.connector, kind=row.ref.kind, **where(fault))
            self._give_back(row, f"{type(fault).__name__}: {fault}")
            return
        if not events:
            self._give_back(row, "not there")
            return
        with self._store.transaction():
            self._store.journal.append(events, self._clock())
            self._store.rounds.fetched(row)

    def _give_back(self, row: FetchRow, fault: str) -> None:
        """A link may lead to what comes later, so it is tried again for a while; anything else that is gone is gone."""
        again = row.reason == LINK or fault != "not there"
        due = self._clock() + _wait(row.attempts) if again and row.attempts + 1 < LINK_ATTEMPTS else None
        self._store.rounds.fetch_later(row.id, due, fault)


def _lane(name: str) -> str:
    return f"fetch {name}"


def _wait(attempts: int) -> timedelta:
    return min(FIRST_WAIT * (1 << min(attempts, 10)), LONGEST_WAIT)
