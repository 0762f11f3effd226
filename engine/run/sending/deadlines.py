"""Looks ahead: deadlines that cannot be met are in the status before they are missed, and somebody is told of them once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from engine.facts.outside import Connector
from engine.language.client import SIDE_BY_SIDE
from engine.run.clock import Clock
from engine.run.limits.budget import Budget
from engine.run.sending.foreseen import SAID, Standing, Unmet, foreseen
from engine.run.sending.performing import Performing
from engine.run.sending.reach import Reach
from engine.store.base import Store
from engine.store.queue import Ahead
from engine.store.rows import ExceptionEntry

RULE = "deadlines_unmet"
EVERY = timedelta(minutes=1)
HORIZON = timedelta(hours=24)
MOST = 2000  # of one connector; where more is ahead, the nearest are looked at
NAMED = 3  # cases


class Deadlines:
    """Looked at every minute while anything is done; what was found last is the status."""

    def __init__(
        self,
        store: Store,
        connectors: Mapping[str, Connector],
        clock: Clock,
        *,
        budget: Budget,
        reach: Reach,
        performing: Performing,
        side_by_side: Mapping[str, int],
    ) -> None:
        self._store = store
        self._connectors = connectors
        self._clock = clock
        self._budget = budget
        self._reach = reach
        self._performing = performing
        self._side_by_side = side_by_side
        self._ahead = 0
        self._unmet: dict[str, tuple[Unmet, ...]] = {}
        self._told: Mapping[str, Sequence[str]] = {}
        self.next_at: datetime | None = None

    def look(self) -> None:
        """Anew, if the last look is a minute old."""
        now = self._clock()
        if self.next_at is not None and now < self.next_at:
            return
        self.next_at = now + EVERY
        self._ahead = 0
        self._unmet = {}
        for role, connector in self._connectors.items():
            ahead = self._store.queue.ahead(role, now, now + HORIZON, MOST)
            self._ahead += len(ahead)
            found = foreseen(ahead, self._standing(role, connector, ahead, now), now) if ahead else ()
            if found:
                self._unmet[connector.name] = found
        self._tell(now)

    def status(self) -> dict[str, Any]:
        """How many effects have a deadline within a day, and for each connector and reason those that cannot keep it."""
        unmet = [
            {
                "connector": connector,
                "why": one.why,
                "said": SAID[one.why],
                "count": len(one.effects),
                "first": one.first.isoformat(),
                "cases": [each.case for each in one.effects[:NAMED]],
            }
            for connector, found in sorted(self._unmet.items())
            for one in found
        ]
        return {"ahead": self._ahead, "within_hours": HORIZON // timedelta(hours=1), "unmet": unmet}

    def _standing(self, role: str, connector: Connector, ahead: Sequence[Ahead], now: datetime) -> Standing:
        forecast = self._budget.forecast(connector)
        return Standing(
            down=self._reach.opened(connector.name),
            resting=self._reach.rests(connector.name),
            budget=forecast.instants([one.action for one in ahead], now + HORIZON),
            pace=self._performing.pace(connector.name),
            side_by_side=self._side_by_side.get(role, SIDE_BY_SIDE),
        )

    def _tell(self, now: datetime) -> None:
        """One exception for each connector, whatever the reasons; its title tells those that came last."""
        reasons = {_key(name): tuple(one.why for one in found) for name, found in self._unmet.items()}
        known = {row.entry.key for row in self._store.exceptions.of_client() if row.entry.rule == RULE}
        if reasons.keys() == known and reasons == self._told:
            return
        with self._store.transaction():
            for name, found in self._unmet.items():
                if _key(name) not in known or reasons[_key(name)] != self._told.get(_key(name)):
                    self._store.exceptions.raise_one(None, _entry(name, found, now))
            for key in known - reasons.keys():
                self._store.exceptions.close_one(None, key, now, "no deadline ahead is in danger any more")
        self._told = reasons


def _key(connector: str) -> str:
    return f"{RULE}:{connector}"


def _entry(connector: str, found: Sequence[Unmet], now: datetime) -> ExceptionEntry:
    effects = sorted((each for one in found for each in one.effects), key=lambda each: (each.deadline, each.case))
    count = len(effects)
    named = ", ".join(dict.fromkeys(each.case for each in effects[:NAMED])) + (" and others" if count > NAMED else "")
    return ExceptionEntry(
        key=_key(connector),
        rule=RULE,
        item="",
        about=connector,
        owner="operations",
        severity="critical",
        title=(
            f"{count} {'effect' if count == 1 else 'effects'} for {connector} will not be out in time, the first due by"
            f" {effects[0].deadline:%Y-%m-%d %H:%M}Z ({named}): {'; '.join(SAID[one.why] for one in found)}"
        ),
        runbook=(
            "What is most urgent is sent first whatever happens. The status page counts what cannot be met; `instep effects`"
            " shows what waits. Do by hand in the system's back office what cannot wait (it is seen and not sent again), ask"
            " the operator for more time, or for more calls. This closes by itself once the deadlines ahead can be met."
        ),
        answers="{}",
        state="open",
        opened_at=now,
    )
