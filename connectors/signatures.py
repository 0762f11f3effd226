"""Who sent a delivery: the four ways outside systems prove it, and how the sandboxes prove it in turn.

Every comparison takes the same time whatever differs, and an empty secret proves nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from engine.facts.secrecy import SHORTEST_KEY, same, unguessable

EASYPOST_PREFIX = "hmac-sha256-hex="
STANDARD_WEBHOOKS_TOLERANCE = timedelta(minutes=5)  # standardwebhooks.com: older deliveries may be replays


def _signs(secret: SecretStr) -> SecretStr:
    if not secret:
        raise ValueError("it is empty, and would prove nothing")
    return unguessable(secret, SHORTEST_KEY)


UrlToken = Annotated[SecretStr, AfterValidator(unguessable)]
SigningSecret = Annotated[SecretStr, AfterValidator(_signs)]


def easypost_signature(body: bytes, secret: str) -> str:
    """`hmac-sha256-hex=<hex>`. EasyPost keys with the NFKD form of the secret, so "é" typed either way is the same."""
    key = unicodedata.normalize("NFKD", secret).encode()
    return EASYPOST_PREFIX + hmac.new(key, body, hashlib.sha256).hexdigest()


def from_easypost(body: bytes, signature: str, secret: str) -> bool:
    """Whether `X-Hmac-Signature` was made over these bytes with this secret."""
    return bool(secret) and same(signature.lower(), easypost_signature(body, secret))


def shopify_signature(body: bytes, secret: str) -> str:
    """Base64 of the HMAC-SHA256 of the raw bytes."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode("ascii")


def from_shopify(body: bytes, signature: str, secret: str) -> bool:
    """Whether `X-Shopify-Hmac-Sha256` was made over these bytes with the app's client secret."""
    return bool(secret) and same(signature, shopify_signature(body, secret))


def standard_webhooks_key(secret: str) -> bytes:
    """The key in `whsec_<base64>`. Raises `ValueError` where it is not base64 or empty."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as fault:
        raise ValueError("a webhook secret is `whsec_` and base64") from fault
    if not key:
        raise ValueError("a webhook secret is `whsec_` and base64, and not empty")
    return key


def standard_webhooks_signature(body: bytes, message_id: str, timestamp: str, secret: str) -> str:
    """`v1,<base64>` over `<id>.<timestamp>.<raw body>`."""
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "backslashreplace") + body
    digest = hmac.new(standard_webhooks_key(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")


def from_standard_webhooks(
    body: bytes,
    *,
    message_id: str,
    timestamp: str,
    signatures: str,
    secret: str,
    now: datetime,
    tolerance: timedelta = STANDARD_WEBHOOKS_TOLERANCE,
) -> bool:
    """Whether one of the blank-separated `webhook-signature`s was made over this delivery, and lately.

    `timestamp` is `webhook-timestamp`, seconds since 1970; `now` is when the delivery came in. Raises `ValueError` only
    for a secret that cannot be a key.
    """
    expected = standard_webhooks_signature(body, message_id, timestamp, secret)
    genuine = any(same(signature, expected) for signature in signatures.split())
    return genuine and bool(message_id) and _close(timestamp, now, tolerance)


def _close(timestamp: str, now: datetime, tolerance: timedelta) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    try:
        sent = datetime.fromtimestamp(int(timestamp), UTC)
    except (OverflowError, ValueError, OSError):
        return False
    return abs(now - sent) <= tolerance
