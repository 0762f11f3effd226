"""Business calendars as a client describes them: `uk: {country: GB, subdivision: ENG, hours: "mon-fri 09:00-17:30"}`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import date, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from engine.facts.calendars import (
    FIRST_YEAR,
    LAST_YEAR,
    WEEKDAYS,
    WHOLE_DAY,
    Calendar,
    Spans,
    country_codes,
    subdivisions_of,
)
from engine.language.forms import CALENDAR
from engine.language.node import Node
from engine.problems import Place, Problems, did_you_mean

BUILT_IN = "weekdays"  # Monday to Friday, whole days, without holidays: so that a pack can name a calendar any client has
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_SPAN = re.compile(rf"({_TIME})-({_TIME}|24:00)", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DAY_IN_MINUTES = 1440


def zone_named(name: str) -> ZoneInfo:
    """The time zone of that name. Raises ValueError with the nearest one."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = did_you_mean(name, available_timezones())
        raise ValueError(f'"{name}" is not a time zone like Europe/London{hint}') from None


def read_calendars(node: Node | None, zone: tzinfo, problems: Problems) -> dict[str, Calendar]:
    """The calendars under `calendars:` by name, with the built-in one. `zone` is the client's, where one names none."""
    found = {BUILT_IN: Calendar(BUILT_IN, zone)}
    if node is None or not node.expect_map(problems, '"calendars"'):
        return found
    for name, place, inner in node.items():
        if name == BUILT_IN:
            said = f'"{BUILT_IN}" is there for every client (Monday to Friday, whole days, no holidays): choose another name'
            problems.add(place, "already-defined", said)
        elif not _NAME.fullmatch(name):
            said = f'"{name}" is not a name: lower-case letters, digits, - and _, first a letter'
            problems.add(place, "bad-name", said)
        else:
            found[name] = _Reader(name, inner, zone, problems).read()
    return found


def calendar_named(name: str, place: Place, calendars: Mapping[str, Calendar], problems: Problems, what: str) -> Calendar | None:
    """The calendar of that name, else None and a problem with the nearest."""
    if name not in calendars:
        hint = did_you_mean(name, calendars)
        said = f'{what}: there is no calendar "{name}"{hint}; a client lists its own in client.yaml'
        problems.add(place, "unknown-calendar", said)
    return calendars.get(name)


