"""The embedded store keeps what it was told, once, and refuses what it cannot keep safely."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from engine.facts.outside import Event, Ref
from engine.store.budgets import MarkRow, SpentRow
from engine.store.rows import ExceptionEntry, NewerStore, RecordRow, StoreInUse
from engine.store.schema import migrations
from engine.store.sqlite import SqliteStore
from engine.store.stamps import instant, stamp

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "a.db")
    yield opened
    opened.close()


def event(payload: bytes = b"{}", *, delivery: str = "", at: datetime = NOON) -> Event:
    return Event("mirakl", "mirakl.order", payload, at, requested=True, delivery=delivery)


def entry(key: str, title: str = "look") -> ExceptionEntry:
    return ExceptionEntry(
        key=key, rule="r", item="", about="", owner="operations", severity="high", title=title, runbook="", answers="{}",
        state="open", opened_at=NOON,
    )  # fmt: skip


class TestJournal:
    def test_gives_back_every_byte_of_a_payload(self, store: SqliteStore) -> None:
        payload = bytes(range(256))
        (seq,) = store.journal.append([event(payload)], NOON)
        found = store.journal.one(seq)
        assert found is not None
        assert found.event == event(payload)
        assert found.received_at == NOON

    def test_keeps_equal_payloads_once_and_still_every_event(self, store: SqliteStore, tmp_path: Path) -> None:
        later = NOON + timedelta(minutes=1)
        store.journal.append([event(b"x" * 1000), event(b"x" * 1000, at=later)], later)
        assert [j.event for j in store.journal.after(0, 10)] == [event(b"x" * 1000), event(b"x" * 1000, at=later)]
        kept = sqlite3.connect(tmp_path / "a.db").execute("select count(payload) from journal").fetchone()
        assert kept == (1,)

    def test_takes_a_delivery_once(self, store: SqliteStore) -> None:
        assert len(store.journal.append([event(delivery="d1"), event(delivery="d1")], NOON)) == 1
        assert store.journal.append([event(delivery="d1")], NOON) == []

    def test_keeps_what_came_changed_under_an_id_that_is_known(self, store: SqliteStore) -> None:
        store.journal.append([event(b"1", delivery="d1")], NOON)
        assert len(store.journal.append([event(b"2", delivery="d1"), event(b"2", delivery="d1")], NOON)) == 1
        assert [j.event.payload for j in store.journal.after(0, 10)] == [b"1", b"2"]
        assert store.journal.append([event(b"1", delivery="d1"), event(b"2", delivery="d1")], NOON) == []

    def test_tells_since_when_events_wait(self, store: SqliteStore) -> None:
        assert (store.journal.waiting_since(), store.journal.last()) == (None, 0)
        first, second = store.journal.append([event(b"1")], NOON) + store.journal.append([event(b"2")], NOON + timedelta(hours=1))
        assert (store.journal.waiting_since(), store.journal.last()) == (NOON, second)
        store.journal.move_to(first, NOON)
        assert store.journal.waiting_since() == NOON + timedelta(hours=1)

    def test_counts_what_waits_to_be_taken_in(self, store: SqliteStore) -> None:
        first, _ = store.journal.append([event(b"1"), event(b"2")], NOON)
        assert store.journal.behind() == 2
        store.journal.move_to(first, NOON)
        assert store.journal.behind() == 1
        assert [(row.upto_seq, row.at) for row in store.journal.intakes(0, 10)] == [(first, NOON)]

    def test_keeps_what_was_set_aside_until_it_is_taken_in(self, store: SqliteStore) -> None:
        (seq,) = store.journal.append([event()], NOON)
        store.journal.set_aside(seq, "no id", "mappings/mirakl/order.yaml:3:1", NOON)
        assert [row.reason for row in store.journal.waiting_aside()] == ["no id"]
        store.journal.no_longer_aside(seq, NOON)
        assert store.journal.waiting_aside() == []


class TestTransactions:
    def test_a_failure_leaves_nothing_behind(self, store: SqliteStore) -> None:
        def fail() -> None:
            with store.transaction():
                store.journal.append([event()], NOON)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert store.journal.behind() == 0

    def test_a_part_can_fail_alone(self, store: SqliteStore) -> None:
        def fail() -> None:
            with store.transaction():
                store.journal.append([event(b"2")], NOON)
                raise RuntimeError

        with store.transaction():
            store.journal.append([event(b"1")], NOON)
            with pytest.raises(RuntimeError):
                fail()
        assert [j.event.payload for j in store.journal.after(0, 10)] == [b"1"]


class TestOneWriter:
    def test_a_second_process_is_refused_and_told_who_has_it(self, store: SqliteStore, tmp_path: Path) -> None:
        del store
        code = (
            "import sys; from engine.store.sqlite import SqliteStore; from engine.store.rows import StoreInUse\n"
            "try: SqliteStore.open(sys.argv[1])\nexcept StoreInUse as e: print(e); sys.exit(3)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "a.db")],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert done.returncode == 3
        assert f"in use by process {os.getpid()}" in done.stdout

    def test_the_same_process_is_refused_too(self, store: SqliteStore, tmp_path: Path) -> None:
        del store
        with pytest.raises(StoreInUse):
            SqliteStore.open(tmp_path / "a.db")

    def test_the_lock_ends_with_its_owner(self, tmp_path: Path) -> None:
        SqliteStore.open(tmp_path / "a.db").close()
        SqliteStore.open(tmp_path / "a.db").close()

    def test_a_visitor_may_add_to_the_journal_and_the_owner_notices(self, store: SqliteStore, tmp_path: Path) -> None:
        assert not store.changed_elsewhere()
        visitor = SqliteStore.open(tmp_path / "a.db", as_="visitor")
        with visitor.transaction():
            visitor.journal.append([event()], NOON)
        visitor.close()
        assert store.changed_elsewhere()
        assert not store.changed_elsewhere()
        assert store.journal.behind() == 1

    def test_a_visitor_does_not_make_a_store(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            SqliteStore.open(tmp_path / "none.db", as_="visitor")


class TestVersions:
    def test_a_newer_store_is_refused_untouched(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        SqliteStore.open(path).close()
        raw = sqlite3.connect(path)
        raw.execute("insert into _sqlite_migrations (migration_set, name, applied_at) values ('instep', 'from_the_future', '')")
        raw.commit()
        raw.close()
        with pytest.raises(NewerStore, match="from_the_future"):
            SqliteStore.open(path)
        with pytest.raises(NewerStore):
            SqliteStore.open(path, as_="visitor")

    def test_a_refused_store_is_not_left_locked(self, tmp_path: Path) -> None:
        self.test_a_newer_store_is_refused_untouched(tmp_path)
        with pytest.raises(NewerStore):
            SqliteStore.open(tmp_path / "a.db")

    def test_acknowledged_events_survive_a_power_cut(self, store: SqliteStore) -> None:
        assert store._connection.execute("pragma synchronous").fetchone() == (2,)
        assert store._connection.execute("pragma journal_mode").fetchone() == ("wal",)
        assert store._connection.execute("pragma foreign_keys").fetchone() == (1,)


class TestCases:
    def record(self, store: SqliteStore, kind: str, key: str, *links: tuple[str, str]) -> int:
        id_ = store.records.put(RecordRow(0, kind, key, NOON, "{}"))
        store.records.link(id_, links)
        return id_

    def test_links_are_seen_from_both_ends(self, store: SqliteStore) -> None:
        self.record(store, "rma", "1", ("sale", "s"))
        self.record(store, "sale", "s", ("order", "A"))
        assert store.records.neighbours(("sale", "s")) == [("order", "A"), ("rma", "1")]
        assert store.records.neighbours(("order", "A")) == [("sale", "s")]

    def test_a_case_is_found_by_any_key_in_it_or_named_in_it(self, store: SqliteStore) -> None:
        rma = self.record(store, "rma", "1001", ("parcel", "1Z"))
        case = store.cases.open("rma:1001", anchored=False, opened_at=NOON, memory="{}")
        store.cases.set_members(case, [rma])
        assert [[c.id for c in store.cases.find(text)] for text in ("rma:1001", "1001", "1Z", "1002")] == [[case]] * 3 + [[]]

    def test_an_absorbed_case_lives_on_in_the_other(self, store: SqliteStore) -> None:
        rma, order = self.record(store, "rma", "1"), self.record(store, "order", "A")
        old = store.cases.open("rma:1", anchored=False, opened_at=NOON, memory="{}")
        store.cases.set_members(old, [rma])
        new = store.cases.open("order:A", anchored=True, opened_at=NOON, memory="{}")
        store.cases.absorb(old, new)
        store.cases.set_members(new, [rma, order])
        assert store.cases.get(old) is None
        assert [c.id for c in store.cases.find("1")] == [new]
        store.cases.open("rma:1", anchored=False, opened_at=NOON, memory="{}")

    def test_waking_never_puts_a_case_off(self, store: SqliteStore) -> None:
        case = store.cases.open("order:A", anchored=True, opened_at=NOON, memory="{}")
        store.cases.wake([case], NOON)
        store.cases.wake([case], NOON + timedelta(hours=1))
        assert store.cases.due(NOON, 10) == [case]
        assert store.cases.next_wake(NOON - timedelta(hours=1)) == NOON

    def test_an_exception_that_comes_back_is_a_new_occurrence(self, store: SqliteStore) -> None:
        case = store.cases.open("order:A", anchored=True, opened_at=NOON, memory="{}")
        store.exceptions.replace(case, [entry("a"), entry("b")], NOON, {})
        store.exceptions.replace(case, [entry("b", title="look again")], NOON, {"a": "mended"})
        store.exceptions.replace(case, [entry("a"), entry("b")], NOON, {})
        every = store.exceptions.listed(case_id=case, only_open=False)
        assert [(x.entry.key, x.why_closed, x.entry.title) for x in reversed(every)] == [
            ("a", "mended", "look"),
            ("b", "", "look"),
            ("a", "", "look"),
        ]


class TestRounds:
    def test_a_thing_is_fetched_once_however_often_it_is_asked_for(self, store: SqliteStore) -> None:
        later = NOON + timedelta(hours=1)
        store.rounds.ask("returngo", Ref("returngo.rma", "1"), later, "hint")
        store.rounds.ask("returngo", Ref("returngo.rma", "1"), NOON, "hint")
        assert [f.ref.key for f in store.rounds.fetches_due(NOON, 10)] == ["1"]
        store.rounds.fetched(store.rounds.fetches_due(NOON, 10)[0])
        store.rounds.ask_once("returngo", Ref("returngo.rma", "1"), NOON, "link")
        assert store.rounds.fetches_due(later, 10) == []
        store.rounds.ask("returngo", Ref("returngo.rma", "1"), NOON, "hint")
        assert len(store.rounds.fetches_due(NOON, 10)) == 1

    def test_what_is_asked_for_while_it_is_fetched_is_fetched_again(self, store: SqliteStore) -> None:
        """What came back may be from before the change the second hint speaks of."""
        store.rounds.ask("returngo", Ref("returngo.rma", "1"), NOON, "hint")
        (row,) = store.rounds.fetches_due(NOON, 10)
        store.rounds.ask("returngo", Ref("returngo.rma", "1"), NOON, "hint")
        store.rounds.fetched(row)
        assert len(store.rounds.fetches_due(NOON, 10)) == 1

    def test_what_was_spent_is_kept_by_connector_until_it_is_forgotten(self, store: SqliteStore) -> None:
        later = NOON + timedelta(minutes=1)
        first = store.budgets.spend("returngo", "GET /rma", "poll", NOON, 1)
        second = store.budgets.spend("returngo", "GET /rma", "perform", later, 2)
        store.budgets.spend("mirakl", "OR11", "poll", NOON, 1)
        store.budgets.change(second, later, 3)
        assert store.budgets.spent("returngo") == [
            SpentRow(first, "GET /rma", "poll", NOON, 1),
            SpentRow(second, "GET /rma", "perform", later, 3),
        ]
        third = store.budgets.spend("returngo", "PUT /rma", "perform", NOON, 1)
        store.budgets.forget("returngo", "GET /rma", later)
        assert [row.id for row in store.budgets.spent("returngo")] == [second, third]
        assert len(store.budgets.spent("mirakl")) == 1

    def test_a_mark_takes_the_place_of_the_last_of_its_kind(self, store: SqliteStore) -> None:
        store.budgets.mark("shopify", MarkRow("level", "", NOON, 12.5))
        store.budgets.mark("shopify", MarkRow("level", "", NOON, 7.25))
        store.budgets.mark("shopify", MarkRow("rest", "", NOON))
        assert sorted(store.budgets.marks("shopify"), key=lambda row: row.kind) == [
            MarkRow("level", "", NOON, 7.25),
            MarkRow("rest", "", NOON),
        ]

    def test_calls_counted_before_budgets_had_windows_still_count(self, tmp_path: Path) -> None:
        """A store of an earlier version knows only how many there were in a day."""
        path = tmp_path / "old.db"
        with closing(sqlite3.connect(path)) as old:
            migrations(before="what_was_spent").apply(Database(old, execute_plugins=False))
            old.execute("insert into budgets (connector, day, calls) values ('returngo', '2026-11-01', 1990)")
            old.commit()
        store = SqliteStore.open(path)
        (row,) = store.budgets.spent("returngo")
        assert (row.units, row.operation, row.at.date().isoformat()) == (1990, "", "2026-11-01")
        store.close()


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001 - UTC is put on below
def test_stamps_come_back_and_sort_as_time_does(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    assert instant(stamp(moment)) == moment
    assert stamp(moment) < stamp(moment + timedelta(microseconds=1))
