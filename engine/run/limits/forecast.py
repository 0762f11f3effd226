"""When effects can be sent within the limits, if nothing else is: pure, from what has been spent."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from engine.facts.budget import Limit
from engine.run.limits.ledger import Ledger, sized, used_of

MOST_INSTANTS = 10_000


@dataclass(slots=True)
class _Window:
    limit: Limit
    out: deque[tuple[datetime, int]]
    total: int

    def fits(self, units: int, now: datetime) -> datetime:
        """From when on they fit; `now` never goes back from one call to the next."""
        while self.out and self.out[0][0] + self.limit.per <= now:
            self.total -= self.out.popleft()[1]
        over = self.total + min(units, self.limit.units) - self.limit.units
        for at, n in self.out:
            if over <= 0:
                break
            over, now = over - n, at + self.limit.per
        return now

    def spend(self, units: int, now: datetime) -> None:
        self.out.append((now, units))
        self.total += units


@dataclass(slots=True)
class _Bucket:
    limit: Limit
    used: float
    at: datetime

    def fits(self, units: int, now: datetime) -> datetime:
        over = self._used(now) + min(units, self.limit.units) - self.limit.units
        return now if over <= 0 else now + self.limit.per * over / self.limit.units

    def spend(self, units: int, now: datetime) -> None:
        self.used, self.at = self._used(now) + units, now

    def _used(self, now: datetime) -> float:
        return max(0.0, self.used - (now - self.at) / self.limit.per * self.limit.units)


def instants(
    ledger: Ledger, cost: Mapping[str, int], count: int, now: datetime, until: datetime | None = None
) -> tuple[datetime, ...]:
    """When the first, second ... of `count` effects can be sent, where each takes these units by operation. Ends with the last
    one that can be sent by `until`; at most `MOST_INSTANTS` are told.
    """
    states = [(_state(ledger, limit, now), _units(limit, cost)) for limit in ledger.limits]
    states = [(state, units) for state, units in states if units]
    at = max([now, *(rest for name, rest in ledger.rests.items() if name == "" or name in cost)])
    found: list[datetime] = []
    for _ in range(min(count, MOST_INSTANTS)):
        at = max((state.fits(units, at) for state, units in states), default=at)
        if until is not None and at > until:
            break
        for state, units in states:
            state.spend(units, at)
        found.append(at)
    return tuple(found)


def _state(ledger: Ledger, limit: Limit, now: datetime) -> _Window | _Bucket:
    if limit.refills:
        level = ledger.levels.get(limit.operation)
        return _Bucket(sized(limit, level), 0.0 if level is None else used_of(limit, level, now), now)
    out = deque(ledger.lasting(limit, now))
    return _Window(limit, out, sum(units for _, units in out))


def _units(limit: Limit, cost: Mapping[str, int]) -> int:
    return sum(units for operation, units in cost.items() if limit.covers(operation))
