"""Starts lives, listens to them, and knows how each ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from tests.crash.aim import Tally
from tests.crash.life import Life

MAIN = Path(__file__).parents[2]
ANY_INSTANT = "any instant"
PATIENCE = 300.0  # seconds of real time after which a silent life is a fault


class Stuck(Exception):  # noqa: N818
    """A life neither came to rest nor ended."""


@dataclass(slots=True)
class Living:
    """What one life told of itself."""

    life: Life
    pid: int = 0
    port: int = 0
    due: datetime | None = None
    gone: int = -1
    sends: int = 0
    dying: str = ""
    armed: bool = False
    turns: int = 0  # since it was armed
    resting: bool = False
    ended: int | None = None
    answers: dict[int, str] = field(default_factory=dict)
    writer: asyncio.StreamWriter | None = None

    def tell(self, **message: Any) -> None:
        if self.writer is not None and self.ended is None:
            self.writer.write(json.dumps(message).encode() + b"\n")


class Nursery:
    """`async with Nursery(...)`: one life at a time."""

    def __init__(self, folder: Path, root: Path, on_armed: Callable[[Living], None]) -> None:
        self.control = folder / "control"
        self.log = folder / "lives.log"
        self._root = root
        self._on_armed = on_armed
        self._changed = asyncio.Event()
        self.tally = Tally()
        self.used = 0.0  # seconds of processor time
        self.one: Living | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._listen, str(self.control))
        self._parent = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.crash.life", str(self._root), cwd=MAIN, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=self.log.open("ab"),
        )  # fmt: skip
        assert self._parent.stdout is not None
        if await self._parent.stdout.readline() != b"ready\n":
            raise Stuck(f"the parent did not start: {self.log.read_text()}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.one is not None and self.one.ended is None and self.one.pid:
            os.kill(self.one.pid, signal.SIGKILL)
        if self._parent.stdin is not None:
            self._parent.stdin.close()
        await self._parent.wait()
        self._server.close()

    async def begin(self, life: Life) -> Living:
        """A new life; it is listening when this returns, or has ended."""
        self.one = living = Living(life)
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps(asdict(life)).encode() + b"\n")
        waiting = asyncio.create_task(self._ended(living))
        self._waiting = waiting
        await self.until(living, lambda: bool(living.port))
        return living

    async def until(self, living: Living, there: Callable[[], bool]) -> bool:
        """Whether it came to that before it ended."""
        while not there() and living.ended is None:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), PATIENCE)
            except TimeoutError:
                raise Stuck(f"{living} says nothing; {self.log}") from None
        return living.ended is None

    async def stop(self, living: Living) -> None:
        """Stopped in order."""
        living.tell(stop=True)
        await self.until(living, lambda: False)

    async def _ended(self, living: Living) -> None:
        assert self._parent.stdout is not None
        line = await self._parent.stdout.readline()
        told = json.loads(line) if line else {"ended": 99, "used": 0.0}
        living.ended = told["ended"]
        self.used += told["used"]
        if living.ended == -signal.SIGKILL:
            self.tally.struck[living.dying or ANY_INSTANT] += 1
        self._changed.set()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        living = self.one
        assert living is not None
        living.writer = writer
        try:
            while line := await reader.readline():
                if line.endswith(b"\n"):
                    self._told(living, json.loads(line))
                self._changed.set()
        except ConnectionError:
            pass
        writer.close()

    def _told(self, living: Living, told: dict[str, Any]) -> None:
        living.resting = "idle" in told
        if "idle" in told:
            living.due = None if told["idle"] is None else datetime.fromisoformat(told["idle"])
            living.gone, living.sends = told["go"], told["sends"]
        living.pid = told.get("born", living.pid)
        living.port = told.get("listening", living.port)
        living.dying = told.get("dying", living.dying)
        living.sends = told.get("sends", living.sends)
        self.tally.passed.update(told.get("points", {}))
        if "did" in told:
            living.answers[told["did"]] = told["no"]
        if "armed" in told:
            living.armed = True
            if told["armed"]:
                self._on_armed(living)
