"""One part of a history under one rule set, on virtual time: the same facts, decisions and steps as in the service.

`exact` takes what was recorded for granted: effects take the steps they took, and cases are looked at when they were. It shows
whether a rule set decides as it did. `what_if` lets the rule set act: what it asks for is sent when it is due and ends as the
history says of the same effect, else well. Refunds that were ours in the history are seen only once this rule set made them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from engine.decide.again import again
from engine.decide.decision import Decision, decide
from engine.decide.memory import Memory
from engine.decide.outcomes import WrongState, merged
from engine.decide.people import NotPossible
from engine.facts.case import Case, case_of
from engine.facts.effects import EffectState
from engine.facts.outside import Event
from engine.facts.record import Fields, Observation, RecordState
from engine.language.mapping import Reader
from engine.language.ruleset import RuleSet
from engine.run.clock import VirtualClock
from engine.run.deciding.cadence import due_at
from engine.run.deciding.summary import summary_text
from engine.run.deciding.worker import opened_at
from engine.run.hearing.deeds import PERSON, Deed, mark
from engine.run.hearing.intake import correction_of
from engine.run.hearing.linking import Linking
from engine.run.hearing.observing import Observing
from engine.run.sending.steps import Step
from engine.simulate.held import HeldCases, HeldRecords, HeldStates
from engine.simulate.history import Activated, Looked, Outcome, Stepped, TakenIn
from engine.store.rows import CaseRow, Node, RecordRow

Mode = Literal["exact", "what_if"]
MOST_ROUNDS = 10_000  # timers and sends at one instant; more is a case that does not come to rest


@dataclass(frozen=True, slots=True)
class Told:
    """One event as a replay takes it: a person's own, or what the mappings of each rule set made of it, by `mappings_of`.

    `mark` is what a person's deed about it names it by, where any of them set it aside.
    """

    what: str
    person: Event | None = None
    observed: Mapping[str, tuple[Observation, ...]] = field(default_factory=dict)
    aside: Mapping[str, int] = field(default_factory=dict)
    mark: str = ""


@dataclass(frozen=True, slots=True)
class ToldAt:
    """Events that were taken in together."""

    at: datetime
    events: tuple[Told, ...]


class Telling:
    """Makes of events what replays under these rule sets take."""

    def __init__(self, rule_sets: Sequence[RuleSet]) -> None:
        self._rule_sets = {mappings_of(rule_set): rule_set for rule_set in rule_sets}
        self._readers = {name: Reader() for name in self._rule_sets}

    def told(self, entry: TakenIn) -> ToldAt:
        return ToldAt(entry.at, tuple(self._told(event) for event in entry.events))

    def _told(self, event: Event) -> Told:
        what = f"{event.kind} {event.about}".strip()
        if event.connector == PERSON:
            return Told(what, event)
        observed: dict[str, tuple[Observation, ...]] = {}
        aside: dict[str, int] = {}
        for name, rule_set in self._rule_sets.items():
            found, no = self._readers[name].observe(rule_set.mappings.get(event.kind, ()), event)
            observed[name], aside[name] = tuple(found), len(no)
        return Told(what, None, observed, aside, mark(event) if any(aside.values()) else "")


def mappings_of(rule_set: RuleSet) -> str:
    """The same for rule sets that make the same records of payloads."""
    return rule_set.mapping_hash or rule_set.hash


@dataclass(frozen=True, slots=True)
class Seen:
    """What a recorder is told: one decision about one case, and the memory it left."""

    case_id: int
    case: str
    decision: Decision
    before: Memory
    memory: Memory
    digest: str


@dataclass(slots=True)
class Held:
    """What is kept of a case between its decisions."""

    memory: Memory
    last: Decision | None = None  # under the rule set in force
    digest: str = ""
    due: datetime | None = None  # when the next of its effects leaves


@dataclass(frozen=True, slots=True)
class Past:
    """What the history says became of effects, by key in order, and which refunds of the outside were which effect's."""

    outcomes: Mapping[str, Sequence[Step]]
    refunds: Mapping[str, str]


