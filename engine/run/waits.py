"""How long to wait before the outside is asked again, and when to stop asking."""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=30)
LONGEST_WISH = timedelta(days=1)
MOST_TRIES = 12  # sends that were put off; with the waits above about four hours
LONGEST_WITHOUT_LOOK = timedelta(hours=24)
MOST_SENDS = 3  # sends of which nothing was ever seen
FIRST_LOOK = timedelta(minutes=1)
LAST_LOOK = timedelta(hours=1)


class Patience:
    """How often looking an effect up has failed in a row. Forgotten on restart, which only lengthens it."""

    def __init__(self) -> None:
        self._failing: dict[str, tuple[datetime, int]] = {}

    def after_failure(self, key: str, now: datetime) -> timedelta | None:
        """The wait before the next look-up, or None where it has failed for too long."""
        since, failures = self._failing.get(key, (now, 0))
        if now - since >= LONGEST_WITHOUT_LOOK:
            self.forget(key)
            return None
        self._failing[key] = since, failures + 1
        return _doubling(failures)

    def forget(self, key: str) -> None:
        self._failing.pop(key, None)

    @staticmethod
    def after_send(attempts: int, wish: timedelta | None) -> timedelta | None:
        """The wait after a send that was put off, or None after too many. `wish` is what the outside asked for."""
        if attempts >= MOST_TRIES:
            return None
        return max(_doubling(attempts - 1), min(wish or timedelta(0), LONGEST_WISH))


def next_look(sent_at: datetime, now: datetime, quiet: timedelta | None) -> datetime:
    """When to look for an unsure effect again: soon, then less often, and at the end of its quiet period."""
    look = now + min(max(now - sent_at, FIRST_LOOK), LAST_LOOK)
    if quiet is not None and now < sent_at + quiet < look:
        return sent_at + quiet
    return look


def _doubling(failures: int) -> timedelta:
    return min(FIRST_WAIT * (1 << min(max(failures, 0), 10)), LONGEST_WAIT)
