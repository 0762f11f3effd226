"""What a sandbox would post to us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.facts.outside import Clock, WebhookRequest


@dataclass(frozen=True, slots=True)
class Delivery:
    """A signed webhook, not yet posted. Header names are lower case."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    def request(self, clock: Clock) -> WebhookRequest:
        """As it arrives, when nothing listens and the caller hands it over."""
        return WebhookRequest(self.body, self.headers, {}, clock())
