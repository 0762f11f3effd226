"""What can be proved of conditions from what is written: that one can never hold, or holds wherever its facts are known.

A condition is taken apart into cases, each a list of what single facts would have to be. A case that asks two things of one
fact cannot come; a condition none of whose cases can come is never so. What is not understood counts as possible.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from typing import Any, Literal

from engine.language.compiled import Condition, Expression
from engine.language.terms import Call, Compare, Comprehension, Field, ListOf, Logic, Not, Root, Setting, Term, path_of
from engine.language.terms import Literal as Written

Truth = Literal["t", "f", "u"]
MOST_CASES = 256

_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_OPPOSITE = {"<": ">=", ">": "<=", "<=": ">", ">=": "<", "==": "!=", "!=": "=="}
_HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip
_SIDES = {"<": "<", ">": ">", "<=": "<=", ">=": ">=", "==": "=", "!=": "<>"}  # how two facts may stand to one another
_KNOWN, _GONE = frozenset({"known"}), frozenset({"missing"})
_HERE, _UNCLEAR = frozenset({"known", "unreadable"}), frozenset({"unreadable", "unknown"})
_VAGUE = _GONE | _UNCLEAR


class TooMany(Exception):  # noqa: N818 - caught where a claim would be made, which is then not made
    """More cases than are worth looking at."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one case asks of one fact: whether it is there, and how it stands to a value."""

    name: str
    kind: str = ""
    words: tuple[Any, ...] = ()  # all it can hold, where that is listed
    presence: frozenset[str] | None = None
    operator: str = ""
    value: Any = None
    sides: frozenset[str] | None = None  # of two facts, or of a condition taken as it stands


Case = tuple[Demand, ...]


@dataclass(slots=True)
class _Fact:
    presence: frozenset[str] = _KNOWN | _VAGUE
    demands: list[Demand] = field(default_factory=list)
    sides: frozenset[str] | None = None


@dataclass(frozen=True)
class Prover:
    """`settings` are parameters taken as fixed, by their path; `terms` gives the term of an expression."""

    terms: Callable[[Expression], Term | None]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def cases(self, condition: Condition | Term, truth: Truth) -> list[Case]:
        """The ways in which it comes out so, without those that contradict themselves. Raises `TooMany`."""
        return [case for case in self._cases(condition, truth) if contradiction(case) is None]

    def never(self, condition: Condition | Term, truth: Truth) -> bool:
        """Whether it is proved that it never comes out so."""
        try:
            return not self.cases(condition, truth)
        except TooMany:
            return False

    def implies(self, given: Iterable[Condition], wanted: Condition) -> bool:
        """Whether it is proved that `wanted` holds wherever all of `given` do."""
        try:
            before = joined([self.cases(each, "t") for each in given])
            return all(not joined([before, self.cases(wanted, other)]) for other in ("f", "u"))
        except TooMany:
            return False

    def _cases(self, condition: Condition | Term, truth: Truth) -> list[Case]:
        if isinstance(condition, Condition):
            if condition.expression is not None:
                return self._of_expression(condition.expression, truth)
            if condition.kind == "none":
                return self._group("or", condition.parts, _turned(truth))
            return self._group("and" if condition.kind == "all" else "or", condition.parts, truth)
        if isinstance(condition, Logic):
            return self._group(condition.operator, condition.terms, truth)
        if isinstance(condition, Not):
            return self._cases(condition.of, _turned(truth))
        return self._atom(condition, truth)

    def _of_expression(self, expression: Expression, truth: Truth) -> list[Case]:
        if expression.constant and "mapped" in expression.text:  # the codes are each client's own
            return [()]
        if expression.constant:
            outcome = expression.truth({})
            return [()] if {True: "t", False: "f", None: "u"}[outcome] == truth else []
        term = self.terms(expression)
        return [()] if term is None else self._cases(term, truth)

    def _group(self, operator: str, parts: tuple[Condition | Term, ...], truth: Truth) -> list[Case]:
        weak: Truth = "t" if operator == "and" else "f"  # what all parts must be, for the whole to be it
        strong = _turned(weak)
        if truth == weak:
            return joined([self.cases(part, weak) for part in parts])
        if truth == strong:
            return [case for part in parts for case in self.cases(part, strong)]
        soft = [[*self.cases(part, weak), *self.cases(part, "u")] for part in parts]
        return [case for n, part in enumerate(parts) for case in joined([*soft[:n], self.cases(part, "u"), *soft[n + 1 :]])]

    def _atom(self, term: Term, truth: Truth) -> list[Case]:
        if isinstance(term, Compare):
            return self._compared(term, truth)
        if isinstance(term, Call) and term.function.name in ("exists", "missing"):
            name, of = self._fact(term.arguments[0]), term.arguments[0]
            if name is not None and of.type.of is None and of.type.name != "record":
                wanted = truth if term.function.name == "exists" else _turned(truth)
                presence = {"t": _HERE, "f": _GONE, "u": frozenset({"unknown"})}[wanted]
                return [(Demand(name, presence=presence),)]
        if term.type.name == "boolean":
            value = self._value(term)
            if value is not None:
                return [()] if (truth == "t") == value[0] and truth != "u" else []
            if self._fact(term) is not None or _defaulted(term) is not None:
                return self._against(term, "==", True, truth)
        return [(Demand(_text(term), sides=frozenset({truth})),)]

    def _compared(self, term: Compare, truth: Truth) -> list[Case]:
        if term.operator in ("in", "not in"):
            return self._member(term, truth if term.operator == "in" else _turned(truth))
        left, right = self._value(term.left), self._value(term.right)
        if left is not None and right is not None:
            fine = _holds(term.operator, left[0], right[0])
            return [()] if fine is None or ((truth == "t") == fine and truth != "u") else []
        if right is not None:
            return self._against(term.left, term.operator, right[0], truth)
        if left is not None:
            return self._against(term.right, _FLIPPED[term.operator], left[0], truth)
        first, second, operator = _text(term.left), _text(term.right), term.operator
        if first > second:
            first, second, operator = second, first, _FLIPPED[operator]
        sides = {"t": _SIDES[operator], "f": _SIDES[_OPPOSITE[operator]], "u": "u"}[truth]
        return [(Demand(f"{first} and {second}", sides=frozenset(sides)),)]

    def _member(self, term: Compare, truth: Truth) -> list[Case]:
        values = [self._value(part) for part in term.right.terms] if isinstance(term.right, ListOf) else [None]
        if any(value is None for value in values) or self._fact(term.left) is None or not values:
            return [(Demand(f"{_text(term.left)} in {_text(term.right)}", sides=frozenset({truth})),)]
        known = [value[0] for value in values if value is not None]
        if truth == "t":
            return [case for value in known for case in self._against(term.left, "==", value, "t")]
        if truth == "f":
            return joined([self._against(term.left, "==", value, "f") for value in known])
        return self._against(term.left, "==", known[0], "u")

    def _against(self, term: Term, operator: str, value: Any, truth: Truth) -> list[Case]:
        """A fact, or a fact with a default, compared with a value."""
        name = self._fact(term)
        instead = _defaulted(term)
        if instead is not None:
            of, otherwise = instead
            name, given = self._fact(of), self._value(otherwise)
            fine = None if given is None else _holds(operator, given[0], value)
            if name is not None and fine is not None:
                if truth == "u":
                    return [(Demand(name, presence=_UNCLEAR),)]
                gone: list[Case] = [(Demand(name, presence=_GONE),)] if fine is (truth == "t") else []
                return [*gone, *self._against(of, operator, value, truth)]
            name = None
        if name is None:
            return [(Demand(f"{_text(term)} {operator} {value!r}", sides=frozenset({truth})),)]
        if truth == "u":
            return [(Demand(name, presence=_VAGUE),)]
        words = term.type.values if term.type.name == "enum" else (True, False) if term.type.name == "boolean" else ()
        told = operator if truth == "t" else _OPPOSITE[operator]
        return [(Demand(name, term.type.name, words, _KNOWN, told, value),)]

    def _fact(self, term: Term) -> str | None:
        path = path_of(term)
        return path if isinstance(term, Field | Root | Setting) and path is not None else None

    def _value(self, term: Term) -> tuple[Any] | None:
        """What is written out, or fixed by a setting; in a tuple, as it may be false."""
        value = term.value if isinstance(term, Written) else self.settings.get(path_of(term) or "")
        return (value,) if isinstance(value, str | bool | int | Decimal) else None


