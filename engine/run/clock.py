"""The two clocks the runtime can be driven by. Connectors get the same one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

TOLD = timedelta(seconds=10)  # a step of the machine's clock that is smaller is not spoken of
MOST_AHEAD = timedelta(days=1)  # of a store before the machine's clock, at a start
STEPS_KEPT = 20


class ClockWrong(ValueError):  # noqa: N818 - named for what it tells
    """The machine's clock is so far behind what the store was last used at that one of the two must be wrong."""


@dataclass(frozen=True, slots=True)
class ClockStep:
    """That the machine's clock was set, or the machine was asleep: `by` is negative where it went back."""

    at: datetime
    by: timedelta


class Clock(Protocol):
    """`clock()` is now, in UTC. It never goes back. `passes` says whether it goes on while the outside is being asked."""

    passes: bool

    def __call__(self) -> datetime: ...

    def elapsed(self) -> timedelta:
        """How long the process has been running, by what nobody can set: never more than really passed."""
        ...

    def resume(self, last: datetime) -> None:
        """Goes on after this instant, which is the last that anything was decided at. Raises `ClockWrong`."""
        ...

    @property
    def ahead(self) -> timedelta:
        """How far `now` is before the machine's clock, after that went back."""
        ...

    @property
    def steps(self) -> tuple[ClockStep, ...]:
        """The latest steps of the machine's clock since the process began, oldest first."""
        ...

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        """Returns at `until`, or as soon as `woken` is set. None is no end."""
        ...


class SystemClock:
    """Real time, that never goes back.

    Where the machine's clock goes forward, so does this one, at once: deadlines are instants of the world, and a machine that
    was asleep is late for them. Where it goes back, this one goes on at half speed until the machine's clock has caught up, so
    that nothing happens twice, nothing stands still, and no wait is cut short. Safe to use from any thread.
    """

    passes = True

    def __init__(
        self, wall: Callable[[], datetime] = lambda: datetime.now(UTC), ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._ticks = ticks
        self._guard = threading.Lock()
        self._began = self._tick = ticks()
        self._now = self._seen = wall()
        self._steps: deque[ClockStep] = deque(maxlen=STEPS_KEPT)

    def __call__(self) -> datetime:
        with self._guard:
            return self._read()

    def _read(self) -> datetime:
        wall, tick = self._wall(), self._ticks()
        passed = timedelta(seconds=max(tick - self._tick, 0))
        by = wall - self._seen - passed
        self._seen, self._tick = wall, tick
        self._now = max(wall, self._now + passed / 2)
        if abs(by) >= TOLD:
            self._steps.append(ClockStep(self._now, by))
        return self._now

    def elapsed(self) -> timedelta:
        return timedelta(seconds=max(self._ticks() - self._began, 0))

    def resume(self, last: datetime) -> None:
        with self._guard:
            now = self._read()
            behind = last - now
            if behind > MOST_AHEAD:
                raise ClockWrong(
                    f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, and the store was last used at {last:%Y-%m-%d %H:%M}:"
                    f" {behind.days} days later. Set the clock right and start again. If it is right now and was wrong then, go"
                    " back to a backup from before that with `instep restore`"
                )
            if behind >= TOLD:
                self._steps.append(ClockStep(last, -behind))
            self._now = max(self._now, last)

    @property
    def ahead(self) -> timedelta:
        with self._guard:
            self._read()
            return max(self._now - self._seen, timedelta())

    @property
    def steps(self) -> tuple[ClockStep, ...]:
        with self._guard:
            return tuple(self._steps)

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        seconds = None if until is None else max((until - self()).total_seconds(), 0)
        try:
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            pass


class VirtualClock:
    """Time that stands still until it is moved. Waiting for an instant moves it there: nothing sleeps. What is asked of the
    outside takes none, unless it `passes`.
    """

    passes = False
    ahead = timedelta()
    steps: tuple[ClockStep, ...] = ()

    def __init__(self, start: datetime) -> None:
        self._now = self._began = start.astimezone(UTC)

    def __call__(self) -> datetime:
        return self._now

    def elapsed(self) -> timedelta:
        return self._now - self._began

    def resume(self, last: datetime) -> None:
        if last > self._now:
            self._began += last - self._now
            self.move(last)

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


class SinceSent:
    """How long ago effects of unknown end were sent, by what nobody can set.

    A clock that steps forward must not make a quiet period short: until it really passed, what was sent may still show. What was
    sent before the process began counts from its beginning, because nobody knows how long it was away.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sent: dict[tuple[int, str], timedelta] = {}

    def sent(self, case_id: int, key: str) -> None:
        self._sent[case_id, key] = self._clock.elapsed()

    def forget(self, case_id: int, key: str) -> None:
        self._sent.pop((case_id, key), None)

    def counts_from(self, case_id: int, key: str, sent_at: datetime, asked_at: datetime) -> datetime:
        """The instant its quiet period counts from, as far as a look-up that began at `asked_at` can tell."""
        asked = self._clock.elapsed() - (self._clock() - asked_at)
        return max(sent_at, asked_at - (asked - self._sent.get((case_id, key), timedelta())))
