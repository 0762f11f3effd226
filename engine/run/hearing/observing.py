"""From observations to records, and from records to the cases they are in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from engine.facts.merge import fields_of, merge
from engine.facts.record import Observation, RecordState
from engine.language.ruleset import RuleSet
from engine.run.clock import Clock
from engine.run.hearing.linking import Linking
from engine.store.base import Placements, Records
from engine.store.rows import Node, RecordRow


class Keeping(Protocol):
    """How the state of a record is kept in its row."""

    def decode(self, row: RecordRow) -> RecordState: ...

    def encode(self, state: RecordState) -> str: ...


class UnderRules(Protocol):
    """The rule set in force, and how states are kept under its vocabulary."""

    @property
    def rule_set(self) -> RuleSet: ...

    @property
    def states(self) -> Keeping: ...


class Observing:
    """Merges observations into records and keeps up which case each is in.

    `wanted` is told of records that a case waiting for its order names and that have not come.
    """

    def __init__(
        self,
        under: UnderRules,
        records: Records,
        cases: Placements,
        linking: Linking,
        clock: Clock,
        wanted: Callable[[Sequence[Node]], None],
    ) -> None:
        self._under = under
        self._records = records
        self._cases = cases
        self._linking = linking
        self._clock = clock
        self._wanted = wanted

    def observe(self, observation: Observation, seq: int) -> set[int]:
        """Merges one observation, of the event `seq`, into its record. Answers the cases to decide again."""
        row = self._records.get(observation.kind, observation.key)
        before = self._under.states.decode(row) if row else None
        after = merge(before, observation)
        if after == before:
            return set()
        sources = _sources(row, before, after, observation.mapping, seq)
        kept = RecordRow(0, after.kind, after.key, after.seen_at, self._under.states.encode(after), sources)
        record_id = self._records.put(kept)
        changed = _changed(before, after)
        if self._under.rule_set.vocabulary[after.kind].scope == "client":
            self._wake_readers(after.kind, changed, new=before is None)
            return set()
        if before is None or before.links != after.links:
            return self._place(record_id, before, after)
        return {case.id for case in self._cases.holding(record_id)} if changed else set()

    def _place(self, record_id: int, before: RecordState | None, after: RecordState) -> set[int]:
        self._records.link(record_id, after.links)
        lost = before.links - after.links if before else frozenset()
        touched = self._linking.place((after.kind, after.key), lost, self._clock())
        for case_id in sorted(touched):
            case = self._cases.get(case_id)
            if case is not None and not case.anchored:
                self._wanted(self._linking.stubs(case_id))
        return touched

    def _wake_readers(self, kind: str, changed: set[str], *, new: bool) -> None:
        """Records of the client are facts of every case: open cases are looked at again if a rule reads what changed."""
        facts = {f"{kind}.{name}" for name in changed} | ({kind} if new else set())
        if any(self._under.rule_set.reading.get(fact) for fact in facts):
            self._cases.wake(self._cases.all_open(), self._clock())


def _sources(row: RecordRow | None, before: RecordState | None, after: RecordState, mapping: str, seq: int) -> dict[str, int]:
    """The event each mapping last won with; a later one only where it really won."""
    held = dict(row.sources) if row else {}
    if before is None or before.snapshots.get(mapping) != after.snapshots.get(mapping):
        held[mapping] = seq
    return held


def _changed(before: RecordState | None, after: RecordState) -> set[str]:
    if before is None:
        return set(fields_of(after))
    old, new = fields_of(before), fields_of(after)
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    return changed | ({"seen_at"} if before.seen_at != after.seen_at else set())
