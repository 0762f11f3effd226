"""Which rules the other engine can judge, and how they and the facts are said in its words.

Only what it was measured to answer rightly: conjunctions over the plain fields of one item. No `missing` (it makes it loop), no
`or` of several fields (it fires once for each), no money, times or lists (it knows only floats and whole numbers).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from engine.facts.schema import Type
from engine.facts.values import Rec, is_gap
from engine.language.compiled import Condition, Rule
from engine.language.conditions import leaves
from engine.language.parse import Fault, Syntax, conjuncts, literal, parse
from engine.language.ruleset import RuleSet

SCALE = 10**6  # numbers are compared as whole millionths: it knows no exact decimals
LARGEST = 2**53
LONGEST_TEXT = 60_000  # bytes; longer ones are cut off silently
_COMPARED: Mapping[type[ast.cmpop], str] = {
    ast.NotEq: "$neq",
    ast.Lt: "$lt",
    ast.LtE: "$lte",
    ast.Gt: "$gt",
    ast.GtE: "$gte",
}
_PLAIN = frozenset({"text", "enum", "number", "boolean"})
Test = Mapping[str, Any]  # one condition in its own form


class _Cannot:
    """Stands for a value it cannot hold."""


CANNOT = _Cannot()


@dataclass(frozen=True, slots=True)
class Question:
    """A rule of the subset: the tests that must all hold for an item, and the fields they read."""

    rule: Rule
    tests: tuple[Test, ...]
    fields: frozenset[str]

    @property
    def kind(self) -> str:
        each = self.rule.each
        return "" if each is None else each.item_kind or each.kind


def question_of(rule: Rule, rule_set: RuleSet) -> Question | None:
    """The rule in the other engine's words, or None where it is outside the subset."""
    if rule.each is None or rule.mode == "off" or not _is_conjunction(rule.when):
        return None
    kind = rule_set.vocabulary[rule.each.item_kind or rule.each.kind]
    types = {name: spec.type for name, spec in kind.fields.items() if spec.type.name in _PLAIN}
    tests: list[Test] = []
    fields: set[str] = set()
    for leaf in leaves(rule.when):
        try:
            syntax = parse(leaf.expression.text if leaf.expression is not None else "")
        except Fault:
            return None
        writer = _Writer(syntax, rule.each.name, types, rule_set.params)
        for part in conjuncts(syntax.body):
            found = writer.test(part)
            if found is None:
                return None
            fields.add(found[0])
            tests.append(found[1])
    return Question(rule, tuple(tests), frozenset(fields))


def _named(field: str) -> str:
    """Its name there: `id` and `sid` mean something of their own."""
    return f"f_{field}"


def event_of(rec: Rec, fields: Iterable[str]) -> dict[str, Any]:
    values = ((_named(field), value_of(rec.get(field))) for field in sorted(fields))
    return {"it": 1, **{name: value for name, value in values if value is not None and value is not CANNOT}}


def value_of(value: Any) -> Any:
    """A value as it can be sent: missing ones are left out, what it would get wrong is `CANNOT`."""
    if value is None or isinstance(value, bool):
        return value
    if is_gap(value):
        return CANNOT
    if isinstance(value, str):
        plain = value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)
        return value if plain and len(value.encode("utf-8", "replace")) <= LONGEST_TEXT else CANNOT
    if isinstance(value, int | Decimal):
        scaled = Decimal(value) * SCALE
        return int(scaled) if scaled == int(scaled) and abs(scaled) < LARGEST else CANNOT
    return CANNOT


def _is_conjunction(condition: Condition) -> bool:
    if condition.expression is not None:
        return True
    return condition.kind == "all" and all(_is_conjunction(part) for part in condition.parts)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the parts of one expression about the item called `name`, whose plain fields have these types."""

    syntax: Syntax
    name: str
    types: Mapping[str, Type]
    params: Mapping[str, Any]

    def test(self, node: ast.expr) -> tuple[str, Test] | None:
        """The field a part reads and its test; None for anything it should not be asked."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self._flag(node.operand, wanted=False)
        if isinstance(node, ast.Call):
            asks = isinstance(node.func, ast.Name) and node.func.id == "exists" and len(node.args) == 1
            field = self._field(node.args[0]) if asks else None
            return None if field is None else (field, {"$ex": {_named(field): 1}})
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            field = self._field(node.left)
            test = None if field is None else self._comparison(node, field)
            return None if field is None or test is None else (field, test)
        return self._flag(node, wanted=True)

    def _flag(self, node: ast.expr, *, wanted: bool) -> tuple[str, Test] | None:
        field = self._field(node)
        return (field, {_named(field): wanted}) if field is not None and self.types[field].name == "boolean" else None

    def _field(self, node: ast.expr) -> str | None:
        ours = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == self.name
        return node.attr if ours and isinstance(node, ast.Attribute) and node.attr in self.types else None

    def _comparison(self, node: ast.Compare, field: str) -> Test | None:
        operator, right, name = node.ops[0], node.comparators[0], _named(field)
        if isinstance(operator, ast.In):
            return self._membership(right, name)
        value = self._constant(right)
        if value is CANNOT:
            return None
        if isinstance(operator, ast.Eq):
            return {name: value}
        word = _COMPARED.get(type(operator))
        if word is None or (word != "$neq" and self.types[field].name != "number"):
            return None
        return {word: {name: value}}

    def _membership(self, right: ast.expr, name: str) -> Test | None:
        values = [self._constant(element) for element in right.elts] if isinstance(right, ast.List) else []
        distinct = list(dict.fromkeys(values))
        if not distinct or CANNOT in distinct:
            return None
        return {"$or": [{name: value} for value in distinct]} if len(distinct) > 1 else {name: distinct[0]}

    def _constant(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            return value_of(literal(node, self.syntax))
        if isinstance(node, ast.Name) and node.id in {"true", "false"}:
            return node.id == "true"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params":
            value = self.params.get(node.attr)
            return CANNOT if value is None else value_of(value)
        return CANNOT
