"""A case may become part of another while one of its effects is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from engine.facts.outside import Evidence, Order, Receipt, Unsure
from engine.facts.schema import TEXT, record_of
from engine.language.compiled import ActionUse
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
    expression,
    refund_rule,
    small_rules,
    status_is,
    when,
)  # fmt: skip


class Desk(Shop):
    """The returns platform, slow: while it writes a comment down, the order arrives that the return belongs to."""

    name: ClassVar[str] = "desk"
    role: ClassVar[Any] = "returns"
    service: Service
    loses_answers = False

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        return [Evidence(order.key, done=bool(self.books.refunds)) for order in orders]

    async def perform(self, order: Order) -> Receipt:
        self.service.hear([an_order(), a_sale()])
        while self.service.intake.take_some():
            pass
        self.books.refunds.append({"order": order.key})
        if self.loses_answers:
            raise Unsure("no answer came")
        return Receipt("C1")


def told(path: Path, *, loses_answers: bool) -> Service:
    clock = VirtualClock(NOON)
    desk = Desk(clock)
    desk.loses_answers = loses_answers
    use = ActionUse(
        "returns.comment",
        TELL,
        {
            "rma": expression("rma", lambda env: env["rma"], record_of("rma")),
            "text": expression('"hello"', lambda _: "hello", TEXT),
        },
        HERE,
    )
    rule = refund_rule(id="tell", when=when(status_is("approved")), actions=(use,), each=BY_RMA, meaning="tell")
    service = Service(SqliteStore.open(path), small_rules(rule), {"returns": desk, "marketplace": Shop(clock)}, clock)
    desk.service = service
    service.hear([an_rma(status="approved")])
    asyncio.run(service.step())
    return service


def statuses(service: Service) -> list[tuple[str, str]]:
    return [(row.case, row.entry.status) for row in service.store.outbox.every(0, 10)]


def test_what_was_sent_is_settled_in_the_case_it_is_in_by_then(tmp_path: Path) -> None:
    service = told(tmp_path / "a.db", loses_answers=False)
    assert statuses(service) == [("order:A", "settled")]
    service.store.close()


def test_what_may_have_been_sent_is_looked_up_in_the_case_it_is_in_by_then(tmp_path: Path) -> None:
    service = told(tmp_path / "a.db", loses_answers=True)
    assert statuses(service) == [("order:A", "unsure")]
    clock = service.clock
    assert isinstance(clock, VirtualClock)
    asyncio.run(service.play(clock, clock() + service.rule_set.actions["returns.comment"].quiet))
    assert statuses(service) == [("order:A", "settled")]
    service.store.close()
