"""Working time is counted rightly in every zone: nothing lost or counted twice, whatever the clock does."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.facts.calendars import (
    FIRST_YEAR,
    LAST_YEAR,
    Calendar,
    OutOfYears,
    Spans,
    clock_at,
    holidays_of,
    instant_of,
)
from engine.facts.values import WorkingDuration

ZONES = {
    name: ZoneInfo(name)
    for name in (
        "Europe/London",
        "America/New_York",
        "Australia/Lord_Howe",  # half an hour of daylight saving
        "Pacific/Apia",  # skipped 30 December 2011
        "America/Sao_Paulo",  # changed its clocks at midnight
        "Africa/Cairo",  # changes its clocks on Fridays
        "Asia/Kathmandu",
        "UTC",
    )
}
LONDON = ZONES["Europe/London"]
OFFICE: Spans = ((540, 1050),)  # 09:00-17:30
UK = Calendar("uk", LONDON, (*(OFFICE,) * 5, (), ()), "GB", "ENG")
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def days(count: int) -> WorkingDuration:
    return WorkingDuration(count)


def hours(count: float) -> WorkingDuration:
    return WorkingDuration(timedelta(hours=count))


# --- by example -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2026-11-27T16:00Z", days(1), "2026-11-30T16:00Z"),  # a Friday
        ("2026-11-27T20:00Z", days(2), "2026-12-01T20:00Z"),  # after hours: days are counted in days
        ("2026-11-28T10:00Z", days(1), "2026-12-01T00:00Z"),  # from a Saturday: the end of Monday
        ("2026-11-28T10:00Z", days(5), "2026-12-05T00:00Z"),  # the end of Friday, not the start of the next Monday
        ("2026-11-27T16:00Z", days(-1), "2026-11-26T16:00Z"),
        ("2026-11-28T10:00Z", days(-1), "2026-11-27T00:00Z"),
        ("2026-11-28T10:00Z", days(0), "2026-11-28T10:00Z"),
        ("2026-12-24T16:00Z", days(1), "2026-12-29T16:00Z"),  # Boxing Day is a Saturday, so the 28th is a holiday
        ("2026-11-27T16:00Z", hours(1.5), "2026-11-27T17:30Z"),  # the close of business, not the next opening
        ("2026-11-27T16:00Z", hours(2), "2026-11-30T09:30Z"),
        ("2026-11-27T07:00Z", hours(2), "2026-11-27T11:00Z"),
        ("2026-11-28T10:00Z", hours(8.5), "2026-11-30T17:30Z"),
        ("2026-11-30T10:00Z", hours(-1), "2026-11-30T09:00Z"),  # the opening, not the close of business before
        ("2026-11-30T10:00Z", hours(-2), "2026-11-27T16:30Z"),
        ("2026-11-30T10:00Z", hours(0), "2026-11-30T10:00Z"),
        ("2026-12-31T17:00Z", hours(1), "2027-01-04T09:30Z"),  # over New Year
        ("2027-01-04T10:00Z", hours(-1), "2027-01-04T09:00Z"),  # the first opening of the year
        ("2027-01-04T10:00Z", days(-2), "2026-12-30T10:00Z"),
        ("2026-03-27T16:00Z", days(1), "2026-03-30T15:00Z"),  # 16:00 in London, before and after the clock is put forward
        ("2026-11-27T16:00+05:00", days(1), "2026-11-30T11:00Z"),
    ],
)
def test_working_time_is_added_as_people_count_it(start: str, duration: WorkingDuration, end: str) -> None:
    assert UK.add(utc(start), duration) == utc(end)


def test_elapsed_time_just_passes() -> None:
    assert UK.add(utc("2026-11-27T16:00Z"), timedelta(hours=48)) == utc("2026-11-29T16:00Z")
    assert UK.add(utc("2026-11-27T16:00Z"), -HOUR) == utc("2026-11-27T15:00Z")


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        ("2026-11-27T16:00Z", "2026-11-30T15:59Z", 0),
        ("2026-11-27T16:00Z", "2026-11-30T16:00Z", 1),
        ("2026-11-28T10:00Z", "2026-11-29T10:00Z", 0),
        ("2026-11-28T10:00Z", "2026-12-01T00:00Z", 1),
        ("2026-11-28T10:00Z", "2026-12-05T12:00Z", 5),
        ("2026-12-05T12:00Z", "2026-11-28T10:00Z", -5),
        ("2026-01-01T00:00Z", "2027-01-01T00:00Z", 253),  # 261 weekdays and eight bank holidays
    ],
)
def test_whole_working_days_are_counted(start: str, end: str, wanted: int) -> None:
    assert UK.working_days_between(utc(start), utc(end)) == wanted


def test_dates_of_the_client_add_to_and_take_from_the_holidays() -> None:
    dates: dict[date, Spans] = {date(2026, 12, 26): ((600, 840),), date(2026, 12, 28): ()}
    calendar = Calendar("shop", LONDON, (*(OFFICE,) * 5, (), ()), "GB", "ENG", frozenset({date(2026, 12, 24)}), dates)
    assert calendar.add(utc("2026-12-23T17:00Z"), hours(1)) == utc("2026-12-26T10:30Z")
    assert calendar.add(utc("2026-12-23T17:00Z"), days(1)) == utc("2026-12-26T17:00Z")
    assert calendar.add(utc("2026-12-26T11:00Z"), hours(4)) == utc("2026-12-29T10:00Z")


def test_holidays_are_those_of_the_part_of_the_country() -> None:
    england, scotland = holidays_of("GB", "ENG", 2026), holidays_of("GB", "SCT", 2026)
    assert date(2026, 4, 6) in england - scotland  # Easter Monday
    assert date(2026, 11, 30) in scotland - england  # Saint Andrew's Day
    assert date(2026, 12, 28) in england & scotland  # in place of Boxing Day, a Saturday
    assert date(2027, 12, 31) in holidays_of("US", "", 2027)  # in place of New Year's Day 2028


@pytest.mark.parametrize(
    ("start", "length", "end"),
    [
        ("2026-11-27T23:00Z", 8, "2026-11-28T23:00Z"),  # seven hours of Friday's night, and one of Saturday's
        ("2026-11-28T05:00Z", 1, "2026-11-28T06:00Z"),
        ("2026-11-29T12:00Z", 1, "2026-11-29T23:00Z"),
        ("2026-03-28T22:00Z", 7, "2026-03-29T05:00Z"),  # the clock is put forward: a night of seven hours
        ("2026-10-24T21:00Z", 9, "2026-10-25T06:00Z"),  # and back: one of nine
        ("2025-12-31T23:00Z", 7, "2026-01-01T06:00Z"),
        ("2026-01-01T05:00Z", -7, "2025-12-31T22:00Z"),
    ],
)
def test_a_night_shift_is_as_long_as_it_is(start: str, length: int, end: str) -> None:
    nights = Calendar("nights", LONDON, (((1320, 1800),),) * 7)
    assert nights.add(utc(start), hours(length)) == utc(end)


def test_the_first_of_january_is_worked_from_its_start() -> None:
    """2026 begins on a Thursday."""
    thursdays = Calendar("thursdays", LONDON, ((), (), (), ((0, 1440),), (), (), ()))
    assert thursdays.add(utc("2025-12-31T12:00Z"), hours(1)) == utc("2026-01-01T01:00Z")


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    """Christmas Eve is worked into Christmas Day, which itself is a holiday."""
    nights = Calendar("nights", LONDON, (((1320, 1800),),) * 7, "GB", "ENG")
    assert nights.add(utc("2025-12-24T23:00Z"), hours(7)) == utc("2025-12-25T06:00Z")
    assert nights.add(utc("2025-12-25T05:30Z"), hours(1)) == utc("2025-12-27T22:30Z")


def test_hours_that_overlap_are_not_counted_twice() -> None:
    """The hours a date has of its own begin before the night before is over."""
    nights = Calendar("nights", LONDON, (((1320, 1800),),) * 7, opened={date(2026, 11, 28): ((300, 480),)})
    assert nights.add(utc("2026-11-28T04:00Z"), hours(4)) == utc("2026-11-28T08:00Z")


def test_an_hour_that_is_repeated_is_counted_once_and_none_is_lost() -> None:
    """25 October 2026: from 00:00 to 03:00 in London pass four hours."""
    early = Calendar("early", LONDON, (((0, 90), (90, 180)),) * 7)
    assert early.add(utc("2026-10-24T22:00Z"), hours(4)) == utc("2026-10-25T03:00Z")
    assert early.add(utc("2026-10-25T03:00Z"), hours(-4)) == utc("2026-10-24T23:00Z")


def test_a_span_the_clock_skips_has_no_length() -> None:
    """29 March 2026: there is no time between 01:00 and 02:00."""
    skipped = Calendar("skipped", LONDON, (((60, 120),),) * 7)
    assert skipped.add(utc("2026-03-28T12:00Z"), hours(1)) == utc("2026-03-30T01:00Z")


def test_a_date_the_clock_skips_is_no_working_day() -> None:
    """Apia went from Thursday, 29 December 2011, to Saturday."""
    apia = Calendar("apia", ZONES["Pacific/Apia"])
    thursday = datetime(2011, 12, 29, 12, tzinfo=apia.zone)
    monday = datetime(2012, 1, 2, 12, tzinfo=apia.zone)
    assert apia.add(thursday, days(1)) == monday
    assert apia.working_days_between(thursday, monday) == 1
    assert apia.add(thursday, hours(24)) == datetime(2012, 1, 2, 12, tzinfo=apia.zone)


# --- in general -----------------------------------------------------------------------------------------------------

NINE_TO_FIVE: Spans = ((540, 720), (780, 1050))
WEEKS = st.lists(
    st.sampled_from([(), (), OFFICE, NINE_TO_FIVE, ((0, 1440),), ((1320, 1800),), ((60, 150),), ((0, 90), (90, 180))]),
    min_size=7,
    max_size=7,
).filter(any)
CALENDARS = st.builds(
    Calendar,
    st.just("drawn"),
    st.sampled_from(sorted(ZONES)).map(ZONES.__getitem__),
    WEEKS.map(tuple),
    st.sampled_from(["", "GB", "US"]),
    closed=st.frozensets(st.dates(date(2011, 12, 20), date(2012, 1, 20)), max_size=5),
    opened=st.dictionaries(st.dates(date(2011, 12, 20), date(2012, 1, 20)), st.just(((300, 480),)), max_size=3),
)


def near_a_change(zone: ZoneInfo) -> st.SearchStrategy[datetime]:
    """Instants around those at which the clocks of a zone were changed, and around New Year."""
    changes = [utc("2012-01-01T00:00Z")]
    if zone.key == "Pacific/Apia":
        changes.append(utc("2011-12-30T10:00Z"))
    moment = utc("2011-01-01T00:00Z")
    for _ in range(3 * 365):
        later = moment + timedelta(days=1)
        if moment.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            changes.append(later)
        moment = later
    return st.builds(lambda at, by: at + timedelta(minutes=by), st.sampled_from(changes), st.integers(-3 * 1440, 3 * 1440))


NEAR = {name: near_a_change(zone) for name, zone in ZONES.items()}
FAR = st.datetimes(datetime(2005, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - in UTC


@st.composite
def cases(draw: Any, instants: int = 1) -> tuple[Any, ...]:
    """A calendar and instants, a fourth of them at the start of a local day."""
    calendar = draw(CALENDARS)
    drawn = (draw(st.one_of(NEAR[str(calendar.zone)], FAR)) for _ in range(instants))
    return calendar, *(midnight(each, calendar) if draw(st.integers(0, 3)) == 0 else each for each in drawn)


def midnight(instant: datetime, calendar: Calendar) -> datetime:
    return instant_of(datetime.combine(clock_at(instant, calendar.zone), time()), calendar.zone)


COUNTS = st.integers(1, 300)
LENGTHS = st.one_of(
    COUNTS.map(WorkingDuration), st.integers(1, 40_000).map(lambda minutes: WorkingDuration(timedelta(minutes=minutes)))
)


@given(cases(), COUNTS)
def test_adding_days_then_measuring_gives_back_the_same(case: tuple[Calendar, datetime], count: int) -> None:
    calendar, start = case
    end = calendar.add(start, days(count))
    assert calendar.working_days_between(start, end) == count
    assert calendar.working_days_between(start, end - timedelta(microseconds=1)) == count - 1


@given(cases(), COUNTS)
def test_taking_days_away_then_measuring_gives_back_the_same(case: tuple[Calendar, datetime], count: int) -> None:
    """Where the days end at a time of day that the clock skips, the last one is not whole."""
    calendar, start = case
    end = calendar.add(start, days(-count))
    whole = count - is_shifted(calendar, start, end)
    assert whole <= -calendar.working_days_between(start, end) <= count


@given(cases(2))
def test_what_was_measured_can_be_added_and_one_day_more_cannot(case: tuple[Calendar, datetime, datetime]) -> None:
    calendar, one, other = case
    start, end = sorted((one, other))
    count = calendar.working_days_between(start, end)
    assert calendar.add(start, days(count)) <= end < calendar.add(start, days(count + 1))
    assert calendar.working_days_between(end, start) == -count


@given(cases(), st.integers(1, 40_000), st.booleans())
def test_adding_hours_then_measuring_gives_back_the_same(case: tuple[Calendar, datetime], minutes: int, back: bool) -> None:
    """Measured another way: by asking of each span of each local day how much of it lies between."""
    calendar, start = case
    length = timedelta(minutes=-minutes if back else minutes)
    end = calendar.add(start, WorkingDuration(length))
    first, last = sorted((start, end))
    assert open_between(calendar, first, last) == abs(length)
    beyond = timedelta(microseconds=1)
    assert open_between(calendar, *sorted((start, end + (beyond if back else -beyond)))) == abs(length) - beyond


def open_between(calendar: Calendar, start: datetime, end: datetime) -> timedelta:
    """The open time between two instants, worked out from the calendar's declarations alone."""
    total = timedelta()
    over = utc("1970-01-01T00:00Z")
    day = start.astimezone(calendar.zone).date() - timedelta(days=3)
    while day <= end.astimezone(calendar.zone).date() + timedelta(days=1):
        holiday = calendar.country and day in holidays_of(calendar.country, "", day.year)
        closed = day in calendar.closed or holiday
        spans = calendar.opened[day] if day in calendar.opened else () if closed else calendar.week[day.weekday()]
        if is_there(day, calendar.zone):
            for minutes in spans:
                opens, closes = (
                    first_showing(datetime.combine(day, time()) + timedelta(minutes=m), calendar.zone) for m in minutes
                )
                total += max(min(closes, end) - max(opens, start, over), timedelta())
                over = max(over, closes)
        day += timedelta(days=1)
    return total


