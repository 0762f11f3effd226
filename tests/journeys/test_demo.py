"""The demo is the product at work: a day against six local systems, over HTTP, in a few seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.demo import DemoLine, Summary, play
from engine.demo.story import story
from engine.store.sqlite.store import SqliteStore

Played = tuple[Summary, list[DemoLine], Path]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Played:
    database = tmp_path_factory.mktemp("demo") / "demo.db"
    lines: list[DemoLine] = []
    return play(fast=True, root=None, database=database, emit=lines.append), lines, database


def test_nothing_is_refunded_twice_and_no_deadline_is_missed_by_the_outsides_own_books(day: Played) -> None:
    assert (day[0].refunded_twice, day[0].deadlines_missed) == (0, 0)


def test_every_order_of_the_story_became_a_case_and_no_payload_was_set_aside(day: Played) -> None:
    orders = {deed.order for deed in story() if deed.what == "sell"}
    assert len(orders) >= 40
    assert day[0].cases >= len(orders)
    assert day[0].set_aside == 0


def test_everybody_in_the_story_found_the_question_they_answer(day: Played) -> None:
    assert [line.text for line in day[1] if "not possible" in line.text] == []


def test_people_of_every_kind_are_told_and_most_of_it_is_closed_again(day: Played) -> None:
    told = day[0].exceptions
    assert {"customer service", "operations", "finance", "warehouse"} <= told["open"].keys() | told["closed"].keys()
    assert sum(told["closed"].values()) > sum(told["open"].values())


def test_what_we_did_is_told_with_its_rule_as_it_happens(day: Played) -> None:
    sent = [line for line in day[1] if line.tone == "sent"]
    assert [line.at for line in day[1]] == sorted(line.at for line in day[1])
    assert all(line.why for line in sent)
    assert {"refund_after_inspection", "refund_before_deadline", "expected_return", "post_refund"} <= {line.why for line in sent}


def test_the_database_stays_to_be_looked_at_and_is_never_overwritten(day: Played) -> None:
    store = SqliteStore.open(day[2], as_="visitor")
    assert store.counts()["cases"] >= 40
    store.close()
    with pytest.raises(FileExistsError, match="remove it"):
        play(fast=True, root=None, database=day[2], emit=lambda _: None)
