"""Derived facts, each one more field of its kind, in an order in which each can be computed from the ones before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from engine.facts.schema import ANY, FieldSpec, Type, Vocabulary
from engine.language.compiled import DerivedFact
from engine.language.forms import FACT
from engine.language.node import Node
from engine.language.scope import Scope, case_names
from engine.language.vocabulary import with_field
from engine.language.written import expression_in
from engine.problems import Place, Problems, did_you_mean


class Unsettled(Protocol):
    """What is still to be compiled in an order that has to be found: a derived fact, or a table.

    `names` are those others read it by. `settle` gives its facts and the scope in which they can be read, or None with
    problems; `stand_in` a scope in which it is of any type.
    """

    @property
    def id(self) -> str: ...

    @property
    def place(self) -> Place: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def settle(self, scope: Scope, problems: Problems) -> Settled | None: ...

    def stand_in(self, scope: Scope) -> Scope: ...


Settled = tuple[Scope, tuple[DerivedFact, ...]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A derived fact whose type is not known yet."""

    kind: str
    name: str
    node: Node
    doc: str
    place: Place

    @property
    def id(self) -> str:
        return f"{self.kind}.{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.id,)

    def settle(self, scope: Scope, problems: Problems) -> Settled | None:
        bound = replace(scope, names=case_names(scope.vocabulary)).bound(self.kind, self.kind)
        expression = expression_in(self.node, bound, problems, f'the fact "{self.id}"')
        if expression is None:
            return None
        fact = DerivedFact(self.kind, self.name, expression.type, expression, self.doc, self.place)
        return self._in_scope(scope, expression.type), (fact,)

    def stand_in(self, scope: Scope) -> Scope:
        return self._in_scope(scope, ANY)

    def _in_scope(self, scope: Scope, of: Type) -> Scope:
        spec = FieldSpec(self.name, of, self.doc, computed=True)
        return replace(scope, vocabulary=with_field(scope.vocabulary, self.kind, spec))


def read_draft(name: str, place: Place, node: Node, vocabulary: Vocabulary, problems: Problems) -> Draft | None:
    """One entry of `facts:`: an expression, or `{value: ..., doc: ...}`."""
    kind, _, field = name.partition(".")
    if kind not in vocabulary:
        said = f'a derived fact is named like rma.scanned_at; there is no record "{kind}"{did_you_mean(kind, vocabulary.kinds)}'
        problems.add(place, "unknown-kind", said)
        return None
    if not field.isidentifier() or field.startswith("__"):
        word = "".join(c if c.isalnum() else "_" for c in field) or "open"
        problems.add(place, "bad-name", f'"{name}" is no name of a fact: a record and one word, like {kind}.{word}')
        return None
    if vocabulary[kind].type_of(field) is not None:
        problems.add(place, "duplicate-field", f'"{kind}" already has a field "{field}" in mappings/facts.yaml')
        return None
    doc = ""
    if node.kind == "map":
        if not node.expect_form(problems, f'the fact "{name}"', FACT):
            return None
        said_node = node.get("doc")
        doc = "" if said_node is None else said_node.expect_text(problems, f'the doc of "{name}"') or ""
        node = node.get("value") or node
    return Draft(kind, field, node, doc, place)


def resolve(drafts: Iterable[Unsettled], scope: Scope, problems: Problems) -> Settled:
    """All facts with their types, sorted by what they read, and the scope that holds them and the tables.

    What cannot be resolved has a problem and is of any type in the vocabulary, so that rules reading it are still checked.
    """
    facts: list[DerivedFact] = []
    waiting = {draft.id: draft for draft in sorted(drafts, key=lambda draft: draft.id)}
    progress = True
    while waiting and progress:
        progress = False
        for fact_id, draft in list(waiting.items()):
            attempt = Problems()
            settled = draft.settle(scope, attempt)
            if settled is None or attempt.errors:
                continue
            problems.extend(attempt)
            scope, found = settled
            facts.extend(found)
            del waiting[fact_id]
            progress = True
    return (_stuck(waiting, scope, problems) if waiting else scope), tuple(facts)


def reading_closure(facts: tuple[DerivedFact, ...]) -> Mapping[str, frozenset[str]]:
    """For each derived fact all it reads, straight or through others."""
    closure: dict[str, frozenset[str]] = {}
    for fact in facts:
        straight = fact.expression.reads
        closure[f"{fact.kind}.{fact.name}"] = straight.union(*(closure.get(read, frozenset()) for read in straight))
    return closure


def _stuck(waiting: Mapping[str, Unsettled], scope: Scope, problems: Problems) -> Scope:
    """Says why these could not be resolved: a fault of their own, or a circle."""
    known = scope
    for draft in waiting.values():
        known = draft.stand_in(known)
    named = {name: draft.id for draft in waiting.values() for name in draft.names}
    reads: dict[str, list[str]] = {}
    for fact_id, draft in waiting.items():
        own = Problems()
        settled = draft.settle(known, own)
        problems.extend(own)
        if settled is not None and not own.errors:
            read = {name for fact in settled[1] for name in fact.expression.reads}
            read |= {name.partition(".")[0] for name in read}  # an output is read as `policy.refund_on`
            reads[fact_id] = sorted({named[name] for name in read if name in named})
    reported: set[frozenset[str]] = set()
    for fact_id in sorted(reads):
        circle = _circle(fact_id, reads)
        if circle and frozenset(circle) not in reported:
            reported.add(frozenset(circle))
            chain = " reads ".join([*circle, circle[0]])
            problems.add(waiting[circle[0]].place, "circular-fact", f"facts read each other in a circle: {chain}")
    return known


def _circle(start: str, reads: Mapping[str, list[str]]) -> list[str]:
    """A way from `start` back to it, empty if there is none."""
    ways: list[list[str]] = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for read in reads.get(way[-1], ()):
            if read == start:
                return way
            if read not in seen:
                seen.add(read)
                ways.append([*way, read])
    return []
