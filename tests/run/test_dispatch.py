"""What is due is sent: the most urgent first, cases side by side, and what does not answer holds up nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.facts.budget import Limit
from engine.facts.outside import Evidence, Feed, Order, Page, Receipt, TryLater, Unsure
from engine.facts.schema import Type
from engine.language.compiled import ActionUse, PromiseSpec, Rule
from engine.language.ruleset import RuleSet
from engine.run.clock import VirtualClock
from engine.run.hearing.intake import BATCH
from engine.run.sending.breaker import LONGEST_TRIAL
from engine.run.sending.dispatch import SHARE, in_turn
from engine.run.service import Service
from engine.store.rows import EffectRow
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
    says,
    slow_rule,
    small_rules,
    status_is,
    unhandled_rule,
    when,
)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def promising(deadlines: dict[str, datetime]) -> PromiseSpec:
    """Each RMA is refunded by the instant it has here; one without has no deadline."""
    by = expression("rma.refund_due", lambda env: deadlines.get(env["rma"].key), Type("timestamp"))
    has = expression("exists(rma.refund_due)", lambda env: env["rma"].key in deadlines)
    refunded = expression("rma.refunded", lambda env: env["rma"].key not in deadlines)
    return PromiseSpec(
        "in_time", HERE, each=BY_RMA, when=has, by=by, must=refunded, must_owned=("marketplace.refund",)
    )  # fmt: skip


def telling() -> Rule:
    rma = expression("rma", lambda env: env["rma"])
    use = ActionUse("returns.comment", TELL, {"rma": rma, "text": says("done")}, HERE)
    return Rule("tell", "sync", 3, when(status_is("done")), HERE, each=BY_RMA, meaning="tell", actions=(use,))


class Desk(Shop):
    """The returns platform: it takes comments, and is polled."""

    name = "desk"
    role: Any = "returns"
    actions = MappingProxyType({"comment": TELL})

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.said: list[str] = []
        self.feeds = {"rmas": Feed("rmas", timedelta(minutes=1))}

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        return [Evidence(order.key, done=False) for order in orders]

    async def perform(self, order: Order) -> Receipt:
        self.said.append(order.key)
        return Receipt(order.key)


class Counting(Shop):
    """Takes its time over every refund, and counts what is on its way at once: in all, and on each line."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.done: list[str] = []
        self.meanwhile: Callable[[int], None] = lambda _: None

    async def perform(self, order: Order) -> Receipt:
        names = ("all", str(order.params["line"]))
        for name in names:
            self.now[name] += 1
            self.most[name] = max(self.most[name], self.now[name])
        for _ in range(10):
            await asyncio.sleep(0)
        for name in names:
            self.now[name] -= 1
        self.meanwhile(len(self.done))
        self.done.append(order.params["order"])
        return await super().perform(order)


class Hanging(Shop):
    """Hangs in one of its calls until it is let go, for the orders named."""

    def __init__(self, clock: Callable[[], datetime], call: str, *orders: str) -> None:
        super().__init__(clock)
        self.call = call
        self.orders = orders
        self.let_go = asyncio.Event()
        self.hung = 0
        self.feeds = {"orders": Feed("orders", timedelta(minutes=5))} if call == "observe" else {}

    async def _hang(self, call: str, orders: Sequence[str]) -> None:
        if call == self.call and not (self.orders and set(self.orders).isdisjoint(orders)):
            self.hung += 1
            await self.let_go.wait()

    async def observe(self, feed: str, cursor: str) -> AsyncIterator[Page]:
        await self._hang("observe", ())
        async for page in super().observe(feed, cursor):
            yield page

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        await self._hang("look_up", [o.params["order"] for o in orders])
        return await super().look_up(orders)

    async def perform(self, order: Order) -> Receipt:
        await self._hang("perform", [order.params["order"]])
        return await super().perform(order)


def serving(path: Path, shop: Shop, rules: RuleSet | None = None, **more: Any) -> tuple[Service, Desk]:
    desk = Desk(shop.clock)
    every = rules or small_rules(refund_rule(), telling(), slow_rule(), unhandled_rule())
    assert isinstance(shop.clock, VirtualClock)
    service = Service(
        SqliteStore.open(path / "a.db", synchronous="NORMAL"), every, {"marketplace": shop, "returns": desk}, shop.clock, **more
    )
    return service, desk


