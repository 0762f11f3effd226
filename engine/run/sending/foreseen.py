"""Which deadlines ahead cannot be met as things stand, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from engine.store.queue import Ahead

Why = Literal["down", "resting", "budget", "too_many", "put_off"]
SAID: Mapping[Why, str] = {
    "down": "it does not answer",
    "resting": "it wants to be left alone for longer",
    "budget": "the budget of calls to it does not reach",
    "too_many": "more is due than can be sent by then",
    "put_off": "they leave later than that: a batch, or a wait after a failure",
}
DOWN_FOR = timedelta(hours=1)  # what is due so soon is told at once where a system does not answer


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with one connector. `resting` says until when an action rests, `budget` when the limits of
    calls let the first, second ... of what is ahead be sent (None where not by any of its deadlines; nothing without limits),
    `pace` how long one effect takes, `side_by_side` how many go at a time.
    """

    down: bool = False
    resting: Mapping[str, datetime] | None = None
    budget: Sequence[datetime | None] | None = None
    pace: timedelta = timedelta()
    side_by_side: int = 1


@dataclass(frozen=True, slots=True)
class Unmet:
    """Effects that will not be out in time for one reason, the nearest deadline first."""

    why: Why
    effects: tuple[Ahead, ...]

    @property
    def first(self) -> datetime:
        return self.effects[0].deadline


def foreseen(ahead: Sequence[Ahead], standing: Standing, now: datetime) -> tuple[Unmet, ...]:
    """For each reason what cannot be met for it. `ahead` is in the order in which it is sent, by deadline.

    It is taken as if nothing more would become due: what is told here is late for certain as things stand, and more may be.
    """
    found: dict[Why, list[Ahead]] = {}
    for place, one in enumerate(ahead):
        why = _why(one, standing, now, place)
        if why is not None:
            found.setdefault(why, []).append(one)
    return tuple(Unmet(why, tuple(found[why])) for why in SAID if why in found)


def _why(one: Ahead, standing: Standing, now: datetime, place: int) -> Why | None:
    if standing.down and one.deadline <= now + DOWN_FOR:
        return "down"
    if (rests := (standing.resting or {}).get(one.action)) is not None and rests >= one.deadline:
        return "resting"
    if standing.budget is not None and ((at := standing.budget[place]) is None or at > one.deadline):
        return "budget"
    if now + standing.pace * (place // standing.side_by_side + 1) > one.deadline:
        return "too_many"
    return "put_off" if one.due_at > one.deadline else None
