"""What a ShipBob delivery says, once its sender is known."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, SecretStr, StrictInt, ValidationError

from connectors.bodies import json_of
from connectors.signatures import STANDARD_WEBHOOKS_TOLERANCE, from_standard_webhooks
from engine.facts.outside import Ref, Rejected, WebhookRequest

RETURN, RETURN_BY_ID = "shipbob.return", "shipbob.return_id"
TOPICS = frozenset({"return.created", "return.updated", "return.completed"})


class _Body(BaseModel):
    """All we rely on: ShipBob publishes no schema of its deliveries, only that they look like the resource."""

    id: StrictInt | None = None
    reference_id: str | None = None


def read(request: WebhookRequest, secret: SecretStr) -> Ref | None:
    """The return to fetch, None for a topic we do not use. Raises `Rejected`."""
    headers = request.headers
    if not _signed(request, secret, STANDARD_WEBHOOKS_TOLERANCE):
        if _signed(request, secret, timedelta.max):
            minutes = STANDARD_WEBHOOKS_TOLERANCE // timedelta(minutes=1)
            raise Rejected(401, f"it was signed more than {minutes} minutes from now: a replay, or a wrong clock", "stale")
        raise Rejected(401, "the signature does not match")
    if headers.get("x-webhook-topic") not in TOPICS:
        return None
    try:
        body = _Body.model_validate(json_of(request.body))
    except ValidationError:
        raise Rejected(400, "not a return", "not_the_kind") from None
    if body.reference_id and body.reference_id.isprintable():
        return Ref(RETURN, body.reference_id)
    if body.id is None:
        raise Rejected(400, "a return without id and reference_id", "not_the_kind")
    return Ref(RETURN_BY_ID, str(body.id))


def _signed(request: WebhookRequest, secret: SecretStr, tolerance: timedelta) -> bool:
    headers = request.headers
    return from_standard_webhooks(
        request.body,
        message_id=headers.get("webhook-id", ""),
        timestamp=headers.get("webhook-timestamp", ""),
        signatures=headers.get("webhook-signature", ""),
        secret=secret.get_secret_value(),
        now=request.received_at,
        tolerance=tolerance,
    )
