"""What is due is found by urgency from an index, however much of it there is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from engine.store import schema
from engine.store.queue import Skip
from engine.store.rows import EffectEntry
from engine.store.sqlite import SqliteStore

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "a.db", synchronous="NORMAL")
    yield opened
    opened.close()


def effect(key: str, due_at: datetime | None, action: str = "marketplace.refund", status: str = "planned") -> EffectEntry:
    return EffectEntry(
        key=key, action=action, subject=key, status=status, mode="live", rule="r", item="", group="refund", units="[]",
        params="{}", planned_at=NOON, due_at=due_at, not_before=None, sent_at=None, settled_at=None, attempts=0, reason="",
        detail="", receipt="{}",
    )  # fmt: skip


def put(store: SqliteStore, name: str, *effects: EffectEntry, **deadlines: datetime | None) -> int:
    case = store.cases.open(name, anchored=True, opened_at=NOON, memory="{}")
    store.outbox.put(case, effects)
    store.queue.set_deadlines(case, deadlines)
    return case


def urgent(store: SqliteStore, role: str = "marketplace", **skip: Any) -> list[str]:
    return [row.entry.key for row in store.queue.most_urgent(role, NOON, 100, Skip(**skip))]


def test_the_nearest_deadline_comes_first_then_the_oldest_and_what_has_none_last(store: SqliteStore) -> None:
    put(store, "a", effect("idle", NOON - 9 * HOUR), effect("later", NOON - 8 * HOUR), later=NOON + 2 * HOUR)
    put(store, "b", effect("soon_new", NOON), effect("soon_old", NOON - HOUR), soon_new=NOON + HOUR, soon_old=NOON + HOUR)
    put(store, "c", effect("not_due", NOON + HOUR), effect("ended", None), not_due=NOON)
    put(store, "d", effect("elsewhere", NOON, action="returns.comment"))
    assert urgent(store) == ["soon_old", "soon_new", "later", "idle"]
    assert urgent(store, "returns") == ["elsewhere"]
    assert [row.deadline for row in store.queue.most_urgent("marketplace", NOON, 1)] == [NOON + HOUR]
    assert [row.entry.key for row in store.queue.longest_waiting("marketplace", NOON, 2)] == ["idle", "later"]


def test_cases_that_are_on_their_way_are_left_out(store: SqliteStore) -> None:
    busy = put(store, "a", effect("a", NOON), a=NOON + HOUR)
    put(store, "b", effect("b", NOON), effect("u", NOON, status="unsure"), b=NOON + 2 * HOUR)
    assert urgent(store, cases={busy}) == ["b", "u"]
    assert store.queue.any_sooner("marketplace", NOON, NOON + 2 * HOUR)
    assert not store.queue.any_sooner("marketplace", NOON, NOON + 2 * HOUR, Skip({busy}))
    assert store.queue.any_sooner("marketplace", NOON, None)
    assert store.queue.waiting("marketplace", NOON) == 3


def test_actions_that_rest_are_left_out_but_what_may_have_been_sent_is_looked_for(store: SqliteStore) -> None:
    put(store, "a", effect("refund", NOON), effect("cancel", NOON, action="marketplace.cancel"))
    put(store, "b", effect("unsure", NOON, status="unsure"))
    assert urgent(store, actions={"marketplace.refund"}) == ["cancel"]
    assert urgent(store, planned={"marketplace.refund"}) == ["cancel", "unsure"]
    assert urgent(store, planned={"", "marketplace.refund"}) == ["unsure"]


def test_a_deadline_moves_and_goes(store: SqliteStore) -> None:
    case = put(store, "a", effect("a", NOON), effect("b", NOON), a=NOON + HOUR, b=NOON + 2 * HOUR)
    store.queue.set_deadlines(case, {"a": None, "b": NOON + 3 * HOUR})
    assert urgent(store) == ["b", "a"]
    ahead = store.queue.ahead("marketplace", NOON, NOON + 9 * HOUR, 10)
    assert [(each.action, each.key, each.deadline) for each in ahead] == [("marketplace.refund", "b", NOON + 3 * HOUR)]
    assert store.queue.ahead("marketplace", NOON, NOON + HOUR, 10) == []
    assert store.queue.ahead("marketplace", NOON + 3 * HOUR, NOON + 9 * HOUR, 10) == []


class TestIndexes:
    @pytest.fixture
    def plans(self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What SQLite says of every query the queue makes."""
        found: list[str] = []
        run = store._connection.execute

        def explained(sql: str, values: object = ()) -> sqlite3.Cursor:
            found.extend(row[3] for row in run(f"explain query plan {sql}", values))  # type: ignore[arg-type]
            return run(sql, values)  # type: ignore[arg-type]

        monkeypatch.setattr(store.queue, "_run", explained)
        return found

    def test_no_question_sorts_or_reads_the_whole_backlog(self, store: SqliteStore, plans: list[str]) -> None:
        put(store, "a", effect("a", NOON), a=NOON)
        store.queue.most_urgent("marketplace", NOON, 1, Skip({7}, {"a"}, {"b"}))
        store.queue.longest_waiting("marketplace", NOON, 1)
        store.queue.any_sooner("marketplace", NOON, NOON)
        store.queue.waiting("marketplace", NOON)
        store.queue.ahead("marketplace", NOON, NOON, 1)
        assert not [plan for plan in plans if plan.startswith("SCAN") or "TEMP B-TREE FOR ORDER BY" in plan]
        assert sum("INDEX effects_" in plan for plan in plans) == 5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.none() | st.integers(-5, 5)), max_size=12))
def test_the_order_is_that_of_deadline_and_age(backlog: list[tuple[int, int | None]]) -> None:
    store = SqliteStore(_fresh(), None)
    for n, (due, by) in enumerate(backlog):
        deadline = None if by is None else NOON + by * HOUR
        put(store, f"c{n}", effect(f"e{n}", NOON + due * HOUR), **{f"e{n}": deadline})
    wanted = sorted(
        (by if by is not None else 99, due, n) for n, (due, by) in enumerate(backlog) if due <= 0
    )  # fmt: skip
    assert urgent(store) == [f"e{n}" for _, _, n in wanted]


def _fresh() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrations().apply(Database(connection, execute_plugins=False))
    return connection


def test_a_store_from_before_there_were_deadlines_is_brought_up_to_date(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    schema.migrations(before="urgency").apply(Database(old, execute_plugins=False))
    old.execute("insert into cases (name, anchored, opened_at, version, open, memory) values ('a', 1, '', 0, 1, '{}')")
    old.execute(
        "insert into effects (case_id, key, action, subject, status, mode, rule, item, group_name, units, params,"
        " planned_at, due_at, attempts, reason, detail, receipt)"
        " values (1, 'k', 'marketplace.refund', 'k', 'planned', 'live', '', '', '',"
        " '[]', '{}', '2026-11-01T12:00:00.000000Z', '2026-11-01T12:00:00.000000Z', 0, '', '', '{}')"
    )
    old.close()
    store = SqliteStore.open(tmp_path / "a.db")
    assert urgent(store) == ["k"]
    store.close()
