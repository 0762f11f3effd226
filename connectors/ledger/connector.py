"""The ledger as finance: books refunds into files, and reads them back as facts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from connectors.cursors import moment_of
from connectors.http import dumps
from connectors.ledger.books import Books, UnreadableBooks
from connectors.ledger.postings import PostingLine, lines_of
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
    Rejected,
    Role,
    TryLater,
    WebhookRequest,
)
from engine.facts.schema import MONEY, record_of

LINE = "ledger.line"
OVERLAP = timedelta(hours=1)  # a batch may take a while from its time to its file
MENDED_BY_HAND = timedelta(minutes=15)
_REFUND = Param(record_of("order_refund"), "A refund of the marketplace")


class LedgerSettings(BaseModel):
    """`finance: {use: ledger, path: postings/}`. A relative path starts at `base`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(Path("postings"), description="The folder the postings are written to")
    base: Path = Field(default_factory=Path, description="Where a relative path starts: here, unless said")


class LedgerConnector:
    """One CSV file per posting or batch; see `connectors.ledger.books.COLUMNS`. A posting that is in the books is done."""

    name: ClassVar[str] = "ledger"
    role: ClassVar[Role] = "finance"
    Settings: ClassVar[type[Any]] = LedgerSettings
    actions: ClassVar[Mapping[str, Action]] = MappingProxyType(
        {
            "post": Action(
                "post",
                {"refund": _REFUND},
                subject=("refund",),
                doc="Book a refund: amount, shipping and each tax, and what is given back of commission and its tax",
                quiet=timedelta(0),
            ),
            "adjust": Action(
                "adjust",
                {
                    "refund": _REFUND,
                    "commission": Param(MONEY, "The commission given back as it should be; the difference is booked"),
                },
                subject=("refund", "commission"),
                doc="Bring the commission booked for a refund to what it should be",
                quiet=timedelta(0),
            ),
        }
    )
    feeds: ClassVar[Mapping[str, Feed]] = MappingProxyType(
        {"postings": Feed("postings", timedelta(minutes=15), "What is in the books")}
    )

    def __init__(self, settings: LedgerSettings, clock: Clock, codes: Codes) -> None:  # noqa: ARG002 - the books keep codes as given
        self._clock = clock
        self._books = Books(settings.base / settings.path)

    async def observe(self, feed: str, cursor: str) -> AsyncIterator[Page]:
        """The cursor is when the books were last read: postings carry the time of the same clock."""
        if feed not in self.feeds:
            raise ValueError(f"ledger has no feed {feed!r}")
        began, last = self._clock(), moment_of(cursor)
        lines = await self._lines()
        fresh = [line for line in lines if last is None or line.posted_at >= last - OVERLAP]
        yield Page(began.isoformat(), self._events(fresh))

    def receive(self, request: WebhookRequest) -> Sequence[Event | Hint]:  # noqa: ARG002 - whatever it is
        raise Rejected(404, "the ledger is a directory, it sends nothing")

    async def fetch(self, ref: Ref) -> Sequence[Event]:
        """A line by its id."""
        return self._events(line for line in await self._lines() if ref == Ref(LINE, line.id))

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        booked = _by_posting(await self._lines())
        return [
            Evidence(order.key, order.key in booked, self._receipt(order, booked[order.key]))
            if order.key in booked
            else Evidence(order.key, done=False)
            for order in orders
        ]

    async def perform(self, order: Order) -> Receipt:
        return (await self.perform_many([order]))[0]

    async def perform_many(self, orders: Sequence[Order]) -> list[Receipt]:
        """Books all of a batch as one file; what is booked already stays as it is. Raises as `perform` does, and then none
        of them is booked.
        """
        lines = await self._lines()
        booked = _by_posting(lines)
        posted_at = self._clock()
        fresh: dict[str, tuple[PostingLine, ...]] = {}
        for order in orders:
            if order.key not in booked and order.key not in fresh:
                known = [*lines, *(line for each in fresh.values() for line in each)]
                fresh[order.key] = lines_of(order, posted_at, known)
        if fresh:
            await asyncio.to_thread(self._books.write, fresh, [line for each in fresh.values() for line in each])
        return [self._receipt(order, fresh.get(order.key) or booked[order.key]) for order in orders]

    async def close(self) -> None:
        """Nothing is held open."""

    async def _lines(self) -> tuple[PostingLine, ...]:
        try:
            return await asyncio.to_thread(self._books.lines)
        except (UnreadableBooks, OSError) as fault:
            raise TryLater(f"the books cannot be read: {fault}", MENDED_BY_HAND) from None

    def _receipt(self, order: Order, lines: Sequence[PostingLine]) -> Receipt:
        return Receipt(order.key, {"posting": order.key, "lines": len(lines)}, self._events(lines))

    def _events(self, lines: Iterable[PostingLine]) -> tuple[Event, ...]:
        now = self._clock()
        return tuple(Event(self.name, LINE, dumps(_payload(line)), now, requested=True) for line in lines)


def _by_posting(lines: Iterable[PostingLine]) -> dict[str, tuple[PostingLine, ...]]:
    found: dict[str, tuple[PostingLine, ...]] = {}
    for line in lines:
        found[line.posting] = (*found.get(line.posting, ()), line)
    return found


def _payload(line: PostingLine) -> dict[str, Any]:
    return {
        "line": line.id,
        "posting": line.posting,
        "kind": line.kind,
        "posted_at": line.posted_at.isoformat().replace("+00:00", "Z"),
        "order_id": line.order_id,
        "order_line_id": line.order_line_id,
        "refund_id": line.refund_id,
        "component": line.component,
        "code": line.code or None,
        "amount": f"{line.amount.amount:f}",
        "currency": line.amount.currency,
        "tax_mode": line.tax_mode or None,
    }
