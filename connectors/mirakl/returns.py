"""Returns in the sandbox marketplace."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.mirakl.amounts import No
from connectors.mirakl.client import Json, objects, wire_time
from connectors.mirakl.shapes import return_body
from engine.facts.outside import Clock


class ReturnDesk:
    """Returns by id, in the shape RT11 shows them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.returns: dict[str, Json] = {}

    def open(self, return_id: str, order: Json, lines: Mapping[str, int], *, rma: str, reason: str) -> str:
        self.returns[return_id] = return_body(return_id, order, lines, self._clock(), reason=reason, rma=rma)
        return return_id

    def move(self, return_id: str, state: str) -> None:
        self.returns[return_id].update(state=state, last_updated=wire_time(self._clock()))

    def change(self, call: str, body: Json) -> Json:
        """RT21, RT25, RT26, RT27: each return by itself, and always HTTP 200."""
        items = body.get("returns")
        if not isinstance(items, list) or not items or len(items) > 100:
            raise No(400, "Error with field returns. Please check the field datatype.")
        errors, success = [], []
        for item in items:
            wrong = self._change(call, item) if isinstance(item, dict) else "The return does not exist."
            if wrong:
                errors.append({"id": str(item.get("id")) if isinstance(item, dict) else "", "message": wrong})
            else:
                success.append({"id": item["id"]})
                self.returns[item["id"]]["last_updated"] = wire_time(self._clock())
        return {"return_errors": errors, "return_success": success}

    def _change(self, call: str, item: Json) -> str:
        found = self.returns.get(str(item.get("id")))
        if found is None:
            return "The return does not exist."
        moves = {
            "accept": ({"WAITING_ACCEPTANCE"}, "IN_PROGRESS" if item.get("accepted") is True else "REFUSED"),
            "receive": ({"IN_PROGRESS"}, "RECEIVED"),
            "compliance": ({"RECEIVED"}, "RECEIVED"),
            "close": ({"RECEIVED"}, "CLOSED"),
        }
        allowed, then = moves[call]
        if found["state"] not in allowed:
            return "Return is in invalid state"
        if call == "compliance":
            told = {line["order_line_id"]: line for line in objects(item, "return_lines")}
            silent = [line["order_line_id"] for line in found["return_lines"] if line["order_line_id"] not in told]
            if silent:
                return f"The compliance has not been specified on the following order lines: {', '.join(silent)}"
            for line in found["return_lines"]:
                finding = told[line["order_line_id"]]
                line["compliance"] = [{k: v for k, v in finding.items() if k != "order_line_id"}]
        if then == "REFUSED":
            found["rejection_reason_code"] = item.get("rejection_reason_code") or "RETURN_REJECTION_NOT_ELIGIBLE"
        found["state"] = then
        return ""
