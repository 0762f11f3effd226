"""A world played for so many days under one rule set, or under two side by side, its orders over a pool of processes.

What comes out does not depend on how many processes there are: orders share nothing but the budgets, and those are settled
between rounds, in the order of time.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import get_args
from zoneinfo import ZoneInfo

from engine.facts.outside import Role, installed_actions
from engine.language.files import Files
from engine.language.pack import load
from engine.language.ruleset import RuleSet
from engine.language.worlds.world import World
from engine.simulate.difference import Difference, differences
from engine.simulate.worlds.budgets import Call, Gates, overdrawn, polls, shut
from engine.simulate.worlds.case import Played, play
from engine.simulate.worlds.figures import Figures, backlog, figures, midnight
from engine.simulate.worlds.plot import Order, orders

CHUNK = 24  # orders that are played one after another in a process
Progress = Callable[[str, int, int], None]  # what is being done, how much of it, of how much


@dataclass(frozen=True, slots=True)
class Season:
    """Which rule sets, from which files by name, in which world."""

    client: str
    world: World
    candidate: Mapping[str, bytes]
    against: Mapping[str, bytes] | None = None
    days: int = 30
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """What came of it. `before` and what differs are there where two rule sets were compared."""

    client: str
    world: World
    days: int
    seed: int
    after: Figures
    before: Figures | None = None
    budgets: Mapping[str, int] = field(default_factory=dict)
    backlog: Mapping[str, int] = field(default_factory=dict)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)  # what differs, and the rule it is by
    differing: int = 0  # orders
    differences: list[Difference] = field(default_factory=list)


def simulate_season(season: Season, *, workers: int = 1, progress: Progress = lambda *_: None) -> Outcome:
    """Plays it. Raises `ProblemsFound` for rule sets."""
    sets = _rule_sets(season)
    zone = ZoneInfo(sets[0].time_zone)
    placed = orders(season.world, season.seed, season.days, zone)
    found: list[tuple[Figures, Sequence[Played]]] = []
    with _players(season, sets, placed, workers) as played:
        for number, rule_set in enumerate(sets):
            name = "playing" if number == 0 else "playing what it is compared with"
            ended, asked = _settled(season, placed, partial(played, number), partial(progress, name))
            found.append((figures(rule_set.hash, season.world, placed, ended, asked, zone), ended))
    outcome = Outcome(season.client, season.world, season.days, season.seed, found[0][0])
    outcome.budgets, outcome.backlog = _budgets(season.world), backlog(placed, zone)
    if len(found) > 1:
        outcome.before = found[1][0]
        _compare(outcome, found[1][1], found[0][1])
    return outcome


def _rule_sets(season: Season) -> list[RuleSet]:
    """As they would be live: nothing of a world is held back because a client is not live yet."""
    given = (season.candidate, season.against)
    made = [load(Files(contents), season.client, installed_actions()) for contents in given if contents is not None]
    return [replace(rule_set, mode="live", since=None) for rule_set in made]


def _budgets(world: World) -> dict[str, int]:
    return {role: limit for role in get_args(Role) if (limit := world.platforms.of(role).budget) is not None}


Play = Callable[[Sequence[int], Gates, Callable[[int], None]], list[Played]]


def _settled(
    season: Season, placed: Sequence[Order], played: Play, progress: Callable[[int, int], None]
) -> tuple[list[Played], list[Call]]:
    """Every order played, under budgets that no system finds overdrawn; and the polls that took place."""
    budgets = _budgets(season.world)
    begins = midnight(season.world.starts)
    ends = begins + timedelta(days=season.days)
    gates: Gates = {}
    while (found := overdrawn(_polls(season.world, begins, ends, gates), budgets)) is not None:
        gates = shut(gates, found)
    ended = dict(enumerate(played(range(len(placed)), gates, lambda done: progress(done, len(placed)))))
    while True:
        last = max((one.ended_at for one in ended.values()), default=ends)
        asked = _polls(season.world, begins, max(ends, last), gates)
        found = overdrawn([*asked, *(call for one in ended.values() for call in one.calls)], budgets)
        if found is None:
            return [ended[number] for number in range(len(placed))], asked
        gates = shut(gates, found)
        touched = [number for number, one in ended.items() if _touched(one, found[0], frozenset(found[1]))]
        ended |= dict(zip(touched, played(touched, gates, lambda _: None), strict=True))


def _polls(world: World, begins: datetime, ends: datetime, gates: Gates) -> list[Call]:
    every = {role: world.platforms.of(role).polled for role in get_args(Role)}
    return [
        call
        for role, seconds in every.items()
        if seconds is not None
        for call in polls(role, timedelta(seconds=seconds), begins, ends, gates)
    ]


def _touched(one: Played, first: Call, gates: frozenset[tuple[str, str, str]]) -> bool:
    """Whether an order called, or heard of something by a poll, behind a gate that is shut now."""
    return any(call.at >= first.at and (call.role, call.day, call.purpose) in gates for call in (*one.calls, *one.heard))


@contextmanager
def _players(
    season: Season, sets: list[RuleSet], placed: Sequence[Order], workers: int
) -> Iterator[Callable[[int, Sequence[int], Gates, Callable[[int], None]], list[Played]]]:
    """Plays orders by number under the rule set of a number, here or in a pool."""
    if workers <= 1 or len(placed) <= CHUNK:
        yield partial(_here, season, sets, placed)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(season,)) as pool:
        yield partial(_there, pool)


def _here(
    season: Season,
    sets: list[RuleSet],
    placed: Sequence[Order],
    which: int,
    numbers: Sequence[int],
    gates: Gates,
    done: Callable[[int], None],
) -> list[Played]:
    played = []
    for number in numbers:
        played.append(play(sets[which], season.world, season.seed, placed[number], gates))
        done(len(played))
    return played


def _there(pool: Executor, which: int, numbers: Sequence[int], gates: Gates, done: Callable[[int], None]) -> list[Played]:
    parts = [(which, tuple(numbers[n : n + CHUNK]), gates) for n in range(0, len(numbers), CHUNK)]
    played: list[Played] = []
    for part in pool.map(_part, parts):
        played += part
        done(len(played))
    return played


@dataclass(frozen=True, slots=True)
class _Player:
    """What a process of the pool was started with."""

    season: Season
    sets: list[RuleSet]
    placed: Sequence[Order]


_started: list[_Player] = []


def _begin(season: Season) -> None:
    sets = _rule_sets(season)
    _started.append(_Player(season, sets, orders(season.world, season.seed, season.days, ZoneInfo(sets[0].time_zone))))


def _part(part: tuple[int, tuple[int, ...], Gates]) -> list[Played]:
    which, numbers, gates = part
    player = _started[0]
    return _here(player.season, player.sets, player.placed, which, numbers, gates, lambda _: None)


def _compare(outcome: Outcome, before: Sequence[Played], after: Sequence[Played]) -> None:
    for was, now in zip(before, after, strict=True):
        found = [replace(d, reaction=False) for d in differences(now.case.case, was.case, now.case)]  # here the world did react
        if found:
            outcome.differing += 1
            outcome.differences.extend(found)
            outcome.kinds.update((d.what, d.rule) for d in found)
