"""A checked expression as a tree. The compiler turns it into Python, the walker explains it; both follow one meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.facts.schema import Type
from engine.language.functions import Function

LARGEST_LOOP = 10_000  # items one comprehension visits, with all that is nested in it
DEEPEST_LOOP = 20


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """`offset` is where it starts in the text of the expression."""

    type: Type
    offset: int

    def parts(self) -> Iterator[Term]:
        yield from ()


@dataclass(frozen=True, slots=True, eq=False)
class Literal(Term):
    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Root(Term):
    """A name of the environment or, with `local`, of a comprehension. `sure` roots are records that are there."""

    name: str
    local: bool = False
    sure: bool = False
    payload: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Setting(Term):
    """`params.x` or `answer.x`."""

    group: str
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Field(Term):
    """A field or relation of a record; of a payload if the record's type is `any`."""

    of: Term
    name: str
    sure: bool = False

    def parts(self) -> Iterator[Term]:
        yield self.of


@dataclass(frozen=True, slots=True, eq=False)
class Compare(Term):
    """`==`, `!=`, `<`, `<=`, `>`, `>=`, `in` or `not in`."""

    operator: str
    left: Term
    right: Term

    def parts(self) -> Iterator[Term]:
        yield self.left
        yield self.right


@dataclass(frozen=True, slots=True, eq=False)
class Logic(Term):
    """`and` or `or` of two or more conditions."""

    operator: str
    terms: tuple[Term, ...]

    def parts(self) -> Iterator[Term]:
        yield from self.terms


@dataclass(frozen=True, slots=True, eq=False)
class Not(Term):
    of: Term

    def parts(self) -> Iterator[Term]:
        yield self.of


@dataclass(frozen=True, slots=True, eq=False)
class Arithmetic(Term):
    operator: str
    left: Term
    right: Term

    def parts(self) -> Iterator[Term]:
        yield self.left
        yield self.right


@dataclass(frozen=True, slots=True, eq=False)
class Negative(Term):
    of: Term

    def parts(self) -> Iterator[Term]:
        yield self.of


@dataclass(frozen=True, slots=True, eq=False)
class Choice(Term):
    """`yes if condition else no`."""

    condition: Term
    yes: Term
    no: Term

    def parts(self) -> Iterator[Term]:
        yield self.condition
        yield self.yes
        yield self.no


@dataclass(frozen=True, slots=True, eq=False)
class ListOf(Term):
    terms: tuple[Term, ...]

    def parts(self) -> Iterator[Term]:
        yield from self.terms


@dataclass(frozen=True, slots=True, eq=False)
class Comprehension(Term):
    """`[element for variable in source if condition]`; several conditions are joined by `and`."""

    variable: str
    source: Term
    condition: Term | None
    element: Term

    def parts(self) -> Iterator[Term]:
        yield self.source
        if self.condition is not None:
            yield self.condition
        yield self.element


@dataclass(frozen=True, slots=True, eq=False)
class Call(Term):
    function: Function
    arguments: tuple[Term, ...]

    def parts(self) -> Iterator[Term]:
        yield from self.arguments


def every(term: Term) -> Iterator[Term]:
    """The term and all below it."""
    yield term
    for part in term.parts():
        yield from every(part)


def path_of(term: Term) -> str | None:
    """`rma.sale.order` for a chain of fields from a name, else None."""
    if isinstance(term, Root):
        return term.name
    if isinstance(term, Setting):
        return f"{term.group}.{term.name}"
    if isinstance(term, Field):
        base = path_of(term.of)
        return None if base is None else f"{base}.{term.name}"
    return None
