"""What a store keeps about itself and about time, so that neither a clock nor an older copy can mislead it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from engine.language.durations import show_duration

What = Literal["effect", "exception"]


@dataclass(frozen=True, slots=True)
class Late:
    """Something that time brought, and that was looked at only at `at` though it was due at `due_at`."""

    what: What
    key: str
    due_at: datetime
    at: datetime

    @property
    def by(self) -> timedelta:
        return self.at - self.due_at


Lateness = Mapping[tuple[What, str, datetime], Late]  # by what it is, its key, and when it came


class Safekeeping(Protocol):
    def last_now(self) -> datetime | None:
        """The latest instant anything was decided at."""
        ...

    def restored(self, at: datetime, by: str) -> None:
        """From now on this is an older state of the store: what was sent after it is not known here."""
        ...

    def restored_at(self) -> datetime | None:
        """When it was restored, as long as that is not over."""
        ...

    def restore_over(self, at: datetime) -> None:
        """Whatever was sent before it was restored shows in look-ups by now."""
        ...

    def note_late(self, case_id: int, found: Iterable[Late]) -> None: ...

    def late(self, case_id: int | None = None) -> Lateness:
        """What was late, of one case or of all."""
        ...


def late_by(late: Late | None) -> str | None:
    """How late, as an author would write it: `3h 20m`."""
    return None if late is None else show_duration(timedelta(seconds=round(late.by.total_seconds())))
