"""Which point the next life is to end at: the one that was struck least, until every one was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Self

OF_A_START = ("budget.__init__", "service.__init__", "service.activate")
BEGINNING = frozenset(
    {
        "born",
        "opened",
        "journalled",
        "committed",
        *(f"{when}_commit of {what}" for when in ("before", "after") for what in OF_A_START),
    }
)
PASSED = (
    "looked_up", "begun", "performed", "settled", "swapped", "before_keeping", "kept",
    "before_change", "after_change", "before_read", "after_read", "before_posting", "after_posting",
)  # fmt: skip
COMMITS = (
    "acknowledging", "budget._spend", "deeds.noted", "fetching._fetch", "intake.journal", "intake.take_some",
    "performing._begin", "performing._settle", "performing._take", "polls._keep", "service._timers", "valid_codes._tell",
    "worker.decide",
)  # fmt: skip
POINTS = BEGINNING | set(PASSED) | {f"{when}_commit of {what}" for when in ("before", "after") for what in COMMITS}
SPARED: dict[str, str] = {}  # points nobody can end a life at, each with the reason
TRIES = 4  # in vain, that count as much as one that struck


@dataclass(slots=True)
class Tally:
    """By point: how often it was passed, how often a life was to end there, and how often one did."""

    passed: Counter[str] = field(default_factory=Counter)
    aimed: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)

    def __iadd__(self, other: Tally) -> Self:
        self.passed += other.passed
        self.aimed += other.aimed
        self.struck += other.struck
        return self

    @property
    def points(self) -> frozenset[str]:
        """All there are: those that have a name beforehand, and whatever is passed besides."""
        return frozenset((POINTS | self.passed.keys()) - SPARED.keys())

    def missed(self) -> list[str]:
        """Of those that have a name beforehand: what else is passed may come too seldom."""
        return sorted(point for point in POINTS - SPARED.keys() if not self.struck[point])

    def aim(self, random: Random, *, soon: bool) -> str:
        """One of those that were struck least, among those that come often where it is to be `soon`."""
        points = self._often() if soon else self.points
        ranked = sorted(sorted(points), key=lambda point: (self.struck[point] + self.aimed[point] // TRIES, random.random()))
        return random.choice(ranked[: max(len(ranked) // 4, 1)])

    def _often(self) -> Iterable[str]:
        half = sorted(sorted(self.points), key=lambda point: (point not in BEGINNING, -self.passed[point]))
        return half[: max(len(half) // 2, 1)]
