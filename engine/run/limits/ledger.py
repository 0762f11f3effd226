"""What has been spent of the limits of one connector, and when there is room again: pure, from what is handed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from types import MappingProxyType

from engine.facts.budget import Limit, Purpose

KEPT_BACK: Mapping[Purpose, float] = MappingProxyType({"perform": 0.0, "look_up": 0.0, "fetch": 0.1, "poll": 0.2})
RANK: Mapping[Purpose, int] = MappingProxyType({"perform": 0, "look_up": 0, "fetch": 1, "poll": 2})
CLAIM = timedelta(minutes=1)  # for so long what is more important has the first go at units that have come back
DAY = timedelta(days=1)
LONGEST_REST = timedelta(days=1)
SPREAD = 100  # limits of a day and of so many units or more are not used up by polls and fetches within a few hours


@dataclass(slots=True)
class Spent:
    """Units of one operation; they come back a whole period after `at`. `since` is when the first of them was spent."""

    operation: str
    purpose: Purpose
    since: datetime
    at: datetime
    units: int
    id: int = 0


@dataclass(slots=True)
class Level:
    """How much was taken out of a bucket at an instant, and how large the outside said it is."""

    used: float
    at: datetime
    most: int | None = None
    per: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """When a request may leave, and the limit that holds it back till then."""

    at: datetime
    limit: Limit | None = None
    pace: Limit | None = None  # where it is not the limit itself


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit now: units spent and left, and when the next of those spent come back (None where none are out)."""

    limit: Limit
    spent: int
    left: int
    back_at: datetime | None
    resting_until: datetime | None = None


@dataclass(slots=True)
class Ledger:
    """`levels` by operation of the bucket, `rests` by operation until when it is left alone."""

    limits: tuple[Limit, ...]
    spent: list[Spent] = field(default_factory=list)
    levels: dict[str, Level] = field(default_factory=dict)
    rests: dict[str, datetime] = field(default_factory=dict)
    claims: dict[Limit, tuple[int, datetime]] = field(default_factory=dict)
    under_way: int = 0  # units of requests that are not answered yet

    def of(self, operation: str) -> Iterator[Limit]:
        """The limits a request of this operation has to keep."""
        return (limit for limit in self.limits if limit.covers(operation))

    def room(self, operation: str, units: int, purpose: Purpose, now: datetime) -> Room:
        """When so many units fit within every limit. What is less important leaves a share of each limit to the rest, and lets
        what is more important and already waits go first.
        """
        found = [Room(now)]
        found += [Room(until) for name, until in self.rests.items() if name in {"", operation}]
        for limit in self.of(operation) if units else ():
            at = self._fits(limit, units, int(limit.units * KEPT_BACK[purpose]), now)
            rank, until = self.claims.get(limit, (RANK[purpose], now))
            found.append(Room(max(at, until) if rank < RANK[purpose] and until > now else at, limit))
            pace = paced(limit)
            if pace is not None and RANK[purpose] > 0:
                spare = pace.units // 4 if purpose == "fetch" else 0  # polls go on through a flood of fetches
                found.append(Room(_window(pace, self.lasting(limit, now, least=1), units, spare, now), limit, pace))
        return max(found, key=lambda room: room.at)

    def _fits(self, limit: Limit, units: int, spare: int, now: datetime) -> datetime:
        if limit.refills:
            return _bucket(limit, self.levels.get(limit.operation), units, spare, now)
        return _window(limit, self.lasting(limit, now), units, spare, now)

    def lasting(self, limit: Limit, now: datetime, least: int = 0) -> list[tuple[datetime, int]]:
        """What is out of a limit that is no bucket, oldest first, of purposes of at least this rank."""
        return sorted(
            (one.at, one.units)
            for one in self.spent
            if limit.covers(one.operation) and one.at > now - limit.per and RANK[one.purpose] >= least
        )

    def claim(self, limit: Limit, purpose: Purpose, at: datetime) -> None:
        """What waits till then for a limit of which no share can be kept back has the first go, for a while."""
        held = self.claims.get(limit)
        if int(limit.units * max(KEPT_BACK.values())) == 0 and (held is None or RANK[purpose] <= held[0]):
            self.claims[limit] = RANK[purpose], at + CLAIM

    def spend(self, operation: str, units: int, purpose: Purpose, now: datetime) -> Spent:
        """Takes them out of every limit. Spendings so close together that it makes no odds are kept as one."""
        self.under_way += units
        for limit in self.of(operation):
            if limit.refills:
                level = self.levels.get(limit.operation) or Level(0.0, now)
                self.levels[limit.operation] = replace(level, used=used_of(limit, level, now) + units, at=now)
            held = self.claims.get(limit)
            if held is not None and held[0] >= RANK[purpose]:
                del self.claims[limit]
        last = self.spent[-1] if self.spent else None
        if (
            last is not None
            and (last.operation, last.purpose) == (operation, purpose)
            and last.since <= now < last.since + self._grain(operation)
        ):
            last.units, last.at = last.units + units, max(now, last.at)
            return last
        made = Spent(operation, purpose, now, now, units)
        if self._windows(operation):
            self.spent.append(made)
        return made

    def _windows(self, operation: str) -> list[Limit]:
        return [limit for limit in self.of(operation) if not limit.refills]

    def _grain(self, operation: str) -> timedelta:
        return min((limit.per / 1000 for limit in self._windows(operation)), default=timedelta(0))

    def lasts(self, operation: str) -> timedelta:
        """How long what was spent on it has to be remembered."""
        return max((limit.per for limit in self._windows(operation)), default=timedelta(0))

    def forget(self, now: datetime) -> dict[str, datetime]:
        """Lets go of what has come back. Answers since when what was spent is still remembered, by operation."""
        since = {operation: now - self.lasts(operation) for operation in {one.operation for one in self.spent}}
        self.spent = [one for one in self.spent if one.at > since[one.operation]]
        self.rests = {name: until for name, until in self.rests.items() if until > now}
        return since

    def put_right(self, now: datetime) -> None:
        """After a clock has stepped back, nothing was spent later than now: else it would be missing until that came round."""
        for one in self.spent:
            one.since, one.at = min(one.since, now), min(one.at, now)
        for level in self.levels.values():
            level.at = min(level.at, now)
        self.claims = {limit: (rank, min(until, now + limit.per + CLAIM)) for limit, (rank, until) in self.claims.items()}
        self.rests = {name: min(until, now + LONGEST_REST) for name, until in self.rests.items()}

    def standings(self, now: datetime) -> list[Standing]:
        return [self._standing(limit, now) for limit in self.limits]

    def _standing(self, limit: Limit, now: datetime) -> Standing:
        resting = max(
            (until for name, until in self.rests.items() if name in {"", limit.operation} and until > now), default=None
        )
        if limit.refills:
            level = self.levels.get(limit.operation)
            size = sized(limit, level)
            used = 0 if level is None else min(ceil(used_of(limit, level, now)), size.units)
            back = now + size.per * used / size.units if used else None
            return Standing(size, used, size.units - used, back, resting)
        out = self.lasting(limit, now)
        spent = sum(units for _, units in out)
        return Standing(limit, spent, max(limit.units - spent, 0), out[0][0] + limit.per if out else None, resting)

    def by_purpose(self, limit: Limit, now: datetime) -> dict[Purpose, int]:
        """Units out of a limit that is no bucket, by what they were spent for."""
        found: dict[Purpose, int] = {}
        for one in self.spent:
            if limit.covers(one.operation) and one.at > now - limit.per:
                found[one.purpose] = found.get(one.purpose, 0) + one.units
        return found


