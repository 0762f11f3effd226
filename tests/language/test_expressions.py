"""Expressions mean what Python means on known values, follow Kleene on missing ones, and both ways to evaluate them agree."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.schema import BOOLEAN, DURATION, MONEY, NUMBER, TEXT, TIMESTAMP, enum_of, list_of, record_of
from engine.facts.values import UNKNOWN, Items, Money, Rec, Unreadable
from engine.language.compile import compile_expression
from engine.language.compiled import Expression
from engine.language.scope import Scope
from engine.language.source import read_source
from engine.language.vocabulary import read_vocabulary
from engine.problems import Place, Problems

HERE = Place("rules/a.yaml", 3, 9)
VOCABULARY_TEXT = """
records:
  box:
    key: id
    plural: boxes
    fields:
      id: {type: text}
      label: {type: text}
      state: {enum: [open, shut, lost]}
      weight: {type: number}
      price: {type: money}
      due: {type: timestamp}
      full: {type: boolean}
      things: {list: thing}
      tags: {list: text}
    relations:
      others: {to: box, back: label, many: true}
items:
  thing:
    key: name
    parent: box
    fields:
      name: {type: text}
      size: {type: number}
      good: {type: boolean}
"""


def _vocabulary() -> Any:
    problems = Problems()
    node = read_source(VOCABULARY_TEXT.encode(), "facts.yaml", problems)
    found = read_vocabulary(node, problems)
    assert not problems, str(problems)
    return found


VOCABULARY = _vocabulary()
NAMES = {
    "box": record_of("box"), "a": NUMBER, "b": NUMBER, "c": NUMBER, "p": BOOLEAN, "q": BOOLEAN, "r": BOOLEAN, "s": TEXT,
    "t": TEXT,
    "xs": list_of(NUMBER), "ps": list_of(BOOLEAN), "m": MONEY, "n": MONEY, "when": TIMESTAMP, "then": TIMESTAMP, "d": DURATION,
    "e": enum_of("open", "shut"), "boxes": list_of(record_of("box")),
}  # fmt: skip
SCOPE = Scope(VOCABULARY, NAMES, params={"limit": NUMBER}, guards=frozenset({"box"}))


def compiled(text: str) -> Expression:
    problems = Problems()
    found = compile_expression(text, HERE, SCOPE, problems)
    assert found is not None, str(problems)
    return found


def faults(text: str) -> list[str]:
    problems = Problems()
    found = compile_expression(text, HERE, SCOPE, problems)
    assert found is None or not problems.errors
    return [f"{p.place.line}:{p.place.column} {p.message}" for p in problems]


def truth(text: str, **env: Any) -> Any:
    """True, False or None, asked in both compiled forms and of the walker."""
    expression = compiled(text)
    true, false = expression.true(env), expression.false(env)
    assert not (true and false)
    found = True if true else False if false else None
    assert expression.explain(env).truth is found
    return found


def value(text: str, **env: Any) -> Any:
    expression = compiled(text)
    found = expression.value(env)
    assert same(expression.explain(env).value, found)
    return found


def same(left: Any, right: Any) -> bool:
    if isinstance(left, Items) and isinstance(right, Items):
        pairs = [*zip(left, right, strict=True), *zip(left.unsure, right.unsure, strict=True)]
        return all(same(a, b) for a, b in pairs)
    return left is right or (type(left) is type(right) and left == right)


def box(**fields: Any) -> Rec:
    whole = dict.fromkeys(("id", "label", "state", "weight", "price", "due", "full", "things", "tags", "others"))
    return Rec("box", "1", {**whole, "things": Items(), "tags": Items(), "others": Items(), **fields})


def thing(name: str, **fields: Any) -> Rec:
    return Rec("thing", f"1/{name}", {"name": name, "size": None, "good": None, **fields})


# --- random expressions ---

numbers = st.one_of(st.integers(-50, 50), st.decimals(-50, 50, places=2))
literals = st.one_of(st.integers(0, 50).map(str), st.decimals(0, 50, places=2).map(lambda d: f"{d:f}"))


def number_texts(depth: int) -> st.SearchStrategy[str]:
    leaf = st.one_of(st.sampled_from(["a", "b", "c"]), literals)
    if depth == 0:
        return leaf
    below = number_texts(depth - 1)
    return st.one_of(
        leaf,
        st.tuples(below, st.sampled_from(["+", "-", "*"]), below).map(lambda x: f"({x[0]} {x[1]} {x[2]})"),
        below.map(lambda x: f"(-{x})"),
        st.tuples(below, bool_texts(depth - 1), below).map(lambda x: f"({x[0]} if {x[1]} else {x[2]})"),
        st.tuples(st.sampled_from(["min", "max"]), below, below).map(lambda x: f"{x[0]}({x[1]}, {x[2]})"),
    )


def bool_texts(depth: int) -> st.SearchStrategy[str]:
    leaf = st.sampled_from(["p", "q", "r", "true", "false", "s == t", 's == "x"', 's in [t, "y"]', "a in xs"])
    if depth == 0:
        return leaf
    below, operands, at = bool_texts(depth - 1), number_texts(depth - 1), f"x{depth}"  # a nested loop has its own variable
    return st.one_of(
        leaf,
        below.map(lambda x: f"(not {x})"),
        st.tuples(below, st.sampled_from(["and", "or"]), below).map(lambda x: f"({x[0]} {x[1]} {x[2]})"),
        st.tuples(operands, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), operands).map(
            lambda x: f"({x[0]} {x[1]} {x[2]})"
        ),
        st.tuples(st.sampled_from(["any", "all"]), operands).map(lambda x: f"{x[0]}({at} > {x[1]} for {at} in xs)"),
        st.tuples(operands, below).map(lambda x: f"any({x[0]} < {at} for {at} in xs if {x[1]} or {at} == a)"),
    )


known = st.fixed_dictionaries(
    {
        "a": numbers, "b": numbers, "c": numbers, "p": st.booleans(), "q": st.booleans(), "r": st.booleans(),
        "s": st.sampled_from(["x", "y", "z"]), "t": st.sampled_from(["x", "y", "z"]),
        "xs": st.lists(numbers, max_size=4).map(Items),
    }
)  # fmt: skip
gaps = st.sampled_from([None, UNKNOWN, Unreadable("odd")])
patchy = known.flatmap(
    lambda env: st.fixed_dictionaries(
        {name: st.one_of(st.just(env[name]), gaps) for name in env if name != "xs"}
        | {
            "xs": st.one_of(
                st.tuples(st.lists(st.one_of(numbers, gaps), max_size=3), st.lists(numbers, max_size=2)).map(lambda x: Items(*x)),
                gaps,
            )
        }
    )
)


def in_python(text: str, env: dict[str, Any]) -> Any:
    source = text.replace("true", "True").replace("false", "False")
    exact = {"min": min, "max": max, "any": any, "all": all, "Decimal": Decimal}
    tree = compile(_decimals(source), "<python>", "eval")
    return eval(tree, {**exact, **env})


def _decimals(source: str) -> str:
    return re.sub(r"\b\d+\.\d+\b", lambda m: f'Decimal("{m.group()}")', source)


@settings(max_examples=300, deadline=None)
@given(text=number_texts(3), env=known)
def test_arithmetic_is_pythons_on_known_values(text: str, env: dict[str, Any]) -> None:
    assert value(text, **env) == in_python(text, env)


@settings(max_examples=300, deadline=None)
@given(text=bool_texts(3), env=known)
def test_conditions_are_pythons_on_known_values(text: str, env: dict[str, Any]) -> None:
    assert truth(text, **env) is bool(in_python(text, {**env, "xs": list(env["xs"])}))


@settings(max_examples=400, deadline=None)
@given(text=st.one_of(bool_texts(3), number_texts(3)), env=patchy)
def test_compiled_forms_and_the_walker_agree_on_anything(text: str, env: dict[str, Any]) -> None:
    expression = compiled(text)
    finding = expression.explain(env)
    assert same(finding.value, expression.value(env)), (finding.value, expression.value(env))
    assert finding.truth is (True if expression.true(env) else False if expression.false(env) else None)


@settings(max_examples=200, deadline=None)
@given(text=bool_texts(3), env=known, names=st.sets(st.sampled_from(["a", "b", "p", "q", "s"])))
def test_a_fact_that_comes_never_turns_round_what_was_known_without_it(text: str, env: dict[str, Any], names: set[str]) -> None:
    """What is true or false while facts are missing stays so whatever they turn out to be: that is what Kleene means."""
    before = truth(text, **{**env, **dict.fromkeys(names)})
    assert before is None or truth(text, **env) is before


# --- three values ---

T, F, U = True, False, None


@pytest.mark.parametrize(
    ("left", "right", "conjunction", "disjunction"),
    [(T, T, T, T), (T, F, F, T), (T, U, U, T), (F, F, F, F), (F, U, F, U), (U, U, U, U), (U, T, U, T), (U, F, F, U)],
)
def test_and_and_or_are_kleenes(left: Any, right: Any, conjunction: Any, disjunction: Any) -> None:
    assert truth("p and q", p=left, q=right) is conjunction
    assert truth("p or q", p=left, q=right) is disjunction


def test_what_is_missing_compares_with_nothing() -> None:
    for text in ('s == "x"', 's != "x"', "a < 3", "a == b", "a in xs", "not p", "when < then"):
        assert truth(text, xs=Items([1])) is None


@pytest.mark.parametrize(
    ("held", "exists", "missing", "defaulted"),
    [("x", T, F, "x"), (None, F, T, "d"), (Unreadable("?"), T, F, UNKNOWN), (UNKNOWN, U, U, UNKNOWN)],
)
def test_exists_missing_and_default_tell_what_has_not_come_from_what_cannot_be_read(
    held: Any, exists: Any, missing: Any, defaulted: Any
) -> None:
    assert truth("exists(s)", s=held) is exists
    assert truth("missing(s)", s=held) is missing
    assert value('default(s, "d")', s=held) == defaulted or value('default(s, "d")', s=held) is defaulted


def test_a_filter_splits_into_sure_and_unsure() -> None:
    things = Items([thing("a", size=1), thing("b", size=9), thing("c")])
    found = value("[x for x in box.things if x.size > 5]", box=box(things=things))
    assert ([x["name"] for x in found], [x["name"] for x in found.unsure]) == (["b"], ["c"])


@pytest.mark.parametrize(("sure", "unsure", "wanted"), [([1], [], T), ([1], [2], T), ([], [], F), ([], [2], U)])
def test_a_list_is_true_if_it_has_a_sure_item_and_false_only_if_it_has_none(
    sure: list[int], unsure: list[int], wanted: Any
) -> None:
    assert truth("xs", xs=Items(sure, unsure)) is wanted


def test_sums_and_counts_wait_for_what_is_unsure_unless_told_otherwise() -> None:
    unsure, gap, whole = Items([1], [2]), Items([1, None]), Items([1, 2])
    for text in ("count(xs)", "sum(xs)", "min(xs)", "max(xs)"):
        assert value(text, xs=unsure) is UNKNOWN
        assert value(text, xs=gap) is UNKNOWN
        assert value(text.replace("xs", "known(xs)"), xs=unsure) == 1
    assert (value("sum(xs)", xs=whole), value("count(xs)", xs=whole)) == (3, 2)


def test_of_an_empty_list() -> None:
    for text in ("min(xs)", "max(xs)", "first(xs)", "last(xs)"):
        assert value(text, xs=Items()) is None
    assert value("sum(xs)", xs=Items()) == 0
    assert truth("any(x > 1 for x in xs)", xs=Items()) is False
    assert truth("all(x > 1 for x in xs)", xs=Items()) is True


@pytest.mark.parametrize("text", ["m + n", "m < n", "m == n", "m / n", "a / 0", "sum([m, n])"])
def test_what_cannot_be_computed_is_unknown_and_says_why(text: str) -> None:
    env = {"m": Money.of(1, "EUR"), "n": Money.of(1, "GBP"), "a": 1}
    expression = compiled(text)
    assert expression.value(env) is UNKNOWN
    assert expression.explain(env).reason


def test_money_times_and_durations() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert value("0.1 + 0.2") == Decimal("0.3")
    assert truth("0.1 + 0.2 == 0.3") is True
    assert value("m + n * 2", m=Money.of(1, "EUR"), n=Money.of("2.50", "EUR")) == Money.of(6, "EUR")
    assert value("m / n", m=Money.of(5, "EUR"), n=Money.of(2, "EUR")) == Decimal("2.5")
    assert value("when + d", when=noon, d=timedelta(hours=3)) == noon + timedelta(hours=3)
    assert value("then - when", when=noon, then=noon + timedelta(days=1)) == timedelta(days=1)
    assert value("when - hours(4)", when=noon) == noon - timedelta(hours=4)
    assert value('money(12, "EUR")') == Money.of(12, "EUR")


def test_the_facts_to_blame_are_named() -> None:
    finding = compiled('box.state == "open" and box.weight > 3').explain({"box": box(weight=5)})
    assert (finding.truth, finding.blame) == (None, ("box:1.state",))
    assert compiled('box.state == "open" and box.weight > 3').explain({"box": box(weight=1)}).blame == ()


def test_a_budget_bounds_every_loop() -> None:
    many = Items(range(10_001))
    assert truth("any(x == 5 for x in xs)", xs=many) is None
    assert truth("any(any(x == y for y in xs) for x in xs)", xs=Items(range(200))) is None
    assert truth("any(any(x == y for y in xs) for x in xs)", xs=Items(range(50))) is True


# --- what an author is told ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bax.state", '3:9 there is no "bax" here (did you mean "box"?)'),
        ("box.sate", '(did you mean "state"?)'),
        ('box.state == "opne"', '(did you mean "open"?)'),
        ("exist(box)", '(did you mean "exists"?)'),
        ("box.weight > s", "does not compare with s (text)"),
        ("m > 3", ""),
        ("now - when", "time enters through"),
        ("params.limt > 3", '(did you mean "limit"?)'),
        ("box.__class__", ""),
        ("box.keys()", ""),
        ('"".join(xs)', ""),
        ("(lambda: 1)()", ""),
        ("[x for x in xs for y in xs]", "one `for`"),
        ('f"{a}"', ""),
        ("a if p", ""),
        ("xs[0]", ""),
        ("x := 3", ""),
        ("matches(s, t)", "pattern"),
        ('matches(s, "(")', "RE2"),
        ("all(o.full for o in box.others)", "guard it"),
        ("", ""),
        ("a +", ""),
        ("__import__('os')", ""),
    ],
)
def test_a_mistake_is_located_and_explained(text: str, said: str) -> None:
    found = faults(text)
    assert found
    assert any(said in one for one in found), found


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text(alphabet="abpqxs()[]{}.,+-*/<>=!\"' 01ifnorad", max_size=40)))
def test_no_text_does_more_than_have_problems(text: str) -> None:
    problems = Problems()
    found = compile_expression(text, HERE, SCOPE, problems)
    assert (found is None) == bool(problems.errors)
    if found is not None:
        found.value({})
        found.explain({})


def test_nesting_is_bounded() -> None:
    assert faults("(" * 300 + "a" + ")" * 300)
    assert faults("not " * 300 + "p")
