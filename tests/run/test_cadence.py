"""Batches leave at their time, in the client's time zone, once a day whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.facts.calendars import Calendar
from engine.facts.effects import EffectState
from engine.language.batches import Cadence, parse_batch
from engine.run.deciding.cadence import due_at, next_batch
from tests.run.small import NOON, small_rules

LONDON = ZoneInfo("Europe/London")
ZONES = st.sampled_from(
    ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "America/Sao_Paulo", "Africa/Cairo"]
)


def at(text: str) -> Cadence:
    return Cadence(parse_batch(text))


def test_a_time_the_clock_skips_runs_at_the_next_valid_minute() -> None:
    """29 March 2026: London goes from 01:00 to 02:00."""
    batch = next_batch(at("daily 01:30"), datetime(2026, 3, 28, 12, tzinfo=UTC), LONDON)
    assert batch == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert batch.astimezone(LONDON).isoformat() == "2026-03-29T02:00:00+01:00"


def test_a_time_the_clock_repeats_runs_once() -> None:
    """25 October 2026: London has 01:30 twice."""
    first = next_batch(at("daily 01:30"), datetime(2026, 10, 24, 12, tzinfo=UTC), LONDON)
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert next_batch(at("daily 01:30"), first + timedelta(seconds=1), LONDON) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_a_batch_on_a_date_the_clock_skips_runs_once_that_date_is_over() -> None:
    """Apia had no 30 December 2011."""
    zone = ZoneInfo("Pacific/Apia")
    batch = next_batch(at("daily 02:00"), datetime(2011, 12, 29, 20, tzinfo=UTC), zone)
    assert batch.astimezone(zone).isoformat() == "2011-12-31T00:00:00+14:00"
    following = next_batch(at("daily 02:00"), batch + timedelta(seconds=1), zone)
    assert following.astimezone(zone).isoformat() == "2011-12-31T02:00:00+14:00"


def test_what_is_planned_between_the_two_passes_of_a_time_waits_for_the_next_day() -> None:
    """25 October 2026: London has 01:30 at 00:30 and at 01:30 UTC."""
    assert next_batch(at("daily 01:30"), datetime(2026, 10, 25, 1, tzinfo=UTC), LONDON) == datetime(
        2026, 10, 26, 1, 30, tzinfo=UTC
    )


def test_what_is_planned_at_the_very_time_leaves_with_that_batch() -> None:
    two = datetime(2026, 11, 1, 2, tzinfo=UTC)
    assert next_batch(at("daily 02:00"), two, ZoneInfo("UTC")) == two


@pytest.mark.parametrize(
    ("batch", "wanted"),
    [
        ("mon-fri 18:00", "Mon 02T18:00 Tue 03T18:00 Wed 04T18:00 Thu 05T18:00 Fri 06T18:00 Mon 09T18:00"),
        ("sat-mon 18:00", "Sun 01T18:00 Mon 02T18:00 Sat 07T18:00 Sun 08T18:00 Mon 09T18:00 Sat 14T18:00"),
        ("mon, thu 06:00 14:00", "Mon 02T06:00 Mon 02T14:00 Thu 05T06:00 Thu 05T14:00 Mon 09T06:00 Mon 09T14:00"),
        ("monthly 15 02:00", "Sun 15T02:00 Tue 15T02:00 Fri 15T02:00 Mon 15T02:00 Mon 15T02:00 Thu 15T02:00"),
        ("monthly last 23:00", "Mon 30T23:00 Thu 31T23:00 Sun 31T23:00 Sun 28T23:00 Wed 31T23:00 Fri 30T23:00"),
    ],
)
def test_batches_of_some_days_only(batch: str, wanted: str) -> None:
    moment, found = datetime(2026, 11, 1, 12, tzinfo=UTC), []
    for _ in range(6):
        moment = next_batch(at(batch), moment, ZoneInfo("UTC"))
        found.append(f"{moment:%a %dT%H:%M}")
        moment += timedelta(minutes=1)
    assert " ".join(found) == wanted


def test_a_batch_of_working_days_leaves_out_holidays() -> None:
    """25 December 2026 is a Friday, and Boxing Day is kept on the Monday after."""
    england = Calendar("uk", LONDON, country="GB", subdivision="ENG")
    cadence = Cadence(parse_batch("working days 18:00"), calendar=england)
    first = next_batch(cadence, datetime(2026, 12, 24, 12, tzinfo=UTC), LONDON)
    assert [first.day, next_batch(cadence, first + timedelta(minutes=1), LONDON).day] == [24, 29]


def effect(**more: Any) -> EffectState:
    known = {"key": "post:1", "action": "finance.post", "subject": "1", "units": (), "claims": (), "params": {}, "rule": "r"}
    return EffectState(**{**known, "item": "", "group": "settlement", "status": "planned", "planned_at": NOON, **more})


def due(text: str, not_later: timedelta | None = None, **more: Any) -> datetime | None:
    rules = small_rules(cadence={"finance.post": Cadence(parse_batch(text), not_later)})
    return due_at(effect(**more), rules, ZoneInfo("UTC"), NOON)


def test_an_effect_leaves_at_its_batch_or_not_later_whichever_is_first() -> None:
    assert due("daily 02:00", timedelta(hours=20)) == NOON + timedelta(hours=14)
    assert due("daily 02:00", timedelta(hours=6)) == NOON + timedelta(hours=6)
    assert due("monthly last 02:00", timedelta(days=2)) == NOON + timedelta(days=2)


def test_the_group_sla_waits_for_no_batch() -> None:
    assert due("daily 02:00", group="sla") == NOON


def test_what_waits_for_its_turn_leaves_with_the_batch_after_it() -> None:
    turn = NOON + timedelta(hours=15)
    assert due("daily 02:00", turn_at=turn) == NOON + timedelta(hours=38)
    assert due("daily 02:00", timedelta(hours=1), turn_at=turn) == turn


def test_what_is_tried_again_waits_for_no_further_batch() -> None:
    again = NOON + timedelta(hours=14, minutes=10)
    assert due("daily 02:00", not_before=again) == again


@given(
    after=st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2035, 1, 1)),  # noqa: DTZ001 - UTC is put on below
    minute=st.integers(0, 1439),
    zone=ZONES,
)
def test_there_is_exactly_one_batch_a_local_day(after: datetime, minute: int, zone: str) -> None:
    cadence = at(f"daily {minute // 60:02d}:{minute % 60:02d}")
    local = ZoneInfo(zone)
    first = next_batch(cadence, after.replace(tzinfo=UTC), local)
    second = next_batch(cadence, first + timedelta(microseconds=1), local)
    assert after.replace(tzinfo=UTC) <= first < second
    assert (second.astimezone(local).date() - first.astimezone(local).date()).days == 1
