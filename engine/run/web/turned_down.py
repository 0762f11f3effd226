"""Log lines for deliveries that are not taken, a bounded number of them: whoever sends rubbish must not be able to fill a disk.

How many there were is counted exactly, in the metrics.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

EVERY = 60.0  # seconds
MOST = 50  # different lines within that time; what is beyond is told together


@dataclass(frozen=True, slots=True)
class Kind:
    """What is told of together. `remote` is the address the connection came from."""

    connector: str
    kind: str
    status: int
    remote: str


OTHERS = Kind("", "others", 0, "")


def _later(seconds: float, then: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, then)


class TurnedDown:
    """The first of each kind is told at once; how many more came within a minute, in one line at its end. `later` calls back."""

    def __init__(self, log: Any, later: Callable[[float, Callable[[], None]], None] = _later) -> None:
        self._log = log
        self._later = later
        self._more: Counter[Kind] = Counter()  # of each that was told within this minute

    def one(self, kind: Kind) -> None:
        """One delivery that was not taken. The reason is no part of it: it may quote."""
        if kind not in self._more and len(self._more) >= MOST:
            kind = OTHERS
        if kind in self._more:
            self._more[kind] += 1
            return
        if not self._more:
            self._later(EVERY, self._tell)
        self._more[kind] = 0
        self._log.warning("delivery_rejected", **asdict(kind))

    def _tell(self) -> None:
        more, self._more = self._more, Counter()
        for kind, count in more.items():
            if count:
                self._log.warning("deliveries_rejected", more=count, seconds=EVERY, **asdict(kind))
