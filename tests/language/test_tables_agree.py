"""The index of a table, its hit policies over gaps and what is proved of its rows agree with a plain reading of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.schema import NUMBER, TEXT, Vocabulary, enum_of
from engine.facts.values import UNKNOWN, Items, Money, WorkingDuration
from engine.language.compile import compile_expression
from engine.language.scope import Scope
from engine.language.tables.atoms import ELSE, Atom
from engine.language.tables.cells import Cell, Is, Within
from engine.language.tables.check import Space, Spent, check_tables, gaps, without_effect
from engine.language.tables.policies import SINGLE
from engine.language.tables.table import Input, Output, Row, Table
from engine.language.written import constant
from engine.problems import Place, Problems
from tests.language.drawn_tables import SORTS, cells, completions, expected, gives, inputs, matching, points, pools, tables

NUMBERS = next(sort for sort in SORTS if sort.type == NUMBER)


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_a_table_gives_what_its_rows_give_read_one_by_one(data: st.DataObject) -> None:
    table = data.draw(tables())
    values = data.draw(inputs(table))
    assert same(table.outcome(values).values, expected(table, values))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_on_inputs_that_are_there_a_table_gives_what_dmn_says(data: st.DataObject) -> None:
    table = data.draw(tables())
    values = tuple(data.draw(st.sampled_from(pool)) for pool in pools(table))
    sure, unsure = matching(table, values)
    if not unsure:
        told = gives(table, sure)
        found = table.outcome(values)
        if isinstance(told, tuple):
            assert same(found.values, told)
            assert not found.reason
        else:
            assert set(found.values) == {UNKNOWN}
            assert "match" in found.reason


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_is_known_stays_so_whatever_the_gaps_turn_out_to_be(data: st.DataObject) -> None:
    table = data.draw(tables())
    values = data.draw(inputs(table))
    found = table.outcome(values).values
    for complete in completions(table, values):
        later = table.outcome(complete).values
        for before, after in zip(found, later, strict=True):
            if isinstance(before, Items):
                assert all(after.count(value) >= before.count(value) for value in before)
                assert all(value in (*before, *before.unsure) for value in after)
            elif before is not UNKNOWN:
                assert after == before


@settings(max_examples=300, deadline=None)
@given(cell=cells(NUMBERS), value=st.sampled_from(NUMBERS.pool))
def test_a_cell_means_what_the_expression_means_that_says_the_same(cell: Any, value: Decimal) -> None:
    parts = [_as_expression(test) for test in cell.tests]
    text = f"{'not ' if cell.negated else ''}({' or '.join(parts)})" if parts else "true"
    problems = Problems()
    expression = compile_expression(text, Place("e.yaml"), Scope(Vocabulary({}), {"x": NUMBER}), problems)
    assert expression is not None, problems
    assert cell.test(value) is expression.true({"x": value})


def _as_expression(test: Any) -> str:
    if hasattr(test, "value"):
        return f"x == {test.value}"
    low = [f"x >{'=' if test.low_closed else ''} {test.low}"] if test.low is not None else []
    high = [f"x <{'=' if test.high_closed else ''} {test.high}"] if test.high is not None else []
    return f"({' and '.join([*low, *high])})"


# --- what is proved -------------------------------------------------------------------------------------------------


def told(table: Table) -> dict[str, list[str]]:
    problems = Problems()
    check_tables([table], problems, warn=True)
    found: dict[str, list[str]] = {}
    for problem in problems:
        found.setdefault(problem.code, []).append(problem.message)
    return found


@settings(max_examples=300, deadline=None)
@given(table=tables(("unique", "any")))
def test_rows_are_said_to_contradict_each_other_exactly_if_some_inputs_show_it(table: Table) -> None:
    shown = any(not isinstance(gives(table, matching(table, values)[0]), tuple) for values in points(table))
    assert ("table-overlap" in told(table)) is shown


@settings(max_examples=300, deadline=None)
@given(table=tables(tuple(hit for hit in SINGLE)))
def test_a_gap_is_told_exactly_if_some_inputs_match_no_row_and_its_example_is_one(table: Table) -> None:
    shown = any(matching(table, values) == ([], []) for values in points(table))
    assert ("table-gap" in told(table)) is (shown and table.otherwise is None)
    for region in gaps(Space.of(table)):
        chosen = zip(region, table.inputs, pools(table), strict=True)
        example = tuple(_value(atom, given.type.name, pool) for atom, given, pool in chosen)
        assert matching(table, example) == ([], [])


def _value(atom: Atom, type_name: str, pool: tuple[Any, ...]) -> Any:
    """What stands for an atom; where that is anything else, or any value at all, one that no cell names."""
    if atom.value is ELSE or atom.value is None:
        other = {"text": "something", "money": Money(Decimal(1), "GBP"), "working_duration": WorkingDuration(timedelta(hours=1))}
        return other.get(type_name, pool[0])
    return atom.value


@settings(max_examples=400, deadline=None)
@given(table=tables(("first", "priority")))
def test_a_row_is_said_never_to_decide_exactly_if_none_of_the_inputs_lets_it(table: Table) -> None:
    dead = {row for row, said in without_effect(Space.of(table)) if "can never" in said}
    for row in range(len(table.rows)):
        if row not in dead:
            assert any(_may_decide(table, row, values) for values in points(table))
        else:
            assert not any(_may_decide(table, row, values) for values in points(table))


def _may_decide(table: Table, row: int, values: tuple[Any, ...]) -> bool:
    sure, unsure = matching(table, values)
    if row not in sure and row not in unsure:
        return False
    ahead = [other for other in sure if (table.rank(table.rows[other].values), other) < (table.rank(table.rows[row].values), row)]
    return not ahead


@settings(max_examples=400, deadline=None)
@given(table=tables(("first", "any")))
def test_leaving_out_the_rows_said_to_be_redundant_changes_nothing(table: Table) -> None:
    if table.hit == "any" and "table-overlap" in told(table):
        return
    gone = {row for row, _ in without_effect(Space.of(table))}
    left = replace(table, rows=tuple(row for n, row in enumerate(table.rows) if n not in gone))
    for values in points(table):
        assert same(table.outcome(values).values, left.outcome(values).values) or matching(table, values)[1]


def test_a_table_of_a_thousand_rows_is_checked_within_bounds() -> None:
    words = [f"w{n}" for n in range(1000)]
    table = _large(words)
    space = Space.of(table)
    assert gaps(space)
    assert space.left > 0
    assert told(table).keys() == {"table-gap"}


def test_a_search_that_would_take_too_long_is_given_up_and_claims_nothing() -> None:
    table = _large(["a"])
    space = Space.of(table)
    space.left = 0
    try:
        gaps(space)
    except Spent:
        return
    raise AssertionError("it went on")


def _large(words: list[str]) -> Table:
    here = Place("t.yaml")
    rows = tuple(
        Row(n, (Cell((Is(word),)), Cell((Within(0, 10 + n, True),))), ("x",), Place("t.yaml", n))
        for n, word in enumerate(words, 1)
    )
    given = (Input("word", constant("x", here, TEXT, None)), Input("n", constant("x", here, NUMBER, None)))
    return Table("t", "rma", "unique", given, (Output("o", enum_of("x")),), rows, None, here, here)


def same(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    return all(
        (a is b if a is UNKNOWN or b is UNKNOWN or a is None or b is None else _plain(a) == _plain(b))
        for a, b in zip(left, right, strict=True)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Items):
        return (list(value), list(value.unsure))
    return (list(value), []) if isinstance(value, tuple) else value