def joined(parts: list[list[Case]]) -> list[Case]:
    """Every way for all of them, without those that contradict themselves. Raises `TooMany`."""
    found: list[Case] = [()]
    for part in parts:
        if len(found) * len(part) > MOST_CASES:
            raise TooMany
        found = [(*one, *other) for one, other in product(found, part) if contradiction((*one, *other)) is None]
    return found


def contradiction(case: Case) -> str | None:
    """The fact of which a case asks what cannot be, if it does."""
    facts: dict[str, _Fact] = defaultdict(_Fact)
    for demand in case:
        fact = facts[demand.name]
        if demand.presence is not None:
            fact.presence &= demand.presence
        if demand.sides is not None:
            fact.sides = demand.sides if fact.sides is None else fact.sides & demand.sides
        if demand.operator:
            fact.demands.append(demand)
        if not fact.presence or fact.sides == frozenset() or not _can_hold(fact.demands):
            return demand.name
    return None


def _can_hold(demands: list[Demand]) -> bool:
    if not demands:
        return True
    words = demands[0].words or [d.value for d in demands if d.operator == "=="][:1]
    if words:
        return any(all(_holds(d.operator, word, d.value) is not False for d in demands) for word in words)
    lower = [d for d in demands if d.operator in (">", ">=")]
    upper = [d for d in demands if d.operator in ("<", "<=")]
    apart = {d.value for d in demands if d.operator == "!="}
    for low, high in product(lower, upper):
        if _holds(">", low.value, high.value):
            return False
        touching = low.value == high.value
        if touching and ("=" not in low.operator or "=" not in high.operator or low.value in apart):
            return False
    return True


def _holds(operator: str, left: Any, right: Any) -> bool | None:
    """None where the two have no order."""
    try:
        return _HOLDS[operator](left, right)
    except TypeError:
        return None


def _defaulted(term: Term) -> tuple[Term, Term] | None:
    if isinstance(term, Call) and term.function.name == "default":
        return term.arguments[0], term.arguments[1]
    return None


def _turned(truth: Truth) -> Truth:
    return {"t": "f", "f": "t", "u": "u"}[truth]  # type: ignore[return-value]


def _text(term: Term) -> str:
    """One text for terms that mean the same: where they stand makes no difference."""
    path = path_of(term)
    if path is not None:
        return path
    if isinstance(term, Written):
        return repr(term.value)
    own = [type(term).__name__, getattr(term, "operator", ""), getattr(term, "variable", ""), getattr(term, "name", "")]
    if isinstance(term, Call):
        own.append(term.function.name)
    if isinstance(term, Comprehension):
        own.append(str(term.condition is not None))
    return f"{'/'.join(own)}({', '.join(map(_text, term.parts()))})"
