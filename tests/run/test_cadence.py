"""Batches leave at their time, in the client's time zone, once a day whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.run.cadence import next_batch

LONDON = ZoneInfo("Europe/London")
ZONES = st.sampled_from(
    ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "America/Sao_Paulo", "Africa/Cairo"]
)


def test_a_time_the_clock_skips_runs_at_the_next_valid_minute() -> None:
    """29 March 2026: London goes from 01:00 to 02:00."""
    batch = next_batch("daily 01:30", datetime(2026, 3, 28, 12, tzinfo=UTC), LONDON)
    assert batch == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert batch.astimezone(LONDON).isoformat() == "2026-03-29T02:00:00+01:00"


def test_a_time_the_clock_repeats_runs_once() -> None:
    """25 October 2026: London has 01:30 twice."""
    first = next_batch("daily 01:30", datetime(2026, 10, 24, 12, tzinfo=UTC), LONDON)
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert next_batch("daily 01:30", first + timedelta(seconds=1), LONDON) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_a_batch_on_a_date_the_clock_skips_runs_once_that_date_is_over() -> None:
    """Apia had no 30 December 2011."""
    zone = ZoneInfo("Pacific/Apia")
    batch = next_batch("daily 02:00", datetime(2011, 12, 29, 20, tzinfo=UTC), zone)
    assert batch.astimezone(zone).isoformat() == "2011-12-31T00:00:00+14:00"
    following = next_batch("daily 02:00", batch + timedelta(seconds=1), zone)
    assert following.astimezone(zone).isoformat() == "2011-12-31T02:00:00+14:00"


def test_what_is_planned_between_the_two_passes_of_a_time_waits_for_the_next_day() -> None:
    """25 October 2026: London has 01:30 at 00:30 and at 01:30 UTC."""
    assert next_batch("daily 01:30", datetime(2026, 10, 25, 1, tzinfo=UTC), LONDON) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_what_is_planned_at_the_very_time_leaves_with_that_batch() -> None:
    at = datetime(2026, 11, 1, 2, tzinfo=UTC)
    assert next_batch("daily 02:00", at, ZoneInfo("UTC")) == at


def test_any_other_word_is_refused() -> None:
    with pytest.raises(ValueError, match="not a cadence"):
        next_batch("weekly 02:00", datetime(2026, 11, 1, tzinfo=UTC), LONDON)


@given(
    after=st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2035, 1, 1)),  # noqa: DTZ001 - UTC is put on below
    minute=st.integers(0, 1439),
    zone=ZONES,
)
def test_there_is_exactly_one_batch_a_local_day(after: datetime, minute: int, zone: str) -> None:
    cadence = f"daily {minute // 60:02d}:{minute % 60:02d}"
    local = ZoneInfo(zone)
    first = next_batch(cadence, after.replace(tzinfo=UTC), local)
    second = next_batch(cadence, first + timedelta(microseconds=1), local)
    assert after.replace(tzinfo=UTC) <= first < second
    assert (second.astimezone(local).date() - first.astimezone(local).date()).days == 1
