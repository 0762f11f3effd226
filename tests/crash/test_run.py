"""The real service against six systems over real sockets, killed and cut off: in the end everybody's books are right.

At full size: `python -m tests.crash.run`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.conductor import Outcome, Plan, Run
from tests.crash.post import Weather
from tests.crash.proxy import Troubles
from tests.crash.run import BAD_POST, HURRIED, one_run


def held(outcome: Outcome, *, kills: int = 0, effects: int) -> None:
    """Every promise, and that something was tried at all."""
    assert outcome.wrong == []
    assert sum(outcome.tally.struck.values()) >= kills
    assert outcome.effects >= effects


def test_killed_again_and_again_nothing_is_lost_and_nothing_done_twice() -> None:
    held(one_run(Plan(1, orders=6, hours=5, kills=8, agents=True)), kills=5, effects=15)


@pytest.mark.long
def test_killed_again_and_again_over_many_orders() -> None:
    outcome = one_run(Plan(2, orders=25, hours=6, kills=45, agents=True))
    held(outcome, kills=25, effects=80)
    assert len(outcome.tally.struck) >= 15


@pytest.mark.long
def test_instep_run_itself_is_killed_at_any_instant() -> None:
    held(one_run(Plan(3, orders=6, hours=4, whole=4)), kills=4, effects=15)


@pytest.mark.long
def test_a_bad_network_changes_no_books() -> None:
    plan = Plan(4, orders=14, hours=6, weather=BAD_POST, troubles=Troubles(), timeout=HURRIED)
    outcome = one_run(plan)
    held(outcome, effects=45)
    assert sum(outcome.faults.values()) > 30


@pytest.mark.long
def test_a_bad_network_and_kills_together_change_no_books() -> None:
    weather = Weather(late=0.3, hours=3.0, twice=0.3, cut=0.1)
    plan = Plan(5, orders=12, hours=6, kills=12, agents=True, weather=weather, troubles=Troubles(), timeout=HURRIED)
    held(one_run(plan), kills=6, effects=35)


def test_a_run_that_fails_tells_so_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failed(_: Run) -> Outcome:
        raise RuntimeError("the sandbox is gone")

    monkeypatch.setattr(Run, "play", failed)
    outcome = one_run(Plan(6, orders=1, hours=1), folder=tmp_path)
    assert [str(wrong) for wrong in outcome.wrong] == ["fault: the run ended early: RuntimeError: the sandbox is gone"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_service_that_is_down_while_parcels_arrive_announces_them_late_and_the_books_are_right() -> None:
    held(one_run(Plan(1, orders=8, hours=1, down=14)), effects=20)
