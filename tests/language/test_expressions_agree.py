"""Over records, money, times and lists with gaps in them: both ways to evaluate agree, and nothing at run time raises."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.calendars import Calendar
from engine.facts.schema import (
    BOOLEAN,
    CALENDAR,
    DURATION,
    MONEY,
    NUMBER,
    PERIOD,
    TEXT,
    TIMESTAMP,
    WORKING_DURATION,
    list_of,
    record_of,
)
from engine.facts.values import UNKNOWN, Items, Money, Rec, Unreadable, WorkingDuration
from engine.language.compile import compile_expression
from engine.language.compiled import Expression
from engine.language.scope import Scope
from engine.language.source import read_source
from engine.language.terms import LARGEST_LOOP
from engine.language.vocabulary import read_vocabulary
from engine.problems import Place, Problems

VOCABULARY_TEXT = """
records:
  crate:
    key: id
    plural: crates
    fields:
      id: {type: text}
      state: {enum: [open, shut]}
      weight: {type: number}
      price: {type: money}
      due: {type: timestamp}
      full: {type: boolean}
      tags: {list: text}
      parts: {list: part}
    relations:
      twin: {to: crate, keys: id}
items:
  part:
    key: name
    parent: crate
    fields:
      name: {type: text}
      size: {type: number}
      price: {type: money}
      good: {type: boolean}
