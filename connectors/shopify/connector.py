"""Shopify as the store. It is only read: refunds there are made by people and by the returns platform."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from connectors.cursors import moment_of
from connectors.http import dumps
from connectors.reach import Reach
from connectors.shopify.client import ShopifyClient
from connectors.shopify.limits import QUOTA
from connectors.shopify.order_ref import OrderRef
from connectors.shopify.webhooks import read
from connectors.signatures import SigningSecret
from engine.facts.budget import Quota
from engine.facts.outside import (
    Action,
    Clock,
    Codes,
    Event,
    Evidence,
    Feed,
    Hint,
    Order,
    Page,
    Receipt,
    Ref,
    Refused,
    Role,
    WebhookRequest,
)

CANCELLED, FETCHED = "shopify.order", "shopify.order_node"  # an order as delivered, and as read


class ShopifySettings(Reach):
    """`store: {use: shopify, shop: ..., access_token: {secret: ...}, webhook_secret: {secret: ...}, order_ref: {...}}`.

    `webhook_secret` is the app's client secret. `overlap_minutes` is how far each poll looks back: Shopify's search index lags
    behind by minutes. `history_days` is how far the first poll looks back: Shopify shows 60 days without `read_all_orders`.
    """

    shop: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9.-]*$", description="The shop's domain, such as northwind.myshopify.com")
    access_token: SecretStr = Field(min_length=1, description="The app's Admin API access token")
    webhook_secret: SigningSecret = Field(description="The app's client secret, which signs deliveries")
    order_ref: OrderRef = Field(
        default_factory=lambda: OrderRef.model_validate({}), description="Where the marketplace's order id stands on an order"
    )
    version: str = Field("2026-07", pattern=r"^(\d{4}-\d{2}|unstable)$", description="The version of its API")
    url: str = Field("", description="Where its API is, if not at the shop's domain")
    page_size: int = Field(10, ge=1, le=50, description="Orders in one answer")
    overlap_minutes: int = Field(15, ge=10, description="How many minutes each poll looks back: the search index lags behind")
    history_days: int = Field(60, ge=1, description="How many days the first poll looks back; 60 without read_all_orders")


class ShopifyConnector:
    """The store's orders, polled by their last update, and its deliveries.

    A delivery is kept as an event for what only ever grows in it (a refund was made, an order was cancelled, goods left) and
    is a hint to fetch the order for everything else: a refund names neither the marketplace order nor, later, that its
    money has moved, and deliveries come in any order.
    """

    name: ClassVar[str] = "shopify"
    role: ClassVar[Role] = "store"
    Settings: ClassVar[type[Any]] = ShopifySettings
    actions: ClassVar[Mapping[str, Action]] = MappingProxyType({})
    quota: ClassVar[Quota] = QUOTA
    feeds: ClassVar[Mapping[str, Feed]] = MappingProxyType(
        {"orders": Feed("orders", timedelta(minutes=2), "Orders and their refunds, by their last update")}
    )

    def __init__(self, settings: ShopifySettings, clock: Clock, codes: Codes) -> None:  # noqa: ARG002 - no action, no code
        self._settings = settings
        self._clock = clock
        self._client = ShopifyClient(
            settings.url or f"https://{settings.shop}", settings.access_token, settings.version, settings
        )

    async def observe(self, feed: str, cursor: str) -> AsyncIterator[Page]:
        """The cursor is the latest update seen; the next poll starts `overlap_minutes` before it."""
        if feed not in self.feeds:
            raise ValueError(f"shopify has no feed {feed!r}")
        latest = moment_of(cursor)
        since = self._since(latest)
        after = ""
        while True:
            asked_at = self._clock()
            nodes, after = await self._client.orders(since, self._settings.page_size, after)
            updates = [datetime.fromisoformat(node["updatedAt"]) for node in nodes]
            latest = max([*updates, *([latest] if latest else [])], default=None)
            latest = min(latest, asked_at) if latest else None  # a time of the future would leave out all that is to come
            yield Page(_text(latest), tuple(self._event(node, asked_at) for node in nodes))
            if not after:
                return

    def receive(self, request: WebhookRequest) -> Sequence[Event | Hint]:
        delivered = read(request, self._settings.shop, self._settings.webhook_secret)
        if delivered is None:
            return []
        ref = Ref(FETCHED, delivered.order)
        if not delivered.kind:
            return [Hint(self.name, ref, delivered.delivery)]
        about = self._settings.order_ref.find(delivered.payload) if delivered.kind == CANCELLED else ""
        event = Event(
            self.name, delivered.kind, request.body, request.received_at,
            requested=False, about=about, delivery=delivered.delivery,
        )  # fmt: skip
        return [event, Hint(self.name, ref, f"{delivered.delivery}:fetch")]

    async def fetch(self, ref: Ref) -> Sequence[Event]:
        """The order of that number as it is now. What deliveries bring is not fetched: it is all on the order."""
        if ref.kind != FETCHED:
            return []
        asked_at = self._clock()
        node = await self._client.order(ref.key)
        return [] if node is None else [self._event(node, asked_at)]

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        return [Evidence(order.key, done=False) for order in orders]

    async def perform(self, order: Order) -> Receipt:
        raise Refused("unknown_action", f"the store is only read, and cannot do {order.action}")

    async def close(self) -> None:
        await self._client.close()

    def _since(self, latest: datetime | None) -> datetime:
        if latest is None:
            return self._clock() - timedelta(days=self._settings.history_days)
        return latest - timedelta(minutes=self._settings.overlap_minutes)

    def _event(self, node: Mapping[str, Any], asked_at: datetime) -> Event:
        about = self._settings.order_ref.find(node)
        return Event(self.name, FETCHED, dumps(node), asked_at, requested=True, about=about)


def _text(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
