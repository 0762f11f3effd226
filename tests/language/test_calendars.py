"""A client's calendars are read as they are written, and are part of what a rule set means."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.facts.calendars import WEEKDAYS, WHOLE_DAY, Calendar, Spans
from engine.facts.values import WorkingDuration
from engine.language.calendars import BUILT_IN, read_calendars, zone_named
from engine.language.durations import WORKING_PATTERN, parse_working
from engine.language.pack import load
from engine.language.ruleset import RuleSet
from engine.language.source import read_source
from engine.problems import Problems
from tests.language.small_world import ACTIONS, project

LONDON = ZoneInfo("Europe/London")
OFFICE: Spans = ((540, 1050),)
FRIDAY = datetime(2026, 11, 27, 16, tzinfo=UTC)


def read(text: str) -> tuple[dict[str, Calendar], Problems]:
    problems = Problems()
    node = read_source(text, "client.yaml", problems)
    return read_calendars(node, LONDON, problems), problems


def one(text: str) -> Calendar:
    found, problems = read(f"it: {text}")
    assert not problems, str(problems)
    return found["it"]


@pytest.mark.parametrize(
    ("hours", "week"),
    [
        ("mon-fri 09:00-17:30", (OFFICE,) * 5 + ((),) * 2),
        ("Mon-Fri 09:00-17:30", (OFFICE,) * 5 + ((),) * 2),
        ("mon-fri", WEEKDAYS),
        ("mon-sun 00:00-24:00", (WHOLE_DAY,) * 7),
        (
            "mon-thu 09:00-12:00 13:00-17:30, fri 09:00-15:00",
            (((540, 720), (780, 1050)),) * 4 + (((540, 900),), (), ()),
        ),
        ("mon wed fri 09:00-17:30", (OFFICE, (), OFFICE, (), OFFICE, (), ())),
        ("sat-mon 09:00-17:30", (OFFICE, (), (), (), (), OFFICE, OFFICE)),
        ("fri 22:00-06:00", ((), (), (), (), ((1320, 1800),), (), ())),
        ("mon-fri 06:00-14:00 22:00-06:00", (((360, 840), (1320, 1800)),) * 5 + ((),) * 2),
    ],
)
def test_hours_are_read_as_people_write_them(hours: str, week: tuple[Spans, ...]) -> None:
    assert one(f'{{hours: "{hours}"}}').week == week


def test_what_is_not_said_is_the_clients_zone_and_whole_weekdays() -> None:
    assert one("{country: US}") == Calendar("it", LONDON, WEEKDAYS, "US")
    assert one("{country: US, subdivision: CA, time_zone: America/Los_Angeles}") == Calendar(
        "it", ZoneInfo("America/Los_Angeles"), WEEKDAYS, "US", "CA"
    )


def test_dates_of_its_own_are_read() -> None:
    calendar = one("{closed: [2026-12-24], open: {2026-12-26: 10:00-12:00 13:00-14:00, 2026-12-28: 00:00-24:00}}")
    assert calendar.closed == {date(2026, 12, 24)}
    assert calendar.opened == {date(2026, 12, 26): ((600, 720), (780, 840)), date(2026, 12, 28): WHOLE_DAY}


def test_every_client_and_every_pack_has_weekdays() -> None:
    found, problems = read("uk: {country: GB}")
    assert (list(found), len(problems)) == ([BUILT_IN, "uk"], 0)
    assert read_calendars(None, LONDON, problems) == {BUILT_IN: Calendar(BUILT_IN, LONDON)}


@given(st.text(st.sampled_from("monfrisat 0123456789:-,"), max_size=40), st.sampled_from(["hours", "time_zone", "country"]))
def test_nothing_that_is_written_makes_reading_raise(text: str, key: str) -> None:
    found, problems = read(
        f'it: {{country: GB, hours: mon, {key}2: "", open: {{2026-12-26: "{text}"}}}}\nit2: {{{key}: "{text}"}}'
    )
    assert {"it", "it2"} <= found.keys()
    assert all(problem.place.line <= 2 for problem in problems)


@given(st.from_regex(re.compile(WORKING_PATTERN, re.ASCII)))
def test_what_editors_let_pass_as_a_working_duration_is_one(text: str) -> None:
    assert isinstance(parse_working(text), WorkingDuration)


def test_a_zone_that_does_not_exist_is_told_with_the_nearest() -> None:
    with pytest.raises(ValueError, match='did you mean "Europe/London"'):
        zone_named("Europe/Lodnon")


CLIENT = """client: acme
extends: [base]
calendars:
  uk: {CALENDAR}
params: {{counted_by: uk, {PARAM}}}
"""
OWN = """params:
  counted_by: {type: calendar, default: weekdays}
  within: {type: period, default: 48h}
facts:
  rma.late_on: add_working(rma.scanned_at, params.within, params.counted_by)
"""


def loaded(root: Path, calendar: str = "{country: GB}", param: str = "within: 2 working days") -> RuleSet:
    client = CLIENT.format(CALENDAR=calendar, PARAM=param)
    project(root, {"rules/clients/acme/client.yaml": client, "rules/clients/acme/own.yaml": OWN})
    return load(root, "acme", ACTIONS)


def test_a_parameter_chooses_the_calendar_and_what_is_counted(tmp_path: Path) -> None:
    rule_set = loaded(tmp_path)
    late_on = rule_set.derived["rma.late_on"].expression
    env = {"rma": {"scanned_at": FRIDAY}, "params": rule_set.params}
    assert late_on.explain(env).value == datetime(2026, 12, 1, 16, tzinfo=UTC)


def test_a_calendar_is_part_of_what_a_rule_set_means_and_its_use_is_not(tmp_path: Path) -> None:
    first, again = loaded(tmp_path / "a"), loaded(tmp_path / "b", "{country:   GB,  hours: mon-fri}")
    first.params["counted_by"].add(FRIDAY, WorkingDuration(2))
    assert first.hash == again.hash == loaded(tmp_path / "a").hash
    others = [
        loaded(tmp_path / "c", "{country: US}"),
        loaded(tmp_path / "d", "{country: GB, closed: [2026-12-24]}"),
        loaded(tmp_path / "e", "{country: GB, hours: mon-fri 09:00-17:00}"),
        loaded(tmp_path / "f", "{country: GB, time_zone: Europe/London}"),
        loaded(tmp_path / "g", "{country: GB, open: {2026-12-26: 10:00-14:00}}"),
        loaded(tmp_path / "h", param="within: 48h"),
        loaded(tmp_path / "i", param="within: 2 working hours"),
    ]
    assert len({first.hash, *(other.hash for other in others)}) == 8
