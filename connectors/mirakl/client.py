"""The wire of Mirakl's seller API: one method per operation, answers parsed leniently.

Operations are named as Mirakl names them (OR11, RT21). Enums stay text and unknown fields are kept, because new ones may come
at any time; fields whose published examples break the schema are never relied on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

from connectors.http import Answer, Http, HttpError, Params, segment
from engine.facts.outside import TryLater

PAGE = 100  # the hard maximum; without `max` Mirakl gives 10
ReturnCall = Literal["accept", "receive", "compliance", "close"]
Json = dict[str, Any]
RETURN_CALLS: Mapping[ReturnCall, str] = MappingProxyType(
    {"accept": "RT21", "receive": "RT25", "compliance": "RT26", "close": "RT27"}
)


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One page of OR11. `next_offset` is None on the last page."""

    orders: tuple[Any, ...]
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class ReturnPage:
    """One page of RT11. `next_token` is None on the last page."""

    returns: tuple[Any, ...]
    next_token: str | None


class MiraklClient:
    """Calls one operator's instance as one shop. Reads raise `TryLater` only; changes also `Unsure` and `HttpError`."""

    def __init__(self, http: Http, shop_id: int | None = None) -> None:
        self._http = http
        self._shop: list[tuple[str, str]] = [] if shop_id is None else [("shop_id", str(shop_id))]

    async def orders_updated_since(self, start: datetime, offset: int = 0) -> OrderPage:
        """OR11. There is no end date on purpose: an order that changes while we page would leave the window and move the
        others up, so that some would be skipped."""
        return await self._orders("OR11", [("start_update_date", wire_time(start))], offset)

    async def orders_with_incident(self, offset: int = 0) -> OrderPage:
        """OR11 with has_incident, the only list of open incidents a seller gets."""
        return await self._orders("OR11", [("has_incident", "true")], offset)

    async def orders_by_id(self, ids: Iterable[str]) -> tuple[Any, ...]:
        """OR11 by order_ids, a hundred at a time. Ids with a comma cannot be asked for and are left out."""
        found: list[Any] = []
        for batch in _batches([i for i in ids if i and "," not in i]):
            page = await self._orders("OR11 by id", [("order_ids", ",".join(batch))], 0)
            found.extend(page.orders)
            while page.next_offset is not None:
                page = await self._orders("OR11 by id", [("order_ids", ",".join(batch))], page.next_offset)
                found.extend(page.orders)
        return tuple(found)

    async def _orders(self, operation: str, filters: list[tuple[str, str]], offset: int) -> OrderPage:
        paging = [("max", str(PAGE)), ("offset", str(offset))]
        answer = await self._read(operation, "/api/orders", [*filters, *paging], first=offset == 0)
        body = _object(answer, "OR11")
        orders = body.get("orders")
        if not isinstance(orders, list):
            raise TryLater("OR11 answered without orders")
        after = offset + len(orders)
        return OrderPage(tuple(orders), after if orders and _more(answer, body, after, len(orders)) else None)

    async def refund(self, body: Json) -> Any:
        """OR28. The answer is JSON of any shape."""
        return (await self._http.send("PUT", "/api/orders/refund", body, self._shop, operation="OR28")).json()

    async def cancel_lines(self, body: Json) -> Any:
        """OR30. The answer is JSON of any shape."""
        return (await self._http.send("PUT", "/api/orders/cancel", body, self._shop, operation="OR30")).json()

    async def cancel_order(self, order_id: str) -> None:
        """OR29: the whole order, no body either way."""
        await self._http.send("PUT", f"/api/orders/{segment(order_id)}/cancel", None, self._shop, operation="OR29")

    async def resolve_incident(self, order_id: str, line_id: str, reason_code: str) -> None:
        """OR64."""
        path = f"/api/orders/{segment(order_id)}/lines/{segment(line_id)}/resolve_incident"
        await self._http.send("PUT", path, {"reason_code": reason_code}, self._shop, operation="OR64")

    async def returns_updated_since(self, start: datetime, token: str | None = None) -> ReturnPage:
        """RT11. A page token holds all filters, whatever else is sent with it is ignored by Mirakl."""
        return await self._returns([("page_token", token)] if token else [("return_last_updated_from", wire_time(start))])

    async def returns_by_id(self, ids: Iterable[str]) -> tuple[Any, ...]:
        """RT11 by return_id, given once for each id."""
        found: list[Any] = []
        for batch in _batches(list(ids)):
            page = await self._returns([("return_id", i) for i in batch])
            found.extend(page.returns)
        return tuple(found)

    async def _returns(self, filters: list[tuple[str, str]]) -> ReturnPage:
        first = all(name != "page_token" for name, _ in filters)
        answer = await self._read("RT11", "/api/returns", [*filters, ("limit", str(PAGE))], first=first)
        body = _object(answer, "RT11")
        found = body.get("data")
        if not isinstance(found, list):
            raise TryLater("RT11 answered without data")
        token = body.get("next_page_token")
        return ReturnPage(tuple(found), token if isinstance(token, str) and token and found else None)

    async def change_return(self, call: ReturnCall, change: Json) -> Any:
        """RT21, RT25, RT26 or RT27 for one return. HTTP 200 does not mean success: the answer tells per return."""
        body = {"returns": [change]}
        return (await self._http.send("PUT", f"/api/returns/{call}", body, self._shop, operation=RETURN_CALLS[call])).json()

    async def reasons(self) -> Answer:
        """RE01."""
        return await self._checked("RE01", "/api/reasons")

    async def platform(self) -> Answer:
        """PC01."""
        return await self._checked("PC01", "/api/platform/configuration")

    async def account(self) -> Answer:
        """A01."""
        return await self._checked("A01", "/api/account")

    async def close(self) -> None:
        await self._http.close()

    async def _checked(self, operation: str, path: str) -> Answer:
        answer = await self._read(operation, path, [])
        _object(answer, operation)
        return answer

    async def _read(self, operation: str, path: str, params: Sequence[tuple[str, str]], *, first: bool = True) -> Answer:
        """A listing is spent with its first page."""
        query: Params = [*params, *self._shop]
        try:
            return await self._http.get(path, query, operation=operation, units=1 if first else 0)
        except HttpError as no:
            raise ReadRefused(operation, no) from no


class ReadRefused(TryLater):
    """A read that was refused: the key lacks a role, or a parameter is not liked. Nothing to do but tell, and ask again."""

    def __init__(self, operation: str, no: HttpError) -> None:
        super().__init__(f"{operation} refused: {no}", timedelta(hours=1))
        self.status = no.status


def wire_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def objects(body: Any, name: str) -> list[Json]:
    """The JSON objects in the list `name` of `body`, whatever else is there."""
    found = body.get(name) if isinstance(body, dict) else None
    return [o for o in found if isinstance(o, dict)] if isinstance(found, list) else []


def _object(answer: Answer, operation: str) -> Json:
    body = answer.json()
    if not isinstance(body, dict):
        raise TryLater(f"{operation} answered with something else than an object")
    return body


def _more(answer: Answer, body: Json, after: int, count: int) -> bool:
    """Whether there is a next page: the `Link` header says so, else `total_count`, else a full page."""
    if "link" in answer.headers:
        return answer.link("next") is not None
    total = body.get("total_count")
    return after < total if isinstance(total, int) else count >= PAGE


def _batches(ids: list[str]) -> Iterable[list[str]]:
    unique = list(dict.fromkeys(ids))
    return (unique[i : i + PAGE] for i in range(0, len(unique), PAGE))
