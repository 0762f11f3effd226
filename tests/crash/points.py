"""Every named place at which a life may end: around commits, sends and receipts, and between the steps of the protocol."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from connectors.http import Http
from connectors.ledger import books
from engine.run import boot
from engine.run.service import Service
from engine.run.web.acknowledging import Acknowledging
from engine.store.sqlite import SqliteStore
from engine.store.sqlite.connection import Connection

Tell = Callable[[dict[str, Any]], None]
SENT = frozenset({"performed"})
WRITES = ("insert", "update", "delete", "replace")


class Killer:
    """Ends the process with SIGKILL at a point. It lives in peace for a number of sends first, and then either dies at the nth
    passing of `point`, or asks, by `armed`, to be killed from outside at any instant.
    """

    def __init__(self, tell: Tell, *, after: int, point: str, nth: int) -> None:
        self._tell = tell
        self._peace = after
        self._point = point
        self._left = nth
        self._passed = Counter[str]()
        self._armed = False
        self.sends = 0

    def __call__(self, point: str) -> None:
        self._passed[point] += 1
        if point in SENT:
            self.sends += 1
        if self._peace > self.sends:
            return
        if not self._armed:
            self._armed = True
            self._tell({"armed": not self._point})
        if point == self._point:
            self._left -= 1
            if self._left <= 0:
                self._tell({"dying": point, "sends": self.sends, "points": self.news()})
                os.kill(os.getpid(), signal.SIGKILL)

    def news(self) -> dict[str, int]:
        """How often each point was passed since last asked."""
        passed, self._passed = self._passed, Counter()
        return passed


def place(killer: Killer) -> None:
    """From now on this process passes `killer` at every point."""
    _around_commits(killer)
    _around_writes(killer)
    _around_acknowledging(killer)
    _around_requests(killer)
    _around_files(killer)
    boot.Service = partial(Service, points=killer)  # type: ignore[misc, assignment]


def _around_acknowledging(killer: Killer) -> None:
    """What was delivered is on disk, and its sender does not know it yet."""
    keep = Acknowledging.keep

    async def kept(acknowledging: Acknowledging, heard: Any) -> Any:
        killer("before_keeping")
        written = await keep(acknowledging, heard)
        killer("kept")
        return written

    Acknowledging.keep = kept  # type: ignore[method-assign]


def _around_commits(killer: Killer) -> None:
    end = SqliteStore._end

    def ended(store: SqliteStore, commit: str) -> None:
        if commit != "commit":
            end(store, commit)
            return
        who = _who() if store._lock else "acknowledging"  # which has a connection, and a thread, of its own
        killer(f"before_commit of {who}")
        end(store, commit)
        killer(f"after_commit of {who}")

    SqliteStore._end = ended  # type: ignore[method-assign]


def _around_writes(killer: Killer) -> None:
    """Single statements, each of which is a commit by itself."""
    execute = Connection.execute

    def executed(connection: Connection, *statement: Any) -> Any:
        if connection.in_transaction or not statement[0].lstrip()[:8].lower().startswith(WRITES):
            return execute(connection, *statement)
        who = _who()
        killer(f"before_write of {who}")
        done = execute(connection, *statement)
        killer(f"after_write of {who}")
        return done

    Connection.execute = executed  # type: ignore[method-assign]


def _who() -> str:
    """The part of the runtime whose transaction ends."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("engine.run."):
            return f"{name.rpartition('.')[2]}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "somebody"


def _around_requests(killer: Killer) -> None:
    once = Http._once

    @wraps(once)
    async def told(http: Http, method: str, path: str, *given: Any, changes: bool, **named: Any) -> Any:
        what = "change" if changes else "read"
        killer(f"before_{what}")
        answer = await once(http, method, path, *given, changes=changes, **named)
        killer(f"after_{what}")
        return answer

    Http._once = told  # type: ignore[method-assign]


def _around_files(killer: Killer) -> None:
    write = books._write_whole

    def told(file: Any, text: str) -> None:
        killer("before_posting")
        write(file, text)
        killer("after_posting")

    books._write_whole = told
