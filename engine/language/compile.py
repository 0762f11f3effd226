"""Turns a checked term into Python functions: its value, and its two forms as a condition, is-true and is-false.

Only terms the checker has built are written out, with names and constants of our own; no text of an author is ever executed.
The common case costs no more than the guards a person would write: a comparison with a literal is one comparison. What
cannot be computed (two currencies, a division by zero) raises inside, and the walker is asked instead. Each term is written
once in each form, so that what is written grows no faster than the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from types import MappingProxyType, NoneType
from typing import Any

from engine.facts.schema import ANY, Type
from engine.facts.values import UNKNOWN, Gap, Items, Rec, Unknown, Unreadable
from engine.language import operations
from engine.language.check import Checker
from engine.language.compiled import Env, Expression, Finding
from engine.language.evaluate import UNDECIDABLE, Trail, explain, field_of, walk
from engine.language.node import Locate, Node, locator
from engine.language.operations import ARITHMETIC, COMPARISONS, as_items, truth
from engine.language.parse import Fault, parse
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

REMEMBERED = 16_384  # expressions whose compiled form outlives their rule set: more than any project has
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


@dataclass(frozen=True, slots=True)
class Written:
    """A term written out: the source, and what tells its constants apart. Equal ones do the same, so that rules that ask the same
    share their functions: two thousand rules are many conditions, and few different ones.
    """

    source: str
    constants: tuple[object, ...]
    names: dict[str, Any] = field(compare=False)
    term: Term = field(compare=False)


@lru_cache(REMEMBERED)
def _functions(written: Written) -> tuple[Callable[[Env], Any], Callable[[Env], bool], Callable[[Env], bool]]:
    """Value, is-true and is-false. Most are the same as when the files were read last, and in two rule sets."""
    term = written.term

    def walked(env: Env) -> Any:
        return walk(term, env, Trail(told=False))

    names = {**written.names, "walked": walked, "__builtins__": _SHARED}  # one for all, and nothing of Python's own
    exec(compile(written.source, "<expression>", "exec"), names)  # noqa: S102 - source written here, from checked terms only
    return names["value"], names["true"], names["false"]


class Writer:
    """Writes one term as Python source. `_names` are the values the source names, `_helpers` functions of its loops."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {}
        self._helpers: list[str] = []
        self._count = 0
        self._outer: list[str] = []  # variables of the loops around, while nested loops are written

    def forms(self, term: Term) -> tuple[Callable[[Env], Any], Callable[[Env], bool], Callable[[Env], bool]]:
        """Value, is-true and is-false."""
        value, true, false = self.value(term), self.true(term), self.false(term)
        source = "\n".join(
            [
                *self._helpers,
                _FORM.format(name="value", written=value, walked="walked(env)"),
                _FORM.format(name="true", written=true, walked="truth(walked(env)) is True"),
                _FORM.format(name="false", written=false, walked="truth(walked(env)) is False"),
            ]
        )
        constants = tuple(value if callable(value) else (type(value), repr(value)) for value in self._names.values())
        return _functions(Written(source, constants, self._names, term))

    def _fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _constant(self, value: Any) -> str:
        if value is None or value is True or value is False or type(value) is str:
            return repr(value)
        if type(value) is int and abs(value) < 10**15:
            return repr(value)
        name = self._fresh("k")
        self._names[name] = value
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
        read = f"(env.get({term.group!r}) or NOTHING).get({term.name!r})"
        return read if term.type.of is None else f"as_list({read})"

    def field(self, term: Field) -> str:
        of = term.of
        if of.type.name == "record" and isinstance(of, Root | Field):
            if of.sure:  # were it not there after all, the walker would be asked
                return f"{self.value(of)}.get({term.name!r})"
            held = self._fresh("t")
            read = f"{held}.get({term.name!r})"
            return f"({read} if ({held} := {self.value(of)}).__class__ is Rec else field_of({held}, {term.name!r}))"
        return f"field_of({self.value(of)}, {term.name!r})"

    def compare(self, term: Compare) -> str:
        if _is_among_literals(term):
            held = self._fresh("t")
            members = self._constant(_members(term))
            return f"(UNKNOWN if ({held} := {self.value(term.left)}).__class__ in GAPS else {held} {term.operator} {members})"
        if not _is_simple(term) or _has_loop(term.right):
            return f"{self._constant(COMPARISONS[term.operator])}({self.value(term.left)}, {self.value(term.right)})"
        left, right, absent = self._operands(term, "in", " or ")
        return f"(UNKNOWN if {absent} else {left} {term.operator} {right})" if absent else f"({left} {term.operator} {right})"

    def _operands(self, term: Compare, test: str, joint: str) -> tuple[str, str, str]:
        """How the operands of a comparison are named once its test for gaps has been run, and that test."""
        names, tests = [], []
        for side in (term.left, term.right):
            if isinstance(side, Literal):
                names.append(self._constant(side.value))
                continue
            names.append(held := self._fresh("t"))
            tests.append(f"({held} := {self.value(side)}).__class__ {test} GAPS")
        return names[0], names[1], joint.join(tests)

    def arithmetic(self, term: Arithmetic) -> str:
        return f"{self._constant(ARITHMETIC[term.operator])}({self.value(term.left)}, {self.value(term.right)})"

    def negative(self, term: Negative) -> str:
        return f"minus({self.value(term.of)})"

    def three(self, term: Term) -> str:
        """A condition as a value: true, false or unknown."""
        return self.value(term) if isinstance(term, Logic | Not | Compare) else f"truth({self.value(term)})"

    def logic(self, term: Logic) -> str:
        held = [(self._fresh("t"), self.three(part)) for part in term.terms]
        stop, go = ("False", "True") if term.operator == "and" else ("True", "False")
        stops = " or ".join(f"({name} := {part}) is {stop}" for name, part in held)
        goes = " and ".join(f"{name} is {go}" for name, _ in held)
        return f"({stop} if {stops} else {go} if {goes} else UNKNOWN)"

    def negated(self, term: Not) -> str:
        return f"negate({self.three(term.of)})"

    def choice(self, term: Choice) -> str:
        held = self._fresh("t")
        yes = f"{self.value(term.yes)} if {held} is not False else None"
        no = f"{self.value(term.no)} if {held} is not True else None"
        return f"choose(({held} := {self.three(term.condition)}), {yes}, {no})"

    def list_of(self, term: ListOf) -> str:
        return f"Items(({''.join(self.value(part) + ', ' for part in term.terms)}))"

    def comprehension(self, term: Comprehension) -> str:
        if self._outer or _is_nested(term):
            return self._nested_loop(term)
        return self._loop(term, "collect", lambda: self.value(term.element))

    def call(self, term: Call) -> str:
        arguments = ", ".join(self.value(argument) for argument in term.arguments)
        return f"{self._constant(term.function.over)}({arguments})"

    # --- is true, is false ---

    def true(self, term: Term) -> str:
        return self._condition(term, wanted=True)

    def false(self, term: Term) -> str:
        return self._condition(term, wanted=False)

    def _condition(self, term: Term, *, wanted: bool) -> str:
        if not (self._outer and _has_loop(term)):  # nested loops are gone through once, in one order: the budget is theirs
            special = _CONDITIONS.get(type(term))
            written = None if special is None else special(self, term, wanted)
            if written is not None:
                return written
        if term.type.name == "boolean":
            return f"({self.value(term)} is {wanted})"
        return f"(truth({self.value(term)}) is {wanted})"

    def logic_as(self, term: Logic, wanted: bool) -> str:
        parts = (self._condition(part, wanted=wanted) for part in term.terms)
        return f"({(' and ' if (term.operator == 'and') is wanted else ' or ').join(parts)})"

    def not_as(self, term: Not, wanted: bool) -> str:
        return self._condition(term.of, wanted=not wanted)

    def compare_as(self, term: Compare, wanted: bool) -> str | None:
        if not _is_simple(term):
            return self._member_as(term, wanted)
        operator = term.operator if wanted else _OPPOSITE[term.operator]
        if operator == "==" and isinstance(term.right, Literal):  # no gap equals what is there
            return f"({self.value(term.left)} == {self._constant(term.right.value)})"
        left, right, there = self._operands(term, "not in", " and ")
        return f"({there} and {left} {operator} {right})" if there else f"({left} {operator} {right})"

    def _member_as(self, term: Compare, wanted: bool) -> str | None:
        """Membership in a list of literals."""
        if not _is_among_literals(term):
            return None
        members = self._constant(_members(term))
        if (term.operator == "in") is wanted:
            return f"({self.value(term.left)} in {members})"
        held = self._fresh("t")
        return f"(({held} := {self.value(term.left)}).__class__ not in GAPS and {held} not in {members})"

    def call_as(self, term: Call, wanted: bool) -> str | None:
        name, argument = term.function.name, term.arguments[0]
        scalar = argument.type.of is None and argument.type != ANY and not isinstance(argument, Literal)
        if name in ("exists", "missing") and scalar:
            if (name == "missing") is wanted:
                return f"({self.value(argument)} is None)"
            held = self._fresh("t")
            return f"(({held} := {self.value(argument)}) is not None and {held} is not UNKNOWN)"
        if name in ("any", "all") and isinstance(argument, Comprehension) and not _is_nested(argument):
            return self._quantified(argument, name, wanted)
        return None

    def _quantified(self, term: Comprehension, name: str, wanted: bool) -> str:
        """One example decides it one way; the other way needs every item, the unsure ones too."""
        holds = name == "any"
        if holds is wanted:
            return self._loop(term, "example", lambda: self._condition(term.element, wanted=holds))
        return self._loop(term, "throughout", lambda: self._condition(term.element, wanted=not holds))

    # --- loops ---

    def _loop(self, term: Comprehension, what: str, element: Callable[[], str]) -> str:
        """A function of its own that goes through the list, with the variable bound."""
        name, variable = self._fresh("loop"), f"v_{term.variable}"
        true = "True" if term.condition is None else self.true(term.condition)
        false = "False" if term.condition is None else self.false(term.condition)
        self._helpers.append(_LOOPS[what].format(name=name, variable=variable, true=true, false=false, element=element()))
        return f"{name}(env, {self.value(term.source)})"

    def _nested_loop(self, term: Comprehension) -> str:
        """The same for loops that hold others: all of them count what they visit together, as the walker does."""
        name, variable, outer = self._fresh("loop"), f"v_{term.variable}", "".join(f", {v}" for v in self._outer)
        call = f"{name}(env, {self.value(term.source)}, {'visits' if self._outer else '[0]'}{outer})"
        self._outer.append(variable)
        kept = "True" if term.condition is None else self.three(term.condition)
        element = self.value(term.element)
        self._outer.pop()
        self._helpers.append(_LOOPS["nested"].format(name=name, variable=variable, outer=outer, kept=kept, element=element))
        return call


