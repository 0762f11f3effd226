"""EasyPost as the carrier. It is only listened to and read: trackers are made by whoever makes the labels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from connectors.bodies import object_of
from connectors.easypost.limits import QUOTA
from connectors.http import Http, HttpError, basic, dumps
from connectors.reach import Reach
from connectors.signatures import SigningSecret, from_easypost
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
    WebhookRequest,
)

TRACKER = "easypost.tracker"


class EasyPostSettings(Reach):
    """`carrier: {use: easypost, webhook_secret: {secret: ...}, api_key: {secret: ...}}`.

    `webhook_secret` is the one given to EasyPost with the webhook's URL. Without an `api_key` trackers cannot be asked for,
    and what a delivery never told stays missing.
    """

    webhook_secret: SigningSecret = Field(description="The secret given to EasyPost with the webhook's URL")
    api_key: SecretStr = Field(SecretStr(""), description="To ask for trackers; without it, what no delivery told stays missing")
    url: str = Field("https://api.easypost.com", description="Where its API is")
    timeout: float = Field(20.0, gt=0, description="Seconds to wait for an answer")


class EasyPostConnector:
    """Signed events about trackers. Each tells the whole tracker, so that the latest holds all there is to know."""

    name: ClassVar[str] = "easypost"
    role: ClassVar[Role] = "carrier"
    Settings: ClassVar[type[Any]] = EasyPostSettings
    actions: ClassVar[Mapping[str, Action]] = MappingProxyType({})
    quota: ClassVar[Quota] = QUOTA
    feeds: ClassVar[Mapping[str, Feed]] = MappingProxyType({})  # lists go by creation, so a poll could not see a change

    def __init__(self, settings: EasyPostSettings, clock: Clock, codes: Codes) -> None:  # noqa: ARG002 - no action, no code
        login = {"authorization": basic(settings.api_key)}  # the key is the user
        self._secret = settings.webhook_secret
        self._clock = clock
        self._http = Http(settings.url, login, reach=settings, timeout=settings.timeout) if settings.api_key else None

    async def observe(self, feed: str, cursor: str) -> AsyncIterator[Page]:  # noqa: ARG002 - there is none to go on from
        raise ValueError(f"easypost has no feed {feed!r}")
        yield  # an iterator, as the protocol has it

    def receive(self, request: WebhookRequest) -> Sequence[Event | Hint]:
        """The tracker a delivery tells of; nothing for events about other things, such as batches."""
        if not from_easypost(request.body, request.headers.get("x-hmac-signature", ""), self._secret.get_secret_value()):
            raise Rejected(401, "X-Hmac-Signature does not match the body")
        told = object_of(request.body)
        if not str(told.get("description", "")).startswith("tracker."):
            return []
        if not _tracking_code(told.get("result")):
            raise Rejected(400, "the event is about a tracker and has no result.tracking_code", "not_the_kind")
        delivery = told.get("id")
        return [
            Event(
                self.name, TRACKER, request.body, request.received_at,
                requested=False, delivery=delivery if isinstance(delivery, str) else "",
            )
        ]  # fmt: skip

    async def fetch(self, ref: Ref) -> Sequence[Event]:
        """The tracker of a tracking number, in the shape of an event. Of several the one made last: numbers are used again."""
        if self._http is None or ref.kind != TRACKER or not ref.key:
            return []
        asked_at = self._clock()
        try:
            query = {"tracking_code": ref.key, "page_size": "100"}
            answer = await self._http.get("/v2/trackers", query, operation="GET trackers")
        except HttpError as no:
            raise TryLater(f"GET /v2/trackers: {no}", timedelta(minutes=15)) from None
        told = answer.json()
        listed = told.get("trackers") if isinstance(told, dict) else None
        if not isinstance(listed, list):
            raise TryLater("GET /v2/trackers: the answer has no list of trackers")
        trackers = [tracker for tracker in listed if _tracking_code(tracker) == ref.key]
        latest = max(trackers, key=lambda tracker: str(tracker.get("created_at", "")), default=None)
        if latest is None:
            return []
        return [Event(self.name, TRACKER, dumps({"result": latest}), asked_at, requested=True)]

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        return [Evidence(order.key, done=False) for order in orders]

    async def perform(self, order: Order) -> Receipt:
        raise Refused("unknown_action", f"the carrier is only read, and cannot do {order.action}")

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()


def _tracking_code(tracker: Any) -> str:
    code = tracker.get("tracking_code") if isinstance(tracker, dict) else None
    return code if isinstance(code, str) else ""
