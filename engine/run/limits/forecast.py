"""When effects can be sent within the limits, if nothing else is: pure, from what has been spent."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.facts.budget import Limit
from engine.run.limits.ledger import Ledger, sized, used_of


@dataclass(slots=True)
class _Window:
    limit: Limit
    out: deque[tuple[datetime, int]]
    total: int

    def fits(self, units: int, now: datetime) -> datetime:
        """From when on they fit."""
        over = self.total + min(units, self.limit.units) - self.limit.units
        for at, n in self.out:
            if over <= 0:
                break
            over, now = over - n, max(now, at + self.limit.per)
        return now

    def spend(self, units: int, now: datetime) -> None:
        """`now` never goes back from one call to the next."""
        while self.out and self.out[0][0] + self.limit.per <= now:
            self.total -= self.out.popleft()[1]
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
    ledger: Ledger, costs: Sequence[Mapping[str, int]], now: datetime, until: datetime | None = None
) -> tuple[datetime | None, ...]:
    """When each of these effects can be sent, given what each takes by operation; None where not by `until`. They stand in the
    order of urgency: whatever fits first goes first, and of two that fit at once the more urgent. Those that take the same keep
    their order.
    """
    states = [_state(ledger, limit, now) for limit in ledger.limits]
    alike: dict[tuple[tuple[str, int], ...], deque[int]] = {}
    for place, cost in enumerate(costs):
        alike.setdefault(tuple(sorted(cost.items())), deque()).append(place)
    waiting = [_Waiting(dict(cost), places, states, ledger) for cost, places in alike.items()]
    found: list[datetime | None] = [None] * len(costs)
    at = now
    while waiting:
        at, place, first = min(((one.fits(at), one.places[0], one) for one in waiting), key=lambda each: each[:2])
        if until is not None and at > until:
            break
        for state, units in first.takes:
            state.spend(units, at)
        found[place] = at
        first.places.popleft()
        if not first.places:
            waiting.remove(first)
    return tuple(found)


class _Waiting:
    """Effects that take the same of the same limits, the most urgent first."""

    def __init__(self, cost: Mapping[str, int], places: deque[int], states: Sequence[_Window | _Bucket], ledger: Ledger) -> None:
        self.places = places
        self.takes = [(state, units) for state in states if (units := _units(state.limit, cost))]
        self._rests = [rest for name, rest in ledger.rests.items() if name == "" or name in cost]

    def fits(self, now: datetime) -> datetime:
        now = max([now, *self._rests])
        return max((state.fits(units, now) for state, units in self.takes), default=now)


def _state(ledger: Ledger, limit: Limit, now: datetime) -> _Window | _Bucket:
    if limit.refills:
        level = ledger.levels.get(limit.operation)
        return _Bucket(sized(limit, level), 0.0 if level is None else used_of(limit, level, now), now)
    out = deque(ledger.lasting(limit, now))
    return _Window(limit, out, sum(units for _, units in out))


def _units(limit: Limit, cost: Mapping[str, int]) -> int:
    return sum(units for operation, units in cost.items() if limit.covers(operation))
