"""Walks a term once more to explain it: the value, the facts it saw, and which of them are to blame where it is unknown.

It means exactly what the compiled forms mean; a differential test holds them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import DecimalException
from typing import Any

from engine.facts.values import UNKNOWN, CurrencyMismatch, Items, Rec
from engine.language.compiled import Env, Finding
from engine.language.operations import (
    ABSENT,
    ARITHMETIC,
    COMPARISONS,
    Undecidable,
    agree,
    as_items,
    lacking,
    minus,
    negate,
    truth,
)
from engine.language.show import counted, show
from engine.language.tables.table import Decided
from engine.language.terms import (
    LARGEST_LOOP,
    Arithmetic,
    Call,
    Choice,
    Compare,
    Comprehension,
    Field,
    ListOf,
    Literal,
    Logic,
    Negative,
    Not,
    Root,
    Setting,
    Term,
)

UNDECIDABLE = (Undecidable, CurrencyMismatch, DecimalException, OverflowError, ValueError, TypeError)


@dataclass(slots=True)
class Trail:
    """What was met on the way. `visited` counts the items the outermost comprehension at work, and those nested in it, went
    through; without `told` only that is kept.
    """

    blame: dict[str, None] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    visited: int = 0
    loops: int = 0
    told: bool = True

    def saw(self, name: str, value: Any) -> None:
        if self.told:
            self.values[name] = counted(value)

    def lacks(self, name: str) -> None:
        if self.told:
            self.blame[name] = None

    def aside(self) -> Trail:
        """A trail for a part whose gaps may turn out not to matter; the budget goes on."""
        return Trail(visited=self.visited, loops=self.loops, told=self.told)

    def join(self, part: Trail, *, blame: bool) -> None:
        self.values.update(part.values)
        self.visited = part.visited
        if blame:
            self.blame.update(part.blame)
            self.reason = self.reason or part.reason


def explain(term: Term, env: Env) -> Finding:
    """The outcome of a term as a value and as a condition, and why."""
    trail = Trail()
    value = walk(term, env, trail)
    outcome = truth(value)
    lacks = isinstance(value, ABSENT) or bool(isinstance(value, Items) and value.unsure)
    return Finding(
        None if outcome is UNKNOWN else outcome,
        value,
        tuple(trail.blame) if lacks else (),
        tuple(trail.values.items()),
        trail.reason if lacks else "",
    )


def walk(term: Term, env: Env, trail: Trail) -> Any:
    """The value of a term. Never raises: what cannot be computed is unknown, with the reason on the trail."""
    try:
        return _WALKS[type(term)](term, env, trail)
    except UNDECIDABLE as fault:
        trail.reason = trail.reason or str(fault) or type(fault).__name__
        return UNKNOWN


def _literal(term: Literal, _env: Env, _trail: Trail) -> Any:
    return term.value


def _root(term: Root, env: Env, _trail: Trail) -> Any:
    value = env.get(term.name)
    return Items(value) if isinstance(value, list) else value


def _setting(term: Setting, env: Env, trail: Trail) -> Any:
    value = setting(env, term.group, term.name)
    trail.saw(f"{term.group}.{term.name}", value)
    if isinstance(value, ABSENT) and term.group == "params":
        trail.lacks(f"params.{term.name}")
    return value


def setting(env: Env, group: str, name: str) -> Any:
    """A parameter or answer; nested parameters are read by their dotted name."""
    held = env.get(group) or {}
    value = held.get(name)
    return Items(value) if isinstance(value, list) else value


def _field(term: Field, env: Env, trail: Trail) -> Any:
    of = walk(term.of, env, trail)
    if isinstance(of, Rec):
        value = of.get(term.name)
        if trail.told:
            name = f"{of.item}.{term.name}"
            if isinstance(value, ABSENT) or (isinstance(value, Items) and value.unsure):
                trail.lacks(name)
            if not isinstance(value, Rec):
                trail.saw(name, value)
            if isinstance(of, Decided):
                _told_by_table(of, value, name, trail)
        return value
    if of is None and isinstance(term.of, Root) and not term.of.payload:
        trail.lacks(f"{term.of.name}.{term.name}")
    return field_of(of, term.name)


def _told_by_table(of: Decided, value: Any, name: str, trail: Trail) -> None:
    """The rows an output comes from belong to it; what it lacks are facts if `lookup` was given them here."""
    trail.values[name] = f"{show(value)} {of.origin()}".rstrip()
    if isinstance(value, ABSENT):
        trail.reason = trail.reason or of.reason()
        if of.parent is None and len(trail.blame) > 1:
            trail.blame.pop(name, None)


def field_of(of: Any, name: str) -> Any:
    """A field of a record or of a payload's object; through nothing there is nothing."""
    if isinstance(of, Rec):
        return of.get(name)
    if isinstance(of, dict):
        value = of.get(name)
        return Items(value) if isinstance(value, list) else value
    if isinstance(of, ABSENT):
        return lacking(of)
    return UNKNOWN


