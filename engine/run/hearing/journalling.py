"""What was heard is written down: events in the journal, hints among what is to be fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from engine.facts.outside import Event, Hint
from engine.run.hearing.deeds import PERSON
from engine.store.base import Store


@dataclass(frozen=True, slots=True)
class Written:
    """How many events are new, and how many had been written down before."""

    new: int
    repeated: int


def write_down(store: Store, heard: Iterable[Event | Hint], now: datetime) -> Written:
    """Within a transaction of the caller's. What a delivery that is there already hints at was asked for with the first one."""
    heard = tuple(heard)
    events = [known_by(one) for one in heard if isinstance(one, Event)]
    new = len(store.journal.append(events, now))
    if new or not events:
        for hint in (one for one in heard if isinstance(one, Hint)):
            store.rounds.ask(hint.connector, hint.ref, now, "hint")
    return Written(new, len(events) - new)


def known_by(event: Event) -> Event:
    """A delivery whose sender gives it no id is known by what it says: the same said again is the same delivery.

    What we asked for is an observation each time, and so is what a person decides.
    """
    if event.requested or event.delivery or event.connector == PERSON:
        return event
    digest = hashlib.blake2b(digest_size=16)
    for part in (event.kind.encode(), event.about.encode("utf-8", "backslashreplace"), event.payload):
        digest.update(len(part).to_bytes(8, "big") + part)
    return replace(event, delivery=f"digest:{digest.hexdigest()}")
