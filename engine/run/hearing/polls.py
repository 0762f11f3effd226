"""Polling: each feed as often as the outside allows, from a cursor that is stored with what it brought."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from engine.facts.budget import OverBudget
from engine.facts.outside import Connector, Feed, Page, TryLater
from engine.run.clock import Clock
from engine.run.lanes import Lanes
from engine.run.limits.budget import Budget
from engine.run.logs import where
from engine.store.base import Store
from engine.store.rows import ExceptionEntry, FeedRow

LONGEST_WAIT = timedelta(hours=1)
TOLD_AFTER = 5  # failures in a row
WAITS = "waits: "  # how the fault of a feed begins that only waits for the budget


class Polls:
    """Polls feeds that are due. What a page brings is journalled in one commit with its cursor."""

    def __init__(
        self,
        store: Store,
        connectors: Mapping[str, Connector],
        clock: Clock,
        budget: Budget,
        take_in: Callable[[], Awaitable[object]],
    ) -> None:
        self._store = store
        self._connectors = connectors
        self._clock = clock
        self._budget = budget
        self._take_in = take_in
        self._log = structlog.get_logger("instep.poll")

    def start_due(self, lanes: Lanes) -> bool:
        """Starts polling what is due. Connectors are polled side by side, the feeds of one after another: one that hangs holds
        up no other. True if anything was due.
        """
        now = self._clock()
        due = [(connector, feeds) for connector in self._idle(lanes) if (feeds := self._due(connector, now))]
        for connector, feeds in due:
            lanes.start(_lane(connector), self._poll_all(connector, feeds))
        return bool(due)

    def _due(self, connector: Connector, now: datetime) -> list[Feed]:
        """Those that waited for the budget first: feeds that share a limit take turns, none keeps another from it for ever."""
        rows = [(self._row(connector, feed, now), feed) for feed in connector.feeds.values()]
        due = [(not waits_for(row), row.next_at, feed) for row, feed in rows if row.next_at <= now]
        return [feed for _, _, feed in sorted(due, key=lambda each: each[:2])]

    def next_at(self, lanes: Lanes) -> datetime | None:
        """When the next feed is due of a connector that is not being polled."""
        now = self._clock()
        rows = [self._row(connector, feed, now) for connector in self._idle(lanes) for feed in connector.feeds.values()]
        return min((row.next_at for row in rows), default=None)

    def _idle(self, lanes: Lanes) -> list[Connector]:
        return [connector for connector in self._connectors.values() if not lanes.busy(_lane(connector))]

    def _row(self, connector: Connector, feed: Feed, now: datetime) -> FeedRow:
        """One that was never polled is due."""
        return self._store.rounds.feed(connector.name, feed.name) or FeedRow(connector.name, feed.name, "", now)

    async def _poll_all(self, connector: Connector, feeds: list[Feed]) -> None:
        for feed in feeds:
            await self._poll(connector, feed)

    async def _poll(self, connector: Connector, feed: Feed) -> None:
        started = self._clock()
        row = self._row(connector, feed, started)
        try:
            with self._budget.spending(connector, "poll"):
                async for page in connector.observe(feed.name, row.cursor):
                    row = replace(row, cursor=page.cursor)
                    self._keep(page, row)
                    await self._take_in()
        except OverBudget as no:
            self._wait_for_budget(row, no)
        except TryLater as no:
            self._failed(row, feed, no.reason, no.after)
        except Exception as fault:
            self._log.error("poll_failed", connector=connector.name, feed=feed.name, **where(fault))
            self._failed(row, feed, f"{type(fault).__name__}: {fault}", None)
        else:
            self._store.rounds.save_feed(replace(row, next_at=started + feed.every, failures=0, fault=""))
            if row.failures >= TOLD_AFTER:
                self._store.exceptions.close_one(None, _key(row), self._clock(), "it works again")

    def _keep(self, page: Page, row: FeedRow) -> None:
        now = self._clock()
        with self._store.transaction():
            self._store.journal.append(page.events, now)
            for hint in page.hints:
                self._store.rounds.ask(hint.connector, hint.ref, now, "hint")
            self._store.rounds.save_feed(row)

    def _wait_for_budget(self, row: FeedRow, no: OverBudget) -> None:
        """Nothing is wrong with the outside. What came is kept, and it goes on from there when the budget allows."""
        again = self._clock() + max(no.after, timedelta(seconds=1))
        self._log.debug("poll_waits", connector=row.connector, feed=row.feed, why=no.reason, until=again.isoformat())
        self._store.rounds.save_feed(replace(row, next_at=again, fault=f"{WAITS}{no.reason}"))

    def _failed(self, row: FeedRow, feed: Feed, fault: str, wish: timedelta | None) -> None:
        """Tried again soon, then less often. The status page shows feeds that fail."""
        wait = wish or min(timedelta(seconds=30) * (1 << min(row.failures, 10)), max(feed.every, LONGEST_WAIT))
        again = self._clock() + max(wait, timedelta(seconds=1))
        self._log.warning("poll_put_off", connector=row.connector, feed=row.feed, fault=fault, until=again.isoformat())
        failed = replace(row, next_at=again, failures=row.failures + 1, fault=fault)
        self._store.rounds.save_feed(failed)
        if failed.failures == TOLD_AFTER:
            self._store.exceptions.raise_one(None, _failing(failed, self._clock()))


def waits_for(row: FeedRow) -> str:
    """What of the budget a feed waits for; "" where it does not."""
    return row.fault.removeprefix(WAITS) if row.fault.startswith(WAITS) else ""


def _lane(connector: Connector) -> str:
    return f"poll {connector.name}"


def _key(row: FeedRow) -> str:
    return f"poll_failing:{row.connector}.{row.feed}"


def _failing(row: FeedRow, now: datetime) -> ExceptionEntry:
    return ExceptionEntry(
        key=_key(row),
        rule="poll_failing",
        item="",
        about=f"{row.connector}.{row.feed}",
        owner="operations",
        severity="high",
        title=f"{row.connector} has not answered the poll of {row.feed} {row.failures} times: {row.fault}",
        runbook="Decisions are made on what was known before. Check whether the system is up and takes our key.",
        answers="{}",
        state="open",
        opened_at=now,
    )
