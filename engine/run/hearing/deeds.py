"""What people decide, as events like any other: journalled first, with who it was in the audit trail, then taken in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal, Self, get_args

from engine.decide.memory import Memory
from engine.decide.outcomes import WrongState, acknowledged, looked_for, retried
from engine.decide.people import NotPossible, answered, resolved
from engine.facts.outside import Event
from engine.store.base import Store
from engine.store.stamps import stamp

PERSON = "person"
DeedKind = Literal[
    "person.answer", "person.resolve", "person.correct",
    "person.retry", "person.look", "person.acknowledge",
    "person.read_again", "person.discard",
]  # fmt: skip
OF_EVENTS: tuple[DeedKind, ...] = ("person.read_again", "person.discard")
KINDS: tuple[DeedKind, ...] = get_args(DeedKind)
DID = {
    "person.answer": "answered",
    "person.resolve": "resolved",
    "person.correct": "corrected",
    "person.retry": "retried",
    "person.look": "looked up",
    "person.acknowledge": "discarded",
    "person.read_again": "retried",
    "person.discard": "discarded",
}


@dataclass(frozen=True, slots=True)
class Deed:
    """Something a person decided about a case, or about an event that was set aside.

    `key` is the exception that is answered or resolved, the effect that is tried again, looked up or done with, the field that
    is corrected as `rma:1001.received_at`, or the event as `event:17`. `value` is the answer, the corrected value as JSON text,
    or the event's `mark`. `reason` is why, in the person's words.
    """

    kind: DeedKind
    case: str
    key: str
    by: str
    value: str = ""
    reason: str = ""

    @classmethod
    def about_event(cls, kind: Literal["person.read_again", "person.discard"], seq: int, of: Event, by: str, why: str) -> Self:
        return cls(kind, "", f"event:{seq}", by, mark(of), why)

    @property
    def event_seq(self) -> int:
        """The place in the journal of the event it is about; 0 where it is about none."""
        number = self.key.removeprefix("event:")
        return int(number) if self.kind in OF_EVENTS and number.isdecimal() else 0

    def event(self, at: datetime) -> Event:
        payload = json.dumps(asdict(self), sort_keys=True).encode()
        return Event(PERSON, self.kind, payload, at, requested=False, about=self.case or self.key)

    @classmethod
    def of(cls, event: Event) -> Self:
        """Raises NotPossible where the event does not tell what was decided."""
        try:
            deed = cls(**json.loads(event.payload))
        except (ValueError, TypeError) as fault:
            raise NotPossible(f"not a deed: {fault}") from None
        if deed.kind not in KINDS:
            raise NotPossible(f"a person can do {', '.join(KINDS)}, not {deed.kind}")
        return deed

    def done_to(self, memory: Memory, at: datetime) -> Memory:
        """The case's memory after it. Raises NotPossible, saying what can be done instead."""
        try:
            match self.kind:
                case "person.answer":
                    return answered(memory, self.key, self.value, self.by, at)
                case "person.resolve":
                    return resolved(memory, self.key, at)
                case "person.retry":
                    return retried(memory, self.key)
                case "person.look":
                    return looked_for(memory, self.key)
                case "person.acknowledge":
                    return acknowledged(memory, self.key, self.by, self.reason)
                case _:
                    return memory
        except WrongState as no:
            raise NotPossible(str(no)) from None


@dataclass(frozen=True, slots=True)
class DoneTo:
    """A deed at its instant, as the change it makes of a case's memory."""

    deed: Deed
    at: datetime

    def __call__(self, memory: Memory) -> Memory:
        """Raises NotPossible, saying what can be done instead."""
        return self.deed.done_to(memory, self.at)


def noted(store: Store, deed: Deed, at: datetime, did: str = "") -> int:
    """Journals what a person decided and tells it in the audit trail, in one commit. The event's place in the journal."""
    with store.transaction():
        (seq,) = store.journal.append([deed.event(at)], at)
        details = {"journal": seq} | ({"value": deed.value} if deed.value and not deed.event_seq else {})
        told = did or DID[deed.kind]
        store.audit.append(at, deed.by, told, deed.key, case=deed.case, reason=deed.reason, details=details)
    return seq


def mark(event: Event) -> str:
    """What an event is known by wherever its history is told: not its place in a journal."""
    told = (event.connector, event.kind, event.about, event.delivery, stamp(event.observed_at))
    return hashlib.blake2b("\n".join(told).encode() + b"\n" + event.payload, digest_size=16).hexdigest()
