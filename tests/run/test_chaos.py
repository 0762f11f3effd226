"""A bad week: everything late, twice and out of order, a marketplace that fails in every way, restarts in between.

In the end every piece is refunded exactly once.
"""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from engine.facts.outside import Event, Order, Receipt, TryLater, Unsure
from tests.run.small import NOON, Books, Client, Shop, a_sale, an_order, an_rma, client


class MoodyShop(Shop):
    """Fails at random, before or after booking; shows what it booked only after a while."""

    rng: random.Random
    calm = False

    async def look_up(self, orders):
        if not self.calm and self.rng.random() < 0.2:
            raise self.rng.choice([TryLater("503"), RuntimeError("a bug")])
        return await super().look_up(orders)

    async def perform(self, order: Order) -> Receipt:
        if not self.calm:
            mood = self.rng.random()
            if mood < 0.2:
                raise TryLater("429", timedelta(minutes=self.rng.randrange(30)))
            if mood < 0.35:
                raise Unsure("the connection was lost on the way there")
            receipt = await super().perform(order)
            if mood < 0.55:
                raise self.rng.choice([Unsure("the connection was lost on the way back"), RuntimeError("a bug")])
            if mood < 0.65:
                raise KilledError
            return receipt
        return await super().perform(order)


class KilledError(BaseException):
    """Stands for the end of the process: nothing after it is done."""


def story(rng: random.Random, orders: int) -> list[Event]:
    events: list[Event] = []
    for n in range(orders):
        name, sale, rma = f"O{n}", f"S{n}", f"{1000 + n}"
        pieces = rng.choice([1, 1, 2, 3])
        events += [
            an_order(name, quantity=pieces, price=f"{pieces * 10}.00"), a_sale(sale, name),
            an_rma(rma, status="approved", units=pieces, sale_id=sale),
            an_rma(rma, status="done", units=pieces, sale_id=sale, at=NOON + timedelta(minutes=1)),
        ]  # fmt: skip
    events += rng.choices(events, k=len(events))
    rng.shuffle(events)
    return events


def restarted(world: Client) -> Client:
    """As after a crash: nothing is closed in order."""
    world.store.close()
    again = client(world.path, now=world.clock(), shop=world.shop)
    again.shop.books.orders.pop("A", None)
    again.shop.clock = again.clock
    return again


def week(path: Path, seed: int, orders: int) -> None:
    rng = random.Random(seed)
    shop = MoodyShop(lambda: NOON, Books(lag=timedelta(minutes=10)))
    shop.rng = rng
    world = client(path, shop=shop)
    shop.books.orders.clear()
    events = story(rng, orders)
    for event in events:
        if event.kind == "shop.order":
            body = an_order_of(event)
            shop.books.orders[body[0]] = body[1]
    while events:
        world.service.hear([events.pop() for _ in range(min(len(events), rng.randrange(1, 6)))])
        world = lived_through(world, timedelta(minutes=rng.choice([0, 1, 15, 90])))
        if rng.random() < 0.1:
            world = restarted(world)
    shop.calm = True
    world = lived_through(world, timedelta(days=7))
    given_up = {row.case for row in world.store.outbox.listed(["refused"], 1000)}
    assert not world.store.outbox.listed(["planned", "performing", "unsure"], 1000)
    assert given_up <= {row.case for row in world.store.exceptions.listed()}
    world.store.close()
    for order_id, order in shop.books.orders.items():
        paid = sum(Decimal(r["amount"]) for r in shop.books.refunds if r["order"] == order_id)
        assert paid == Decimal(order["price"]) or (paid == 0 and f"order:{order_id}" in given_up), (
            f"seed {seed}, {order_id}: {paid}"
        )


def an_order_of(event: Event) -> tuple[str, dict[str, object]]:
    fields = json.loads(event.payload)["fields"]
    line = fields["lines"][0]
    return fields["id"], {"quantity": line["quantity"], "price": line["price"]["amount"]}


def lived_through(world: Client, time: timedelta) -> Client:
    end = world.clock() + time
    while True:
        try:
            asyncio.run(world.service.play(world.clock, end))
        except* KilledError:
            world = restarted(world)
        else:
            return world


@pytest.mark.parametrize("seed", range(4))
def test_every_piece_is_refunded_exactly_once(tmp_path: Path, seed: int) -> None:
    week(tmp_path / "a.db", seed, orders=8)


@pytest.mark.long
def test_many_bad_weeks(tmp_path: Path, full: bool) -> None:
    for seed in range(100, 200 if full else 120):
        week(tmp_path / f"{seed}.db", seed, orders=25)
