"""When to leave a system alone that does not answer, and when to try it again. A pure state machine.

closed: everything goes. After `FAILURES` in a row, of at least `DISTINCT` different things, it opens: nothing goes until the
trial is due. Then one thing goes: if that works, the breaker closes; if not, the next trial is due later, up to
`LONGEST_TRIAL`. One thing that fails again and again says nothing about the system, and opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

FAILURES = 5
DISTINCT = 3
FIRST_TRIAL = timedelta(seconds=30)
LONGEST_TRIAL = timedelta(minutes=5)  # the longest a deadline waits for a system that answers again

Leave = Literal["all", "one", "none"]


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failing` are the things whose last attempts failed in a row, `opened_at` is None while it is closed."""

    failures: int = 0
    failing: frozenset[str] = frozenset()
    opened_at: datetime | None = None
    trial_at: datetime | None = None
    trials: int = 0
    fault: str = ""

    def leave(self, now: datetime) -> Leave:
        """What may go now."""
        if self.trial_at is None:
            return "all"
        return "one" if now >= self.trial_at else "none"

    def failed(self, things: frozenset[str], fault: str, now: datetime) -> Breaker:
        """An attempt for these did not come through."""
        failures = self.failures + 1
        if self.opened_at is not None:
            if self.trial_at is not None and now < self.trial_at:  # it was under way when the breaker opened
                return replace(self, failures=failures, fault=fault)
            trials = self.trials + 1
            wait = min(FIRST_TRIAL * (1 << min(trials, 10)), LONGEST_TRIAL)
            return replace(self, failures=failures, trials=trials, trial_at=now + wait, fault=fault)
        failing = (self.failing | things) if len(self.failing) < DISTINCT else self.failing
        counted = replace(self, failures=failures, failing=failing, fault=fault)
        if failures < FAILURES or len(failing) < DISTINCT:
            return counted
        return replace(counted, opened_at=now, trial_at=now + FIRST_TRIAL)

    def worked(self) -> Breaker:
        """An attempt came through: the system answers."""
        return CLOSED


CLOSED = Breaker()


def half_open(opened_at: datetime, now: datetime) -> Breaker:
    """One that is known to have been open, after a restart: one thing goes, and tells."""
    return Breaker(FAILURES, opened_at=opened_at, trial_at=now)
