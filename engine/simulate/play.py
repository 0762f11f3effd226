"""One case played on virtual time: observations in, decisions out. No store, no sending, no clock but the one it is given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime

from engine.decide.decision import Decision, decide
from engine.decide.match import Pass
from engine.decide.memory import Memory
from engine.facts.case import Case, case_of
from engine.facts.links import ORDER, Node, reach
from engine.facts.merge import merge
from engine.facts.record import Observation, RecordState
from engine.language.ruleset import RuleSet

MOST_PASSES = 10_000  # between two instants; a case that is looked at more often looks at itself without end


class Restless(RuntimeError):  # noqa: N818 - it says what the case is
    """A case asked to be looked at again and again, without end."""


class Play:
    """A case as it is decided over time.

    What is seen is merged as in production, what belongs to the case follows from the links of the records, and between two
    instants the case is looked at whenever a decision asked for it. `now` only moves forward.
    """

    def __init__(self, rule_set: RuleSet, start: datetime, memory: Memory | None = None) -> None:
        self.rule_set = rule_set
        self.now = start
        self.memory = memory if memory is not None else Memory()
        self.records: dict[Node, RecordState] = {}
        self.decision: Decision | None = None
        self._opened_at = start
        self._named: dict[Node, frozenset[Node]] = {}
        self._naming: defaultdict[Node, set[Node]] = defaultdict(set)
        self._order: Node | None = None
        self._basis: Pass | None = None

    def fork(self) -> Play:
        """The same case, to be gone on with apart."""
        other = Play(self.rule_set, self.now, self.memory)
        other.records, other.decision, other._basis = dict(self.records), self.decision, self._basis
        other._opened_at, other._order, other._named = self._opened_at, self._order, dict(self._named)
        other._naming.update((node, set(names)) for node, names in self._naming.items())
        return other

    def see(self, observation: Observation) -> RecordState:
        """One more observation of a record; gives the record as it is known now. Nothing is decided."""
        node = (observation.kind, observation.key)
        state = merge(self.records.get(node), observation)
        self.records[node] = state
        if observation.kind == ORDER and self._order is None:
            self._order = node
        for gone in self._named.get(node, frozenset()) - state.links:
            self._naming[gone].discard(node)
        for named in state.links:
            self._naming[named].add(node)
        self._named[node] = state.links
        return state

    def change(self, what: Callable[[Memory], Memory]) -> None:
        """Change what the case remembers: an answer, or what became of an effect."""
        self.memory = what(self.memory)

    def decide(self) -> Decision:
        """One pass, now."""
        self.decision = decide(self.rule_set, self.case(), self.memory, self.now, self._basis)
        self.memory, self._basis = self.decision.memory, self.decision.basis
        return self.decision

    def advance(self, until: datetime) -> Iterator[Decision]:
        """Let time pass, giving each decision that a wake-up asked for; ends at `until`. Raises `Restless`."""
        for _ in range(MOST_PASSES):
            wake = self.decision.wake_at if self.decision is not None else None
            if wake is None or wake > until:
                self.now = max(self.now, until)
                return
            self.now = max(self.now, wake)
            yield self.decide()
        raise Restless(f"the case was looked at {MOST_PASSES} times and still asked for more, last at {self.now.isoformat()}")

    def case(self) -> Case:
        """The records that belong to the case: all that the order reaches, or all there are where no order has come."""
        client_kinds = self.rule_set.vocabulary.client
        members = self._members()
        local = [state for node, state in self.records.items() if node in members and node[0] not in client_kinds]
        client = [state for node, state in self.records.items() if node[0] in client_kinds]
        first = self._order or min((node for node in members if node[0] not in client_kinds), default=("case", "empty"))
        return case_of(f"{first[0]}:{first[1]}", local, client, self._opened_at)

    def strangers(self) -> list[Node]:
        """Records no link ties to the case."""
        client_kinds = self.rule_set.vocabulary.client
        return sorted(node for node in self.records.keys() - self._members() if node[0] not in client_kinds)

    def _members(self) -> frozenset[Node]:
        if self._order is None:
            return frozenset(self.records)
        return reach(self._order, lambda node: self._named.get(node, frozenset()) | self._naming[node])
