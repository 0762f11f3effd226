"""How often ShipBob may be asked: 150 requests a minute, in a sliding window, of all its APIs together."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from engine.facts.budget import Limit, Quota

_SEEN_BEFORE_AND_AFTER = 4  # by reference: the look-up, once more before it is sent, and all of that reference afterwards

QUOTA = Quota(
    operations=MappingProxyType(
        {
            "GET return": "Expected returns, listed or one by its id",
            "POST return": "Announcing a return",
            "POST return:cancel": "Cancelling one",
        }
    ),
    limits=(Limit(150, timedelta(minutes=1)),),
    costs=MappingProxyType(
        {
            "create_asn": MappingProxyType({"POST return": 1, "GET return": _SEEN_BEFORE_AND_AFTER}),
            "cancel_asn": MappingProxyType({"POST return:cancel": 1, "GET return": _SEEN_BEFORE_AND_AFTER}),
        }
    ),
)
