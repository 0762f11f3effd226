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
    ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "America/Sao_Paulo"]
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
