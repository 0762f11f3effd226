"""How a sandbox is served, and how it is made to fail: a real HTTP server on this machine, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FaultKind = Literal["error", "error_after", "hang", "hang_after", "cut_after", "too_many", "garbage_after"]


@dataclass(frozen=True, slots=True)
class Fault:
    """How one request goes wrong. The `_after` kinds do what was asked first.

    `error`: a bare 500. `hang`: no answer until the caller gives up. `cut_after`: the connection ends in mid answer.
    `too_many`: 429 with `Retry-After`. `garbage_after`: 200 with a body that is not JSON.
    """

    kind: FaultKind
    method: str = ""
    path: str = ""  # how the path must end; empty is any
    retry_after: int = 60

    def fits(self, scope: Scope) -> bool:
        method, path = str(scope["method"]), str(scope["path"])
        return method == (self.method or method) and path.endswith(self.path)


@dataclass(slots=True)
class Faults:
    """An ASGI application around another: each fault waits for the next request it fits, and happens once."""

    app: ASGIApp
    waiting: deque[Fault] = field(default_factory=deque)

    def add(self, kind: FaultKind, method: str = "", path: str = "", *, times: int = 1, retry_after: int = 60) -> None:
        self.waiting.extend([Fault(kind, method, path, retry_after)] * times)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = next((f for f in self.waiting if scope["type"] == "http" and f.fits(scope)), None)
        if fault is None:
            await self.app(scope, receive, send)
            return
        self.waiting.remove(fault)
        await _failed(self.app, fault, scope, receive, send)


async def _failed(app: ASGIApp, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    """The request is taken in whole, done where the fault says so, and answered as the fault says."""
    body = await _whole(receive)
    if fault.kind.endswith("_after"):
        await app(scope, _again(body), _nowhere)
    match fault.kind:
        case "error" | "error_after":
            await _answer(send, 500, b"")
        case "too_many":
            await _answer(send, 429, b"", ("retry-after", str(fault.retry_after)))
        case "garbage_after":
            await _answer(send, 200, b"<html>")
        case "cut_after":
            await _answer(send, 200, b"{", length=1000)
        case "hang" | "hang_after":
            while (await receive())["type"] != "http.disconnect":
                pass


async def _whole(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


def _again(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _nowhere(message: Message) -> None:
    """The answer that never arrives."""


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[str, str], length: int | None = None) -> None:
    named = [*headers, ("content-length", str(len(body) if length is None else length))]
    await send({"type": "http.response.start", "status": status, "headers": [(k.encode(), v.encode()) for k, v in named]})
    await send({"type": "http.response.body", "body": body, "more_body": length is not None})


def _not_cut_off(told: logging.LogRecord) -> bool:
    """What a stand-in does because it was told to is no error of its server."""
    return "without completing response" not in told.msg


class Served:
    """`with Served(app) as url:` serves an ASGI application on 127.0.0.1, on a free port (or the one given)."""

    def __init__(self, app: Any, port: int = 0) -> None:
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)  # named, else asyncio leaves Nagle on: 40 ms an answer
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=1)
        self._server = _Prompt(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> str:
        self.start()
        return self.url

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> Self:
        logging.getLogger("uvicorn.error").addFilter(_not_cut_off)
        self._thread.start()
        if not self._server.ready.wait(10):
            raise RuntimeError(f"{self.url} did not start")
        return self

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(10)
        self._socket.close()


class _Prompt(uvicorn.Server):
    """Says when it listens, and stops when it is told to, so that nobody has to guess or wait."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._over = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._over.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        counter, over = 0, await self.on_tick(0)
        self.ready.set()
        while not over:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), 0.1)
            counter += 1
            over = await self.on_tick(counter) or self._over.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Connections are closed and not waited for: what hangs was made to hang."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for one in sockets or ():
            one.close()