def is_there(day: date, zone: Any) -> bool:
    noon = datetime.combine(day, time(12), zone)
    return noon.astimezone(UTC).astimezone(zone).date() == day


def first_showing(local: datetime, zone: Any) -> datetime:
    """When a clock first shows a time or a later one, by trying every minute after a time that is surely before."""
    candidate = local.replace(tzinfo=zone)
    if candidate.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local:
        return candidate.astimezone(UTC)
    moment = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while moment.astimezone(zone).replace(tzinfo=None) < local:
        moment += timedelta(minutes=1)
    return moment


@given(cases(2), LENGTHS, st.booleans())
def test_what_starts_later_ends_no_earlier(
    case: tuple[Calendar, datetime, datetime], length: WorkingDuration, back: bool
) -> None:
    calendar, one, other = case
    start, later = sorted((one, other))
    duration = -length if back else length
    assert calendar.add(start, duration) <= calendar.add(later, duration)


@given(cases(), LENGTHS, LENGTHS)
def test_what_takes_longer_ends_later(case: tuple[Calendar, datetime], one: WorkingDuration, other: WorkingDuration) -> None:
    calendar, start = case
    assume(type(one.length) is type(other.length) and one != other)
    short, long = sorted((one, other))
    assert start < calendar.add(start, short) < calendar.add(start, long)
    assert start > calendar.add(start, -short) > calendar.add(start, -long)


