"""What the outside allows is never overdrawn, and is spent on what matters most."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.returngo.connector import ReturnGoConnector, ReturnGoSettings
from connectors.returngo.sandbox import ReturnGoSandbox
from connectors.serving import Served
from connectors.shopify.connector import ShopifyConnector, ShopifySettings
from connectors.shopify.sandbox import ShopifySandbox
from engine.facts.budget import PURPOSES, Limit, OverBudget, Purpose, Quota, Spending
from engine.facts.outside import Connector, Order, Ref, TryLater
from engine.run.clock import VirtualClock
from engine.run.limits.budget import Budget, quota_of
from engine.run.limits.forecast import instants
from engine.run.limits.ledger import CLAIM, KEPT_BACK, Ledger
from engine.store.sqlite import SqliteStore

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class Account:
    """A budget for one connector, and all that was sent on it. A crash loses what was only in memory."""

    path: Path
    limits: Sequence[Limit]
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(NOON))
    sent: list[tuple[datetime, str, int]] = field(default_factory=list)
    loop: asyncio.Runner = field(default_factory=asyncio.Runner)

    def __post_init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self.store = SqliteStore.open(self.path / "budget.db", synchronous="NORMAL")
        self.budget = Budget(self.store, self.clock, {"shop": Quota({}, tuple(self.limits), {"refund": {"send": 2}})})

    def crash(self) -> None:
        self.store.close()
        self._open()

    def spend(self, purpose: Purpose = "perform", operation: str = "send", units: int = 1) -> Spending:
        spending = self.loop.run(self.budget.spend("shop", operation, units, purpose))
        self.sent.append((self.clock(), operation, units))
        return spending

    def spend_all(self, purpose: Purpose, operation: str = "send") -> tuple[int, timedelta]:
        """How often, until it was said to wait for how long."""
        for count in range(100_000):
            try:
                self.spend(purpose, operation)
            except OverBudget as no:
                return count, no.after
        raise AssertionError("nothing limits it")

    def pass_(self, time: timedelta) -> None:
        self.clock.move(self.clock() + time)

    def overdrawn(self) -> list[tuple[Limit, datetime, int]]:
        """Every window that held more than its limit."""
        return [
            (limit, end, units)
            for limit in self.limits
            for end, _, _ in self.sent
            if (units := sum(n for at, name, n in self.sent if limit.covers(name) and end - limit.per < at <= end)) > limit.units
        ]


@contextmanager
def account(*limits: Limit) -> Iterator[Account]:
    with TemporaryDirectory() as folder:
        ready = Account(Path(folder), limits)
        yield ready
        ready.store.close()
        ready.loop.close()


Step = tuple[str, float]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(PURPOSES), st.sampled_from([1.0, 1.0, 2.0])),
        st.tuples(st.just("pass"), st.sampled_from([0.0, 0.2, 1.0, 59.0, 60.0, 600.0, 3599.0])),
        st.tuples(st.just("crash"), st.just(0.0)),
    ),
    max_size=60,
)
LIMITS = st.lists(
    st.builds(
        Limit,
        st.integers(1, 12),
        st.sampled_from([SECOND, MINUTE, 5 * MINUTE, HOUR]),
        st.sampled_from(["", "send", "look"]),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=25, deadline=None)
@given(LIMITS, STEPS, st.lists(st.sampled_from(["send", "look"]), min_size=1, max_size=5))
def test_no_window_ever_holds_more_than_its_limit_whatever_is_asked_and_however_often_it_crashes(
    limits: list[Limit], steps: list[Step], operations: list[str]
) -> None:
    with account(*limits) as shop:
        for number, (step, amount) in enumerate(steps):
            if step == "pass":
                shop.pass_(timedelta(seconds=amount))
            elif step == "crash":
                shop.crash()
            else:
                units = min(int(amount), *(limit.units for limit in limits))
                with suppress(OverBudget):
                    shop.spend(step, operations[number % len(operations)], units).over()  # type: ignore[arg-type]
        assert shop.overdrawn() == []


@settings(max_examples=25, deadline=None)
@given(LIMITS, st.lists(st.sampled_from(PURPOSES), max_size=30), st.integers(1, 30))
def test_what_waits_as_long_as_it_is_told_can_be_sent_then(limits: list[Limit], before: list[Purpose], tries: int) -> None:
    """Nothing is polled in circles: the instant that is named is the right one."""
    with account(*limits) as shop:
        for purpose in before:
            try:
                shop.spend(purpose)
            except OverBudget:
                shop.pass_(SECOND)
        for _ in range(tries):
            try:
                shop.spend("perform")
            except OverBudget as no:
                shop.pass_(no.after)
                shop.spend("perform")
        assert shop.overdrawn() == []


@settings(max_examples=25, deadline=None)
@given(LIMITS, st.lists(st.tuples(st.sampled_from(PURPOSES), st.sampled_from([0.0, 1.0, 30.0])), max_size=20), st.integers(1, 40))
def test_a_forecast_names_the_instants_at_which_effects_can_be_sent(
    limits: list[Limit], before: list[tuple[Purpose, float]], count: int
) -> None:
    limits = [Limit(max(limit.units, 2), limit.per) for limit in limits]
    with account(*limits) as shop:
        for purpose, wait in before:
            with suppress(OverBudget):
                shop.spend(purpose)
            shop.pass_(timedelta(seconds=wait))
        told = shop.budget.forecast(_Named()).instants(["marketplace.refund"] * count)
        assert len(told) == count
        for at in told:
            assert at is not None
            try:
                shop.spend("perform", units=2)
            except OverBudget as no:
                shop.pass_(no.after)
                shop.spend("perform", units=2)
            assert at <= shop.clock() <= at + max(limit.per for limit in limits) / 100  # spendings close together count as one


class _Named:
    name = "shop"


def test_a_forecast_ends_at_the_deadline_it_is_asked_for_and_spends_nothing() -> None:
    with account(Limit(4, HOUR)) as shop:
        for _ in range(2):
            told = shop.budget.forecast(_Named()).instants(["marketplace.refund"] * 100, until=NOON + 3 * HOUR)
            assert told[:8] == (*[NOON] * 2, *[NOON + HOUR] * 2, *[NOON + 2 * HOUR] * 2, *[NOON + 3 * HOUR] * 2)
            assert set(told[8:]) == {None}


def test_a_forecast_lets_actions_share_what_covers_them_all_and_passes_over_what_waits_for_a_limit_of_its_own() -> None:
    ledger = Ledger((Limit(4, HOUR), Limit(1, 2 * HOUR, operation="cancel")))
    refund, cancel = {"look_up": 1, "refund": 1}, {"look_up": 1, "cancel": 1}
    told = instants(ledger, [cancel, cancel, refund, refund], NOON)
    assert told == (NOON, NOON + 2 * HOUR, NOON, NOON + HOUR)
    assert instants(ledger, [refund, refund, cancel], NOON, NOON + HOUR / 2) == (NOON, NOON, None)


def test_what_has_come_back_is_not_remembered_for_as_long_as_the_longest_limit_of_another_operation() -> None:
    """A service asks a few times a second, for months."""
    with account(Limit(20, DAY, operation="rare"), Limit(100, SECOND, operation="often")) as shop:
        shop.spend(operation="rare")
        for _ in range(1000):
            shop.spend(operation="often")
            shop.pass_(SECOND)
        assert len(shop.store.budgets.spent("shop")) < 500
        shop.pass_(HOUR)
        shop.crash()
        assert [row.operation for row in shop.store.budgets.spent("shop")] == ["rare"]


@pytest.mark.parametrize("purpose", PURPOSES)
def test_what_matters_less_leaves_a_share_to_what_matters_more(purpose: Purpose) -> None:
    with account(Limit(50, HOUR)) as shop:
        count, after = shop.spend_all(purpose)
        assert (count, after) == (50 - int(50 * KEPT_BACK[purpose]), HOUR)
        assert shop.spend_all("perform")[0] == 50 - count


def test_one_request_in_five_minutes_is_had_by_what_matters_most_when_it_comes_back() -> None:
    """Nothing can be kept back of one: the poll that asks at the same instant lets the look-up go first."""
    with account(Limit(1, 5 * MINUTE)) as shop:
        shop.spend("poll")
        for purpose in ("poll", "look_up"):
            with pytest.raises(OverBudget) as no:
                shop.spend(purpose)
            assert no.value.after == 5 * MINUTE
        shop.pass_(5 * MINUTE)
        with pytest.raises(OverBudget):
            shop.spend("poll")
        shop.spend("look_up")
        assert [at for at, _, _ in shop.sent] == [NOON, NOON + 5 * MINUTE]


def test_what_claimed_a_turn_and_never_came_back_keeps_nobody_waiting_for_long() -> None:
    with account(Limit(1, 5 * MINUTE)) as shop:
        shop.spend("poll")
        with pytest.raises(OverBudget):
            shop.spend("look_up")
        shop.pass_(5 * MINUTE + CLAIM)
        shop.spend("poll")


def test_a_flood_of_fetches_leaves_the_day_to_those_who_come_later() -> None:
    """After an outage 3000 hints wait: within an hour not even an eighth of the day is theirs, polls go on, and effects are never
    refused.
    """
    with account(Limit(2000, DAY)) as shop:
        hours = []
        for _ in range(6):
            count, after = shop.spend_all("fetch")
            hours.append(count)
            for _ in range(60):
                shop.spend("poll")
            shop.spend("perform")
            assert after <= HOUR
            shop.pass_(HOUR)
        assert hours == [250 - 62] * 6


def test_what_is_held_back_by_the_pace_is_told_of_it() -> None:
    with account(Limit(2000, DAY)) as shop:
        shop.spend("poll", units=250)
        with pytest.raises(OverBudget) as no:
            shop.spend("poll")
        assert no.value.reason == (
            "of the budget of shop, 2000 requests per 1d, polls and fetches get 250 requests per 1h:"
            " used up until 2026-11-01 13:00:00 UTC"
        )


def test_short_waits_are_waited_for_on_the_spot() -> None:
    with account(Limit(5, SECOND)) as shop:
        for _ in range(12):
            shop.spend("poll").over()
        assert shop.clock() == NOON + 2 * SECOND


def test_what_never_reached_the_outside_is_given_back_for_good() -> None:
    with account(Limit(1, HOUR)) as shop:
        shop.spend("poll").give_back()
        shop.crash()
        shop.spend("poll")


def test_what_was_being_sent_when_the_process_died_may_have_arrived_a_minute_later() -> None:
    with account(Limit(1, HOUR)) as shop:
        shop.spend("poll")
        shop.pass_(30 * SECOND)
        shop.crash()
        with pytest.raises(OverBudget) as no:
            shop.spend("poll")
        assert no.value.after == HOUR


def test_an_answer_that_took_long_keeps_its_units_longer() -> None:
    """It may have reached the outside any time before it was answered."""
    with account(Limit(1, HOUR)) as shop:
        spending = shop.spend("poll")
        shop.pass_(20 * SECOND)
        spending.over()
        shop.pass_(HOUR - 10 * SECOND)
        with pytest.raises(OverBudget) as no:
            shop.spend("poll")
        assert no.value.after == 10 * SECOND


def test_a_clock_that_steps_back_neither_gives_units_away_nor_keeps_them_for_ever() -> None:
    with account(Limit(1, HOUR)) as shop:
        shop.spend("poll")
        shop.clock = VirtualClock(NOON - 400 * DAY)
        shop.crash()
        with pytest.raises(OverBudget) as no:
            shop.spend("poll")
        assert no.value.after == HOUR


def test_who_is_asked_to_wait_by_the_outside_waits_also_after_a_restart() -> None:
    with account(Limit(100, HOUR)) as shop:
        shop.spend("poll").rest(10 * MINUTE)
        shop.crash()
        with pytest.raises(OverBudget, match="asked to be left alone") as no:
            shop.spend("perform")
        assert no.value.after == 10 * MINUTE
        shop.pass_(10 * MINUTE)
        shop.spend("perform")


def test_a_rest_for_one_operation_leaves_the_others_alone() -> None:
    with account(Limit(1, MINUTE, "look")) as shop:
        shop.spend("poll", "look").rest(10 * MINUTE)
        shop.spend("poll", "send")
        shop.pass_(MINUTE)
        with pytest.raises(OverBudget):
            shop.spend("poll", "look")


def test_others_on_the_same_account_count_once_the_outside_tells_of_them() -> None:
    with account(Limit(150, MINUTE)) as shop:
        shop.spend("poll").left(3)
        assert shop.spend_all("perform") == (3, MINUTE)


def test_a_bucket_gives_all_at_once_and_then_as_fast_as_it_fills() -> None:
    with account(Limit(2000, 20 * SECOND, refills=True, unit="points")) as shop:
        for _ in range(20):
            shop.spend("perform", units=100)
        assert shop.clock() == NOON
        shop.spend("perform", units=100)
        assert NOON + SECOND <= shop.clock() <= NOON + SECOND + timedelta(milliseconds=1)
        shop.crash()
        (standing,) = shop.budget.standings()["shop"]
        assert standing.left == 0


def test_a_bucket_is_as_large_and_as_full_as_the_outside_says() -> None:
    with account(Limit(2000, 20 * SECOND, refills=True, unit="points")) as shop:
        shop.spend("perform", units=100).left(9000, 10_000, 10 * SECOND)
        (standing,) = shop.budget.standings()["shop"]
        assert (standing.limit.units, standing.left) == (10_000, 9000)


def test_points_of_queries_that_are_not_answered_yet_are_not_given_back_by_the_answer_to_another() -> None:
    with account(Limit(2000, 20 * SECOND, refills=True, unit="points")) as shop:
        first, _ = shop.spend("poll", units=100), shop.spend("fetch", units=300)
        first.left(1900)
        (standing,) = shop.budget.standings()["shop"]
        assert standing.left == 1600


def test_the_message_says_what_is_used_up_until_when_and_what_is_kept() -> None:
    with account(Limit(50, HOUR, "look")) as shop:
        shop.spend("poll", "look", 40)
        with pytest.raises(OverBudget) as no:
            shop.spend("poll", "look")
        assert no.value.reason == (
            "the budget of shop look, 50 requests per 1h, is used up until 2026-11-01 13:00:00 UTC"
            " (10 of them are kept for what is more urgent)"
        )


def test_further_pages_of_a_listing_cost_nothing_and_wait_for_nothing() -> None:
    with account(Limit(1, HOUR)) as shop:
        shop.spend("poll")
        with pytest.raises(OverBudget):
            shop.spend("look_up")
        shop.spend("poll", units=0).rest(MINUTE)
        with pytest.raises(OverBudget, match="left alone"):
            shop.spend("poll", units=0)


def test_more_than_there_ever_is_waits_for_all_of_it() -> None:
    with account(Limit(10, MINUTE)) as shop:
        shop.spend("perform")
        with pytest.raises(OverBudget):
            shop.spend("perform", units=15)
        shop.pass_(MINUTE)
        shop.spend("perform", units=15)


# With connectors, over real HTTP


class Bench:
    """A connector, asked as the service asks it."""

    def __init__(self, path: Path, clock: VirtualClock, connector: Connector) -> None:
        self.store = SqliteStore.open(path / "bench.db", synchronous="NORMAL")
        self.connector = connector
        self.budget = Budget(self.store, clock, {connector.name: quota_of(connector)})

    def run(self, purpose: Purpose, call: Callable[[], object]) -> object:
        async def within() -> object:
            try:
                with self.budget.spending(self.connector, purpose):
                    return await call()  # type: ignore[misc]
            finally:
                await self.connector.close()

        return asyncio.run(within())

    def poll(self, feed: str, cursor: str = "") -> None:
        async def all_of_it() -> None:
            async for _ in self.connector.observe(feed, cursor):
                pass

        self.run("poll", all_of_it)


@pytest.fixture
def returngo(tmp_path: Path) -> Iterator[tuple[ReturnGoSandbox, VirtualClock, Callable[[], Bench]]]:
    clock = VirtualClock(NOON)
    sandbox = ReturnGoSandbox(clock, calls_per_day=100)
    opened: list[Bench] = []
    with Served(sandbox.app) as url:

        def bench() -> Bench:
            for each in opened:
                each.store.close()
            connector = ReturnGoConnector(ReturnGoSettings(**sandbox.settings(url)), clock, {})
            opened.append(Bench(tmp_path, clock, connector))
            return opened[-1]

        yield sandbox, clock, bench
        opened[-1].store.close()


def poll_until_refused(shop: Bench) -> None:
    with suppress(TryLater):
        for _ in range(100):
            shop.poll("rmas")
        raise AssertionError("nothing limits polls")


def test_a_day_of_polls_leaves_effects_their_requests_also_after_a_restart(
    returngo: tuple[ReturnGoSandbox, VirtualClock, Callable[[], Bench]],
) -> None:
    sandbox, clock, bench = returngo
    shop = bench()
    for hour in range(0, 24, 3):
        poll_until_refused(shop)
        if hour == 12:
            shop = bench()
        clock.move(clock() + timedelta(hours=2, minutes=59))
    assert sum(sandbox.calls.values()) == 80
    order = Order("key", "returns.comment", "rma", (), {"rma": {"id": "1"}, "text": "still possible"}, 1, clock())
    with pytest.raises(Exception, match="not_found"):
        shop.run("perform", lambda: shop.connector.perform(order))
    assert sum(sandbox.calls.values()) == 81


def test_after_a_429_nothing_is_asked_until_it_is_time(
    returngo: tuple[ReturnGoSandbox, VirtualClock, Callable[[], Bench]],
) -> None:
    sandbox, clock, bench = returngo
    shop = bench()
    sandbox.calls_per_day = 0
    with pytest.raises(TryLater, match="429"):
        shop.poll("rmas")
    asked = sum(sandbox.calls.values())
    with pytest.raises(OverBudget, match="left alone"):
        shop.poll("open_rmas")
    sandbox.calls_per_day = 100
    shop = bench()
    with pytest.raises(OverBudget, match="left alone"):
        shop.poll("open_rmas")
    assert sum(sandbox.calls.values()) == asked
    clock.move(clock() + timedelta(minutes=15))
    shop.poll("open_rmas")


def test_what_cannot_be_reached_costs_nothing_and_a_key_that_is_not_known_neither(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    sandbox = ReturnGoSandbox(clock)
    with Served(sandbox.app) as url:
        settings_ = {**sandbox.settings(url), "api_key": "another"}
        stranger = Bench(tmp_path, clock, ReturnGoConnector(ReturnGoSettings(**settings_), clock, {}))
        with pytest.raises(TryLater):
            stranger.poll("rmas")
    with pytest.raises(TryLater):
        stranger.poll("rmas")
    assert [standing.spent for standing in stranger.budget.standings()["returngo"]] == [0, 0]
    stranger.store.close()


def test_every_try_of_a_read_is_spent(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    sandbox = ShopifySandbox(clock)
    with Served(sandbox.app) as url:
        shop = Bench(tmp_path, clock, ShopifyConnector(ShopifySettings(**sandbox.settings(url)), clock, {}))
        sandbox.faults.add("error", times=1)
        with pytest.raises(TryLater):
            shop.run("fetch", lambda: shop.connector.fetch(Ref("shopify.order_node", "1")))
        assert shop.budget.sent["shopify", "OrderById", "fetch"] == 1
        shop.store.close()


def test_the_count_of_points_follows_what_shopify_says(tmp_path: Path) -> None:
    """Somebody else's app uses the same bucket, and a query costs what Shopify says, not what we thought."""
    clock = VirtualClock(NOON)
    sandbox = ShopifySandbox(clock)
    with Served(sandbox.app) as url:
        shop = Bench(tmp_path, clock, ShopifyConnector(ShopifySettings(**sandbox.settings(url)), clock, {}))
        sandbox.graphql.points -= 1500
        shop.poll("orders")
        (standing,) = shop.budget.standings()["shopify"]
        assert standing.left == 2000 - 1500 - 32
        shop.store.close()
