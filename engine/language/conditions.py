"""`when:` as a tree of conditions."""

from __future__ import annotations

import re
from typing import Literal

from engine.language.compiled import Condition
from engine.language.forms import CONDITIONS, LABELLED
from engine.language.guards import guards_of
from engine.language.node import Node
from engine.language.scope import Scope
from engine.language.types import CONDITION
from engine.language.written import expression_in, same_meaning
from engine.problems import Problems, did_you_mean

Group = Literal["all", "any", "none"]
_GROUPS: dict[str, Group] = {"all": "all", "any": "any", "none": "none"}


def read_when(node: Node, scope: Scope, problems: Problems) -> Condition | None:
    """All entries of `when` as one condition; a single entry need not stand in a list."""
    if node.kind != "list":
        return _entry(node, "when", scope, problems)
    return _group("all", node, "when", "when", scope, problems)


def meaning_of(condition: Condition, rule_id: str) -> object:
    """What the condition says, without labels and layout. The answer to the rule itself is the same whatever its id."""
    if condition.expression is not None:
        return same_meaning(re.sub(rf"\banswer\.{re.escape(rule_id)}\b", "answer._", condition.expression.text))
    return [condition.kind, *(meaning_of(part, rule_id) for part in condition.parts)]


def leaves(condition: Condition) -> list[Condition]:
    """The entries with an expression, in order."""
    if condition.expression is not None:
        return [condition]
    return [leaf for part in condition.parts for leaf in leaves(part)]


def guards_in(condition: Condition) -> frozenset[str]:
    """The paths that exist wherever the condition holds."""
    if condition.expression is not None:
        return guards_of(condition.expression.text)
    if condition.kind != "all":
        return frozenset()
    return frozenset[str]().union(*(guards_in(part) for part in condition.parts))


def _group(kind: Group, node: Node, name: str, path: str, scope: Scope, problems: Problems) -> Condition | None:
    if not node.expect_list(problems, f'"{name}"'):
        return None
    if not node.elements:
        problems.add(node.place, "empty-list", f'"{name}" lists no condition')
        return None
    below = path if name == "when" else f"{path}/{name}"
    guards = _guards_beside(node) if kind == "all" else [frozenset[str]()] * len(node.elements)
    parts = [
        _entry(element, f"{below}/{n}", scope.guarded(beside), problems)
        for n, (element, beside) in enumerate(zip(node.elements, guards, strict=True))
    ]
    if any(part is None for part in parts):
        return None
    return Condition(kind, path, node.place, parts=tuple(part for part in parts if part is not None))


def _entry(node: Node, path: str, scope: Scope, problems: Problems) -> Condition | None:
    if node.kind != "map":
        expression = expression_in(node, scope, problems, "a condition", CONDITION)
        return None if expression is None else Condition("is", path, node.place, expression)
    if node.get("if") is not None:
        return _labelled(node, path, scope, problems)
    if len(node.entries) != 1 or node.entries[0].key not in _GROUPS:
        _unknown(node, problems)
        return None
    key, _, inner = next(node.items())
    return _group(_GROUPS[key], inner, key, path, scope, problems)


def _guards_beside(node: Node) -> list[frozenset[str]]:
    """For each of several entries that must all hold, the paths that exist where the others do."""
    texts = [each.text if each.kind == "scalar" else (each.get("if") or each).text for each in node.elements]
    own = [guards_of(text) if text else frozenset[str]() for text in texts]
    return [frozenset[str]().union(*own[:n], *own[n + 1 :]) for n in range(len(own))]


def _labelled(node: Node, path: str, scope: Scope, problems: Problems) -> Condition | None:
    inner, label = node.get("if"), node.get("label")
    if not node.expect_form(problems, "a condition", LABELLED) or inner is None:
        return None
    said = "" if label is None else label.expect_text(problems, '"label"') or ""
    expression = expression_in(inner, scope, problems, '"if"', CONDITION)
    return None if expression is None else Condition("is", path, inner.place, expression, label=said)


def _unknown(node: Node, problems: Problems) -> None:
    valid = [key for key in CONDITIONS.keys if key != "label"]
    for key, place, _ in node.items():
        if key not in valid:
            problems.add(place, "unknown-key", f'a condition has no key "{key}"{did_you_mean(key, valid)}')
            return
    problems.add(node.place, "wrong-shape", "a condition is an expression, or has one of the keys all, any, none, if")
