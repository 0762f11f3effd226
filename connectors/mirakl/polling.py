"""Where a poll of OR11 or RT11 stands, so that it goes on after a restart and misses nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, NonNegativeInt, ValidationError

from connectors.http import dumps
from connectors.mirakl.client import objects
from connectors.mirakl.refusals import UNPAID
from engine.facts.outside import TryLater

OVERLAP = timedelta(minutes=10)  # each poll looks back: clocks differ, and what was saved late carries an earlier time


class Cursor(BaseModel):
    """Kept as JSON text between polls.

    `since` is the window of the poll, `latest` the latest change seen in it and `began` when it was begun; `offset` and
    `token` are where it is in the middle of. `watched` are orders to be read again by id although nothing says that they
    changed, the longest unread first: whether a refund that is paid moves `last_updated_date` is not documented.
    """

    model_config = ConfigDict(extra="ignore")

    since: AwareDatetime | None = None
    began: AwareDatetime | None = None
    latest: AwareDatetime | None = None
    offset: NonNegativeInt = 0
    token: str | None = None
    watched: list[str] = []

    @classmethod
    def read(cls, text: str) -> Self:
        """A cursor we cannot read is a new one: what is seen twice does no harm."""
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValidationError:
            return cls()

    def text(self) -> str:
        return self.model_dump_json(exclude_defaults=True)

    def begin(self, now: datetime, history: timedelta) -> None:
        """Begin a poll, unless one was left in the middle."""
        if self.began is None:
            self.began, self.latest, self.offset, self.token = now, None, 0, None
        self.since = self.since or now - history

    def saw(self, changes: Iterable[datetime | None]) -> None:
        self.latest = max([c for c in (self.latest, *changes) if c is not None], default=None)

    def end(self) -> None:
        """The next window opens a little before the latest change seen, never after this poll began."""
        if self.latest is not None and self.began is not None and self.since is not None:
            self.since = max(self.since, min(self.latest, self.began) - OVERLAP)
        self.began, self.latest, self.offset, self.token = None, None, 0, None

    def watch(self, orders: Iterable[Any]) -> None:
        """Keep in mind the orders with an incident or an unpaid refund, and forget those that have none any more."""
        for order in orders:
            key = order.get("order_id") if isinstance(order, dict) else None
            if not isinstance(key, str):
                continue
            self.forget([key])
            if unfinished(order):
                self.watched.append(key)

    def forget(self, keys: Sequence[str]) -> None:
        self.watched = [k for k in self.watched if k not in keys]


def unfinished(order: dict[str, Any]) -> bool:
    refunds = (r for line in objects(order, "order_lines") for r in objects(line, "refunds"))
    return order.get("has_incident") is True or any((r.get("refund_state") or r.get("state")) in UNPAID for r in refunds)


def instant(value: Any) -> datetime | None:
    """An ISO 8601 time as Mirakl writes it, with or without milliseconds; None for anything else."""
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


class Seen:
    """What one poll has brought so far. Pages drift while orders change, so the same one may come twice."""

    def __init__(self) -> None:
        self._payloads: set[bytes] = set()
        self._page: tuple[Any, ...] = ()

    def new(self, page: tuple[Any, ...]) -> list[bytes]:
        """The payloads of a page that have not come yet. Raises `TryLater` where paging does not get on."""
        if page and page == self._page:
            raise TryLater("the same page came twice: paging does not get on")
        self._page = page
        payloads = [dumps(item) for item in page]
        fresh = [p for p in dict.fromkeys(payloads) if p not in self._payloads]
        self._payloads.update(fresh)
        return fresh
