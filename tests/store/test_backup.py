"""A copy of a store in use is whole, checked and only its owner's; put back, nothing it does not know of is sent again."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from engine.run.kept.verify import verify
from engine.store.rows import StoreInUse
from engine.store.sqlite import SqliteStore
from engine.store.sqlite.backup import NotCopied, backup, restore
from engine.store.trouble import StoreTrouble
from tests.run.small import NOON, Client, a_sale, an_order, an_rma, client
from tests.store.faults import fill, flip, small_disk
from tests.store.test_trouble import keep, kept

LAG = timedelta(minutes=10)  # before a refund shows in the marketplace


@pytest.fixture
def world(tmp_path: Path) -> Client:
    made = client(tmp_path / "a.db")
    made.service.hear([an_order(), a_sale(), an_rma(status="approved")])
    asyncio.run(made.service.step())
    return made


class TestBackup:
    def test_beside_a_service_that_writes_all_the_while(self, tmp_path: Path) -> None:
        """It holds everything up to one moment, and takes no longer because of what is written meanwhile."""
        store = SqliteStore.open(tmp_path / "a.db", synchronous="NORMAL")
        for number in range(200):
            keep(store, number, 20_000)
        stop, written = threading.Event(), [199]

        def write() -> None:
            while not stop.is_set():
                keep(store, written[0] + 1)
                written[0] += 1

        writer = threading.Thread(target=write)
        writer.start()
        restarts: list[int] = []
        try:
            copied = backup(tmp_path / "a.db", tmp_path / "b.db", verify, lambda done, _: restarts.append(done))
        finally:
            stop.set()
            writer.join()
        store.close()
        assert restarts == sorted(restarts)
        assert 200 <= copied.events <= written[0] + 1
        assert kept(tmp_path / "b.db") == [f"d{n}" for n in range(copied.events)]

    def test_it_is_one_file_that_only_its_owner_may_read(self, world: Client, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            backup(world.path, tmp_path / "out.db", verify)
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "out.db").stat().st_mode) == 0o600
        assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == ["out.db"]

    def test_a_newer_one_takes_the_place_of_an_older_and_of_nothing_else(self, world: Client, tmp_path: Path) -> None:
        for _ in range(2):
            backup(world.path, tmp_path / "out.db", verify)
        (tmp_path / "notes.txt").write_text("keep me")
        with pytest.raises(NotCopied, match="is no backup: it is left alone"):
            backup(world.path, tmp_path / "notes.txt", verify)
        with pytest.raises(NotCopied, match="is the store itself"):
            backup(world.path, world.path, verify)
        with pytest.raises(NotCopied, match="is a folder"):
            backup(world.path, tmp_path, verify)
        with pytest.raises(FileNotFoundError):
            backup(tmp_path / "none.db", tmp_path / "out.db", verify)

    def test_a_damaged_store_does_not_take_the_place_of_a_good_backup(self, world: Client, tmp_path: Path) -> None:
        backup(world.path, tmp_path / "out.db", verify)
        good = (tmp_path / "out.db").read_bytes()
        asyncio.run(world.service.close())
        flip(world.path, 1)
        with pytest.raises((NotCopied, StoreTrouble)):
            backup(world.path, tmp_path / "out.db", verify)
        assert (tmp_path / "out.db").read_bytes() == good

    def test_without_room_for_it_nothing_is_left_behind(self, world: Client, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk") as disk:
            fill(disk).unlink()
            ballast = disk / "ballast"
            ballast.write_bytes(b"x" * 900_000)
            with pytest.raises(StoreTrouble, match=r"out\.db.*has no room"):
                backup(world.path, disk / "out.db", verify)
            assert list(disk.iterdir()) == [ballast]
        assert asyncio.run(world.service.step()) is not None


class TestRestore:
    def test_nothing_sent_after_the_copy_is_sent_again(self, world: Client, tmp_path: Path) -> None:
        """Not even what does not show yet: look-ups come first, and nothing is sent until they can be believed."""
        world.shop.books.lag = LAG
        backup(world.path, tmp_path / "out.db", verify)
        world.clock.move(NOON + timedelta(minutes=1))
        world.service.hear([an_rma(at=world.clock())])
        asyncio.run(world.service.step())
        assert len(world.shop.books.refunds) == 1
        asyncio.run(world.service.close())

        restore(world.path, tmp_path / "out.db", verify, world.clock(), "Ana")
        again = client(world.path, now=world.clock() + timedelta(seconds=1), shop=world.shop)
        again.service.hear([an_rma(at=again.clock())])  # polled once more
        asyncio.run(again.service.step())
        assert again.service.status()["clock"]["nothing_sent_for_seconds"]
        asyncio.run(again.service.play(again.clock, again.clock() + timedelta(hours=3)))
        assert len(world.shop.books.refunds) == 1
        assert again.effects() in ({}, {"refund:A-1#1": "settled_elsewhere"})
        assert again.service.status()["clock"]["nothing_sent_for_seconds"] is None

    def test_what_is_new_is_sent_once_that_time_is_over(self, world: Client, tmp_path: Path) -> None:
        backup(world.path, tmp_path / "out.db", verify)
        asyncio.run(world.service.close())
        restore(world.path, tmp_path / "out.db", verify, world.clock(), "Ana")
        again = client(world.path, now=world.clock(), shop=world.shop)
        again.service.hear([an_rma(at=again.clock())])
        asyncio.run(again.service.step())
        assert again.shop.books.refunds == []
        asyncio.run(again.service.play(again.clock, again.clock() + timedelta(hours=1)))
        assert len(again.shop.books.refunds) == 1

    def test_the_store_before_is_kept_and_can_be_put_back(self, world: Client, tmp_path: Path) -> None:
        backup(world.path, tmp_path / "out.db", verify)
        world.service.hear([an_order("B")])
        asyncio.run(world.service.close())
        events, before = restore(world.path, tmp_path / "out.db", verify, NOON, "Ana")
        assert (events, before) == (3, tmp_path / "a.db.before-20261101T120000Z")
        assert before is not None
        later = NOON + timedelta(minutes=1)
        assert restore(world.path, before, verify, later, "Ana")[0] == 4
        store = SqliteStore.open(world.path)
        assert [(entry.did, entry.by) for entry in store.audit.entries(0, 100)][-1] == ("restored", "Ana")
        store.close()

    def test_not_while_a_service_runs_on_it(self, world: Client, tmp_path: Path) -> None:
        backup(world.path, tmp_path / "out.db", verify)
        with pytest.raises(StoreInUse):
            restore(world.path, tmp_path / "out.db", verify, NOON, "Ana")

    def test_a_damaged_backup_is_refused_and_the_store_stays(self, world: Client, tmp_path: Path) -> None:
        backup(world.path, tmp_path / "out.db", verify)
        asyncio.run(world.service.close())
        flip(tmp_path / "out.db", 1)
        with pytest.raises((NotCopied, StoreTrouble)):
            restore(world.path, tmp_path / "out.db", verify, NOON, "Ana")
        assert len(kept(world.path)) == 3

    def test_an_older_copy_put_there_by_hand_is_refused_until_somebody_says_so(self, world: Client, tmp_path: Path) -> None:
        backup(world.path, tmp_path / "out.db", verify)
        world.service.hear([an_order("B")])
        asyncio.run(world.service.close())
        (tmp_path / "out.db").replace(world.path)
        with pytest.raises(StoreTrouble, match=r"is older than it was: it holds 3 events .* committed 4"):
            SqliteStore.open(world.path)
        assert restore(world.path, None, verify, NOON, "Ana") == (3, None)
        again = client(world.path)
        assert again.service.status()["clock"]["nothing_sent_for_seconds"]