def a_return(service: Service, shop: Shop, name: str, status: str = "done") -> None:
    """An order, its sale, and an RMA of the same name."""
    shop.books.orders[name] = {}
    service.hear([an_order(name), a_sale(f"S{name}", name), an_rma(name, status, sale_id=f"S{name}")])


async def runs_until(service: Service, holds: Callable[[], object], *, before_the_end: Callable[[], None] = lambda: None) -> None:
    """As a process runs it, until something is so. No real time passes."""
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    for _ in range(20_000):
        if holds() or running.done():
            break
        await asyncio.sleep(0)
    else:
        pytest.fail("it never came to that")
    before_the_end()
    stop.set()
    await running


def performed(shop: Shop) -> list[str]:
    return [asked.removeprefix("perform refund:").rpartition("-")[0] for asked in shop.asked if asked.startswith("perform")]


class TestUrgency:
    def test_an_effect_has_the_deadline_of_the_promise_about_its_units(self, tmp_path: Path) -> None:
        shop = Shop(VirtualClock(NOON))
        shop.before = [TryLater("503")] * 2
        rules = small_rules(refund_rule(), promises=(promising({"A": NOON + 2 * HOUR}),))
        service, _ = serving(tmp_path, shop, rules)
        for name in "AB":
            a_return(service, shop, name)
        asyncio.run(service.step())
        found = {row.entry.key: row.deadline for row in service.store.outbox.listed(["planned"], 10)}
        assert found == {"refund:A-1#1": NOON + 2 * HOUR, "refund:B-1#1": None}

    def test_what_is_due_sooner_is_sent_sooner_whatever_came_first(self, tmp_path: Path) -> None:
        shop = Shop(VirtualClock(NOON))
        rules = small_rules(refund_rule(), promises=(promising({"C": NOON + 2 * HOUR, "D": NOON + HOUR}),))
        service, _ = serving(tmp_path, shop, rules, side_by_side={"marketplace": 1})
        for name in "ABCD":
            a_return(service, shop, name)
        asyncio.run(service.step())
        assert performed(shop) == ["D", "C", "A", "B"]

    def test_an_urgent_one_is_never_behind_a_long_tail_of_idle_ones(self, tmp_path: Path) -> None:
        shop = Counting(VirtualClock(NOON))
        rules = small_rules(refund_rule(), promises=(promising({"urgent": NOON + HOUR}),))
        service, _ = serving(tmp_path, shop, rules, side_by_side={"marketplace": 2})

        def then(sent: int) -> None:
            if sent == 3:
                a_return(service, shop, "urgent")

        shop.meanwhile = then
        for n in range(60):
            a_return(service, shop, f"idle{n}")
        asyncio.run(runs_until(service, lambda: len(shop.done) == 61))
        assert shop.done.index("urgent") < 12

    def test_what_has_no_deadline_gets_its_turn_among_any_number_of_urgent_ones(self, tmp_path: Path) -> None:
        names = [f"urgent{n}" for n in range(120)]
        shop = Shop(VirtualClock(NOON))
        rules = small_rules(refund_rule(), promises=(promising(dict.fromkeys(names, NOON + HOUR)),))
        service, _ = serving(tmp_path, shop, rules, side_by_side={"marketplace": 1})
        for name in ("idle", *names):
            a_return(service, shop, name)
        asyncio.run(service.step())
        assert performed(shop).index("idle") < SHARE

    @given(st.lists(st.integers(0, 30), unique=True), st.lists(st.integers(0, 30), unique=True), st.integers(0, 99))
    def test_the_turns_leave_out_nothing_and_every_fifth_is_for_the_oldest(
        self, urgent: list[int], oldest: list[int], turn: int
    ) -> None:
        taken = [row.id for row in in_turn([_row(n) for n in urgent], [_row(n) for n in oldest], turn)]
        assert sorted(taken) == sorted({*urgent, *oldest})
        first = (SHARE - 1 - turn) % SHARE
        if len(oldest) and first < len(taken) and oldest[0] not in taken[:first]:
            assert taken[first] == oldest[0]


def _row(number: int) -> EffectRow:
    return EffectRow(number, number, "", None)  # type: ignore[arg-type]


