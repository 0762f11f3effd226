"""What rules can ask of the returns platform, and what became of it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from connectors.returngo.client import ReturnGoClient
from connectors.returngo.words import RMA_STATUS, SHIPMENT_STATUS
from engine.facts.outside import Action, Codes, Order, Param, Refused
from engine.facts.schema import TEXT, enum_of, record_of

CARRIER = "returns.set_shipment.carrier"
SKEW = timedelta(minutes=2)  # their clock beside ours, when a comment is looked for by its time

ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "set_status": Action(
            "set_status",
            {
                "rma": Param(record_of("rma"), "The RMA"),
                "status": Param(enum_of(*(word for word in RMA_STATUS if word != "requested")), "Its new status"),
            },
            subject=("rma",),
            doc="Sets the status of an RMA: approved, rejected, received, validated, done or cancelled",
            once=False,
            sets="status",
        ),
        "comment": Action(
            "comment",
            {"rma": Param(record_of("rma"), "The RMA"), "text": Param(TEXT, "Plain text; it is not read as HTML")},
            subject=("rma", "text"),
            doc="Writes into the timeline of an RMA, where staff read it",
            once=False,
        ),
        "set_shipment": Action(
            "set_shipment",
            {
                "shipment": Param(record_of("shipment"), "The shipment of an RMA"),
                "status": Param(enum_of(*SHIPMENT_STATUS), "Its new status"),
                "tracking_number": Param(TEXT, "The carrier's number, where it is to be set too", required=False),
                "carrier": Param(
                    TEXT, "The carrier, where it is to be set too; `codes` says how ReturnGO names it", required=False
                ),
            },
            subject=("shipment",),
            doc="Sets the status of a shipment, its tracking number and its carrier",
            coded=MappingProxyType({"carrier": "ReturnGO's name of a carrier"}),
            once=False,
            sets="status",
        ),
    }
)


async def send(client: ReturnGoClient, order: Order, codes: Codes) -> str:
    """Performs one, and returns a reference of what was done. Raises what the client raises, and `Refused`."""
    match action_name(order), order.params:
        case "set_status", {"rma": {"id": str(rma_id)}, "status": str(status)} if status in RMA_STATUS:
            await client.set_status(rma_id, RMA_STATUS[status])
            return f"rma {rma_id} {RMA_STATUS[status]}"
        case "comment", {"rma": {"id": str(rma_id)}, "text": str(text)}:
            await client.comment(rma_id, as_html(text))
            return f"rma {rma_id} comment"
        case "set_shipment", {"shipment": {"id": str(shipment_id)}, "status": str(status)} if status in SHIPMENT_STATUS:
            change = {"status": SHIPMENT_STATUS[status], **_shipment_extras(order, codes)}
            await client.set_shipment(shipment_id, change)
            return f"shipment {shipment_id} {SHIPMENT_STATUS[status]}"
    if action_name(order) not in ACTIONS:
        raise Refused("unknown_action", f"the returns platform cannot do {order.action}")
    raise Refused("invalid_parameters", f"{order.action} with {', '.join(order.params)}")


def _shipment_extras(order: Order, codes: Codes) -> dict[str, str]:
    """What else of a shipment is set, in ReturnGO's words. Without a table a carrier goes by the name the rule gives it;
    with one, a word that is not in it raises `Refused`.
    """
    number, carrier = order.params.get("tracking_number"), order.params.get("carrier")
    found = {"trackingNumber": str(number)} if number else {}
    if carrier:
        table = codes.get(CARRIER, {})
        if table and carrier not in table:
            raise Refused("carrier_unmapped", f"no code for {carrier!r} under {CARRIER}")
        found["carrierName"] = table.get(str(carrier), str(carrier))
    return found


def rma_id_of(order: Order) -> str:
    """The RMA an order is about; "" where it names none."""
    match action_name(order), order.params:
        case "set_shipment", {"shipment": {"parent": {"id": str(rma_id)}}}:
            return rma_id
        case "set_status" | "comment", {"rma": {"id": str(rma_id)}}:
            return rma_id
    return ""


def is_done(order: Order, rma: Mapping[str, Any], codes: Codes) -> bool:
    """Whether an RMA, as ReturnGO tells it, is as the order wants it."""
    match action_name(order), order.params:
        case "set_status", {"status": str(status)}:
            summary = rma.get("rmaSummary")
            return isinstance(summary, dict) and summary.get("status") == RMA_STATUS.get(status, "")
        case "comment", {"text": str(text)}:
            return any(_says(entry, text, order.planned_at - SKEW) for entry in _objects(rma.get("comments")))
        case "set_shipment", {"shipment": {"id": str(shipment_id)}, "status": str(status)}:
            try:
                wanted = _shipment_extras(order, codes)
            except Refused:  # it cannot have been sent, and is refused when it is to be
                return False
            return any(
                s.get("status") == SHIPMENT_STATUS.get(status, "") and all(s.get(name) == value for name, value in wanted.items())
                for s in _objects(rma.get("shipments"))
                if s.get("shipmentId") == shipment_id
            )
    return False


def as_html(text: str) -> str:
    """Plain text for the timeline, which is HTML."""
    return html.escape(text, quote=False).replace("\n", "<br />")


def action_name(order: Order) -> str:
    """`set_status` of `returns.set_status`."""
    return order.action.rpartition(".")[2]


def _says(entry: Mapping[str, Any], text: str, since: datetime) -> bool:
    """Whether a timeline entry is this text, written since then: the same words from before are another occasion."""
    return _plain(str(entry.get("htmlText", ""))) == _plain(as_html(text)) and _written_since(entry, since)


def _written_since(entry: Mapping[str, Any], since: datetime) -> bool:
    try:
        return datetime.fromisoformat(str(entry.get("datetime"))) >= since
    except (ValueError, TypeError):
        return True  # of no time we can read: better not said twice


def _plain(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^<>]*>", " ", markup)).split())


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
