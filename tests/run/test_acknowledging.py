"""Deliveries that come together share a commit, and none is acknowledged before the commit that holds it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from engine.facts.outside import Event
from engine.run.hearing.journalling import Written
from engine.run.web.acknowledging import Acknowledging, NotKept
from engine.store.sqlite import SqliteStore
from tests.run.small import NOON, Client, client, order_fields, plain


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Client]:
    made = client(tmp_path / "a.db")
    yield made
    made.store.close()


def order(n: int) -> Event:
    return plain("order", f"O{n}", delivery=f"d{n}", **order_fields(f"O{n}"))


@contextmanager
def commits(world: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    made: list[str] = []

    def end(store: SqliteStore, commit: str) -> None:
        made.append(commit)
        plainly(store, commit)

    plainly = SqliteStore._end
    monkeypatch.setattr(SqliteStore, "_end", end)
    yield made
    monkeypatch.undo()


def test_deliveries_that_come_together_share_a_commit(world: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> list[Written]:
        door = Acknowledging(world.store, world.clock, world.service.wake)
        try:
            return await asyncio.gather(*(door.keep([order(n)]) for n in range(200)))
        finally:
            await door.close()

    with commits(world, monkeypatch) as made:
        assert asyncio.run(play()) == [Written(1, 0)] * 200
    assert made.count("commit") <= 2
    assert world.store.journal.behind() == 200


def test_none_is_acknowledged_before_its_commit(world: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen from another connection, at the moment each is acknowledged."""

    async def play() -> None:
        door = Acknowledging(world.store, world.clock, world.service.wake)
        reader = sqlite3.connect(world.path)

        async def deliver(n: int) -> None:
            await asyncio.sleep(0.001 * (n % 7))
            await door.keep([order(n)])
            found = reader.execute("select count(*) from journal where delivery = ?", (f"d{n}",)).fetchone()
            assert found == (1,)

        await asyncio.gather(*(deliver(n) for n in range(100)))
        await door.close()
        reader.close()

    asyncio.run(play())


def test_one_that_cannot_be_written_fails_alone(world: Client) -> None:
    bad = plain("order", "\ud800", delivery="\ud800", **order_fields("X"))

    async def play() -> list[Written | BaseException]:
        door = Acknowledging(world.store, world.clock, world.service.wake)
        try:
            return await asyncio.gather(*(door.keep([one]) for one in (order(1), bad, order(2))), return_exceptions=True)
        finally:
            await door.close()

    first, second, third = asyncio.run(play())
    assert (first, third) == (Written(1, 0), Written(1, 0))
    assert isinstance(second, NotKept)
    assert second.lasting
    assert world.store.journal.behind() == 2


def test_a_store_that_is_locked_acknowledges_nothing_and_works_again_afterwards(
    world: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.run.web.acknowledging.PATIENCE", 0.05)

    async def play() -> None:
        door = Acknowledging(world.store, world.clock, world.service.wake)
        other = sqlite3.connect(world.path, isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(NotKept):
            await door.keep([order(1)])
        assert door.trouble
        other.execute("rollback")
        other.close()
        assert await door.keep([order(1)]) == Written(1, 0)
        assert not door.trouble
        await door.close()

    asyncio.run(play())


def test_an_engine_that_keeps_the_store_for_itself_delays_no_answer_past_the_limit(
    world: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.run.web.acknowledging.PATIENCE", 0.05)

    async def play() -> None:
        door = Acknowledging(world.store, world.clock, world.service.wake)
        with world.store.transaction(), pytest.raises(NotKept):
            await door.keep([order(1)])
        assert await door.keep([order(1)]) == Written(1, 0)
        await door.close()

    asyncio.run(play())


def test_what_was_begun_is_finished_when_it_closes_and_nothing_more_is_taken(world: Client) -> None:
    async def play() -> None:
        door = Acknowledging(world.store, world.clock, world.service.wake)
        under_way = [asyncio.create_task(door.keep([order(n)])) for n in range(20)]
        await asyncio.sleep(0)
        await door.close()
        assert await asyncio.gather(*under_way) == [Written(1, 0)] * 20
        with pytest.raises(NotKept):
            await door.keep([order(99)])

    asyncio.run(play())
    assert world.store.journal.behind() == 20


def test_while_deliveries_wait_the_engine_takes_fewer_events_at_a_time(world: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    world.service.hear([order(n) for n in range(300)])
    monkeypatch.setattr(SqliteStore, "wanted_elsewhere", property(lambda _: True))
    sizes = []
    for _ in range(8):
        before = world.store.journal.position()
        world.service.intake.take_some()
        sizes.append(world.store.journal.position() - before)
    assert sizes == [50, 25, 12, 6, 4, 4, 4, 4]
    monkeypatch.undo()
    while world.service.intake.take_some():
        pass
    assert world.store.journal.behind() == 0


def test_what_comes_while_a_journal_is_worked_off_waits_for_the_next_round(world: Client) -> None:
    """So that deadlines are kept however much comes in: what was known at first is taken in, then it is acted on."""
    world.service.hear([order(n) for n in range(120)])

    async def play() -> None:
        taking = asyncio.create_task(world.service._take_in())
        await asyncio.sleep(0)
        world.service.hear([order(n) for n in range(200, 230)])
        assert await taking

    asyncio.run(play())
    assert world.store.journal.behind() == 30
    assert world.clock() - NOON == timedelta(0)
