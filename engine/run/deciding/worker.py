"""One case, one transaction: load what is known, decide, keep what came out."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from weakref import WeakSet
from zoneinfo import ZoneInfo

import structlog

from engine.decide.deadlines import effect_deadlines
from engine.decide.decision import Decision, decide
from engine.decide.match import Pass
from engine.decide.memory import Memory
from engine.decide.outcomes import merged
from engine.decide.renamed import renamed_key
from engine.facts.case import Case, case_of
from engine.facts.effects import EffectState
from engine.facts.links import ORDER
from engine.facts.merge import fields_of
from engine.facts.record import RecordState
from engine.language.ruleset import RuleSet
from engine.run.clock import Clock
from engine.run.deciding.cadence import due_at
from engine.run.deciding.lateness import late
from engine.run.deciding.summary import effect_entry, exception_entry, summary_text
from engine.run.logs import where
from engine.store.base import Store
from engine.store.rows import CaseRow, ExceptionEntry
from engine.store.states import States

Change = Callable[[Memory], Memory]
FAULT = "engine_fault"
FIRST_RETRY = timedelta(minutes=5)
LAST_RETRY = timedelta(hours=6)
PASSES_KEPT = 2000  # what the last pass over a case worked out spares the next one work


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision as it was kept. `row` is the case as it was before; `change` made `given` of its memory, which was decided on,
    and `left` is what it was left with.
    """

    row: CaseRow
    case: Case
    change: Change
    given: Memory
    decision: Decision
    left: Memory


