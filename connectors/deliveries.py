"""What a sandbox would post to us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from engine.facts.outside import Clock, WebhookRequest


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook as its sender signs it, not yet posted. Header names are lower case."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    def request(self, clock: Clock) -> WebhookRequest:
        """As it arrives, when nothing listens and the caller hands it over."""
        query = dict(parse_qsl(urlsplit(self.url).query))
        return WebhookRequest(self.body, self.headers, query, clock())
