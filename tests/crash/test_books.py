"""The comparison at the end of a run can fail: whatever is not right in the outside's books is found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from engine.demo.story import Back, Item
from engine.run.clock import VirtualClock
from tests.crash.books import AT_ONCE, at_once, in_the_outside, twice
from tests.crash.conductor import START
from tests.crash.stage import Stage
from tests.crash.stories import Right, told

PRICE = Decimal("54.00")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A pair of clogs, returned, refunded once by hand, announced and noted; not posted."""
    stage = Stage(VirtualClock(START), tmp_path)
    stage._sell("M-1", [Item("CLOG-39", taxed=True)])
    stage._ship("M-1")
    stage._receive("M-1")
    stage._ask("M-1", [Back("CLOG-39")], 1)
    stage._approve("M-1")
    shipment = stage.returns.world.shipments("1001")[0]
    stage.warehouse.expect(f"RG-1001-{shipment}", {"CLOG-39": 1})
    stage._by_hand("M-1", 1)
    stage.returns.world.say("1001", "M-1 is refunded in the marketplace.")
    return stage


def test_goods_that_came_before_they_were_announced_are_booked_in_once_they_are(stage: Stage) -> None:
    stage._sell("M-2", [Item("CLOG-39"), Item("SOCKS-3")])
    stage._ship("M-2")
    stage._ask("M-2", [Back("CLOG-39"), Back("SOCKS-3")], 2)
    stage._approve("M-2")
    stage._label("M-2")
    for parcel in (0, 1):
        stage._scan("M-2", parcel, 0)
        stage._arrive("M-2", parcel, 0)
    first, second = stage.returns.world.shipments("1002")
    stage.warehouse.expect(f"RG-1002-{first}", {"CLOG-39": 1})
    stage.posted()
    assert stage.warehouse.status_of(f"RG-1002-{first}") == "Arrived"
    stage._inspect("M-2", (True,), 0)
    stage.warehouse.expect(f"RG-1002-{second}", {"SOCKS-3": 1})
    stage.posted()
    assert [stage.warehouse.status_of(f"RG-1002-{one}") for one in (first, second)] == ["Completed", "Completed"]


def right(**changes: object) -> dict[str, Right]:
    whole = {"paid": {1: PRICE}, "expected": {(0, 0): "AwaitingArrival"}, "rmas": ["Approved"], "noted": {0}}
    return {"M-1": Right("test", **(whole | changes))}  # type: ignore[arg-type]


def test_right_books_show_nothing_but_the_posting_that_is_missing(stage: Stage) -> None:
    found = list(in_the_outside(stage, right()))
    assert [wrong.text.partition(" is")[0] for wrong in found] == ["refund 1002", "refund 1002"]


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        (lambda s: s.market.world.orders["M-1"]["order_lines"][0]["refunds"].clear(), "0 refunded on M-1-1"),
        (lambda s: s.market.world.orders["M-1"]["order_lines"][0]["refunds"][0]["taxes"].clear(), "0 of tax VAT"),
        (lambda s: s.warehouse.expect("RG-1001-5001", {"CLOG-39": 1}), "'AwaitingArrival', 'AwaitingArrival'"),
        (lambda s: s.warehouse.returns.clear(), "expects shipment 5001 as []"),
        (lambda s: s.returns.world.say("1001", "M-1 is refunded in the marketplace."), "carries our note 2 times"),
        (lambda s: s._reject("M-1"), "RMA 1001 is Rejected"),
        (lambda s: s._market_return("M-1"), "the marketplace's return is"),
    ],
)
def test_each_wrong_is_found(stage: Stage, deed: Callable[[Stage], None], told: str) -> None:
    deed(stage)
    assert any(told in wrong.text for wrong in in_the_outside(stage, right()))


def test_too_much_is_wrong_unless_an_agent_raced_us_and_then_it_is_known(stage: Stage) -> None:
    half = right(paid={1: PRICE / 2}, twice={1: PRICE / 2})
    assert any("54.00 refunded on M-1-1, right is 27" in wrong.text for wrong in in_the_outside(stage, half))
    stage.raced.add("M-1-1")
    assert not any("refunded on" in wrong.text for wrong in in_the_outside(stage, half))
    assert list(twice(stage, half)) == ["M-1-1"]


def test_a_life_that_was_ended_could_not_tell_and_the_next_has_an_hour_more() -> None:
    hour = timedelta(hours=1)
    assert at_once(START, [START - hour]) == START + AT_ONCE
    assert at_once(START, [START, START, START + 2 * hour]) == START + AT_ONCE + 2 * hour
    assert at_once(START, [START + 3 * hour]) == START + AT_ONCE


def test_the_same_seed_tells_the_same_story_and_every_kind_of_order_comes_up() -> None:
    one, other = told(3, 400, 20, agents=True), told(3, 400, 20, agents=True)
    assert one == other
    assert len({right.kind for right in one.values()}) == 18
