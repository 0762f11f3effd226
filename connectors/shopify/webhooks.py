"""What a Shopify delivery says, once its sender is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, Field, SecretStr, StrictInt, ValidationError

from connectors.bodies import json_of
from connectors.signatures import from_shopify
from engine.facts.outside import Rejected, WebhookRequest
from engine.facts.secrecy import same


class _Order(BaseModel):
    id: StrictInt = Field(gt=0)
    updated_at: str
    line_items: list[Any]

    @property
    def order(self) -> str:
        return str(self.id)

    @property
    def changed(self) -> str:
        return self.updated_at


class _Refund(BaseModel):
    id: StrictInt = Field(gt=0)
    order_id: StrictInt = Field(gt=0)
    processed_at: str | None = None
    refund_line_items: list[Any]
    transactions: list[Any]

    @property
    def order(self) -> str:
        return str(self.order_id)

    @property
    def changed(self) -> str:
        return self.processed_at or ""


class _Fulfillment(BaseModel):
    id: StrictInt = Field(gt=0)
    order_id: StrictInt = Field(gt=0)
    updated_at: str
    status: str | None

    @property
    def order(self) -> str:
        return str(self.order_id)

    @property
    def changed(self) -> str:
        return self.updated_at


@dataclass(frozen=True, slots=True)
class Topic:
    """What a topic brings: a body that is an event of `kind`, or with no kind only word that the order changed."""

    body: type[_Order | _Refund | _Fulfillment]
    kind: str = ""


TOPICS: Mapping[str, Topic] = MappingProxyType(
    {
        "refunds/create": Topic(_Refund, "shopify.refund"),
        "orders/cancelled": Topic(_Order, "shopify.order"),
        "orders/updated": Topic(_Order),
        "fulfillments/create": Topic(_Fulfillment, "shopify.fulfillment"),
        "fulfillments/update": Topic(_Fulfillment, "shopify.fulfillment"),
    }
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A believed delivery: the event kind ("" for a mere hint), the order's number, and an id that repeats with it."""

    kind: str
    order: str
    delivery: str
    payload: Mapping[str, Any]


def read(request: WebhookRequest, shop: str, secret: SecretStr) -> Delivered | None:
    """What was delivered, None for a topic we do not use and for test sends. Raises `Rejected`.

    The signature covers the body alone, so the topic is believed only if the body has its shape.
    """
    headers = request.headers
    if not from_shopify(request.body, headers.get("x-shopify-hmac-sha256", ""), secret.get_secret_value()):
        raise Rejected(401, "the signature does not match")
    if not same(headers.get("x-shopify-shop-domain", "").lower(), shop.lower()):
        raise Rejected(403, f"this is not {shop}")
    name = headers.get("x-shopify-topic", "")
    topic = TOPICS.get(name)
    if topic is None or headers.get("x-shopify-test", "").lower() == "true":
        return None
    payload = json_of(request.body)
    try:
        body = topic.body.model_validate(payload)
    except ValidationError as fault:
        where = ".".join(str(step) for step in fault.errors()[0]["loc"]) or "the body"
        raise Rejected(400, f"not a body of {name}: {where}", "not_the_kind") from None
    return Delivered(topic.kind, body.order, _delivery(name, headers, body), payload)


def _delivery(topic: str, headers: Mapping[str, str], body: _Order | _Refund | _Fulfillment) -> str:
    """Shopify: one event id for all subscriptions of a topic, one webhook id per subscription, both stable over retries.
    Not every delivery carries an event id; different topics of one deed may share it.
    """
    said = headers.get("x-shopify-event-id") or headers.get("x-shopify-webhook-id")
    return f"{topic}:{said}" if said else f"{topic}:{body.id}:{body.changed}"