_FORM = """def {name}(env):
    try:
        return {written}
    except FAULTS:
        return {walked}"""

_LOOPS = {
    "nested": """def {name}(env, source, visits{outer}):
    source = as_items(source)
    if source.__class__ is not Items:
        return source
    sure, unsure = [], []
    for given, items in ((sure, source), (unsure, source.unsure)):
        for {variable} in items:
            visits[0] += 1
            if visits[0] > LARGEST_LOOP:
                return UNKNOWN
            kept = {kept}
            if kept is not False:
                (given if kept is True else unsure).append({element})
    return Items(sure, unsure)""",
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


def _has_loop(term: Term) -> bool:
    return any(isinstance(part, Comprehension) for part in every(term))


def _is_nested(term: Comprehension) -> bool:
    """Whether going through its items means going through others for each."""
    return _has_loop(term.element) or (term.condition is not None and _has_loop(term.condition))


def _is_simple(term: Compare) -> bool:
    """Whether Python's own comparison means the same, once neither side is a gap."""
    return term.operator in _OPPOSITE and term.left.type.name in _SCALARS and term.right.type.name in _SCALARS


def _is_among_literals(term: Compare) -> bool:
    """Whether it asks if a scalar is one of a list of literals."""
    return term.operator in ("in", "not in") and term.left.type.name in _SCALARS and _literals(term.right)


def _members(term: Compare) -> tuple[Any, ...]:
    return tuple(part.value for part in term.right.parts() if isinstance(part, Literal))


def _literals(term: Term) -> bool:
    return isinstance(term, ListOf) and all(isinstance(p, Literal) and p.type.name in _SCALARS for p in term.terms)


def _as_list(value: Any) -> Any:
    return Items(value) if value.__class__ is list else value


def _listed(value: Any) -> Any:
    """A list that may be gone through, or the gap that takes its place."""
    items = value if value.__class__ is Items else as_items(value)
    if items.__class__ is Items and len(items) + len(items.unsure) > LARGEST_LOOP:
        return UNKNOWN
    return items


_OPPOSITE: Mapping[str, str] = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}

