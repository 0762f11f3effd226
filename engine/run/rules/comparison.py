"""A rule set beside the active one, on the open cases: what it would send at once, and which vetoes in force it would end.

Both decide the same cases at the same instant from the same memory; nothing is kept of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from engine.decide.decision import Decision, decide
from engine.decide.propose import Veto
from engine.facts.case import Case, case_of
from engine.facts.merge import merge
from engine.facts.record import RecordState
from engine.facts.values import Money
from engine.language.mapping import observe
from engine.language.ruleset import RuleSet
from engine.run.deciding.cadence import due_at
from engine.run.deciding.worker import Worker, opened_at
from engine.store.base import Store
from engine.store.rows import CaseRow, RecordRow
from engine.store.states import States

FEW = 5  # cases that are compared in one go, right before the swap
MOST_ROUNDS = 10  # while cases keep changing


@dataclass(frozen=True, slots=True)
class NewEffect:
    """An effect that only the candidate would send, and when: at once, or with the next batch."""

    case: str
    key: str
    action: str
    rule: str
    due_at: datetime
    amount: Money | None = None


@dataclass(frozen=True, slots=True)
class EndedVeto:
    """A veto in force that the candidate would not uphold, wholly or in part."""

    case: str
    rule: str
    item: str
    action: str
    because: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A case the candidate cannot decide, though the active set can."""

    case: str
    fault: str


@dataclass(slots=True)
class Comparison:
    """What was found, by the id of each case that was compared."""

    most: int
    effects: dict[int, list[NewEffect]] = field(default_factory=dict)
    vetoes: dict[int, list[EndedVeto]] = field(default_factory=dict)
    faults: dict[int, Fault] = field(default_factory=dict)
    cases: set[int] = field(default_factory=set)

    def new_effects(self) -> list[NewEffect]:
        return [one for case_id in sorted(self.effects) for one in self.effects[case_id]]

    def money(self) -> list[Money]:
        """What the new effects would pay in all, by currency."""
        found: dict[str, Decimal] = {}
        for one in self.new_effects():
            if one.amount is not None:
                found[one.amount.currency] = found.get(one.amount.currency, Decimal(0)) + one.amount.amount
        return [Money(amount, currency) for currency, amount in sorted(found.items())]

    def ended_vetoes(self) -> list[EndedVeto]:
        return [one for case_id in sorted(self.vetoes) for one in self.vetoes[case_id]]

    def reasons(self) -> list[str]:
        """Why somebody has to look before the candidate is activated; none if it may be."""
        found: list[str] = []
        effects, vetoes = self.new_effects(), self.ended_vetoes()
        if len(effects) > self.most:
            cases = many(len({one.case for one in effects}), "case")
            found.append(f"it would at once send {many(len(effects), 'effect')} in {cases}; max_new_effects is {self.most}")
        if vetoes:
            rules = ", ".join(sorted({one.rule for one in vetoes}))
            cases = many(len({one.case for one in vetoes}), "case")
            found.append(f"it would end a veto in force in {cases}: {rules}")
        if self.faults:
            found.append(f"{many(len(self.faults), 'case')} cannot be decided with it: {next(iter(self.faults.values())).fault}")
        return found


def _amount(params: Mapping[str, Any]) -> Money | None:
    amount = params.get("amount")
    return amount if isinstance(amount, Money) else None