"""
PROBLEMS = Problems()
NODE = read_source(VOCABULARY_TEXT, "facts.yaml", PROBLEMS)
assert NODE is not None
VOCABULARY = read_vocabulary(NODE, PROBLEMS)
LONDON = ZoneInfo("Europe/London")
DAYS = Calendar("day", LONDON, country="GB")
NIGHTS = Calendar("night", LONDON, (((1320, 1800),),) * 7)
SCOPE = Scope(
    VOCABULARY,
    {
        "crate": record_of("crate"), "other": record_of("crate"), "n": NUMBER, "s": TEXT, "p": BOOLEAN, "m": MONEY,
        "t": TIMESTAMP, "d": DURATION, "parts": list_of(record_of("part")), "ns": list_of(NUMBER),
    },
    params={"limit": NUMBER, "long": WORKING_DURATION, "within": PERIOD, "counted_by": CALENDAR},
    calendars={"night": NIGHTS, "day": DAYS},
    answers={"asked": TEXT},
    guards=frozenset({"crate"}),
)  # fmt: skip
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

# Forms by what they give; `<number>` is any form that gives a number, `@` the variable of this loop.
SHALLOW = {
    "record": ["crate", "other"],
    "number": ["n", "2", "0.5", "params.limit", "crate.weight"],
    "money": ["m", "crate.price", 'money(3, "EUR")', 'money(s, "GBP")', 'sum((w.price for w in parts), "EUR")', "other.price"],
    "time": ["t", "crate.due", "(t + d)", "(crate.due - hours(n))", "min(t, other.due)", "max(t, crate.due)"],
    "word": ["s", 'lower("A")', "crate.id", "answer.asked", "crate.state", "other.state", "lower(s)"],
    "parts": ["parts", "crate.parts", "other.parts"],
    "condition": [
        "p",
        "crate.full",
        "other.full",
        '(crate.state == "open")',
        '(other.state in ["shut"])',
        "(n in ns)",
        "exists(other)",
    ],
}
DEEP = {
    "record": ["crate.twin", "other.twin", "first(<parts>).crate"],
    "number": [
        "<record>.weight", "(<number> <operator> <number>)", "(<number> if <condition> else <number>)",
        "default(<number>, <number>)", "<summary>(@.size for @ in <parts> if <condition>)",
        "max(known([v.size for v in <parts>]))", 'working_days_between(<time>, <time>, "day")',
        "len(<parts>)", "(<money> / <money>)", "count(<parts>)",
    ],
    "money": ["(<money> <plus> <money>)", "(<money> * <number>)", "(<money> / <number>)", "<record>.price"],
    "time": [
        "<record>.due", "add_working(<time>, <period>, params.counted_by)", 'add_working(<time>, <period>, "night")',
    ],
    "period": [
        "params.within", "-params.within", "d", "params.long", "default(params.within, d)",
        "(params.long if <condition> else d)", "-(params.long + params.long)",
    ],
    "word": ['default(<word>, "z")', "(<word> + <word>)", "(<word> if <condition> else <word>)"],
    "parts": [
        "[@ for @ in <parts> if @.<test>]", "unique(<parts>)", "[@ for @ in <parts> if @.<test> or <condition>]",
        "[@ for @ in <parts> if any(w@.size == @.size for w@ in <parts>)]", "(<parts> + <parts>)",
    ],
    "condition": [
        "(not <condition>)", "(<condition> <joint> <condition>)", "(<condition> == <condition>)",
        "(<condition> if <condition> else <condition>)", "(<number> <compared> <number>)", "(<money> <compared> <money>)",
        "(<time> <compared> <time>)", "(<word> == <word>)", "(params.long <compared> params.long)",
        "(<word> != <word>)", "exists(<number>)", "missing(<number>)",
        "(not <parts>)", "<quantor>(@.good for @ in <parts> if <condition>)",
        "<quantor>(@.size <compared> <number> for @ in <parts>)",
        "<quantor>(<condition> and @.good for @ in <parts>)", "starts_with(s, <word>)", 'matches(<word>, "^[ab]")',
        "(<number> in [1, <number>])", "default(<condition>, <condition>)",
        "exists(2)", '("a" in ["a", "b"])', "(1 < n <= 2)",
    ],
    "operator": ["+", "-", "*", "/"],
    "plus": ["+", "-"],
    "compared": ["==", "!=", "<", "<=", ">", ">="],
    "joint": ["and", "or"],
    "summary": ["sum", "min", "max", "count", "first"],
    "quantor": ["any", "all"],
    "test": ["good", "size > n", 'name != "b"', "crate.full", "good == p"],
}  # fmt: skip


@st.composite
def texts(draw: Any, *kinds: str, depth: int = 3) -> str:
    loops = iter(range(1000))

    def expand(kind: str, depth: int) -> str:
        deeper = depth > 0 and (kind not in SHALLOW or draw(st.integers(0, 3)) > 0)
        form = draw(st.sampled_from(DEEP[kind] if deeper or kind not in SHALLOW else SHALLOW[kind]))
        variable = f"v{next(loops)}_"
        return re.sub("<([a-z]+)>", lambda part: expand(part[1], depth - 1), form.replace("@", variable))

    return expand(draw(st.sampled_from(kinds)), depth)


GAPS = st.sampled_from([None, None, UNKNOWN, Unreadable("odd")])
NUMBERS = st.one_of(st.integers(-3, 3), st.decimals(-3, 3, places=1))
MONEYS = st.builds(Money, st.decimals(-3, 3, places=1), st.sampled_from(["EUR", "EUR", "EUR", "GBP"]))
WORKING = st.sampled_from([WorkingDuration(2), WorkingDuration(-1), WorkingDuration(timedelta(hours=9)), WorkingDuration(10**6)])
TIMES = st.integers(-3, 3).map(lambda n: NOON + timedelta(hours=n))


def perhaps(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, values, values, GAPS)


PART = st.fixed_dictionaries(
    {
        "name": perhaps(st.sampled_from("abc")),
        "size": perhaps(NUMBERS),
        "price": perhaps(MONEYS),
        "good": perhaps(st.booleans()),
    }
)
CRATE = st.fixed_dictionaries(
    {
        "id": perhaps(st.sampled_from("abc")),
        "state": perhaps(st.sampled_from(["open", "shut"])),
        "weight": perhaps(NUMBERS),
        "price": perhaps(MONEYS),
        "due": perhaps(TIMES),
        "full": perhaps(st.booleans()),
        "tags": st.just(Items()),
        "parts": st.tuples(st.lists(PART, max_size=3), st.lists(PART, max_size=1)),
    }
)


def as_crate(key: str, fields: dict[str, Any], twin: Rec | None) -> Rec:
    sure, unsure = fields["parts"]
    crate = Rec("crate", key, {**fields, "seen_at": NOON, "twin": twin})
    made = [Rec("part", f"{key}/{n}", {**part, "crate": crate}, crate) for n, part in enumerate([*sure, *unsure])]
    crate["parts"] = Items(made[: len(sure)], made[len(sure) :])
    return crate


@st.composite
def environments(draw: Any) -> dict[str, Any]:
    other = as_crate("2", draw(CRATE), None) if draw(st.booleans()) else None
    crate = as_crate("1", draw(CRATE), other)
    return {
        "crate": crate,
        "other": other,
        "parts": draw(perhaps(st.just(crate["parts"]))),
        "ns": Items(draw(st.lists(perhaps(NUMBERS), max_size=2)), draw(st.lists(NUMBERS, max_size=1))),
        "n": draw(perhaps(NUMBERS)),
        "s": draw(perhaps(st.sampled_from(["a", "B", "12.5"]))),
        "p": draw(perhaps(st.booleans())),
        "m": draw(perhaps(MONEYS)),
        "t": draw(perhaps(TIMES)),
        "d": draw(perhaps(st.integers(-2, 2).map(lambda n: timedelta(hours=n)))),
        "params": {
            "limit": draw(NUMBERS),
            "long": draw(perhaps(WORKING)),
            "within": draw(perhaps(st.one_of(WORKING, st.just(timedelta(hours=5))))),
            "counted_by": draw(perhaps(st.sampled_from([DAYS, NIGHTS]))),
        },
        "answer": draw(st.sampled_from([{}, {"asked": "a"}])),
    }


def compiled(text: str) -> Expression:
    problems = Problems()
    found = compile_expression(text, Place("a.yaml"), SCOPE, problems)
    assert found is not None, f"{text}\n{problems}"
    return found


def same(left: Any, right: Any) -> bool:
    if isinstance(left, Items) and isinstance(right, Items):
        lists = ((left, right), (left.unsure, right.unsure))
        return all(len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True)) for a, b in lists)
    return left is right or (type(left) is type(right) and left == right)


@settings(max_examples=400, deadline=None)
@given(text=texts("condition", "condition", "number", "money", "parts", "word", "time", depth=4), env=environments())
def test_the_compiled_forms_say_what_the_walker_says(text: str, env: dict[str, Any]) -> None:
    expression = compiled(text)
    finding = expression.explain(env)
    value, true, false = expression.value(env), expression.true(env), expression.false(env)
    assert same(value, finding.value)
    assert (type(true), type(false)) == (bool, bool)
    assert finding.truth is (True if true else False if false else None)
    assert not (true and false)


def crate_of(*parts: dict[str, Any], **fields: Any) -> Rec:
    whole = dict.fromkeys(("id", "state", "weight", "price", "due", "full", "tags"))
    blank = dict.fromkeys(("name", "size", "price", "good"))
    return as_crate("1", {**whole, **fields, "parts": ([{**blank, **part} for part in parts], [])}, None)


@pytest.mark.parametrize(
    ("text", "blame"),
    [
        ("crate.full", ["crate:1.full"]),
        ("crate.full and crate.weight > 1", ["crate:1.full", "crate:1.weight"]),
        ("crate.full and crate.weight > crate.parts_count", None),
        ("crate.full and false", []),
        ("crate.full or true", []),
        ("other.full", ["other.full"]),
        ("crate.weight if crate.full else 3", ["crate:1.full", "crate:1.weight"]),
        ("3 if crate.full else 3", []),
        ("[x for x in crate.parts if x.good]", ["part:1/0.good"]),
        ("any(x.good for x in crate.parts)", ["part:1/0.good"]),
        ("all(x.good for x in crate.parts if x.size == 2)", []),
        ("all(not x.good for x in crate.parts if x.size != 3)", ["part:1/0.good", "part:1/0.size"]),
        ("sum(x.size for x in crate.parts) > 3", ["part:1/0.size"]),
        ("sum(known(x.size for x in crate.parts)) > 3", []),
        ("max(x.size for x in crate.parts if x.good)", ["part:1/0.good", "part:1/0.size"]),
        ("default(crate.weight, 1) > 3", []),
        ('starts_with(crate.id, "a")', ["crate:1.id"]),
    ],
)
def test_blame_names_what_would_have_to_come_and_nothing_else(text: str, blame: list[str] | None) -> None:
    env = {"crate": crate_of({"name": "a"}, {"name": "b", "size": 2, "good": False}), "other": None}
    problems = Problems()
    found = compile_expression(text, Place("a.yaml"), SCOPE, problems)
    if blame is None:
        assert found is None
        return
    assert found is not None, str(problems)
    assert sorted(found.explain(env).blame) == blame


ODD = st.sampled_from(
    [None, 1, Decimal("NaN"), "x", True, Money.of(1, "EUR"), NOON, NOON.replace(tzinfo=None), timedelta(1), Items([1, "x", None]),
     [1], {"a": 1}, UNKNOWN, Rec("crate", "9", {}), Items([Rec("part", "9", {"size": "x"})]), object(), 10**400]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    text=texts("condition", "number", "money", "parts", "word", "time"),
    env=st.dictionaries(st.sampled_from(["crate", "other", "n", "s", "p", "m", "t", "d", "parts", "ns"]), ODD),
)
def test_values_of_the_wrong_type_never_raise(text: str, env: dict[str, Any]) -> None:
    expression = compiled(text)
    assert not (expression.true(env) and expression.false(env))
    expression.value(env)
    expression.explain(env)


def test_writing_a_long_choice_takes_no_longer_than_its_text() -> None:
    """Each branch and each condition is written once: eighteen levels, written twice each, would be a quarter of a million."""
    text = "0"
    for n in range(18):
        text = f"{n} if (p and n == {n}) == p else ({text})"
    expression = compiled(text)
    assert expression.value({"p": True, "n": 5}) == 5
    assert expression.value({"p": None, "n": 5}) is UNKNOWN


@pytest.mark.parametrize("text", ["any(any(a == b for b in ns) for a in ns)", "[a for a in ns if any(a < b for b in ns)]"])
def test_the_budget_of_a_loop_covers_the_loops_in_it(text: str) -> None:
    expression = compiled(text)
    few, many = Items(range(99)), Items(range(101))
    assert len(few) * (len(few) + 1) <= LARGEST_LOOP < len(many) * len(many)
    assert expression.true({"ns": few})
    finding = expression.explain({"ns": many})
    assert same(finding.value, expression.value({"ns": many}))
    assert str(LARGEST_LOOP) in finding.reason


def test_loops_side_by_side_have_a_budget_each() -> None:
    expression = compiled("any(a == 1 for a in ns) and any(b == 8000 for b in ns)")
    env = {"ns": Items(range(9000))}
    assert expression.true(env)
    assert expression.explain(env).truth is True
