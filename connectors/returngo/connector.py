"""ReturnGO as the returns platform. How its 2000 calls a day are spent is told in `polling`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from connectors.http import HttpError, loads
from connectors.reach import Reach
from connectors.returngo.actions import ACTIONS, is_done, rma_id_of, send
from connectors.returngo.client import ReturnGoClient, Summary, since
from connectors.returngo.limits import CALLS_PER_DAY, quota
from connectors.returngo.polling import (
    FETCHES,
    LIST_EVERY,
    LONG_AGO,
    OVERLAP,
    SWEEP_EVERY,
    OpenCursor,
    RmasCursor,
)  # fmt: skip
from connectors.returngo.webhooks import rma_named
from connectors.signatures import UrlToken
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

RMA = "returngo.rma"
OPEN = "Approved,Received,Validated"  # a pending one has no parcel yet, and its approval moves its lastUpdated
_REFUSALS = {401: "not_authorised", 403: "not_authorised", 404: "not_found"}


class ReturnGoSettings(Reach):
    """`returns: {use: returngo, shop: ..., api_key: {secret: ...}, webhook_token: {secret: ...}}`.

    `webhook_token` stands in the URL registered with ReturnGO, as `?token=`; without it no webhook is accepted.
    `calls_per_day` is what ReturnGO grants: with more, more is polled. `look_back_days` is the age of RMAs up to which changes of
    closed ones are looked for.
    """

    shop: str = Field(min_length=1, description="The shop's domain, such as northwind.myshopify.com")
    api_key: SecretStr = Field(min_length=1, description="The shop's API key")
    webhook_token: UrlToken = Field(SecretStr(""), description="The ?token= of the webhooks' URL; without it none is accepted")
    url: str = Field("https://api.returngo.ai", description="Where its API is")
    calls_per_day: int = Field(CALLS_PER_DAY, ge=100, description="Requests a day that ReturnGO grants")
    look_back_days: int = Field(90, ge=1, description="Up to which age, in days, closed RMAs are looked at again")
    timeout: float = Field(20.0, gt=0, description="Seconds to wait for an answer")


class ReturnGoConnector:
    """RMAs with their pieces, parcels and payments. Every fact comes from GET /rma/{id}; all else only tells what to read."""

    name: ClassVar[str] = "returngo"
    role: ClassVar[Role] = "returns"
    Settings: ClassVar[type[Any]] = ReturnGoSettings
    actions: ClassVar[Mapping[str, Action]] = ACTIONS
    feeds: ClassVar[Mapping[str, Feed]] = {
        "rmas": Feed("rmas", timedelta(minutes=5), "RMAs that are new or whose status changed, to be fetched"),
        "open_rmas": Feed("open_rmas", timedelta(minutes=10), "Open RMAs in turn, those with a new transaction first"),
    }
    quota: ClassVar[Quota] = quota(CALLS_PER_DAY)

    def __init__(self, settings: ReturnGoSettings, clock: Clock, codes: Codes) -> None:
        self._codes = codes
        self._settings = settings
        self._clock = clock
        vars(self)["quota"] = quota(settings.calls_per_day)  # of this instance only
        self._fetches = max(1, FETCHES * settings.calls_per_day // CALLS_PER_DAY)
        self._pieces: dict[str, list[str]] = {}  # of RMAs read for another reason than a poll, until the next one
        self._client = ReturnGoClient(settings.url, settings.shop, settings.api_key, reach=settings, timeout=settings.timeout)

    def observe(self, feed: str, cursor: str) -> AsyncIterator[Page]:
        match feed:
            case "rmas":
                return self._changed(cursor)
            case "open_rmas":
                return self._open(cursor)
        raise ValueError(f"returngo has no feed {feed!r}")

    def receive(self, request: WebhookRequest) -> Sequence[Event | Hint]:
        """At most one hint: what a delivery says is never taken for a fact."""
        rma_id = rma_named(request, self._settings.webhook_token)
        return [Hint(self.name, Ref(RMA, rma_id))] if rma_id else []

    async def fetch(self, ref: Ref) -> Sequence[Event]:
        return await self._read(ref.key) if ref.kind == RMA else []

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        """One call for each RMA, however many orders are about it."""
        wanted = dict.fromkeys(rma_id_of(order) for order in orders)
        found = {rma_id: await self._read(rma_id) for rma_id in wanted}
        return [self._evidence(order, found[rma_id_of(order)]) for order in orders]

    async def perform(self, order: Order) -> Receipt:
        try:
            return Receipt(await send(self._client, order, self._codes))
        except HttpError as no:
            raise Refused(_reason(no, order), str(no)) from None

    async def close(self) -> None:
        await self._client.close()

    async def _changed(self, text: str) -> AsyncIterator[Page]:
        cursor = RmasCursor.read(text)
        left = self._fetches
        now = self._clock()
        if cursor.since > LONG_AGO:
            async for page, taken in self._recent(cursor, now, left):
                left -= taken
                yield page
        else:
            cursor.since = now
        if not cursor.sweeping and now - cursor.swept >= SWEEP_EVERY:
            cursor.sweeping, cursor.page, cursor.swept = True, "", now
        while cursor.sweeping and left > 0:
            created = since(now - timedelta(days=self._settings.look_back_days))
            listed = await self._client.rmas(cursor.page, rma_created_at=created)
            hints, finished = self._hints(cursor, listed.rows, left)
            left -= len(hints)
            if finished:
                cursor.page, cursor.sweeping = listed.next_cursor, bool(listed.next_cursor)
            yield Page(cursor.text(), hints=hints)
            if not finished:
                return

    async def _recent(self, cursor: RmasCursor, now: datetime, left: int) -> AsyncIterator[tuple[Page, int]]:
        """What was created, approved or closed lately. Once all of it was hinted at, the next poll starts from now."""
        page = ""
        while True:
            listed = await self._client.rmas(page, sort="+rma_updated_at", rma_updated_at=since(cursor.since - OVERLAP))
            hints, finished = self._hints(cursor, listed.rows, left)
            left -= len(hints)
            page = listed.next_cursor
            if finished and not page:
                cursor.since = now
            yield Page(cursor.text(), hints=hints), len(hints)
            if not (finished and page):
                return

    def _hints(self, cursor: RmasCursor, rows: Iterable[Summary], at_most: int) -> tuple[tuple[Hint, ...], bool]:
        """Hints for what is news, and whether that was all of it."""
        news = cursor.news(rows)
        taken = news[:at_most]
        cursor.remember(taken)
        return tuple(Hint(self.name, Ref(RMA, row.rma_id)) for row in taken), len(taken) == len(news)

    async def _open(self, text: str) -> AsyncIterator[Page]:
        cursor = OpenCursor.read(text)
        for rma_id, pieces in self._pieces.items():
            cursor.belong(rma_id, pieces)
        now = self._clock()
        if now - cursor.listed >= LIST_EVERY:
            cursor.open_are(await self._open_rmas())
            cursor.listed = now
        async for rows in self._client.transactions((cursor.since if cursor.since > LONG_AGO else now) - OVERLAP):
            for transaction in rows:
                cursor.moved(transaction)
        cursor.since = now
        yield Page(cursor.text())
        self._pieces.clear()
        for rma_id in cursor.next_to_read(self._fetches):
            asked_at = self._clock()
            events = await self._read(rma_id)
            cursor.was_read(rma_id, asked_at, self._pieces.pop(rma_id, []))
            yield Page(cursor.text(), tuple(events))

    async def _open_rmas(self) -> list[str]:
        found: list[str] = []
        page = ""
        while True:
            listed = await self._client.rmas(page, status=OPEN)
            found += [row.rma_id for row in listed.rows]
            page = listed.next_cursor
            if not page:
                return found

    async def _read(self, rma_id: str) -> list[Event]:
        """The RMA as it is now, as of when it was asked for; nothing where there is none."""
        asked_at = self._clock()
        payload = await self._client.rma(rma_id)
        if payload is None:
            return []
        self._pieces[rma_id] = _pieces(payload)
        return [Event(self.name, RMA, payload, asked_at, requested=True)]

    def _evidence(self, order: Order, events: Sequence[Event]) -> Evidence:
        done = any(is_done(order, loads(event.payload), self._codes) for event in events)
        return Evidence(order.key, done, Receipt(f"seen on rma {rma_id_of(order)}") if done else None, tuple(events))


def _reason(no: HttpError, order: Order) -> str:
    """A stable word for a no. A 400 on a status is a transition that is not allowed: the page names no other."""
    if no.status == 400:
        return "invalid_transition" if "status" in order.params else "invalid_request"
    return _REFUSALS.get(no.status, "refused")


def _pieces(payload: bytes) -> list[str]:
    items = loads(payload).get("items")
    found = [item.get("returnedItemId") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return [str(piece) for piece in found if piece]
