"""Mirakl on this machine: the seller API as far as we use it, with the refusals and limits its documents tell of."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterable
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.admission import Admission
from connectors.http import dumps, loads
from connectors.mirakl.amounts import No
from connectors.mirakl.client import Json
from connectors.mirakl.market import Booked
from connectors.mirakl.polling import instant
from connectors.mirakl.shapes import account_body, platform_body
from connectors.mirakl.world import World
from connectors.serving import Faults
from engine.facts.outside import Clock

Handler = Callable[[Request, Json], Any]
_ADMIN = "ROLE_SHOP_ADMIN"
_DELTA = timedelta(minutes=1)  # what Mirakl takes off start_update_date is not published


class MiraklSandbox:
    """Serve `app`; do deeds on `world`; make it fail with `faults`; limit calls with `admission.limits`.

    `roles` are those of our key. `silent` leaves the body of refusals empty: no shape is published for it.
    `received` are the requests that came, as (operation, query, body).
    """

    def __init__(
        self,
        clock: Clock,
        *,
        api_key: str = "mirakl-sandbox-key",
        shop_id: int = 2001,
        currency: str = "USD",
        tax_mode: str = "TAX_INCLUDED",
        time_zone: str = "America/New_York",
    ) -> None:
        self.world = World(clock, currency, tax_mode)
        self.api_key = api_key
        self.shop_id = shop_id
        self.roles = {_ADMIN}
        self.admission = Admission(clock)
        self.silent = False
        self.received: list[tuple[str, str, Any]] = []
        self._clock = clock
        self._time_zone = time_zone
        self._opened = clock()
        self.faults = Faults(Starlette(routes=self._routes()))
        self.app = self.faults

    def settings(self, url: str) -> dict[str, Any]:
        """The connector's settings for this sandbox, served at `url`."""
        return {"url": url, "api_key": self.api_key, "shop_id": self.shop_id}

    def books(self) -> tuple[Booked, ...]:
        """Every refund taken, whoever asked for it: the marketplace's own account of what was refunded."""
        return self.world.books()

    def _routes(self) -> list[Route]:
        desk, world = self.world.desk, self.world
        returns = "ROLE_PARTNER_ORDER_RETURN_WRITE"
        table: tuple[tuple[str, str, str, set[str], Handler], ...] = (
            ("OR11", "GET", "/orders", {"ROLE_PARTNER_ORDER_READ"}, self._orders),
            ("OR28", "PUT", "/orders/refund", {"ROLE_PARTNER_ORDER_REFUND", "ROLE_PARTNER_ORDER_REFUND_REQUEST"},
             lambda _, body: world.refund(body)),
            ("OR30", "PUT", "/orders/cancel", {"ROLE_PARTNER_ORDER_CANCEL"}, lambda _, body: world.cancel_lines(body)),
            ("OR29", "PUT", "/orders/{order_id}/cancel", {"ROLE_PARTNER_ORDER_CANCEL"},
             lambda request, _: world.cancel_order(request.path_params["order_id"])),
            ("OR64", "PUT", "/orders/{order_id}/lines/{line}/resolve_incident", {"ROLE_PARTNER_ORDER_INCIDENT_RESOLVE"},
             lambda r, body: world.resolve_incident(r.path_params["order_id"], r.path_params["line"], body)),
            ("RT11", "GET", "/returns", {"ROLE_PARTNER_ORDER_RETURN_READ"}, self._returns),
            ("RT21", "PUT", "/returns/accept", {returns}, lambda _, body: desk.change("accept", body)),
            ("RT25", "PUT", "/returns/receive", {returns}, lambda _, body: desk.change("receive", body)),
            ("RT26", "PUT", "/returns/compliance", {returns}, lambda _, body: desk.change("compliance", body)),
            ("RT27", "PUT", "/returns/close", {returns}, lambda _, body: desk.change("close", body)),
            ("RE01", "GET", "/reasons", {"ROLE_PARTNER_ORDER_SETTINGS_READ"}, self._reasons),
            ("PC01", "GET", "/platform/configuration", set(), self._platform),
            ("A01", "GET", "/account", {"ROLE_PARTNER_SHOP_READ"}, self._account),
        )  # fmt: skip
        return [
            Route(f"/api{path}", self._guarded(operation, roles, handler), methods=[method])
            for operation, method, path, roles, handler in table
        ]

    def _guarded(self, operation: str, roles: set[str], handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                self._admit(operation, roles | {_ADMIN}, request)
                body = _body(await request.body()) if request.method == "PUT" and operation != "OR29" else {}
                self.received.append((operation, request.url.query, body))
                with self.world.lock:
                    return _answered(handler(request, body))
            except _TooManyError as wait:
                return Response(status_code=429, headers={"Retry-After": str(wait.seconds)})
            except No as no:
                told = b"" if self.silent else dumps({"status": no.status, "message": str(no)})
                return Response(told, no.status, media_type="application/json")

        return answer

    def _admit(self, operation: str, roles: set[str], request: Request) -> None:
        # the raw key: with "Bearer" before it, it is another key
        if request.headers.get("authorization") != self.api_key:
            raise No(401, "Unauthorized")
        if not roles & self.roles:
            raise No(403, "Forbidden")
        if request.query_params.get("shop_id", str(self.shop_id)) != str(self.shop_id):
            raise No(403, "Forbidden")
        query = request.query_params
        if query.get("offset", "0") != "0" or "page_token" in query:
            return  # a further page is part of its listing
        wait = self.admission.wait("OR11 by id" if operation == "OR11" and "order_ids" in query else operation)
        if wait is not None:
            raise _TooManyError(wait)

    def _orders(self, request: Request, _: Json) -> Json:
        query = request.query_params
        found = [order for order in self.world.orders.values() if _wanted(order, query)]
        found.sort(key=lambda o: (o["created_date"], o["order_id"]), reverse=query.get("order") == "desc")
        size, offset = _within(query.get("max"), 10, 100), _within(query.get("offset"), 0, 10**9)
        links = {"previous": offset - size} if offset else {}
        if offset + size < len(found):
            links["next"] = offset + size
        rest = [(k, v) for k, v in query.multi_items() if k != "offset"]
        base = str(request.url.replace(query=""))
        told = [f'<{base}?{urlencode([*rest, ("offset", max(at, 0))])}>; rel="{rel}"' for rel, at in links.items()]
        return {"orders": deepcopy(found[offset : offset + size]), "total_count": len(found), "_links": ", ".join(told)}

    def _returns(self, request: Request, _: Json) -> Json:
        query, start = request.query_params, 0
        if "page_token" in query:  # it holds every filter; what is sent with it is ignored
            query, start = _filters(query["page_token"])
        found = [r for r in self.world.desk.returns.values() if _asked(r, query)]
        found.sort(key=lambda r: (r["date_created"], r["id"]))
        end = start + _within(query.get("limit"), 10, 100)
        page: Json = {"data": deepcopy(found[start:end])}
        if end < len(found):
            page["next_page_token"] = _token(query.multi_items(), end)
        return page

    def _reasons(self, request: Request, _: Json) -> Json:
        del request
        return {"reasons": deepcopy(self.world.reasons), "total_count": len(self.world.reasons)}

    def _account(self, request: Request, _: Json) -> Json:
        del request
        world = self.world
        return account_body(self.shop_id, "Sandbox Shop", world.currency, world.pending, world.payable, self._opened)

    def _platform(self, request: Request, _: Json) -> Json:
        del request
        return platform_body(
            self.world.tax_mode,
            self._time_zone,
            direct_payment=self.world.direct_payment,
            direct_refunds=self.world.direct_refunds,
            returns=True,
        )


class _TooManyError(Exception):
    """More calls than `limits` allow."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__()
        self.seconds = max(1, -(-wait // timedelta(seconds=1)))


def _answered(given: Any) -> Response:
    if given is None:
        return Response(status_code=204)
    headers = {"Link": links} if (links := given.pop("_links", "")) else {}
    return Response(dumps(given), 200, headers, "application/json")


def _body(raw: bytes) -> Json:
    try:
        body = loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise No(400, "The body is not a JSON object")
    return body


def _token(filters: Iterable[tuple[str, str]], start: int) -> str:
    return urlsafe_b64encode(dumps({"query": [list(pair) for pair in filters], "start": start})).decode()


def _filters(token: str) -> tuple[QueryParams, int]:
    try:
        held = loads(urlsafe_b64decode(token))
        return QueryParams([(name, value) for name, value in held["query"]]), held["start"]
    except (ValueError, KeyError, TypeError):
        raise No(400, "The page token is not valid") from None


def _within(text: str | None, default: int, most: int) -> int:
    return min(int(text), most) if text and text.isdigit() else default


def _wanted(order: Json, query: QueryParams) -> bool:
    """OR11's filters. Lists are comma lists of at most a hundred."""
    for name, field in (("order_ids", "order_id"), ("order_state_codes", "order_state")):
        if name in query:
            listed = query[name].split(",")
            if len(listed) > 100:
                raise No(400, f"The limit of 100 is exceeded for the parameter : {name}")
            if order[field] not in listed:
                return False
    if "has_incident" in query and order["has_incident"] is not (query["has_incident"] == "true"):
        return False
    start = _time(query, "start_update_date")
    return (
        _between(order["last_updated_date"], start and start - _DELTA, _time(query, "end_update_date"))
        and _between(order["created_date"], _time(query, "start_date"), _time(query, "end_date"))
    )  # fmt: skip


def _asked(found: Json, query: QueryParams) -> bool:
    """RT11's filters. Lists are repeated parameters."""
    for name, field in (
        ("return_id", "id"),
        ("return_state", "state"),
        ("order_commercial_id", "order_commercial_id"),
        ("return_rma", "rma"),
    ):
        if name in query and found.get(field) not in query.getlist(name):
            return False
    lines = {line["order_line_id"] for line in found["return_lines"]}
    if "order_line_id" in query and not lines & set(query.getlist("order_line_id")):
        return False
    return _between(
        found["last_updated"], _time(query, "return_last_updated_from"), _time(query, "return_last_updated_to")
    ) and _between(found["date_created"], _time(query, "return_creation_date_from"), _time(query, "return_creation_date_to"))


def _between(text: str, start: datetime | None, end: datetime | None) -> bool:
    moment = instant(text)
    return moment is not None and (start is None or start <= moment) and (end is None or moment <= end)


def _time(query: QueryParams, name: str) -> datetime | None:
    if name not in query:
        return None
    moment = instant(query[name])
    if moment is None:
        raise No(400, f"The parameter {name} is not a date")
    return moment
