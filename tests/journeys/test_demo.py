"""The demo is the product at work: a day against six local systems, over HTTP, in a few seconds."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from engine.demo import play
from engine.demo.outside import Outside
from engine.demo.play import MORNING
from engine.demo.story import Back, Deed, Item, Tale, story
from engine.demo.summary import deadlines_missed, refunded_twice
from engine.run.clock import VirtualClock
from engine.store.sqlite.store import SqliteStore
from tests.conftest import Played


@pytest.fixture
def day(demo_day: Played) -> Played:
    return demo_day


def test_nothing_is_refunded_twice_and_no_deadline_is_missed_by_the_outsides_own_books(day: Played) -> None:
    assert (day[0].refunded_twice, day[0].deadlines_missed) == (0, 0)


def test_every_order_of_the_story_became_a_case_and_no_payload_was_set_aside(day: Played) -> None:
    orders = {deed.order for deed in story() if deed.what == "sell"}
    assert len(orders) >= 40
    assert day[0].cases >= len(orders)
    assert day[0].set_aside == 0


def test_the_summary_for_programs_has_the_promised_keys(day: Played) -> None:
    told = day[0].to_json()
    assert told.keys() == {
        "cases", "events", "refunds", "withheld", "expected_returns", "exceptions", "refunded_twice", "deadlines_missed",
        "set_aside", "rule_set", "seconds",
    }  # fmt: skip
    assert told["refunds"].keys() == {"count", "amounts"}
    assert told["refunds"]["amounts"].keys() == {"EUR"}
    assert told["exceptions"].keys() == {"open", "closed"}
    assert all(isinstance(count, int) for count in told["withheld"].values())
    assert json.loads(json.dumps(told, sort_keys=True)) == told


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


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """Two boots sold, one of them on its way back, at the morning of the story."""
    made = Outside(VirtualClock(MORNING), tmp_path)
    tale = Tale("M-1").then(0, "sell", items=(Item("BOOT-38", 2),)).then(0, "ship").then(0, "receive")
    tale.asked(0, Back("BOOT-38")).then(0, "scan", parcel=0, rma=0)
    for deed in tale.deeds:
        made.do(deed)
    return made


def in_twelve_hours(scanned_at: datetime) -> datetime:
    return scanned_at + timedelta(hours=12)


def test_the_books_show_a_deadline_that_was_missed(outside: Outside) -> None:
    assert list(deadlines_missed(outside, in_twelve_hours, MORNING + timedelta(hours=11))) == []
    assert [owed.order for owed in deadlines_missed(outside, in_twelve_hours, MORNING + timedelta(hours=13))] == ["M-1"]
    refund(outside)
    assert list(deadlines_missed(outside, in_twelve_hours, MORNING + timedelta(hours=13))) == []


def test_the_books_show_a_piece_that_was_refunded_by_us_and_by_hand(outside: Outside) -> None:
    refund(outside)
    assert list(refunded_twice(outside)) == []
    outside.do(Deed(timedelta(0), "M-1", "refund_in_market", {"amount": "149.00"}))
    assert list(refunded_twice(outside)) == ["M-1-1"]


def refund(outside: Outside) -> None:
    item = {"order_line_id": "M-1-1", "amount": Decimal("149.00"), "shipping_amount": Decimal(0), "reason_code": "17"}
    outside.market.world.refund({"refunds": [item]})
