"""A shop on this machine: the Admin GraphQL API as far as we ask it, the deeds of its staff, and its signed deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import count
from threading import RLock
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.deliveries import Delivery
from connectors.http import dumps, loads
from connectors.serving import Faults
from connectors.shopify import shapes
from connectors.shopify.graphql import Graphql
from connectors.shopify.shapes import Json
from connectors.shopify.world import Fulfillment, Line, RefundLine, StoreOrder, StoreRefund, Transaction
from connectors.signatures import shopify_signature
from engine.facts.outside import Clock


class ShopifySandbox:
    """Serve `app`; do deeds; post what `drain` gives; make it fail with `faults`.

    Every deed delivers its own topic, and `orders/updated` besides, as the real shop does.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        shop: str = "demo.myshopify.com",
        access_token: str = "sandbox-token",  # noqa: S107 - it opens nothing but this
        webhook_secret: str = "sandbox-client-secret",  # noqa: S107 - as above
        hook_url: str = "",
    ) -> None:
        self.clock = clock
        self.shop = shop
        self.access_token = access_token
        self.webhook_secret = webhook_secret
        self.hook_url = hook_url
        self.orders: dict[str, StoreOrder] = {}
        self.pending: list[Delivery] = []
        self.graphql = Graphql(self.orders, clock)
        self.faults = Faults(Starlette(routes=[Route("/admin/api/{version}/graphql.json", self._graphql, methods=["POST"])]))
        self.app = self.faults
        self._lock = RLock()
        self._ids = count(6_100_000_000_001)
        self._deliveries = count(1)

    def settings(self, url: str) -> dict[str, Any]:
        """The connector settings for this shop, served at `url`."""
        return {
            "shop": self.shop, "access_token": self.access_token, "webhook_secret": self.webhook_secret, "url": url,
        }  # fmt: skip

    def create_order(
        self,
        lines: Sequence[tuple[str, int, str]],
        *,
        order_ref: str = "",
        name: str = "",
        currency: str = "EUR",
        attributes: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
        source_identifier: str | None = None,
    ) -> str:
        """A paid order of (SKU, pieces, price of one). `order_ref` stands on it as `mirakl_order_id`. Gives its number."""
        with self._lock:
            now = self.clock()
            number = next(self._ids)
            order = StoreOrder(
                number, name or f"#{1001 + len(self.orders)}", currency, now, now,
                [Line(next(self._ids), sku, quantity, Decimal(price)) for sku, quantity, price in lines],
                {**({"mirakl_order_id": order_ref} if order_ref else {}), **(attributes or {})},
                list(tags), source_identifier,
            )  # fmt: skip
            self.orders[str(number)] = order
            self._changed(order)
            return str(number)

    def annotate(self, order_id: str, name: str, value: str) -> None:
        """Someone, or another app, writes a note attribute on an order."""
        with self._lock:
            order = self.orders[order_id]
            order.attributes[name] = value
            self._changed(order)

    def refund(
        self,
        order_id: str,
        pieces: Sequence[tuple[str, int]],
        *,
        amount: str | None = None,
        user_id: int | None = 548380009,
        note: str = "",
        restock: str = "return",
        status: str = "success",
    ) -> str:
        """An agent refunds pieces by hand; the amount is their price unless given. With status `pending` no money has moved
        until `settle`. `user_id=None` is a refund made by an app. Gives the refund's number.
        """
        with self._lock:
            order, now = self.orders[order_id], self.clock()
            lines = [RefundLine(next(self._ids), order.line_of(sku), quantity, restock) for sku, quantity in pieces]
            paid = Decimal(amount) if amount is not None else sum((line.subtotal for line in lines), Decimal(0))
            moved = [Transaction(next(self._ids), "refund", status, paid, now)] if paid else []
            refund = StoreRefund(next(self._ids), now, note, user_id, lines, moved)
            order.refunds.append(refund)
            order.financial_status = "partially_refunded" if self._left(order) > 0 else "refunded"
            self._deliver("refunds/create", shapes.rest_refund(order, refund))
            self._changed(order)
            return str(refund.id)

    def settle(self, order_id: str, refund_id: str, status: str = "success") -> None:
        """The processor says how a pending refund ended."""
        with self._lock:
            order = self.orders[order_id]
            for transaction in order.refund_of(int(refund_id)).transactions:
                transaction.status, transaction.processed_at = status, self.clock()
            self._changed(order)

    def cancel(self, order_id: str, reason: str = "customer") -> None:
        """An agent cancels the order. Cancelling twice does nothing, as in the admin."""
        with self._lock:
            order = self.orders[order_id]
            if order.cancelled_at is None:
                order.cancelled_at, order.cancel_reason, order.financial_status = self.clock(), reason, "voided"
                self._changed(order, "orders/cancelled")

    def fulfil(self, order_id: str, tracking_number: str = "") -> str:
        """The goods leave. Gives the fulfilment's number."""
        with self._lock:
            order, now = self.orders[order_id], self.clock()
            fulfillment = Fulfillment(next(self._ids), now, now, "success", tracking_number)
            order.fulfillments.append(fulfillment)
            self._deliver("fulfillments/create", shapes.rest_fulfillment(order, fulfillment))
            self._changed(order)
            return str(fulfillment.id)

    def drain(self) -> list[Delivery]:
        """The deliveries not yet posted, oldest first; each is given once."""
        with self._lock:
            due, self.pending = self.pending, []
            return due

    def _changed(self, order: StoreOrder, *topics: str) -> None:
        order.updated_at = self.clock()
        for topic in (*topics, "orders/updated"):
            self._deliver(topic, shapes.rest_order(order))

    def _deliver(self, topic: str, payload: Json) -> None:
        body = dumps(payload)
        number = next(self._deliveries)
        headers = {
            "content-type": "application/json",
            "x-shopify-topic": topic,
            "x-shopify-shop-domain": self.shop,
            "x-shopify-api-version": "2026-07",
            "x-shopify-hmac-sha256": shopify_signature(body, self.webhook_secret),
            "x-shopify-webhook-id": f"webhook-{number}",
            "x-shopify-event-id": f"event-{number}",
            "x-shopify-triggered-at": str(shapes.instant(self.clock())),
        }
        self.pending.append(Delivery(self.hook_url, headers, body))

    @staticmethod
    def _left(order: StoreOrder) -> Decimal:
        ordered = sum((line.price * line.quantity for line in order.lines), Decimal(0))
        return ordered - sum((t.amount for refund in order.refunds for t in refund.transactions), Decimal(0))

    async def _graphql(self, request: Request) -> Response:
        if request.headers.get("x-shopify-access-token") != self.access_token:
            return _json({"errors": "[API] Invalid API key or access token"}, 401)
        asked = loads(await request.body())
        with self._lock:
            return _json(self.graphql.answer(asked))


def _json(answer: Json, status: int = 200) -> Response:
    return Response(dumps(answer), status, media_type="application/json")
