"""A limit holds across restarts, and a renamed rule's exceptions stay whose they are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from engine.facts.outside import Evidence, Order, Receipt
from engine.language.compiled import ActionUse, AtMost, Rule
from engine.run.clock import VirtualClock
from engine.run.service import Service
from engine.store.sqlite import SqliteStore
from tests.run.small import (
    BY_RMA,
    HERE,
    NOON,
    TELL,
    Shop,
    a_sale,
    an_order,
    an_rma,
    ask_rule,
    client,
    expression,
    says,
    small_rules,
    status_is,
    when,
)


class Desk(Shop):
    """The returns platform: it takes comments."""

    name: ClassVar[str] = "desk"
    role: ClassVar[Any] = "returns"
    actions: ClassVar[Any] = MappingProxyType({"comment": TELL})

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.said: list[tuple[datetime, str]] = []

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        return [Evidence(order.key, done=False) for order in orders]

    async def perform(self, order: Order) -> Receipt:
        self.said.append((self.clock(), str(order.params["text"])))
        return Receipt(order.key)


def saying(*texts: str, at_most: AtMost) -> Rule:
    rma = expression("rma", lambda env: env["rma"])
    uses = tuple(ActionUse("returns.comment", TELL, {"rma": rma, "text": says(text)}, HERE) for text in texts)
    return Rule(
        "say", "sync", 3, when(status_is("done")), HERE, each=BY_RMA, meaning="say", actions=uses, at_most=at_most
    )  # fmt: skip


def test_a_limit_holds_across_restarts_and_keeps_the_order(tmp_path: Path) -> None:
    rules = small_rules(saying("b", "a", "c", at_most=AtMost(1, timedelta(hours=24))))
    clock = VirtualClock(NOON)
    desk = Desk(clock)

    def service() -> Service:
        return Service(SqliteStore.open(tmp_path / "a.db"), rules, {"returns": desk}, clock)

    running = service()
    running.hear([an_order(), a_sale(), an_rma()])
    asyncio.run(running.step())
    for _ in range(5):
        asyncio.run(running.play(clock, clock() + timedelta(hours=11)))
        asyncio.run(running.close())
        running = service()
    asyncio.run(running.close())
    assert desk.said == [(NOON + timedelta(days=day), text) for day, text in enumerate(["b", "a", "c"])]


def test_an_exception_of_a_renamed_rule_stays_open_and_whose_it_is(tmp_path: Path) -> None:
    world = client(tmp_path / "a.db", small_rules(ask_rule()))
    world.service.hear([an_order(), a_sale(), an_rma(status="rejected")])
    asyncio.run(world.service.step())
    (row,) = world.store.exceptions.listed()
    world.store.exceptions.assign(row.id, "Ana")
    renamed = small_rules(replace(ask_rule(), id="refused_goods", was="rejected"), hash="h2")
    world.service.activate(renamed, {})
    asyncio.run(world.service.step())
    (now,) = world.store.exceptions.listed(only_open=False)
    assert (now.id, now.assigned_to, now.entry.rule, now.entry.opened_at) == (row.id, "Ana", "refused_goods", row.entry.opened_at)
