"""From the journal to facts: every event becomes observations of records, and the cases they belong to are decided again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import structlog

from engine.decide.people import NotPossible
from engine.facts.codec import decode_fields, loads
from engine.facts.merge import CORRECTION
from engine.facts.outside import Event, Hint
from engine.facts.record import Observation
from engine.language.mapping import Reader, milestones
from engine.language.ruleset import RuleSet
from engine.language.show import show
from engine.problems import did_you_mean
from engine.run.clock import Clock
from engine.run.deciding.worker import Worker
from engine.run.hearing.deeds import KINDS, PERSON, Deed, DoneTo, mark
from engine.run.hearing.fetching import Asking
from engine.run.hearing.journalling import Written, write_down
from engine.run.hearing.linking import Linking
from engine.run.hearing.observing import Observing
from engine.run.logs import where
from engine.store.aside import Aside
from engine.store.base import Store
from engine.store.rows import ExceptionEntry, Journalled
from engine.store.stamps import stamp

FEWEST = 4  # at a time, while another thread waits to write
BATCH = 50  # events that share a commit: most of what batching gains, without keeping webhooks waiting


class Intake:
    """Writes events down, and takes in what was written down, in order, exactly once."""

    def __init__(self, store: Store, worker: Worker, clock: Clock, asking: Asking) -> None:
        self._store = store
        self._worker = worker
        self._clock = clock
        self._asking = asking
        self._reader = Reader()
        self._few = BATCH
        self.pressed: Callable[[], bool] = lambda: False  # whether deliveries wait to be answered
        linking = Linking(store.records, store.cases, worker.absorb)
        self._observing = Observing(worker, store.records, store.cases, linking, clock, asking.for_stubs)
        self._log = structlog.get_logger("instep.intake")

    def journal(self, heard: Iterable[Event | Hint]) -> Written:
        """Writes down what was heard, in one durable commit."""
        with self._store.transaction():
            return write_down(self._store, heard, self._clock())

    def take_some(self, last: int | None = None) -> bool:
        """The next few events that wait in the journal, up to one of them. Fewer while another thread has to wait to write. False
        if there are none.
        """
        position = self._store.journal.position()
        few = FEWEST if self.pressed() else self._few
        batch = self._store.journal.after(position, few if last is None else min(few, max(last - position, 0)))
        if not batch:
            return False
        with self._store.transaction():
            now = self._clock()
            self._store.journal.move_to(batch[-1].seq, now)  # what is decided below was decided after these
            touched: dict[int, None] = {}
            for entry in batch:
                touched |= dict.fromkeys(sorted(self._take(entry, now)))
            self._worker.decide_all(touched, now)
            self._few = max(self._few // 2, FEWEST) if self._store.wanted_elsewhere else min(self._few * 2, BATCH)
        return True

    def take_again(self, seqs: Iterable[int]) -> None:
        """Maps these events anew, as after a change of mappings, and decides what that changes."""
        with self._store.transaction():
            self._worker.decide_all(sorted(self.map_again(seqs)))

    def map_again(self, seqs: Iterable[int]) -> set[int]:
        """Maps these events anew. Returns the cases that changes, which are not decided yet."""
        touched: set[int] = set()
        for seq in sorted(set(seqs)):
            entry = self._store.journal.one(seq)
            if entry is not None and entry.event.connector != PERSON:
                touched |= self._take(entry, self._clock())
        return touched

    def _take(self, entry: Journalled, now: datetime) -> set[int]:
        """The cases to decide again. An event that cannot be taken in is set aside whole and stops no other."""
        try:
            with self._store.transaction():
                self._store.journal.no_longer_aside(entry.seq, self._clock())
                return self._deed(entry, now) if entry.event.connector == PERSON else self._observations(entry)
        except _CannotTake as no:
            self._set_aside(entry, no.reason, "", "")
            self._not_done(entry.event, no.reason)
        except Exception as fault:
            self._log.error("event_failed", seq=entry.seq, kind=entry.event.kind, **where(fault))
            self._set_aside(entry, f"fault: {type(fault).__name__}: {fault}", "", type(fault).__name__)
        return set()

    def _observations(self, entry: Journalled) -> set[int]:
        observed, aside = self._reader.observe(self._worker.rule_set.mappings.get(entry.event.kind, ()), entry.event)
        touched: set[int] = set()
        for observation in observed:
            touched |= self._observing.observe(observation, entry.seq)
        for no in aside:
            self._set_aside(entry, no.reason, str(no.place), no.path)
        return touched

    def _deed(self, entry: Journalled, now: datetime) -> set[int]:
        """What a person decided, done at once: the answer belongs to what was open at that moment."""
        try:
            deed = Deed.of(entry.event)
            if deed.event_seq:
                return self._about_event(deed, entry.event.observed_at, now)
            if deed.kind == "person.correct":
                return self._correct(deed, entry)
            self._worker.catch_up(case_of_deed(self._store, deed), now)
            case_id = case_of_deed(self._store, deed)
            self._worker.decide(case_id, before=DoneTo(deed, entry.event.observed_at), at=now)
        except NotPossible as no:
            raise _CannotTake(str(no)) from None
        return set()

    def _correct(self, deed: Deed, entry: Journalled) -> set[int]:
        correction = correction_of(self._worker.rule_set, deed, entry.event.observed_at)
        must_be_seen(self._store, correction)
        return self._observing.observe(correction, entry.seq)

    def _about_event(self, deed: Deed, at: datetime, now: datetime) -> set[int]:
        """An event that was set aside is read again, or marked as nothing to be read. Raises NotPossible."""
        known = self._store.asides.of(deed.event_seq)
        if known is not None and known.state == "read" and deed.kind == "person.read_again":
            return set()  # as was wanted
        aside, event = aside_of(self._store, deed)
        if deed.kind == "person.discard":
            self._store.asides.discard(event.seq, deed.by, deed.reason, at)
            touched, why = set[int](), f"{deed.by} discarded what waited: {deed.reason}"
        else:
            self._store.asides.restore(event.seq)
            touched, why = self._take(event, now), f"{deed.by} had it read again"
        if not self._store.asides.wait(aside.told):
            self._store.exceptions.close_one(None, aside.told, now, why)
        return touched

    def _not_done(self, event: Event, why: str) -> None:
        """The audit trail says who wanted what was then not possible."""
        try:
            deed = Deed.of(event)
        except NotPossible:
            return
        details = {"wanted": deed.kind.partition(".")[2]}
        self._store.audit.append(self._clock(), deed.by, "not done", deed.key, case=deed.case, reason=why, details=details)

    def _set_aside(self, entry: Journalled, reason: str, place: str, path: str) -> None:
        """Kept whole. A person is told once per kind, place and field, not once per payload."""
        now = self._clock()
        self._log.warning(
            "event_set_aside", seq=entry.seq, kind=entry.event.kind, field=path, place=place
        )  # no reason: it quotes
        told = _aside_entry(f"{entry.event.kind}:{place}:{path}", entry.event.kind, reason, place, now)
        self._store.journal.set_aside(entry.seq, reason, place, now)
        self._store.asides.telling(entry.seq, told.key)
        if self._store.asides.wait(told.key):  # not where a person discarded it
            self._store.exceptions.raise_one(None, told)


class _CannotTake(Exception):  # noqa: N818 - a verdict, with the reason a person reads
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def case_of_deed(store: Store, deed: Deed) -> int:
    """Raises NotPossible."""
    case = store.cases.named(deed.case)
    if case is None:
        raise NotPossible(f"there is no case {deed.case}")
    return case.id


def aside_of(store: Store, deed: Deed) -> tuple[Aside, Journalled]:
    """The event that was set aside and that a deed is about. Raises NotPossible, saying what can be done instead."""
    seq = deed.event_seq
    aside, entry = store.asides.of(seq), store.journal.one(seq)
    if aside is not None and entry is None:
        raise NotPossible(f"event {seq} has left the store, with `instep events prune`: there is nothing to read")
    if aside is None or entry is None or mark(entry.event) != deed.value:
        raise NotPossible(f"event {seq} was never set aside: `instep events list` shows what was")
    if aside.state == "read":
        raise NotPossible(f"event {seq} has been taken in meanwhile, at {stamp(aside.taken_in_at or aside.at)}")
    if entry.event.connector == PERSON and deed.kind != "person.discard":
        raise NotPossible(f"event {seq} is what a person wanted: if it is still wanted, do it again, and discard this one")
    if aside.state == "discarded" and deed.kind == "person.discard":
        raise NotPossible(f"event {seq} is discarded already, by {aside.discarded_by}: {aside.discarded_for}")
    return aside, entry


def correction_of(rule_set: RuleSet, deed: Deed, at: datetime) -> Observation:
    """A person's correction of a milestone as an observation of its own; the value null says that it never happened.

    Raises NotPossible where it is no milestone, or cannot have that value. What else a record tells, money above all, is what
    was seen outside: it is put right there, and read again.
    """
    try:
        kind, key, field, value = corrected(deed)
        fields = decode_fields(rule_set.vocabulary, kind, {field: value})
    except ValueError as no:
        raise NotPossible(str(no)) from None
    kept = milestones(rule_set.mappings, kind)
    if field not in kept:
        which = did_you_mean(field, kept) or f": a {kind} has none"
        raise NotPossible(f"{kind}.{field} is no milestone, and only those are corrected by hand{which}")
    said = fields.get(field)
    if isinstance(said, datetime) and said > at:
        raise NotPossible(f"{show(said)} is still to come: a milestone is something that has happened")
    return Observation(f"{CORRECTION}{field}", kind, key, stamp(at), deed.by, at, fields)


def must_be_seen(store: Store, correction: Observation) -> None:
    """Raises NotPossible where nobody has ever seen the record that is corrected."""
    if store.records.get(correction.kind, correction.key) is None:
        raise NotPossible(f"no {correction.kind} {correction.key} was ever seen: there is nothing to correct")


def corrected(deed: Deed) -> tuple[str, str, str, Any]:
    """Kind, key, field and new value of a correction. Raises ValueError."""
    node, _, field = deed.key.rpartition(".")
    kind, _, key = node.partition(":")
    if not (kind and key and field):
        raise ValueError(f"{deed.key!r} is not a field like rma:1001.received_at")
    return kind, key, field, loads(deed.value)


def _unread(place: str) -> str:
    where = f" ({place})" if place else ""
    return f"The payload is kept: `instep events list` shows it. Mend the mapping{where}; it is then read again by itself."


def _too_late() -> str:
    return "See whether it is still wanted, and then do it again; `instep events discard` takes this one off the list."


def _aside_entry(about: str, kind: str, reason: str, place: str, now: datetime) -> ExceptionEntry:
    return ExceptionEntry(
        key=f"set_aside:{about}",
        rule="set_aside",
        item="",
        about=about,
        owner="operations",
        severity="high",
        title=f"{kind} could not be taken in: {reason}",
        runbook=_too_late() if kind in KINDS else _unread(place),
        answers="{}",
        state="open",
        opened_at=now,
    )
