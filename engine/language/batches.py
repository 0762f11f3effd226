"""`batch: mon-fri 18:00` - the times at which the effects of an action leave together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from engine.facts.calendars import Calendar

BATCH_EXAMPLES = ("daily 02:00", "mon-fri 18:00", "mon, thu 06:00 14:00", "working days 18:00", "monthly last 23:00")
BATCH_PATTERN = r"^\S.* ([01][0-9]|2[0-3]):[0-5][0-9]$"  # for editors; `parse_batch` says what is wrong with the days
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_PARTS = re.compile(r"\s*(.*?)\s+((?:\S*:\S*[\s,]*)+)")
_MONTHLY = re.compile(r"monthly\s+(last|[1-9]|[12][0-9]|3[01])")
_DAY = "|".join(_DAYS)
_WEEK = re.compile(rf"(?:{_DAY})(?:-(?:{_DAY}))?(?:\s*,\s*(?:{_DAY})(?:-(?:{_DAY}))?)*")
_WORKING = "working days"
_WRITTEN = f"write one like {' or '.join(map(repr, BATCH_EXAMPLES))}".replace("'", '"')


@dataclass(frozen=True, slots=True)
class Times:
    """The times of a batch as cron expressions, one for each time of day. `working` leaves out a calendar's days off."""

    crons: tuple[str, ...]
    working: bool = False


@dataclass(frozen=True, slots=True)
class Cadence:
    """When the effects of an action leave: at a time of the batch, but no later than `not_later` after they were planned."""

    batch: Times
    not_later: timedelta | None = None
    calendar: Calendar | None = None


def parse_batch(text: str) -> Times:
    """The times that `text` names. Raises `ValueError` with a sentence for the author."""
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise ValueError(f'"{text}" does not name days and a time of day: {_WRITTEN}')
    times = [_TIME.fullmatch(word) for word in re.split(r"[\s,]+", parts[2].strip(" ,"))]
    if None in times:
        raise ValueError(f'"{text}" has a time that is none: times are written like 02:00, with two digits each')
    days = _cron_days(parts[1].rstrip(","), text)
    crons = tuple(f"{int(time[2])} {int(time[1])} {days}" for time in times if time is not None)
    return Times(tuple(sorted(set(crons))), working=parts[1] == _WORKING)


def _cron_days(days: str, text: str) -> str:
    """Day of the month, month and day of the week, as cron has them."""
    if days in ("daily", _WORKING):
        return "* * *"
    monthly = _MONTHLY.fullmatch(days)
    if monthly is not None:
        if monthly[1].isdigit() and int(monthly[1]) > 28:
            raise ValueError(f'"{text}": not every month has a day {monthly[1]}; for the last one write monthly last')
        return f"{'L' if monthly[1] == 'last' else monthly[1]} * *"
    if _WEEK.fullmatch(days):
        return f"* * {_week(days)}"
    raise ValueError(f'"{text}" names no days: {_WRITTEN}')


def _week(days: str) -> str:
    """The numbers of the days, where 1 is Monday; `sat-mon` goes on over the week's end."""
    found: set[int] = set()
    for part in re.split(r"\s*,\s*", days):
        first, _, last = part.partition("-")
        start, end = _DAYS.index(first), _DAYS.index(last or first)
        found.update(day % 7 for day in range(start, end + 1 if end >= start else end + 8))
    return ",".join(str(day + 1) for day in sorted(found))
