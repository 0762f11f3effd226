"""Every activated rule set is journalled with its files, and can be had again from them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database

from engine.store.schema import migrations
from engine.store.sqlite import SqliteStore
from tests.run.small import small_rules

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "a.db")
    yield opened
    opened.close()


def test_an_activation_is_kept_with_its_files_and_who_did_it(store: SqliteStore) -> None:
    one = store.rule_sets.activate(small_rules(hash="h1"), {"rules/a.yaml": "a: é\n"}, NOON, "Ana", "chosen by hand", "d0")
    row = store.rule_sets.current()
    assert row is not None
    assert (row.id, row.hash, row.client, row.activated_by, row.why, row.passed_over, row.caught_up_at) == (
        one, "h1", "small", "Ana", "chosen by hand", "d0", None,
    )  # fmt: skip
    assert store.rule_sets.files(one) == {"rules/a.yaml": "a: é\n"}
    store.rule_sets.caught_up(one, NOON + timedelta(minutes=1))
    assert store.rule_sets.history(9)[0].caught_up_at == NOON + timedelta(minutes=1)


def test_a_file_that_did_not_change_is_kept_once(store: SqliteStore, tmp_path: Path) -> None:
    for n in range(5):
        store.rule_sets.activate(small_rules(hash=f"h{n}"), {"same.yaml": "x" * 1000, "other.yaml": f"n: {n}"}, NOON)
    assert sqlite3.connect(tmp_path / "a.db").execute("select count(*) from rule_files").fetchone() == (6,)
    assert [store.rule_sets.files(row.id)["other.yaml"] for row in store.rule_sets.history(2)] == ["n: 4", "n: 3"]


def test_the_same_set_is_not_activated_twice_but_may_be_again_later(store: SqliteStore) -> None:
    first = store.rule_sets.activate(small_rules(hash="h1"), {}, NOON)
    assert store.rule_sets.activate(small_rules(hash="h1"), {}, NOON) == first
    store.rule_sets.activate(small_rules(hash="h2"), {}, NOON)
    store.rule_sets.activate(small_rules(hash="h1"), {}, NOON)
    assert [row.hash for row in store.rule_sets.history(9)] == ["h1", "h2", "h1"]
    assert [row.id for row in store.rule_sets.named("h")] == [3, 2]


def test_a_visitor_asks_for_a_rule_set_and_sees_what_became_of_it(store: SqliteStore, tmp_path: Path) -> None:
    visitor = SqliteStore.open(tmp_path / "a.db", as_="visitor")
    asked = visitor.rule_sets.request("h1", "Ana", NOON)
    assert [(r.id, r.hash, r.asked_by, r.asked_at) for r in store.rule_sets.requested()] == [(asked, "h1", "Ana", NOON)]
    store.rule_sets.answer_request(asked, NOON, "activated", fine=True)
    found = visitor.rule_sets.request_of(asked)
    assert found is not None
    assert (found.fine, found.outcome, found.done_at) == (True, "activated", NOON)
    assert store.rule_sets.requested() == []
    visitor.close()


def test_files_of_an_older_store_are_carried_over(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old = sqlite3.connect(path, isolation_level=None)
    migrations().apply(Database(old), stop_before="activations")
    old.executemany(
        "insert into rule_sets (hash, client, files, activated_at) values (?, 'small', ?, ?)",
        [(f"h{n}", json.dumps({"same.yaml": "s", "it's.yaml": f"é {n}"}), "2026-11-01T12:00:00.000000Z") for n in range(3)],
    )
    old.close()
    store = SqliteStore.open(path)
    assert [store.rule_sets.files(row.id) for row in store.rule_sets.history(9)] == [
        {"same.yaml": "s", "it's.yaml": f"é {n}"} for n in (2, 1, 0)
    ]
    assert all(row.caught_up_at == NOON for row in store.rule_sets.history(9))
    store.close()
