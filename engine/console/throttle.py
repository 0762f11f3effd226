"""How often something may be tried: pure arithmetic over instants, forgotten when the service ends."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

FREE = 5  # wrong passwords before anybody has to wait
FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(minutes=15)
FORGOTTEN = timedelta(hours=1)  # after the last wrong one
MOST_KEPT = 10_000


class Failures:
    """Wrong passwords, by account and by address: after the first few each one doubles the wait before the next try."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[int, datetime]] = OrderedDict()

    def wait(self, key: str, now: datetime) -> timedelta:
        """How long from now until it may be tried again; zero where it may be now."""
        count, last = self._seen.get(key, (0, now))
        if count < FREE or now - last >= FORGOTTEN:
            return timedelta(0)
        wait = min(FIRST_WAIT * (1 << min(count - FREE, 20)), LONGEST_WAIT)
        return max(last + wait - now, timedelta(0))

    def failed(self, key: str, now: datetime) -> None:
        count, last = self._seen.pop(key, (0, now))
        self._seen[key] = (count + 1 if now - last < FORGOTTEN else 1), now
        if len(self._seen) > MOST_KEPT:
            self._seen.popitem(last=False)

    def forget(self, key: str) -> None:
        self._seen.pop(key, None)


class Rate:
    """At most so many a minute for each key, a minute's worth at once."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    def takes(self, key: str, now: datetime) -> bool:
        """Whether there is room for one more, which is then taken."""
        left, since = self._left.pop(key, (float(self._per_minute), now))
        gained = max((now - since).total_seconds(), 0.0) / 60 * self._per_minute
        left = min(left + gained, float(self._per_minute))
        taken = left >= 1
        self._left[key] = left - 1 if taken else left, now
        if len(self._left) > MOST_KEPT:
            self._left.popitem(last=False)
        return taken
