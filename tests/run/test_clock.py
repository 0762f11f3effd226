"""The machine's clock may be set: the service's own never goes back, and nothing waits shorter than it must."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.facts.outside import Feed, Unsure
from engine.language.batches import Cadence, parse_batch
from engine.run.clock import ClockStep, ClockWrong, SinceSent, SystemClock, VirtualClock
from engine.run.service import Service
from engine.run.timekeeping import STEPPED
from engine.store.sqlite import SqliteStore
from tests.run.small import NOON, Shop, a_sale, an_order, an_rma, small_rules

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


@dataclass
class Machine:
    """A machine whose clock can be set. `ticks` is what nobody can set."""

    wall: datetime = NOON
    ticks: float = 1000.0

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall, lambda: self.ticks)

    def passes(self, time: timedelta) -> None:
        self.wall += time
        self.ticks += time.total_seconds()

    def sets(self, by: timedelta) -> None:
        self.wall += by


def test_time_is_the_machines_while_that_is_right() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(5):
        machine.passes(HOUR)
        assert clock() == machine.wall
    assert (clock.steps, clock.ahead, clock.elapsed()) == ((), timedelta(), 5 * HOUR)


def test_a_step_forward_is_followed_at_once_and_told() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.sets(3 * HOUR)
    assert clock() == NOON + 3 * HOUR
    assert clock.steps == (ClockStep(NOON + 3 * HOUR, 3 * HOUR),)
    assert clock.elapsed() == timedelta()


def test_a_step_back_is_caught_up_with_and_never_followed() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.sets(-HOUR)
    assert clock() == NOON
    assert clock.steps == (ClockStep(NOON, -HOUR),)
    assert clock.ahead == HOUR
    machine.passes(HOUR)
    assert clock() == NOON + HOUR / 2
    assert clock.ahead == HOUR / 2
    machine.passes(2 * HOUR)
    assert clock() == machine.wall
    assert clock.ahead == timedelta()


def test_a_small_step_is_not_spoken_of() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.sets(-SECOND)
    machine.passes(MINUTE)
    assert clock() == machine.wall
    assert clock.steps == ()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["passes", "sets"]),
            st.integers(-5 * 86_400_000_000, 5 * 86_400_000_000).map(lambda n: timedelta(microseconds=n)),
        ),
        max_size=40,
    )
)
def test_whatever_is_done_to_the_clock_it_never_goes_back_and_never_waits_shorter(story: list[tuple[str, timedelta]]) -> None:
    """It is never behind the machine's clock, and where that goes back no span of it is longer than what really passed."""
    machine = Machine()
    clock = machine.clock()
    last, really = clock(), timedelta()
    for what, by in story:
        if what == "passes":
            machine.passes(abs(by))
            really += abs(by)
        else:
            machine.sets(by)
        now, wall = clock(), machine.wall
        assert now >= last
        assert now >= wall
        if now > wall and what == "passes":
            assert now - last <= abs(by)
        assert abs(clock.elapsed() - really) < timedelta(milliseconds=1)
        last = now
    machine.passes(1000 * timedelta(days=1))
    assert clock() == machine.wall


class TestAfterARestart:
    def test_time_goes_on_where_it_was(self) -> None:
        clock = Machine().clock()
        clock.resume(NOON + HOUR)
        assert clock() == NOON + HOUR
        assert clock.steps == (ClockStep(NOON + HOUR, -HOUR),)

    def test_what_was_earlier_changes_nothing(self) -> None:
        clock = Machine().clock()
        clock.resume(NOON - HOUR)
        assert clock() == NOON
        assert clock.steps == ()

    def test_a_clock_that_cannot_be_right_is_refused(self) -> None:
        clock = Machine().clock()
        with pytest.raises(ClockWrong, match=r"clock says 2026-11-01 12:00 UTC.*2036-11-01 12:00.*Set the clock right"):
            clock.resume(datetime(2036, 11, 1, 12, tzinfo=UTC))

    def test_virtual_time_goes_on_where_it_was_and_none_has_passed(self) -> None:
        clock = VirtualClock(NOON)
        clock.resume(NOON + HOUR)
        assert (clock(), clock.elapsed()) == (NOON + HOUR, timedelta())


