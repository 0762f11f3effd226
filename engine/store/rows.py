"""What a store keeps, as values. Canonical values travel as JSON text, so that a store needs no vocabulary and people can read
the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from engine.facts.outside import Event, Ref

Node = tuple[str, str]  # (kind, key) of a record, whether it has come or not


class StoreInUse(Exception):  # noqa: N818 - named for what it tells
    """Another process is the writer of this store."""


class NewerStore(Exception):  # noqa: N818
    """The store was written by a newer version of instep."""


class StoreBusy(Exception):  # noqa: N818
    """It was not this connection's turn to write for as long as it could wait."""


@dataclass(frozen=True, slots=True)
class Journalled:
    """An event with its place in the journal."""

    seq: int
    event: Event
    received_at: datetime


@dataclass(frozen=True, slots=True)
class IntakeRow:
    """Events up to this one were taken in together, at this instant."""

    upto_seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step of an effect, after the events up to `journal_seq` had been taken in. `step` is JSON text."""

    id: int
    case: str
    key: str
    journal_seq: int
    at: datetime
    step: str


@dataclass(frozen=True, slots=True)
class SetAsideRow:
    """A payload that could not become a record. It waits, whole, until a mapping can read it."""

    seq: int
    connector: str
    kind: str
    reason: str
    place: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record: `state` is the JSON text of its `RecordState`, `sources` the event each of its mappings last won with."""

    id: int
    kind: str
    key: str
    seen_at: datetime
    state: str
    sources: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case: `memory` is JSON text, `version` counts the passes that changed something."""

    id: int
    name: str
    anchored: bool
    opened_at: datetime
    memory: str
    version: int = 0
    open: bool = True
    wake_at: datetime | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """The latest pass that came out differently, and until when it was confirmed."""

    id: int
    rule_set: str
    now: datetime
    last_now: datetime
    trace: str


@dataclass(frozen=True, slots=True)
class LookedRow:
    """That a case was looked at, after the events up to `journal_seq`, and what tells the outcome from others."""

    id: int
    case: str
    journal_seq: int
    now: datetime
    rule_set: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class EffectEntry:
    """An effect as the outbox keeps it; `units`, `params` and `receipt` are JSON text. `due_at` is when the dispatcher looks
    at it next; None is never.
    """

    key: str
    action: str
    subject: str
    status: str
    mode: str
    rule: str
    item: str
    group: str
    units: str
    params: str
    planned_at: datetime
    due_at: datetime | None
    not_before: datetime | None
    sent_at: datetime | None
    settled_at: datetime | None
    attempts: int
    reason: str
    detail: str
    receipt: str


@dataclass(frozen=True, slots=True)
class EffectRow:
    """An outbox row. `deadline` is by when it has to be out, where a promise says so."""

    id: int
    case_id: int
    case: str
    entry: EffectEntry
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExceptionEntry:
    """What the store is told about an exception."""

    key: str
    rule: str
    item: str
    about: str
    owner: str
    severity: str
    title: str
    runbook: str
    answers: str
    state: str
    opened_at: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExceptionRow:
    """An exception with its case (empty where it is about the client as a whole)."""

    id: int
    case_id: int | None
    case: str
    entry: ExceptionEntry
    assigned_to: str
    closed_at: datetime | None
    why_closed: str


@dataclass(frozen=True, slots=True)
class FeedRow:
    """How far a poll came, and when it is due next."""

    connector: str
    feed: str
    cursor: str
    next_at: datetime
    failures: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class FetchRow:
    """One thing to be fetched. `asked` counts how often it was asked for."""

    id: int
    asked: int
    connector: str
    ref: Ref
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class RuleSetRow:
    """A rule set that was activated. `passed_over` is the digest of the files that lay on disk when another set was chosen by
    hand; `caught_up_at` is when all open cases had been looked at with it.
    """

    id: int
    hash: str
    client: str
    activated_at: datetime
    activated_by: str
    why: str
    passed_over: str
    caught_up_at: datetime | None


@dataclass(frozen=True, slots=True)
class ActivationRequest:
    """That somebody wants a rule set activated, and what became of it."""

    id: int
    hash: str
    asked_by: str
    asked_at: datetime
    done_at: datetime | None = None
    fine: bool = False
    outcome: str = ""
