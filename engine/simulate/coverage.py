"""What scenarios reach: for every rule whether it held and whether it did not, for every condition how it came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.decide.decision import Decision
from engine.decide.match import answers_by_item, env_for
from engine.facts.values import Rec
from engine.language.compiled import Condition, Rule, Truth
from engine.language.ruleset import RuleSet
from engine.problems import Place

HELD, FAILED, UNKNOWN = "held", "failed", "unknown"
NEVER = "never reached"
_OUTCOMES: Mapping[Truth, str] = {True: HELD, False: FAILED, None: UNKNOWN}


@dataclass(slots=True)
class Point:
    """One rule, one of its conditions, or what it waits for: which outcomes were seen. Both held and failed are wanted."""

    rule: str
    path: str  # "" for the rule itself, else as in `when/2/any/1`, `for`, `after`
    text: str
    place: Place
    seen: set[str] = field(default_factory=set)

    @property
    def lacks(self) -> tuple[str, ...]:
        return tuple(outcome for outcome in (HELD, FAILED) if outcome not in self.seen)

    @property
    def told(self) -> str:
        """What is not covered, in words."""
        if not self.seen:
            return NEVER
        return " and ".join(f"never {outcome}" for outcome in self.lacks)


class Coverage:
    """Grows with every decision it is shown. Only rules of `folder` count: a client's own, or a pack's."""

    def __init__(self, rule_set: RuleSet, folder: str) -> None:
        self.rules = tuple(r for r in rule_set.rules if r.mode != "off" and _is_in(r, folder))
        self.points: dict[tuple[str, str], Point] = {}
        for rule in self.rules:
            for point in _points(rule):
                self.points[rule.id, point.path] = point

    def watch(self, decision: Decision) -> None:
        """One decision more."""
        by_item = answers_by_item(decision.basis.given)
        standing = {(s.rule.id, s.item): s for s in decision.standings}
        for rule in self.rules:
            recs: list[Rec | None] = [None] if rule.each is None else list(decision.view.items(rule.each))
            for rec in recs:
                env = env_for(rule, rec, decision.view, by_item)
                truth = self._reach(rule, rule.when, env)
                stands = standing.get((rule.id, rec.item if rec is not None else ""))
                ready = stands is not None and stands.ready
                self._saw(rule, "", truth is True and ready if truth is not None else None)
                if truth is True and stands is not None:
                    self._saw_waiting(rule, ready=ready, unknown=stands.after_unknown)

    def _saw_waiting(self, rule: Rule, *, ready: bool, unknown: bool) -> None:
        for path, waits in (("for", rule.hold_for), ("after", rule.after)):
            if waits is not None:
                self._saw(rule, path, None if unknown else ready)

    def _saw(self, rule: Rule, path: str, truth: Truth) -> None:
        self.points[rule.id, path].seen.add(_OUTCOMES[truth])

    def _reach(self, rule: Rule, condition: Condition, env: Mapping[str, Any]) -> Truth:
        """The outcome of a condition. In a list, what stands after the entry that decides is not reached."""
        if condition.expression is not None:
            truth = condition.expression.truth(env)
            self._saw(rule, condition.path, truth)
            return truth
        decisive = condition.kind != "all"
        unknown = False
        for part in condition.parts:
            outcome = self._reach(rule, part, env)
            if outcome is decisive:
                return condition.kind == "any"
            unknown = unknown or outcome is None
        return None if unknown else condition.kind != "any"

    @property
    def wanted(self) -> int:
        return 2 * len(self.points)

    @property
    def reached(self) -> int:
        return self.wanted - sum(len(point.lacks) for point in self.points.values())

    @property
    def percent(self) -> float:
        """Of all outcomes wanted, how many were seen; 100 where there is nothing to see."""
        return 100.0 * self.reached / self.wanted if self.wanted else 100.0

    def missing(self) -> Iterator[Point]:
        """What is not covered, in the order of the files."""
        yield from sorted((p for p in self.points.values() if p.lacks), key=lambda p: (p.place, p.path))

    def rules_never_held(self) -> tuple[str, ...]:
        return tuple(rule.id for rule in self.rules if HELD not in self.points[rule.id, ""].seen)


def _is_in(rule: Rule, folder: str) -> bool:
    return any(origin.file.startswith(f"{folder}/") for origin in rule.origins)


def _points(rule: Rule) -> Iterator[Point]:
    yield Point(rule.id, "", rule.title, rule.place)
    yield from _conditions(rule, rule.when)
    for path, waits in (("for", rule.hold_for), ("after", rule.after)):
        if waits is not None:
            yield Point(rule.id, path, waits.text, waits.place)


def _conditions(rule: Rule, condition: Condition) -> Iterator[Point]:
    if condition.expression is not None:
        yield Point(rule.id, condition.path, condition.label or condition.expression.text, condition.place)
    for part in condition.parts:
        yield from _conditions(rule, part)
