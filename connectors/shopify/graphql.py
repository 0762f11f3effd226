"""The sandbox's Admin GraphQL API: not an engine, but the answers to exactly our own queries, within the cost throttle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.shopify import shapes
from connectors.shopify.queries import QUERIES
from connectors.shopify.shapes import Json
from connectors.shopify.world import StoreOrder
from engine.facts.outside import Clock

POINTS, POINTS_PER_SECOND = 2000, 100  # the bucket of query costs of a standard plan
_THROTTLED: Mapping[str, Any] = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}


class Graphql:
    """Answers over `orders`. A search does not find those in `unindexed`: the real index lags behind by minutes, for some
    orders more than for others. `asked` lists the operations answered, in order.
    """

    def __init__(self, orders: Mapping[str, StoreOrder], clock: Clock) -> None:
        self.unindexed: set[str] = set()
        self.asked: list[str] = []
        self.points = Decimal(POINTS)
        self.throttled = 0  # queries turned away
        self._orders = orders
        self._clock = clock
        self._points_at = clock()

    def answer(self, asked: Json) -> Json:
        operation, variables = str(asked.get("operationName")), asked.get("variables") or {}
        if asked.get("query") != QUERIES.get(operation):
            return {"errors": [{"message": f"this sandbox does not know the query {operation}"}]}
        cost = 2 + 3 * int(variables["first"]) if operation == "OrdersUpdated" else 4
        if not self._pay(cost):
            return {"errors": [_THROTTLED], "extensions": self._throttle(cost)}
        self.asked.append(operation)
        return {"data": self._data(operation, variables), "extensions": self._throttle(cost)}

    def _data(self, operation: str, variables: Mapping[str, Any]) -> Json:
        after = variables.get("after")
        if operation == "OrdersUpdated":
            return {"orders": self._updated(variables["query"], variables["first"], after)}
        number = variables["id"].rpartition("/")[2]
        if operation == "OrderById":
            order = self._orders.get(number)
            return {"order": order and _first_pages(shapes.order_node(order))}
        if operation == "MoreLines":
            return {"node": {"lineItems": shapes.connection(shapes.line_nodes(self._orders[number]), 100, after)}}
        refund = next(
            shapes.refund_node(order, refund)
            for order in self._orders.values()
            for refund in order.refunds
            if str(refund.id) == number
        )
        name, first = ("refundLineItems", 100) if operation == "MoreRefundLines" else ("transactions", 50)
        return {"node": {name: shapes.connection(refund[name], first, after)}}

    def _updated(self, wanted: str, first: int, after: str | None) -> Json:
        """A search: oldest update first, cursors by update and number, so that new updates never shift a page."""
        match = re.fullmatch(r"updated_at:>='([^']+)'", wanted)
        if match is None:
            raise ValueError(f"this sandbox cannot search for {wanted!r}")
        since = datetime.fromisoformat(match[1])
        found = sorted(
            (f"{order.updated_at.astimezone(UTC):%Y%m%d%H%M%S}.{order.id}", order.id)
            for number, order in self._orders.items()
            if number not in self.unindexed and since <= order.updated_at.replace(microsecond=0)
        )
        rest = [(mark, number) for mark, number in found if after is None or mark > after]
        page = rest[:first]
        return {
            "pageInfo": {"hasNextPage": len(rest) > first, "endCursor": page[-1][0] if page else None},
            "nodes": [_first_pages(shapes.order_node(self._orders[str(number)])) for _, number in page],
        }

    def _pay(self, cost: int) -> bool:
        now = self._clock()
        gained = Decimal((now - self._points_at) // timedelta(milliseconds=1)) * POINTS_PER_SECOND / 1000
        self.points, self._points_at = min(Decimal(POINTS), self.points + max(gained, Decimal(0))), now
        if self.points < cost:
            self.throttled += 1
            return False
        self.points -= cost
        return True

    def _throttle(self, cost: int) -> Json:
        status = {"maximumAvailable": POINTS, "currentlyAvailable": int(self.points), "restoreRate": POINTS_PER_SECOND}
        return {"cost": {"requestedQueryCost": cost, "throttleStatus": status}}


def _first_pages(order: Json) -> Json:
    """An order's lists cut to the first page the query asks for."""
    order["lineItems"] = shapes.connection(order["lineItems"], 50, None)
    for refund in order["refunds"]:
        refund["refundLineItems"] = shapes.connection(refund["refundLineItems"], 50, None)
        refund["transactions"] = shapes.connection(refund["transactions"], 10, None)
    return order
