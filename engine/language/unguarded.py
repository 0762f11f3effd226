"""Warns where a veto would bind only because something has not come yet.

A comparison with a fact that has not come is unknown, and an unknown veto binds: `u.verdict == "rejected"` would hold back
every piece nobody has looked at. Which facts of list items come late is learnt from the rules themselves: those that some
expression guards with `exists`, `missing` or `default`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.language.check import Checker
from engine.language.conditions import leaves
from engine.language.node import locator
from engine.language.parse import Fault, parse
from engine.language.rules import Ground, scope_of
from engine.language.ruleset import DerivedFact, Expression, Rule
from engine.language.scope import Scope
from engine.language.terms import Call, Choice, Comprehension, Field, Logic, Not, Term, every, path_of
from engine.problems import Problems

_GUARDS = frozenset({"exists", "missing", "default", "known"})


@dataclass(frozen=True, slots=True)
class _Read:
    """An expression as the checker understands it."""

    expression: Expression
    term: Term


def warn_unguarded(rules: tuple[Rule, ...], facts: tuple[DerivedFact, ...], ground: Ground, problems: Problems) -> None:
    """A warning for each late fact that a forbid, or a derived fact it reads, looks at without a guard."""
    derived: dict[str, _Read] = {}
    for fact in facts:
        found = _read(fact.expression, ground.scope.bound(fact.kind, fact.kind))
        if found is not None:
            derived[f"{fact.kind}.{fact.name}"] = found
    by_rule = {rule.id: _reads_of(rule, scope_of(rule.each, ground.scope, ground.questions)) for rule in rules}
    everywhere = [*derived.values(), *(read for reads in by_rule.values() for read in reads)]
    late = {name for read in everywhere for name in _guarded_fields(read.term, ground.scope)}
    for rule in rules:
        if rule.forbids:
            guards = frozenset[str]().union(*(_guards(read.term) for read in by_rule[rule.id]))
            for read in [*by_rule[rule.id], *_facts_read(by_rule[rule.id], derived)]:
                for term in _unguarded(read.term, guards, late):
                    name = f"{term.of.type.kind}.{term.name}"
                    path = path_of(term) or name
                    said = (
                        f'where {name} has not come this is unknown, and the forbid of "{rule.id}" binds: '
                        f"guard it, as in exists({path}) and ..."
                    )
                    problems.add(read.expression.place, "unguarded-forbid", said)


def _read(expression: Expression, scope: Scope) -> _Read | None:
    if expression.constant:
        return None
    try:
        syntax = parse(expression.text)
    except Fault:
        return None
    term = Checker(syntax, scope, Problems(), locator(expression.place)).check(syntax.body)
    return None if term is None else _Read(expression, term)


def _reads_of(rule: Rule, scope: Scope) -> list[_Read]:
    expressions = [leaf.expression for leaf in leaves(rule.when)] + [forbid.units for forbid in rule.forbids]
    read = (_read(expression, scope) for expression in expressions if expression is not None)
    return [found for found in read if found is not None]


def _facts_read(reads: list[_Read], derived: Mapping[str, _Read]) -> list[_Read]:
    """The derived facts these read, straight or through others."""
    found: dict[str, _Read] = {}
    waiting = [name for read in reads for name in read.expression.reads]
    while waiting:
        name = waiting.pop()
        if name in derived and name not in found:
            found[name] = derived[name]
            waiting.extend(derived[name].expression.reads)
    return list(found.values())


def _guarded_fields(term: Term, scope: Scope) -> Iterator[str]:
    """Fields of list items that come from outside and are asked for with `exists`, `missing` or `default`."""
    for part in every(term):
        if isinstance(part, Call) and part.function.name in _GUARDS and isinstance(part.arguments[0], Field):
            field = part.arguments[0]
            kind = scope.vocabulary.kinds.get(field.of.type.kind)
            spec = kind.fields.get(field.name) if kind is not None and kind.scope == "item" else None
            if spec is not None and not spec.computed:
                yield f"{field.of.type.kind}.{field.name}"


def _unguarded(term: Term, guards: frozenset[str], late: set[str]) -> Iterator[Field]:
    if isinstance(term, Call) and term.function.name in _GUARDS:
        return
    if isinstance(term, Field) and f"{term.of.type.kind}.{term.name}" in late and path_of(term) not in guards:
        yield term
    if isinstance(term, Logic | Choice):
        guards = guards.union(*(_guards(part) for part in term.parts()))
    if isinstance(term, Comprehension) and term.condition is not None:
        guards |= _guards(term.condition)
    for part in term.parts():
        yield from _unguarded(part, guards, late)


def _guards(term: Term) -> frozenset[str]:
    """The paths a condition asks for, so that the rest of it need not be unknown."""
    if isinstance(term, Not):
        return _guards(term.of)
    if isinstance(term, Logic):
        return frozenset[str]().union(*(_guards(part) for part in term.terms))
    if isinstance(term, Call) and term.function.name in _GUARDS:
        path = path_of(term.arguments[0])
        return frozenset() if path is None else frozenset({path})
    return frozenset()