class TestQuiet:
    """How long ago something was sent."""

    def test_a_step_forward_does_not_shorten_it(self) -> None:
        machine = Machine()
        clock = machine.clock()
        since, sent_at = SinceSent(clock), clock()
        since.sent(1, "refund")
        machine.passes(MINUTE)
        machine.sets(3 * HOUR)
        assert clock() - since.counts_from(1, "refund", sent_at, clock()) == MINUTE

    def test_neither_does_one_during_the_look_up(self) -> None:
        machine = Machine()
        clock = machine.clock()
        since, sent_at = SinceSent(clock), clock()
        since.sent(1, "refund")
        machine.passes(MINUTE)
        asked_at = clock()
        machine.sets(3 * HOUR)
        machine.passes(SECOND)
        assert asked_at - since.counts_from(1, "refund", sent_at, asked_at) <= MINUTE

    def test_a_restart_does_not_shorten_it(self) -> None:
        """Nobody knows how long the process was away: by its clock three hours, really a second."""
        machine = Machine(wall=NOON + 3 * HOUR)
        clock = machine.clock()
        since = SinceSent(clock)
        machine.passes(MINUTE)
        assert clock() - since.counts_from(1, "refund", NOON, clock()) == MINUTE

    def test_without_a_step_it_is_what_the_clock_says(self) -> None:
        machine = Machine()
        clock = machine.clock()
        machine.passes(HOUR)
        since, sent_at = SinceSent(clock), clock()
        since.sent(1, "refund")
        machine.passes(MINUTE)
        assert since.counts_from(1, "refund", sent_at, clock()) == sent_at


@dataclass
class Served:
    """A service on a machine whose clock can be set; `starts_again` is another process on the same store."""

    path: Path
    machine: Machine = field(default_factory=Machine)
    rules: Any = field(default_factory=small_rules)

    def __post_init__(self) -> None:
        self.shop = Shop(lambda: self.clock())  # noqa: PLW0108 - another clock after each start
        self.shop.books.orders["A"] = {}
        self._open()

    def _open(self) -> None:
        self.clock = self.machine.clock()
        self.store = SqliteStore.open(self.path)
        self.service = Service(self.store, self.rules, {"marketplace": self.shop}, self.clock)

    def starts_again(self) -> None:
        asyncio.run(self.service.close())
        self._open()
        self.step()

    def hears(self, **rma: Any) -> None:
        self.service.hear([an_order(), a_sale(), an_rma(**rma)])
        self.step()

    def step(self) -> None:
        asyncio.run(self.service.step())

    def passes(self, time: timedelta, every: timedelta = 5 * MINUTE) -> None:
        """As a service that runs all the while."""
        while time > timedelta():
            self.machine.passes(min(every, time))
            time -= every
            self.step()

    def raised(self, rule: str) -> list[Any]:
        return [row for row in self.store.exceptions.listed(only_open=False) if row.entry.rule == rule]


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path / "a.db")


STEPS: dict[str, Callable[[Served], None]] = {
    "back": lambda served: served.machine.sets(-5 * HOUR),
    "back and forth": lambda served: (served.machine.sets(-5 * HOUR), served.step(), served.machine.sets(5 * HOUR))[0],
    "back across a restart": lambda served: (served.machine.sets(-5 * HOUR), served.starts_again())[0],
    "forward": lambda served: served.machine.sets(5 * HOUR),
    "forward across a restart": lambda served: (served.machine.sets(5 * HOUR), served.starts_again())[0],
}


