"""Payloads that left the store: which, when, and into which file. What was decided, sent and raised stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pruning:
    """That payloads left, of closed cases of which nothing was seen since `before`. `sha256` is of the file they went into."""

    id: int
    at: datetime
    by: str
    before: datetime
    events: int
    size: int  # bytes of payload that left
    file: str
    sha256: str


class Retention(Protocol):
    def quiet_cases(self, before: datetime) -> dict[int, str]:
        """Closed cases with nothing under way, and nothing decided, sent or closed since, by id with the name."""
        ...

    def names(self, case_ids: Iterable[int]) -> dict[str, int]:
        """All names these cases ever had, also as cases that became part of them, with the case."""
        ...

    def remove(self, seqs: Iterable[int], cases: Mapping[int, str], pruning: Pruning) -> Pruning:
        """Takes the payloads of these events away, and notes it; what a later event repeats stays for that one."""
        ...

    def prunings(self) -> list[Pruning]:
        """In order."""
        ...

    def of_event(self, seq: int) -> Pruning | None:
        """With which the payload of an event left."""
        ...

    def of_case(self, case_id: int) -> Pruning | None:
        """With which the payloads of a case left, the last time."""
        ...

    def cases(self) -> frozenset[str]:
        """The names of all cases whose payloads left."""
        ...

    def reopened(self) -> list[str]:
        """Of those, the ones about which something was decided since."""
        ...
