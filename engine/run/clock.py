"""The two clocks the runtime can be driven by. Connectors get the same one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """`clock()` is now, in UTC."""

    def __call__(self) -> datetime: ...

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        """Returns at `until`, or as soon as `woken` is set. None is no end."""
        ...


class SystemClock:
    """Real time."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        seconds = None if until is None else max((until - self()).total_seconds(), 0)
        try:
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            pass


class VirtualClock:
    """Time that stands still until it is moved. Waiting for an instant moves it there: nothing sleeps."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def __call__(self) -> datetime:
        return self._now

    def move(self, to: datetime) -> None:
        """Forward only. Raises ValueError for an instant that has passed."""
        if to < self._now:
            raise ValueError(f"time cannot go back from {self._now} to {to}")
        self._now = to.astimezone(UTC)

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        await asyncio.sleep(0)  # others get their turn, though no time passes
        if woken.is_set():
            return
        if until is None:
            await woken.wait()
        elif until > self._now:
            self.move(until)
