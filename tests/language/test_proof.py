"""What is claimed of conditions is true: held against every combination of what the facts can be."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.facts.schema import BOOLEAN, NUMBER, TEXT, FieldSpec, Kind, Vocabulary, enum_of
from engine.facts.values import UNKNOWN, Rec, Unreadable
from engine.language.check import Checker
from engine.language.compile import compile_expression
from engine.language.compiled import Condition, Expression
from engine.language.lints.proof import Prover
from engine.language.node import locator
from engine.language.parse import parse
from engine.language.scope import Scope
from engine.language.terms import Term
from engine.problems import Place, Problems

HERE = Place("test")
FIELDS = {
    "s": (enum_of("a", "b", "c"), [None, "a", "b", "c", Unreadable("x")]),
    "n": (NUMBER, [None, 0, 1, 2, 3, UNKNOWN]),
    "m": (NUMBER, [None, 1, 2]),
    "p": (BOOLEAN, [None, True, False, Unreadable("x")]),
    "t": (TEXT, [None, "a", "b"]),
}
SCOPE = Scope(Vocabulary({"r": Kind("r", "t", {name: FieldSpec(name, kind) for name, (kind, _) in FIELDS.items()})})).bound(
    "r", "r"
)
WORLDS = [
    {"r": Rec("r", "1", dict(zip(FIELDS, values, strict=True)))} for values in product(*(held for _, held in FIELDS.values()))
]

LEAVES = st.one_of(
    st.builds("r.s {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from("abc")),
    st.builds("r.s {} {}".format, st.sampled_from(["in", "not in"]), st.lists(st.sampled_from("abc"), min_size=1, max_size=3)),
    st.builds("r.n {} {}".format, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.integers(0, 3)),
    st.builds("{1} {0} r.n".format, st.sampled_from(["<", "<=", ">", ">="]), st.integers(0, 3)),
    st.builds("r.n {} r.m".format, st.sampled_from(["<", "<=", ">", ">=", "==", "!="])),
    st.builds("r.m {} r.n".format, st.sampled_from(["<", ">="])),
    st.builds("default(r.n, {}) {} {}".format, st.integers(0, 3), st.sampled_from(["<", ">=", "=="]), st.integers(0, 3)),
    st.builds("default(r.s, '{}') == '{}'".format, st.sampled_from("abc"), st.sampled_from("abc")),
    st.builds("{}(r.{})".format, st.sampled_from(["exists", "missing"]), st.sampled_from("snpt")),
    st.sampled_from(
        ["r.p", "default(r.p, false)", "default(r.p, true)", "r.p == true", "r.t == 'a'", "r.t == r.t", "starts_with(r.t, 'a')"]
    ),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner),
    ),
    max_leaves=5,
)


def compiled(text: str) -> tuple[Condition, Term]:
    problems = Problems()
    expression = compile_expression(text, HERE, SCOPE, problems)
    syntax = parse(text)
    term = Checker(syntax, SCOPE, problems, locator(HERE)).check(syntax.body)
    assert expression is not None, str(problems)
    assert term is not None
    return Condition("is", "when", HERE, expression), term


def prover(*conditions: tuple[Condition, Term]) -> Prover:
    terms: dict[Any, Term] = {id(condition.expression): term for condition, term in conditions}

    def term_of(expression: Expression) -> Term | None:
        return terms.get(id(expression))

    return Prover(term_of)


@given(text=CONDITIONS)
def test_what_is_said_never_to_come_out_so_never_does(text: str) -> None:
    condition, term = compiled(text)
    proofs = prover((condition, term))
    outcomes = {condition.truth(world) for world in WORLDS}
    for truth, outcome in (("t", True), ("f", False), ("u", None)):
        assert not (proofs.never(condition, truth) and outcome in outcomes)  # type: ignore[arg-type]


@given(first=CONDITIONS, second=CONDITIONS, wanted=CONDITIONS)
def test_what_is_said_to_follow_follows(first: str, second: str, wanted: str) -> None:
    parts = [compiled(text) for text in (first, second, wanted)]
    given_conditions, last = [condition for condition, _ in parts[:2]], parts[2][0]
    if prover(*parts).implies(given_conditions, last):
        for world in WORLDS:
            if all(condition.true(world) for condition in given_conditions):
                assert last.true(world)


def test_plain_contradictions_are_found() -> None:
    for text in (
        "r.s == 'a' and r.s == 'b'", "r.n > 2 and r.n < 1", "r.n > 1 and r.n <= 1", "r.p and not r.p",
        "exists(r.n) and missing(r.n)",
        "r.s != 'a' and r.s != 'b' and r.s not in ['c']", "missing(r.n) and r.n > 1", "r.n < r.m and r.m < r.n",
        "default(r.s, 'a') == 'b' and missing(r.s)", "starts_with(r.t, 'a') and not starts_with(r.t, 'a')",
    ):  # fmt: skip
        condition, term = compiled(text)
        assert prover((condition, term)).never(condition, "t"), text


def test_what_decides_nothing_is_found() -> None:
    for text in ("r.n > 1 or r.n <= 1", "exists(r.n) or missing(r.n)", "r.s in ['a', 'b', 'c']", "r.p or not r.p"):
        condition, term = compiled(text)
        assert prover((condition, term)).never(condition, "f"), text


def test_what_follows_is_found() -> None:
    for before, after in (
        ("r.s == 'a'", "r.s in ['a', 'b']"),
        ("r.n > 2", "r.n > 1"),
        ("r.n == 2", "exists(r.n)"),
        ("r.p", "r.p"),
    ):
        first, second = compiled(before), compiled(after)
        assert prover(first, second).implies([first[0]], second[0]), (before, after)
        assert before == after or not prover(first, second).implies([second[0]], first[0])
