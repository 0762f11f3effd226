"""Conditions that can never hold, and those that hold whatever the facts are."""

from __future__ import annotations

from collections.abc import Iterator

from engine.language.compiled import Condition, Rule
from engine.language.lints.proof import Case, Prover, TooMany, joined
from engine.language.lints.whole import Read, Whole
from engine.language.terms import Comprehension, every
from engine.problems import Problem


def settled_conditions(whole: Whole) -> Iterator[Problem]:
    """What can be proved of the `when` of each rule and of each filter."""
    for rule in whole.rules:
        yield from _entries(rule, whole.prover(rule))
        for read in whole.reads(rule):
            yield from _filters(read, whole.prover(rule), whole)
    for read in whole.derived.values():
        yield from _filters(read, whole.prover(), whole)


def entries_of(rule: Rule) -> tuple[Condition, ...]:
    """The entries of `when`, all of which must hold."""
    return rule.when.parts if rule.when.kind == "all" else (rule.when,)


def _entries(rule: Rule, prover: Prover) -> Iterator[Problem]:
    so_far: list[Case] | None = [()]
    for entry in entries_of(rule):
        if prover.never(entry, "t"):
            yield Problem(entry.place, "never-holds", f'this can never hold, so the rule "{rule.id}" does nothing')
            return
        if prover.never(entry, "f"):
            yield Problem(entry.place, "always-holds", "this holds wherever what it reads is known, so it decides nothing")
        try:
            so_far = None if so_far is None else joined([so_far, prover.cases(entry, "t")])
        except TooMany:
            so_far = None
        if so_far == []:
            said = f'this can never hold together with the entries above it, so the rule "{rule.id}" does nothing'
            yield Problem(entry.place, "never-holds", said)
            return


def _filters(read: Read, prover: Prover, whole: Whole) -> Iterator[Problem]:
    for term in every(read.term):
        if isinstance(term, Comprehension) and term.condition is not None and prover.never(term.condition, "t"):
            said = "no item can ever pass this filter, so the list is always empty"
            yield Problem(whole.place(read, term.condition), "never-holds", said)
