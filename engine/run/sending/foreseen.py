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
    """How it stands with one connector. `resting` says until when an action rests, `budget` when the first, second ... effect of
    an action can be sent (shorter where no more can), `pace` how long one effect takes, `side_by_side` how many go at a time.
    """

    down: bool = False
    resting: Mapping[str, datetime] | None = None
    budget: Mapping[str, Sequence[datetime]] | None = None
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

    Each action is taken as if it had the connector's budget for itself, and nothing as if more would become due: what is told
    here is late for certain as things stand, and more may be.
    """
    found: dict[Why, list[Ahead]] = {}
    sent: dict[str, int] = {}
    for place, one in enumerate(ahead):
        turn = sent[one.action] = sent.get(one.action, -1) + 1
        why = _why(one, standing, now, place, turn)
        if why is not None:
            found.setdefault(why, []).append(one)
    return tuple(Unmet(why, tuple(found[why])) for why in SAID if why in found)


def _why(one: Ahead, standing: Standing, now: datetime, place: int, turn: int) -> Why | None:
    if standing.down and one.deadline <= now + DOWN_FOR:
        return "down"
    if (rests := (standing.resting or {}).get(one.action)) is not None and rests >= one.deadline:
        return "resting"
    instants = (standing.budget or {}).get(one.action)
    if instants is not None and (turn >= len(instants) or instants[turn] > one.deadline):
        return "budget"
    if now + standing.pace * (place // standing.side_by_side + 1) > one.deadline:
        return "too_many"
    return "put_off" if one.due_at > one.deadline else None
