"""Each way the marketplace says no, through the whole service: the word for it, whose it is, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.demo.outside import Outside
from engine.demo.story import Item
from engine.facts.outside import Connector, installed_actions, installed_connectors
from engine.language.pack import load
from engine.run.clock import VirtualClock
from engine.run.service import Service
from engine.store.rows import EffectRow, ExceptionRow
from engine.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
MORNING = datetime(2026, 9, 1, 8, tzinfo=UTC)
ORDER, SKU = "M-1", "SNEAKER-42"
ROLES = {"missing": "ROLE_PARTNER_ORDER_READ", "there": "ROLE_SHOP_ADMIN"}


@dataclass
class Shop:
    """An order of two taxed pieces, received and debited, under the base pack; the service, and what it talks to."""

    outside: Outside
    service: Service
    clock: VirtualClock
    meanwhile: Callable[[], None] = lambda: None  # done between a look-up and what is sent after it

    @property
    def world(self) -> Any:
        return self.outside.market.world

    def passed(self, **time: float) -> None:
        asyncio.run(self.service.play(self.clock, self.clock() + timedelta(**time)))

    def refund_in_store(self) -> None:
        self.outside._refund_in_store(ORDER, [(SKU, 1)])

    def refunds(self) -> list[EffectRow]:
        case = self.service.store.cases.named(f"order:{ORDER}")
        assert case is not None
        return [row for row in self.service.store.outbox.of_case(case.id) if row.entry.action == "marketplace.refund"]

    def outcome(self) -> tuple[str, str]:
        """Of the last refund."""
        entry = self.refunds()[-1].entry
        return entry.status, entry.reason

    def told(self, *, ever: bool = False) -> list[ExceptionRow]:
        """What people were told about refunds, the first first."""
        found = self.service.store.exceptions.listed(only_open=not ever)
        return [row for row in reversed(found) if row.entry.item.startswith("effect:refund:")]

    def owners(self) -> list[tuple[str, str]]:
        return [(row.entry.rule, row.entry.owner) for row in self.told()]


@contextmanager
def shop(path: Path) -> Iterator[Shop]:
    clock = VirtualClock(MORNING - timedelta(days=9))
    outside = Outside(clock, path / "postings")
    with outside.served() as settings:
        rules = load(ROOT, "demo", installed_actions())
        connectors: dict[str, Connector] = {}
        for name in ("mirakl", "shopify"):
            made = installed_connectors()[name]
            connectors[made.role] = made(made.Settings.model_validate(settings[name]), clock, rules.codes)
        outside._sell(ORDER, [Item(SKU, quantity=2, taxed=True)])
        outside._ship(ORDER)
        outside._receive(ORDER)
        clock.move(MORNING)

        def points(name: str) -> None:
            if name == "looked_up":
                told.meanwhile()

        service = Service(SqliteStore.open(path / "a.db", synchronous="NORMAL"), rules, connectors, clock, points=points)
        told = Shop(outside, service, clock)
        try:
            told.passed(minutes=1)
            yield told
        finally:
            asyncio.run(service.close())


def poor(told: Shop) -> None:
    told.world.payable = Decimal("0.00")


def closed(told: Shop) -> None:
    told.world.close(ORDER)


def not_debited(told: Shop) -> None:
    order = told.world.orders[ORDER]
    order.pop("customer_debited_date", None)
    order["order_lines"][0].pop("debited_date", None)


def other_reasons(told: Shop) -> None:
    for reason in told.world.reasons:
        reason["is_shop_right"] = False


def another_tax(told: Shop) -> None:
    line = told.world.orders[ORDER]["order_lines"][0]
    line["taxes"] = [*line["taxes"], {**line["taxes"][0], "code": "ECO", "amount": Decimal("4.00")}]


def paying_another(told: Shop) -> None:
    told.world.one_refund_at_a_time = True
    order = told.world.orders[ORDER]
    if not order["order_lines"][0]["refunds"]:
        told.refund_in_store()
        told.passed(hours=1)


REFUSALS = [
    ("balance_too_low", poor, ("balance_too_low", "finance")),
    ("order_closed", closed, ("state_refused", "operations")),
    ("not_debited", not_debited, ("state_refused", "operations")),
    ("reason_not_allowed", other_reasons, ("reason_refused", "operations")),
    ("tax_missing", another_tax, ("tax_refused", "finance")),
]


@pytest.mark.parametrize("inside", [False, True], ids=["as a 400", "inside a 200"])
@pytest.mark.parametrize(("reason", "cause", "owner"), REFUSALS, ids=[reason for reason, *_ in REFUSALS])
def test_each_refusal_has_its_word_and_one_owner(
    tmp_path: Path, reason: str, cause: Callable[[Shop], None], owner: tuple[str, str], *, inside: bool
) -> None:
    with shop(tmp_path) as told:
        told.world.refused_inside = inside
        told.meanwhile = lambda: cause(told)
        told.refund_in_store()
        told.passed(minutes=20)
        assert told.outcome() == ("refused", reason)
        assert told.owners() == [owner]
        assert told.told()[0].entry.runbook
        assert told.world.books() == ()


def test_a_key_without_the_role_is_told_apart(tmp_path: Path) -> None:
    with shop(tmp_path) as told:
        told.outside.market.roles = {ROLES["missing"]}
        told.refund_in_store()
        told.passed(minutes=20)
        assert told.outcome() == ("refused", "missing_role")
        assert told.owners() == [("role_missing", "operations")]


class TestWhatPassesByItself:
    def test_a_balance_too_low_is_tried_again_until_it_covers_the_refund_and_is_told_once(self, tmp_path: Path) -> None:
        with shop(tmp_path) as told:
            poor(told)
            told.refund_in_store()
            told.passed(minutes=20)
            (first,) = told.told()
            told.service.store.exceptions.assign(first.id, "Ana")
            told.passed(hours=5)
            tries = sum(operation == "OR28" for operation, *_ in told.outside.market.received)
            assert 5 <= tries <= 7  # about once an hour
            (still,) = told.told(ever=True)
            assert (still.id, still.assigned_to, still.closed_at) == (first.id, "Ana", None)
            told.world.payable = Decimal("1000.00")
            told.passed(hours=2)
            assert told.outcome() == ("settled", "")
            assert told.told() == []
            assert len(told.world.books()) == 1

    def test_a_refund_in_progress_is_over_once_it_is_paid(self, tmp_path: Path) -> None:
        with shop(tmp_path) as told:
            paying_another(told)
            told.refund_in_store()
            told.passed(minutes=20)
            assert told.outcome() == ("refused", "refund_in_progress")
            assert told.owners() == [("less_left_than_asked", "customer service")]
            told.world.pay_refunds()
            told.passed(hours=1)
            assert {row.entry.status for row in told.refunds()} == {"settled"}
            assert told.told() == []
            assert len(told.world.books()) == 2

    def test_a_customer_who_is_debited_later_is_refunded_then(self, tmp_path: Path) -> None:
        with shop(tmp_path) as told:
            told.meanwhile = lambda: not_debited(told)
            told.refund_in_store()
            told.passed(minutes=20)
            assert told.outcome() == ("refused", "not_debited")
            told.passed(hours=3)  # looked up anew, it is a fact: a rule holds the refund back, and tells of that
            assert told.world.books() == ()
            told.meanwhile = lambda: None
            told.world.debit(ORDER)
            told.passed(hours=2)
            assert told.outcome() == ("settled", "")
            assert len(told.world.books()) == 1

    def test_what_does_not_pass_by_itself_is_not_sent_again(self, tmp_path: Path) -> None:
        with shop(tmp_path) as told:
            told.meanwhile = lambda: other_reasons(told)
            told.refund_in_store()
            told.passed(hours=4)
            assert sum(operation == "OR28" for operation, *_ in told.outside.market.received) == 1
            assert told.outcome()[0] == "refused"
