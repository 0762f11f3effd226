"""A marketplace that counts its deadline in working time: the refund leaves, and a person is told, by the operator's calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.facts.calendars import Calendar, Spans
from engine.facts.values import WorkingDuration
from tests.journeys.base_pack import Journey, base_pack, base_with

OFFICE: Spans = ((540, 1050),)  # 09:00-17:30
US = Calendar("us_operator", ZoneInfo("America/New_York"), (*(OFFICE,) * 5, (), ()), "US")
THANKSGIVING_EVE = datetime(2026, 11, 25, 21, tzinfo=UTC)  # Wednesday, 16:00 in New York


def waiting_for_inspection(**params: Any) -> Journey:
    rules = base_with(refund_on="inspection", sla_calendar=US, **params)
    return Journey(rules, start=THANKSGIVING_EVE).order().rma().scan()


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of November or December in New York."""
    month = 11 if day > 20 else 12
    return datetime(2026, month, day, hour, minute, tzinfo=US.zone).astimezone(UTC)


def test_a_client_that_sets_nothing_has_a_deadline_in_elapsed_hours() -> None:
    params = base_pack().params
    assert (params["refund_within"], params["sla_calendar"].name) == (timedelta(hours=48), "weekdays")


@pytest.mark.parametrize(
    ("within", "margin", "sent_at"),
    [
        (timedelta(hours=48), timedelta(hours=4), at(27, 12)),
        (WorkingDuration(2), timedelta(hours=4), at(30, 12)),  # Thursday is a holiday, so the second day is Monday
        (WorkingDuration(2), WorkingDuration(1), at(27, 16)),
        (WorkingDuration(timedelta(hours=3)), timedelta(hours=0), at(27, 10, 30)),
        (WorkingDuration(timedelta(hours=3)), WorkingDuration(timedelta(hours=2)), at(25, 17)),
    ],
)
def test_a_refund_leaves_in_time_whatever_the_deadline_is_counted_in(within: Any, margin: Any, sent_at: datetime) -> None:
    case = waiting_for_inspection(refund_within=within, sla_margin=margin)
    case.at(sent_at - timedelta(seconds=1))
    assert case.refunds == []
    case.at(sent_at)
    assert case.refunds == [("L1#1", "50.00")]


def test_operations_are_told_in_working_hours() -> None:
    """The deadline is Monday 16:00; four working hours before it somebody is there to be told."""
    four = WorkingDuration(timedelta(hours=4))
    case = waiting_for_inspection(refund_within=WorkingDuration(2), sla_alarm=four)
    case.at(at(30, 11, 59))
    assert "deadline_at_risk" not in case.open
    case.at(at(30, 12))
    assert case.open["deadline_at_risk"].title.endswith("must be refunded before 2026-11-30T21:00Z")
    case.at(at(30, 16))
    assert {"deadline_missed", "promise_broken"} & case.open.keys()


def test_a_deadline_that_no_calendar_reaches_is_undecided_and_told() -> None:
    case = waiting_for_inspection(refund_within=WorkingDuration(999_999))
    case.hours(25)
    assert case.refunds == []
    assert "undecided" in case.open
