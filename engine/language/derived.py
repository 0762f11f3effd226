"""Derived facts, each one more field of its kind, in an order in which each can be computed from the ones before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.facts.schema import ANY, FieldSpec, Vocabulary
from engine.language.forms import FACT
from engine.language.node import Node
from engine.language.ruleset import DerivedFact, Expression
from engine.language.scope import Scope, case_names
from engine.language.vocabulary import with_field
from engine.language.written import expression_in
from engine.problems import Place, Problems, did_you_mean


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


def resolve(drafts: Mapping[str, Draft], scope: Scope, problems: Problems) -> tuple[Vocabulary, tuple[DerivedFact, ...]]:
    """All facts with their types, sorted by what they read, and the vocabulary that holds them.

    What cannot be resolved has a problem and is of any type in the vocabulary, so that rules reading it are still checked.
    """
    facts: list[DerivedFact] = []
    waiting = dict(sorted(drafts.items()))
    vocabulary = scope.vocabulary
    progress = True
    while waiting and progress:
        progress = False
        for fact_id, draft in list(waiting.items()):
            attempt = Problems()
            expression = _compile(draft, replace(scope, vocabulary=vocabulary), attempt)
            if expression is None or attempt.errors:
                continue
            problems.extend(attempt)
            facts.append(DerivedFact(draft.kind, draft.name, expression.type, expression, draft.doc, draft.place))
            vocabulary = with_field(vocabulary, draft.kind, FieldSpec(draft.name, expression.type, draft.doc, computed=True))
            del waiting[fact_id]
            progress = True
    if waiting:
        vocabulary = _stuck(waiting, replace(scope, vocabulary=vocabulary), problems)
    return vocabulary, tuple(facts)


def reading_closure(facts: tuple[DerivedFact, ...]) -> Mapping[str, frozenset[str]]:
    """For each derived fact all it reads, straight or through others."""
    closure: dict[str, frozenset[str]] = {}
    for fact in facts:
        straight = fact.expression.reads
        closure[f"{fact.kind}.{fact.name}"] = straight.union(*(closure.get(read, frozenset()) for read in straight))
    return closure


def _compile(draft: Draft, scope: Scope, problems: Problems) -> Expression | None:
    scope = replace(scope, names=case_names(scope.vocabulary)).bound(draft.kind, draft.kind)
    return expression_in(draft.node, scope, problems, f'the fact "{draft.id}"')


def _stuck(waiting: Mapping[str, Draft], scope: Scope, problems: Problems) -> Vocabulary:
    """Says why these could not be resolved: a fault of their own, or a circle."""
    vocabulary = scope.vocabulary
    for draft in waiting.values():
        vocabulary = with_field(vocabulary, draft.kind, FieldSpec(draft.name, ANY, draft.doc, computed=True))
    reads: dict[str, list[str]] = {}
    for fact_id, draft in waiting.items():
        own = Problems()
        expression = _compile(draft, replace(scope, vocabulary=vocabulary), own)
        problems.extend(own)
        if expression is not None and not own.errors:
            reads[fact_id] = sorted(expression.reads & waiting.keys())
    reported: set[frozenset[str]] = set()
    for fact_id in sorted(reads):
        circle = _circle(fact_id, reads)
        if circle and frozenset(circle) not in reported:
            reported.add(frozenset(circle))
            chain = " reads ".join([*circle, circle[0]])
            problems.add(waiting[circle[0]].place, "circular-fact", f"facts read each other in a circle: {chain}")
    return vocabulary


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
