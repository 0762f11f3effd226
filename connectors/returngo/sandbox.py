"""A ReturnGO to develop and simulate against: its API over a `World`, with its keys, its day's limit and its faults.

    sandbox = ReturnGoSandbox(clock)
    with Served(sandbox.app) as url:
        rma_id = sandbox.world.create_rma("5001", "#1001", [Piece("11", "SKU-1", "25.96")])

The caller posts `sandbox.world.drain()` to whoever registered; `sandbox.faults.add("hang_after", "PUT")` breaks the next one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.admission import Admission
from connectors.http import dumps, loads
from connectors.returngo.shapes import Json
from connectors.returngo.words import EVENT_NAMES, RMA_STATUS, SHIPMENT_STATUS
from connectors.returngo.world import InvalidTransitionError, NotFoundError, World
from connectors.serving import Faults
from engine.facts.outside import Clock

Handler = Callable[[Request], Awaitable[Any]]
_COMPARE: Mapping[str, Callable[[datetime, datetime], bool]] = {
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
}
_SHIPMENT_FIELDS = ("status", "carrierName", "trackingNumber", "trackingURL", "labelURL")


class _Answered(Exception):  # noqa: N818 - an answer on its way out
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ReturnGoSandbox:
    """`app` is the ASGI application, `world` what can be done behind it, `faults` how requests are made to fail.

    `calls` counts requests by UTC day; past `calls_per_day` every answer is 429. `admission.limits` may set more.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        api_key: str = "returngo-sandbox-key",
        shop: str = "demo.myshopify.com",
        webhook_token: str = "returngo-sandbox-token",  # noqa: S107 - it opens nothing but this
        calls_per_day: int = 2000,
        currency: str = "USD",
    ) -> None:
        self.world = World(clock, currency)
        self.api_key = api_key
        self.shop = shop
        self.webhook_token = webhook_token
        self.calls_per_day = calls_per_day
        self.calls: dict[date, int] = {}
        self.admission = Admission(clock)
        self._clock = clock
        self.faults = Faults(Starlette(routes=self._routes()))
        self.app = self.faults

    def settings(self, url: str) -> dict[str, Any]:
        """The connector's settings for this sandbox, served at `url`."""
        return {
            "shop": self.shop, "api_key": self.api_key, "webhook_token": self.webhook_token, "url": url,
            "calls_per_day": self.calls_per_day,
        }  # fmt: skip

    def listen(self, url: str) -> None:
        """Every event goes to this URL from now on, with the token that proves it."""
        self.world.listen(f"{url}{'&' if '?' in url else '?'}token={quote(self.webhook_token)}")

    def _routes(self) -> list[Route]:
        table: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "/rmas", self._list_rmas),
            ("GET", "/rma/{rma_id}", self._rma),
            ("PUT", "/rma/{rma_id}/status", self._set_status),
            ("POST", "/rma/{rma_id}/comment", self._comment),
            ("PUT", "/shipment/{shipment_id}", self._set_shipment),
            ("GET", "/transactions", self._list_transactions),
            ("GET", "/webhooks", self._list_webhooks),
            ("POST", "/webhook", self._add_webhook),
            ("PUT", "/webhook/{webhook_id}", self._change_webhook),
            ("DELETE", "/webhook/{webhook_id}", self._remove_webhook),
        )
        return [Route(path, self._guarded(handler), methods=[method]) for method, path, handler in table]

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                self._admit(request)
                return _json(200, await handler(request))
            except _Answered as said:
                return _json(said.status, {"message": str(said)})
            except NotFoundError as lost:
                return _json(404, {"message": f"{lost} could not be found"})
            except InvalidTransitionError as wrong:
                return _json(400, {"message": f"Invalid status transition: {wrong}"})

        return answer

    def _admit(self, request: Request) -> None:
        today = self._clock().astimezone(UTC).date()
        self.calls[today] = self.calls.get(today, 0) + 1
        if self.calls[today] > self.calls_per_day or self.admission.wait("") is not None:
            raise _Answered(429, "Limit Exceeded")
        if request.headers.get("x-api-key") != self.api_key:
            raise _Answered(401, "Missing or incorrect API key")
        if request.headers.get("x-shop-name") != self.shop:
            raise _Answered(403, "No such shop for this user")

    async def _list_rmas(self, request: Request) -> Json:
        query = request.query_params
        found = list(self.world.rmas.values())
        found = [r for r in found if _within(r["createdAt"], query.get("rma_created_at"))]
        found = [r for r in found if _within(r["lastUpdated"], query.get("rma_updated_at"))]
        found = [r for r in found if _listed(r["rmaSummary"]["status"], query.get("status"))]
        found = [r for r in found if _listed(r["rmaSummary"]["order_name"], query.get("order_name"))]
        if query.get("tracking_numbers"):
            found = [r for r in found if any(_listed(s["trackingNumber"], query["tracking_numbers"]) for s in r["shipments"])]
        found.sort(key=lambda r: int(r["rmaSummary"]["rmaId"]), reverse=True)
        for column in reversed(query.get("sort_by", "").split(",")):
            names = {"rma_created_at": "createdAt", "rma_updated_at": "lastUpdated"}
            if column and column[1:] not in names:
                raise _Answered(400, f"sort_by: {column}")
            if column:
                found.sort(key=lambda r, name=names[column[1:]]: r[name], reverse=column[0] == "-")  # type: ignore[misc]
        return _page("rmas", [r["rmaSummary"] for r in found], query, "returns.id:", "rmaId")

    async def _rma(self, request: Request) -> Json:
        return self.world.rma(_digits(request, "rma_id"))

    async def _set_status(self, request: Request) -> Json:
        rma_id = _digits(request, "rma_id")
        status = (await _body(request)).get("status")
        if not isinstance(status, str) or status not in RMA_STATUS.values():
            raise _Answered(400, f"Invalid status {status}")
        self.world.set_status(rma_id, status)
        summary: Json = self.world.rma(rma_id)["rmaSummary"]
        return summary

    async def _comment(self, request: Request) -> Json:
        rma_id = _digits(request, "rma_id")
        text = (await _body(request)).get("htmlText")
        if not isinstance(text, str) or not text:
            raise _Answered(400, "htmlText is required")
        self.world.rma(rma_id)
        self.world.say(rma_id, text, kind="merchant", by="ReturnGO API")
        return {}

    async def _set_shipment(self, request: Request) -> Json:
        change = {k: v for k, v in (await _body(request)).items() if k in _SHIPMENT_FIELDS}
        if change.get("status") not in {None, *SHIPMENT_STATUS.values()}:
            raise _Answered(400, f"Invalid status {change['status']}")
        return self.world.update_shipment(request.path_params["shipment_id"], change)

    async def _list_transactions(self, request: Request) -> Json:
        query = request.query_params
        rmas = [r for r in list(self.world.rmas.values()) if _listed(r["rmaSummary"]["rmaId"], query.get("rma_ids"))]
        rmas = [r for r in rmas if _listed(r["orderDetails"]["orderId"], query.get("order_ids"))]
        found = [transaction for rma in rmas for transaction in rma["transactions"]]
        for parameter, name in (("created_at", "createdAt"), ("updated_at", "lastUpdated")):
            found = [t for t in found if _within(t[name], query.get(parameter))]
        for parameter, name in (("ids", "id"), ("statuses", "status"), ("types", "type"), ("processors", "processor")):
            found = [t for t in found if _listed(str(t[name]), query.get(parameter))]
        found.sort(key=lambda t: int(t["id"]))
        return _page("transactions", found, query, "", "id")

    async def _list_webhooks(self, request: Request) -> list[Json]:  # noqa: ARG002 - a handler takes its request
        return list(self.world.webhooks.values())

    async def _add_webhook(self, request: Request) -> Json:
        wanted = await _body(request)
        if wanted.get("eventName") not in EVENT_NAMES or not isinstance(wanted.get("url"), str):
            raise _Answered(400, "url and eventName are required")
        return self.world.webhooks[self.world.register_webhook(wanted["url"], wanted["eventName"])]

    async def _change_webhook(self, request: Request) -> Json:
        row = self._webhook(request)
        row.update({k: v for k, v in (await _body(request)).items() if k in {"url", "eventName"}})
        return row

    async def _remove_webhook(self, request: Request) -> Json:
        return self.world.webhooks.pop(self._webhook(request)["id"])

    def _webhook(self, request: Request) -> Json:
        number = request.path_params["webhook_id"]
        if number not in self.world.webhooks:
            raise NotFoundError(number)
        return self.world.webhooks[number]


