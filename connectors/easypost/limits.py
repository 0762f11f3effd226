"""How often EasyPost may be asked: it lists things 5 times a second."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from engine.facts.budget import Limit, Quota

QUOTA = Quota(
    operations=MappingProxyType({"GET trackers": "Trackers by their tracking number"}),
    limits=(Limit(5, timedelta(seconds=1), "GET trackers"),),
)
