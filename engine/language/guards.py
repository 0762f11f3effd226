"""Which facts must have come wherever a condition holds, so that rules may ask what is not there yet.

`all`, `count`, `missing` and `not any` over a relation that more may join at any time are errors unless the relation is
*guarded*: by `exists(rma.market_returns)`, the relation itself or `any(... for r in rma.market_returns)`, in the same
expression before an `and` or as another entry of the same `when`.
"""

from __future__ import annotations

import ast
from functools import lru_cache

from engine.language.parse import Fault, parse


@lru_cache(4096)
def guards_of(text: str) -> frozenset[str]:
    """The paths that exist where this condition is true, as text: `rma.sale`, and `rma` with it. Nothing if it cannot be read."""
    try:
        return implied(parse(text).body)
    except Fault:
        return frozenset()


def implied(node: ast.expr) -> frozenset[str]:
    """The same of a syntax tree."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return frozenset[str]().union(*(implied(part) for part in node.values))
    if isinstance(node, ast.Compare):
        return frozenset[str]().union(*(prefixes(part) for part in (node.left, *node.comparators)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        argument = node.args[0]
        if node.func.id == "exists":
            return prefixes(argument)
        if node.func.id == "any" and isinstance(argument, ast.GeneratorExp | ast.ListComp):
            return prefixes(argument.generators[0].iter)
    if isinstance(node, ast.ListComp):
        return prefixes(node.generators[0].iter)
    return prefixes(node)


def prefixes(node: ast.expr) -> frozenset[str]:
    """A path and all it leads through: `rma`, `rma.sale` and `rma.sale.order` for the last of them."""
    path = dotted(node)
    if path is None:
        return frozenset()
    words = path.split(".")
    return frozenset(".".join(words[: n + 1]) for n in range(len(words)))


def dotted(node: ast.expr) -> str | None:
    """The text of a chain of names, or None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return None if base is None else f"{base}.{node.attr}"
    return None
