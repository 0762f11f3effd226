"""What was set aside, whole: what waits, what was read after all, and what a person discarded. Nothing of it is ever deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

AsideState = Literal["waiting", "read", "discarded"]


@dataclass(frozen=True, slots=True)
class Aside:
    """An event that could not be taken in, or not wholly. `told` is the key of the exception that tells people of it; `path` is
    in `reason`, and `place` is where the mapping is that could not read it.
    """

    seq: int
    connector: str
    kind: str
    about: str
    reason: str
    place: str
    told: str
    at: datetime
    observed_at: datetime
    size: int
    taken_in_at: datetime | None
    discarded_at: datetime | None
    discarded_by: str
    discarded_for: str

    @property
    def state(self) -> AsideState:
        if self.discarded_at is not None:
            return "discarded"
        return "waiting" if self.taken_in_at is None else "read"


class Asides(Protocol):
    def of(self, seq: int) -> Aside | None:
        """The event with this place in the journal; None if it was never set aside."""
        ...

    def listed(self) -> list[Aside]:
        """All of them, the oldest first."""
        ...

    def waiting(self) -> int:
        """How many wait."""
        ...

    def telling(self, seq: int, told: str) -> None:
        """Which exception tells of it."""
        ...

    def wait(self, told: str) -> bool:
        """Whether any waits that this exception tells of."""
        ...

    def discard(self, seq: int, by: str, reason: str, at: datetime) -> None: ...

    def restore(self, seq: int) -> None:
        """It is no longer discarded."""
        ...
