"""One life of the real service: started on the store as it was left, told what time it is, and killed.

The service runs its own loop; only waiting is conducted: it says until when it has nothing to do, and is told when it is later.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import traceback
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import httpx._transports.default as wires
import structlog

from connectors.http import Http
from engine.decide.people import NotPossible
from engine.language.files import Files
from engine.language.pack import load
from engine.language.ruleset import RuleSet
from engine.run.boot import Served, open_client
from engine.run.clock import VirtualClock
from engine.run.hearing.deeds import Deed
from engine.run.rules import candidate
from engine.run.web.listening import Listening
from tests.crash.points import Killer, place
from tests.crash.stage import CLIENT

LOUD = 40  # logged and above: what nobody foresaw


@dataclass(frozen=True, slots=True)
class Life:
    """How one begins and ends. `timeout` is what a request may take, in seconds."""

    root: str
    store: str
    control: str
    log: str
    now: str
    after: int
    point: str
    nth: int
    timeout: float


class Conducted(VirtualClock):
    """A clock that is moved from outside. Waiting tells that there is nothing to do, and until when."""

    def __init__(self, now: datetime, wire: socket.socket, killer: Killer) -> None:
        super().__init__(now)
        self._wire = wire
        self._killer = killer
        self._moved = asyncio.Event()
        self.gone = 0
        self.served: Served | None = None

    def go(self, to: datetime, gone: int) -> None:
        self.move(max(to, self()))
        self.gone = gone
        self._moved.set()

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        if self.served is None or woken is not self.served.service._woken:
            await super().wait(until, woken)  # a moment's wait for a turn, in the midst of things
            return
        if woken.is_set():
            return
        if self.served.service._lanes._tasks:  # something is under way, which takes no time here
            await woken.wait()
            return
        due = self.served.service.next_due()
        news = self._killer.news()
        told = {"idle": due and due.isoformat(), "go": self.gone, "points": news, "sends": self._killer.sends}
        self.tell(told)
        waits = {asyncio.ensure_future(woken.wait()), asyncio.ensure_future(self._moved.wait())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        self._moved.clear()

    def tell(self, message: dict[str, Any]) -> None:
        self._wire.sendall(json.dumps(message).encode() + b"\n")


def live(life: Life) -> None:
    """Until it is killed, or told to stop."""
    out = os.open(life.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(LOUD), processors=[structlog.processors.JSONRenderer(default=str)],
        logger_factory=structlog.PrintLoggerFactory(os.fdopen(2, "w", buffering=1)),
    )  # fmt: skip
    _hurry(life.timeout)
    asyncio.run(_lived(life))


async def _lived(life: Life) -> None:
    wire = socket.socket(socket.AF_UNIX)
    wire.connect(life.control)
    clock: Conducted

    def tell(message: dict[str, Any]) -> None:
        clock.tell(message)

    killer = Killer(tell, after=life.after, point=life.point, nth=life.nth)
    place(killer)
    clock = Conducted(datetime.fromisoformat(life.now), wire, killer)
    clock.tell({"born": os.getpid()})
    killer("born")
    served = open_client(Path(life.root), CLIENT, Path(life.store), clock)
    clock.served = served
    killer("opened")
    listening = Listening("127.0.0.1", 0)
    listening.start()
    listening.open_to(served.service)
    clock.tell({"listening": listening.port})
    stop = asyncio.Event()
    running = asyncio.create_task(served.service.run(stop))
    obeying = asyncio.create_task(_obey(wire, clock, served, stop))
    done, _ = await asyncio.wait({running, obeying}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    for task in done:
        task.result()  # a fault of the loop ends the process, and is in its log
    await running
    await listening.close_to(served.service)
    await served.service.close()
    await listening.stop()


async def _obey(wire: socket.socket, clock: Conducted, served: Served, stop: asyncio.Event) -> None:
    reader, _ = await asyncio.open_connection(sock=wire.dup())
    while line := await reader.readline():
        told = json.loads(line)
        if "stop" in told:
            break
        if told.get("reload"):
            await served.reload.read()
        if "deed" in told:
            try:
                served.service.deed(Deed(**told["deed"]))
                clock.tell({"did": told["number"], "no": ""})
            except NotPossible as no:
                clock.tell({"did": told["number"], "no": str(no)})
        if "go" in told:
            clock.go(datetime.fromisoformat(told["now"]), told["go"])
    stop.set()


def _hurry(timeout: float) -> None:
    """Requests that hang are given up sooner than in real life."""
    made = Http.__init__

    def init(self: Http, *given: Any, **named: Any) -> None:
        made(self, *given, **{**named, "timeout": timeout, "deadline": 2 * timeout})

    Http.__init__ = init  # type: ignore[method-assign]


def main() -> None:
    """The parent of all lives: everything is imported, and each life is a process forked from it, which shares nothing with
    another but code: what is imported, the rules as they are compiled from files, and a TLS context nobody uses. Reads lives as
    JSON lines, and answers each with how it ended.
    """
    root = Path(sys.argv[1])
    context = httpx.create_ssl_context()
    wires.create_ssl_context = lambda *_, **__: context
    candidate.load = _Compiled()  # type: ignore[assignment]
    candidate.candidate_of(candidate.read_disk(root, CLIENT).files, CLIENT)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        candidate.candidate_of(candidate.read_disk(root, CLIENT).files, CLIENT)
        child = os.fork()
        if child == 0:
            code = 70
            try:
                live(Life(**json.loads(line)))
                code = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)
        _, status, used = os.wait4(child, 0)
        ended = {"ended": os.waitstatus_to_exitcode(status), "used": used.ru_utime + used.ru_stime}
        sys.stdout.write(json.dumps(ended) + "\n")
        sys.stdout.flush()


class _Compiled:
    """The same files are compiled once."""

    def __init__(self) -> None:
        self._found: dict[str, RuleSet] = {}

    def __call__(self, files: Files, client: str, actions: Any) -> RuleSet:
        digest = files.digest(client)
        if digest not in self._found:
            self._found[digest] = load(files, client, actions)
        return self._found[digest]


if __name__ == "__main__":
    main()
