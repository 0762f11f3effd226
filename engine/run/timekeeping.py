"""What a person and the status page are told when the machine's clock is set, or an older copy of the store was put in place."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog

from engine.language.durations import show_duration
from engine.language.ruleset import RuleSet
from engine.run.clock import Clock, ClockStep
from engine.store.base import Store
from engine.store.rows import ExceptionEntry

STEPPED = "clock_stepped"
STEADY_AFTER = timedelta(days=1)  # without another step the exception closes
SHORTEST_HOLD = timedelta(minutes=20)  # where the rule set knows of no quiet period


class Timekeeping:
    """Looks at the clock of a running service."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._told: ClockStep | None = None
        self._open = any(row.entry.rule == STEPPED for row in store.exceptions.of_client())
        self._holding = store.safekeeping.restored_at() is not None
        self._log = structlog.get_logger("instep.clock")

    def look(self) -> None:
        """Raises, or closes, what there is to say about the clock."""
        now = self._clock()
        steps = self._clock.steps
        if steps and steps[-1] is not self._told:
            self._told = steps[-1]
            self._log.warning(STEPPED, by=_signed(self._told.by), ahead=show_duration(self._clock.ahead))
            self._store.exceptions.close_one(None, STEPPED, now, "it was set again")
            self._store.exceptions.raise_one(None, _entry(self._told))
            self._open = True
        elif self._open and not self._clock.ahead:
            since = [row.entry.opened_at for row in self._store.exceptions.of_client() if row.entry.rule == STEPPED]
            if not since or now - max(since) >= STEADY_AFTER:
                self._store.exceptions.close_one(None, STEPPED, now, "the clock has been steady for a day")
                self._open = False

    def holds(self, rule_set: RuleSet) -> bool:
        """Whether nothing may be sent yet, because the store was restored: whatever was sent after its copy was made must first
        have had the time to show in look-ups.
        """
        if not self._holding:
            return False
        if self._clock.elapsed() < hold(rule_set):
            return True
        self._store.safekeeping.restore_over(self._clock())
        self._holding = False
        self._log.info("sending_again", why="what was sent before the store was restored shows in look-ups by now")
        return False

    def held_until(self, rule_set: RuleSet) -> datetime | None:
        """When something may be sent again; None where it may now."""
        left = self._hold_left(rule_set)
        return None if left is None else self._clock() + left

    def _hold_left(self, rule_set: RuleSet) -> timedelta | None:
        return max(hold(rule_set) - self._clock.elapsed(), timedelta()) if self._holding else None

    def status(self, rule_set: RuleSet) -> dict[str, Any]:
        """For the status page: how far ahead of the machine's clock the service is, its latest steps, and what is held."""
        left = self._hold_left(rule_set)
        return {
            "ahead_seconds": round(self._clock.ahead.total_seconds()),
            "stepped": [{"at": step.at.isoformat(), "seconds": round(step.by.total_seconds())} for step in self._clock.steps],
            "nothing_sent_for_seconds": None if left is None else round(left.total_seconds()),
        }


def hold(rule_set: RuleSet) -> timedelta:
    """How long a restored store sends nothing: the longest any evidence may take to show."""
    return max((spec.quiet for spec in rule_set.actions.values() if spec.quiet is not None), default=SHORTEST_HOLD)


def _signed(by: timedelta) -> str:
    return f"{'-' if by < timedelta() else '+'}{show_duration(abs(by) - timedelta(microseconds=abs(by).microseconds))}"


def _entry(step: ClockStep) -> ExceptionEntry:
    back = step.by < timedelta()
    by = _signed(step.by)[1:]
    went = "went back by" if back else "went forward by"
    then = (
        "the service goes on by its own time, at half speed, until the clock has caught up"
        if back
        else "what fell due meanwhile is done now; what was sent and not answered is still waited for as long as it must be"
    )
    return ExceptionEntry(
        key=STEPPED,
        rule=STEPPED,
        item="",
        about="",
        owner="operations",
        severity="high",
        title=f"This machine's clock {went} {by}{'' if back else ', or the machine was asleep'}: {then}",
        runbook="See that the machine keeps its time by NTP. If the clock was wrong, deadlines and batches near that time were"
        " met early or late: look at what was sent since. This closes once the clock has been steady for a day.",
        answers="{}",
        state="open",
        opened_at=step.at,
    )
