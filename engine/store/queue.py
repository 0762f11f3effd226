"""What is due to be sent, by role: the most urgent first, or the one that waits longest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from engine.store.rows import EffectRow


@dataclass(frozen=True, slots=True)
class Ahead:
    """An effect that is still to be sent, and by when. `due_at` is when the dispatcher looks at it next."""

    action: str
    case: str
    key: str
    deadline: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Skip:
    """What cannot be sent now: `cases` of which something is on its way already, `actions` that rest, and those of which what
    is `planned` rests while what is unsure is still looked for; "" is every action.
    """

    cases: Collection[int] = ()
    actions: Collection[str] = ()
    planned: Collection[str] = ()


NOTHING = Skip()


class Queue(Protocol):
    """A part of the outbox. `skip` is what is left out of an answer."""

    def set_deadlines(self, case_id: int, deadlines: Mapping[str, datetime | None]) -> None:
        """By when the effects of a case have to be out, by key."""
        ...

    def most_urgent(self, role: str, now: datetime, limit: int, skip: Skip = NOTHING) -> list[EffectRow]:
        """What is due, the nearest deadline first, then the oldest; what has no deadline comes last."""
        ...

    def longest_waiting(self, role: str, now: datetime, limit: int, skip: Skip = NOTHING) -> list[EffectRow]:
        """What is due, whatever its deadline, the oldest first."""
        ...

    def any_sooner(self, role: str, now: datetime, than: datetime | None, skip: Skip = NOTHING) -> bool:
        """Whether something is due whose deadline is nearer than this one. None is none at all."""
        ...

    def waiting(self, role: str, now: datetime) -> int:
        """How much is due."""
        ...

    def ahead(self, role: str, after: datetime, until: datetime, limit: int) -> list[Ahead]:
        """What is still to be sent with a deadline after one instant and up to another, the nearest first."""
        ...
