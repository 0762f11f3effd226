"""The machine's clock may be set: the service's own never goes back, and nothing waits shorter than it must."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.run.clock import ClockStep, ClockWrong, SinceSent, SystemClock, VirtualClock
from tests.run.small import NOON

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
