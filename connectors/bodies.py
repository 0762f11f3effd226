"""The body of a delivery, once its sender is known."""

from __future__ import annotations

from typing import Any

from connectors.depth import deeper_than
from connectors.http import loads
from engine.facts.outside import Rejected

DEEPEST = 64  # objects and lists within each other; the deliveries of all systems here stay under ten


def json_of(body: bytes) -> Any:
    """What the body says, fractions as exact `Decimal`. Raises `Rejected` where it is not JSON, or is nested too deeply."""
    if deeper_than(body, DEEPEST):
        raise Rejected(400, f"the body is nested more than {DEEPEST} deep", "too_deep")
    try:
        return loads(body)
    except ValueError as fault:
        raise Rejected(400, f"the body is not JSON: {fault}", "not_json") from None


def object_of(body: bytes) -> dict[str, Any]:
    """A body that is a JSON object. Raises `Rejected`."""
    told = json_of(body)
    if not isinstance(told, dict):
        raise Rejected(400, "the body is not a JSON object", "not_the_kind")
    return told
