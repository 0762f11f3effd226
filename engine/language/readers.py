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

if TYPE_CHECKING:
    from engine.language.ruleset import Condition, Rule


@dataclass(frozen=True, slots=True)
class Readers:
    """The rules that read one fact. `wanting` are those that are false for an item where the fact is known and another text."""

    always: tuple[Rule, ...]
    wanting: Mapping[str, tuple[Rule, ...]]
    wanted_by: Mapping[str, Rule]  # the rules in `wanting`, by id


def readers_of(rules: Iterable[Rule]) -> Mapping[str, Readers]:
    """By fact (`rma.status`, or a bare kind), over what each rule reads straight; derived facts are facts like others."""
    always: dict[str, list[Rule]] = defaultdict(list)
    wanting: dict[str, dict[str, list[Rule]]] = defaultdict(lambda: defaultdict(list))
    for rule in rules:
        wants = _wanted(rule)
        for read in rule.reads:
            if read not in wants:
                always[read].append(rule)
            for value in wants.get(read, ()):
                wanting[read][value].append(rule)
    return MappingProxyType(
        {
            read: Readers(
                tuple(always.get(read, ())),
                MappingProxyType({value: tuple(found) for value, found in sorted(wanting.get(read, {}).items())}),
                MappingProxyType({rule.id: rule for found in wanting.get(read, {}).values() for rule in found}),
            )
            for read in sorted(always.keys() | wanting.keys())
        }
    )


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
