"""Text to Python's own syntax tree, and nothing but the subset authors may use."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

LONGEST = 4000  # characters of one expression
DEEPEST = 60  # levels of its tree; generated code nests at most three brackets a level, of the 200 Python reads

_ALLOWED = (
    ast.Name, ast.Attribute, ast.Constant, ast.List, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.IfExp, ast.Call,
    ast.ListComp, ast.GeneratorExp, ast.Subscript,
)  # fmt: skip
_INSTEAD: tuple[tuple[type[ast.AST], str], ...] = (
    (ast.JoinedStr, "text with a value in it belongs into a template, not into an expression"),
    (ast.Lambda, "there are no lambdas; a comprehension can do it"),
    (ast.NamedExpr, "there is no assignment; give it a name under `facts:`"),
    (ast.Tuple, "write a list, with square brackets"),
    (ast.Set, "write a list, with square brackets"),
    (ast.SetComp, "write a list, with square brackets"),
    (ast.Dict, "there are no mappings in expressions"),
    (ast.DictComp, "there are no mappings in expressions"),
    (ast.Slice, "there are no indexes; use first(list), last(list) or a comprehension"),
    (ast.Starred, "`*` before a value has no meaning here"),
)
_FOREIGN = (("&&", "and"), ("||", "or"), ("===", "=="), ("<>", "!="))
_SLIPS = (
    (re.compile(r"(?<![=!<>])=(?!=)"), 'nothing is assigned here: write "==" to compare'),
    (re.compile(r"(?<![\w)\]])!(?!=)"), 'write "not" instead of "!"'),
)
_QUOTED = re.compile("'[^']*'|\"[^\"]*\"")


class Fault(Exception):  # noqa: N818 - caught by the checker, which knows the place
    """What is wrong with an expression, and where in its text."""

    def __init__(self, offset: int, code: str, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Syntax:
    """The syntax tree of `text`, with offsets counted in characters of `text`."""

    text: str
    body: ast.expr
    shift: int  # blanks before the expression

    def offset(self, node: ast.AST) -> int:
        return self._characters(getattr(node, "col_offset", 0))

    def end(self, node: ast.AST) -> int:
        return self._characters(getattr(node, "end_col_offset", None) or 0)

    def source(self, node: ast.AST) -> str:
        return self.text[self.offset(node) : self.end(node)]

    def _characters(self, column: int) -> int:
        stripped = self.text[self.shift :]
        if not stripped.isascii():  # Python counts columns in bytes of UTF-8
            column = len(stripped.encode()[:column].decode(errors="replace"))
        return self.shift + column


@lru_cache(2048)  # the same text is asked about several times, and again when files are read anew; nobody changes a tree
def parse(text: str) -> Syntax:
    """The syntax tree of an expression. Raises `Fault`, never anything else."""
    if len(text) > LONGEST:
        raise Fault(0, "expression-too-long", f"the expression has {len(text)} characters; at most {LONGEST} are read")
    if not text.strip():
        raise Fault(0, "expression-syntax", "an expression is missing here")
    line = "".join(" " if c.isspace() else c for c in text)  # it may be folded over lines; offsets stay
    stripped = line.lstrip()
    shift = len(line) - len(stripped)
    tree = _tree(stripped, shift)
    _refuse_comments(stripped, shift)
    syntax = Syntax(line, tree, shift)
    _check_depth(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.expr):
            _check(node, syntax)
    return syntax


def _tree(text: str, shift: int) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as an escape Python does not know, common in patterns
            return ast.parse(text, mode="eval").body
    except SyntaxError as fault:
        raise _syntax_fault(fault, text, shift) from None
    except (ValueError, MemoryError, RecursionError):
        raise Fault(shift, "expression-syntax", "this cannot be read as an expression") from None


def _syntax_fault(fault: SyntaxError, text: str, shift: int) -> Fault:
    for foreign, instead in _FOREIGN:
        if foreign in text:
            return Fault(shift + text.index(foreign), "expression-syntax", f'write "{instead}" instead of "{foreign}"')
    bare = _QUOTED.sub(lambda quoted: "_" * len(quoted[0]), text)
    for slip, said in _SLIPS:
        if (found := slip.search(bare)) is not None:
            return Fault(shift + found.start(), "expression-syntax", said)
    offset = max((fault.offset or 1) - 1, 0)
    hint = ""
    if text.count("(") > text.count(")") or text.count("[") > text.count("]"):
        hint = "; in a YAML list written [...] a comma ends the entry: quote the expression or give it a line of its own"
    return Fault(shift + min(offset, len(text)), "expression-syntax", f"not an expression: {fault.msg}{hint}")


def _refuse_comments(text: str, shift: int) -> None:
    """A comment would hide what follows it on the same line."""
    if "#" not in text:
        return
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                raise Fault(shift + token.start[1], "expression-syntax", "a comment cannot stand in an expression")
    except (tokenize.TokenError, SyntaxError):
        return


def _check_depth(tree: ast.expr) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise Fault(0, "expression-too-deep", f"nested more than {DEEPEST} deep; give parts of it names under `facts:`")


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr | ast.comprehension | ast.keyword):
            yield child


def _check(node: ast.expr, syntax: Syntax) -> None:
    if not isinstance(node, _ALLOWED):
        for kind, instead in _INSTEAD:
            if isinstance(node, kind):
                raise Fault(syntax.offset(node), "expression-syntax", instead)
        said = f"`{syntax.source(node)}` is not part of the rule language"
        raise Fault(syntax.offset(node), "expression-syntax", said)
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    if name.startswith("__"):
        raise Fault(syntax.offset(node), "expression-syntax", f'"{name}": names with two underscores are not used')


def conjuncts(node: ast.expr) -> Iterator[ast.expr]:
    """The parts of an expression that must all hold."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for value in node.values:
            yield from conjuncts(value)
    else:
        yield node


def literal(node: ast.Constant, syntax: Syntax) -> str | int | Decimal:
    """The exact value of a constant. Raises `Fault` for what is no text and no number."""
    value = node.value
    if isinstance(value, bool) or value is None:
        raise Fault(syntax.offset(node), "expression-syntax", f'write "{str(value).lower()}", in small letters')
    if isinstance(value, float):
        return _decimal(syntax.source(node), syntax.offset(node))
    if isinstance(value, int) and value.bit_length() > 320:
        raise Fault(syntax.offset(node), "expression-syntax", "the number is out of range")
    if isinstance(value, str | int):
        return value
    raise Fault(syntax.offset(node), "expression-syntax", f"{syntax.source(node)} is neither text nor a number")


def _decimal(written: str, offset: int) -> Decimal:
    number = Decimal(written.replace("_", ""))
    if number.adjusted() > 100 or number.adjusted() < -100:
        raise Fault(offset, "expression-syntax", f"{written} is out of range")
    return number
