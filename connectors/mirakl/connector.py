"""Mirakl as the marketplace: a seller's view of one operator's instance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from connectors.http import Http
from connectors.mirakl import evidence
from connectors.mirakl.actions import ACTIONS, action_of
from connectors.mirakl.changes import Changes
from connectors.mirakl.client import MiraklClient, objects
from connectors.mirakl.limits import PARTNER_EVERY, QUOTA, of_partner
from connectors.mirakl.reading import ORDER, RETURN, Found, Reader
from connectors.reach import Reach
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
    Rejected,
    Role,
    TryLater,
    ValidCode,
    WebhookRequest,
)

_FEEDS = (
    Feed("orders", timedelta(minutes=5), "Orders by their last update, and those with an unpaid refund or incident (OR11)"),
    Feed("incidents", timedelta(hours=1), "Orders with an open incident, and those that had one before (OR11)"),
    Feed("returns", timedelta(minutes=15), "Returns by their last update (RT11)"),
    Feed("account", timedelta(days=1), "Our shop and its balances (A01)"),
    Feed("platform", timedelta(days=1), "What the operator's platform allows (PC01)"),
    Feed("reasons", timedelta(days=1), "The operator's reason codes (RE01)"),
)


class MiraklSettings(Reach):
    """`marketplace: {use: mirakl, url: ..., api_key: {secret: ...}, shop_id: 2001}`.

    `shop_id` is needed where the key's user has several shops. `external_partner` is for keys of that persona, which may read
    orders every 15 minutes only. `history_days` is how far the first poll looks back.
    """

    url: str = Field(description="The operator's address, such as https://example.mirakl.net")
    api_key: SecretStr = Field(min_length=1, description="The API key of a user of the shop")
    shop_id: int | None = Field(None, description="The shop, where the key's user has several")
    external_partner: bool = Field(False, description="For keys of that persona, which may read orders every 15 minutes only")
    history_days: int = Field(60, ge=1, description="How many days the first poll looks back")
    timeout: float = Field(20.0, gt=0, description="Seconds to wait for an answer")


_REASON_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "refund.reason": "REFUND",
        "cancel.reason": "CANCELATION",
        "resolve_incident.reason": "INCIDENT_CLOSE",
        "set_return.reason": "RETURN_REJECTION",
        "report_compliance.reason": "RETURN_NON_COMPLIANT",
    }
)


class MiraklConnector:
    """Orders, returns, the shop and the platform are polled: Mirakl sends webhooks to operators only."""

    name: ClassVar[str] = "mirakl"
    role: ClassVar[Role] = "marketplace"
    Settings: ClassVar[type[Any]] = MiraklSettings
    actions: ClassVar[Mapping[str, Action]] = ACTIONS
    feeds: ClassVar[Mapping[str, Feed]] = MappingProxyType({f.name: f for f in _FEEDS})
    quota: ClassVar[Quota] = QUOTA

    def __init__(self, settings: MiraklSettings, clock: Clock, codes: Codes) -> None:
        # the key stands raw in the header, without "Bearer"
        http = Http(settings.url, {"Authorization": settings.api_key}, reach=settings, timeout=settings.timeout)
        self._client = MiraklClient(http, settings.shop_id)
        shop = "" if settings.shop_id is None else str(settings.shop_id)
        self._reader = Reader(self._client, clock, timedelta(days=settings.history_days), shop)
        self._changes = changes = Changes(self._client, self._reader, codes)
        self._deeds: Mapping[str, Callable[[Order], Awaitable[Receipt]]] = {
            "refund": changes.refund,
            "cancel": changes.cancel,
            "resolve_incident": changes.resolve_incident,
            "set_return": changes.set_return,
            "report_compliance": changes.report_compliance,
        }
        if settings.external_partner:
            slower = {n: Feed(n, max(f.every, PARTNER_EVERY), f.doc) for n, f in self.feeds.items()}
            vars(self).update(feeds=MappingProxyType(slower), quota=of_partner(self.quota))  # of this instance only

    async def observe(self, feed: str, cursor: str) -> AsyncIterator[Page]:
        polls = {"orders": self._reader.orders, "incidents": self._reader.incidents, "returns": self._reader.returns}
        if feed not in self.feeds:
            raise ValueError(f"mirakl has no feed {feed!r}")
        if feed not in polls:
            yield Page("", await self.fetch(Ref(f"mirakl.{feed}", "")))
            return
        async for page in polls[feed](cursor):
            yield page

    def receive(self, request: WebhookRequest) -> Sequence[Event | Hint]:
        raise Rejected(404, f"Mirakl sends nothing to sellers ({len(request.body)} bytes came)")

    async def fetch(self, ref: Ref) -> tuple[Event, ...]:
        if ref.kind in {ORDER, RETURN}:
            return tuple(f.event for f in (await self._reader.read([ref])).values())
        match ref.kind:
            case "mirakl.account":
                return (await self._reader.account(),)
            case "mirakl.platform":
                return (await self._reader.platform(),)
            case "mirakl.reasons":
                return (await self._reader.reasons(),)
        raise ValueError(f"mirakl has no {ref.kind!r} to fetch")

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        """Refunds and cancellations are told by the facts of their orders, the rest by the state of the line or return."""
        found = await self._reader.read(evidence.about(order) for order in orders)
        for ref, shown in found.items():
            if ref.kind == RETURN:
                self._changes.looked_up(ref.key, shown.body)
        return [_evidence(order, found.get(evidence.about(order))) for order in orders]

    async def perform(self, order: Order) -> Receipt:
        """Afterwards the order or return is read again; the receipt stands whether or not that works."""
        deed = self._deeds.get(action_of(order))
        if deed is None:
            raise Refused("invalid_request", f"mirakl has no action {order.action!r}")
        receipt = await deed(order)
        try:
            events = await self.fetch(evidence.about(order))
        except TryLater:
            events = ()
        return Receipt(receipt.reference, receipt.details, events)

    async def valid_codes(self) -> Mapping[str, Sequence[ValidCode]]:
        """RE01. An operator without any reason of a type, as where returns are not enabled, says nothing about it."""
        reasons = objects((await self._client.reasons()).json(), "reasons")
        listed = {name: [_valid(r) for r in reasons if r.get("type") == kind] for name, kind in _REASON_TYPES.items()}
        return {name: codes for name, codes in listed.items() if codes}

    async def close(self) -> None:
        await self._client.close()


def _valid(reason: Mapping[str, Any]) -> ValidCode:
    return ValidCode(str(reason.get("code")), str(reason.get("label") or ""), reason.get("is_shop_right") is True)


def _evidence(order: Order, found: Found | None) -> Evidence:
    if found is None:
        return Evidence(order.key, done=None)
    done = evidence.done(order, found.body)
    receipt = Receipt(evidence.about(order).key) if done else None
    return Evidence(order.key, done, receipt, (found.event,))
