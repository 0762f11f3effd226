"""The wire: ReturnGO's REST calls, each of them one of the day's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from connectors.http import Answer, Http, HttpError, Retries, segment
from connectors.reach import Reach
from engine.facts.outside import TryLater

REST = timedelta(minutes=15)  # after a 429, for none has been seen that names a time; others may call with our key
PAGE_SIZE = 500  # the greatest there is: a call costs the same whatever it brings


@dataclass(frozen=True, slots=True)
class Summary:
    """A row of GET /rmas, which has neither amounts nor parcels. `state` changes with the status or an event."""

    rma_id: str
    status: str
    state: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of RMAs, and the cursor of the next; "" on the last."""

    rows: tuple[Summary, ...]
    next_cursor: str


class ReturnGoClient:
    """`x-shop-name` chooses the store: `<shop>.myshopify.com`, with `@Portal` where a store has several portals."""

    def __init__(self, url: str, shop: str, api_key: SecretStr, *, reach: Reach, timeout: float = 20.0) -> None:
        headers: dict[str, str | SecretStr] = {"x-api-key": api_key, "x-shop-name": shop}
        once = Retries(attempts=1)  # each attempt is one of the day's calls; the next poll is the retry
        self._http = Http(url, headers, reach=reach, timeout=timeout, retries=once, rest=REST)

    async def rmas(self, cursor: str = "", *, sort: str = "", **criteria: str) -> Listed:
        """GET /rmas. Criteria are the query's own names. Raises `TryLater`."""
        query = {"pagesize": str(PAGE_SIZE), **criteria, **({"sort_by": sort} if sort else {})}
        rows, following = await self._page("/rmas", "rmas", query, cursor)
        return Listed(tuple(_summary(row) for row in rows), following)

    async def rma(self, rma_id: str) -> bytes | None:
        """GET /rma/{id} as it came, None where there is no such RMA. Raises `TryLater`."""
        if not (rma_id.isascii() and rma_id.isdigit()):
            return None
        answer = await self._get("GET /rma", f"/rma/{rma_id}", none_at=(400, 404))
        if answer is not None and not isinstance(answer.json(), dict):
            raise TryLater("GET /rma: the answer is not an object")
        return None if answer is None else answer.body

    async def transactions(self, updated_since: datetime) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """GET /transactions changed since then, page by page. They do not name their RMA."""
        cursor = ""
        while True:
            query = {"pagesize": str(PAGE_SIZE), "updated_at": since(updated_since)}
            rows, cursor = await self._page("/transactions", "transactions", query, cursor)
            yield rows
            if not cursor:
                return

    async def set_status(self, rma_id: str, status: str) -> None:
        """PUT /rma/{id}/status. The page does not print the body; this is the name the status has everywhere else."""
        await self._http.send("PUT", f"/rma/{segment(rma_id)}/status", {"status": status}, operation="PUT /rma/status")

    async def comment(self, rma_id: str, html: str) -> None:
        await self._http.send("POST", f"/rma/{segment(rma_id)}/comment", {"htmlText": html}, operation="POST /rma/comment")

    async def set_shipment(self, shipment_id: str, change: Mapping[str, str]) -> None:
        """PUT /shipment/{id}. The same status again is no transition; other fields are set all the same."""
        await self._http.send("PUT", f"/shipment/{segment(shipment_id)}", dict(change), operation="PUT /shipment")

    async def close(self) -> None:
        await self._http.close()

    async def _page(self, path: str, name: str, query: Mapping[str, str], cursor: str) -> tuple[Sequence[Mapping[str, Any]], str]:
        answer = await self._get(f"GET {path}", path, {**query, **({"cursor": cursor} if cursor else {})})
        told = None if answer is None else answer.json()
        page = told if isinstance(told, dict) else {}
        rows = page.get(name)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise TryLater(f"GET {path}: the answer has no list of {name}")
        following = page.get("next_cursor")
        return rows, following if rows and isinstance(following, str) and following != cursor else ""

    async def _get(
        self, operation: str, path: str, query: Mapping[str, str] | None = None, *, none_at: Sequence[int] = ()
    ) -> Answer | None:
        try:
            return await self._http.get(path, query or {}, operation=operation)
        except HttpError as no:
            if no.status in none_at:
                return None
            raise TryLater(f"GET {path}: {no}", timedelta(minutes=15)) from None


def since(moment: datetime) -> str:
    """The criterion `gte:` for a time. The format has no zone; UTC is what its answers are in."""
    return "gte:" + moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _summary(row: Mapping[str, Any]) -> Summary:
    events = row.get("events")
    status = str(row.get("status", ""))
    return Summary(str(row.get("rmaId", "")), status, f"{status}/{len(events) if isinstance(events, list) else 0}")
