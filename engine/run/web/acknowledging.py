"""Deliveries are written down by a thread of their own, so that no work of the engine makes their senders wait.

Those that come while a commit is under way share the next one: one write to the disk for all of them. Each is answered only
after the commit that holds it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import structlog

from engine.facts.outside import Event, Hint
from engine.run.clock import Clock
from engine.run.hearing.journalling import Written, write_down
from engine.run.logs import where
from engine.store.base import Store

Heard = Sequence[Event | Hint]
TOGETHER = 500  # deliveries in one commit
PATIENCE = 3.0  # seconds to wait for the store: Shopify gives up on an answer after five


class NotKept(Exception):  # noqa: N818 - named for what it tells
    """It is not written down and must not be acknowledged. `lasting` is true where trying again would not help."""

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


class Acknowledging:
    """Used from one event loop, and not the one that else writes to the store: it would wait for itself. `woken` is called, on
    its thread, after every commit.
    """

    def __init__(self, store: Store, clock: Clock, woken: Callable[[], None]) -> None:
        self._beside = store.beside
        self._clock = clock
        self._woken = woken
        self._own: Store | None = None
        self._thread = ThreadPoolExecutor(1, "deliveries")
        self._waiting: list[tuple[Heard, asyncio.Future[Written]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("instep.webhooks")
        self._closed = False
        self.trouble = ""

    async def keep(self, heard: Heard) -> Written:
        """Returns once it is on the disk. Raises `NotKept`."""
        if self._closed:
            raise NotKept("the service is stopping")
        kept: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self._waiting.append((heard, kept))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await kept

    async def close(self) -> None:
        """Ends what is under way first."""
        self._closed = True
        if self._writing is not None:
            await self._writing
        await asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)
        self._thread.shutdown()

    async def _write(self) -> None:
        while self._waiting:
            batch: list[tuple[Heard, asyncio.Future[Written]]] = []
            outcomes = await self._commit(batch)
            for (_, kept), outcome in zip(batch, outcomes, strict=True):
                if kept.done():  # nobody waits for it any more
                    continue
                if isinstance(outcome, NotKept):
                    kept.set_exception(outcome)
                else:
                    kept.set_result(outcome)

    async def _commit(self, batch: list[tuple[Heard, asyncio.Future[Written]]]) -> Sequence[Written | NotKept]:
        """What waits by the time it is one's turn, in one commit; it is moved to `batch`.

        The turn and the disk are waited for in the other thread. What is written is told to SQLite in this one: a thread that
        is not alone would wait for the others after every statement.
        """
        loop, ending = asyncio.get_running_loop(), ExitStack()
        try:
            try:
                store = await loop.run_in_executor(self._thread, self._begin, ending)
            finally:
                batch += self._waiting[:TOGETHER]
                self._waiting = self._waiting[TOGETHER:]
            try:
                outcomes = [self._one(store, heard) for heard, _ in batch]
            except BaseException:
                await loop.run_in_executor(self._thread, ending.__exit__, *sys.exc_info())
                raise
            await loop.run_in_executor(self._thread, ending.close)
        except Exception as fault:  # whatever it is, it is not known to be kept
            self._log.error("deliveries_not_kept", deliveries=len(batch), **where(fault))
            self.trouble = f"{type(fault).__name__}: {fault}"
            await loop.run_in_executor(self._thread, self._let_go)
            return [NotKept("it could not be written down")] * len(batch)
        self.trouble = ""
        self._woken()
        return outcomes

    def _begin(self, ending: ExitStack) -> Store:
        store = self._own = self._own or self._beside(PATIENCE)
        ending.enter_context(store.transaction())
        return store

    def _one(self, store: Store, heard: Heard) -> Written | NotKept:
        """What cannot be written because of what it is fails alone."""
        try:
            with store.transaction():
                return write_down(store, heard, self._clock())
        except (ValueError, TypeError, OverflowError) as fault:
            self._log.error("delivery_not_kept", **where(fault))
            return NotKept("it cannot be written down as it is", lasting=True)

    def _let_go(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            try:
                own.close()
            except Exception as fault:
                self._log.warning("store_not_closed", **where(fault))
