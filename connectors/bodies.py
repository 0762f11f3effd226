"""The body of a delivery, once its sender is known."""

from __future__ import annotations

import re
from typing import Any

from connectors.http import loads
from engine.facts.outside import Rejected

DEEPEST = 64  # objects and lists within each other; the deliveries of all systems here stay under ten
_TEXTS = re.compile(
    rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL
)  # one that is never closed goes to the end: linear, whatever comes
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


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


def deeper_than(body: bytes, most: int) -> bool:
    """Whether objects and lists stand within each other deeper than that, found without building any of them."""
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    depth = 0
    for bracket in _TEXTS.sub(b"", body).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > most:
            return True
    return False
