"""Which records nobody reads: what comes of a case is the same with them and without, so that no pass has to be made for them.

A ledger line, say, is read only through refunds: until there is one, no rule, derived fact or promise can tell it has come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from engine.facts.derive import READ_BY_DERIVATION
from engine.facts.schema import Type, Vocabulary
from engine.language.compiled import DerivedFact, Each, Expression, PromiseSpec, Rule

MOST_REMEMBERED = 4096  # answers, one for a kind among others; a vocabulary has dozens of kinds, and cases are much alike


@dataclass(frozen=True, slots=True)
class _Reader:
    """What reads some facts, for every item of a kind; "" is once per case."""

    each: str
    reads: frozenset[str]


class Unread:
    """Whether records of a kind are read by anything, as long as a case has things of certain kinds only.

    An answer is the same for as long as the rule set is; the last ones are remembered.
    """

    def __init__(
        self, rules: Iterable[Rule], facts: Iterable[DerivedFact], promises: Iterable[PromiseSpec], vocabulary: Vocabulary
    ) -> None:
        self._vocabulary = vocabulary
        self._facts = [(fact.id, fact.kind, fact.expression.reads) for fact in facts]
        self._readers = [
            *(_Reader(_items_of(rule.each), rule.reads) for rule in rules if rule.mode != "off"),
            *(_Reader(_items_of(promise.each), _read_by(promise)) for promise in promises),
        ]
        self._leading = _leading(vocabulary, facts)
        self._answers: dict[tuple[str, frozenset[str]], bool] = {}

    def __call__(self, kind: str, there: frozenset[str]) -> bool:
        """Whether a record of this kind makes no difference to a case that has things of the kinds that are `there`."""
        known = self._answers.get((kind, there))
        if known is None:
            if len(self._answers) >= MOST_REMEMBERED:
                self._answers.clear()
            known = self._answers[kind, there] = self._is_unread(kind, there)
        return known

    def _is_unread(self, kind: str, there: frozenset[str]) -> bool:
        own = self._with_items(kind)
        if not own.isdisjoint(READ_BY_DERIVATION):
            return False
        there |= own
        changed = {name for each in own for name in self._names_of(each)}
        for fact, of, reads in self._facts:  # each reads only facts before it
            if (of in there or of not in self._vocabulary) and not reads.isdisjoint(changed):
                changed |= {fact, *self._ways_to(of)}
        return all(reader.reads.isdisjoint(changed) for reader in self._readers if not reader.each or reader.each in there)

    def _with_items(self, kind: str) -> frozenset[str]:
        """The kind, and those of the items in its lists, in their lists, and so on."""
        found: set[str] = set()
        waiting = [kind]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting.extend(of for _, of in self._vocabulary[one].shape.lists if of)
        return frozenset(found)

    def _names_of(self, kind: str) -> Iterator[str]:
        """All names by which something of a kind can be read."""
        declared = self._vocabulary[kind]
        yield from self._ways_to(kind)
        yield from (f"{kind}.{name}" for name in declared.shape.missing)

    def _ways_to(self, kind: str) -> Iterator[str]:
        """A record that is handed on whole, as a parameter of an action is, is read by the name of what leads to it."""
        yield kind
        yield from self._leading.get(kind, ())


def _items_of(each: Each | None) -> str:
    return "" if each is None else each.item_kind or each.kind


def _read_by(promise: PromiseSpec) -> frozenset[str]:
    parts: tuple[Expression | None, ...] = (promise.when, promise.never, promise.by, promise.must)
    own = () if promise.each is None else (promise.each.kind, _items_of(promise.each))
    return frozenset(own).union(*(part.reads for part in parts if part is not None))


def _leading(vocabulary: Vocabulary, facts: Iterable[DerivedFact]) -> Mapping[str, frozenset[str]]:
    """By kind, the fields, relations and derived facts that hold things of it."""
    found: dict[str, set[str]] = defaultdict(set)
    for kind in vocabulary.kinds.values():
        for name in kind.shape.missing:
            found[_kind_of(kind.type_of(name))].add(f"{kind.name}.{name}")
    for fact in facts:
        found[_kind_of(fact.type)].add(fact.id)
    return {kind: frozenset(names) for kind, names in found.items() if kind}


def _kind_of(held: Type | None) -> str:
    while held is not None and held.of is not None:
        held = held.of
    return "" if held is None else held.kind
