"""Which outside systems can be reached now, for asking and for sending apart: a breaker for each connector, which opens when it
does not answer, and a pause for each action, of which the outside wants less or its budget allows no more.

Where sending fails but asking works, what may have been sent is still looked for.

A restart forgets nothing that the outside asked for, nor that a person was told of a system that is down: that breaker begins
half open, so that one call finds out and not several effects lose an attempt to it. Failures that had not come to that are
forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog

from engine.facts.budget import OverBudget
from engine.facts.outside import TryLater
from engine.run.clock import Clock
from engine.run.sending.breaker import CLOSED, Breaker, Leave, half_open
from engine.run.waits import backed_off
from engine.store.base import Store
from engine.store.budgets import MarkRow
from engine.store.rows import ExceptionEntry

Way = Literal["look_up", "perform"]
WAYS: tuple[Way, ...] = ("look_up", "perform")
RULE = "connector_down"
PAUSE = "pause"
SHORTEST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(hours=1)  # where it says longer, it is tried once an hour
SAID = {"look_up": "does not answer our look-ups", "perform": "takes nothing we send"}


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing goes until then. `asked` counts how often in a row; `wished` is whether the outside named the time."""

    until: datetime
    asked: int
    why: str
    wished: bool = False


class Reach:
    """Asked before anything goes out, told of how everything went. `connectors` are the names of those there are."""

    def __init__(self, store: Store, clock: Clock, connectors: Iterable[str] = ()) -> None:
        self._store = store
        self._clock = clock
        down = {row.entry.key: row.entry for row in store.exceptions.of_client() if row.entry.rule == RULE}
        self._told = set(down)  # keys of exceptions that are open
        self._breakers: dict[tuple[str, Way], Breaker] = {
            (name, way): half_open(down[_key(name, way)].opened_at, clock())
            for name in connectors
            for way in WAYS
            if _key(name, way) in down
        }
        self._pauses = {key: pause for name in connectors for key, pause in _kept(store, name, clock())}
        self._log = structlog.get_logger("instep.reach")

    def leave(self, connector: str, way: Way) -> Leave:
        """How much may go to a connector now."""
        return self._breakers.get((connector, way), CLOSED).leave(self._clock())

    def resting(self, connector: str, way: Way) -> frozenset[str]:
        """Actions of which nothing goes now."""
        now = self._clock()
        return frozenset(
            action for (name, one, action), p in self._pauses.items() if (name, one) == (connector, way) and now < p.until
        )

    def rests(self, connector: str) -> Mapping[str, datetime]:
        """Until when each action rests that does, in whatever way."""
        now = self._clock()
        found: dict[str, datetime] = {}
        for (name, _, action), pause in self._pauses.items():
            if name == connector and pause.until > now:
                found[action] = max(pause.until, found.get(action, now))
        return found

    def opened(self, connector: str) -> bool:
        """Whether a breaker is open: it does not answer, or takes nothing."""
        return any(self._breakers.get((connector, way), CLOSED).opened_at is not None for way in WAYS)

    def resumes_at(self, connector: str) -> datetime | None:
        """When something may go again to a connector that is left alone now, in whatever way."""
        now = self._clock()
        pauses = (pause.until for (name, *_), pause in self._pauses.items() if name == connector)
        trials = (self._breakers.get((connector, way), CLOSED).trial_at for way in WAYS)
        return min((at for at in (*pauses, *trials) if at is not None and at > now), default=None)

    def worked(self, connector: str, way: Way, actions: Iterable[str]) -> None:
        """The outside answered, whatever it said."""
        for action in actions:
            pause = self._pauses.pop((connector, way, action), None)
            if pause is not None and pause.wished and pause.until > self._clock():
                self._keep(connector, way, action, self._clock())
        before = self._breakers.pop((connector, way), CLOSED)
        key = _key(connector, way)
        if key in self._told:
            self._told.discard(key)
            self._log.info("answers_again", connector=connector, way=way, failures=before.failures)
            self._store.exceptions.close_one(None, key, self._clock(), "it works again")

    def failed(self, connector: str, way: Way, keys: Iterable[str], fault: str) -> None:
        """No answer, or one that says nothing."""
        before = self._breakers.get((connector, way), CLOSED)
        after = before.failed(frozenset(keys), fault, self._clock())
        self._breakers[connector, way] = after
        if before.opened_at is None and after.opened_at is not None:
            self._log.warning("left_alone", connector=connector, way=way, failures=after.failures, fault=fault)
            self._store.exceptions.raise_one(None, _down(connector, way, after, self._clock()))
            self._told.add(_key(connector, way))

    def put_off(self, connector: str, way: Way, action: str, no: TryLater) -> None:
        """The outside wants fewer of these calls, or the budget allows no more: none is made before the wait is over."""
        before = self._pauses.get((connector, way, action))
        asked = before.asked + 1 if before is not None else 1
        if isinstance(no, OverBudget):  # it knows when, and keeps that place for who asks then
            wait = no.after
        else:
            wait = max(no.after or timedelta(0), backed_off(f"{connector}.{way}.{action}", asked - 1))
        wait = min(max(wait, SHORTEST_PAUSE), LONGEST_PAUSE)
        wished = no.after is not None and not isinstance(no, OverBudget)
        self._pauses[connector, way, action] = pause = Pause(self._clock() + wait, asked, no.reason, wished=wished)
        if wished:
            self._keep(connector, way, action, pause.until)
        say = self._log.debug if isinstance(no, OverBudget) else self._log.warning  # that is in the status, and no trouble
        say("paused", connector=connector, way=way, action=action, why=no.reason, seconds=wait.total_seconds())

    def _keep(self, connector: str, way: Way, action: str, until: datetime) -> None:
        self._store.budgets.mark(connector, MarkRow(PAUSE, f"{way} {action}", until))

    def down(self, connector: str, way: Way, action: str) -> bool:
        """Whether the trouble is the system's and not that of one effect: nothing is given up for it."""
        return (connector, way, action) in self._pauses or self._breakers.get((connector, way), CLOSED).opened_at is not None

    def status(self, connector: str) -> dict[str, Any]:
        """For a status page: of each way whether it is `open` or `closed`, since when and why, and which actions rest."""
        return {way: self._state(connector, way) for way in WAYS}

    def _state(self, connector: str, way: Way) -> dict[str, Any]:
        breaker = self._breakers.get((connector, way), CLOSED)
        told: dict[str, Any] = {"state": "closed" if breaker.opened_at is None else "open", "failures": breaker.failures}
        if breaker.opened_at is not None and breaker.trial_at is not None:
            told |= {"since": breaker.opened_at.isoformat(), "next_try": breaker.trial_at.isoformat(), "fault": breaker.fault}
        resting = [
            {"action": action, "until": pause.until.isoformat(), "why": pause.why}
            for (name, one, action), pause in sorted(self._pauses.items())
            if (name, one) == (connector, way) and pause.until > self._clock()
        ]
        return {**told, "resting": resting}


