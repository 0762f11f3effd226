"""One rule set with its sources, as the lints look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from engine.language.check import Checker
from engine.language.compiled import DerivedFact, Expression, PromiseSpec, Rule
from engine.language.conditions import leaves
from engine.language.files import CLIENTS
from engine.language.ingredients import Ingredients
from engine.language.lints.proof import Prover
from engine.language.node import Node, locator
from engine.language.parse import Fault, parse
from engine.language.rules import Ground, expressions_of, scope_of
from engine.language.scope import Scope, case_names
from engine.language.sections import Sections
from engine.language.tables.draft import scope_within
from engine.language.tables.table import Table
from engine.language.terms import Term
from engine.problems import Place, Problems


@dataclass(frozen=True, slots=True)
class Read:
    """An expression as the checker understands it."""

    expression: Expression
    term: Term


@dataclass(frozen=True)
class Whole:
    """Everything of one rule set. `settings` are the values of its parameters."""

    rules: tuple[Rule, ...]
    facts: tuple[DerivedFact, ...]
    promises: tuple[PromiseSpec, ...]
    given: Ingredients
    ground: Ground
    settings: Mapping[str, Any]
    _terms: dict[int, Read | None] = field(default_factory=dict)

    @property
    def sections(self) -> Sections:
        return self.given.sections

    def reads(self, rule: Rule) -> list[Read]:
        """Every expression of a rule, those in its texts too."""
        return self.read(expressions_of(rule), self.scope(rule))

    def conditions(self, rule: Rule) -> list[Read]:
        """The entries of its `when`, in order."""
        return self.read((leaf.expression for leaf in leaves(rule.when) if leaf.expression is not None), self.scope(rule))

    def prover(self, rule: Rule | None = None) -> Prover:
        """Of a client's own rule the parameters are what the client set; a rule of a pack is there for all settings."""
        fixed = rule is not None and self.is_own(rule.place)
        return Prover(self._term, _by_path(self.settings, "params") if fixed else {})

    def _term(self, expression: Expression) -> Term | None:
        """Of an expression that was looked at before."""
        read = self._terms.get(id(expression))
        return None if read is None else read.term

    def scope(self, rule: Rule) -> Scope:
        return scope_of(rule.each, self.ground.scope, self.ground.questions)

    @cached_property
    def derived(self) -> Mapping[str, Read]:
        """The derived facts by name."""
        scope = replace(self.ground.scope, names=case_names(self.ground.scope.vocabulary))
        found: dict[str, Read] = {}
        for fact in self.facts:
            for read in self.read([fact.expression], scope.bound(fact.kind, fact.kind)):
                found[f"{fact.kind}.{fact.name}"] = read
        return found

    @property
    def tables(self) -> list[Table]:
        return [table for table in self.ground.scope.tables.values() if table is not None]

    @cached_property
    def given_to_tables(self) -> list[Read]:
        """The inputs of all tables."""
        found: list[Read] = []
        for table in self.tables:
            inputs = [given.expression for given in table.inputs]
            found += self.read(inputs, scope_within(table.kind, self.ground.scope))
        return found

    @cached_property
    def promised(self) -> list[Read]:
        """The expressions of all promises."""
        found: list[Read] = []
        for promise in self.promises:
            expressions = (promise.when, promise.never, promise.by, promise.must)
            scope = scope_of(promise.each, self.ground.scope, {})
            found += self.read([each for each in expressions if each is not None], scope)
        return found

    def read(self, expressions: Iterator[Expression] | list[Expression], scope: Scope) -> list[Read]:
        """The terms of these, checked once each; constants have none."""
        found: list[Read] = []
        for expression in expressions:
            if id(expression) not in self._terms:
                self._terms[id(expression)] = _read(expression, scope)
            read = self._terms[id(expression)]
            found.extend([read] if read is not None else [])
        return found

    def place(self, read: Read, term: Term) -> Place:
        """Where a part of an expression stands."""
        start = read.expression.place
        node = self._scalars.get(start)
        if node is None:
            return start.moved(term.offset)
        return node.at(len(node.text) - len(node.text.lstrip()) + term.offset)

    def is_own(self, place: Place) -> bool:
        """Whether it stands in the client's own folder, not in a pack."""
        return place.file.startswith(f"{CLIENTS}/")

    @cached_property
    def _scalars(self) -> dict[Place, Node]:
        """The scalars expressions can stand in, by where their text begins."""
        found: dict[Place, Node] = {}
        waiting = [entry.node for entry in self.sections.entries()]
        while waiting:
            node = waiting.pop()
            waiting += [*node.elements, *(entry.node for entry in node.entries)]
            if node.kind == "scalar" and (node.style != "plain" or node.raw != node.text):
                found[node.at(len(node.text) - len(node.text.lstrip()))] = node
        return found


def _by_path(settings: Mapping[str, Any], above: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _by_path(value, f"{above}.{name}") if isinstance(value, Mapping) else {f"{above}.{name}": value}
    return found


def _read(expression: Expression, scope: Scope) -> Read | None:
    if expression.constant:
        return None
    try:
        syntax = parse(expression.text)
    except Fault:
        return None
    term = Checker(syntax, scope, Problems(), locator(expression.place)).check(syntax.body)
    return None if term is None else Read(expression, term)
