"""Expressions and templates as they stand in YAML nodes, and values written out where an expression may stand."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from engine.facts.schema import Type
from engine.language.compile import REMEMBERED, compile_expression
from engine.language.compiled import Expression, Finding, Template
from engine.language.node import Node
from engine.language.scope import Scope
from engine.language.template import compile_template
from engine.problems import Place, Problems


def expression_in(node: Node, scope: Scope, problems: Problems, what: str, want: Type | None = None) -> Expression | None:
    """The expression a scalar holds; None with a problem where it holds none or a wrong one."""
    if node.kind != "scalar" or node.is_null:
        problems.add(node.place, "wrong-shape", f"{what} must be an expression, not {node.described()}")
        return None
    return compile_expression(node.text, node, scope, problems, want)


def template_in(node: Node, scope: Scope, problems: Problems, what: str) -> Template | None:
    """The text with `{expressions}` a scalar holds."""
    if node.kind != "scalar" or node.is_null:
        problems.add(node.place, "wrong-shape", f"{what} must be text, not {node.described()}")
        return None
    return compile_template(node.text, node, scope, problems)


def constant(text: str, place: Place, of: Type, value: Any) -> Expression:
    """A value written out, as an expression: the duration `4h`, the member `accepted` of an enum."""

    def always(_: Mapping[str, Any]) -> Any:
        return value

    def is_true(_: Mapping[str, Any]) -> bool:
        return value is True

    def is_false(_: Mapping[str, Any]) -> bool:
        return value is False

    def explain(_: Mapping[str, Any]) -> Finding:
        return Finding(value if isinstance(value, bool) else None, value)

    return Expression(text, place, of, frozenset(), always, is_true, is_false, explain, constant=True)


@lru_cache(REMEMBERED)
def same_meaning(text: str) -> str:
    """One name for all ways to write an expression: blanks, line ends and needless brackets make no difference."""
    try:
        form = ast.dump(ast.parse(f"({text}\n)", mode="eval"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        form = " ".join(text.split())
    return hashlib.blake2b(form.encode(errors="surrogatepass"), digest_size=16).hexdigest()
