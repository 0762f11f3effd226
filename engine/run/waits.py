"""How long to wait before the outside is asked again, and when to stop asking."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=30)
LONGEST_WISH = timedelta(days=1)
MOST_TRIES = 12  # sends that were put off; with the waits above about four hours
LONGEST_WITHOUT_LOOK = timedelta(hours=24)
MOST_SENDS = 3  # sends of which nothing was ever seen
MOST_CUT_OFF = 12  # sends during which the process ended
FIRST_LOOK = timedelta(minutes=1)
LAST_LOOK = timedelta(hours=1)
SLOWEST = 6  # times the first wait, before a refusal that lasts is tried again
SPREAD = 0.25  # of a wait: what failed together does not come again together


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
        return backed_off(key, failures)

    def forget(self, key: str) -> None:
        self._failing.pop(key, None)

    @staticmethod
    def after_send(key: str, attempts: int, wish: timedelta | None, *, for_ever: bool = False) -> timedelta | None:
        """The wait after a send that was put off, or None after too many. `wish` is what the outside asked for; `for_ever`
        where it is the whole system that is in trouble, which is no reason to give one effect up.
        """
        if attempts >= MOST_TRIES and not for_ever:
            return None
        return max(backed_off(key, attempts - 1), min(wish or timedelta(0), LONGEST_WISH))


def next_look(sent_at: datetime, now: datetime, quiet: timedelta | None) -> datetime:
    """When to look for an unsure effect again: soon, then less often, and at the end of its quiet period."""
    look = now + min(max(now - sent_at, FIRST_LOOK), LAST_LOOK)
    if quiet is not None and now < sent_at + quiet < look:
        return sent_at + quiet
    return look


def next_try(refused_at: datetime, planned_at: datetime, wait: timedelta, key: str) -> datetime:
    """When something is tried again whose refusal passes by itself: after `wait`, and less often the longer that takes."""
    longer = min(max(wait, (refused_at - planned_at) / 8), wait * SLOWEST)
    return refused_at + longer - longer * SPREAD * _share(f"{key}/{refused_at.isoformat()}")


def backed_off(key: str, failures: int) -> timedelta:
    """Twice as long after every failure, up to `LONGEST_WAIT`, and up to a quarter shorter. By how much comes from the key, so
    that the same story always goes the same way.
    """
    wait = min(FIRST_WAIT * (1 << min(max(failures, 0), 10)), LONGEST_WAIT)
    return wait - wait * SPREAD * _share(f"{key}/{failures}")


def _share(text: str) -> float:
    """A number from 0 to 1 that is always the same for a text, and evenly spread over all texts."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) / 0xFFFFFFFF
