"""The base pack against a world of customers, agents, carriers and a warehouse, judged by the world's own books."""

import os
import statistics
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import pytest

from tests.journeys.base_pack import base_with
from tests.journeys.world import CALM, HOSTILE, Temper, World

POLICIES = ("first_scan", "receipt", "inspection")


@dataclass(frozen=True)
class Outcome:
    seed: int
    overpaid: tuple[str, ...]
    paid_twice: tuple[str, ...]
    raced: bool
    told_of_twice: bool
    broken: tuple[str, ...]
    left_alone: tuple[str, ...]
    exceptions: tuple[str, ...]
    sent: int


def outcome(seed: int, temper: Temper) -> Outcome:
    world = World(base_with(refund_on=POLICIES[seed % 3]), seed, temper)
    story = world.run()
    rules = tuple(sorted(key.partition("|")[0] for key in story.opened))
    return Outcome(
        seed,
        tuple(world.overpaid()),
        tuple(world.paid_twice()),
        story.raced,
        "refunded_twice" in rules,
        tuple(story.broken),
        tuple(story.left_alone),
        rules,
        story.sent,
    )


def judged(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Every promise, for every case; one that is broken names the seed that shows it."""
    found = list(outcomes)
    assert [o for o in found if o.overpaid] == []
    assert [o for o in found if o.paid_twice and not (o.raced and o.told_of_twice)] == []
    assert [o for o in found if o.broken and not o.raced] == []
    assert [o for o in found if o.left_alone] == []
    return found


def test_in_a_calm_world_everything_is_refunded_once_in_time_and_nobody_is_bothered() -> None:
    found = judged(outcome(seed, CALM) for seed in range(60))
    assert [o for o in found if o.exceptions] == []
    assert sum(o.sent for o in found) >= 60


def test_in_a_hostile_world_the_promises_hold_and_few_people_are_bothered() -> None:
    found = judged(outcome(seed, HOSTILE) for seed in range(150))
    assert statistics.median(len(o.exceptions) for o in found) <= 1


def _part(work: tuple[int, int, bool]) -> list[Outcome]:
    first, count, hostile = work
    return [outcome(seed, HOSTILE if hostile else CALM) for seed in range(first, first + count)]


@pytest.mark.long
def test_ten_thousand_cases_keep_every_promise() -> None:
    """Prints how many exceptions a person would see."""
    parts = [(1000 + n * 100, 100, True) for n in range(80)] + [(20000 + n * 100, 100, False) for n in range(20)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(_part, parts))
    hostile = judged(o for part in results[:80] for o in part)
    calm = judged(o for part in results[80:] for o in part)
    assert [o for o in calm if o.exceptions] == []
    counts = [len(o.exceptions) for o in hostile]
    rules = Counter(rule for o in hostile for rule in o.exceptions)
    print(f"\n{len(hostile)} hostile cases, {len(calm)} calm ones, {sum(o.sent for o in (*hostile, *calm))} refunds sent")
    print(f"exceptions a person sees in a hostile case: median {statistics.median(counts)}, mean {statistics.mean(counts):.2f}")
    print(", ".join(f"{rule} {n}" for rule, n in rules.most_common()))
    assert statistics.median(counts) <= 1
