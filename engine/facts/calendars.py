"""Business calendars: which days and hours are worked, and how working time is counted by them.

Working days are counted in days, working hours in hours. `n` working days after an instant is the same time of day on the nth
working day after; from a day off they are counted from the start of the next working day. Working hours pass only while
the calendar is open. Where several instants are as far, the one nearest to the start is meant: a deadline is the close of
business, not the next opening, and the end of Friday, not the start of Monday.

A local time the clock skips is the instant at which it skips; one it repeats is its first pass, and the repetition counts as
no time of day of its own. So no day and no hour is lost or counted twice: working hours are the real time between opening
and closing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from engine.facts.values import WorkingDuration

Spans = tuple[tuple[int, int], ...]  # opening and closing in minutes from the start of the day; past 1440 is the next morning

FIRST_YEAR, LAST_YEAR = 1970, 2100
WHOLE_DAY: Spans = ((0, 1440),)
WEEKDAYS: tuple[Spans, ...] = (*(WHOLE_DAY,) * 5, (), ())
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


class OutOfYears(ValueError):  # noqa: N818 - named for what it tells
    """Counting left the years a calendar reckons with."""


def instant_of(local: datetime, zone: tzinfo) -> datetime:
    """The first instant, in UTC, at which a clock in `zone` shows `local` (which is naive) or later."""
    instant = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local:
        return instant
    return _change(local.replace(tzinfo=zone, fold=1).astimezone(UTC), instant, zone)


def clock_at(instant: datetime, zone: tzinfo) -> datetime:
    """The latest time, naive, that a clock in `zone` has shown by then: it stands still while it repeats an hour."""
    local = instant.astimezone(zone)
    if not local.fold:
        return local.replace(tzinfo=None)
    before = local.replace(fold=0)
    changed = _change(before.astimezone(UTC), instant.astimezone(UTC), zone)
    return changed.replace(tzinfo=None) + (before.utcoffset() or timedelta())


def _change(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The instant at which the clock is changed, after `before` and no later than `after`. Clocks change at whole seconds."""
    low, high = before.replace(microsecond=0), after.replace(microsecond=0)
    offset = low.astimezone(zone).utcoffset()
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high


def country_codes() -> Mapping[str, str]:
    """The countries whose holidays are known: every name, as `united_kingdom`, `GBR` or `UK`, to its code in ISO 3166."""
    from holidays.registry import COUNTRIES  # noqa: PLC0415 - a tenth of a second that only calendars with a country need

    return {name: names[1] for key, names in COUNTRIES.items() for name in (key, *names)}


def subdivisions_of(country: str) -> Mapping[str, str]:
    """The parts of a country whose holidays are known: every name, as `England` or `ENG`, to its code."""
    import holidays  # noqa: PLC0415 - as above

    known = holidays.country_holidays(country)
    return {**{code: code for code in known.subdivisions}, **getattr(known, "subdivisions_aliases", {})}


@lru_cache(maxsize=4096)
def holidays_of(country: str, subdivision: str, year: int) -> frozenset[date]:
    """The public holidays of a year, with the days that stand in for those on a weekend."""
    import holidays  # noqa: PLC0415 - as above

    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))


@dataclass(frozen=True, slots=True)
class _Hours:
    """The spans of a year's working days in UTC, in order and apart. `before` is the time worked before each, and `total`."""

    starts: tuple[datetime, ...]
    ends: tuple[datetime, ...]
    before: tuple[timedelta, ...]
    total: timedelta

    def worked(self, instant: datetime) -> timedelta:
        """The time worked in this year by then; `instant` is in UTC too."""
        last = bisect_right(self.starts, instant) - 1
        if last < 0:
            return timedelta()
        return self.before[last] + (min(instant, self.ends[last]) - self.starts[last])

    def earliest(self, worked: timedelta) -> datetime:
        """When so much has been worked; `worked` is more than nothing."""
        span = bisect_left(self.before, worked) - 1
        return self.starts[span] + (worked - self.before[span])

    def latest(self, worked: timedelta) -> datetime:
        """The last instant at which no more than that has been worked; `worked` is less than the total."""
        span = bisect_right(self.before, worked) - 1
        return self.starts[span] + (worked - self.before[span])


