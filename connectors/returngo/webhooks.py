"""Deliveries of ReturnGO. They carry no signature, no id and no documented shape: they are believed only that far that the
RMA they name is worth fetching, and only when our own token is in the URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from connectors.bodies import object_of
from engine.facts.outside import Rejected, WebhookRequest
from engine.facts.secrecy import same


def rma_named(request: WebhookRequest, token: SecretStr) -> str:
    """The RMA a delivery is about, "" where it names none. Raises `Rejected` for a wrong token or a body that is no object."""
    if not same(request.query.get("token", ""), token.get_secret_value()):
        raise Rejected(401, "the token in the URL is wrong or absent")
    return _named(object_of(request.body))


def _named(told: Mapping[str, Any]) -> str:
    """`rmaId` wherever it may stand: at the top, in a summary, or one step further in."""
    inner = [value for value in told.values() if isinstance(value, dict)]
    places = [told, *inner, *(value for each in inner for value in each.values() if isinstance(value, dict))]
    return next(filter(None, (_digits(place.get("rmaId")) for place in places)), "")


def _digits(value: Any) -> str:
    """An RMA id: digits, as text or number, with or without the RMA in front that staff write."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip().upper().removeprefix("RMA") if isinstance(value, str) else f"{value:d}"
    return text if text.isascii() and text.isdigit() and len(text) <= 20 else ""
