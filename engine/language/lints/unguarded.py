"""Warns where a veto would bind only because something has not come yet.

A comparison with a fact that has not come is unknown, and an unknown veto binds: `u.verdict == "rejected"` would hold back
every piece nobody has looked at. Which facts of list items come late is learnt from the rules themselves: those that some
expression guards with `exists`, `missing` or `default`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.language.compiled import Rule
from engine.language.lints.whole import Read, Whole
from engine.language.scope import Scope
from engine.language.terms import Call, Choice, Comprehension, Field, Logic, Not, Term, every, path_of
from engine.problems import Problem

_GUARDS = frozenset({"exists", "missing", "default", "known"})


def unguarded_vetoes(whole: Whole) -> Iterator[Problem]:
    """A warning for each late fact that a forbid, or a derived fact it reads, looks at without a guard."""
    by_rule = {rule.id: _reads_of(rule, whole) for rule in whole.rules}
    everywhere = [*whole.derived.values(), *(read for reads in by_rule.values() for read in reads)]
    late = {name for read in everywhere for name in _guarded_fields(read.term, whole.ground.scope)}
    for rule in whole.rules:
        if rule.forbids:
            guards = frozenset[str]().union(*(_guards(read.term) for read in by_rule[rule.id]))
            for read in [*by_rule[rule.id], *_facts_read(by_rule[rule.id], whole.derived)]:
                for term in _unguarded(read.term, guards, late):
                    name = f"{term.of.type.kind}.{term.name}"
                    path = path_of(term) or name
                    said = (
                        f'where {name} has not come this is unknown, and the forbid of "{rule.id}" binds: '
                        f"guard it, as in exists({path}) and ..."
                    )
                    yield Problem(whole.place(read, term), "unguarded-forbid", said)


def _reads_of(rule: Rule, whole: Whole) -> list[Read]:
    units = [forbid.units for forbid in rule.forbids if forbid.units is not None]
    return [*whole.conditions(rule), *whole.read(units, whole.scope(rule))]


def _facts_read(reads: list[Read], derived: Mapping[str, Read]) -> list[Read]:
    """The derived facts these read, straight or through others."""
    found: dict[str, Read] = {}
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
