"""What people do: who it was, and that the service has taken it in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.decide.people import NotPossible
from engine.desk.stored import NotFound
from engine.facts.codec import timestamp
from engine.run.audit import INSTEP
from engine.run.hearing.deeds import PERSON, Deed, noted
from engine.store.base import Store
from engine.store.sqlite.lock import is_held

PATIENCE = 30.0  # seconds for the service to take in what it was told
GLANCE = 0.1
PAGE = 1000
LONGEST = 500  # characters of a name or a reason


@dataclass(frozen=True, slots=True)
class Wanted:
    """A deed, and the word the audit trail has for it where it is not the usual one."""

    deed: Deed
    did: str = ""


def person(by: str) -> str:
    """The name of a person. Raises `NotFound` where it names nobody."""
    name = by.strip()
    if name.casefold() in ("", INSTEP, PERSON, "nobody", "system", "unknown"):
        raise NotFound(f'--by wants the name of the person who decides, not "{by}": it stands in the audit trail')
    return _written("--by", name)


def reason(text: str) -> str:
    """Why, in the person's words. Raises `NotFound` where nothing is said."""
    if not text.strip():
        raise NotFound("--reason wants a sentence: whoever looks at it later sees only that")
    return _written("--reason", text.strip())


def _written(option: str, text: str) -> str:
    if len(text) > LONGEST or not text.isprintable():
        raise NotFound(f"{option} wants one line of at most {LONGEST} characters")
    return text


def instant(option: str, text: str) -> datetime | None:
    """An instant, or the beginning of a day; None for nothing. Raises `NotFound`."""
    if not text:
        return None
    try:
        return timestamp(text if "T" in text or " " in text.strip() else f"{text}T00:00:00Z")
    except ValueError:
        raise NotFound(f'{option} wants an instant like 2026-11-01 or 2026-11-01T09:00:00Z, not "{text}"') from None


def journalled(store: Store, path: Path, wanted: Sequence[Wanted]) -> bool:
    """Journals what somebody decided, all of it or nothing. Whether a running service has taken it in.

    Raises `NotFound` where only one thing was decided and it was no longer possible when the service came to it.
    """
    if not wanted:
        return False
    now = datetime.now(UTC)
    with store.transaction():
        last = max(noted(store, one.deed, now, one.did) for one in wanted)
    taken = _taken_in(store, path, last)
    late = store.asides.of(last) if taken and len(wanted) == 1 else None
    if late is not None and late.state == "waiting":
        raise NotFound(f"it was no longer possible when the service came to it: {late.reason}")
    return taken


def _taken_in(store: Store, path: Path, last: int) -> bool:
    end = time.monotonic() + PATIENCE
    while is_held(path):
        if store.journal.position() >= last:
            return True
        if time.monotonic() > end:
            return False
        time.sleep(GLANCE)
    return store.journal.position() >= last


def asked_already(store: Store) -> dict[str, str]:
    """What people have wanted and the service has not taken in yet, by the effect, event or exception it is about."""
    found: dict[str, str] = {}
    last = store.journal.position()
    while page := store.journal.after(last, PAGE):
        for entry in page:
            if entry.event.connector == PERSON:
                with suppress(NotPossible):
                    deed = Deed.of(entry.event)
                    found[deed.key] = f"{deed.by} has wanted something of it already, which the service has not taken in yet"
        last = page[-1].seq
    return found


def noted_only(path: Path) -> str:
    """What is said where nobody has taken it in yet."""
    if is_held(path):
        return "Noted. The service has not taken it in yet; it does, and nothing of it is lost."
    return "Noted. No service is running: it is done at the next start."
