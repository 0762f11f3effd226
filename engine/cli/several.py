"""`instep run A B`: several clients, each in a process of its own, so that none waits for another or ends with it.

Whatever ends by itself with a fault is started again, as after a crash; what is wrong with one client is said, and the others go
on. Each has its own store, its own port and its own share of the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.cli.output import FINE, FOUND, console, errors, misused
from engine.cli.visible import Plain
from engine.language.pack import clients, project_root
from engine.problems import did_you_mean

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before what ended is started again; doubled each time it ends at once
LIVED = 60.0  # seconds after which an end is not the same fault again
LONGEST_LINE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seat:
    """Where one client is served."""

    client: str
    database: Path
    port: int


def seats(root: Path | None, wanted: Sequence[str], database: Path | None, port: int) -> list[Seat]:
    """Each `CLIENT` or `CLIENT:PORT` with its store and port: without one, the next after `port`. Ends the program where that
    cannot be meant.
    """
    several = len(wanted) > 1
    if several and database is not None and not database.is_dir():
        misused(f"instep run: several clients have a store each: --database is a folder for them, and {database} is none")
    made: list[Seat] = []
    for index, text in enumerate(wanted):
        client, colon, own = text.partition(":")
        if colon and not (own.isascii() and own.isdigit() and int(own) <= 65535):
            misused(f'instep run: "{text}" is no CLIENT:PORT, such as northwind:8081')
        made.append(Seat(client, store_of(client, database), int(own) if colon else port and port + index))
    if several:
        _all_there(project_root(root), made)
    for seat in made:
        if twice := [one.client for one in made if one is not seat and seat.port and one.port == seat.port]:
            misused(f"instep run: {seat.client} and {twice[0]} cannot both have port {seat.port}: say CLIENT:PORT")
    return made


def store_of(client: str, database: Path | None) -> Path:
    """The store of a client: the one that was named, or its own in a folder or here."""
    if database is None or database.is_dir():
        return (database or Path()) / f"{client}.sqlite"
    return database


def _all_there(root: Path, made: Sequence[Seat]) -> None:
    names, known = [seat.client for seat in made], clients(root)
    for name in names:
        if names.count(name) > 1:
            misused(f"instep run: {name} is named twice: a store has one service")
        if name not in known:
            misused(f'instep run: there is no client "{name}"{did_you_mean(name, known)}')


async def serve_all(root: Path | None, made: Sequence[Seat], host: str) -> int:
    """Runs until SIGINT or SIGTERM, or until each was told to stop. Answers the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    width = max(len(seat.client) for seat in made)
    ends = await asyncio.gather(*(_Kept(seat, root, host, width).until(stop) for seat in made))
    return FINE if all(code == FINE for code in ends) else FOUND


class _Kept:
    """One client's process, started again whenever it ends with a fault."""

    def __init__(self, seat: Seat, root: Path | None, host: str, width: int) -> None:
        self._seat = seat
        self._name = f"{seat.client:<{width}} | "
        own = [] if root is None else ["--root", str(root)]
        self._call = [
            sys.executable, "-P", "-m", "engine.cli.several", seat.client, *own,
            "--database", str(seat.database), "--host", host, "--port", str(seat.port),
        ]  # fmt: skip

    async def until(self, stop: asyncio.Event) -> int:
        """Its last exit code."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            began = loop.time()
            code = await self._once(stop)
            if code == FINE or (stop.is_set() and code == -signal.SIGTERM):  # told to stop, perhaps before it could listen
                return FINE
            if stop.is_set():
                return code
            pause = FIRST_PAUSE if loop.time() - began >= LIVED else pause
            ended = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
            self._say(errors, f"ended with {ended}, and is started again in {pause:g} seconds")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            if stop.is_set():
                return code
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _once(self, stop: asyncio.Event) -> int:
        # A session of its own: Ctrl-C is for us, who tell it. It ends when we do, however we end: its stdin is then closed.
        process = await asyncio.create_subprocess_exec(
            *self._call, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            start_new_session=True, limit=LONGEST_LINE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        told = asyncio.gather(self._pass_on(process.stdout, console), self._pass_on(process.stderr, errors))
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            process.terminate()
        code = await ended
        await told
        return code

    async def _pass_on(self, stream: asyncio.StreamReader, to: Plain) -> None:
        while line := await self._line(stream):
            self._say(to, line.decode(errors="replace").rstrip("\n"))

    async def _line(self, stream: asyncio.StreamReader) -> bytes:
        try:
            return await stream.readline()
        except ValueError:  # longer than any line is meant to be: what was read of it is gone
            return b"(a line that is too long)\n"

    def _say(self, to: Plain, text: str) -> None:
        to.print(self._name + text)


def _end_with_parent() -> None:
    """Told to stop, as by a person, when whoever started this process is gone."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):  # unbuffered: a buffer's lock would be missed at the end
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    from engine.cli.app import main

    _end_with_parent()
    sys.argv[1:1] = ["run"]
    main()