class TestSideBySide:
    @pytest.mark.parametrize("bound", [1, 3])
    def test_cases_are_sent_side_by_side_up_to_the_bound_and_a_line_never_is(self, tmp_path: Path, bound: int) -> None:
        shop = Counting(VirtualClock(NOON))
        service, _ = serving(tmp_path, shop, side_by_side={"marketplace": bound})
        for name in "ABCDEFG":
            shop.books.orders[name] = {"quantity": 2, "price": "100.00"}
            service.hear([an_order(name, quantity=2, price="100.00"), a_sale(f"S{name}", name)])
            service.hear([an_rma(f"{name}{n}", sale_id=f"S{name}") for n in (1, 2)])
        asyncio.run(runs_until(service, lambda: service.store.outbox.by_status().get("settled") == 14 + 14))
        assert shop.most["all"] == bound
        assert {shop.most[f"{name}-1"] for name in "ABCDEFG"} == {1}
        assert len(shop.books.refunds) == 14

    @pytest.mark.parametrize("call", ["look_up", "perform", "observe"])
    def test_a_system_that_hangs_holds_up_no_other_no_poll_and_no_clock(self, tmp_path: Path, call: str) -> None:
        async def story() -> None:
            clock = VirtualClock(NOON)
            clock.passes = True
            shop = Hanging(clock, call)
            wait = expression("20m", lambda _: timedelta(minutes=20), Type("duration"))
            service, desk = serving(tmp_path, shop, small_rules(refund_rule(), telling(), replace(slow_rule(), hold_for=wait)))
            a_return(service, shop, "A")
            a_return(service, shop, "W", status="approved")  # somebody is told after twenty minutes

            def told() -> bool:
                return "slow" in {row.entry.rule for row in service.store.exceptions.listed()}

            await runs_until(service, lambda: shop.hung and told(), before_the_end=shop.let_go.set)
            polls = [asked for asked in desk.asked if asked.startswith("poll")]
            assert shop.hung == 1
            assert len(desk.said) == 1
            assert len(polls) >= 20  # every minute
            assert len(shop.books.refunds) == 1  # as soon as it was let go, and once

        asyncio.run(story())

    def test_what_was_looked_up_is_taken_in_behind_a_backlog_without_holding_up_everything_else(self, tmp_path: Path) -> None:
        class Flooded(Shop):
            """Very many deliveries come while it is asked."""

            turns = 0
            at_answer = at_send = 0

            async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
                service.hear([an_order(f"X{n}") for n in range(20 * BATCH)])
                self.at_answer = self.turns
                return await super().look_up(orders)

            async def perform(self, order: Order) -> Receipt:
                self.at_send = self.turns
                return await super().perform(order)

            async def others(self) -> None:
                while True:
                    self.turns += 1
                    await asyncio.sleep(0)

        async def live() -> None:
            others = asyncio.create_task(shop.others())
            await runs_until(service, lambda: shop.books.refunds)
            others.cancel()

        shop = Flooded(VirtualClock(NOON))
        service, _ = serving(tmp_path, shop)
        a_return(service, shop, "A")
        asyncio.run(live())
        assert shop.at_send - shop.at_answer >= 5

    def test_one_send_that_hangs_does_not_hold_up_the_others_to_the_same_system(self, tmp_path: Path) -> None:
        async def story() -> None:
            shop = Hanging(VirtualClock(NOON), "perform", "B")
            service, _ = serving(tmp_path, shop, side_by_side={"marketplace": 2})
            for name in "ABCDEF":
                a_return(service, shop, name)
            await runs_until(service, lambda: len(shop.books.refunds) == 5, before_the_end=shop.let_go.set)
            assert (shop.hung, len(shop.books.refunds)) == (1, 6)

        asyncio.run(story())

    def test_a_case_may_become_part_of_another_while_something_of_it_is_on_its_way(self, tmp_path: Path) -> None:
        class HangingDesk(Desk):
            let_go = asyncio.Event()

            async def perform(self, order: Order) -> Receipt:
                receipt = await super().perform(order)
                await self.let_go.wait()
                return receipt

        async def story() -> None:
            clock = VirtualClock(NOON)
            desk = HangingDesk(clock)
            desk.let_go = asyncio.Event()
            store = SqliteStore.open(tmp_path / "a.db", synchronous="NORMAL")
            service = Service(store, small_rules(telling()), {"returns": desk}, clock)
            service.hear([an_rma("1001")])  # of an order nobody has seen
            stop = asyncio.Event()
            running = asyncio.create_task(service.run(stop))
            while not desk.said:  # noqa: ASYNC110 - it gets its turns
                await asyncio.sleep(0)
            service.hear([an_order("A"), a_sale()])
            while store.cases.named("order:A") is None or store.journal.behind():  # noqa: ASYNC110
                await asyncio.sleep(0)
            desk.let_go.set()
            stop.set()
            await running
            case = store.cases.named("order:A")
            assert case is not None
            assert [(row.entry.key, row.entry.status) for row in store.outbox.of_case(case.id)] == [(desk.said[0], "settled")]

        asyncio.run(story())