class _Reader:
    """Reads one calendar. What is wrong is told and left out, so that a calendar of that name is there for the rules."""

    def __init__(self, name: str, node: Node, zone: tzinfo, problems: Problems) -> None:
        self.name = name
        self.node = node
        self.zone = zone
        self.problems = problems

    def read(self) -> Calendar:
        if not self.node.expect_form(self.problems, f'the calendar "{self.name}"', CALENDAR) and self.node.kind != "map":
            return Calendar(self.name, self.zone)
        country = self._country()
        opened = self._opened()
        return Calendar(
            self.name,
            self._zone(),
            self._week(),
            country,
            self._subdivision(country),
            self._closed(opened),
            opened,
        )

    def _what(self, key: str) -> str:
        return f'"{key}" of the calendar "{self.name}"'

    def _text(self, key: str) -> tuple[str, Node]:
        node = self.node.get(key)
        if node is None:
            return "", self.node
        return node.expect_text(self.problems, self._what(key)) or "", node

    def _zone(self) -> tzinfo:
        text, node = self._text("time_zone")
        try:
            return zone_named(text) if text else self.zone
        except ValueError as fault:
            self.problems.add(node.place, "bad-value", f"{self._what('time_zone')}: {fault}")
            return self.zone

    def _country(self) -> str:
        text, node = self._text("country")
        codes = country_codes() if text else {}
        if not text or text in codes.values():
            return text
        said = f'{self._what("country")}: no holidays are known of "{text}", and a country is its two letters in ISO 3166'
        self.problems.add(node.place, "unknown-country", f"{said}{_nearest(text, codes, 'such as GB')}")
        return ""

    def _subdivision(self, country: str) -> str:
        text, node = self._text("subdivision")
        if not text:
            return ""
        if self.node.get("country") is None:
            said = f"{self._what('subdivision')} is a part of a country: name that too, as in country: GB"
            self.problems.add(node.place, "missing-key", said)
        if not country:
            return ""
        parts = subdivisions_of(country)
        if text in parts.values():
            return text
        several = "" if parts else "; it has no parts with holidays of their own: leave it out"
        said = f'{self._what("subdivision")}: no holidays are known of "{text}" in {country}'
        self.problems.add(node.place, "unknown-subdivision", f"{said}{_nearest(text, parts)}{several}")
        return ""

    # --- hours ---

    def _week(self) -> tuple[Spans, ...]:
        text, node = self._text("hours")
        if node is self.node or not node.is_text:
            return WEEKDAYS
        week: dict[str, Spans] = {}
        start = 0
        for part in text.split(","):
            self._part(part, start, node, week)
            start += len(part) + 1
        self._check_nights(node, week)
        return tuple(week.get(day, ()) for day in _DAYS)

    def _part(self, text: str, start: int, node: Node, week: dict[str, Spans]) -> None:
        """One part of the hours: days and then spans, as in `mon-thu 09:00-12:00 13:00-17:30`."""
        words = [(word[0], start + word.start()) for word in re.finditer(r"\S+", text)]
        for word, at in words:
            if word.startswith("-") or word.endswith("-"):
                self._refuse(node, at, "write days and spans without blanks in them, as in mon-fri 09:00-17:30")
                return
        days = [(day, at) for word, at in words if not word[0].isdigit() for day in self._days(word, at, node)]
        spans = [(word, at) for word, at in words if word[0].isdigit()]
        if not words:
            self._refuse(node, start, "hours are days and their spans, with commas between, as in mon-fri 09:00-17:30, sat")
        elif words[0] in spans:
            self._refuse(node, words[0][1], f'"{words[0][0]}" needs its days before it, as in mon-fri {words[0][0]}')
        elif spans and words[-len(spans) :] != spans:
            self._refuse(node, spans[0][1], f'after "{spans[0][0]}" come more days: put a comma before them')
        else:
            open_at = tuple(self._spans(spans, node)) if spans else WHOLE_DAY
            for day, at in days:
                if day in week:
                    self._refuse(node, at, f'"{day}" is given twice: put its hours together, as in {day} 09:00-12:00 13:00-17:30')
                week[day] = open_at

    def _days(self, word: str, at: int, node: Node) -> Iterator[str]:
        """The days that `mon`, `mon-fri` or `sat-mon` names."""
        first, dash, last = word.lower().partition("-")
        wrong = [(day, at + offset) for day, offset in ((first, 0), (last, len(first) + 1)) if day not in _DAYS]
        if not dash:
            wrong = [(day, place) for day, place in wrong if place == at]
        for day, place in wrong:
            hint = f' (did you mean "{day[:3]}"?)' if day[:3] in _DAYS else did_you_mean(day, _DAYS)
            self._refuse(node, place, f'"{day}" is not a day{hint}')
        if not wrong:
            start, end = _DAYS.index(first), _DAYS.index(last or first)
            yield from (_DAYS[day % 7] for day in range(start, end + 1 if end >= start else end + 8))

    def _spans(self, words: list[tuple[str, int]], node: Node) -> Iterator[tuple[int, int]]:
        """Opening and closing of each span in minutes; a closing at or before the opening is the next morning's."""
        before, over = "", 0
        for word, at in words:
            span = _SPAN.fullmatch(word)
            if span is None:
                self._refuse(node, at, f'"{word}" is not a span like 09:00-17:30, with two digits each')
                continue
            opening, closing = _minutes(span[1]), _minutes(span[2])
            if opening == closing:
                self._refuse(node, at, f'"{word}" opens and closes at the same time; a whole day is 00:00-24:00')
                continue
            if before and opening < over:
                self._refuse(node, at, f'"{word}" begins before {before} is over: write the spans of a day in order and apart')
            closing += 0 if closing > opening else _DAY_IN_MINUTES
            before, over = word, closing
            yield opening, closing

    def _check_nights(self, node: Node, week: Mapping[str, Spans]) -> None:
        for day, after in zip(_DAYS, (*_DAYS[1:], _DAYS[0]), strict=True):
            night, morning = week.get(day, ())[-1:], week.get(after, ())[:1]
            if night and morning and night[0][1] > morning[0][0] + _DAY_IN_MINUTES:
                self._refuse(node, 0, f"the night of {day} is not over when {after} opens: write the spans apart")

    def _refuse(self, node: Node, offset: int, said: str) -> None:
        self.problems.add(node.at(offset), "bad-hours", f'the calendar "{self.name}": {said}')

    # --- dates ---

    def _closed(self, opened: Mapping[date, Spans]) -> frozenset[date]:
        node = self.node.get("closed")
        found: set[date] = set()
        if node is None or not node.expect_list(self.problems, self._what("closed")):
            return frozenset()
        for element in node.elements:
            text = element.expect_text(self.problems, f"a date in {self._what('closed')}")
            day = None if text is None else self._date(text, element.place)
            if day is not None and (day in found or day in opened):
                other = "twice" if day in found else 'under "open" too'
                said = f'the calendar "{self.name}": {text} is listed {other}'
                self.problems.add(element.place, "already-defined", said)
            elif day is not None:
                found.add(day)
        return frozenset(found)

    def _opened(self) -> dict[date, Spans]:
        node = self.node.get("open")
        found: dict[date, Spans] = {}
        if node is None:
            return found
        if node.kind != "map":
            said = f"{self._what('open')} says for each date when, as in {{2026-12-26: 10:00-14:00}}, not {node.described()}"
            self.problems.add(node.place, "wrong-shape", said)
        for text, place, hours in node.items():
            day = self._date(text, place)
            written = hours.expect_text(self.problems, f'the hours of {text} in the calendar "{self.name}"')
            if day is None or written is None:
                continue
            words = [(word[0], word.start()) for word in re.finditer(r"\S+", written)]
            if not words:
                self._refuse(hours, 0, f"say when it is open on {text}, as in 10:00-14:00")
            found[day] = tuple(self._spans(words, hours))
        return found

    def _date(self, text: str, place: Place) -> date | None:
        try:
            day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
        except ValueError:
            day = None
        if day is None or not FIRST_YEAR <= day.year <= LAST_YEAR:
            said = f"is not a date like 2026-12-24 in the years {FIRST_YEAR} to {LAST_YEAR}"
            self.problems.add(place, "bad-date", f'the calendar "{self.name}": "{text}" {said}')
            return None
        return day


def _nearest(name: str, codes: Mapping[str, str], instead: str = "") -> str:
    """` (did you mean "GB"?)` for a name, alias or misspelling of what has a code."""
    plain = {alias.lower().replace(" ", "_"): code for alias, code in codes.items()}
    written = name.lower().replace(" ", "_")
    if written in plain:
        return f' (did you mean "{plain[written]}"?)'
    near = difflib.get_close_matches(written, plain, n=1, cutoff=0.8)
    if near:
        return f' (did you mean "{plain[near[0]]}"?)'
    return did_you_mean(name, set(codes.values())) or (f", {instead}" if instead else "")


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