class Replay:
    """Feed it entries in order; `record` is told of every decision. The clock moves with them."""

    def __init__(
        self,
        rule_set: RuleSet,
        mode: Mode,
        past: Past,
        record: Callable[[Seen], None],
        start: datetime,
        *,
        own: frozenset[Node] | None = None,
        changes_rules: bool = False,
    ) -> None:
        self.rule_set = rule_set
        self.states = HeldStates()
        self.clock = VirtualClock(start)
        self.missed_answers = 0  # of people, to questions that this rule set did not ask
        self.set_aside = 0
        self._mode = mode
        self._mappings = mappings_of(rule_set)
        self._record = record
        self._refunds = past.refunds
        self._outcomes = {key: deque(steps) for key, steps in past.outcomes.items()}
        self._own = own  # the nodes of this part, where events also tell of others
        self._records = HeldRecords()
        self._cases = HeldCases(self._records)
        self._held: dict[int, Held] = {}
        self._zone = ZoneInfo(rule_set.time_zone)
        self._seq = 0
        self._told: dict[int, Told] | None = {} if changes_rules else None  # what is mapped anew with other rules
        self._discarded: set[str] = set()  # marks of events that a person does not want read
        self._unmapped: set[int] = set()  # cases whose records are still as the rule set before mapped them
        linking = Linking(self._records, self._cases, self._absorb)
        self._observing = Observing(self, self._records, self._cases, linking, self.clock, lambda _: None)
        self._client = tuple(sorted(k.name for k in rule_set.vocabulary.kinds.values() if k.scope == "client"))

    @property
    def absorbed(self) -> Mapping[int, int]:
        """Cases that live on in another."""
        return self._cases.absorbed

    def use(self, rule_set: RuleSet) -> None:
        """Decides with this rule set from now on; payloads of open cases become records anew, as they do at an activation.
        Only for a replay that `changes_rules`.
        """
        if self._told is None:
            raise ValueError("a replay that keeps no events cannot map them anew")
        before, mappings = self._mappings, mappings_of(rule_set)
        self.rule_set, self._mappings = rule_set, mappings
        self._zone = ZoneInfo(rule_set.time_zone)
        self._client = tuple(sorted(k.name for k in rule_set.vocabulary.kinds.values() if k.scope == "client"))
        for held in self._held.values():
            held.last = None
        if mappings != before:
            self._unmapped.update(self._cases.all_open())
            for seq in [seq for seq, told in self._told.items() if self._waits(told, before)]:
                self._map_anew(seq)

    def _waits(self, told: Told, mappings: str) -> bool:
        """Whether it was set aside under these mappings and is to be read with others."""
        return bool(told.aside.get(mappings)) and told.mark not in self._discarded

    def _map_anew(self, seq: int) -> set[int]:
        told = self._told.get(seq) if self._told is not None else None
        touched: set[int] = set()
        for one in told.observed.get(self._mappings, ()) if told is not None else ():
            if self._is_ours(one):
                touched |= self._observing.observe(one, seq)
        return touched

    def case(self, case_id: int) -> CaseRow | None:
        return self._cases.get(case_id)

    def cases_holding(self, node: Node) -> list[CaseRow]:
        """The cases a record is in."""
        row = self._records.get(*node)
        return self._cases.holding(row.id) if row is not None else []

    def preset(self, states: Iterable[RecordState]) -> None:
        """What was known of the client before this part began."""
        for state in states:
            self._records.put(RecordRow(0, state.kind, state.key, state.seen_at, self.states.encode(state)))

    def take(self, entry: ToldAt | Stepped | Looked | Activated) -> None:
        """Moves on to the instant of the entry, and takes it. Which rule set decides is for the caller to say, with `use`."""
        self.run_until(entry.at)
        self.clock.move(max(entry.at, self.clock()))
        match entry:
            case ToldAt():
                self._take_in(entry.events)
            case Stepped() if self._mode == "exact":
                self._stepped(entry)
            case Stepped():  # what follows at this instant may have seen what was sent
                self.run_until(entry.at, inclusive=True)
            case Looked() if self._mode == "exact":
                row = self.case_named(entry.case)
                if row is not None and self._held[row.id].digest != entry.digest:  # it was not by an event or a step
                    self._decide(row.id)

    def run_until(self, end: datetime, *, inclusive: bool = False) -> None:
        """What falls due by itself before an instant, or at it as well. In an exact replay that is in the history."""
        if self._mode == "exact":
            return
        for _ in range(MOST_ROUNDS):
            at = self.next_due()
            if at is None or at > end or (at == end and not inclusive):
                return
            self.clock.move(max(at, self.clock()))
            self._timers()
            self._send()
        raise RuntimeError("a part of the history does not come to rest")

    def next_due(self) -> datetime | None:
        """The next instant at which something happens by itself."""
        sends = [held.due for held in self._held.values() if held.due is not None]
        wakes = [row.wake_at for row in self._cases.every() if row.wake_at is not None]
        return min((*sends, *wakes), default=None)

    # --- events ---

    def _take_in(self, events: Iterable[Told]) -> None:
        touched: dict[int, None] = {}
        for told in events:
            self._seq += 1
            if self._told is not None and told.person is None:
                self._told[self._seq] = told
            touched |= dict.fromkeys(sorted(self._observations(told) if told.person is None else self._person(told.person)))
        for case_id in touched:
            self._decide(case_id)

    def _observations(self, told: Told) -> set[int]:
        self.set_aside += told.aside.get(self._mappings, 0)
        touched: set[int] = set()
        for one in told.observed.get(self._mappings, ()):
            if self._is_ours(one):
                touched |= self._observing.observe(self._without_ours(one), self._seq)
        return touched

    def _is_ours(self, one: Observation) -> bool:
        return self._own is None or (one.kind, one.key) in self._own or one.kind in self._client

    def _without_ours(self, one: Observation) -> Observation:
        """An order without the refunds that were made by effects which this rule set has not settled."""
        if self._mode == "exact" or one.kind != "order" or not self._refunds:
            return one
        made = {e.key for held in self._held.values() for e in held.memory.effects if e.status == "settled"}
        hidden = {refund for refund, key in self._refunds.items() if key not in made}
        seen = without_refunds(one.fields, hidden)
        return one if seen is one.fields else replace(one, fields=seen)

    def _person(self, event: Event) -> set[int]:
        try:
            deed = Deed.of(event)
            if deed.event_seq:
                return self._about_event(deed)
            if deed.kind == "person.correct":
                return self._observing.observe(correction_of(self.rule_set, deed, event.observed_at), self._seq)
            row = self.case_named(deed.case)
            if row is not None:
                self._decide(row.id, before=lambda memory: deed.done_to(memory, event.observed_at))
                return set()
        except NotPossible:
            pass
        self.missed_answers += 1
        return set()

    def _about_event(self, deed: Deed) -> set[int]:
        """What was set aside is read as it was before, unless the rule set became another one since."""
        if deed.kind == "person.discard":
            self._discarded.add(deed.value)
            return set()
        self._discarded.discard(deed.value)
        found = [seq for seq, told in (self._told or {}).items() if told.mark == deed.value]
        return {case_id for seq in found for case_id in self._map_anew(seq)}

    def _stepped(self, entry: Stepped) -> None:
        row = self.case_named(entry.case)
        if row is None:
            return
        try:
            if entry.step.what == "begun":
                self._decide(row.id, after=lambda decision: entry.step.taken(decision.memory, decision.now))
            else:
                self._decide(row.id, before=lambda memory: entry.step.taken(memory, entry.at))
        except WrongState:
            self._decide(row.id)

    def case_named(self, name: str) -> CaseRow | None:
        """The case of this name, or one that holds the record of this name."""
        found = self._cases.named(name)
        if found is None:
            kind, _, key = name.partition(":")
            record = self._records.get(kind, key)
            found = next(iter(self._cases.holding(record.id)), None) if record is not None else None
        return found

    # --- deciding ---

    def _decide(
        self,
        case_id: int,
        before: Callable[[Memory], Memory] | None = None,
        after: Callable[[Decision], Memory] | None = None,
    ) -> Decision | None:
        row = self._cases.get(case_id)
        if row is not None and case_id in self._unmapped:
            self._unmapped.discard(case_id)
            for seq in sorted({seq for record in self._records.of_case(case_id) for seq in record.sources.values()}):
                self._map_anew(seq)
            row = self._cases.named(row.name)  # it may be part of another case now
        if row is None:
            return None
        case_id = row.id
        held = self._held.setdefault(case_id, Held(Memory()))
        case = self._case(row)
        memory = held.memory if before is None else before(held.memory)
        decision = self._decided(case, memory, held.last)
        left = decision.memory if after is None else after(decision)
        self._cases.save(replace(row, opened_at=case.opened_at, open=decision.open, wake_at=decision.wake_at))
        was, held.memory, held.last = held.memory, left, decision
        if self._mode == "exact":
            held.digest = summary_text(decision)[1].hex()
        else:
            held.due = self._next_send(left, case.opened_at)
        self._record(Seen(case_id, row.name, decision, was, left, held.digest))
        return decision

    def _decided(self, case: Case, memory: Memory, last: Decision | None) -> Decision:
        """What is recorded is decided as it was; what might have been is decided only where it can come out differently."""
        spared = again(self.rule_set, last, case, memory, self.clock()) if last is not None and self._mode == "what_if" else None
        return spared or decide(self.rule_set, case, memory, self.clock(), None if last is None else last.basis)

    def _case(self, row: CaseRow) -> Case:
        records = [self.states.decode(r) for r in self._records.of_case(row.id)]
        client = [self.states.decode(r) for kind in self._client for r in self._records.of_kind(kind)]
        return case_of(row.name, records, client, opened_at(records, row.opened_at))

    def _absorb(self, case_id: int, into: int) -> None:
        gone = self._held.pop(case_id, Held(Memory()))
        kept = self._held.setdefault(into, Held(Memory()))
        kept.memory, kept.last = merged(kept.memory, gone.memory), None
        self._cases.absorb(case_id, into)

    # --- what falls due by itself ---

    def _timers(self) -> None:
        now = self.clock()
        for _, case_id in sorted((r.wake_at, r.id) for r in self._cases.every() if r.wake_at is not None and r.wake_at <= now):
            self._decide(case_id)

    def _next_send(self, memory: Memory, opened: datetime) -> datetime | None:
        instants = (due_at(e, self.rule_set, self._zone, opened) for e in memory.effects if self._may_leave(e))
        return min((i for i in instants if i is not None), default=None)

    def _may_leave(self, effect: EffectState) -> bool:
        """What is planned, and what was refused for what passes by itself, if it is known how it ended the next time."""
        return effect.status == "planned" or (effect.status == "refused" and bool(self._outcomes.get(effect.key)))

    def _send(self) -> None:
        """Everything that leaves now, one after another: each is asked for once more before it does."""
        now = self.clock()
        for case_id in sorted(c for c, held in self._held.items() if held.due is not None and held.due <= now):
            row = self._cases.get(case_id)
            if row is None:
                continue
            for effect in self._held[case_id].memory.effects:
                leaves = due_at(effect, self.rule_set, self._zone, row.opened_at) if self._may_leave(effect) else None
                if leaves is not None and leaves <= now:
                    self._send_one(case_id, effect)

    def _send_one(self, case_id: int, effect: EffectState) -> None:
        if effect.status == "refused":
            self._decide(case_id, before=lambda memory: Step("anew", effect.key).taken(memory, self.clock()))

        def begin(decision: Decision) -> Memory:
            asked = any(e.key == effect.key and e.units == effect.units for e in decision.effects)
            return Step("begun", effect.key).taken(decision.memory, decision.now) if asked else decision.memory

        self._decide(case_id, after=begin)
        sent = self._held[case_id].memory.effect(effect.key)
        if sent is None or sent.status != "performing":
            return
        known = self._outcomes.get(effect.key)
        end = known.popleft() if known else Step("settled", effect.key, receipt={"reference": ASSUMED})
        self._decide(case_id, before=lambda memory: end.taken(memory, self.clock()))


