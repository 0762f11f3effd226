"""What is polled, and what is remembered between two polls.

`lastUpdated` of an RMA does not move when its parcel moves, when it is received or when money is paid (276 of 305 RMAs), and
lists bring neither amounts nor parcels. So no single poll sees everything, and 2000 calls a day have to do:

`rmas`, every 5 minutes: one call for the RMAs whose request changed since the last poll, and, each half hour, a sweep over
all RMAs of the last `look_back` days, whose status or events are compared with what the cursor remembers: a receipt shows
only there. What differs is a hint to fetch the RMA, at most `FETCHES` of them each time; the rest keeps its turn. (288 calls,
48 for each 500 RMAs, and one for each RMA that changed.)

`open_rmas`, every 10 minutes: one call for transactions changed lately, which name pieces and not their RMA, so they are
matched with the pieces the cursor remembers; then the RMAs with new transactions and those looked at longest ago, up to
`FETCHES` of them, are read again in full. That is where first scans, refunds and inspections show without a webhook. The list
of open RMAs is renewed each half hour; one that has left it is read a last time. (144 calls, 48 for each 500 open RMAs, and up
to 720 RMAs.)

What is seen late or never: what happens in the timeline or to the parcels of an RMA that is still Pending or already closed,
unless a webhook or its status tells.

In all about 1250 calls and one for each change, of 2000; of those the last fifth is not for polls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from connectors.returngo.client import Summary
from connectors.returngo.words import FINAL

FETCHES = 5  # with 2000 calls a day; more with more
SWEEP_EVERY = timedelta(minutes=30)
LIST_EVERY = timedelta(minutes=30)
OVERLAP = timedelta(hours=4)  # refunds were seen with a lastUpdated 3 h after createdAt: as if of another zone
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
REMEMBERED = 10_000  # RMAs, pieces and transactions a cursor holds at most


class Cursor(BaseModel):
    """Kept as JSON text between polls."""

    model_config = ConfigDict(extra="ignore")

    since: AwareDatetime = LONG_AGO

    @classmethod
    def read(cls, text: str) -> Self:
        """A cursor we cannot read is a new one: that costs calls and loses nothing."""
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValidationError:
            return cls()

    def text(self) -> str:
        return self.model_dump_json(exclude_defaults=True)


class RmasCursor(Cursor):
    """`seen` is the state each RMA was last hinted at. `page` is where a sweep under way goes on.

    Where more than `REMEMBERED` are known, the oldest closed ones are dropped, and up to the id `floor` closed RMAs are not
    news. One that was reopened is.
    """

    swept: AwareDatetime = LONG_AGO
    sweeping: bool = False
    page: str = ""
    floor: int = 0
    seen: dict[str, str] = {}

    def news(self, rows: Iterable[Summary]) -> list[Summary]:
        """Those that are not as remembered."""
        return [row for row in rows if row.rma_id and self.seen.get(row.rma_id) != row.state and not self._old(row)]

    def remember(self, rows: Iterable[Summary]) -> None:
        self.seen.update({row.rma_id: row.state for row in rows})
        spare = len(self.seen) - REMEMBERED
        if spare <= 0:
            return
        closed = [rma_id for rma_id, state in self.seen.items() if state.split("/")[0] in FINAL]
        for rma_id in sorted(closed, key=_number)[:spare]:
            del self.seen[rma_id]
            self.floor = max(self.floor, _number(rma_id))

    def _old(self, row: Summary) -> bool:
        return row.rma_id not in self.seen and row.status in FINAL and _number(row.rma_id) <= self.floor


class OpenCursor(Cursor):
    """`read_at` tells when each open RMA was last read in full, `owner` which RMA a piece belongs to, `due` the RMAs with a
    new transaction, `paid` the last status seen of each transaction.
    """

    listed: AwareDatetime = LONG_AGO
    read_at: dict[str, AwareDatetime] = {}
    owner: dict[str, str] = {}
    due: list[str] = []
    paid: dict[str, str] = {}

    def open_are(self, rma_ids: Iterable[str]) -> None:
        """These RMAs are open now. Those that no longer are get a last look; their pieces can still be refunded."""
        now_open = {rma_id: self.read_at.get(rma_id, LONG_AGO) for rma_id in rma_ids}
        self.due = list(dict.fromkeys([*self.due, *(rma_id for rma_id in self.read_at if rma_id not in now_open)]))
        self.read_at = now_open

    def moved(self, transaction: Mapping[str, Any]) -> None:
        """A transaction as listed: its RMA is due where its id and status are new. One that names no piece we know (such as
        a payment for an exchange) waits for the RMA's turn.
        """
        number, status = str(transaction.get("id", "")), str(transaction.get("status", ""))
        if self.paid.get(number) == status:
            return
        _put(self.paid, {number: status})
        pieces = transaction.get("returnItemIds")
        named = [str(piece) for piece in pieces] if isinstance(pieces, list) else []
        owners = [self.owner[piece] for piece in named if piece in self.owner]
        self.due = list(dict.fromkeys([*self.due, *owners]))

    def next_to_read(self, at_most: int) -> list[str]:
        longest = sorted(self.read_at, key=lambda rma_id: (self.read_at[rma_id], _number(rma_id)))
        return list(dict.fromkeys([*self.due, *longest]))[:at_most]

    def was_read(self, rma_id: str, at: datetime, pieces: Iterable[str]) -> None:
        if rma_id in self.read_at:
            self.read_at[rma_id] = at
        self.belong(rma_id, pieces)
        self.due = [each for each in self.due if each != rma_id]

    def belong(self, rma_id: str, pieces: Iterable[str]) -> None:
        """These pieces are of this RMA, for when a transaction names one of them."""
        _put(self.owner, dict.fromkeys(pieces, rma_id))


def _put(known: dict[str, str], new: Mapping[str, str]) -> None:
    """Adds, the latest last, and forgets the first of too many."""
    for key, value in new.items():
        known.pop(key, None)
        known[key] = value
    while len(known) > REMEMBERED:
        del known[next(iter(known))]


def _number(rma_id: str) -> int:
    return int(rma_id) if rma_id.isascii() and rma_id.isdigit() and len(rma_id) < 30 else 0
