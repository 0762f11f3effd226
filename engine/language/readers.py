"""Which rules have to be looked at again when a fact changes.

Most rules begin by asking whether a fact of their own item is this or that. Those are found by the value, so that a thousand
rules about other values cost nothing.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.facts.schema import Vocabulary

if TYPE_CHECKING:
    from engine.language.ruleset import Condition, Each, Rule


@dataclass(frozen=True, slots=True)
class Wanting:
    """Rules that are false for an item of `kind` where its `field` is known and not the text they are listed under."""

    kind: str
    field: str
    rules: Mapping[str, Rule]  # all of them, by id
    by_value: Mapping[str, tuple[Rule, ...]]


@dataclass(frozen=True, slots=True)
class Readers:
    """The rules whose conditions read one fact.

    `always` ask for no value. `own` read the fact of nothing but their own item, so that a change of it matters for that item
    alone; for `across` it may matter for any item.
    """

    always: tuple[Rule, ...]
    own: tuple[Wanting, ...]
    across: tuple[Wanting, ...]


_NOBODY = Readers((), (), ())


class ReadersOf(Mapping[str, Readers]):
    """By fact (`rma.status`, `answer.<rule>`, or a bare kind), over what the conditions of rules read straight; derived facts are
    facts like others. A fact nobody reads has no readers.
    """

    def __init__(self, rules: Iterable[Rule], vocabulary: Vocabulary) -> None:
        found: dict[str, _Found] = defaultdict(_Found)
        for rule in rules:
            _file(rule, vocabulary, found)
        self._found = {read: each.readers() for read, each in sorted(found.items())}

    def __getitem__(self, fact: str) -> Readers:
        return self._found.get(fact, _NOBODY)

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class _Found:
    """The readers of one fact while they are gathered."""

    def __init__(self) -> None:
        self.always: list[Rule] = []
        self.own: dict[str, list[tuple[Rule, frozenset[str]]]] = defaultdict(list)
        self.across: dict[str, list[tuple[Rule, frozenset[str]]]] = defaultdict(list)

    def readers(self) -> Readers:
        return Readers(tuple(self.always), _wantings(self.own), _wantings(self.across))


def _wantings(filed: Mapping[str, list[tuple[Rule, frozenset[str]]]]) -> tuple[Wanting, ...]:
    found = []
    for fact, asking in sorted(filed.items()):
        by_value: dict[str, list[Rule]] = defaultdict(list)
        for rule, values in asking:
            for value in values:
                by_value[value].append(rule)
        kind, _, field = fact.partition(".")
        sorted_out = MappingProxyType({value: tuple(rules) for value, rules in sorted(by_value.items())})
        found.append(Wanting(kind, field, MappingProxyType({rule.id: rule for rule, _ in asking}), sorted_out))
    return tuple(found)


def _file(rule: Rule, vocabulary: Vocabulary, found: Mapping[str, _Found]) -> None:
    """Put a rule under every fact its condition reads."""
    reads = reads_of_each(rule.each, vocabulary)
    reads.update(read for leaf in _leaves(rule.when) if leaf.expression is not None for read in leaf.expression.reads)
    wants = _wanted(rule)
    if not wants or rule.each is None:
        for read in reads:
            found[read].always.append(rule)
        return
    wanted, values = min(wants.items(), key=lambda want: (len(want[1]), want[0]))
    kind = rule.each.item_kind or rule.each.kind
    elsewhere = _fields_elsewhere(rule.when, rule.each.name, kind, vocabulary)
    for read in reads:
        of, _, field = read.partition(".")
        if of != kind or (field in elsewhere if field else None in elsewhere):
            found[read].across[wanted].append((rule, values))
        elif field:
            found[read].own[wanted].append((rule, values))
        # an item that comes or goes changes all its fields, the wanted one too: its bare kind needs no place of its own


def _leaves(condition: Condition) -> Iterator[Condition]:
    if condition.expression is not None:
        yield condition
    for part in condition.parts:
        yield from _leaves(part)


def reads_of_each(each: Each | None, vocabulary: Vocabulary) -> set[str]:
    """What decides for which items a rule is evaluated: the records, and each list on the way."""
    if each is None:
        return set()
    reads, kind = {each.kind}, each.kind
    for step in each.path:
        reads.add(f"{kind}.{step}")
        below = vocabulary[kind].fields[step].type.of
        kind = kind if below is None else below.kind
        reads.add(kind)
    return reads


def _fields_elsewhere(when: Condition, own: str, kind: str, vocabulary: Vocabulary) -> frozenset[str | None]:
    """The fields a condition may read of other items of this kind than the one named `own`; None if it may list them all."""
    nodes = [node for leaf in _leaves(when) for tree in [_parsed(leaf)] if tree is not None for node in ast.walk(tree)]
    found: set[str | None] = set()
    for node in nodes:
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == own):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and node.id != own and kind in (node.id, vocabulary.plurals.get(node.id)):
            found.add(None)
    return frozenset(found)


def _parsed(leaf: Condition) -> ast.expr | None:
    assert leaf.expression is not None
    try:
        return ast.parse(" ".join(leaf.expression.text.split()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _wanted(rule: Rule) -> dict[str, frozenset[str]]:
    """For facts of the rule's own item, the texts of which one must be theirs for the rule not to be false."""
    if rule.each is None:
        return {}
    kind = rule.each.item_kind or rule.each.kind
    found: dict[str, frozenset[str]] = {}
    for node in _required(rule.when):
        for field, values in _choice(node, rule.each.name):
            fact = f"{kind}.{field}"
            found[fact] = found[fact] & values if fact in found else values
    return found


def _required(condition: Condition) -> Iterator[ast.expr]:
    """The parts of a condition that must all hold."""
    if condition.expression is not None:
        try:
            yield from _conjuncts(ast.parse(" ".join(condition.expression.text.split()), mode="eval").body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return
    elif condition.kind == "all":
        for part in condition.parts:
            yield from _required(part)


def _conjuncts(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for value in node.values:
            yield from _conjuncts(value)
    else:
        yield node


def _choice(node: ast.expr, name: str) -> Iterator[tuple[str, frozenset[str]]]:
    """`name.field == "text"` or `name.field in ["text", ...]`."""
    if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.left, ast.Attribute)):
        return
    holder, right = node.left.value, node.comparators[0]
    if not (isinstance(holder, ast.Name) and holder.id == name):
        return
    if isinstance(node.ops[0], ast.Eq) and isinstance(right, ast.Constant) and isinstance(right.value, str):
        yield node.left.attr, frozenset({right.value})
    elif isinstance(node.ops[0], ast.In) and isinstance(right, ast.List):
        texts = [e.value for e in right.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
        if len(texts) == len(right.elts):
            yield node.left.attr, frozenset(texts)