def _kept(store: Store, connector: str, now: datetime) -> Iterator[tuple[tuple[str, Way, str], Pause]]:
    """What the outside asked for before a restart, and is not over."""
    for mark in store.budgets.marks(connector):
        name, _, action = mark.operation.partition(" ")
        way = next((way for way in WAYS if way == name), None)
        if mark.kind == PAUSE and way is not None and mark.at > now:
            yield (connector, way, action), Pause(mark.at, 1, "it asked for that before the last start", wished=True)


def _key(connector: str, way: Way) -> str:
    return f"{RULE}:{connector}.{way}"


def _down(connector: str, way: Way, breaker: Breaker, now: datetime) -> ExceptionEntry:
    return ExceptionEntry(
        key=_key(connector, way),
        rule=RULE,
        item="",
        about=f"{connector}.{way}",
        owner="operations",
        severity="critical",
        title=f"{connector} {SAID[way]}: {breaker.failures} in a row failed, the last with: {breaker.fault}",
        runbook=(
            "What is due waits and loses no attempt; one try every few minutes finds out when it answers again, and this closes"
            " by itself. Check whether the system is up and takes our key. `instep effects` shows what waits: do by hand in its"
            " back office what cannot wait that long; it is seen and not sent again."
        ),
        answers="{}",
        state="open",
        opened_at=now,
    )
