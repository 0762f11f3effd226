"""ShipBob as the warehouse: announces what comes back, and hears what arrived and what was found in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from connectors.cursors import moment_of
from connectors.http import dumps
from connectors.reach import Reach
from connectors.shipbob.client import Return, ShipBobClient
from connectors.shipbob.expected import AWAITING, CANCELLED, foremost, reference_of, request_body, status_of
from connectors.shipbob.limits import QUOTA
from connectors.shipbob.polling import Poll
from connectors.shipbob.webhooks import RETURN, RETURN_BY_ID, read
from connectors.signatures import standard_webhooks_key
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
    Param,
    Receipt,
    Ref,
    Refused,
    Role,
    TryLater,
    WebhookRequest,
)
from engine.facts.schema import record_of
from engine.facts.secrecy import SHORTEST_KEY

OVERLAP = timedelta(hours=1)  # of polls by date: their clock is not ours
CLOCKS_APART = timedelta(minutes=5)


class ShipBobSettings(Reach):
    """`warehouse: {use: shipbob, token: {secret: ...}, webhook_secret: {secret: ...}, channel_id: ..., fulfillment_center: ...,
    inventory: {SKU: inventory id}}`.

    `requested_action` is what ShipBob shall do with good pieces; `Default` is what the product says. `history_days` is how
    far the first poll looks back, and for how long after it was made a return is watched for being cancelled.
    """

    token: SecretStr = Field(min_length=1, description="A personal access token")
    webhook_secret: SecretStr = Field(description="The signing secret of the webhook subscription")
    channel_id: int = Field(description="The channel returns are made in")
    fulfillment_center: int = Field(description="The id of the centre returns go to")
    inventory: Mapping[str, int] = Field(
        default_factory=dict, description="The inventory id of each SKU; codes under warehouse.create_asn.sku go before"
    )
    requested_action: Literal["Default", "Restock", "Quarantine", "Dispose"] = Field(
        "Default", description="What it shall do with good pieces; Default is what the product says"
    )
    url: str = Field("https://api.shipbob.com", description="Where its API is")
    version: str = Field("2026-01", pattern=r"^\d{4}-\d{2}$", description="The version of its API")
    history_days: int = Field(60, ge=1, description="How many days the first poll looks back, and a return is watched")

    @field_validator("webhook_secret")
    @classmethod
    def _is_a_key(cls, secret: SecretStr) -> SecretStr:
        if len(standard_webhooks_key(secret.get_secret_value())) < SHORTEST_KEY:
            raise ValueError(f"a webhook secret has at least {SHORTEST_KEY} bytes")
        return secret


class ShipBobConnector:
    """Expected returns, by our reference. A delivery is only a hint: it says nothing that tells a late one from a new one."""

    name: ClassVar[str] = "shipbob"
    role: ClassVar[Role] = "warehouse"
    Settings: ClassVar[type[Any]] = ShipBobSettings
    actions: ClassVar[Mapping[str, Action]] = MappingProxyType(
        {
            "create_asn": Action(
                "create_asn",
                {"shipment": Param(record_of("shipment"), "The shipment coming back, with its pieces")},
                subject=("shipment",),
                doc="Announce what comes back in a shipment, under its receipt_ref",
                coded=MappingProxyType({"sku": "ShipBob's inventory id of an article"}),
            ),
            "cancel_asn": Action(
                "cancel_asn",
                {"receipt": Param(record_of("receipt"), "The expected return that will not come")},
                subject=("receipt",),
                doc="Take back the announcement; possible until it arrives",
            ),
        }
    )
    quota: ClassVar[Quota] = QUOTA
    feeds: ClassVar[Mapping[str, Feed]] = MappingProxyType(
        {"returns": Feed("returns", timedelta(minutes=15), "Expected returns: the open ones, and those that ended lately")}
    )

    def __init__(self, settings: ShipBobSettings, clock: Clock, codes: Codes) -> None:
        self._settings = settings
        self._codes = codes
        self._clock = clock
        self._client = ShipBobClient(settings.url, settings.token, settings.channel_id, settings.version, settings)

    async def observe(self, feed: str, cursor: str) -> AsyncIterator[Page]:
        """ShipBob has no filter by last change, so every poll reads what is open, what was completed since the last one,
        and what was cancelled since. Between polls the cursor is when the last whole one began; within one it is a `Poll`.
        """
        if feed not in self.feeds:
            raise ValueError(f"shipbob has no feed {feed!r}")
        poll = Poll.of(cursor) or self._new_poll(moment_of(cursor))
        searches = list(enumerate(self._searches(poll.began, poll.since)))
        for search, filters in searches[poll.search :]:
            number = poll.page if search == poll.search else 1
            async for page in self._client.pages(filters, number):
                events = await self._current([one for one in page if _ended_since(one, poll.since)])
                # what leaves a list moves the rest of it forward: going on, the last page read is read again
                yield Page(Poll(poll.began, poll.since, search, number).cursor, tuple(events))
                number += 1
        yield Page(poll.began.isoformat())

    def _new_poll(self, last: datetime | None) -> Poll:
        began = self._clock()
        return Poll(began, last - OVERLAP if last else began - timedelta(days=self._settings.history_days))

    def receive(self, request: WebhookRequest) -> Sequence[Event | Hint]:
        ref = read(request, self._settings.webhook_secret)
        return [] if ref is None else [Hint(self.name, ref, request.headers["webhook-id"])]

    async def fetch(self, ref: Ref) -> Sequence[Event]:
        """The return of that reference as it is now, or of that id."""
        if ref.kind == RETURN:
            return await self._current([{"reference_id": ref.key}])
        found = await self._client.by_id(ref.key) if ref.kind == RETURN_BY_ID else None
        return [] if found is None else await self._current([found])

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        asked_at = self._clock()
        references = {order.key: _reference(order) for order in orders}
        found = await self._client.by_references(references.values())
        return [self._evidence(order, _of(found, references[order.key]), asked_at) for order in orders]

    async def perform(self, order: Order) -> Receipt:
        action = order.action.rpartition(".")[2]
        if action == "create_asn":
            return await self._create(order)
        if action == "cancel_asn":
            return await self._cancel(order)
        raise Refused("unknown_action", order.action)

    async def close(self) -> None:
        await self._client.close()

    async def _create(self, order: Order) -> Receipt:
        """ShipBob takes a reference twice, so what is already announced is looked for first."""
        settings = self._settings
        shipment = order.params["shipment"]
        body = request_body(shipment, self._inventory(), settings.fulfillment_center, settings.requested_action)
        found = foremost(await self._client.by_references([body["reference_id"]]))
        if found is not None and status_of(found) != CANCELLED:
            return self._receipt(found)
        number = await self._client.create(body)
        return Receipt(str(number), {"id": number, "reference_id": body["reference_id"]}, await self._seen(number))

    def _inventory(self) -> Mapping[str, int]:
        """The inventory id of each SKU: from the codes, which may be mended while it runs, over those in the settings."""
        coded = self._codes.get("warehouse.create_asn.sku", {})
        return {
            **self._settings.inventory,
            **{sku: int(code) for sku, code in coded.items() if code.isascii() and code.isdigit()},
        }

    async def _cancel(self, order: Order) -> Receipt:
        """Cancels every return of the reference, unless one of them has arrived."""
        reference = _reference(order)
        found = await self._client.by_references([reference])
        last = foremost(found)
        if last is None:
            raise Refused("not_found", f"ShipBob has no return {reference!r}")
        if status_of(last) not in {AWAITING, CANCELLED}:
            raise Refused("already_arrived", f"return {last.get('id')} is {last.get('status')}")
        for one in found:
            if status_of(one) == AWAITING:
                await self._client.cancel(one["id"])
        return Receipt(str(last["id"]), {"id": last["id"], "reference_id": reference}, await self._seen(last["id"]))

    async def _seen(self, number: int) -> tuple[Event, ...]:
        """The return after a change. What was done is done, so a read that fails is left to the next poll."""
        try:
            return tuple(await self.fetch(Ref(RETURN_BY_ID, str(number))))
        except TryLater:
            return ()

    def _evidence(self, order: Order, found: Sequence[Return], asked_at: datetime) -> Evidence:
        last = foremost(found)
        if last is None:
            return Evidence(order.key, done=False)
        cancelled = status_of(last) == CANCELLED
        done = cancelled if order.action.endswith("cancel_asn") else not cancelled or _made_by(order, found)
        return Evidence(order.key, done, self._receipt(last) if done else None, (self._event(last, asked_at),))

    def _searches(self, began: datetime, since: datetime) -> Iterator[dict[str, str]]:
        watched = began - timedelta(days=self._settings.history_days)
        yield {"Status": "AwaitingArrival,Arrived,Processing"}
        yield {"CompletedStartDate": _text(since)}
        yield {"Status": "Cancelled", "StartDate": _text(watched)}

    async def _current(self, found: Iterable[Return]) -> list[Event]:
        """One event per reference: of several returns of one, the one that counts. What has none is passed on as it is."""
        found = list(found)
        asked_at = self._clock()
        references = {str(one["reference_id"]): one for one in found if one.get("reference_id")}
        every = await self._client.by_references(references)
        events = [self._event(one, asked_at) for one in found if not one.get("reference_id")]
        for reference in references:
            last = foremost(_of(every, reference))
            if last is not None:
                events.append(self._event(last, asked_at))
        return events

    def _event(self, found: Mapping[str, Any], asked_at: datetime) -> Event:
        return Event(self.name, RETURN, dumps(found), asked_at, requested=True)

    def _receipt(self, found: Mapping[str, Any]) -> Receipt:
        return Receipt(str(found["id"]), {"id": found["id"], "reference_id": found.get("reference_id")})


def _reference(order: Order) -> str:
    if order.action.endswith("cancel_asn"):
        return str(order.params["receipt"]["ref"])
    return reference_of(str(order.params["shipment"].get("receipt_ref") or ""))


def _of(found: Iterable[Return], reference: str) -> list[Return]:
    return [one for one in found if one.get("reference_id") == reference]


def _made_by(order: Order, found: Iterable[Return]) -> bool:
    """Whether one of them, though cancelled since, was made by this order: it is not to be made again."""
    if order.sent_at is None:
        return False
    moments = [moment_of(one.get("insert_date")) for one in found]
    return any(moment is not None and moment >= order.sent_at - CLOCKS_APART for moment in moments)


def _ended_since(one: Return, since: datetime) -> bool:
    """False only for what is known to have been cancelled before."""
    cancelled_at = moment_of(one.get("cancelled_date"))
    return status_of(one) != CANCELLED or cancelled_at is None or cancelled_at >= since


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
