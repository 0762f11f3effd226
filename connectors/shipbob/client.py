"""The wire to ShipBob's returns API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from connectors.http import Answer, Http, HttpError, bearer
from connectors.reach import Reach
from engine.facts.outside import Refused, TryLater, Unsure

Return = dict[str, Any]
PAGE = 50
BROKEN_CREDENTIALS = timedelta(minutes=10)


class ShipBobClient:
    """Returns of one channel. Reads raise `TryLater`; changes `TryLater`, `Refused` or `Unsure`."""

    def __init__(self, base_url: str, token: SecretStr, channel_id: int, version: str, reach: Reach) -> None:
        self._root = f"/{version}/return"
        self._http = Http(base_url, {"authorization": bearer(token), "shipbob_channel_id": str(channel_id)}, reach=reach)

    async def pages(self, filters: Mapping[str, str], number: int = 1) -> AsyncIterator[list[Return]]:
        """All returns that fit, oldest first, a page at a time, from page `number` on. `Cursor` is a page number; `next` is null
        at the end.
        """
        before: list[Return] = []
        while True:
            asked = {**filters, "Limit": str(PAGE), "Cursor": str(number), "SortOrder": "Asc"}
            answer = (await self._read("", asked)).json()
            items = answer.get("items", "") if isinstance(answer, dict) else ""
            if not isinstance(items, list | None) or not all(map(_is_return, items or ())):
                raise TryLater("ShipBob's answer holds no list of returns")
            if items:
                if items == before:
                    raise TryLater("ShipBob gives the same page again and again")
                yield items
            if not items or not answer.get("next"):
                return
            number, before = number + 1, items

    async def by_references(self, references: Iterable[str]) -> list[Return]:
        """Every return of these references. ShipBob does not keep a reference unique: there may be several of one."""
        wanted = sorted({reference for reference in references if reference and "," not in reference})
        found: list[Return] = []
        for start in range(0, len(wanted), PAGE):
            filters = {"ReferenceIds": ",".join(wanted[start : start + PAGE])}
            async for page in self.pages(filters):
                found.extend(item for item in page if item.get("reference_id") in wanted)
        return found

    async def by_id(self, number: str) -> Return | None:
        """One return by ShipBob's id, None if there is none."""
        if not (number.isascii() and number.isdigit()):
            return None
        try:
            answer = (await self._read(f"/{number}")).json()
        except HttpError:
            return None
        if not _is_return(answer):
            raise TryLater("ShipBob's answer is not a return")
        found: Return = answer
        return found

    async def create(self, body: Mapping[str, Any]) -> int:
        """Announces a return; gives its id."""
        answer = (await self._change("", body)).json()
        number = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(number, int):
            raise Unsure("ShipBob's answer names no return")
        return number

    async def cancel(self, number: int) -> None:
        """ShipBob: only while the return awaits its arrival, else 400."""
        await self._change(f"/{number}:cancel", no="already_arrived")

    async def close(self) -> None:
        await self._http.close()

    async def _read(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        try:
            return _told(await self._http.get(self._root + path, params or (), operation="GET return"))
        except HttpError as no:
            if no.status == 404 and path:
                raise
            raise TryLater(f"ShipBob refuses to list returns: {_said(no)}", BROKEN_CREDENTIALS) from None

    async def _change(self, path: str, body: Mapping[str, Any] | None = None, *, no: str = "invalid_request") -> Answer:
        try:
            operation = "POST return:cancel" if path.endswith(":cancel") else "POST return"
            return _told(await self._http.send("POST", self._root + path, body, operation=operation))
        except HttpError as answer:
            if answer.status == 401:
                raise TryLater(f"ShipBob does not know our token: {_said(answer)}", BROKEN_CREDENTIALS) from None
            reasons = {403: "missing_role", 404: "not_found"}
            raise Refused(reasons.get(answer.status, no), _said(answer)) from None


def _told(answer: Answer) -> Answer:
    """ShipBob says with each answer how many more it takes this minute; others may ask with our token."""
    left = answer.headers.get("x-remaining-calls", "").strip()
    if left.isascii() and left.isdigit():
        answer.spending.left(int(left[:9]))
    return answer


def _is_return(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("id"), int)


def _said(no: HttpError) -> str:
    """ShipBob's own words: `title` and `detail` of a problem, `message` and `errors` of an API error, else the body."""
    body = no.json()
    if not isinstance(body, dict):
        return f"HTTP {no.status}: {no.body[:300].decode('utf-8', 'replace').strip()}"
    errors = body.get("errors")
    words = [body.get(name) for name in ("title", "detail", "message")]
    words += errors if isinstance(errors, list) else []
    return f"HTTP {no.status}: {'; '.join(str(word) for word in words if word)[:500]}"
