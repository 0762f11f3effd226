"""The service as a process runs it: woken by deliveries, by time, and by what others write into its store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.facts.outside import Feed
from engine.run.clock import SystemClock, VirtualClock
from engine.run.hearing.deeds import Deed
from engine.run.service import Service
from engine.store.sqlite import SqliteStore
from tests.run.small import NOON, Client, Shop, a_sale, an_order, an_rma, client, small_rules


@pytest.fixture
def world(tmp_path: Path) -> Client:
    return client(tmp_path / "a.db")


async def until(world: Client, holds: object) -> None:
    """Lets the service run until something is so; each turn of the loop costs no real time."""
    stop = asyncio.Event()
    running = asyncio.create_task(world.service.run(stop))
    for _ in range(10_000):
        if holds():  # type: ignore[operator]
            break
        await asyncio.sleep(0)
    else:
        pytest.fail("it never came to that")
    stop.set()
    await running


def test_a_delivery_wakes_the_service(world: Client) -> None:
    async def story() -> None:
        world.service.hear([an_order(), a_sale()])
        await until(world, lambda: world.store.cases.named("order:A") is not None)
        world.service.hear([an_rma()])
        await until(world, lambda: world.shop.books.refunds)

    asyncio.run(story())
    assert len(world.shop.books.refunds) == 1


def test_time_wakes_the_service(world: Client) -> None:
    world.service.hear([an_order(), a_sale(), an_rma(status="approved")])
    world.clock.move(NOON + timedelta(hours=1))
    asyncio.run(world.service.step())
    world.clock.move(NOON + timedelta(hours=48, minutes=59))
    asyncio.run(until(world, lambda: world.exceptions() == ["slow"]))


def test_a_feed_that_was_never_polled_is_polled_at_once_though_no_two_looks_at_the_clock_agree(tmp_path: Path) -> None:
    class Ticking(VirtualClock):
        def __call__(self) -> datetime:
            self.move(self._now + timedelta(microseconds=1))
            return super().__call__()

    shop = Shop(VirtualClock(NOON))
    shop.feeds = {"orders": Feed("orders", timedelta(hours=1))}
    clock = Ticking(NOON)
    service = Service(SqliteStore.open(tmp_path / "a.db"), small_rules(), {"marketplace": shop}, clock)
    asyncio.run(until(Client(service, shop, clock, tmp_path), lambda: "poll orders from ''" in shop.asked))
    assert clock() < NOON + timedelta(seconds=1)


def test_what_a_visitor_writes_down_is_taken_in(world: Client) -> None:
    world.service.hear([an_order(), a_sale(), an_rma(status="rejected")])
    asyncio.run(world.service.step())
    (row,) = world.store.exceptions.listed()

    async def story() -> None:
        visitor = SqliteStore.open(world.path, as_="visitor")
        with visitor.transaction():
            deed = Deed("person.answer", "order:A", row.entry.key, "ann", "keep")
            visitor.journal.append([deed.event(world.clock())], world.clock())
        visitor.close()
        await until(world, lambda: world.exceptions() == [])

    asyncio.run(story())


def test_an_answer_said_twice_because_nobody_heard_that_it_was_taken_is_taken_once(world: Client) -> None:
    world.service.hear([an_order(), a_sale(), an_rma(status="rejected")])
    asyncio.run(world.service.step())
    (row,) = world.store.exceptions.listed()
    deed = Deed("person.answer", "order:A", row.entry.key, "ann", "keep")
    world.service.hear([deed.event(NOON), deed.event(NOON + timedelta(hours=2))])
    asyncio.run(world.service.step())
    assert list(world.store.journal.waiting_aside()) == []
    assert world.exceptions() == []


def test_a_deed_that_came_too_late_is_set_aside_with_the_reason(world: Client) -> None:
    world.service.hear([an_order(), Deed("person.resolve", "order:A", "gone", "ann").event(NOON)])
    asyncio.run(world.service.step())
    assert [row.reason for row in world.store.journal.waiting_aside()] == ["no open exception gone"]
    assert world.exceptions() == ["set_aside"]


def test_real_time_waits_until_woken() -> None:
    async def story() -> None:
        clock = SystemClock()
        woken = asyncio.Event()
        woken.set()
        await clock.wait(None, woken)
        await clock.wait(clock() - timedelta(seconds=1), asyncio.Event())
        assert clock().tzinfo is UTC

    asyncio.run(story())


def test_virtual_time_only_goes_forward() -> None:
    clock = VirtualClock(datetime(2026, 11, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="cannot go back"):
        clock.move(datetime(2026, 10, 31, tzinfo=UTC))


def test_closing_closes_connections_and_lets_the_store_go(world: Client) -> None:
    asyncio.run(world.service.close())
    assert world.shop.asked == ["close"]
    SqliteStore.open(world.path).close()