class Comparing:
    """One candidate against the set the worker uses. `alike` says that payloads become the same records with both."""

    def __init__(self, store: Store, worker: Worker, candidate: RuleSet, clock: Callable[[], datetime], *, alike: bool) -> None:
        self._store = store
        self._worker = worker
        self._active = worker.rule_set
        self._candidate = candidate
        self._clock = clock
        self._alike = alike
        self._states = States(candidate.vocabulary)
        self._zone = ZoneInfo(candidate.time_zone)
        self._active_zone = ZoneInfo(self._active.time_zone)
        self._client = self._client_records()
        self._moved = worker.decided_meanwhile()
        self.found = Comparison(self._active.max_new_effects)

    def steps(self) -> Iterator[None]:
        """One case a step, until all but a few of the open cases were compared as they are now."""
        for _ in range(MOST_ROUNDS):
            changed = self._changed()
            if len(changed) <= FEW and self.found.cases:
                return
            for case_id in changed:
                self._compare(case_id)
                yield

    def finish(self) -> Comparison:
        """What moved on since the last step is compared too: to be called right before the swap."""
        for case_id in self._changed():
            self._compare(case_id)
        return self.found

    def _changed(self) -> list[int]:
        """Open cases that were not compared yet, or were decided since."""
        still_open = self._store.cases.all_open()
        for case_id in self._moved | (self.found.cases - set(still_open)):
            self._forget(case_id)
        self._moved.clear()
        return [case_id for case_id in still_open if case_id not in self.found.cases]

    def _forget(self, case_id: int) -> None:
        self.found.cases.discard(case_id)
        self.found.effects.pop(case_id, None)
        self.found.vetoes.pop(case_id, None)
        self.found.faults.pop(case_id, None)

    def _compare(self, case_id: int) -> None:
        self.found.cases.add(case_id)
        row = self._store.cases.get(case_id)
        if row is None:
            return
        try:
            before = self._worker.look(row)
        except Exception:
            return  # it cannot be decided now either: that is somebody's already
        try:
            case = self._case(row)
            after = decide(self._candidate, case, self._worker.memory(row), before.now)
        except Exception as fault:
            self.found.faults[case_id] = Fault(row.name, f"{row.name}: {type(fault).__name__}: {fault}")
            return
        effects = self._new_effects(row, before, after, case.opened_at)
        vetoes = ended_vetoes(row.name, self._active, before.vetoes, self._candidate, after.vetoes)
        if effects:
            self.found.effects[case_id] = effects
        if vetoes:
            self.found.vetoes[case_id] = vetoes

    def _new_effects(self, row: CaseRow, before: Decision, after: Decision, opened: datetime) -> list[NewEffect]:
        sent_anyway = {e.key for e in before.effects if due_at(e, self._active, self._active_zone, opened) is not None}
        found: list[NewEffect] = []
        for effect in after.effects:
            due = due_at(effect, self._candidate, self._zone, opened)
            if due is not None and effect.key not in sent_anyway:
                found.append(NewEffect(row.name, effect.key, effect.action, effect.rule, due, _amount(effect.params)))
        return found

    def _case(self, row: CaseRow) -> Case:
        records = self._records(self._store.records.of_case(row.id))
        return case_of(row.name, records, self._client, opened_at(records, row.opened_at))

    def _client_records(self) -> list[RecordState]:
        kinds = sorted(kind.name for kind in self._candidate.vocabulary.kinds.values() if kind.scope == "client")
        return self._records([row for kind in kinds for row in self._store.records.of_kind(kind)])

    def _records(self, rows: Sequence[RecordRow]) -> list[RecordState]:
        """As they will be: where the mappings differ, with what they now make of the latest payloads."""
        states = {(row.kind, row.key): self._states.decode(row) for row in rows}
        if self._alike:
            return list(states.values())
        for seq in sorted({seq for row in rows for seq in row.sources.values()}):
            entry = self._store.journal.one(seq)
            observed, _ = observe(self._candidate.mappings.get(entry.event.kind, ()), entry.event) if entry else ([], [])
            for observation in observed:
                node = (observation.kind, observation.key)
                if node in states:
                    states[node] = merge(states[node], observation)
        return list(states.values())


def many(count: int, word: str) -> str:
    """`1 case`, `2 cases`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def ended_vetoes(
    case: str, active: RuleSet, before: Iterable[Veto], candidate: RuleSet, after: Iterable[Veto]
) -> list[EndedVeto]:
    """The vetoes of `before` that those of `after` do not uphold for every action, group and unit they bind.

    It counts what is bound, not who binds it: a rule that was renamed, split or written otherwise ends nothing.
    """
    upheld = [veto for veto in after if veto.standing.rule.mode == "live"]
    found: list[EndedVeto] = []
    for veto in before:
        if veto.standing.rule.mode != "live":
            continue
        below = _bound(active, veto) & set(candidate.precedence)
        for action in veto.forbid.actions:
            others = [w for w in upheld if action in w.forbid.actions and below <= _bound(candidate, w) and _as_strict(w, veto)]
            if not _covered(veto, others):
                standing = veto.standing
                found.append(EndedVeto(case, standing.rule.id, standing.item, action, veto.because))
    return found


def _bound(rule_set: RuleSet, veto: Veto) -> set[str]:
    """The groups below."""
    return set(rule_set.precedence[veto.standing.rule.rank + 1 :])


def _as_strict(veto: Veto, other: Veto) -> bool:
    return other.forbid.partial or not veto.forbid.partial


def _covered(veto: Veto, others: Sequence[Veto]) -> bool:
    if any(w.units is None and w.items is None for w in others):
        return True
    if veto.units is None and veto.items is None:
        return False
    units = frozenset[str]().union(*(w.units for w in others if w.units is not None))
    items = frozenset[str]().union(*(w.items for w in others if w.items is not None))
    return (veto.units or frozenset()) <= units and (veto.items or frozenset()) <= items