def _json(status: int, value: Any) -> Response:
    return Response(dumps(value), status, media_type="application/json")


async def _body(request: Request) -> Json:
    try:
        value = loads(await request.body())
    except ValueError:
        raise _Answered(400, "Invalid request body") from None
    if not isinstance(value, dict):
        raise _Answered(400, "Invalid request body")
    return value


def _digits(request: Request, name: str) -> str:
    text: str = request.path_params[name]
    if not (text.isascii() and text.isdigit()):
        raise _Answered(400, "Invalid rmaId")
    return text


def _listed(value: str | None, wanted: str | None) -> bool:
    """Whether it is in a comma list; without a list everything is."""
    return not wanted or value in wanted.split(",")


def _within(value: str, criterion: str | None) -> bool:
    """`gte:2025-04-01T18:00:00`, read as UTC."""
    if not criterion:
        return True
    name, _, text = criterion.partition(":")
    try:
        return _COMPARE[name](datetime.fromisoformat(value), datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC))
    except (KeyError, ValueError):
        raise _Answered(400, f"Invalid criterion {criterion}") from None


def _page(name: str, rows: list[Json], query: Mapping[str, str], prefix: str, key: str) -> Json:
    """The rows after the cursor's; `next_cursor` is absent on the last page. The cursor names the last row by its id."""
    size = query.get("pagesize", "")
    if not size.isdigit() or not 1 <= int(size) <= 500:
        raise _Answered(400, "pagesize is required: 1 through 500")
    if query.get("cursor"):
        rows = rows[_rows_up_to(_decoded(query["cursor"], prefix), [int(row[key]) for row in rows]) :]
    page: Json = {name: rows[: int(size)]}
    if len(rows) > int(size):
        page["next_cursor"] = base64.b64encode(f"{prefix}{page[name][-1][key]}".encode()).decode()
    return page


def _rows_up_to(last: int, ids: list[int]) -> int:
    """How many rows are done. The row itself may have left the list since, by a change of status."""
    if last in ids:
        return ids.index(last) + 1
    descending = ids == sorted(ids, reverse=True)
    return sum(1 for number in ids if (number > last if descending else number < last))


def _decoded(cursor: str, prefix: str) -> int:
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix(prefix))
    except (binascii.Error, ValueError):
        raise _Answered(400, "Invalid cursor") from None
