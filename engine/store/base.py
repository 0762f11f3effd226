"""What a store keeps and promises, whatever database is under it.

Everything written inside one `transaction()` is there after a crash, or nothing of it is. What is kept are the rows of
`engine.store.rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from engine.facts.outside import Event, Ref
from engine.language.ruleset import RuleSet
from engine.store.accounts import Accounts
from engine.store.aside import Asides
from engine.store.audit import AuditTrail
from engine.store.budgets import Budgets
from engine.store.candidates import Candidates
from engine.store.effects import Effects
from engine.store.queue import Queue
from engine.store.retention import Retention
from engine.store.rows import (
    ActivationRequest,
    CaseRow,
    DecisionRow,
    EffectEntry,
    EffectRow,
    ExceptionEntry,
    ExceptionRow,
    FeedRow,
    FetchRow,
    IntakeRow,
    Journalled,
    LookedRow,
    Node,
    RecordRow,
    RuleSetRow,
    SetAsideRow,
    StepRow,
)
from engine.store.safekeeping import Safekeeping


class Journal(Protocol):
    """Every event, append-only, in the order it came to be known."""

    def append(self, events: Sequence[Event], received_at: datetime) -> list[int]:
        """The sequence numbers of the new ones. A delivery that is there already, with the same payload, is left out."""
        ...

    def after(self, seq: int, limit: int) -> list[Journalled]:
        """In order, from the one after this; without those whose payload has left the store."""
        ...

    def one(self, seq: int) -> Journalled | None: ...

    def position(self) -> int:
        """Up to where events have been taken in."""
        ...

    def move_to(self, seq: int, at: datetime) -> None:
        """Everything up to this one is taken in, as of now."""
        ...

    def intakes(self, after: int, limit: int) -> list[IntakeRow]: ...

    def behind(self) -> int:
        """How many events wait to be taken in."""
        ...

    def last(self) -> int:
        """The sequence number of the latest event, 0 before the first."""
        ...

    def waiting_since(self) -> datetime | None:
        """When the first event that waits to be taken in came."""
        ...

    def set_aside(self, seq: int, reason: str, place: str, at: datetime) -> None: ...

    def waiting_aside(self) -> list[SetAsideRow]: ...

    def no_longer_aside(self, seq: int, at: datetime) -> None: ...


class Records(Protocol):
    """Records by kind and key, and the links between them."""

    def get(self, kind: str, key: str) -> RecordRow | None: ...

    def put(self, row: RecordRow) -> int:
        """By kind and key; the id of the row is not looked at. Returns its id."""
        ...

    def link(self, record_id: int, links: Iterable[Node]) -> None:
        """Replaces the links of the record."""
        ...

    def neighbours(self, node: Node) -> list[Node]:
        """Nodes this one names, and nodes that name it."""
        ...

    def ids(self, nodes: Iterable[Node]) -> dict[Node, int]:
        """Of those that have come."""
        ...

    def of_case(self, case_id: int) -> list[RecordRow]: ...

    def of_kind(self, kind: str) -> list[RecordRow]: ...


class Placements(Protocol):
    """Cases and who is in them."""

    def get(self, case_id: int) -> CaseRow | None: ...

    def named(self, name: str) -> CaseRow | None:
        """The case of this name, or the one it lives on in."""
        ...

    def holding(self, record_id: int) -> list[CaseRow]: ...

    def open(self, name: str, *, anchored: bool, opened_at: datetime, memory: str) -> int: ...

    def rename(self, case_id: int, name: str) -> None: ...

    def members(self, case_id: int) -> set[int]: ...

    def set_members(self, case_id: int, record_ids: Iterable[int]) -> None: ...

    def absorb(self, case_id: int, into: int) -> None:
        """The case lives on in another; what was kept of it is found there."""
        ...

    def wake(self, case_ids: Iterable[int], at: datetime) -> None:
        """Look at them at this instant, or earlier where that was due anyway."""
        ...

    def all_open(self) -> list[int]: ...


class Cases(Placements, Protocol):
    """Also what was decided last, and when to look again."""

    def find(self, text: str) -> list[CaseRow]:
        """By the name of the case, or by the key of any record in it or named by one in it."""
        ...

    def save(self, row: CaseRow) -> None:
        """Everything of the row but its id; the version is counted up."""
        ...

    def due(self, now: datetime, limit: int) -> list[int]: ...

    def next_wake(self, after: datetime) -> datetime | None: ...

    def listed(self, *, only_open: bool, limit: int) -> list[CaseRow]: ...

    def decided(self, case_id: int, *, rule_set_id: int, seq: int, now: datetime, digest: bytes, trace: str) -> None:
        """Keeps the decision; one that came out like the last only moves its `last_now`."""
        ...

    def last_decision(self, case_id: int) -> DecisionRow | None: ...

    def decisions(self, after: int, limit: int) -> list[LookedRow]:
        """Every pass that came out differently, in order, from the one after this id."""
        ...


class Outbox(Protocol):
    """Effects and their receipts."""

    def put(self, case_id: int, entries: Iterable[EffectEntry]) -> None: ...

    def withdraw(self, case_id: int, keys: Iterable[str]) -> None: ...

    def reschedule(self, case_id: int, key: str, due_at: datetime | None) -> None: ...

    def next_due(self, after: datetime) -> datetime | None: ...

    def of_case(self, case_id: int) -> list[EffectRow]: ...

    def under_way(self) -> list[EffectRow]:
        """Those performing or unsure."""
        ...

    def under_way_elsewhere(self, case_id: int, key: str) -> bool:
        """Whether another case is sending an effect of this key, or does not know how that ended."""
        ...

    def listed(self, statuses: Sequence[str], limit: int) -> list[EffectRow]: ...

    def every(self, after: int, limit: int) -> list[EffectRow]:
        """In the order they were planned, from the one after this id."""
        ...

    def by_status(self) -> dict[str, int]:
        """How many effects there are of each status."""
        ...

    def receipt(self, case_id: int, key: str, at: datetime, reference: str, details: str) -> None: ...

    def stepped(self, case: str, key: str, journal_seq: int, at: datetime, step: str) -> None:
        """Keeps a step of an effect for good."""
        ...

    def steps(self, after: int, limit: int) -> list[StepRow]:
        """In the order they were taken, from the one after this id."""
        ...

    def steps_of(self, cases: Iterable[str]) -> list[StepRow]: ...


class Exceptions(Protocol):
    """What people must look at. `case_id` None is about the client as a whole."""

    def replace(self, case_id: int, entries: Iterable[ExceptionEntry], at: datetime, why_closed: Mapping[str, str]) -> None:
        """These are open now: new ones are opened, changed ones changed, all others closed, with the reason by key."""
        ...

    def raise_one(self, case_id: int | None, entry: ExceptionEntry) -> None:
        """Opened where it is not open already."""
        ...

    def close_one(self, case_id: int | None, key: str, at: datetime, why: str) -> None: ...

    def assign(self, exception_id: int, to: str) -> None: ...

    def rename(self, case_id: int, key: str, to: str, rule: str) -> None:
        """An open one whose rule has another id now: it stays what it is, and whose it is."""
        ...

    def listed(self, *, case_id: int | None = None, only_open: bool = True, limit: int = 1000) -> list[ExceptionRow]: ...

    def by_severity(self) -> dict[str, int]:
        """How many are open, not snoozed and not of shadow rules, of each severity."""
        ...

    def of_client(self) -> list[ExceptionRow]:
        """Open ones that are about the client as a whole."""
        ...


class Rounds(Protocol):
    """What is asked of the outside, when: polls and fetches."""

    def feed(self, connector: str, feed: str) -> FeedRow | None: ...

    def save_feed(self, row: FeedRow) -> None: ...

    def feeds(self) -> list[FeedRow]: ...

    def ask(self, connector: str, ref: Ref, due_at: datetime, reason: str) -> None:
        """To be fetched at this instant, or earlier where that was asked already; attempts count anew."""
        ...

    def ask_once(self, connector: str, ref: Ref, due_at: datetime, reason: str) -> None:
        """As `ask`, unless it was ever asked."""
        ...

    def fetches_due(self, now: datetime, limit: int, but: Iterable[str] = (), but_kinds: Iterable[str] = ()) -> list[FetchRow]:
        """Those of connectors, and of kinds, that are not named."""
        ...

    def fetched(self, row: FetchRow) -> None:
        """Done, unless it was asked for again meanwhile."""
        ...

    def fetch_later(self, fetch_id: int, due_at: datetime | None, fault: str) -> None: ...

    def next_fetch(self, after: datetime) -> datetime | None: ...


class RuleSets(Protocol):
    """Which rule sets were active, since when, made from which files and activated by whom."""

    def activate(
        self, rule_set: RuleSet, files: Mapping[str, str], at: datetime, by: str = "", why: str = "", passed_over: str = ""
    ) -> int:
        """The id decisions refer to; the active one keeps its id while its hash stays the same."""
        ...

    def active(self) -> tuple[str, str] | None:
        """Client and hash of the active rule set."""
        ...

    def current(self) -> RuleSetRow | None:
        """The active one."""
        ...

    def caught_up(self, rule_set_id: int, at: datetime) -> None: ...

    def history(self, limit: int) -> list[RuleSetRow]:
        """The latest first."""
        ...

    def named(self, start: str) -> list[RuleSetRow]:
        """The last activation of each set whose hash begins so."""
        ...

    def files(self, rule_set_id: int) -> dict[str, str]:
        """The text of each of its files, by path."""
        ...

    def request(self, hash_: str, by: str, at: datetime) -> int:
        """Asks the service for a rule set, which is at once or at its next start looked after. A visitor may."""
        ...

    def requested(self) -> list[ActivationRequest]:
        """Those that nobody has looked after yet."""
        ...

    def request_of(self, request_id: int) -> ActivationRequest | None: ...

    def answer_request(self, request_id: int, at: datetime, outcome: str, *, fine: bool) -> None: ...

    def save_status(self, status: str) -> None:
        """How reading the files went last, as JSON text, for others to see."""
        ...

    def status(self) -> str: ...


class Store(Protocol):
    """All of it. One process at a time is the writer. Any of it may raise `StoreTrouble`, and does nothing more after that."""

    @property
    def journal(self) -> Journal: ...

    @property
    def records(self) -> Records: ...

    @property
    def cases(self) -> Cases: ...

    @property
    def outbox(self) -> Outbox: ...

    @property
    def queue(self) -> Queue: ...

    @property
    def exceptions(self) -> Exceptions: ...

    @property
    def rounds(self) -> Rounds: ...

    @property
    def budgets(self) -> Budgets: ...

    @property
    def rule_sets(self) -> RuleSets: ...

    @property
    def safekeeping(self) -> Safekeeping: ...

    @property
    def asides(self) -> Asides: ...

    @property
    def effects(self) -> Effects: ...

    @property
    def audit(self) -> AuditTrail: ...

    @property
    def retention(self) -> Retention: ...

    @property
    def accounts(self) -> Accounts: ...

    @property
    def candidates(self) -> Candidates: ...

    def transaction(self) -> AbstractContextManager[Any]:
        """All or nothing. Inside another it is a part that can fail alone."""
        ...

    def beside(self, seconds: float) -> Store:
        """A second connection for another thread of this process. The two take turns to write, first come, first served; it
        waits for its turn at most that long, and then raises `StoreBusy`.
        """
        ...

    @property
    def wanted_elsewhere(self) -> bool:
        """Whether another thread waits for its turn to write."""
        ...

    def changed_elsewhere(self) -> bool:
        """Whether another process has written since this was last asked."""
        ...

    def counts(self) -> Mapping[str, int]:
        """How much there is, for a status page."""
        ...

    def close(self) -> None: ...
