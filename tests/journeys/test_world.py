"""The base pack against a world of customers, agents, carriers and a warehouse, judged by the world's own books."""

import os
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import pytest

from tests.journeys.base_pack import base_with
from tests.journeys.world import CALM, HOSTILE, Temper, World

POLICIES = ("first_scan", "receipt", "inspection")


@dataclass(frozen=True)
class Outcome:
    """One case. `sent` are refunds, `exceptions` the rules of all that a person was told."""

    seed: int
    too_much: tuple[str, ...]
    unfounded: tuple[str, ...]
    unpaid: tuple[str, ...]
    raced: bool
    broken: tuple[str, ...]
    left_alone: tuple[str, ...]
    exceptions: tuple[str, ...]
    sent: int
    dealt_with: int


def outcome(seed: int, temper: Temper) -> Outcome:
    played = World(base_with(refund_on=POLICIES[seed % 3]), seed, temper)
    story = played.run()
    return Outcome(
        seed,
        tuple(story.too_much),
        tuple(story.unfounded),
        tuple(story.unpaid),
        story.raced,
        tuple(story.broken),
        tuple(story.left_alone),
        tuple(sorted(key.partition("|")[0] for key in story.opened)),
        story.sent,
        story.dealt_with,
    )


def judged(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Every promise, for every case; one that is broken names the seed that shows it.

    Nobody can close the gap between a look-up and what is sent after it: where an agent acted just then (`raced`), a person is
    told. And a person who says what a refund was for (`dealt_with`) may be wrong.
    """
    found = list(outcomes)
    assert [o for o in found if o.too_much] == []
    excused = [o for o in found if (o.raced or o.dealt_with) and o.exceptions]
    assert [o for o in found if o.unfounded and o not in excused] == []
    assert [o for o in found if o.unpaid] == []
    assert [o for o in found if o.broken and not o.raced] == []
    assert [o for o in found if o.left_alone] == []
    return found


def test_in_a_calm_world_everything_is_refunded_once_in_time_and_nobody_is_bothered() -> None:
    found = judged(outcome(seed, CALM) for seed in range(60))
    assert [o for o in found if o.exceptions] == []
    assert all(o.sent for o in found)


def test_in_a_hostile_world_the_promises_hold_and_few_people_are_bothered() -> None:
    found = judged(outcome(seed, HOSTILE) for seed in range(150))
    assert statistics.median(len(o.exceptions) for o in found) <= 1


def _part(work: tuple[int, int, bool]) -> list[Outcome]:
    first, count, hostile = work
    return [outcome(seed, HOSTILE if hostile else CALM) for seed in range(first, first + count)]


def told(hostile: Sequence[Outcome], calm: Sequence[Outcome]) -> str:
    counts = [len(o.exceptions) for o in hostile]
    rules = Counter(rule for o in hostile for rule in o.exceptions)
    shares = [f"{n} in {counts.count(n) / len(counts):.0%}" for n in range(4)]
    return f"""
{len(hostile)} hostile cases and {len(calm)} calm ones, {sum(o.sent for o in (*hostile, *calm))} refunds sent
a person dealt with {sum(o.dealt_with for o in hostile)} exceptions; in {sum(o.raced for o in hostile)} cases somebody refunded \
between our look-up and our refund
exceptions a person sees in a calm case: {max(len(o.exceptions) for o in calm)} at most
exceptions a person sees in a hostile case: median {statistics.median(counts):g}, mean {statistics.mean(counts):.2f}, \
{max(counts)} at most; {", ".join(shares)}
by rule: {", ".join(f"{rule} {n}" for rule, n in rules.most_common())}"""


@pytest.mark.long
def test_thousands_of_cases_keep_every_promise(capsys: pytest.CaptureFixture[str], full: bool) -> None:
    """Ten thousand at full size. Prints how many exceptions a person sees, also where nothing fails."""
    hard, easy = (80, 20) if full else (20, 4)
    parts = [(1000 + n * 100, 100, True) for n in range(hard)] + [(20000 + n * 100, 100, False) for n in range(easy)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(_part, parts))
    hostile = judged(o for part in results[:hard] for o in part)
    calm = judged(o for part in results[hard:] for o in part)
    with capsys.disabled():
        print(told(hostile, calm))
    assert [o for o in calm if o.exceptions] == []
    assert all(o.sent for o in calm)
    assert statistics.median(len(o.exceptions) for o in hostile) <= 1
