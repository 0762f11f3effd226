"""Promises: what must be true of every case at every moment."""

from __future__ import annotations

import ast

from engine.facts.schema import TIMESTAMP
from engine.language.compile import compile_expression
from engine.language.compiled import Expression, PromiseSpec
from engine.language.forms import PROMISE
from engine.language.guards import dotted, guards_of
from engine.language.node import Node
from engine.language.parse import Fault, Syntax, parse
from engine.language.rules import RULE_ID, Ground, read_each, scope_of
from engine.language.scope import Scope
from engine.language.types import CONDITION
from engine.language.written import expression_in
from engine.problems import Place, Problems, did_you_mean


def read_promise(promise_id: str, place: Place, node: Node, ground: Ground, problems: Problems) -> PromiseSpec | None:
    """`never: ...`, or `by: ...` with `must: ...`, for each item and where `when` holds."""
    if not RULE_ID.fullmatch(promise_id):
        problems.add(place, "bad-name", f'"{promise_id}" cannot be the id of a promise: lower-case letters, digits and _')
    if not node.expect_form(problems, f'the promise "{promise_id}"', PROMISE):
        return None
    each_node, when_node, never_node = node.get("each"), node.get("when"), node.get("never")
    by_node, must_node, doc = node.get("by"), node.get("must"), node.get("doc")
    if (never_node is None) == (must_node is None) or (by_node is None) != (must_node is None):
        said = 'a promise has either "never", or "by" together with "must"'
        problems.add(place, "wrong-shape", said)
        return None
    each = None if each_node is None else read_each(each_node, ground.scope.vocabulary, problems)
    if each_node is not None and each is None:
        return None
    scope = scope_of(each, ground.scope, {})
    when = None if when_node is None else expression_in(when_node, scope, problems, '"when"', CONDITION)
    if when is not None:
        scope = scope.guarded(guards_of(when.text))
    must, owned = (None, ()) if must_node is None else _must(must_node, scope, ground, problems)
    return PromiseSpec(
        id=promise_id,
        place=place,
        each=each,
        when=when,
        never=None if never_node is None else expression_in(never_node, scope, problems, '"never"', CONDITION),
        by=None if by_node is None else expression_in(by_node, scope, problems, '"by"', TIMESTAMP),
        must=must,
        must_owned=owned,
        doc="" if doc is None else doc.expect_text(problems, '"doc"') or "",
    )


def _must(node: Node, scope: Scope, ground: Ground, problems: Problems) -> tuple[Expression | None, tuple[str, ...]]:
    """The condition of `must`, and the actions in `... or owned(action)` split off from it."""
    try:
        syntax = parse(node.text)
    except Fault:  # compiling it says what is wrong
        return expression_in(node, scope, problems, '"must"', CONDITION), ()
    body = syntax.body
    parts = body.values if isinstance(body, ast.BoolOp) and isinstance(body.op, ast.Or) else [body]
    owned = [part for part in parts if _is_owned(part)]
    rest = [part for part in parts if not _is_owned(part)]
    names = tuple(name for part in owned if (name := _owned(part, syntax, node, ground, problems)) is not None)
    if not owned:
        return expression_in(node, scope, problems, '"must"', CONDITION), names
    if not rest:
        return None, names
    text = node.text
    for part in owned:  # `x or false` is x, and every place stays where it is
        start, end = syntax.offset(part), syntax.end(part)
        text = text[:start] + "false".ljust(end - start) + text[end:]
    return compile_expression(text, node, scope, problems, CONDITION), names


def _is_owned(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "owned"


def _owned(node: ast.expr, syntax: Syntax, at: Node, ground: Ground, problems: Problems) -> str | None:
    arguments = node.args if isinstance(node, ast.Call) and not node.keywords else []
    name = dotted(arguments[0]) if len(arguments) == 1 else None
    if name in ground.actions:
        return name
    said = "owned names one action, as in owned(marketplace.refund)" if name is None else f'there is no action "{name}"'
    problems.add(at.at(syntax.offset(node)), "unknown-action", said + did_you_mean(name or "", ground.actions))
    return None
