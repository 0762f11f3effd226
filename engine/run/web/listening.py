"""The HTTP side of a running service, in a thread of its own: deliveries are answered however long the engine is at something."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

import structlog
import uvicorn
from h11 import IDLE, SEND_BODY
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from engine.run.logs import where
from engine.run.service import Service
from engine.run.web.acknowledging import Acknowledging
from engine.run.web.front import Front
from engine.run.web.received import Received
from engine.run.web.webhooks import BODY_SECONDS, MOST_OPEN, Behind, webhook_app

REQUEST_SECONDS = BODY_SECONDS + 5  # for a whole request to come, headers and body
IDLE_SECONDS = 15  # a connection that asks for nothing is kept
LONGEST_HEADERS = 32 * 1024  # bytes of all headers together
ENDING_SECONDS = 5  # for what was begun to be answered when the service stops
SWITCH_SECONDS = 0.0005  # how long the engine's thread goes on when an answer could be given
BACKLOG = 2048  # connections the system holds until they are looked at
STATUS_SECONDS = 1.0  # to wait for the engine to say how it is
TO_SPARE = 64  # connections beyond the deliveries at once, for those who look at the status

Status = Callable[[], Awaitable[Mapping[str, Any]]]
Beside = Callable[[ASGIApp, Status], ASGIApp]


class CannotListen(Exception):  # noqa: N818 - named for what it tells
    """The address is taken, or is not one of this machine."""


class Listening:
    """Serves what stands behind the front from `start` to `stop`, which first answers what was begun."""

    def __init__(self, host: str, port: int, beside: Beside = lambda rest, _: rest) -> None:
        """Takes the address. `beside` puts more on it than webhooks and status. Raises `CannotListen`."""
        self._beside = beside
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._received = Received()
        self.front = Front(self._received)
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._serving: asyncio.AbstractEventLoop | None = None
        self._begun = threading.Event()
        self._server = _Server(self._config())
        self._open: dict[Service, Acknowledging] = {}
        self._log = structlog.get_logger("instep.webhooks")

    def start(self) -> asyncio.Future[None]:
        """To be called on the loop the service runs on. What comes back is done when nothing is served any more; it raises what
        went wrong.
        """
        self._engine = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._engine.create_future()
        self._thread.start()
        self._begun.wait()
        return self._over

    def open_to(self, service: Service) -> None:
        """Deliveries are for this service from now on."""
        acknowledging = self._open[service] = Acknowledging(service.store, service.clock, service.wake)
        asked = _Asked(service, acknowledging, self._engine)
        webhooks = webhook_app(service, Behind(acknowledging.keep, asked.status), self._received)
        self.front.app = self._beside(webhooks, asked.status)
        self.front.trouble = None
        self.front.token = service.status_token
        service.intake.pressed = lambda: self._received.open > 0

    async def close_to(self, service: Service) -> None:
        """Nothing more is taken for it; what is being written down is finished."""
        self.front.app = None
        acknowledging = self._open.pop(service, None)
        if acknowledging is not None and self._serving is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # it has ended just now
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(acknowledging.close(), self._serving))

    async def stop(self) -> None:
        """Returns when the last answer is given."""
        self._server.should_exit = True
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        fault: BaseException | None = None
        try:
            asyncio.run(self._serve())
        except BaseException as found:  # told to the service, which ends with it
            self._log.error("webhooks_ended", **where(found))
            fault = found
        finally:
            self._socket.close()
            self._begun.set()
        with suppress(RuntimeError):  # its loop has ended, and nobody asks
            self._engine.call_soon_threadsafe(self._end, fault)

    def _end(self, fault: BaseException | None) -> None:
        if self._over.done():
            return
        if fault is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(fault if isinstance(fault, Exception) else RuntimeError(str(fault)))

    async def _serve(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._serving = asyncio.get_running_loop()
        self._begun.set()
        await self._server.serve(sockets=[self._socket])

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self.front,
            http=_protocol(self._received),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # it would write a line for every request that is no HTTP; those are counted
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=ENDING_SECONDS,
            h11_max_incomplete_event_size=LONGEST_HEADERS,
        )


class _Asked:
    """What the service says of itself, asked on its own loop."""

    def __init__(self, service: Service, acknowledging: Acknowledging, engine: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._acknowledging = acknowledging
        self._engine = engine
        self._last: tuple[float, Mapping[str, Any]] = time.monotonic(), service.status()

    async def status(self) -> Mapping[str, Any]:
        """Where the engine is busy, what it said last, and for how long it has been."""
        trouble = self._acknowledging.trouble
        try:
            asking = asyncio.run_coroutine_threadsafe(self._answer(), self._engine)
            told = await asyncio.wait_for(asyncio.wrap_future(asking), STATUS_SECONDS)
        except (TimeoutError, RuntimeError):  # it is at something, or has ended
            return {**self._last[1], "trouble": trouble, "busy_seconds": time.monotonic() - self._last[0]}
        self._last = time.monotonic(), told
        return {**told, "trouble": trouble, "busy_seconds": 0.0}

    async def _answer(self) -> Mapping[str, Any]:
        return self._service.status()


class _Server(uvicorn.Server):
    """Leaves signals to the service, which ends what it has begun before it stops."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _protocol(received: Received) -> type[H11Protocol]:
    """Uvicorn's own, with a limit to how long a request may take to come and to how many connections there are."""

    class Patient(H11Protocol):
        _coming: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(cast(asyncio.Transport, transport))
            if len(self.connections) > MOST_OPEN + TO_SPARE:
                received.refused("", "too_many")
                self.transport.abort()
                return
            self._coming = self.loop.call_later(REQUEST_SECONDS, self._too_slow)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def send_400_response(self, msg: str) -> None:
            received.refused("", "not_http")
            super().send_400_response(msg)

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """A request that has begun to come must be whole in time; the time is not begun anew with every byte."""
            state = self.conn.their_state
            if state is SEND_BODY or (state is IDLE and self.conn.trailing_data[0]):
                if self._coming is None:
                    self._coming = self.loop.call_later(REQUEST_SECONDS, self._too_slow)
            else:
                self._forget()

        def _forget(self) -> None:
            if self._coming is not None:
                self._coming.cancel()
                self._coming = None

        def _too_slow(self) -> None:
            self._coming = None
            if not self.transport.is_closing():
                received.refused("", "too_slow")
                self.transport.close()

    return Patient


def _bound(host: str, port: int) -> socket.socket:
    """A listening address. The protocol is named, else asyncio leaves Nagle's delay on: 40 ms an answer."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(BACKLOG)
        except BaseException:
            made.close()
            raise
    except (OSError, OverflowError) as no:
        raise CannotListen(f"{host}:{port} cannot be listened on: {no}. Choose another --host or --port") from None
    return made
