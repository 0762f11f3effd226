"""What is read of Mirakl, as events: the polls, and single orders and returns by their ids."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.http import dumps
from connectors.mirakl.client import PAGE, Json, MiraklClient, ReadRefused
from connectors.mirakl.polling import Cursor, Seen, instant
from engine.facts.outside import Clock, Event, Page, Ref

ORDER, RETURN = "mirakl.order", "mirakl.return"
ACCOUNT, PLATFORM, REASONS = "mirakl.account", "mirakl.platform", "mirakl.reasons"
_ID = {ORDER: "order_id", RETURN: "id"}


@dataclass(frozen=True, slots=True)
class Found:
    """One order or return as it stands, and the event that tells of it."""

    body: Json
    event: Event


class Reader:
    """Turns answers into events. `observed_at` is always taken before the request is sent."""

    def __init__(self, client: MiraklClient, clock: Clock, history: timedelta, shop: str) -> None:
        self._client = client
        self._clock = clock
        self._history = history
        self._shop = shop

    async def orders(self, text: str) -> AsyncIterator[Page]:
        """Orders changed since the last poll, then those watched longest without a change."""
        at, seen = Cursor.read(text), Seen()
        at.begin(self._clock(), self._history)
        passed: set[str] = set()
        while at.since is not None:
            asked = self._clock()
            page = await self._client.orders_updated_since(at.since, at.offset)
            at.watch(page.orders)
            at.saw(_changes(page.orders, "last_updated_date"))
            passed.update(_ids(page.orders, ORDER))
            events = _events(ORDER, seen.new(page.orders), asked)
            if page.next_offset is None:
                at.end()
                yield Page(at.text(), events)
                break
            at.offset = page.next_offset
            yield Page(at.text(), events)
        due = [key for key in at.watched if key not in passed][:PAGE]
        if due:
            found = await self.read(Ref(ORDER, key) for key in due)
            at.forget(due)
            at.watch(f.body for f in found.values())
            yield Page(at.text(), tuple(f.event for f in found.values()))

    async def incidents(self, text: str) -> AsyncIterator[Page]:
        """Every order with an open incident, and once more those that had one at the last poll and have none now."""
        at, seen = Cursor.read(text), Seen()
        now_open: set[str] = set()
        offset: int | None = 0
        while offset is not None:
            asked = self._clock()
            page = await self._client.orders_with_incident(offset)
            now_open.update(_ids(page.orders, ORDER))
            offset = page.next_offset
            yield Page(text, _events(ORDER, seen.new(page.orders), asked))
        over = await self.read(Ref(ORDER, key) for key in at.watched if key not in now_open)
        yield Page(Cursor(watched=sorted(now_open)).text(), tuple(f.event for f in over.values()))

    async def returns(self, text: str) -> AsyncIterator[Page]:
        """Returns changed since the last poll. A page token that is no longer taken begins the window anew."""
        at, seen = Cursor.read(text), Seen()
        at.begin(self._clock(), self._history)
        while at.since is not None:
            asked = self._clock()
            try:
                page = await self._client.returns_updated_since(at.since, at.token)
            except ReadRefused:
                if at.token is None:
                    raise
                at.token = None
                continue
            at.saw(_changes(page.returns, "last_updated"))
            events = _events(RETURN, seen.new(page.returns), asked)
            at.token = page.next_token
            if at.token is None:
                at.end()
            yield Page(at.text(), events)
            if at.began is None:
                break

    async def account(self) -> Event:
        asked = self._clock()
        answer = await self._client.account()
        shop = answer.json().get("shop_id")
        self._shop = self._shop or (str(shop) if isinstance(shop, int | str) else "")
        return Event("mirakl", ACCOUNT, answer.body, asked, requested=True, about=self._shop)

    async def platform(self) -> Event:
        about, asked = await self._about(), self._clock()
        return Event("mirakl", PLATFORM, (await self._client.platform()).body, asked, requested=True, about=about)

    async def reasons(self) -> Event:
        about, asked = await self._about(), self._clock()
        return Event("mirakl", REASONS, (await self._client.reasons()).body, asked, requested=True, about=about)

    async def _about(self) -> str:
        """The shop id, which PC01 and RE01 do not name."""
        if not self._shop:
            await self.account()
        return self._shop

    async def read(self, refs: Iterable[Ref]) -> dict[Ref, Found]:
        """Orders and returns by their ids, as they stand now; what is gone is left out."""
        wanted = set(refs)
        asked = self._clock()
        orders = await self._client.orders_by_id(sorted(r.key for r in wanted if r.kind == ORDER))
        returns = await self._client.returns_by_id(sorted(r.key for r in wanted if r.kind == RETURN))
        found: dict[Ref, Found] = {}
        for kind, bodies in ((ORDER, orders), (RETURN, returns)):
            for body in bodies:
                ref = Ref(kind, _id(body, kind))
                if ref in wanted:
                    found[ref] = Found(body, Event("mirakl", kind, dumps(body), asked, requested=True))
        return found


def _events(kind: str, payloads: Iterable[bytes], asked: datetime) -> tuple[Event, ...]:
    return tuple(Event("mirakl", kind, payload, asked, requested=True) for payload in payloads)


def _id(body: Any, kind: str) -> str:
    found = body.get(_ID[kind]) if isinstance(body, dict) else None
    return found if isinstance(found, str) else ""


def _ids(bodies: Iterable[Any], kind: str) -> set[str]:
    return {key for key in (_id(b, kind) for b in bodies) if key}


def _changes(bodies: Iterable[Any], name: str) -> list[datetime | None]:
    return [instant(b.get(name)) for b in bodies if isinstance(b, dict)]
