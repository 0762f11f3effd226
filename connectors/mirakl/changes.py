"""What is changed in Mirakl. Each deed either has a receipt, or tells why not in a word rules can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from connectors.http import HttpError
from connectors.mirakl.actions import cancel_body, code_for, refund_body
from connectors.mirakl.client import Json, MiraklClient, ReturnCall, objects
from connectors.mirakl.reading import ORDER, RETURN, Reader
from connectors.mirakl.refusals import (
    by_message,
    by_status,
    cancel_refused,
    refund_refused,
    refund_waits,
    said,
    speaks_of_balance,
)
from engine.facts.outside import Codes, Order, Receipt, Ref, Refused, TryLater, Unsure

_WAIT_FOR_A_PERSON = timedelta(minutes=15)
MOST_SHOWN = 1000
_CALLS: Mapping[str, ReturnCall] = {"accepted": "accept", "refused": "accept", "received": "receive", "closed": "close"}
_Judge = Callable[[Json, str, Json, str], Refused | None]


class Changes:
    """One method per action; each raises `TryLater`, `Refused` or `Unsure`."""

    def __init__(self, client: MiraklClient, reader: Reader, codes: Codes) -> None:
        self._client = client
        self._reader = reader
        self._codes = codes
        self._shown: dict[str, Json] = {}  # returns as the last look-up showed them

    async def refund(self, order: Order) -> Receipt:
        body = refund_body(order, code_for(order, self._codes))
        item = body["refunds"][0]
        try:
            answer = await self._client.refund(body)
        except HttpError as no:
            raise await self._why_not(order, item, no, refund_refused, "REFUND") from no
        made = await self._made(order, item, answer, "refunds", "refund_id", refund_refused)
        return Receipt(str(made["refund_id"]), _details(made, "refund_id", "order_refund_id"))

    async def cancel(self, order: Order) -> Receipt:
        """OR29 where Mirakl says the order can be cancelled and this is all of it, else OR30."""
        code = code_for(order, self._codes)
        order_id = str(order.params["order"])
        now = await self._reader.read([Ref(ORDER, order_id)])
        shown = now[Ref(ORDER, order_id)].body if now else {}
        body = cancel_body(order, code, order_level_taxes=bool(objects(shown, "order_taxes")))
        item = body["cancelations"][0]
        try:
            if _is_whole(shown, item):
                await self._client.cancel_order(order_id)
                return Receipt(order_id, {"order_id": order_id})
            answer = await self._client.cancel_lines(body)
        except HttpError as no:
            raise await self._why_not(order, item, no, cancel_refused, "CANCELATION") from no
        made = await self._made(order, item, answer, "cancelations", "cancelation_id", cancel_refused)
        return Receipt(str(made["cancelation_id"]), _details(made, "cancelation_id"))

    async def resolve_incident(self, order: Order) -> Receipt:
        code = code_for(order, self._codes)
        line = order.params["line"]
        order_id, line_id = str(line["parent"]["id"]), str(line["id"])
        try:
            await self._client.resolve_incident(order_id, line_id, code)
        except HttpError as no:
            why = self._settled(no) or await self._reason_refused(no, code, "INCIDENT_CLOSE") or by_message(said(no))
            raise why from no
        return Receipt(line_id, {"order_id": order_id, "order_line_id": line_id})

    async def set_return(self, order: Order) -> Receipt:
        wanted, return_id = str(order.params["state"]), str(order.params["market_return"]["id"])
        change: Json = {"id": return_id}
        if wanted in {"accepted", "refused"}:
            change["accepted"] = wanted == "accepted"
        if wanted == "refused":
            change["rejection_reason_code"] = code_for(order, self._codes)
        return await self._change_return(_CALLS[wanted], change)

    async def report_compliance(self, order: Order) -> Receipt:
        """RT26 wants every line of the return: as the look-up just showed it, for returns may be read every few minutes only."""
        return_id, compliant = str(order.params["market_return"]["id"]), bool(order.params["compliant"])
        finding: Json = {"compliant": compliant}
        if not compliant:
            finding["non_compliance_reason_code"] = code_for(order, self._codes)
        shown = self._shown.pop(return_id, None) or await self._return(return_id)
        told = [{"order_line_id": str(line.get("order_line_id")), **finding} for line in objects(shown, "return_lines")]
        return await self._change_return("compliance", {"id": return_id, "return_lines": told})

    async def _return(self, return_id: str) -> Json:
        found = await self._reader.read([Ref(RETURN, return_id)])
        if not found:
            raise Refused("not_found", f"there is no return {return_id}")
        return found[Ref(RETURN, return_id)].body

    def looked_up(self, return_id: str, shown: Json) -> None:
        """What a look-up showed of a return, for what is sent next."""
        if len(self._shown) >= MOST_SHOWN:
            self._shown.clear()
        self._shown[return_id] = shown

    async def _change_return(self, call: ReturnCall, change: Json) -> Receipt:
        try:
            answer = await self._client.change_return(call, change)
        except HttpError as no:
            raise self._settled(no) or by_message(said(no)) from no
        failed = [e for e in objects(answer, "return_errors") if e.get("id") in {change["id"], None}]
        if failed:
            raise by_message("; ".join(str(e.get("message")) for e in failed))
        if not any(done.get("id") == change["id"] for done in objects(answer, "return_success")):
            raise Unsure(f"the answer does not speak of return {change['id']}")
        return Receipt(change["id"], {"return_id": change["id"]})

    async def _made(self, order: Order, item: Json, answer: Any, items: str, key: str, judge: _Judge) -> Json:
        """The part of a 200 that speaks of our line. Errors of items are told inside a 200 too."""
        for made in objects(answer, items):
            if made.get("order_line_id") == item["order_line_id"] and made.get(key) not in {None, ""}:
                return made
        names = [n for n in answer if n.endswith("errors")] if isinstance(answer, dict) else []
        told = [str(e.get("message") or e.get("code")) for n in names for e in objects(answer, n)]
        if told and not objects(answer, items):
            raise await self._judged(order, item, "; ".join(told), judge)
        raise Unsure(f"the answer does not speak of line {item['order_line_id']}")

    async def _why_not(self, order: Order, item: Json, no: HttpError, judge: _Judge, kind: str) -> Exception:
        settled = self._settled(no)
        if settled is not None:
            return settled
        found = await self._judged(order, item, said(no), judge)
        if found.reason in {"invalid_request", "refund_in_progress"}:
            return await self._reason_refused(no, item["reason_code"], kind) or found
        return found

    def _settled(self, no: HttpError) -> Exception | None:
        """What the status alone settles. A key that is not taken, or a host that has moved, waits for a person."""
        if no.status < 400 or no.status == 401:
            return TryLater(f"the key or the address is not taken: {no}", _WAIT_FOR_A_PERSON)
        return by_status(no)

    async def _judged(self, order: Order, item: Json, detail: str, judge: _Judge) -> Refused:
        """By the order first, then by the words, then by what may stand in the way."""
        if speaks_of_balance(detail):
            return Refused("balance_too_low", detail)
        ref = Ref(ORDER, str(order.params["order"]))
        try:
            now = await self._reader.read([ref])
        except TryLater:
            return by_message(detail)
        if ref not in now:
            return Refused("not_found", detail)
        shown, line_id = now[ref].body, item["order_line_id"]
        waits = judge is refund_refused and refund_waits(shown, line_id)
        return judge(shown, line_id, item, detail) or by_message(
            detail, otherwise="refund_in_progress" if waits else "invalid_request"
        )

    async def _reason_refused(self, no: HttpError, code: str, kind: str) -> Refused | None:
        """Operators choose their reason codes, and which of them a seller may use (RE01)."""
        try:
            reasons = objects((await self._client.reasons()).json(), "reasons")
        except TryLater:
            return None
        ours = {r.get("code") for r in reasons if r.get("type") == kind and r.get("is_shop_right") is True}
        if not reasons or code in ours:
            return None
        return Refused("reason_not_allowed", f"{said(no)} (a seller cannot use {code!r} as {kind})")


def _details(made: Json, *names: str) -> dict[str, Any]:
    amounts = {name: f"{made[name]}" for name in ("amount", "shipping_amount") if made.get(name) is not None}
    return {**{name: str(made[name]) for name in names if made.get(name) is not None}, **amounts}


def _is_whole(order: Json, item: Json) -> bool:
    lines = objects(order, "order_lines")
    if order.get("can_cancel") is not True or order.get("customer_debited_date") or len(lines) != 1:
        return False
    untouched = not objects(lines[0], "refunds") and not objects(lines[0], "cancelations")
    mine = lines[0].get("order_line_id") == item["order_line_id"]
    return mine and untouched and not lines[0].get("debited_date") and lines[0].get("quantity") == item["quantity"]
