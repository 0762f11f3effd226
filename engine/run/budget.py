"""How often each connector may be asked in a day, spent by priority. The count survives restarts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from typing import Literal

from engine.facts.outside import TryLater
from engine.run.clock import Clock
from engine.store.base import Store

Purpose = Literal["look_up", "perform", "fetch", "poll"]
KEPT_BACK: Mapping[Purpose, float] = MappingProxyType({"perform": 0.0, "look_up": 0.0, "fetch": 0.1, "poll": 0.2})


class Budget:
    """`per_day` by connector name. Polls leave the last fifth of a day's calls to others, fetches the last tenth."""

    def __init__(self, store: Store, clock: Clock, per_day: Mapping[str, int]) -> None:
        self._store = store
        self._clock = clock
        self._per_day = per_day

    def spend(self, connector: str, purpose: Purpose) -> None:
        """One more call. Raises `TryLater` until the day ends (UTC) where none is left for that."""
        now = self._clock().astimezone(UTC)
        day = now.date().isoformat()
        limit = self._per_day.get(connector)
        if limit is not None and self._store.rounds.spent(connector, day) >= limit * (1 - KEPT_BACK[purpose]):
            raise TryLater(f"the day's {limit} calls to {connector} are used up", _midnight(now) - now)
        self._store.rounds.spend(connector, day, 1)


def _midnight(now: datetime) -> datetime:
    return datetime.combine(now.date() + timedelta(days=1), time(), UTC)
