"""Which rules have to be looked at: at first, and again when a fact changes."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.facts.schema import Vocabulary
from engine.language.compiled import Condition, Each, Rule
from engine.language.parse import Fault, parse
from engine.language.wants import Bound, Plain, Want, Wanting, wanting, wants_of


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

    def __init__(self, rules: Sequence[Rule], vocabulary: Vocabulary) -> None:
        wants = {rule.id: wants_of(rule, vocabulary) for rule in rules}
        spread = _spread(wants.values())
        found: dict[str, _Found] = defaultdict(_Found)
        every = _Found()
        for rule in rules:
            chosen = _chosen(wants[rule.id], spread)
            _file(rule, chosen, vocabulary, found)
            if chosen is None:
                every.always.append(rule)
            else:
                every.across[chosen[0]].append((rule, chosen[1]))
        self._found = {read: each.readers() for read, each in sorted(found.items())}
        self.every = every.readers()  # all rules, where none of their outcomes is known yet

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
        self.own: dict[str, list[tuple[Rule, Want]]] = defaultdict(list)
        self.across: dict[str, list[tuple[Rule, Want]]] = defaultdict(list)

    def readers(self) -> Readers:
        own, across = (tuple(wanting(*each) for each in sorted(filed.items())) for filed in (self.own, self.across))
        return Readers(tuple(self.always), own, across)


def _spread(wants: Iterable[Mapping[str, Want]]) -> Mapping[str, int]:
    """How many different values of a fact are asked for: the more, the fewer rules each value finds."""
    values: dict[str, set[Plain]] = defaultdict(set)
    for each in wants:
        for fact, want in each.items():
            values[fact].update(() if isinstance(want, Bound) else want)
    return {fact: len(found) for fact, found in values.items()}


def _chosen(wants: Mapping[str, Want], spread: Mapping[str, int]) -> tuple[str, Want] | None:
    """The fact a rule is found by: the one that leaves it out most often."""

    def kept(one: tuple[str, Want]) -> tuple[float, str]:
        fact, want = one
        return (0.5 if isinstance(want, Bound) else len(want) / (spread[fact] + 1), fact)

    return min(wants.items(), key=kept, default=None)


def _file(rule: Rule, chosen: tuple[str, Want] | None, vocabulary: Vocabulary, found: Mapping[str, _Found]) -> None:
    """Put a rule under every fact its condition reads."""
    reads = reads_of_each(rule.each, vocabulary)
    reads.update(read for leaf in _leaves(rule.when) if leaf.expression is not None for read in leaf.expression.reads)
    if chosen is None or rule.each is None:
        for read in reads:
            found[read].always.append(rule)
        return
    wanted, want = chosen
    kind = rule.each.item_kind or rule.each.kind
    elsewhere = _fields_elsewhere(rule.when, rule.each.name, kind, vocabulary)
    for read in reads:
        of, _, field = read.partition(".")
        if of != kind or (field in elsewhere if field else None in elsewhere):
            found[read].across[wanted].append((rule, want))
        elif field:
            found[read].own[wanted].append((rule, want))
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
        return parse(leaf.expression.text).body
    except Fault:
        return None
