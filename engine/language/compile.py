"""Turns a checked term into Python functions: its value, and its two forms as a condition, is-true and is-false.

Only terms the checker has built are written out, with names and constants of our own; no text of an author is ever executed.
The common case costs no more than the guards a person would write: a comparison with a literal is one comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from engine.facts.schema import ANY, Type
from engine.facts.values import UNKNOWN, Gap, Items, Rec, Unknown, Unreadable
from engine.language import operations
from engine.language.check import Checker
from engine.language.evaluate import UNDECIDABLE, Trail, explain, field_of, setting, walk
from engine.language.node import Locate, Node, locator
from engine.language.operations import ABSENT, ARITHMETIC, COMPARISONS, as_items, truth
from engine.language.parse import Fault, parse
from engine.language.ruleset import Env, Expression, Finding
from engine.language.scope import Scope
from engine.language.terms import (
    LARGEST_LOOP,
    Arithmetic,
    Call,
    Choice,
    Compare,
    Comprehension,
    Field,
    ListOf,
    Literal,
    Logic,
    Negative,
    Not,
    Root,
    Setting,
    Term,
    every,
)
from engine.language.types import fits
from engine.problems import Place, Problems

_SCALARS = frozenset({"text", "number", "boolean", "enum", "timestamp", "date", "duration"})


def compile_expression(
    text: str, at: Place | Node | Locate, scope: Scope, problems: Problems, want: Type | None = None, start: int = 0
) -> Expression | None:
    """The expression a text holds, or None with its faults in `problems`.

    `at` tells where the text stands, which begins `start` characters into it. With `want` its type must fit that one.
    """
    locate = locator(at, start)
    try:
        syntax = parse(text)
    except Fault as fault:
        problems.add(locate(fault.offset), fault.code, fault.message)
        return None
    checker = Checker(syntax, scope, found := Problems(), locate)
    term = checker.check(syntax.body)
    problems.extend(found)
    if term is None or found.errors:
        return None
    if want is not None and not fits(term.type, want):
        problems.add(locate(term.offset), "type-mismatch", f"a {want} is wanted here, this is a {term.type}")
        return None
    forms = Writer().forms(term)

    def explained(env: Env) -> Finding:
        return explain(term, env)

    return Expression(
        text.strip(), locate(syntax.shift), term.type, frozenset(checker.reads), *forms, explained, constant=checker.constant
    )


class Writer:
    """Writes one term as Python source. `_constants` are the values the source names, `_helpers` functions of their own."""

    def __init__(self) -> None:
        self._constants: dict[str, Any] = dict(_SHARED)
        self._helpers: list[str] = []
        self._count = 0

    def forms(self, term: Term) -> tuple[Callable[[Env], Any], Callable[[Env], bool], Callable[[Env], bool]]:
        """Value, is-true and is-false."""
        if _loops_in_loops(term):  # the budget of nested loops is one for all of them: the walker keeps count
            return _walked(term)
        value, true, false = self.value(term), self.true(term), self.false(term)
        source = "\n".join(
            [
                *self._helpers,
                f"def value(env):\n    return {value}",
                f"def true(env):\n    return {true}",
                f"def false(env):\n    return {false}",
            ]
        )
        names: dict[str, Any] = self._constants
        exec(compile(source, "<expression>", "exec"), names)  # noqa: S102 - source written here, from checked terms only
        return names["value"], names["true"], names["false"]

    def _fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _constant(self, value: Any) -> str:
        if value is None or value is True or value is False or type(value) is int:
            return repr(value)
        name = self._fresh("k")
        self._constants[name] = value
        return name

    # --- values ---

    def value(self, term: Term) -> str:
        return _VALUES[type(term)](self, term)

    def literal(self, term: Literal) -> str:
        return self._constant(term.value)

    def root(self, term: Root) -> str:
        if term.local:
            return f"v_{term.name}"
        if term.payload or term.type.of is not None:
            return f"as_list(env.get({term.name!r}))"
        return f"env.get({term.name!r})"

    def setting(self, term: Setting) -> str:
        return f"setting(env, {term.group!r}, {term.name!r})"

    def field(self, term: Field) -> str:
        if term.of.type.name == "record" and isinstance(term.of, Root):
            held = self._fresh("t")
            read = f"{held}.get({term.name!r})"
            return f"({read} if ({held} := {self.value(term.of)}).__class__ is Rec else field_of({held}, {term.name!r}))"
        return f"field_of({self.value(term.of)}, {term.name!r})"

    def compare(self, term: Compare) -> str:
        return f"guarded({self._constant(COMPARISONS[term.operator])}, {self.value(term.left)}, {self.value(term.right)})"

    def arithmetic(self, term: Arithmetic) -> str:
        return f"guarded({self._constant(ARITHMETIC[term.operator])}, {self.value(term.left)}, {self.value(term.right)})"

    def negative(self, term: Negative) -> str:
        return f"guarded(minus, {self.value(term.of)})"

    def condition(self, term: Term) -> str:
        """A condition as a value: true, false or unknown."""
        return f"(True if {self.true(term)} else False if {self.false(term)} else UNKNOWN)"

    def choice(self, term: Choice) -> str:
        yes, no = self.value(term.yes), self.value(term.no)
        true, false = self.true(term.condition), self.false(term.condition)
        return f"({yes} if {true} else {no} if {false} else guarded(agree, {yes}, {no}))"

    def list_of(self, term: ListOf) -> str:
        return f"Items(({''.join(self.value(part) + ', ' for part in term.terms)}))"

    def comprehension(self, term: Comprehension) -> str:
        return self._loop(term, "collect", self.value(term.element))

    def call(self, term: Call) -> str:
        arguments = ", ".join(self.value(argument) for argument in term.arguments)
        return f"guarded({self._constant(term.function.over)}, {arguments})"

    # --- is true ---

    def true(self, term: Term) -> str:
        special = _TRUE.get(type(term))
        written = special(self, term) if special is not None else None
        return written or f"(truth({self.value(term)}) is True)"

    def false(self, term: Term) -> str:
        special = _FALSE.get(type(term))
        written = special(self, term) if special is not None else None
        return written or f"(truth({self.value(term)}) is False)"

    def _plain(self, term: Term) -> str | None:
        """A field or name that holds a scalar or boolean is its own condition."""
        return f"({self.value(term)} is True)" if term.type.name == "boolean" else None

    def _plain_false(self, term: Term) -> str | None:
        return f"({self.value(term)} is False)" if term.type.name == "boolean" else None

    def _all_of(self, parts: list[str]) -> str:
        return f"({' and '.join(parts)})"

    def _any_of(self, parts: list[str]) -> str:
        return f"({' or '.join(parts)})"

    def logic_true(self, term: Logic) -> str:
        parts = [self.true(part) for part in term.terms]
        return self._all_of(parts) if term.operator == "and" else self._any_of(parts)

    def logic_false(self, term: Logic) -> str:
        parts = [self.false(part) for part in term.terms]
        return self._any_of(parts) if term.operator == "and" else self._all_of(parts)

    def not_true(self, term: Not) -> str:
        return self.false(term.of)

    def not_false(self, term: Not) -> str:
        return self.true(term.of)

    def compare_true(self, term: Compare) -> str | None:
        return self._compared(term, wanted=True)

    def compare_false(self, term: Compare) -> str | None:
        return self._compared(term, wanted=False)

    def _compared(self, term: Compare, *, wanted: bool) -> str | None:
        """Equality with a literal, and membership in a list of literals, of the same simple type."""
        if term.left.type.name not in _SCALARS:
            return None
        positive = term.operator in ("==", "in")
        if term.operator in ("==", "!=") and isinstance(term.right, Literal) and term.right.type.name in _SCALARS:
            operator, right = "==", self._constant(term.right.value)
        elif term.operator in ("in", "not in") and _literals(term.right):
            operator, right = "in", self._constant(tuple(part.value for part in term.right.terms))  # type: ignore[attr-defined]
        else:
            return None
        if positive is wanted:
            return f"({self.value(term.left)} {operator} {right})"
        held = self._fresh("t")
        opposite = "!=" if operator == "==" else "not in"
        return f"(({held} := {self.value(term.left)}) is not None and {held}.__class__ not in GAPS and {held} {opposite} {right})"

    def call_true(self, term: Call) -> str | None:
        return self._asked(term, wanted=True)

    def call_false(self, term: Call) -> str | None:
        return self._asked(term, wanted=False)

    def _asked(self, term: Call, *, wanted: bool) -> str | None:
        name, argument = term.function.name, term.arguments[0]
        if name in ("exists", "missing") and argument.type.of is None and argument.type != ANY:
            if (name == "missing") is wanted:
                return f"({self.value(argument)} is None)"
            held = self._fresh("t")
            return f"(({held} := {self.value(argument)}) is not None and {held} is not UNKNOWN)"
        if name in ("any", "all") and isinstance(argument, Comprehension):
            return self._quantified(argument, name, wanted=wanted)
        return None

    def _quantified(self, term: Comprehension, name: str, *, wanted: bool) -> str:
        """One example decides it one way; the other way needs every item, the unsure ones too."""
        by_example = (name == "any") is wanted
        element = self.true(term.element) if name == "any" else self.false(term.element)
        opposite = self.false(term.element) if name == "any" else self.true(term.element)
        return self._loop(term, "example", element) if by_example else self._loop(term, "throughout", opposite)

    def _loop(self, term: Comprehension, what: str, element: str) -> str:
        """A function of its own that goes through the list. `element` is seen with the variable bound."""
        name, variable = self._fresh("loop"), f"v_{term.variable}"
        true = "True" if term.condition is None else self.true(term.condition)
        false = "False" if term.condition is None else self.false(term.condition)
        self._helpers.append(_LOOPS[what].format(name=name, variable=variable, true=true, false=false, element=element))
        return f"{name}(env, {self.value(term.source)})"


_LOOPS = {
    "collect": """def {name}(env, source):
    source = listed(source)
    if source.__class__ is not Items:
        return source
    sure, unsure = [], []
    for {variable} in source:
        if {true}:
            sure.append({element})
        elif not {false}:
            unsure.append({element})
    for {variable} in source.unsure:
        if not {false}:
            unsure.append({element})
    return Items(sure, unsure)""",
    "example": """def {name}(env, source):
    source = listed(source)
    if source.__class__ is Items:
        for {variable} in source:
            if {true} and {element}:
                return True
    return False""",
    "throughout": """def {name}(env, source):
    source = listed(source)
    if source.__class__ is not Items:
        return False
    for {variable} in chain(source, source.unsure):
        if not ({false} or {element}):
            return False
    return True""",
}


def _loops_in_loops(term: Term) -> bool:
    return sum(isinstance(part, Comprehension) for part in every(term)) > 1


def _walked(term: Term) -> tuple[Callable[[Env], Any], Callable[[Env], bool], Callable[[Env], bool]]:
    def value(env: Env) -> Any:
        return walk(term, env, Trail(told=False))

    def true(env: Env) -> bool:
        return truth(value(env)) is True

    def false(env: Env) -> bool:
        return truth(value(env)) is False

    return value, true, false


def _literals(term: Term) -> bool:
    return isinstance(term, ListOf) and all(isinstance(p, Literal) and p.type.name in _SCALARS for p in term.terms)


def _as_list(value: Any) -> Any:
    return Items(value) if value.__class__ is list else value


def _listed(value: Any) -> Any:
    """A list that may be gone through, or what takes its place."""
    if value.__class__ is not Items:
        try:
            value = as_items(value)
        except UNDECIDABLE:
            return UNKNOWN
        if isinstance(value, ABSENT):
            return value
    return value if len(value) + len(value.unsure) <= LARGEST_LOOP else UNKNOWN


def _guarded(operate: Callable[..., Any], *values: Any) -> Any:
    """What cannot be computed is unknown; the walker says why."""
    try:
        return operate(*values)
    except UNDECIDABLE:
        return UNKNOWN


_SHARED: Mapping[str, Any] = {
    "Items": Items,
    "Rec": Rec,
    "UNKNOWN": UNKNOWN,
    "GAPS": frozenset({Gap, Unknown, Unreadable}),
    "agree": operations.agree,
    "as_list": _as_list,
    "chain": chain,
    "field_of": field_of,
    "guarded": _guarded,
    "listed": _listed,
    "minus": operations.minus,
    "setting": setting,
    "truth": truth,
}

_VALUES: Mapping[type[Term], Callable[[Writer, Any], str]] = {
    Literal: Writer.literal,
    Root: Writer.root,
    Setting: Writer.setting,
    Field: Writer.field,
    Logic: Writer.condition,
    Not: Writer.condition,
    Compare: Writer.compare,
    Arithmetic: Writer.arithmetic,
    Negative: Writer.negative,
    Choice: Writer.choice,
    ListOf: Writer.list_of,
    Comprehension: Writer.comprehension,
    Call: Writer.call,
}

_TRUE: Mapping[type[Term], Callable[[Writer, Any], str | None]] = {
    Root: Writer._plain,
    Setting: Writer._plain,
    Field: Writer._plain,
    Logic: Writer.logic_true,
    Not: Writer.not_true,
    Compare: Writer.compare_true,
    Call: Writer.call_true,
}

_FALSE: Mapping[type[Term], Callable[[Writer, Any], str | None]] = {
    Root: Writer._plain_false,
    Setting: Writer._plain_false,
    Field: Writer._plain_false,
    Logic: Writer.logic_false,
    Not: Writer.not_false,
    Compare: Writer.compare_false,
    Call: Writer.call_false,
}