@dataclass(frozen=True, slots=True)
class Calendar:
    """The working days and hours of one place. `week` has the spans of each weekday from Monday.

    `opened` has dates with hours of their own, which take precedence over holidays and `closed`; a span past midnight belongs to
    the day on which it begins. It reckons from `FIRST_YEAR` to `LAST_YEAR`, and raises `OutOfYears` beyond.
    """

    name: str
    zone: tzinfo
    week: tuple[Spans, ...] = WEEKDAYS
    country: str = ""
    subdivision: str = ""
    closed: frozenset[date] = frozenset()
    opened: Mapping[date, Spans] = field(default_factory=dict)
    _days: dict[int, tuple[int, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _hours: dict[int, _Hours] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __str__(self) -> str:
        return self.name

    def add(self, start: datetime, duration: timedelta | WorkingDuration) -> datetime:
        """The instant, in UTC, that is `duration` after `start` (before it, if negative). Elapsed time just passes."""
        start = start.astimezone(UTC)
        if isinstance(duration, timedelta):
            return start + duration
        length = duration.length
        self._check_year(start.year)
        if not length:
            return start
        return self._after_days(start, length) if isinstance(length, int) else self._after_time(start, length)

    def working_days_between(self, start: datetime, end: datetime) -> int:
        """How many whole working days can be added to `start` by `end`; negative if `end` is before `start`."""
        if end < start:
            return -self.working_days_between(end, start)
        since, until = clock_at(start, self.zone), clock_at(end, self.zone)
        first, last = since.toordinal(), until.toordinal()
        if since.time() == time() or not self._is_working(first):
            return self._count(first, last)
        unfinished = until.time() < since.time() and self._is_working(last)
        return self._count(first + 1, last + 1) - unfinished

    # --- days ---

    def works_on(self, day: date) -> bool:
        """Whether any work is done that day. Raises `OutOfYears`."""
        return self._is_working(day.toordinal())

    def _after_days(self, start: datetime, count: int) -> datetime:
        clock = clock_at(start, self.zone)
        today = clock.toordinal()
        if clock.time() != time() and self._is_working(today):
            return self._instant(self._nth(today, count), clock.time())
        if count > 0:
            return self._instant(self._nth(today, count - 1) + 1)  # the end of that day
        return self._instant(self._nth(today, count))

    def _instant(self, day: int, at: time = time()) -> datetime:
        return instant_of(datetime.combine(date.fromordinal(day), at), self.zone)

    def _is_working(self, day: int) -> bool:
        days = self._days_in(date.fromordinal(day).year)
        place = bisect_left(days, day)
        return place < len(days) and days[place] == day

    def _nth(self, day: int, count: int) -> int:
        """The working day `count` after the first one that is not before `day`. Days are numbered as by `date.toordinal`."""
        year = date.fromordinal(day).year
        days = self._days_in(year)
        place = bisect_left(days, day) + count
        while place >= len(days):
            place -= len(days)
            year += 1
            days = self._days_in(year)
        while place < 0:
            year -= 1
            days = self._days_in(year)
            place += len(days)
        return days[place]

    def _count(self, first: int, end: int) -> int:
        """The working days from `first` on, before `end`."""
        if end <= first:
            return 0
        years = range(date.fromordinal(first).year, date.fromordinal(end - 1).year + 1)
        until = bisect_left(self._days_in(years[-1]), end)
        return sum(len(self._days_in(year)) for year in years[:-1]) + until - bisect_left(self._days_in(years[0]), first)

    def _days_in(self, year: int) -> tuple[int, ...]:
        self._check_year(year)
        if year not in self._days:
            dates = range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal())
            self._days[year] = tuple(day for day in dates if self._spans(date.fromordinal(day)) and self._exists(day))
        return self._days[year]

    def _exists(self, day: int) -> bool:
        """False for a date the clock skips, such as 30 December 2011 in Apia."""
        return self._instant(day, time(12)).astimezone(self.zone).toordinal() == day

    # --- hours ---

    def _after_time(self, start: datetime, length: timedelta) -> datetime:
        year = start.astimezone(self.zone).year
        if length < timedelta():
            while True:
                hours = self._hours_in(year)
                length += hours.worked(start)
                if length >= timedelta():
                    return hours.latest(length)
                year -= 1
        year = max(year - 1, FIRST_YEAR)  # a night that began in it may not be over
        while True:
            hours = self._hours_in(year)
            length += hours.worked(start)
            if length <= hours.total:
                return hours.earliest(length)
            length -= hours.total
            year += 1

    def _hours_in(self, year: int) -> _Hours:
        if year not in self._hours:
            starts: list[datetime] = []
            ends: list[datetime] = []
            before: list[timedelta] = []
            total = timedelta()
            eve = date(year, 1, 1) - _DAY
            over = max((self._at(eve, closing) for _, closing in self._spans(eve)), default=self._at(eve, 0))
            for day in map(date.fromordinal, self._days_in(year)):
                for opening, closing in self._spans(day):
                    start, end = max(self._at(day, opening), over), self._at(day, closing)
                    if start < end:
                        starts.append(start)
                        ends.append(end)
                        before.append(total)
                        total += end - start
                        over = end
            self._hours[year] = _Hours(tuple(starts), tuple(ends), tuple(before), total)
        return self._hours[year]

    def _at(self, day: date, minute: int) -> datetime:
        return instant_of(datetime.combine(day, time()) + timedelta(minutes=minute), self.zone)

    # --- which days ---

    def _spans(self, day: date) -> Spans:
        if day in self.opened:
            return self.opened[day]
        spans = self.week[day.weekday()]
        if not spans or day in self.closed:
            return ()
        return () if self.country and day in holidays_of(self.country, self.subdivision, day.year) else spans

    def _check_year(self, year: int) -> None:
        if not FIRST_YEAR <= year <= LAST_YEAR:
            raise OutOfYears(f'the calendar "{self.name}" reckons with the years {FIRST_YEAR} to {LAST_YEAR} only')
