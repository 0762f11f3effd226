"""What was spent of the limits of outside systems, kept for good before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SpentRow:
    """Units of one operation spent at an instant, or up to it where several spendings are kept as one."""

    id: int
    operation: str
    purpose: str
    at: datetime
    units: int


@dataclass(frozen=True, slots=True)
class MarkRow:
    """A `level`: what was taken out of the bucket of an operation by then. Or a `rest`: it is left alone until then. Or a
    `pause`: so is an action, named with the way that leads to it.
    """

    kind: str
    operation: str
    at: datetime
    units: float = 0.0


class Budgets(Protocol):
    """By connector."""

    def spend(self, connector: str, operation: str, purpose: str, at: datetime, units: int) -> int:
        """The id of the new row."""
        ...

    def change(self, row_id: int, at: datetime, units: int) -> None: ...

    def spent(self, connector: str) -> list[SpentRow]:
        """In the order they were spent."""
        ...

    def forget(self, connector: str, operation: str, before: datetime) -> None: ...

    def mark(self, connector: str, row: MarkRow) -> None:
        """In the place of the one of the same kind and operation."""
        ...

    def marks(self, connector: str) -> list[MarkRow]: ...

    def declare(self, connector: str, limits: str) -> None:
        """The limits in force, as JSON text, for others to see; "" where there are none any more."""
        ...

    def declared(self) -> dict[str, str]: ...
