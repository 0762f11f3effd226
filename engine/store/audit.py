"""The audit trail: who did what, when. Each entry holds the hash of the one before it, so that nothing is changed unseen.

The hash of an entry is the SHA-256 of its canonical form: everything it says and the hash before it, as JSON with sorted keys
and no spaces. A trail that lost its end is still a chain: only an anchor kept elsewhere, `NUMBER:HASH`, shows that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

FIRST = "0" * 64  # stands before the first entry
PAGE = 1000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that was done. `at` is an instant as the store writes it, `details` JSON text, `before` the hash of the entry
    before; `about` names the rule set, effect, event or exception.
    """

    number: int
    at: str
    by: str
    did: str
    about: str
    case: str
    reason: str
    details: str
    before: str
    hash: str

    @property
    def anchor(self) -> str:
        """What to keep elsewhere, so that a trail that lost its end is noticed."""
        return f"{self.number}:{self.hash}"


class AuditTrail(Protocol):
    """Append-only. An entry is written in the transaction of what it tells."""

    def append(
        self,
        at: datetime,
        by: str,
        did: str,
        about: str = "",
        *,
        case: str = "",
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> AuditEntry:
        """Raises RuntimeError outside a transaction."""
        ...

    def entries(self, after: int, limit: int) -> list[AuditEntry]:
        """In order, from the one after this number."""
        ...

    def about(self, about: str, case: str = "") -> list[AuditEntry]:
        """What was done about this, in order; with `case`, of that case only."""
        ...

    def last(self) -> AuditEntry | None: ...


@dataclass(frozen=True, slots=True)
class Broken:
    """The first entry at which the trail is not what was written, and why."""

    number: int
    why: str


def hash_of(entry: AuditEntry) -> str:
    """What the entry's hash has to be, as hexadecimal text."""
    told = asdict(entry)
    del told["hash"]
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def every_entry(trail: AuditTrail) -> Iterator[AuditEntry]:
    """All of them, in order."""
    last = 0
    while page := trail.entries(last, PAGE):
        yield from page
        last = page[-1].number


def first_broken(trail: AuditTrail, expect: str = "") -> Broken | None:
    """Where the trail stops being a chain from its first entry on. `expect` is an anchor, or its hash alone, which must be in it.

    Raises ValueError for an anchor that is none.
    """
    number, hash_ = anchor(expect) if expect else (0, "")
    before, last, seen = FIRST, 0, not hash_
    for entry in every_entry(trail):
        if entry.number != last + 1:
            return Broken(last + 1, f"entry {last + 1} is not there: {entry.number} follows {last}")
        if entry.before != before:
            return Broken(entry.number, f"it does not follow entry {last}: the hash before it is another one")
        if entry.hash != hash_of(entry):
            return Broken(entry.number, "what it says was changed: its hash is of something else")
        if entry.number == number and entry.hash != hash_:
            return Broken(entry.number, f"its hash is {entry.hash}, not the {hash_} that was kept")
        seen = seen or entry.hash == hash_
        before, last = entry.hash, entry.number
    if not seen:
        there = f"the trail ends at entry {last}" if last else "the trail is empty"
        return Broken(last + 1, f"{f'entry {number}' if number else f'the entry with hash {hash_}'} is not there: {there}")
    return None


def anchor(text: str) -> tuple[int, str]:
    """Number, 0 where it is not told, and hash of an anchor. Raises ValueError."""
    number, _, hash_ = text.strip().rpartition(":")
    if len(hash_) != len(FIRST) or set(hash_) - set("0123456789abcdef") or not (number.isdecimal() or not number):
        raise ValueError(f"{text!r} is not an anchor: `instep audit verify` prints one, as NUMBER:HASH")
    return int(number or 0), hash_
