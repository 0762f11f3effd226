"""The breaker leaves alone what does not answer, and no longer than it must."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.run.sending.breaker import CLOSED, DISTINCT, FAILURES, FIRST_TRIAL, LONGEST_TRIAL, Breaker
from engine.run.waits import FIRST_WAIT, LONGEST_WAIT, SPREAD, backed_off
from tests.run.small import NOON

things = st.sampled_from(["a", "b", "c", "d"])
happenings = st.lists(st.tuples(st.sampled_from(["failed", "worked"]), things, st.integers(0, 900)), max_size=40)


def opened() -> Breaker:
    breaker = CLOSED
    for n in range(FAILURES):
        breaker = breaker.failed(frozenset({f"{n % DISTINCT}"}), "503", NOON)
    return breaker


@given(happenings)
def test_whatever_happens_a_trial_is_never_further_off_than_the_longest_wait(story: list[tuple[str, str, int]]) -> None:
    breaker, now = CLOSED, NOON
    for what, thing, seconds in story:
        now += timedelta(seconds=seconds)
        breaker = breaker.worked() if what == "worked" else breaker.failed(frozenset({thing}), "503", now)
        assert breaker.leave(now + LONGEST_TRIAL) != "none"
        assert (breaker.opened_at is None) == (breaker.leave(now) == "all")


@given(happenings)
def test_it_opens_only_after_enough_failures_in_a_row_of_several_things(story: list[tuple[str, str, int]]) -> None:
    breaker, row = CLOSED, list[str]()
    for what, thing, _ in story:
        if what == "worked":
            breaker, row = breaker.worked(), []
        else:
            breaker, row = breaker.failed(frozenset({thing}), "503", NOON), [*row, thing]
        enough = any(len(row[:n]) >= FAILURES and len(set(row[:n])) >= DISTINCT for n in range(len(row) + 1))
        assert (breaker.opened_at is not None) is enough


def test_one_that_works_closes_it_again() -> None:
    breaker = opened()
    assert [breaker.leave(NOON), breaker.leave(NOON + FIRST_TRIAL)] == ["none", "one"]
    assert breaker.worked() == CLOSED


def test_trials_come_less_and_less_often_and_what_was_under_way_is_no_trial() -> None:
    breaker, now, waits = opened(), NOON, list[timedelta]()
    for _ in range(6):
        assert breaker.failed(frozenset({"x"}), "503", now).trial_at == breaker.trial_at
        assert breaker.trial_at is not None
        waits.append(breaker.trial_at - now)
        now = breaker.trial_at
        breaker = breaker.failed(frozenset({"x"}), "503", now)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (FIRST_TRIAL, LONGEST_TRIAL)


@given(st.text(max_size=8), st.integers(0, 40))
def test_waits_double_within_bounds_are_spread_and_always_the_same(key: str, failures: int) -> None:
    wait, whole = backed_off(key, failures), min(FIRST_WAIT * 2 ** min(failures, 10), LONGEST_WAIT)
    assert whole * (1 - SPREAD) <= wait <= whole
    assert wait == backed_off(key, failures)


def test_what_failed_together_does_not_come_again_together() -> None:
    waits = {backed_off(f"refund:A-{n}", 3) for n in range(100)}
    assert len(waits) > 90