@given(cases(), LENGTHS, LENGTHS, st.booleans())
def test_adding_one_after_the_other_is_adding_both(
    case: tuple[Calendar, datetime], one: WorkingDuration, other: WorkingDuration, back: bool
) -> None:
    """Unless the days in between end at a time of day which that day does not have; then the difference is what it lacks."""
    calendar, start = case
    assume(type(one.length) is type(other.length))
    first, second = (-one, -other) if back else (one, other)
    between = calendar.add(start, first)
    both = calendar.add(start, first + second)
    if isinstance(one.length, int) and is_shifted(calendar, start, between):
        assert timedelta() <= calendar.add(between, second) - both <= 25 * HOUR
    else:
        assert calendar.add(between, second) == both


def is_shifted(calendar: Calendar, start: datetime, between: datetime) -> bool:
    """Whether the clock skips the time of day at which the days between end."""
    wanted, shown = clock_at(start, calendar.zone).time(), clock_at(between, calendar.zone)
    return shown.time() not in (wanted, time()) or not is_plain(calendar, shown)


def is_plain(calendar: Calendar, shown: datetime) -> bool:
    return instant_of(shown - timedelta(minutes=1), calendar.zone) < instant_of(shown, calendar.zone)


@given(cases(), LENGTHS, st.booleans())
def test_what_comes_out_is_in_utc_and_on_a_working_day(
    case: tuple[Calendar, datetime], length: WorkingDuration, back: bool
) -> None:
    calendar, start = case
    end = calendar.add(start.astimezone(calendar.zone), -length if back else length)
    assert end.tzinfo is UTC
    assert end == calendar.add(start, -length if back else length)


