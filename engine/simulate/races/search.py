"""The search itself: every interleaving, the least troubled first, until done or a stated bound.

Moments that are alike are gone on from once (a digest of facts, memory, world and what is still to come), and of two moves that
touch nothing in common only one order is tried: sleep sets, as P. Godefroid describes them (Partial-Order Methods for the
Verification of Concurrent Systems, 1996), with what was left asleep at a moment kept beside it. A move costs the same wherever
it stands, so every order of the same moves costs the same and none that matters falls out of the bound.

Moments are taken by number of deviations and then by number of moves: the first broken promise found is one with the fewest
things going wrong, and the shortest of those.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import Literal

from engine.simulate.races.breaches import Breach
from engine.simulate.races.judging import of_rest
from engine.simulate.races.moves import Moves
from engine.simulate.races.state import State

Sleep = dict[str, frozenset[str]]  # moves that need not be tried, with what each touches
Bound = Literal["", "states", "seconds"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far to go: deviations on one path, moments in all, seconds."""

    moves: int = 2
    most: int = 20_000
    seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Path:
    """How a moment was reached: the name of the last move, and the path before it."""

    move: str
    before: Path | None

    def names(self) -> list[str]:
        found: list[str] = []
        at: Path | None = self
        while at is not None:
            found.append(at.move)
            at = at.before
        return found[::-1]


@dataclass(slots=True)
class Searched:
    """What was looked at: different moments, transitions between them, ends that came to rest, and orders left out because
    another leads to the same. `complete` is up to how many deviations everything was looked at.
    """

    states: int = 0
    transitions: int = 0
    ends: int = 0
    spared: int = 0
    seconds: float = 0.0
    bound: Bound = ""
    complete: int = -1
    exhausted: bool = False  # nothing was left out: more deviations would add nothing
    breaches: tuple[Breach, ...] = ()
    path: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)  # the names of all moves that were made


@dataclass(frozen=True, slots=True)
class _Waiting:
    state: State
    sleep: Sleep
    path: Path | None
    only: frozenset[str] | None = None  # of a moment known already: the moves that were left asleep when it was first met


def search(moves: Moves, first: State, limits: Limits, clock: Callable[[], float] = perf_counter) -> Searched:
    """Look for a broken promise from a moment on. Stops at the first one, or where a limit is reached."""
    began = clock()
    found = Searched(states=1)
    asleep: dict[bytes, frozenset[str]] = {first.digest(): frozenset()}
    turn = count()
    queue: list[tuple[int, int, int, _Waiting]] = [(0, 0, next(turn), _Waiting(first, {}, None))]
    beyond = False
    while queue:
        cost, depth, _, at = heapq.heappop(queue)
        found.complete = cost - 1
        found.bound = "states" if found.states >= limits.most else "seconds" if clock() - began >= limits.seconds else ""
        if found.bound:
            break
        possible = moves.of(at.state)
        if not any(m.cost == 0 for m in possible):
            found.ends += 1
            found.breaches = tuple(of_rest(at.state))
            if found.breaches:
                found.path = at.path.names() if at.path else []
                break
        sleep = dict(at.sleep)
        for move in possible:
            if at.only is not None and move.name not in at.only:
                continue
            if move.name in sleep:
                found.spared += 1
                continue
            if cost + move.cost > limits.moves:
                beyond = True
                continue
            taken = move.take()
            found.transitions += 1
            found.kinds.add(move.name)
            path = Path(move.name, at.path)
            if taken.breaches:
                found.breaches, found.path = taken.breaches, path.names()
                break
            below = {name: touches for name, touches in sleep.items() if move.independent_of(touches)}
            sleep[move.name] = move.touches
            only = _still_to_try(asleep, taken.state.digest(), below)
            if only is None:
                found.states += 1
            elif not only:
                continue
            heapq.heappush(queue, (cost + move.cost, depth + 1, next(turn), _Waiting(taken.state, below, path, only)))
        if found.breaches:
            break
    else:
        found.complete, found.exhausted = limits.moves, not beyond
    found.seconds = clock() - began
    return found


def _still_to_try(asleep: dict[bytes, frozenset[str]], digest: bytes, below: Sleep) -> frozenset[str] | None:
    """Of a moment met before: what was left asleep then and may not be now. None for a new one, of which all is to be tried."""
    known = asleep.get(digest)
    asleep[digest] = frozenset(below) if known is None else known & below.keys()
    return None if known is None else known - below.keys()
