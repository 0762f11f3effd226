"""A batch leaves as one posting where the outside takes one, and none of it is lost or sent twice when that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from engine.facts.outside import Order, Receipt, Refused, TryLater, Unsure
from engine.language.batches import Cadence, parse_batch
from engine.run.clock import VirtualClock
from tests.run.small import NOON, Client, Shop, a_sale, an_order, an_rma, client, small_rules

NIGHTLY = Cadence(parse_batch("daily 02:00"))


class Together(Shop):
    """A marketplace that takes many refunds at once."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.batches: list[int] = []
        self.refusing = ""
        self.failing: list[Exception] = []

    async def perform(self, order: Order) -> Receipt:
        if order.params["order"] == self.refusing:
            raise Refused("no", "not this one")
        return await super().perform(order)

    async def perform_many(self, orders: Sequence[Order]) -> Sequence[Receipt]:
        self.batches.append(len(orders))
        if self.failing:
            raise self.failing.pop(0)
        if self.refusing in {order.params["order"] for order in orders}:
            raise Refused("no", "one of them")
        return [await super(Together, self).perform(order) for order in orders]


def world(path: Path, cases: int) -> tuple[Client, Together]:
    shop = Together(VirtualClock(NOON))
    made = client(path / "a.db", small_rules(cadence={"marketplace.refund": NIGHTLY}), shop=shop)
    for number in range(cases):
        shop.books.orders[f"O{number}"] = {}
        made.service.hear(
            [an_order(f"O{number}"), a_sale(f"S{number}", f"O{number}"), an_rma(f"R{number}", sale_id=f"S{number}")]
        )
    asyncio.run(made.service.step())
    return made, shop


def on(made: Client, **delta: float) -> None:
    asyncio.run(made.service.play(made.clock, made.clock() + timedelta(**delta)))


def test_a_whole_batch_leaves_as_one_however_large(tmp_path: Path) -> None:
    made, shop = world(tmp_path, 105)
    assert shop.batches == []
    on(made, hours=14)
    assert shop.batches == [105]
    assert len(shop.books.refunds) == 105
    assert set(made.effects().values()) <= {"settled"}


def test_one_that_is_refused_does_not_hold_back_the_others(tmp_path: Path) -> None:
    made, shop = world(tmp_path, 3)
    shop.refusing = "O1"
    on(made, hours=14)
    assert sorted(made.effects().values()) == ["refused", "settled", "settled"]
    assert sorted(r["order"] for r in shop.books.refunds) == ["O0", "O2"]


@pytest.mark.parametrize("fault", [TryLater("503", timedelta(minutes=5)), Unsure("no answer"), RuntimeError("a fault of ours")])
def test_a_batch_that_fails_is_sent_once_all_the_same(tmp_path: Path, fault: Exception) -> None:
    made, shop = world(tmp_path, 3)
    shop.failing = [fault]
    on(made, hours=20)
    assert set(made.effects().values()) == {"settled"}
    assert sorted(r["order"] for r in shop.books.refunds) == ["O0", "O1", "O2"]


def test_without_a_batch_each_is_sent_by_itself(tmp_path: Path) -> None:
    shop = Together(VirtualClock(NOON))
    made = client(tmp_path / "a.db", small_rules(), shop=shop)
    made.service.hear([an_order(), a_sale(), an_rma()])
    asyncio.run(made.service.step())
    assert (shop.batches, len(shop.books.refunds)) == ([], 1)


def test_what_takes_the_place_of_another_just_at_its_batch_leaves_with_that_batch(tmp_path: Path) -> None:
    made, shop = world(tmp_path, 2)
    made.clock.move(NOON + timedelta(hours=14, seconds=10))
    shop.books.orders["O0"] = {"price": "40.00"}
    made.service.hear([an_order("O0", at=made.clock(), price="40.00")])
    asyncio.run(made.service.step())
    on(made, minutes=2)
    assert sorted((r["order"], r["amount"]) for r in shop.books.refunds) == [("O0", "40.00"), ("O1", "50.00")]
