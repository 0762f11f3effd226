"""Two connections of one process take turns to write.

SQLite lets one writer in at a time and makes others try again after a while, so that a busy one can keep the others out for
seconds. Here whoever came first is next.
"""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """First come, first served. Safe to use from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for the turn."""
        return bool(self._waiting)

    def take(self, seconds: float | None = None) -> bool:
        """Waits until it is one's turn. False where it did not come in that many seconds."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(seconds):
            return True
        with self._guard:
            if mine.is_set():
                return True
            self._waiting.remove(mine)
            return False

    def give(self) -> None:
        """To the one that has waited longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False
