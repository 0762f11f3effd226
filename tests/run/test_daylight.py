"""On the days the clocks change: batches leave once, deadlines are where people expect them, and nothing is counted twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.facts.calendars import Calendar
from engine.facts.values import WorkingDuration
from engine.language.batches import Cadence, parse_batch
from tests.run.small import Client, a_sale, an_order, an_rma, client, small_rules

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = Calendar("office", BERLIN, (((540, 1020),),) * 5 + ((), ()))
SPRING = datetime(2027, 3, 28, tzinfo=BERLIN)  # 02:00 to 03:00 does not exist
AUTUMN = datetime(2026, 10, 25, tzinfo=BERLIN)  # 02:00 to 03:00 exists twice


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def refunded(world: Client) -> list[datetime]:
    return [datetime.fromisoformat(row["at"]).astimezone(UTC) for row in world.shop.books.refunds]


def story(path: Path, day: datetime) -> Client:
    """An RMA done on the day before, and one done in the night itself at 02:15 and at 02:45, by the clock on the wall."""
    start = (day - timedelta(hours=6)).astimezone(UTC)
    daily = small_rules(cadence={"marketplace.refund": Cadence(parse_batch("daily 02:30"))})
    world = client(path, daily, now=start, zone=BERLIN)
    for name in "BC":
        world.shop.books.orders[name] = {}

    def done(order: str, rma: str) -> None:
        now = world.clock()
        world.service.hear(
            [an_order(order, at=now), a_sale(f"S{order}", order, at=now), an_rma(rma, sale_id=f"S{order}", at=now)]
        )
        asyncio.run(world.service.step())

    done("A", "1")
    asyncio.run(world.service.play(world.clock, start + timedelta(hours=8, minutes=15)))
    done("B", "2")
    asyncio.run(world.service.play(world.clock, start + timedelta(hours=8, minutes=45)))
    done("C", "3")
    asyncio.run(world.service.play(world.clock, start + timedelta(days=3)))
    return world


def test_a_batch_at_a_time_that_does_not_exist_leaves_at_the_next_minute_that_does(tmp_path: Path) -> None:
    """02:30 is skipped: the batch leaves at 03:00, and what is done later that night with the next day's."""
    world = story(tmp_path / "a.db", SPRING)
    next_day = datetime(2027, 3, 29, 0, 30, tzinfo=UTC)
    assert refunded(world) == [datetime(2027, 3, 28, 1, tzinfo=UTC), next_day, next_day]


def test_a_batch_at_a_time_that_exists_twice_leaves_at_the_first(tmp_path: Path) -> None:
    """02:30 is at 00:30 and at 01:30 UTC: what is done in between waits for the next day."""
    world = story(tmp_path / "a.db", AUTUMN)
    first, next_day = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    assert refunded(world) == [first, first, next_day]


@pytest.mark.parametrize(
    ("scanned", "due"),
    [
        ("2027-03-25T11:00", "2027-03-29T11:00"),  # Thursday, over the weekend of spring: the same time of day
        ("2027-03-27T11:00", "2027-03-31T00:00"),  # from a Saturday: the end of the second working day
        ("2026-10-22T11:00", "2026-10-26T11:00"),
        ("2026-10-24T11:00", "2026-10-28T00:00"),
    ],
)
def test_two_working_days_end_at_the_same_time_of_day(scanned: str, due: str) -> None:
    assert OFFICE.add(local(scanned), WorkingDuration(2)) == local(due)


@pytest.mark.parametrize(
    ("scanned", "due"),
    [("2027-03-27T11:00", "2027-03-29T12:00"), ("2026-10-24T11:00", "2026-10-26T10:00")],
)
def test_48_hours_are_48_hours(scanned: str, due: str) -> None:
    """A marketplace that counts elapsed time does not know of clocks that change."""
    assert OFFICE.add(local(scanned), timedelta(hours=48)) == local(due)


@pytest.mark.parametrize("friday", ["2027-03-26T16:00", "2026-10-23T16:00"])
def test_working_hours_pass_only_while_the_office_is_open(friday: str) -> None:
    monday = local(friday) + timedelta(days=3)
    assert OFFICE.add(local(friday), WorkingDuration(timedelta(hours=4))) == monday.replace(hour=12)
