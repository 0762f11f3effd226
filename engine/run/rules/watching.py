"""When the files were changed and then left alone for a while.

The operating system tells of changes (watchfiles). Because a watch can be lost, with a folder that is moved away or a drive that
does not tell, what lies there is also looked at from time to time: names, sizes and times of change, not contents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import structlog
from watchfiles import Change, awatch

from engine.language.files import yaml_paths

QUIET = 0.5  # seconds without a write: an editor has saved, a checkout is complete
LOOK = 1.0  # seconds between looks
TOP = ("rules", "mappings")
_STEP = 50  # milliseconds within which changes are told together

Stamp = frozenset[tuple[str, int, int, int]]


class Watch:
    """Watches `rules/` and `mappings/` below a root, from entering to leaving `with`. A folder may come and go."""

    def __init__(self, root: Path, quiet: float = QUIET) -> None:
        self._root = root
        self._quiet = quiet
        self._stirred = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._stamp: Stamp = frozenset()
        self._log = structlog.get_logger("instep.reload")

    async def __aenter__(self) -> Self:
        self._stamp = await asyncio.to_thread(stamp_of, self._root)
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    async def changed(self, timeout: float) -> bool:  # noqa: ASYNC109 - a look at the clock, not a deadline
        """True once something was changed and then nothing for the quiet time; False if nothing was within the time-out."""
        if not await self._stirs(timeout):
            return False
        while await self._stirs(self._quiet):
            pass
        return True

    async def _stirs(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            return False
        self._stirred.clear()
        return True

    async def _watch(self) -> None:
        """Set up anew whenever a watched folder is not the same any more."""
        while not self._stop.is_set():
            folders = {path: identity for top in TOP if (identity := _identity(path := self._root / top)) is not None}
            try:
                await self._listen(folders)
            except (OSError, RuntimeError) as fault:  # a folder went meanwhile, or the system allows no more watches: looks go on
                self._log.warning("watch_lost", fault=str(fault))
                await asyncio.sleep(LOOK / 2)
            await self._look()
            await asyncio.sleep(_STEP / 1000)

    async def _listen(self, folders: dict[Path, tuple[int, int]]) -> None:
        if not folders:
            await asyncio.sleep(LOOK / 10)
            return
        listening = awatch(
            *folders,
            watch_filter=_matters,
            step=_STEP,
            debounce=_STEP * 4,
            rust_timeout=int(LOOK * 1000),
            yield_on_timeout=True,
            stop_event=self._stop,
        )
        async for changes in listening:
            if changes:
                self._stirred.set()
            await self._look()
            if any(_identity(self._root / top) != folders.get(self._root / top) for top in TOP):
                return

    async def _look(self) -> None:
        stamp = await asyncio.to_thread(stamp_of, self._root)
        if stamp != self._stamp:
            self._stamp = stamp
            self._stirred.set()


def stamp_of(root: Path) -> Stamp:
    """What lies there, without reading it."""
    paths, _ = yaml_paths(root)
    return frozenset(_entries(paths))


def _entries(paths: Iterable[Path]) -> Iterator[tuple[str, int, int, int]]:
    for path in paths:
        with suppress(OSError):
            found = path.stat()
            yield str(path), found.st_mtime_ns, found.st_size, found.st_ino


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _matters(_: Change, path: str) -> bool:
    """Rule files and folders; not the drafts and backups editors leave beside them."""
    return Path(path).suffix in {".yaml", ".yml", ""}