class Meanwhile(set[int]):
    """Ids of cases."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # known by what it is, not by what it holds


def unchanged(memory: Memory) -> Memory:
    return memory


class Worker:
    """Decides cases with the rule set it was last told to `use`."""

    rule_set: RuleSet
    states: States

    def __init__(self, store: Store, clock: Clock, zone: ZoneInfo | None = None) -> None:
        self._store = store
        self._clock = clock
        self._given_zone = zone
        self._zone = zone or ZoneInfo("UTC")
        self._passes: OrderedDict[int, Pass] = OrderedDict()
        self._rule_set_id = 0
        self._behind: set[int] = set()  # open cases that were not decided yet since the rule set was activated
        self._meanwhile: WeakSet[Meanwhile] = WeakSet()
        self.map_anew: Callable[[int], None] = lambda _: None  # called before such a case is decided
        self.told: Callable[[Decided], None] | None = None  # of every decision, for whoever looks on
        self.told_absorbed: Callable[[int, int], None] | None = None  # of the case that ends and the one it lives on in
        self._log = structlog.get_logger("instep.worker")

    def use(self, rule_set: RuleSet, rule_set_id: int) -> None:
        """From now on decide with this rule set, which has this id in the store."""
        self.rule_set = rule_set
        self._zone = self._given_zone or ZoneInfo(rule_set.time_zone)
        self.states = States(rule_set.vocabulary)
        self._client_kinds = tuple(sorted(k.name for k in rule_set.vocabulary.kinds.values() if k.scope == "client"))
        self._passes.clear()
        self._rule_set_id = rule_set_id

    @property
    def behind(self) -> int:
        """How many open cases were not decided yet since the rule set was activated."""
        return len(self._behind)

    def fall_behind(self, case_ids: Iterable[int]) -> None:
        """These were decided with another rule set: before anything is done for one of them, it is decided anew."""
        self._behind.update(case_ids)

    def catch_up(self, case_id: int, at: datetime | None = None) -> bool:
        """Decides the case if it was not decided yet since the rule set was activated. False if it cannot be."""
        if case_id in self._behind:
            self.decide_all([case_id], at)
        return case_id not in self._behind

    def case(self, row: CaseRow) -> Case:
        """The case as deciding sees it."""
        records = [self.states.decode(r) for r in self._store.records.of_case(row.id)]
        client = [self.states.decode(r) for kind in self._client_kinds for r in self._store.records.of_kind(kind)]
        return case_of(row.name, records, client, opened_at(records, row.opened_at))

    def memory(self, row: CaseRow) -> Memory:
        return Memory.from_json(json.loads(row.memory))

    def effect(self, case_id: int, key: str) -> EffectState | None:
        row = self._store.cases.get(case_id)
        return self.memory(row).effect(key) if row else None

    def decide(
        self,
        case_id: int,
        before: Change = unchanged,
        after: Callable[[Decision], Memory] | None = None,
        at: datetime | None = None,
    ) -> Decision:
        """Decides the case and keeps the outcome. `before` changes its memory first; `after` what the decision left of it,
        and is not decided on again. `at` is the instant of what it is decided for: lived again, it is decided at that one.
        """
        behind = case_id in self._behind
        with self._store.transaction():
            row = self._store.cases.get(case_id)
            if row is not None and behind:
                self.map_anew(case_id)
                row = self._store.cases.named(row.name)  # it may be part of another case now
            if row is None:
                raise LookupError(f"there is no case {case_id}")
            now = at or self._clock()
            case, was = self.case(row), self.memory(row)
            given = before(was)
            decision = decide(self.rule_set, case, given, now, self._passes.get(row.id))
            left = after(decision) if after else decision.memory
            self._keep(row, case, decision, was, left)
            self._store.safekeeping.note_late(row.id, late(row.wake_at, was, decision))
            if behind:
                self.reschedule(row.id)
        self._behind.difference_update((case_id, row.id))
        for decided in self._meanwhile:
            decided.add(row.id)
        self._passes[row.id] = decision.basis
        self._passes.move_to_end(row.id)
        if len(self._passes) > PASSES_KEPT:
            self._passes.popitem(last=False)
        if self.told is not None:
            self.told(Decided(row, case, before, given, decision, left))
        return decision

    def decided_meanwhile(self) -> Meanwhile:
        """A set that every case decided from now on is added to, for as long as the caller keeps it."""
        decided = Meanwhile()
        self._meanwhile.add(decided)
        return decided

    def look(self, row: CaseRow) -> Decision:
        """What deciding the case now would come to. Nothing is kept."""
        return decide(self.rule_set, self.case(row), self.memory(row), self._clock(), self._passes.get(row.id))

    def decide_all(self, case_ids: Iterable[int], at: datetime | None = None) -> None:
        """Each of them; one that cannot be decided is put before a person and tried again later, and stops no other."""
        for case_id in case_ids:
            if self._store.cases.get(case_id) is None:
                continue
            try:
                self.decide(case_id, at=at)
            except Exception as fault:
                self._log.error("case_failed", case=case_id, **where(fault))
                self._failed(case_id, fault)

    def absorb(self, case_id: int, into: int) -> None:
        """One case becomes part of another, with what it remembers."""
        gone, kept = self._store.cases.get(case_id), self._store.cases.get(into)
        if gone is None or kept is None:
            raise LookupError(f"there is no case {case_id if gone is None else into}")
        memory = merged(self.memory(kept), self.memory(gone))
        self._store.cases.absorb(case_id, into)
        self._store.cases.save(replace(kept, memory=_text(memory), opened_at=min(kept.opened_at, gone.opened_at)))
        self._passes.pop(case_id, None)
        if case_id in self._behind:
            self._behind.discard(case_id)
            self._behind.add(into)
        if self.told_absorbed is not None:
            self.told_absorbed(case_id, into)

    def _keep(self, row: CaseRow, case: Case, decision: Decision, was: Memory, memory: Memory) -> None:
        text = _text(memory)
        self._rename(row, was)
        kept = replace(
            row,
            opened_at=case.opened_at,
            memory=text,
            open=decision.open,
            wake_at=decision.wake_at,
            failures=0,
        )
        if kept != row:
            self._store.cases.save(kept)
        if text != row.memory:
            self._keep_effects(row, case, was, memory)
        if memory.effects:
            self._store.queue.set_deadlines(row.id, effect_deadlines(self.rule_set, decision.view, memory.effects))
        reasons = {found.key: why for found, why in decision.closed} | answers_given(was, memory)
        entries = [exception_entry(found) for found in memory.exceptions.values()]
        self._store.exceptions.replace(row.id, entries, decision.now, reasons)
        trace, digest = summary_text(decision)
        self._store.cases.decided(
            row.id,
            rule_set_id=self._rule_set_id,
            seq=self._store.journal.position(),
            now=decision.now,
            digest=digest,
            trace=trace,
        )

    def _rename(self, row: CaseRow, memory: Memory) -> None:
        """Exceptions of renamed rules go on under their new key, with whom they are assigned to."""
        renames = self.rule_set.renames
        for key, found in memory.exceptions.items() if renames else ():
            if found.rule in renames:
                self._store.exceptions.rename(row.id, key, renamed_key(found, renames), renames[found.rule])

    def _keep_effects(self, row: CaseRow, case: Case, before: Memory, memory: Memory) -> None:
        was = {e.key: e for e in before.effects}
        now = {e.key: e for e in memory.effects}
        changed = [e for e in now.values() if was.get(e.key) != e]
        due = {e.key: due_at(e, self.rule_set, self._zone, case.opened_at) for e in changed}
        if any(replaces(e, was.get(e.key)) for e in changed):
            due |= self._in_place(row.id, {e.key: at for e in changed if replaces(e, was.get(e.key)) and (at := due[e.key])})
        self._store.outbox.put(row.id, [effect_entry(e, due[e.key]) for e in changed])
        self._store.outbox.withdraw(row.id, sorted(was.keys() - now.keys()))

    def _in_place(self, case_id: int, due: Mapping[str, datetime]) -> dict[str, datetime]:
        """What takes the place of another leaves no later than that would have: not a batch later, either."""
        before = {row.entry.key: row.entry.due_at for row in self._store.outbox.of_case(case_id)}
        return {key: min(at, before.get(key) or at) for key, at in due.items()}

    def reschedule(self, case_id: int) -> None:
        """Works out anew when each effect of the case is due, as after a change of cadence, mode or `since`."""
        row = self._store.cases.get(case_id)
        if row is not None:
            case = self.case(row)
            for effect in self.memory(row).effects:
                self._store.outbox.reschedule(row.id, effect.key, due_at(effect, self.rule_set, self._zone, case.opened_at))

    def _failed(self, case_id: int, fault: Exception) -> None:
        row = self._store.cases.get(case_id)
        if row is None:
            return
        now = self._clock()
        wait = min(FIRST_RETRY * (1 << min(row.failures, 10)), LAST_RETRY)
        with self._store.transaction():
            self._store.cases.save(replace(row, open=True, wake_at=now + wait, failures=row.failures + 1))
            self._store.exceptions.raise_one(case_id, _fault_entry(row.name, fault, now))


def replaces(effect: EffectState, before: EffectState | None) -> bool:
    """Whether it is asked for otherwise than it was, by a rule of the same group, and nothing else became of it."""
    if before is None or (before.status, effect.status) != ("planned", "planned") or before.params == effect.params:
        return False
    return (before.group, before.not_before, before.turn_at) == (effect.group, effect.not_before, effect.turn_at)


def answers_given(before: Memory, after: Memory) -> dict[str, str]:
    """Why exceptions are there no more that a person has answered, by key."""
    new = {key: answer for key, answer in after.answers.items() if before.answers.get(key) != answer}
    gone = {key: one for key, one in before.exceptions.items() if key not in after.exceptions} if new else {}
    return {
        key: f'{new[one.rule, one.item].by} answered "{new[one.rule, one.item].answer}"'
        for key, one in gone.items()
        if (one.rule, one.item) in new
    }


def opened_at(records: Iterable[RecordState], otherwise: datetime) -> datetime:
    """When the case began: with the order, or with the first thing seen of it."""
    found = [r.seen_at for r in records]
    for record in records:
        created = fields_of(record).get("created_at") if record.kind == ORDER else None
        if isinstance(created, datetime):
            found.append(created)
    return min(found, default=otherwise)


def _text(memory: Memory) -> str:
    return json.dumps(memory.to_json(), sort_keys=True, separators=(",", ":"))


def _fault_entry(case: str, fault: Exception, now: datetime) -> ExceptionEntry:
    return ExceptionEntry(
        key=FAULT,
        rule=FAULT,
        item="",
        about="",
        owner="operations",
        severity="critical",
        title=f"{case} cannot be decided: {type(fault).__name__}",
        runbook="Nothing is sent for this case until it can be. It is tried again by itself; report the fault with the log.",
        answers="{}",
        state="open",
        opened_at=now,
    )
