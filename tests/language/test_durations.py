"""Elapsed and working durations are two types: they neither mix nor compare, and a period is either."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.facts.codec import encode
from engine.facts.schema import BOOLEAN, DURATION, PERIOD, TIMESTAMP, WORKING_DURATION, Vocabulary
from engine.facts.values import UNKNOWN, UnitMismatch, WorkingDuration
from engine.language.compile import compile_expression
from engine.language.durations import parse_duration, parse_period, parse_working
from engine.language.scope import Scope
from engine.language.show import show
from engine.problems import Place, Problems

SCOPE = Scope(
    Vocabulary({}),
    {"e": DURATION, "w": WORKING_DURATION, "v": WORKING_DURATION, "x": PERIOD, "y": PERIOD, "t": TIMESTAMP, "b": BOOLEAN},
)
HOURS = timedelta(hours=1)
WORKING = st.one_of(
    st.integers(0, 999_999).map(WorkingDuration),
    st.integers(0, 999_999).map(lambda minutes: WorkingDuration(timedelta(minutes=minutes))),
)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2 working days", 2),
        ("1 working day", 1),
        (" 4 working  hours ", 4 * HOURS),
        ("90 working minutes", 1.5 * HOURS),
        ("0 working days", 0),
    ],
)
def test_working_durations_are_written_with_their_unit(text: str, length: int | timedelta) -> None:
    assert parse_working(text) == WorkingDuration(length)
    assert parse_period(text) == WorkingDuration(length)


@given(WORKING)
def test_a_shown_working_duration_can_be_written_back(duration: WorkingDuration) -> None:
    assert parse_working(show(duration)) == duration
    assert parse_working(encode(duration)) == duration


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5", "has no unit: write 5 working days"),
        ("48h", "is an elapsed duration, not a working one"),
        ("soon", "is not a working duration"),
        ("0.5 working days", "is not a whole number of one unit"),
        ("-2 working days", "is not a whole number of one unit"),
        ("working days", "is not a whole number of one unit"),
        ("1 working day 4 working hours", "counts in two units"),
        ("2 working weeks", "is counted in days, hours and minutes, not in weeks"),
        ("2 working months", "is counted in days, hours and minutes, not in months"),
    ],
)
def test_what_is_no_working_duration_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_working(text)


def test_an_elapsed_duration_is_asked_for_where_time_just_passes() -> None:
    with pytest.raises(ValueError, match="is a working duration, which only add_working counts"):
        parse_duration("2 working days")


@pytest.mark.parametrize("text", ["5", "2 months", "1y", "P1M", "soon"])
def test_a_period_without_a_fixed_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="or 5 working days"):
        parse_period(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("w < e", "w (working_duration) does not compare with e (duration)"),
        ("w == e", "does not compare"),
        ("x == y", "x (period) does not compare with y (period)"),
        ("x > e", "does not compare"),
        ("w in [e]", "does not compare"),
        ("w + e", "w (working_duration) + e (duration) has no meaning"),
        ("t + w", "t (timestamp) + w (working_duration) has no meaning"),
        ("t + x", "has no meaning"),
        ("x + x", "has no meaning"),
        ("w * 2", "has no meaning"),
        ("min(w, e)", "min() takes working_duration, not e (duration)"),
        ("min(x, y)", "of one type that has an order"),
        ("sum([w, v])", "a list of numbers, money or durations"),
    ],
)
def test_elapsed_and_working_durations_neither_mix_nor_compare(text: str, said: str) -> None:
    problems = Problems()
    assert compile_expression(text, Place("a.yaml"), SCOPE, problems) is None
    assert said in str(problems)


@pytest.mark.parametrize(
    ("text", "env", "wanted"),
    [
        ("w + v", {"w": WorkingDuration(2), "v": WorkingDuration(3)}, WorkingDuration(5)),
        ("w - v", {"w": WorkingDuration(2 * HOURS), "v": WorkingDuration(HOURS)}, WorkingDuration(HOURS)),
        ("-w", {"w": WorkingDuration(2)}, WorkingDuration(-2)),
        ("-x", {"x": HOURS}, -HOURS),
        ("w < v", {"w": WorkingDuration(2), "v": WorkingDuration(3)}, True),
        ("w >= v", {"w": WorkingDuration(2), "v": WorkingDuration(2)}, True),
        ("w == v", {"w": WorkingDuration(2), "v": WorkingDuration(2)}, True),
        ("w != v", {"w": WorkingDuration(2), "v": None}, UNKNOWN),
        ("w == v", {"w": WorkingDuration(1), "v": WorkingDuration(8 * HOURS)}, UNKNOWN),
        ("w <= v", {"w": WorkingDuration(1), "v": WorkingDuration(8 * HOURS)}, UNKNOWN),
        ("w + v", {"w": WorkingDuration(1), "v": WorkingDuration(8 * HOURS)}, UNKNOWN),
        ("min(w, v)", {"w": WorkingDuration(1), "v": WorkingDuration(2)}, WorkingDuration(1)),
        ("min(w, v)", {"w": WorkingDuration(1), "v": WorkingDuration(HOURS)}, UNKNOWN),
        ("e if b else w", {"e": HOURS, "w": WorkingDuration(2), "b": False}, WorkingDuration(2)),
        ("e if b else w", {"e": HOURS, "w": WorkingDuration(2), "b": None}, UNKNOWN),
        ("default(w, v)", {"w": None, "v": WorkingDuration(2)}, WorkingDuration(2)),
    ],
)
def test_working_durations_of_one_unit_add_and_compare(text: str, env: dict[str, Any], wanted: Any) -> None:
    """Of two units nothing can be said without a calendar: unknown."""
    problems = Problems()
    expression = compile_expression(text, Place("a.yaml"), SCOPE, problems)
    assert expression is not None, str(problems)
    assert expression.value(env) == wanted
    assert expression.explain(env).value == wanted


def test_why_hours_and_days_do_not_mix_is_told() -> None:
    with pytest.raises(UnitMismatch, match="1 working day and 8 working hours are counted in different units"):
        WorkingDuration(1) + WorkingDuration(8 * HOURS)