def paced(limit: Limit) -> Limit | None:
    """Of a limit for a day or longer, what polls and fetches together may use up in a 24th of it: an eighth. So a flood of word
    that something changed, as after an outage, cannot leave the rest of the day blind.
    """
    if limit.refills or limit.per < DAY or limit.units < SPREAD:
        return None
    return replace(limit, units=limit.units // 8, per=limit.per / 24)


def _window(limit: Limit, out: Sequence[tuple[datetime, int]], units: int, spare: int, now: datetime) -> datetime:
    """When `units` fit beside what is out, with `spare` left over. What asks for more than there ever is waits for all of it."""
    room = max(limit.units - spare, min(units, limit.units))
    over = sum(n for at, n in out if at > now - limit.per) + min(units, limit.units) - room
    if over <= 0:
        return now
    for at, n in out:
        if at > now - limit.per:
            over -= n
            if over <= 0:
                return at + limit.per
    return now + limit.per


def _bucket(limit: Limit, level: Level | None, units: int, spare: int, now: datetime) -> datetime:
    size = sized(limit, level)
    if level is None:
        return now
    units = min(units, size.units)
    over = used_of(limit, level, now) + units - max(size.units - spare, units)
    if over <= 0:
        return now
    return now + size.per * over / size.units + timedelta(microseconds=1)


def sized(limit: Limit, level: Level | None) -> Limit:
    """The bucket as the outside last said it is."""
    if level is None:
        return limit
    return replace(limit, units=level.most or limit.units, per=level.per or limit.per)


def used_of(limit: Limit, level: Level, now: datetime) -> float:
    size = sized(limit, level)
    return max(0.0, level.used - max(now - level.at, timedelta(0)) / size.per * size.units)
