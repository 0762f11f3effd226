"""The wire to Shopify's Admin GraphQL API: orders with everything on them, page by page, within its cost throttle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from pydantic import SecretStr

from connectors.cursors import moment_of
from connectors.http import Http, HttpError
from connectors.reach import Reach
from connectors.shopify.queries import QUERIES
from engine.facts.budget import Spending
from engine.facts.outside import TryLater

Node = dict[str, Any]
FIRST_COST = 100  # points a query is thought to cost until Shopify has said


class ShopifyClient:
    """Reads of one shop. Every fault is `TryLater`: nothing here changes anything."""

    def __init__(self, base_url: str, access_token: SecretStr, version: str, reach: Reach) -> None:
        self._costs: dict[str, int] = {}  # what each operation was last said to cost
        self._path = f"/admin/api/{version}/graphql.json"
        self._http = Http(base_url, {"x-shopify-access-token": access_token}, reach=reach)

    async def orders(self, since: datetime, first: int, after: str = "") -> tuple[list[Node], str]:
        """A page of the orders updated since, oldest update first, and the cursor of the next page ("" at the end)."""
        wanted = f"updated_at:>='{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'"
        data = await self._ask("OrdersUpdated", {"query": wanted, "first": first, "after": after or None})
        page = _part(data, "orders")
        nodes = _nodes(page)
        if not all(moment_of(node.get("updatedAt")) for node in nodes):
            raise TryLater("Shopify's answer holds an order without updatedAt")
        return [await self._whole(node) for node in nodes], _next(page, after)

    async def order(self, number: str) -> Node | None:
        """One order by its number, None if there is none (or none we may see)."""
        if not (number.isascii() and number.isdigit()):
            return None
        data = await self._ask("OrderById", {"id": f"gid://shopify/Order/{number}"})
        node = data.get("order")
        return await self._whole(node) if isinstance(node, dict) else None

    async def close(self) -> None:
        await self._http.close()

    async def _whole(self, order: Node) -> Node:
        """The order with every page of its lists, and a number beside every id."""
        await self._fill(order, "lineItems", "MoreLines")
        for refund in _objects(order.get("refunds")):
            await self._fill(refund, "refundLineItems", "MoreRefundLines")
            await self._fill(refund, "transactions", "MoreTransactions")
        numbered: Node = _numbered(order)
        return numbered

    async def _fill(self, holder: Node, name: str, operation: str) -> None:
        """Reads a list on to its end. Page marks are dropped: they would make equal answers look different."""
        page = _part(holder, name)
        nodes, after = _nodes(page), _next(page, "")
        while after:
            page = _part(_part(await self._ask(operation, {"id": holder.get("id"), "after": after}), "node"), name)
            nodes, after = [*nodes, *_nodes(page)], _next(page, after)
        holder[name] = {"nodes": nodes}

    async def _ask(self, operation: str, variables: Mapping[str, Any]) -> Node:
        request = {"query": QUERIES[operation], "operationName": operation, "variables": variables}
        try:
            cost = self._costs.get(operation, FIRST_COST)
            sent = await self._http.send("POST", self._path, request, changes=False, operation=operation, units=cost)
            answer = sent.json()
        except HttpError as no:
            raise TryLater(f"Shopify refuses {operation}: HTTP {no.status}", timedelta(minutes=10)) from None
        if not isinstance(answer, dict):
            raise TryLater(f"Shopify's answer to {operation} is not an object")
        self._told(operation, answer, sent.spending)
        if answer.get("errors"):
            _fail(operation, answer)
        return _part(answer, "data")

    def _told(self, operation: str, answer: Node, spending: Spending) -> None:
        """Every answer says what the query cost and how the bucket stands, so our count of it never runs away."""
        try:
            cost = answer["extensions"]["cost"]
            status = cost["throttleStatus"]
            most, available, rate = (int(status[name]) for name in ("maximumAvailable", "currentlyAvailable", "restoreRate"))
            self._costs[operation] = int(cost["requestedQueryCost"])
        except (KeyError, TypeError, ValueError):
            return
        if most > 0 and rate > 0:
            spending.left(max(available, 0), most, timedelta(seconds=most / rate))


def _fail(operation: str, answer: Node) -> NoReturn:
    """GraphQL faults come with HTTP 200. A throttled query says what it costs and how fast points come back."""
    errors = answer["errors"]
    first: Node = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {"message": str(errors)}
    extensions = first.get("extensions")
    code = str(extensions.get("code", "")) if isinstance(extensions, dict) else ""
    if code == "THROTTLED":
        raise TryLater(f"{operation}: Shopify's cost throttle", _refilled(answer))
    raise TryLater(f"{operation}: {code or 'error'}: {str(first.get('message', ''))[:300]}", timedelta(minutes=5))


def _refilled(answer: Node) -> timedelta:
    """How long until the query can be paid for; two seconds where the answer does not say."""
    try:
        cost = answer["extensions"]["cost"]
        status = cost["throttleStatus"]
        lacking = cost["requestedQueryCost"] - status["currentlyAvailable"]
        return timedelta(seconds=max(1, math.ceil(lacking / status["restoreRate"])))
    except (KeyError, TypeError, ArithmeticError):
        return timedelta(seconds=2)


def _numbered(value: Any) -> Any:
    """Adds `legacyResourceId` where Shopify gives none (lines, refund lines, transactions): it is the tail of the id, and the
    number under which REST deliveries and other systems know the same thing.
    """
    if isinstance(value, list):
        return [_numbered(each) for each in value]
    if not isinstance(value, dict):
        return value
    node = {name: _numbered(each) for name, each in value.items()}
    gid = node.get("id")
    if isinstance(gid, str) and gid.startswith("gid://shopify/"):
        node.setdefault("legacyResourceId", gid.rpartition("/")[2].partition("?")[0])
    return node


def _part(holder: Node, name: str) -> Node:
    part = holder.get(name)
    if not isinstance(part, dict):
        raise TryLater(f"Shopify's answer lacks {name!r}")
    return part


def _nodes(page: Node) -> list[Node]:
    return _objects(page.get("nodes"))


def _objects(value: Any) -> list[Node]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise TryLater("Shopify's answer holds something else than the objects asked for")
    return value


def _next(page: Node, after: str) -> str:
    """The cursor of the next page, "" at the end. A cursor that stands still would never end."""
    mark = page.get("pageInfo")
    if not isinstance(mark, dict) or not mark.get("hasNextPage"):
        return ""
    following = str(mark.get("endCursor") or "")
    if following in {"", after}:
        raise TryLater("Shopify's answer names no next page, though there is one")
    return following