@given(cases(), COUNTS)
def test_working_days_end_on_no_holiday_and_no_day_off(case: tuple[Calendar, datetime], count: int) -> None:
    """The last microsecond before the end lies in a working day."""
    calendar, start = case
    last = clock_at(calendar.add(start, days(count)) - timedelta(microseconds=1), calendar.zone).date()
    closed = last in calendar.closed or (calendar.country and last in holidays_of(calendar.country, "", last.year))
    assert last in calendar.opened or (calendar.week[last.weekday()] and not closed)


@given(st.sampled_from(sorted(ZONES)), st.data())
def test_the_clock_and_its_instants_fit_together(name: str, data: st.DataObject) -> None:
    """`instant_of` is the first instant at which `clock_at` shows a time or a later one."""
    zone = ZONES[name]
    instant = data.draw(NEAR[name])
    shown = clock_at(instant, zone)
    assert instant_of(shown, zone) <= instant
    assert clock_at(instant_of(shown, zone), zone) == shown
    local = (instant + timedelta(hours=data.draw(st.integers(-14, 14)))).replace(tzinfo=None)
    found = instant_of(local, zone)
    assert clock_at(found, zone) >= local > clock_at(found - timedelta(microseconds=1), zone)


# --- at the ends of time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duration", [days(999_999), days(-999_999), hours(999_999), hours(-999_999)])
def test_what_leaves_the_years_of_the_calendar_says_so(duration: WorkingDuration) -> None:
    with pytest.raises(OutOfYears, match=f'"uk" reckons with the years {FIRST_YEAR} to {LAST_YEAR} only'):
        UK.add(utc("2026-11-27T16:00Z"), duration)


@pytest.mark.parametrize("start", ["0001-01-01T00:00Z", "1969-12-31T12:00Z", "2101-06-01T00:00Z", "9999-12-31T23:59Z"])
@pytest.mark.parametrize("duration", [days(0), days(1), days(-1), hours(1), hours(-1)])
def test_what_starts_outside_the_years_of_the_calendar_says_so(start: str, duration: WorkingDuration) -> None:
    with pytest.raises(OutOfYears):
        UK.add(utc(start), duration)


def test_a_calendar_that_is_hardly_ever_open_comes_to_an_end() -> None:
    rare = Calendar("rare", LONDON, ((),) * 7, opened={date(2026, 11, 27): OFFICE})
    assert rare.add(utc("2026-01-01T00:00Z"), hours(2)) == utc("2026-11-27T11:00Z")
    for duration in (days(2), hours(9)):
        with pytest.raises(OutOfYears):
            rare.add(utc("2026-01-01T00:00Z"), duration)