class TestLeftAlone:
    def down(self, tmp_path: Path, fault: Exception, where: str = "before") -> tuple[Service, Shop, VirtualClock]:
        clock = VirtualClock(NOON)
        shop = Shop(clock)
        setattr(shop, where, [fault] * 10_000)
        service, _ = serving(tmp_path, shop)
        for n in range(10):
            a_return(service, shop, f"O{n}")
        return service, shop, clock

    def told(self, service: Service) -> list[str]:
        return [row.entry.key for row in service.store.exceptions.listed() if row.case_id is None]

    @pytest.mark.parametrize(("fault", "where"), [(TryLater("503"), "before"), (TryLater("no connection"), "blind")])
    def test_a_system_that_is_down_is_tried_now_and_then_and_nothing_is_given_up(
        self, tmp_path: Path, fault: Exception, where: str
    ) -> None:
        service, shop, clock = self.down(tmp_path, fault, where)
        asyncio.run(service.play(clock, NOON + timedelta(hours=8)))
        tries = len(performed(shop)) if where == "before" else sum(a.startswith("look up") for a in shop.asked)
        assert 90 < tries < 120  # soon a trial every five minutes
        assert set(service.store.outbox.by_status()) == {"planned", "settled"}  # the comments are settled
        way = {"before": "perform", "blind": "look_up"}[where]
        assert self.told(service) == [f"connector_down:shop.{way}"]
        assert service.status()["connectors"][0][way]["state"] == "open"
        getattr(shop, where).clear()
        again = clock()
        asyncio.run(service.play(clock, again + LONGEST_TRIAL + timedelta(minutes=31)))
        assert len(shop.books.refunds) == 10
        assert self.told(service) == []
        assert service.status()["connectors"][0][way]["state"] == "closed"

    def test_a_deadline_waits_no_longer_than_a_trial_for_a_system_that_answers_again(self, tmp_path: Path) -> None:
        service, shop, clock = self.down(tmp_path, TryLater("no connection"), "blind")
        asyncio.run(service.play(clock, NOON + timedelta(hours=5)))
        shop.blind.clear()
        a_return(service, shop, "new")
        asyncio.run(service.play(clock, clock() + LONGEST_TRIAL))
        assert len(shop.books.refunds) == 11

    def test_what_may_have_been_sent_is_looked_for_while_nothing_is_sent(self, tmp_path: Path) -> None:
        service, shop, clock = self.down(tmp_path, Unsure("no answer"), "after")
        asyncio.run(service.play(clock, NOON + timedelta(minutes=30)))
        assert self.told(service) in ([], ["connector_down:shop.perform"])
        asyncio.run(service.play(clock, NOON + timedelta(hours=12)))
        shop.after.clear()
        asyncio.run(service.play(clock, NOON + timedelta(hours=24)))
        assert Counter(r["order"] for r in shop.books.refunds) == Counter(f"O{n}" for n in range(10))
        assert set(service.store.outbox.by_status()) == {"settled"}

    def test_that_it_is_down_is_told_once_over_restarts_and_taken_back_by_the_first_answer(self, tmp_path: Path) -> None:
        service, shop, clock = self.down(tmp_path, TryLater("503"))
        asyncio.run(service.play(clock, NOON + HOUR))
        (row,) = [x for x in service.store.exceptions.listed() if x.case_id is None]
        asyncio.run(service.close())
        again, _ = serving(tmp_path, shop)
        asyncio.run(again.play(clock, NOON + 2 * HOUR))
        assert [x.id for x in again.store.exceptions.listed() if x.case_id is None] == [row.id]
        asyncio.run(again.close())
        shop.before.clear()
        third, _ = serving(tmp_path, shop)
        asyncio.run(third.play(clock, NOON + 3 * HOUR))
        assert self.told(third) == []
        assert len(shop.books.refunds) == 10

    def test_one_effect_that_fails_again_and_again_closes_nobody_out(self, tmp_path: Path) -> None:
        class Poisoned(Shop):
            async def perform(self, order: Order) -> Receipt:
                if order.params["order"] == "bad":
                    raise TryLater("500")
                return await super().perform(order)

        shop = Poisoned(VirtualClock(NOON))
        service, _ = serving(tmp_path, shop)
        a_return(service, shop, "bad")
        asyncio.run(service.play(shop.clock, NOON + HOUR))  # type: ignore[arg-type]
        a_return(service, shop, "good")
        asyncio.run(service.step())
        assert [r["order"] for r in shop.books.refunds] == ["good"]
        asyncio.run(service.play(shop.clock, NOON + timedelta(days=1)))  # type: ignore[arg-type]
        assert service.store.outbox.by_status()["refused"] == 1
        assert self.told(service) == []

    def test_a_system_that_wants_fewer_calls_is_left_in_peace_for_as_long_as_it_says(self, tmp_path: Path) -> None:
        clock = VirtualClock(NOON)
        shop = Shop(clock)
        shop.before = [TryLater("429", timedelta(minutes=10), for_all=True)]
        service, _ = serving(tmp_path, shop, side_by_side={"marketplace": 1})
        for n in range(20):
            a_return(service, shop, f"O{n}")
        asyncio.run(service.play(clock, NOON + timedelta(minutes=9, seconds=59)))
        assert len(performed(shop)) == 1
        (resting,) = service.status()["connectors"][0]["perform"]["resting"]
        assert (resting["action"], resting["why"]) == ("marketplace.refund", "429")
        asyncio.run(service.play(clock, NOON + timedelta(minutes=11)))
        assert len(shop.books.refunds) == 20
        assert {row.entry.attempts for row in service.store.outbox.listed(["settled"], 100)} == {1, 2}

    @pytest.mark.parametrize("where", ["before", "blind"])
    def test_what_it_asked_for_is_kept_through_a_restart(self, tmp_path: Path, where: str) -> None:
        clock = VirtualClock(NOON)
        shop = Shop(clock)
        setattr(shop, where, [TryLater("429", timedelta(minutes=30), for_all=True)])
        service, _ = serving(tmp_path, shop)
        a_return(service, shop, "A")
        asyncio.run(service.step())
        asyncio.run(service.close())
        asked = len(shop.asked)
        again, _ = serving(tmp_path, shop)
        a_return(again, shop, "B")
        asyncio.run(again.play(clock, NOON + timedelta(minutes=29, seconds=59)))
        assert shop.books.refunds == []
        assert not [what for what in shop.asked[asked:] if what.startswith("perform") or (where, what[:4]) == ("blind", "look")]
        asyncio.run(again.play(clock, NOON + timedelta(minutes=32)))
        assert sorted(r["order"] for r in shop.books.refunds) == ["A", "B"]

    def test_after_a_restart_one_thing_finds_out_whether_what_was_down_answers(self, tmp_path: Path) -> None:
        service, shop, clock = self.down(tmp_path, TryLater("503"))
        asyncio.run(service.play(clock, NOON + HOUR))
        asyncio.run(service.close())
        before = len(performed(shop))
        again, _ = serving(tmp_path, shop)
        asyncio.run(again.step())
        assert len(performed(shop)) == before + 1
        assert again.status()["connectors"][0]["perform"]["state"] == "open"
        shop.before.clear()
        asyncio.run(again.play(clock, clock() + LONGEST_TRIAL + timedelta(minutes=31)))
        assert len(shop.books.refunds) == 10
        assert self.told(again) == []

    def test_a_wish_past_all_measure_is_tried_once_an_hour(self, tmp_path: Path) -> None:
        clock = VirtualClock(NOON)
        shop = Shop(clock)
        shop.blind = [TryLater("429", timedelta(days=30), for_all=True)] * 5
        service, _ = serving(tmp_path, shop)
        a_return(service, shop, "A")
        asyncio.run(service.play(clock, NOON + timedelta(hours=6)))
        assert len(shop.books.refunds) == 1


