"""A scenario: what is known, what happens when, and what has to come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from engine.language.node import Node
from engine.problems import Place
from engine.simulate.given import RecordChange

Status = Literal["settled", "settled_elsewhere", "refused", "unsure", "planned", "withdrawn"]
Deed = Literal["settled", "settled_elsewhere", "refused", "unsure", "retried"]


@dataclass(frozen=True, slots=True)
class Payload:
    """What an outside system sent, for its mapping to read."""

    event: str
    about: str
    content: bytes
    place: Place

    @property
    def text(self) -> str:
        return f"{self.event} {self.about}".strip()


@dataclass(frozen=True, slots=True)
class Answered:
    """A person answers the exception of a rule; with more than one open, `item` says which."""

    rule: str
    answer: str
    item: str
    by: str
    place: Place


@dataclass(frozen=True, slots=True)
class Resolved:
    """A person resolves an exception that has no answers."""

    rule: str
    item: str
    place: Place


@dataclass(frozen=True, slots=True)
class Corrected:
    """A person corrects a milestone."""

    kind: str
    key: str
    field: str
    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class EffectMatch:
    """Effects of an action, all of them or those with these units and parameters, asked for by this rule for this item."""

    action: str
    place: Place
    units: frozenset[str] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    rule: str = ""
    item: str = ""


@dataclass(frozen=True, slots=True)
class ExceptionMatch:
    """An exception of a rule, or of the engine itself, that is open (or snoozed)."""

    rule: str
    place: Place
    owner: str | None = None
    severity: str | None = None
    title: str | None = None
    about: frozenset[str] | None = None
    item: str | None = None
    answers: frozenset[str] | None = None
    facts: frozenset[str] | None = None
    state: Literal["open", "snoozed"] = "open"


@dataclass(frozen=True, slots=True)
class VetoMatch:
    """A veto on an action: on these units or on the whole, by this rule."""

    action: str
    place: Place
    units: frozenset[str] | None = None
    by: str = ""
    because: str = ""


@dataclass(frozen=True, slots=True)
class OutcomeMatch:
    """What has become of an effect."""

    effect: EffectMatch
    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FactMatch:
    """What a record holds, worked out or seen."""

    kind: str
    key: str
    field: str
    value: Any
    place: Place


Match = EffectMatch | ExceptionMatch | VetoMatch | OutcomeMatch | FactMatch


@dataclass(frozen=True, slots=True)
class Became:
    """What became of planned effects, or of everything planned where there is no `match`."""

    deed: Deed
    match: EffectMatch | None
    place: Place
    reason: str = ""
    detail: str = ""


Happening = RecordChange | Payload | Answered | Resolved | Corrected | Became


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be (`wanted`) and must not be (`unwanted`) at one instant. With `exact` nothing else is planned or open."""

    place: Place
    wanted: tuple[Match, ...] = ()
    unwanted: tuple[Match, ...] = ()
    exact: bool = False
    nothing: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at one instant, and then what is expected."""

    at: datetime
    happenings: tuple[Happening, ...] = ()
    expected: tuple[Expected, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One promise, as it can be tried.

    `never` holds over the whole run, which ends at `until` or with the last step. `assuming` are the keys of `client.yaml`
    it assumes; None where it takes the client as it is.
    """

    title: str
    file: str
    place: Place
    start: datetime
    given: tuple[RecordChange | Payload, ...]
    steps: tuple[Step, ...]
    never: tuple[Match, ...]
    until: datetime
    assuming: Node | None = None

    def names_exception(self, rule: str) -> bool:
        """Whether it expects an exception of this rule at some time."""
        wanted = (match for step in self.steps for expected in step.expected for match in expected.wanted)
        return any(isinstance(match, ExceptionMatch) and match.rule == rule for match in wanted)
