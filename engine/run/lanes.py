"""Work that waits for the outside, side by side: what hangs in one lane holds up no other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any


class Lanes:
    """Pieces of work under way, each in a lane that is named for whom it waits for. `woken` is set whenever one ends."""

    def __init__(self, woken: asyncio.Event) -> None:
        self._woken = woken
        self._tasks: set[asyncio.Task[None]] = set()
        self._names: Counter[str] = Counter()
        self._failed: list[BaseException] = []
        self.stopping: Callable[[], bool] = lambda: False  # whether what is under way is to end as soon as it can

    def busy(self, name: str) -> bool:
        """Whether anything is under way in this lane."""
        return self._names[name] > 0

    @property
    def under_way(self) -> bool:
        return bool(self._tasks)

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Lets the work go on beside everything else. A fault of it comes up in `check`."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        self._names[name] += 1
        task.add_done_callback(self._ended)

    def check(self) -> None:
        """Raises what a piece of work has failed with since this was last asked."""
        if self._failed:
            first, *_ = self._failed
            self._failed.clear()
            raise first

    async def finish(self) -> None:
        """Returns when nothing is under way any more. Raises what failed, and then stops the rest."""
        try:
            while self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0)  # so that what has ended is counted
                self.check()
        finally:
            self.stop()
        self.check()

    def stop(self) -> None:
        """Breaks off what is under way."""
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._names[task.get_name()] -= 1
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._failed.append(fault)
        self._woken.set()
