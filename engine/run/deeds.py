"""What people decide, as events like any other: journalled first, then taken in."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal, Self

from engine.decide.memory import Memory
from engine.decide.outcomes import WrongState, retried
from engine.decide.people import NotPossible, answered, resolved
from engine.facts.outside import Event

PERSON = "person"
DeedKind = Literal["person.answer", "person.resolve", "person.retry", "person.correct"]
KINDS: tuple[DeedKind, ...] = ("person.answer", "person.resolve", "person.retry", "person.correct")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something a person decided about a case.

    `key` is the exception that is answered or resolved, the effect that is tried again, or the field that is corrected as
    `rma:1001.received_at`. `value` is the answer, or the corrected value as JSON text.
    """

    kind: DeedKind
    case: str
    key: str
    by: str
    value: str = ""

    def event(self, at: datetime) -> Event:
        payload = json.dumps(asdict(self), sort_keys=True).encode()
        return Event(PERSON, self.kind, payload, at, requested=False, about=self.case)

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
        match self.kind:
            case "person.answer":
                return answered(memory, self.key, self.value, self.by, at)
            case "person.resolve":
                return resolved(memory, self.key, at)
            case "person.retry":
                try:
                    return retried(memory, self.key)
                except WrongState as no:
                    raise NotPossible(str(no)) from None
            case "person.correct":
                return memory
