"""How static types relate: what can be compared, joined, put where, and how a type is written in YAML."""

from __future__ import annotations

from collections.abc import Container, Mapping

from engine.facts.schema import (
    ANY,
    BOOLEAN,
    DURATION,
    PERIOD,
    SCALARS,
    SETTINGS,
    TEXT,
    WORKING_DURATION,
    Type,
    enum_of,
    list_of,
    record_of,
)
from engine.language.node import Node
from engine.problems import Problems, did_you_mean

NONE = Type("none")  # the literal `none`, and the element of an empty list: joins with everything
CONDITION = Type("condition")  # wanted of an entry of `when`: a boolean or a list

ORDERED = frozenset({"text", "number", "money", "timestamp", "date", "duration", "working_duration", "any"})
PERIODS = frozenset({DURATION, WORKING_DURATION, PERIOD})  # the two do not mix, but either is a period
WORDS = frozenset({"text", "enum"})


def comparable(left: Type, right: Type) -> bool:
    """Whether `==` between the two can ever be true."""
    if "any" in (left.name, right.name):
        return True
    if PERIOD in (left, right):  # which of the two types it is, is not known before it is counted
        return False
    if left.name in WORDS and right.name in WORDS:
        both_listed = left.name == right.name == "enum"
        return not both_listed or bool(set(left.values) & set(right.values))
    if left.of is not None and right.of is not None:
        return NONE in (left.of, right.of) or comparable(left.of, right.of)
    return left.name == right.name and left.kind == right.kind


def join(left: Type, right: Type) -> Type | None:
    """The narrowest type that holds both, or None if there is none."""
    if right in (left, NONE):
        return left
    if left == NONE:
        return right
    if ANY in (left, right):
        return ANY
    if left.name in WORDS and right.name in WORDS:
        if left.name == right.name == "enum":
            return enum_of(*dict.fromkeys((*left.values, *right.values)))
        return TEXT
    if left in PERIODS and right in PERIODS:
        return PERIOD
    if left.of is not None and right.of is not None:
        element = join(left.of, right.of)
        return None if element is None else list_of(element)
    return None


def fits(actual: Type, wanted: Type) -> bool:
    """Whether a value of type `actual` can stand where `wanted` is asked for."""
    if ANY in (actual, wanted) or actual in (wanted, NONE):
        return True
    if wanted == CONDITION:
        return actual == BOOLEAN or actual.of is not None
    if wanted == TEXT:
        return actual.name == "enum"
    if wanted == PERIOD:
        return actual in PERIODS
    if wanted.name == actual.name == "enum":
        return set(actual.values) <= set(wanted.values)
    if wanted.of is not None and actual.of is not None:
        return fits(actual.of, wanted.of)
    return False


def read_type(
    node: Node, kinds: Container[str], problems: Problems, what: str, scalars: Mapping[str, Type] = SCALARS
) -> Type | None:
    """The type a node names: `money`, `{enum: [a, b]}`, `{list: money}`, `{list: rma_unit}`, `{record: unit}`.

    `scalars` are those that can stand there: settings have some that facts have not.
    """
    if node.kind == "map" and len(node.entries) == 1:
        form, place, inner = next(node.items())
        if form == "enum":
            return _enum(inner, problems, what)
        if form == "list":
            element = read_type(inner, kinds, problems, what, scalars)
            return None if element is None else list_of(element)
        if form == "record":
            return _named(inner, kinds, problems, what, {})
        problems.add(place, "unknown-type", f'{what} has no type form "{form}"{did_you_mean(form, ("enum", "list", "record"))}')
        return None
    return _named(node, kinds, problems, what, scalars)


def _enum(node: Node, problems: Problems, what: str) -> Type | None:
    if not node.expect_list(problems, f"the enum of {what}"):
        return None
    members = [element.expect_text(problems, f"a member of {what}") for element in node.elements]
    names = [m for m in members if m is not None]
    for element, name in zip(node.elements, members, strict=True):
        if name is not None and names.count(name) > 1:
            problems.add(element.place, "duplicate-member", f'{what} lists "{name}" twice')
    if not node.elements:
        problems.add(node.place, "empty-enum", f"{what} lists no member")
    return enum_of(*dict.fromkeys(names))


def _named(node: Node, kinds: Container[str], problems: Problems, what: str, scalars: Mapping[str, Type]) -> Type | None:
    name = node.expect_text(problems, f"the type of {what}")
    if name is None:
        return None
    if name in scalars:
        return scalars[name]
    if name in kinds:
        return record_of(name)
    valid = [*scalars, *(kinds if isinstance(kinds, dict | set | frozenset | tuple) else ())]
    problems.add(node.place, "unknown-type", f'{what}: there is no type "{name}"{did_you_mean(name, valid)}')
    return None


_ARITHMETIC = {
    **{("+", t, t): t for t in ("number", "money", "text", "duration", "working_duration")},
    **{("-", t, t): t for t in ("number", "money", "duration", "working_duration")},
    ("+", "timestamp", "duration"): "timestamp",
    ("+", "duration", "timestamp"): "timestamp",
    ("-", "timestamp", "timestamp"): "duration",
    ("-", "timestamp", "duration"): "timestamp",
    ("-", "date", "date"): "duration",
    ("*", "number", "number"): "number",
    **{("*", t, "number"): t for t in ("money", "duration")},
    **{("*", "number", t): t for t in ("money", "duration")},
    **{("/", t, "number"): t for t in ("number", "money", "duration")},
    **{("/", t, t): "number" for t in ("money", "duration")},
}


def arithmetic(operator: str, left: Type, right: Type) -> Type | None:
    """The type of `left operator right`, or None where it has no meaning."""
    if NONE in (left, right):
        return None
    if ANY in (left, right):
        return ANY
    if operator == "+" and left.of is not None and right.of is not None:
        return join(left, right)
    of_left, of_right = ("text" if t.name == "enum" else t.name for t in (left, right))
    result = _ARITHMETIC.get((operator, of_left, of_right))
    return None if result is None else SETTINGS[result]
