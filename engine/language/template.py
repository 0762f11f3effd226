"""Text with `{expression}` in it. `{{` and `}}` stand for the braces themselves."""

from __future__ import annotations

from collections.abc import Iterator

from engine.language.compile import compile_expression
from engine.language.compiled import Expression, Template
from engine.language.node import Locate, Node, locator
from engine.language.scope import Scope
from engine.problems import Place, Problems

_QUOTES = "\"'"


class Unclosed(Exception):  # noqa: N818 - caught below, where the place is known
    """A brace at `offset` that has no other."""

    def __init__(self, offset: int, said: str) -> None:
        super().__init__(said)
        self.offset = offset


def compile_template(text: str, at: Place | Node | Locate, scope: Scope, problems: Problems) -> Template | None:
    """The template a text is, or None with its faults in `problems`, each at its place."""
    locate = locator(at)
    parts: list[str | Expression] = []
    whole = True
    try:
        for kind, piece, offset in _pieces(text):
            if kind == "text":
                parts.append(piece)
            elif (found := compile_expression(piece, locate, scope, problems, start=offset)) is not None:
                parts.append(found)
            else:
                whole = False
    except Unclosed as fault:
        problems.add(locate(fault.offset), "template-syntax", str(fault))
        return None
    return Template(tuple(parts)) if whole else None


def _pieces(text: str) -> Iterator[tuple[str, str, int]]:
    """Runs of text and expressions, in turn, with where each begins."""
    at = 0
    run: list[str] = []
    while at < len(text):
        character = text[at]
        if text[at : at + 2] in ("{{", "}}"):
            run.append(character)
            at += 2
        elif character == "{":
            if run:
                yield "text", "".join(run), at
                run = []
            end = _closing(text, at)
            yield "expression", text[at + 1 : end], at + 1
            at = end + 1
        elif character == "}":
            raise Unclosed(at, "this } closes nothing: write }} for the brace itself")
        else:
            run.append(character)
            at += 1
    if run:
        yield "text", "".join(run), at


def _closing(text: str, start: int) -> int:
    """Where the brace that closes the one at `start` stands; quoted text may hold braces."""
    quote = ""
    for at in range(start + 1, len(text)):
        character = text[at]
        if quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote = character
        elif character == "}":
            return at
    raise Unclosed(start, "this { has no }: write {{ for the brace itself")
