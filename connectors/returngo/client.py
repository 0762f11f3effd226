"""The wire: ReturnGO's REST calls, each counted against the day."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from connectors.http import Answer, Http, HttpError, Method, Retries, segment
from connectors.reach import Reach
from connectors.returngo.budget import DayBudget
from engine.facts.outside import TryLater

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

    def __init__(
        self, url: str, shop: str, api_key: SecretStr, budget: DayBudget, *, reach: Reach, timeout: float = 20.0
    ) -> None:
        once = Retries(attempts=1)  # each attempt is one of the day's calls; the next poll is the retry
        self._http = Http(url, {"x-api-key": api_key, "x-shop-name": shop}, reach=reach, timeout=timeout, retries=once)
        self._budget = budget

    async def rmas(self, cursor: str = "", *, sort: str = "", **criteria: str) -> Listed:
        """GET /rmas. Criteria are the query's own names. Raises `TryLater`."""
        query = {"pagesize": str(PAGE_SIZE), **criteria, **({"sort_by": sort} if sort else {})}
        rows, following = await self._page("/rmas", "rmas", query, cursor)
        return Listed(tuple(_summary(row) for row in rows), following)

    async def rma(self, rma_id: str, *, polling: bool = False) -> bytes | None:
        """GET /rma/{id} as it came, None where there is no such RMA. Raises `TryLater`."""
        if not (rma_id.isascii() and rma_id.isdigit()):
            return None
        self._budget.spend(polling=polling)
        answer = await self._get(f"/rma/{rma_id}", none_at=(400, 404))
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
        await self._send("PUT", f"/rma/{segment(rma_id)}/status", {"status": status})

    async def comment(self, rma_id: str, html: str) -> None:
        await self._send("POST", f"/rma/{segment(rma_id)}/comment", {"htmlText": html})

    async def set_shipment(self, shipment_id: str, change: Mapping[str, str]) -> None:
        """PUT /shipment/{id}. The same status again is no transition; other fields are set all the same."""
        await self._send("PUT", f"/shipment/{segment(shipment_id)}", dict(change))

    async def close(self) -> None:
        await self._http.close()

    async def _page(self, path: str, name: str, query: Mapping[str, str], cursor: str) -> tuple[Sequence[Mapping[str, Any]], str]:
        self._budget.spend(polling=True)
        answer = await self._get(path, {**query, **({"cursor": cursor} if cursor else {})})
        told = None if answer is None else answer.json()
        page = told if isinstance(told, dict) else {}
        rows = page.get(name)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise TryLater(f"GET {path}: the answer has no list of {name}")
        following = page.get("next_cursor")
        return rows, following if rows and isinstance(following, str) and following != cursor else ""

    async def _get(self, path: str, query: Mapping[str, str] | None = None, *, none_at: Sequence[int] = ()) -> Answer | None:
        try:
            return await self._http.get(path, query or {})
        except TryLater as later:
            raise self._later(later) from None
        except HttpError as no:
            if no.status in none_at:
                return None
            raise TryLater(f"GET {path}: {no}", timedelta(minutes=15)) from None

    async def _send(self, method: Method, path: str, body: Mapping[str, str]) -> None:
        self._budget.spend(polling=False)
        try:
            await self._http.send(method, path, body)
        except TryLater as later:
            raise self._later(later) from None

    def _later(self, later: TryLater) -> TryLater:
        return self._budget.throttled(later.after) if later.reason.endswith("429") else later


def since(moment: datetime) -> str:
    """The criterion `gte:` for a time. The format has no zone; UTC is what its answers are in."""
    return "gte:" + moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _summary(row: Mapping[str, Any]) -> Summary:
    events = row.get("events")
    status = str(row.get("status", ""))
    return Summary(str(row.get("rmaId", "")), status, f"{status}/{len(events) if isinstance(events, list) else 0}")
