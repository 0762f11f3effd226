"""Polls and fetches within what the outside allows: in turns, without trying in vain, and after an outage without a stampede."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from connectors.mirakl.connector import MiraklConnector, MiraklSettings
from connectors.mirakl.sandbox import MiraklSandbox
from connectors.mirakl.shapes import NewLine
from connectors.serving import Served
from engine.facts.budget import Limit
from engine.facts.outside import Feed, Hint, Ref
from engine.run.clock import VirtualClock
from engine.run.service import Service
from engine.store.sqlite import SqliteStore
from tests.run.small import NOON, Client, client, small_rules

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def on(world: Client, length: timedelta) -> None:
    asyncio.run(world.service.play(world.clock, world.clock() + length))


async def _played(service: Service, clock: VirtualClock, length: timedelta) -> None:
    try:
        await service.play(clock, clock() + length)
    finally:
        await service.close()


def test_feeds_that_share_one_request_in_fifteen_minutes_take_turns(tmp_path: Path) -> None:
    """An external partner lists orders four times an hour at most, and open incidents are listed by the same operation."""
    clock = VirtualClock(NOON)
    sandbox = MiraklSandbox(clock)
    sandbox.admission.limits = (Limit(1, 15 * MINUTE, "OR11"), Limit(1, 5 * MINUTE, "RT11"))
    with Served(sandbox.app) as url:
        settings_ = MiraklSettings(**sandbox.settings(url), external_partner=True)
        service = Service(
            SqliteStore.open(tmp_path / "a.db"), small_rules(), {"marketplace": MiraklConnector(settings_, clock, {})}, clock
        )
        asyncio.run(_played(service, clock, 12 * HOUR))
    listed = [query for operation, query, _ in sandbox.received if operation == "OR11" and "order_ids" not in query]
    incidents = sum("has_incident" in query for query in listed)
    assert sandbox.admission.refused == 0
    assert len(listed) == 12 * 4 + 1
    assert 8 <= incidents <= 12
    assert {operation for _, operation, _ in service.budget.sent} <= set(MiraklConnector.quota.operations)


def test_after_an_outage_of_days_polls_catch_up_one_after_another_and_not_all_at_once(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    sandbox = MiraklSandbox(clock)
    sandbox.admission.limits = MiraklConnector.quota.limits
    with Served(sandbox.app) as url:

        def life(length: timedelta) -> None:
            connector = MiraklConnector(MiraklSettings(**sandbox.settings(url)), clock, {})
            store = SqliteStore.open(tmp_path / "a.db")
            asyncio.run(_played(Service(store, small_rules(), {"marketplace": connector}, clock), clock, length))

        life(HOUR)
        for number in range(250):
            sandbox.world.add_order(f"A-{number}", NewLine("SKU"))
        clock.move(clock() + 3 * DAY)
        before = len(sandbox.received)
        life(10 * MINUTE)
    asked = [(operation, "offset=0" in query) for operation, query, _ in sandbox.received[before:]]
    assert asked.count(("OR11", True)) == 3  # orders, incidents five minutes later, orders again
    assert asked.count(("OR11", False)) == 4  # further pages of the two listings of 250 orders
    assert sandbox.admission.refused == 0


def test_a_poll_that_waits_for_the_budget_is_no_poll_that_fails(tmp_path: Path) -> None:
    shop = client(tmp_path / "a.db", limits={"marketplace": [Limit(2, HOUR)]})
    shop.shop.feeds = {"orders": Feed("orders", 10 * MINUTE)}
    on(shop, 30 * HOUR + 25 * MINUTE)
    assert shop.exceptions() == []
    status = shop.service.status()
    assert status["failing"] == []
    (waiting,) = status["waiting"]
    assert (waiting["connector"], waiting["feed"]) == ("shop", "orders")
    assert "2 requests per 1h" in waiting["why"]
    assert len(shop.shop.asked) == 2 * 31  # no try was made in vain


def test_fetches_wait_for_the_budget_without_being_tried_one_by_one(tmp_path: Path) -> None:
    shop = client(tmp_path / "a.db", limits={"marketplace": [Limit(10, HOUR)]})
    shop.service.hear([Hint("shop", Ref("shop.order", str(number))) for number in range(30)])
    asyncio.run(shop.service.step())
    assert len(shop.shop.asked) == 9
    assert shop.service.next_due() == NOON + HOUR
    on(shop, 4 * HOUR)
    assert sum(asked.startswith("fetch") for asked in shop.shop.asked) == 30


def test_a_fetch_that_waits_for_a_day_holds_up_none_of_another_kind(tmp_path: Path) -> None:
    """The account may be read once a day, orders by their ids as often as wanted."""
    clock = VirtualClock(NOON)
    sandbox = MiraklSandbox(clock)
    sandbox.admission.limits = MiraklConnector.quota.limits
    sandbox.world.add_order("A-1", NewLine("SKU"))

    async def asked(service: Service) -> None:
        await service.step()
        service.hear([Hint("mirakl", Ref("mirakl.account", "")), Hint("mirakl", Ref("mirakl.order", "A-1"))])
        await service.step()
        await service.close()

    with Served(sandbox.app) as url:
        connector = MiraklConnector(MiraklSettings(**sandbox.settings(url)), clock, {})
        asyncio.run(asked(Service(SqliteStore.open(tmp_path / "a.db"), small_rules(), {"marketplace": connector}, clock)))
    operations = [operation for operation, _, _ in sandbox.received]
    assert operations.count("A01") == 1
    assert any("order_ids" in query for _, query, _ in sandbox.received)
