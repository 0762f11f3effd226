"""What a sandbox lets in, where it keeps the limits of the system it stands for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from engine.facts.budget import Limit
from engine.facts.outside import Clock


class Admission:
    """Counts every request by operation, and says how long to wait where a limit is met. `refused` counts those turned away.

    Without limits everything is let in. Requests turned away are not counted against a limit.
    """

    def __init__(self, clock: Clock, limits: Iterable[Limit] = ()) -> None:
        self.limits = tuple(limits)
        self.refused = 0
        self._clock = clock
        self._let_in: dict[Limit, deque[tuple[datetime, int]]] = {}

    def wait(self, operation: str, units: int = 1) -> timedelta | None:
        """None where it is let in."""
        now = self._clock()
        kept = [limit for limit in self.limits if limit.covers(operation)]
        waits = [self._until(limit, units, now) - now for limit in kept]
        if any(wait > timedelta(0) for wait in waits):
            self.refused += 1
            return max(waits)
        for limit in kept:
            self._let_in[limit].append((now, units))
        return None

    def _until(self, limit: Limit, units: int, now: datetime) -> datetime:
        let_in = self._let_in.setdefault(limit, deque())
        while let_in and let_in[0][0] <= now - limit.per:
            let_in.popleft()
        over = sum(n for _, n in let_in) + units - limit.units
        for at, n in let_in:
            if over <= 0:
                break
            over, now = over - n, at + limit.per
        return now
