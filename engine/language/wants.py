"""What a rule asks a fact of its own item to be, so that it is looked at only where the fact may be that.

Most rules begin so: by a status, an article, a reason, a flag, or an amount that is above a bound. Of a thousand such rules the
few that a value can make true are found by the value.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import TypeGuard

from engine.facts.schema import BOOLEAN, Vocabulary
from engine.facts.values import Money
from engine.language.compiled import Condition, Rule
from engine.language.parse import Fault, Syntax, conjuncts, literal, parse

Plain = str | bool | int | Decimal
Number = int | Decimal
_TELLING = frozenset({str, bool, int, Decimal, Money})  # classes of values that something can be told of
LONGEST_AMOUNT = 30  # characters; a longer one may be no money at all
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDER: Mapping[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


@dataclass(frozen=True, slots=True)
class Bound:
    """The fact must be `operator` this amount; an amount of money has a currency."""

    operator: str
    amount: Number
    currency: str = ""


Want = frozenset[Plain] | Bound  # one of these values, or beyond a bound


@dataclass(frozen=True, slots=True)
class Bounds:
    """Rules by the bound they ask a fact to be beyond, in its order; `amounts` are those of `rules`."""

    operator: str
    currency: str
    amounts: tuple[Number, ...]
    rules: tuple[Rule, ...]

    def beyond(self, value: object) -> tuple[Rule, ...]:
        """Those that are not false for the value, as far as it tells: all where it does not compare."""
        amount = self._amount(value)
        if amount is None:
            return self.rules
        match self.operator:
            case ">":
                return self.rules[: bisect_left(self.amounts, amount)]
            case ">=":
                return self.rules[: bisect_right(self.amounts, amount)]
            case "<":
                return self.rules[bisect_right(self.amounts, amount) :]
            case _:
                return self.rules[bisect_left(self.amounts, amount) :]

    def _amount(self, value: object) -> Number | None:
        if self.currency:
            return value.amount if isinstance(value, Money) and value.currency == self.currency else None
        return value if isinstance(value, int | Decimal) else None


@dataclass(frozen=True, slots=True)
class Wanting:
    """Rules that are false for an item of `kind` where its `field` is known and neither what they are listed under in `by_value`
    nor beyond their bound.
    """

    kind: str
    field: str
    rules: Mapping[str, Rule]  # all of them, by id
    by_value: Mapping[object, tuple[Rule, ...]]
    bounds: tuple[Bounds, ...]

    def asking(self, value: object) -> Iterable[Rule]:
        """Those that may not be false where the field is this, or may be."""
        if value.__class__ not in _TELLING:
            return self.rules.values()
        found = self.by_value.get(value, ())
        return found if not self.bounds else (*found, *(rule for each in self.bounds for rule in each.beyond(value)))


def wanting(fact: str, asking: Iterable[tuple[Rule, Want]]) -> Wanting:
    """The rules that ask for this fact, found by what they want it to be."""
    kind, _, field = fact.partition(".")
    rules: dict[str, Rule] = {}
    by_value: dict[object, list[Rule]] = defaultdict(list)
    bounds: dict[tuple[str, str], list[tuple[Number, Rule]]] = defaultdict(list)
    for rule, want in asking:
        rules[rule.id] = rule
        if isinstance(want, Bound):
            bounds[want.operator, want.currency].append((want.amount, rule))
        else:
            for value in want:
                by_value[value].append(rule)
    return Wanting(
        kind,
        field,
        MappingProxyType(rules),
        MappingProxyType({value: tuple(found) for value, found in by_value.items()}),
        tuple(_sorted(*key, found) for key, found in sorted(bounds.items())),
    )


def _sorted(operator: str, currency: str, found: list[tuple[Number, Rule]]) -> Bounds:
    found.sort(key=lambda one: (one[0], one[1].id))
    return Bounds(operator, currency, tuple(amount for amount, _ in found), tuple(rule for _, rule in found))


def wants_of(rule: Rule, vocabulary: Vocabulary) -> dict[str, Want]:
    """For facts of the rule's own item, what each must be for the rule not to be false."""
    if rule.each is None:
        return {}
    kind = rule.each.item_kind or rule.each.kind
    found: dict[str, Want] = {}
    for node, syntax in _required(rule.when):
        for field, want in _wanted(node, syntax, rule.each.name, kind, vocabulary):
            fact = f"{kind}.{field}"
            held = found.get(fact)
            if isinstance(held, frozenset):
                found[fact] = held & want if isinstance(want, frozenset) else held
            elif held is None or isinstance(want, frozenset):
                found[fact] = want
    return found


