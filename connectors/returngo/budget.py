"""The calls of a day: 2000 unless ReturnGO grants more, and the last of them are not for polling."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from pydantic import BaseModel

from engine.facts.outside import Clock, TryLater

REST = timedelta(minutes=15)  # after a 429 that names no time: none has been seen that does


class Used(BaseModel):
    """How many calls a day has seen, as a cursor keeps it."""

    day: date = date(2000, 1, 1)
    calls: int = 0


class DayBudget:
    """Counts calls by UTC day, when AWS renews its quotas. `reserve` of `per_day` calls are kept from polls, so that an effect
    can still be looked up and performed when a busy day has used up the rest.

    The count survives a restart by travelling in the cursors of the feeds: `used` goes in, `recall` takes it back.
    """

    def __init__(self, per_day: int, reserve: int, clock: Clock) -> None:
        self._per_day = per_day
        self._reserve = reserve
        self._clock = clock
        self._day: date | None = None
        self._spent = 0
        self._rest_until = datetime.min.replace(tzinfo=UTC)

    def spend(self, *, polling: bool) -> None:
        """One more call. Raises `TryLater` until midnight where none is left for that."""
        now = self._today()
        if polling and now < self._rest_until:
            raise TryLater("ReturnGO answered 429 a short while ago", self._rest_until - now)
        if self._spent >= self._per_day - (self._reserve if polling else 0):
            raise TryLater("the day's calls to ReturnGO are used up", _until_midnight(now))
        self._spent += 1

    def throttled(self, wish: timedelta | None) -> TryLater:
        """ReturnGO said 429, whatever we counted: others may call with the same key. Polls rest, effects ask again then."""
        rest = wish or REST
        self._rest_until = self._today() + rest
        return TryLater("ReturnGO answers 429", rest)

    def used(self) -> Used:
        return Used(day=self._today().date(), calls=self._spent)

    def recall(self, used: Used) -> None:
        """Takes over a count from a cursor, if it is of today and greater than ours."""
        if used.day == self._today().date():
            self._spent = max(self._spent, used.calls)

    def _today(self) -> datetime:
        now = self._clock().astimezone(UTC)
        if now.date() != self._day:
            self._day, self._spent = now.date(), 0
        return now


def _until_midnight(now: datetime) -> timedelta:
    return datetime.combine(now.date() + timedelta(days=1), time(), UTC) - now
