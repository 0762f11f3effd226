"""What a look-up says about an effect, judged by the order or the return as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from connectors.mirakl.actions import action_of
from connectors.mirakl.client import Json, objects
from connectors.mirakl.reading import ORDER, RETURN
from engine.facts.outside import Order, Ref

# what a return may have become once the wanted state was reached
_REACHED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "accepted": frozenset({"IN_PROGRESS", "RECEIVED", "NO_RECEPTION", "CLOSED"}),
        "refused": frozenset({"REFUSED"}),
        "received": frozenset({"RECEIVED", "CLOSED"}),
        "closed": frozenset({"CLOSED"}),
    }
)


def about(order: Order) -> Ref:
    """The order or return to look at."""
    match action_of(order):
        case "refund" | "cancel":
            return Ref(ORDER, str(order.params["order"]))
        case "resolve_incident":
            return Ref(ORDER, str(order.params["line"]["parent"]["id"]))
        case _:
            return Ref(RETURN, str(order.params["market_return"]["id"]))


def done(order: Order, thing: Json) -> bool | None:
    """Whether it has been done, by anyone. None where the facts must tell, or where the state cannot."""
    match action_of(order):
        case "resolve_incident":
            return _resolved(order, thing)
        case "set_return":
            return thing.get("state") in _REACHED[str(order.params["state"])]
        case "report_compliance":
            return _reported(thing, compliant=bool(order.params["compliant"]))
    return None


def _resolved(order: Order, thing: Json) -> bool | None:
    line_id = order.params["line"]["id"]
    states = [li.get("order_line_state") for li in objects(thing, "order_lines") if li.get("order_line_id") == line_id]
    if states and states[0] != "INCIDENT_OPEN":
        return True
    # resolving is not closing: the incident may stay open until the customer or the operator closes it
    return False if order.sent_at is None else None


def _reported(thing: Json, *, compliant: bool) -> bool:
    lines = objects(thing, "return_lines")
    told = [objects(line, "compliance") for line in lines]
    return bool(told) and all(t and all(c.get("compliant") is compliant for c in t) for t in told)
