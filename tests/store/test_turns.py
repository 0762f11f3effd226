"""Two connections of one process take turns to write: neither keeps the other out."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.facts.outside import Event
from engine.store.rows import StoreBusy
from engine.store.sqlite import SqliteStore
from engine.store.sqlite.turns import Turns

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def event(n: int) -> Event:
    return Event("shop", "shop.order", b"%d" % n, NOON, requested=False, delivery=f"d{n}")


def test_whoever_came_first_is_next() -> None:
    turns, order, waiting = Turns(), [], threading.Semaphore(0)
    assert turns.take()

    def come(n: int) -> None:
        waiting.release()
        turns.take()
        order.append(n)
        turns.give()

    threads = []
    for n in range(5):
        threads.append(threading.Thread(target=come, args=(n,)))
        threads[-1].start()
        waiting.acquire()
        while len(turns._waiting) <= n:
            threading.Event().wait(0.001)
    assert turns.wanted
    turns.give()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert not turns.wanted
    assert turns.take(0)


def test_a_turn_that_does_not_come_in_time_is_given_up() -> None:
    turns = Turns()
    assert turns.take()
    assert not turns.take(0.01)
    turns.give()
    assert turns.take(0)


def test_a_busy_writer_lets_another_in_between_any_two_of_its_transactions(tmp_path: Path) -> None:
    """However quickly it begins the next one. Left to SQLite alone the other may wait for seconds."""
    store = SqliteStore.open(tmp_path / "a.db", synchronous="NORMAL")
    beside = store.beside(10)

    def write() -> None:
        with beside.transaction():
            beside.journal.append([event(0)], NOON)

    thread = threading.Thread(target=write)
    with store.transaction():
        thread.start()
        while not store.wanted_elsewhere:
            threading.Event().wait(0.001)
    for busy in range(1, 4):
        with store.transaction():
            store.journal.append([event(busy)], NOON)
    thread.join()
    assert [found.event.payload for found in store.journal.after(0, 10)] == [b"0", b"1", b"2", b"3"]
    beside.close()
    store.close()


def test_who_waits_too_long_is_told_so_and_wrote_nothing(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "a.db")
    beside = store.beside(0.01)
    with store.transaction(), pytest.raises(StoreBusy, match="written for 0"), beside.transaction():
        raise AssertionError("never reached")
    with beside.transaction():
        beside.journal.append([event(1)], NOON)
    assert store.journal.behind() == 1
    beside.close()
    store.close()


def test_what_is_beside_keeps_through_a_power_cut_what_the_store_keeps(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "a.db")
    beside = store.beside(1)
    assert beside._connection.execute("pragma synchronous").fetchone() == (2,)
    beside.close()
    store.close()
