"""Lives are ended where fewest ended before, so that in the end every named point had its turn."""

from __future__ import annotations

from random import Random

from tests.crash.aim import BEGINNING, POINTS, Tally
from tests.crash.run import ENOUGH, Sum


def test_every_point_has_its_turn_though_some_come_seldom_and_one_is_passed_that_has_no_name() -> None:
    random, tally = Random(3), Tally()
    tally.passed["before_write of something new"] = 1
    seldom = set(sorted(POINTS)[:5])
    for _ in range(ENOUGH * len(POINTS)):
        point = tally.aim(random, soon=False)
        tally.aimed[point] += 1
        if point not in seldom or random.random() < 0.25:
            tally.struck[point] += 1
    assert tally.missed() == []
    assert tally.struck["before_write of something new"]
    assert max(tally.struck.values()) < 4 * ENOUGH


def test_where_there_is_no_time_the_points_of_a_start_and_frequent_ones_are_chosen() -> None:
    random, tally = Random(4), Tally()
    tally.passed["after_read"] = 1000
    chosen = set()
    for _ in range(500):
        point = tally.aim(random, soon=True)
        tally.struck[point] += 1
        chosen.add(point)
    assert chosen >= BEGINNING | {"after_read"}
    assert len(chosen) <= len(POINTS) / 2


def test_a_point_that_was_never_struck_is_wrong_once_there_were_kills_enough() -> None:
    whole = Sum()
    whole.tally.struck.update(dict.fromkeys(POINTS - {"before_posting"}, ENOUGH - 1))
    assert whole.wrong == 0
    whole.tally.struck.update(dict.fromkeys(POINTS - {"before_posting"}, 2))
    assert whole.spared == ["before_posting"]
    assert whole.wrong == 1