class TestDeadlinesAhead:
    def world(self, path: Path, deadlines: dict[str, datetime], **more: Any) -> tuple[Service, Shop, VirtualClock]:
        clock = VirtualClock(NOON)
        shop = Shop(clock)
        rules = small_rules(refund_rule(), promises=(promising(deadlines),), **more.pop("rules", {}))
        service, _ = serving(path, shop, rules, **more)
        for name in deadlines:
            a_return(service, shop, name)
        return service, shop, clock

    def told(self, service: Service) -> list[str]:
        return sorted(row.entry.key for row in service.store.exceptions.listed() if row.entry.rule == "deadlines_unmet")

    def unmet(self, service: Service) -> list[tuple[str, int]]:
        return [(one["why"], one["count"]) for one in service.status()["deadlines"]["unmet"]]

    def test_a_budget_that_does_not_reach_is_told_once(self, tmp_path: Path) -> None:
        names = {f"O{n}": NOON + 90 * MINUTE for n in range(8)}
        limit = Limit(6, timedelta(hours=2))
        service, shop, clock = self.world(tmp_path, names, limits={"marketplace": [limit]})
        asyncio.run(service.play(clock, NOON + 2 * MINUTE))
        assert len(shop.books.refunds) == 5  # one look-up for all, and as many as are left
        assert self.unmet(service) == [("budget", 3)]
        (row,) = [x for x in service.store.exceptions.listed() if x.entry.rule == "deadlines_unmet"]
        assert row.entry.title.startswith(
            "3 effects for shop will not be out in time, the first due by 2026-11-01 13:30Z (order:O5,"
        )
        asyncio.run(service.play(clock, NOON + 80 * MINUTE))
        assert [x.id for x in service.store.exceptions.listed() if x.entry.rule == "deadlines_unmet"] == [row.id]
        asyncio.run(service.play(clock, NOON + 3 * HOUR))
        assert (self.told(service), self.unmet(service)) == ([], [])  # they are behind: their promises are broken

    def test_an_open_breaker_is_told_with_the_deadlines_it_endangers(self, tmp_path: Path) -> None:
        names = {f"O{n}": NOON + timedelta(minutes=40 + 30 * n) for n in range(5)}
        service, shop, clock = self.world(tmp_path, names)
        shop.blind = [TryLater("no connection")] * 1000
        asyncio.run(service.play(clock, NOON + timedelta(minutes=20)))
        assert self.unmet(service) == [("down", 2)]
        assert self.told(service) == ["deadlines_unmet:shop"]
        shop.blind.clear()
        asyncio.run(service.play(clock, NOON + timedelta(minutes=30)))
        assert (self.told(service), self.unmet(service)) == ([], [])
        assert len(shop.books.refunds) == 5

    def test_what_was_told_before_a_restart_is_taken_back_after_it(self, tmp_path: Path) -> None:
        service, shop, clock = self.world(tmp_path, {f"O{n}": NOON + 40 * MINUTE for n in range(3)})
        shop.blind = [TryLater("no connection")] * 1000
        asyncio.run(service.play(clock, NOON + 20 * MINUTE))
        assert self.told(service) == ["deadlines_unmet:shop"]
        asyncio.run(service.close())
        shop.blind.clear()
        again, _ = serving(tmp_path, shop, service.rule_set)
        asyncio.run(again.play(clock, NOON + 30 * MINUTE))
        assert self.told(again) == []

    def test_more_than_can_be_sent_in_time_is_told_by_how_long_one_takes(self, tmp_path: Path) -> None:
        class Slow(Shop):
            async def perform(self, order: Order) -> Receipt:
                assert isinstance(self.clock, VirtualClock)
                self.clock.move(self.clock() + 4 * MINUTE)
                return await super().perform(order)

        shop = Slow(VirtualClock(NOON))
        names = {f"O{n}": NOON + HOUR for n in range(20)}
        rules = small_rules(refund_rule(), promises=(promising(names),))
        service, _ = serving(tmp_path, shop, rules, side_by_side={"marketplace": 1})
        for name in names:
            a_return(service, shop, name)
        seen: dict[str, int] = {}

        def told() -> bool:
            seen.update(dict(self.unmet(service)))
            return "too_many" in seen

        asyncio.run(runs_until(service, told))
        assert 3 <= seen["too_many"] <= 6  # fifteen of twenty can be out within the hour