def _logic(term: Logic, env: Env, trail: Trail) -> Any:
    stop = term.operator == "or"
    unknown = trail.aside()
    doubtful = False
    for part in term.terms:
        aside = trail.aside()
        outcome = truth(walk(part, env, aside))
        trail.join(aside, blame=False)
        if outcome is stop:
            return stop
        if outcome is UNKNOWN:
            doubtful = True
            unknown.join(aside, blame=True)
    if doubtful:
        unknown.visited = trail.visited
        trail.join(unknown, blame=True)
    return UNKNOWN if doubtful else not stop


def _not(term: Not, env: Env, trail: Trail) -> Any:
    return negate(truth(walk(term.of, env, trail)))


def _compare(term: Compare, env: Env, trail: Trail) -> Any:
    return COMPARISONS[term.operator](walk(term.left, env, trail), walk(term.right, env, trail))


def _arithmetic(term: Arithmetic, env: Env, trail: Trail) -> Any:
    return ARITHMETIC[term.operator](walk(term.left, env, trail), walk(term.right, env, trail))


def _negative(term: Negative, env: Env, trail: Trail) -> Any:
    return minus(walk(term.of, env, trail))


def _choice(term: Choice, env: Env, trail: Trail) -> Any:
    aside = trail.aside()
    condition = truth(walk(term.condition, env, aside))
    trail.join(aside, blame=condition is UNKNOWN)
    if condition is UNKNOWN:
        return agree(walk(term.yes, env, trail), walk(term.no, env, trail))
    return walk(term.yes if condition else term.no, env, trail)


def _list_of(term: ListOf, env: Env, trail: Trail) -> Any:
    return Items([walk(part, env, trail) for part in term.terms])


def _comprehension(term: Comprehension, env: Env, trail: Trail) -> Any:
    source = as_items(walk(term.source, env, trail))
    if isinstance(source, ABSENT):
        return source
    if not trail.loops:
        trail.visited = 0
    trail.loops += 1
    try:
        return _gone_through(term, source, dict(env), trail)
    finally:
        trail.loops -= 1


def _gone_through(term: Comprehension, source: Items, inner: dict[str, Any], trail: Trail) -> Items:
    sure: list[Any] = []
    unsure: list[Any] = []
    for given, items in ((sure, source), (unsure, source.unsure)):
        for item in items:
            trail.visited += 1
            if trail.visited > LARGEST_LOOP:
                raise Undecidable(f"more than {LARGEST_LOOP} items had to be gone through")
            inner[term.variable] = item
            outcome = True if term.condition is None else _met(term.condition, inner, trail)
            if outcome is not False:
                (given if outcome is True else unsure).append(walk(term.element, inner, trail))
    return Items(sure, unsure)


def _met(condition: Term, env: Env, trail: Trail) -> Any:
    aside = trail.aside()
    outcome = truth(walk(condition, env, aside))
    trail.join(aside, blame=outcome is UNKNOWN)
    return outcome


def _call(term: Call, env: Env, trail: Trail) -> Any:
    aside = trail.aside()
    try:
        arguments = [walk(argument, env, aside) for argument in term.arguments]
        value = term.function.over(*arguments)
    finally:
        trail.join(aside, blame=False)
    if isinstance(value, (*ABSENT, Decided)) or (isinstance(value, Items) and value.unsure):
        trail.join(aside, blame=True)
    return value


_WALKS: Mapping[type[Term], Callable[[Any, Env, Trail], Any]] = {
    Literal: _literal,
    Root: _root,
    Setting: _setting,
    Field: _field,
    Logic: _logic,
    Not: _not,
    Compare: _compare,
    Arithmetic: _arithmetic,
    Negative: _negative,
    Choice: _choice,
    ListOf: _list_of,
    Comprehension: _comprehension,
    Call: _call,
}
