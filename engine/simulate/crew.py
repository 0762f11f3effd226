"""Work done in this process or over several, with only a few pieces of it under way at a time, however many there are."""

from __future__ import annotations

import gc
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import chain, islice
from typing import Any, Generic, Self, TypeVar

UNDER_WAY = 3  # pieces for each process: none waits for the next, and little waits to be taken

Hand = TypeVar("Hand")
Piece = TypeVar("Piece")
Done = TypeVar("Done")


class Crew(Generic[Hand]):
    """`here` does the work where it is not worth a process of its own, else each process has what `begin` makes there.

    What is done to a piece must be a function of a module, or of a class, by its name.
    """

    def __init__(self, workers: int, here: Hand, begin: Callable[[], Hand]) -> None:
        self._workers = workers
        self._here = here
        self._begin = begin
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def in_order(self, do: Callable[[Hand, Piece], Done], pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Done]]:
        """Each piece with what came of it, in their order."""
        pieces = iter(pieces)
        pool, first = self._pool_for(pieces)
        if pool is None:
            yield from ((piece, do(self._here, piece)) for piece in chain(first, pieces))
            return
        waiting: deque[tuple[Piece, Future[Done]]] = deque()
        for piece in chain(first, pieces):
            waiting.append((piece, pool.submit(_do, do, piece)))
            if len(waiting) >= self._most:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()

    def as_done(self, do: Callable[[Hand, Piece], Done], pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Done]]:
        """Each piece with what came of it, as soon as it is done. They are begun in their order."""
        pieces = iter(pieces)
        pool, first = self._pool_for(pieces)
        if pool is None:
            yield from ((piece, do(self._here, piece)) for piece in chain(first, pieces))
            return
        waiting: dict[Future[Done], Piece] = {}
        pieces = chain(first, pieces)
        while True:
            waiting.update((pool.submit(_do, do, piece), piece) for piece in islice(pieces, self._most - len(waiting)))
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.result()

    @property
    def _most(self) -> int:
        return self._workers * UNDER_WAY

    def _pool_for(self, pieces: Iterator[Piece]) -> tuple[ProcessPoolExecutor | None, list[Piece]]:
        """None for a single piece: to start processes would take longer."""
        first = list(islice(pieces, 2))
        if self._workers > 1 and self._pool is None and len(first) > 1:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_start, initargs=(self._begin,))
        return self._pool, first


_here: list[Any] = []  # of a process of the pool: what it was started with


def _start(begin: Callable[[], Any]) -> None:
    _here.append(begin())
    gc.freeze()  # what is there for good, the rule sets first of all, need not be looked through over and over


def _do(do: Callable[[Any, Piece], Done], piece: Piece) -> Done:
    return do(_here[0], piece)