ASSUMED = "assumed"  # the receipt of an effect that the history knows nothing of


def without_refunds(fields: Fields, hidden: Collection[str]) -> Fields:
    """The fields of an order without the refunds of these ids; the very same where it shows none of them."""
    lines = fields.get("lines")
    if not hidden or not isinstance(lines, tuple):
        return fields
    seen = tuple(_line_without(line, hidden) for line in lines)
    return fields if seen == lines else {**fields, "lines": seen}


def refund_of(receipt: Mapping[str, Any]) -> str:
    """The id of the refund that a receipt is of, where it names one."""
    return str(receipt.get("refund_id") or receipt.get("reference") or "")


def _line_without(line: Any, hidden: Collection[str]) -> Any:
    refunds = line.get("refunds") if isinstance(line, Mapping) else None
    if not isinstance(refunds, tuple) or not any(str(r.get("id")) in hidden for r in refunds):
        return line
    return {**line, "refunds": tuple(r for r in refunds if str(r.get("id")) not in hidden)}


def past_of(steps: Iterable[Stepped], outcomes: Iterable[Outcome]) -> Past:
    """What a history says of effects. Those that ended without a step, seen to be done, are known by their outcome."""
    ends: dict[str, list[Step]] = defaultdict(list)
    refunds: dict[str, str] = {}
    for taken in steps:
        if taken.step.what in ("settled", "refused"):
            ends[taken.step.key].append(taken.step)
    for one in outcomes:
        if one.status == "settled":
            if one.key not in ends:
                ends[one.key].append(Step("settled", one.key, receipt=one.receipt))
            refund = refund_of(one.receipt)
            if refund:
                refunds[refund] = one.key
    return Past(dict(ends), refunds)
