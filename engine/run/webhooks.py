"""Deliveries in: verified by the connector, written down, acknowledged. Everything else happens later."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from engine.facts.outside import Connector, Rejected, WebhookRequest
from engine.run.front import closed
from engine.run.logs import where
from engine.run.metrics import METRICS_TYPE, metrics_text
from engine.run.service import Service
from engine.store.trouble import StoreTrouble

LARGEST_BODY = 5 * 1024 * 1024  # deliveries seen are under 200 kB


def webhook_app(service: Service) -> Starlette:
    """`POST /webhooks/{connector}` with an optional token in the path or as `?token=`; `GET /healthz` and `GET /metrics`."""
    log = structlog.get_logger("instep.webhooks").bind(client=service.rule_set.client)
    by_name: Mapping[str, Connector] = {connector.name: connector for connector in service.connectors.values()}

    async def deliver(request: Request) -> Response:
        connector = by_name.get(request.path_params["connector"])
        if connector is None:
            return _no(404, "no such connector")
        try:
            body = await _body(request)
            heard = connector.receive(_delivery(request, body, service))
        except ClientDisconnect:
            return _no(400, "the delivery ended early")
        except Rejected as no:
            log.warning("delivery_rejected", connector=connector.name, status=no.status, reason=no.reason)
            return _no(no.status if 400 <= no.status < 500 else 400, no.reason)
        except Exception as fault:
            log.warning("delivery_not_understood", connector=connector.name, **where(fault))
            return _no(400, "not understood")
        service.hear(heard)
        return PlainTextResponse("ok")

    async def health(_: Request) -> Response:
        status = service.status()
        failing = [f"{feed['connector']}.{feed['feed']}" for feed in status["failing"]]
        return JSONResponse({**status, "failing": failing})

    async def metrics(_: Request) -> Response:
        return Response(metrics_text(service.status()), media_type=METRICS_TYPE)

    async def not_now(_: Request, trouble: Exception) -> Response:
        return closed(trouble) if isinstance(trouble, StoreTrouble) else _no(500, "fault")

    return Starlette(
        exception_handlers={StoreTrouble: not_now},
        routes=[
            Route("/webhooks/{connector}", deliver, methods=["POST"]),
            Route("/webhooks/{connector}/{token}", deliver, methods=["POST"]),
            Route("/healthz", health),
            Route("/metrics", metrics),
        ],
    )


async def _body(request: Request) -> bytes:
    """The whole body, as long as it is not larger than any delivery could be. Raises Rejected."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            raise Rejected(413, f"larger than {LARGEST_BODY} bytes")
    return bytes(body)


def _delivery(request: Request, body: bytes, service: Service) -> WebhookRequest:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers.raw}
    query = dict(parse_qsl(request.url.query, keep_blank_values=True))
    if token := request.path_params.get("token"):
        query["token"] = token
    return WebhookRequest(body, headers, query, service.clock())


def _no(status: int, reason: str) -> Response:
    return PlainTextResponse(reason, status_code=status)
