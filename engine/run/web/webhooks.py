"""Deliveries in: verified by the connector, written down, acknowledged. Everything else happens later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from engine.facts.outside import Connector, Event, Hint, Rejected, WebhookRequest
from engine.run.hearing.journalling import Written
from engine.run.logs import where
from engine.run.service import Service
from engine.run.web.acknowledging import NotKept
from engine.run.web.front import closed
from engine.run.web.health import health_of
from engine.run.web.insiders import is_insider, turned_away
from engine.run.web.metrics import METRICS_TYPE, metrics_text
from engine.run.web.received import Received
from engine.run.web.turned_down import Kind, TurnedDown
from engine.store.trouble import StoreTrouble

LARGEST_BODY = 5 * 1024 * 1024  # deliveries seen are under 200 kB
BODY_SECONDS = 10.0  # for a whole body to come
MOST_OPEN = 2000  # deliveries at once: two seconds of a burst of a thousand a second
MOST_OPEN_BYTES = 64 * 1024 * 1024  # of their bodies
RETRY_AFTER = 5  # seconds, in an answer that it cannot be taken now


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind the webhooks: where deliveries are written down, and what the service says of itself."""

    keep: Callable[[Sequence[Event | Hint]], Awaitable[Written]]
    status: Callable[[], Awaitable[Mapping[str, Any]]]


class Unavailable(Exception):  # noqa: N818 - named for what it tells
    """A delivery that cannot be taken now, for a reason of ours. The sender tries again."""

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


def webhook_app(service: Service, behind: Behind | None = None, received: Received | None = None) -> Starlette:
    """`POST /webhooks/{connector}` with an optional token in the path or as `?token=`; `GET /healthz` and `GET /metrics`,
    of which strangers are told next to nothing.

    Without `behind` everything happens on the service's own loop.
    """
    behind = behind or _same_loop(service)
    received = received or Received()
    door = _Door(service, behind, received)

    async def health(request: Request) -> Response:
        told = health_of(await behind.status())
        if not is_insider(request, service.status_token):
            told = {"live": told["live"], "ready": told["ready"]}
        return JSONResponse(told, status_code=200 if told["ready"] else 503)

    async def metrics(request: Request) -> Response:
        if not is_insider(request, service.status_token):
            return turned_away(service.status_token)
        return Response(metrics_text(await behind.status()) + received.text(), media_type=METRICS_TYPE)

    async def not_now(request: Request, trouble: Exception) -> Response:
        if isinstance(trouble, StoreTrouble):
            return closed(trouble.what if is_insider(request, service.status_token) else "")
        return door.fault(trouble)

    return Starlette(
        exception_handlers={StoreTrouble: not_now, Exception: not_now},
        routes=[
            Route("/webhooks/{connector}", door.deliver, methods=["POST"]),
            Route("/webhooks/{connector}/{token}", door.deliver, methods=["POST"]),
            Route("/healthz", health),
            Route("/metrics", metrics),
        ],
    )


class _Door:
    """Every delivery gets one answer, and is counted once."""

    def __init__(self, service: Service, behind: Behind, received: Received) -> None:
        self._by_name: Mapping[str, Connector] = {connector.name: connector for connector in service.connectors.values()}
        self._clock = service.clock
        self._keep = behind.keep
        self._received = received
        self._open_bytes = 0
        self._log = structlog.get_logger("instep.webhooks").bind(client=service.rule_set.client)
        self._turned_down = TurnedDown(self._log)

    async def deliver(self, request: Request) -> Response:
        began = time.perf_counter()
        connector = self._by_name.get(request.path_params["connector"])
        name = connector.name if connector else ""
        self._received.open += 1
        try:
            written = await self._take(connector, request)
        except Rejected as no:
            self._turned_down.one(Kind(name, no.kind, no.status, request.client.host if request.client else ""))
            return self._no(name, no.kind, no.status if 400 <= no.status < 500 else 400, no.reason)
        except ClientDisconnect:
            return self._no(name, "ended_early", 400, "the delivery ended early")
        except Unavailable as no:
            return self._no(name, no.kind, 503, no.reason)
        except StoreTrouble:
            self._received.refused(name, "store")
            return closed()
        except NotKept as no:
            return self._no(name, "not_kept", 400 if no.lasting else 503, str(no))
        except Exception as fault:
            self._log.error("delivery_failed", connector=name, **where(fault))
            return self._no(name, "fault", 500, "a fault of ours; it is in our log")
        finally:
            self._received.open -= 1
        self._received.acknowledged(name, time.perf_counter() - began, repeated=written.repeated > 0 and not written.new)
        return PlainTextResponse("ok")

    async def _take(self, connector: Connector | None, request: Request) -> Written:
        """Raises Rejected, Unavailable, NotKept and ClientDisconnect."""
        if connector is None:
            raise Rejected(404, "no such connector", "unknown_connector")
        if self._received.open > MOST_OPEN:
            raise Unavailable("too many deliveries at once", "too_many")
        _check_claims(request.headers)
        body = bytearray()
        try:
            await self._read(request, body)
            heard = connector.receive(_delivery(request, bytes(body), self._clock))
            return await self._keep(heard)
        finally:
            self._open_bytes -= len(body)

    async def _read(self, request: Request, body: bytearray) -> None:
        """The whole body, as long as it is not larger, and does not take longer, than any delivery could."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for piece in request.stream():
                    body += piece
                    self._open_bytes += len(piece)
                    if len(body) > LARGEST_BODY:
                        raise Rejected(413, f"larger than {LARGEST_BODY} bytes", "too_large")
                    if self._open_bytes > MOST_OPEN_BYTES:
                        raise Unavailable("too much at once", "too_many")
        except TimeoutError:
            raise Rejected(408, f"the body was not there after {BODY_SECONDS:g} seconds", "too_slow") from None

    def fault(self, fault: Exception) -> Response:
        self._log.error("status_failed", **where(fault))
        return PlainTextResponse("a fault of ours; it is in our log", status_code=500)

    def _no(self, connector: str, kind: str, status: int, reason: str) -> Response:
        self._received.refused(connector, kind)
        headers = {"retry-after": str(RETRY_AFTER)} if status == 503 else None
        return PlainTextResponse(reason, status_code=status, headers=headers)


def _check_claims(headers: Mapping[str, str]) -> None:
    """What the headers say of the body, before any of it is read. Raises Rejected."""
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Rejected(415, "a compressed body is not taken", "compressed")
    claimed = headers.get("content-type", "").partition(";")[0].strip().lower()
    if claimed and claimed.rpartition("/")[2] != "json" and not claimed.endswith("+json"):
        raise Rejected(415, "the content type is not JSON", "content_type")
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > LARGEST_BODY:
        raise Rejected(413, f"larger than {LARGEST_BODY} bytes", "too_large")


def _same_loop(service: Service) -> Behind:
    async def keep(heard: Sequence[Event | Hint]) -> Written:
        return service.hear(heard)

    async def status() -> Mapping[str, Any]:
        return service.status()

    return Behind(keep, status)


def _delivery(request: Request, body: bytes, clock: Callable[[], Any]) -> WebhookRequest:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers.raw}
    query = dict(parse_qsl(request.url.query, keep_blank_values=True))
    if token := request.path_params.get("token"):
        query["token"] = token
    return WebhookRequest(body, headers, query, clock())