def _required(condition: Condition) -> Iterator[tuple[ast.expr, Syntax]]:
    """The parts of a condition that must all hold."""
    if condition.expression is not None:
        try:
            syntax = parse(condition.expression.text)
        except Fault:
            return
        yield from ((node, syntax) for node in conjuncts(syntax.body))
    elif condition.kind == "all":
        for part in condition.parts:
            yield from _required(part)


def _wanted(node: ast.expr, syntax: Syntax, name: str, kind: str, vocabulary: Vocabulary) -> Iterator[tuple[str, Want]]:
    """`name.field`, `not name.field`, `name.field == value`, `name.field in [value, ...]`, `name.field > amount`."""

    def own(side: ast.expr) -> str:
        held = isinstance(side, ast.Attribute) and isinstance(side.value, ast.Name) and side.value.id == name
        return side.attr if held and isinstance(side, ast.Attribute) else ""

    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        if field := own(node.operand):
            yield from ((field, frozenset({False})) for _ in _flags(kind, field, vocabulary))
    elif field := own(node):
        yield from ((field, frozenset({True})) for _ in _flags(kind, field, vocabulary))
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right, how = node.left, node.comparators[0], type(node.ops[0])
        if field := own(left):
            yield from ((field, want) for want in _compared(how, right, syntax))
        elif (field := own(right)) and how in _ORDER:
            yield from ((field, want) for want in _bound(_TURNED[_ORDER[how]], left, syntax))


def _flags(kind: str, field: str, vocabulary: Vocabulary) -> Iterator[None]:
    """Once where the field is a flag: anything else is a condition in other ways."""
    declared = vocabulary[kind].fields.get(field)
    if declared is not None and declared.type == BOOLEAN:
        yield None


def _compared(how: type[ast.cmpop], right: ast.expr, syntax: Syntax) -> Iterator[Want]:
    if how is ast.Eq:
        value = _value(right, syntax)
        if value is not None:
            yield frozenset({value})
    elif how is ast.In and isinstance(right, ast.List):
        values = [_value(member, syntax) for member in right.elts]
        known = frozenset(value for value in values if value is not None)
        if None not in values:
            yield known
    elif how in _ORDER:
        yield from _bound(_ORDER[how], right, syntax)


def _bound(operator: str, side: ast.expr, syntax: Syntax) -> Iterator[Bound]:
    amount = _value(side, syntax)
    if _is_number(amount):
        yield Bound(operator, amount)
    elif isinstance(side, ast.Call) and isinstance(side.func, ast.Name) and side.func.id == "money" and len(side.args) == 2:
        written, currency = (_value(argument, syntax) for argument in side.args)
        if not _is_number(written) or len(f"{Decimal(written):f}") > LONGEST_AMOUNT:
            return
        if isinstance(currency, str) and re.fullmatch("[A-Z]{3}", currency):
            yield Bound(operator, written, currency)


def _is_number(value: Plain | None) -> TypeGuard[Number]:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _value(node: ast.expr, syntax: Syntax) -> Plain | None:
    """A value that is written out; None for anything else."""
    if isinstance(node, ast.Constant):
        return literal(node, syntax)
    if isinstance(node, ast.Name) and node.id in ("true", "false"):
        return node.id == "true"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand, syntax)
        return -number if _is_number(number) else None
    return None
