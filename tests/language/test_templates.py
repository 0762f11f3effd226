"""Text with expressions in it: what people read, and where a mistake in it stands."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.schema import MONEY, NUMBER, TEXT, list_of
from engine.facts.values import UNKNOWN, Items, Money, Rec, Unreadable
from engine.language.scope import Scope
from engine.language.show import show
from engine.language.source import read_source
from engine.language.template import compile_template
from engine.problems import Place, Problems
from tests.language.test_expressions_agree import VOCABULARY

SCOPE = Scope(VOCABULARY, {"s": TEXT, "n": NUMBER, "m": MONEY, "ss": list_of(TEXT)})


def rendered(text: str, **env: Any) -> str:
    problems = Problems()
    template = compile_template(text, Place("a.yaml"), SCOPE, problems)
    assert template is not None, str(problems)
    return template.render(env)


def faults(text: str) -> list[str]:
    problems = Problems()
    node = read_source(text, "a.yaml", problems)
    assert node is not None
    held = node.get("title")
    assert held is not None
    assert compile_template(held.text, held, SCOPE, problems) is None
    return [f"{p.place.line}:{p.place.column} {p.message}" for p in problems]


def test_values_stand_where_their_expressions_stood() -> None:
    assert rendered("RMA {s}: {n + 1} pieces, {m}", s="7", n=2, m=Money.of("12.50", "EUR")) == "RMA 7: 3 pieces, 12.50 EUR"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("{{s}}", "{s}"), ("{{{s}}}", "{x}"), ("a}}b{{", "a}b{"), ("", ""), ('{"}" + s}', "}x"), ("{ s }", "x")],
)
def test_braces_are_written_twice(text: str, wanted: str) -> None:
    assert rendered(text, s="x") == wanted


def test_what_is_missing_is_said_to_be() -> None:
    assert rendered("{s} and {n}", s=None, n=UNKNOWN) == "(missing) and (unknown)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('title: "RMA {t}"', '1:14 there is no "t" here'),
        ("title: 'it''s {s} {t}'", '1:20 there is no "t" here'),
        ("title: >\n  first {s}\n  then {t}", '3:9 there is no "t" here'),
        ("title: a {s", "1:10 this { has no }"),
        ("title: a s} b", "1:11 this } closes nothing"),
        ("title: a {}", "1:11 an expression is missing here"),
        ("title: a {s!r}", "1:12 not an expression"),
    ],
)
def test_a_mistake_is_told_at_its_place(text: str, said: str) -> None:
    found = faults(text)
    assert any(one.startswith(said) for one in found), found


def test_all_mistakes_of_a_text_are_told_at_once() -> None:
    assert len(faults("title: '{a} {b} {c}'")) == 3


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=30), st.text(alphabet="{}s n+\"'", max_size=30)))
def test_any_text_is_a_template_or_a_problem(text: str) -> None:
    problems = Problems()
    template = compile_template(text, Place("a.yaml"), SCOPE, problems)
    assert (template is None) == bool(problems.errors)
    if template is not None:
        assert isinstance(template.render({}), str)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_text_with_its_braces_doubled_says_itself(text: str) -> None:
    assert rendered(text.replace("{", "{{").replace("}", "}}")) == text


NOON = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Money.of("12.5", "EUR"), "12.50 EUR"),
        (Money.of("1200", "JPY"), "1200 JPY"),
        (Money.of("0.125", "EUR"), "0.125 EUR"),
        (Money.of("-3", "USD"), "-3.00 USD"),
        (Decimal("1E+3"), "1000"),
        (Decimal("2.50"), "2.50"),
        (True, "true"),
        (NOON, "2026-03-01T12:05Z"),
        (NOON.replace(second=7), "2026-03-01T12:05:07Z"),
        (date(2026, 3, 1), "2026-03-01"),
        (timedelta(hours=28, minutes=30), "1d 4h 30m"),
        (timedelta(0), "0s"),
        (Unreadable("odd"), "(unreadable: odd)"),
        (Items(["SKU-1", "SKU-2"], ["SKU-3"]), "SKU-1, SKU-2, SKU-3?"),
        (Items(), "none"),
        (Rec("rma_unit", "1001/47", {}), "47"),
        ({"a": [1, None]}, "{a: 1, (missing)}"),
    ],
)
def test_values_are_shown_as_people_write_them(value: Any, shown: str) -> None:
    assert show(value) == shown