class TestAService:
    """Whatever is done to the clock while it runs, or while it does not."""

    @pytest.mark.parametrize("step", STEPS)
    def test_what_time_brings_comes_once_and_is_not_lost(self, served: Served, step: str) -> None:
        """An RMA that is approved for two days is somebody's."""
        served.hears(status="approved")
        served.passes(20 * HOUR, every=2 * HOUR)
        STEPS[step](served)
        served.passes(timedelta(days=4), every=4 * HOUR)
        assert [row.closed_at for row in served.raised("slow")] == [None]
        assert served.clock() >= NOON + 48 * HOUR

    @pytest.mark.parametrize("step", STEPS)
    def test_no_decision_goes_back_in_time(self, served: Served, step: str) -> None:
        served.hears(status="approved")
        served.passes(HOUR)
        STEPS[step](served)
        served.service.hear([an_rma(status="rejected", at=NOON + HOUR)])
        served.step()
        served.passes(timedelta(days=3), every=4 * HOUR)
        looks = [row.now for row in served.store.cases.decisions(0, 1000)]
        assert looks == sorted(looks)
        assert served.store.safekeeping.last_now() == max(looks)

    @pytest.mark.parametrize("step", STEPS)
    def test_an_unsure_refund_is_not_made_again_before_its_quiet_period_really_passed(self, served: Served, step: str) -> None:
        """The marketplace shows a refund only 15 minutes later, whatever this machine's clock says."""
        really = [timedelta()]
        served.shop.books.lag = timedelta(days=9)
        served.shop.after.append(Unsure("no answer"))
        served.hears()
        assert len(served.shop.books.refunds) == 1
        STEPS[step](served)
        while really[0] < 15 * MINUTE:
            served.step()
            assert len(served.shop.books.refunds) == 1, f"made again after {really[0]}"
            served.machine.passes(MINUTE)
            really[0] += MINUTE
        served.shop.books.lag = timedelta(days=-9)
        served.passes(6 * HOUR)
        assert len(served.shop.books.refunds) == 1
        assert [row.entry.status for row in served.store.outbox.listed(["settled"], 10)] == ["settled"]

    def test_what_never_shows_is_made_again_once_the_quiet_period_is_over(self, served: Served) -> None:
        served.shop.before.append(Unsure("no answer"))
        served.hears()
        served.machine.sets(5 * HOUR)
        served.passes(19 * MINUTE, every=MINUTE)
        assert served.shop.books.refunds == []
        served.passes(HOUR)
        assert len(served.shop.books.refunds) == 1

    @pytest.mark.parametrize("step", STEPS)
    def test_a_batch_leaves_once(self, tmp_path: Path, step: str) -> None:
        daily = Cadence(parse_batch("daily 14:00"))
        served = Served(tmp_path / "a.db", rules=small_rules(cadence={"marketplace.refund": daily}))
        served.hears()
        served.passes(2 * HOUR)
        assert len(served.shop.books.refunds) == 1
        STEPS[step](served)
        served.passes(timedelta(days=2), every=4 * HOUR)
        assert len(served.shop.books.refunds) == 1

    def test_what_is_polled_goes_on_while_the_clock_is_caught_up_with(self, served: Served) -> None:
        served.shop.feeds = {"orders": Feed("orders", timedelta(hours=1))}
        served.machine.sets(-20 * HOUR)
        served.passes(10 * HOUR)
        assert 4 <= len([asked for asked in served.shop.asked if asked.startswith("poll")]) <= 7

    def test_a_step_is_told_once_and_closes_by_itself(self, served: Served) -> None:
        served.machine.sets(-HOUR)
        served.step()
        told = served.service.status()["clock"]
        assert (told["ahead_seconds"], [step["seconds"] for step in told["stepped"]]) == (3600, [-3600])
        served.passes(3 * HOUR)
        (row,) = served.raised(STEPPED)
        assert "went back by 1h: the service goes on by its own time, at half speed" in row.entry.title
        assert (row.closed_at, served.service.status()["clock"]["ahead_seconds"]) == (None, 0)
        served.starts_again()
        served.passes(26 * HOUR, every=2 * HOUR)
        (row,) = served.raised(STEPPED)
        assert row.why_closed == "the clock has been steady for a day"

    def test_a_step_forward_is_told_too(self, served: Served) -> None:
        served.machine.sets(3 * HOUR)
        served.step()
        (row,) = served.raised(STEPPED)
        assert "went forward by 3h, or the machine was asleep: what fell due meanwhile is done now" in row.entry.title
