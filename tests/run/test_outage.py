"""A service that was away for long: what fell due meanwhile is done once, the most urgent first, and said to be late."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from io import StringIO
from pathlib import Path

from rich.console import Console

from engine.desk.effects import Which
from engine.desk.effects import listed as effects_listed
from engine.desk.exceptions import listed, table
from engine.facts.schema import Type
from tests.run.small import NOON, Client, a_sale, an_order, an_rma, client, expression, refund_rule, small_rules

HOUR = timedelta(hours=1)
CASES = 60
TWO_DAYS = expression("2d", lambda _: timedelta(days=2), Type("duration"))


def many(path: Path) -> Client:
    """Cases whose deadlines fall five minutes apart; the one that is due first is the last in the store."""
    world = client(path)
    for n in range(CASES):
        world.service.hear([an_order(f"N{n:03}"), a_sale(f"SN{n:03}", f"N{n:03}")])
    for n in reversed(range(CASES)):
        world.service.hear([an_rma(f"{n}", sale_id=f"SN{n:03}", status="approved")])
        asyncio.run(world.service.step())
        world.clock.move(world.clock() + timedelta(minutes=5))
    return world


def away(world: Client, time: timedelta) -> Client:
    now = world.clock() + time
    asyncio.run(world.service.close())
    again = client(world.path, now=now, shop=world.shop)
    asyncio.run(again.service.step())
    return again


def test_everything_overdue_comes_once_in_the_order_it_fell_due_and_late(tmp_path: Path) -> None:
    world = many(tmp_path / "a.db")
    again = away(world, timedelta(days=5))
    for _ in range(3):
        asyncio.run(again.service.step())
    rows = again.store.exceptions.listed(only_open=False)
    slow = sorted((row for row in rows if row.entry.rule == "slow"), key=lambda row: row.id)
    assert [row.case for row in slow] == [f"order:N{n:03}" for n in reversed(range(CASES))]
    assert len(rows) == CASES
    late = again.store.safekeeping.late()
    assert [late["exception", row.entry.key, row.entry.opened_at].due_at for row in slow] == [
        NOON + 48 * HOUR + timedelta(minutes=5 * n) for n in range(CASES)
    ]


def test_it_is_told_where_people_look(tmp_path: Path) -> None:
    world = client(tmp_path / "a.db")
    world.service.hear([an_order(), a_sale(), an_rma(status="approved")])
    asyncio.run(world.service.step())
    again = away(world, timedelta(days=2, hours=3, minutes=20))
    (row,) = listed(tmp_path / "a.db", None, only_open=True)
    assert row["late_by"] == "3h 20m"
    printed = Console(width=200, file=StringIO())
    printed.print(table([row]))
    assert "late by 3h 20m" in printed.file.getvalue()
    again.store.close()


def test_a_refund_that_is_late_says_so(tmp_path: Path) -> None:
    world = client(tmp_path / "a.db", small_rules(refund_rule(hold_for=TWO_DAYS)))
    world.service.hear([an_order(), a_sale(), an_rma()])
    asyncio.run(world.service.step())
    asyncio.run(world.service.close())
    again = client(
        world.path, small_rules(refund_rule(hold_for=TWO_DAYS)), now=NOON + timedelta(days=2, hours=1), shop=world.shop
    )
    asyncio.run(again.service.step())
    assert len(again.shop.books.refunds) == 1
    (row,) = effects_listed(tmp_path / "a.db", None, Which(status="settled"))
    assert row["late_by"] == "1h"
    again.store.close()


def test_a_service_that_was_there_is_late_for_nothing(tmp_path: Path) -> None:
    world = client(tmp_path / "a.db")
    world.service.hear([an_order(), a_sale(), an_rma(status="approved")])
    asyncio.run(world.service.play(world.clock, NOON + timedelta(days=3)))
    assert world.exceptions() == ["slow"]
    assert world.store.safekeeping.late() == {}


def test_what_facts_brought_after_an_outage_is_not_late(tmp_path: Path) -> None:
    world = client(tmp_path / "a.db")
    world.service.hear([an_order(), a_sale(), an_rma(status="approved")])
    asyncio.run(world.service.step())
    asyncio.run(world.service.close())
    again = client(world.path, now=NOON + timedelta(days=5), shop=world.shop)
    again.service.hear([an_rma(status="rejected", at=again.clock())])
    asyncio.run(again.service.step())
    assert again.exceptions() == ["rejected"]
    assert again.store.safekeeping.late() == {}