_SHARED: dict[str, Any] = {
    "FAULTS": (*UNDECIDABLE, AttributeError),
    "GAPS": frozenset({NoneType, Gap, Unknown, Unreadable}),
    "Items": Items,
    "LARGEST_LOOP": LARGEST_LOOP,
    "NOTHING": MappingProxyType({}),
    "Rec": Rec,
    "UNKNOWN": UNKNOWN,
    "as_items": as_items,
    "as_list": _as_list,
    "chain": chain,
    "choose": operations.choose,
    "field_of": field_of,
    "listed": _listed,
    "minus": operations.minus,
    "negate": operations.negate,
    "truth": truth,
}

_VALUES: Mapping[type[Term], Callable[[Writer, Any], str]] = {
    Literal: Writer.literal,
    Root: Writer.root,
    Setting: Writer.setting,
    Field: Writer.field,
    Logic: Writer.logic,
    Not: Writer.negated,
    Compare: Writer.compare,
    Arithmetic: Writer.arithmetic,
    Negative: Writer.negative,
    Choice: Writer.choice,
    ListOf: Writer.list_of,
    Comprehension: Writer.comprehension,
    Call: Writer.call,
}

_CONDITIONS: Mapping[type[Term], Callable[[Writer, Any, bool], str | None]] = {
    Logic: Writer.logic_as,
    Not: Writer.not_as,
    Compare: Writer.compare_as,
    Call: Writer.call_as,
}
