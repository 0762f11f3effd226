"""What a candidate is told: one decision of the service, or that it is its own turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

from engine.decide.decision import Decision
from engine.decide.memory import Memory
from engine.facts.case import Case
from engine.facts.effects import EffectState
from engine.language.ruleset import RuleSet
from engine.run.deciding.cadence import due_at
from engine.run.deciding.worker import Decided
from engine.run.hearing.deeds import DoneTo
from engine.simulate.seen import Came
from engine.store.rows import CaseRow


@dataclass(frozen=True, slots=True)
class Real:
    """The effects of the active set in one case, and when those leave that are only planned."""

    effects: tuple[EffectState, ...]
    leaving: Mapping[str, datetime] = field(default_factory=dict)

    @classmethod
    def of(cls, memory: Memory, rule_set: RuleSet, opened_at: datetime) -> Self:
        zone = ZoneInfo(rule_set.time_zone)
        planned = [e for e in memory.effects if e.status == "planned"]
        leaving = {e.key: at for e in planned if (at := due_at(e, rule_set, zone, opened_at)) is not None}
        return cls(memory.effects, leaving)

    def effect(self, key: str) -> EffectState | None:
        return next((e for e in self.effects if e.key == key and e.mode == "live"), None)


@dataclass(frozen=True, slots=True)
class Look:
    """One decision of the service. `memory` is what the case remembered before, as JSON text; `given` the effects as they were
    decided on, `real` as they were left; `woken` is when the service was to look by itself, `deed` what a person did.
    """

    case_id: int
    case: Case
    at: datetime
    rule_set: str
    memory: str
    given: tuple[EffectState, ...]
    real: Real
    came: Came
    woken: datetime | None = None
    deed: DoneTo | None = None

    @classmethod
    def of(cls, decided: Decided, rule_set: RuleSet) -> Self:
        """What was decided with this rule set, a moment ago."""
        deed = decided.change if isinstance(decided.change, DoneTo) else None
        real = Real.of(decided.left, rule_set, decided.case.opened_at)
        came = _came(decided.decision, decided.left)
        row, decision = decided.row, decided.decision
        given, woken = decided.given.effects, row.wake_at
        return cls(row.id, decided.case, decision.now, rule_set.hash, row.memory, given, real, came, woken, deed)

    @classmethod
    def now(cls, row: CaseRow, case: Case, memory: Memory, decision: Decision, rule_set: RuleSet) -> Self:
        """A look at a case as it is, of which nothing is kept: what is planned in it is what was planned before."""
        real = Real.of(memory, rule_set, case.opened_at)
        came = _came(decision, memory)
        return cls(row.id, case, decision.now, rule_set.hash, row.memory, memory.effects, real, came, row.wake_at)


@dataclass(frozen=True, slots=True)
class Turn:
    """The candidate is to do what it would have done by itself, up to an instant; but not what is to be done with the look of the
    service for which `woken` was the time, however late that was.
    """

    case_id: int
    case: Case
    real: Real
    until: datetime
    woken: datetime | None = None


@dataclass(frozen=True, slots=True)
class Absorbed:
    """One case ended and lives on in another."""

    gone: int
    into: int


Item = Look | Turn | Absorbed


def _came(decision: Decision, left: Memory) -> Came:
    return Came(decision.now, left.effects, left.exceptions, decision.closed, decision.blocked)
