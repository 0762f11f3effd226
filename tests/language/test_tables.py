"""Tables as authors write them: what a cell asks, whose fact a table is, and what it gives."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.facts.schema import DURATION, NUMBER, PERIOD, TIMESTAMP, enum_of, list_of
from engine.facts.values import UNKNOWN, Items, Money, WorkingDuration
from engine.language.pack import check, load
from engine.language.ruleset import RuleSet
from engine.language.tables.table import BadInputs, Table
from tests.language.small_world import ACTIONS, project

POLICY = """
tables:
  policy:
    hit: first
    given: {currency: order.currency, status: rma.status, weight: rma.weight}
    rows:
      - {currency: [USD, CAD], weight: "> 10", then: {refund_on: scan, within: 48h}}
      - {status: approved, weight: "[10..20)", then: {refund_on: inspection, within: 5 working days}}
    otherwise: {refund_on: receipt, within: 4h}
"""


def compiled(folder: Path, text: str, **files: str) -> RuleSet:
    return load(project(folder, {"rules/base/t.yaml": text, **files}), "acme", ACTIONS)


def problems(folder: Path, text: str) -> str:
    """All but that nothing reads the table."""
    found = check(project(folder, {"rules/base/t.yaml": text}), ACTIONS)
    return "\n".join(str(problem) for problem in found if problem.code != "unused-table")


def table(folder: Path, body: str, given: str = "x: rma.weight") -> Table:
    return compiled(folder, f"tables:\n  t:\n    given: {{{given}}}\n{body}").tables["t"]


def matches(folder: Path, cell: str, given: str, values: list[Any]) -> list[Any]:
    """Whether a row with this one cell matches each of these values."""
    found = table(folder, f"    rows: [{{x: {cell}, then: {{yes: true}}}}]\n    otherwise: {{yes: false}}\n", f"x: {given}")
    return [found.evaluate({"x": value})["yes"] for value in values]


def test_a_table_gives_its_outputs_by_name(tmp_path: Path) -> None:
    policy = compiled(tmp_path, POLICY).tables["policy"]
    assert policy.evaluate({"currency": "USD", "weight": 12}) == {"refund_on": "scan", "within": timedelta(hours=48)}
    inspected = policy.evaluate({"currency": "EUR", "status": "approved", "weight": Decimal("19.9")})
    assert inspected == {"refund_on": "inspection", "within": WorkingDuration(5)}
    assert policy.evaluate({"currency": "EUR", "status": "done", "weight": 15})["refund_on"] == "receipt"


def test_an_output_is_known_only_if_no_gap_could_change_it(tmp_path: Path) -> None:
    policy = compiled(tmp_path, POLICY).tables["policy"]
    assert policy.evaluate({"currency": "USD"})["refund_on"] is UNKNOWN
    assert policy.evaluate({"currency": "EUR", "status": "done"})["refund_on"] == "receipt"


@pytest.mark.parametrize(
    ("cell", "given", "values", "wanted"),
    [
        ("any", "rma.weight", [1, None], [True, True]),
        ("3", "rma.weight", [3, Decimal("3.0"), 4, None], [True, True, False, UNKNOWN]),
        ('"> 3"', "rma.weight", [3, 4], [False, True]),
        ('">=3"', "rma.weight", [2, 3], [False, True]),
        ('"<= -1.5"', "rma.weight", [Decimal("-1.5"), 0], [True, False]),
        ('"!= 3"', "rma.weight", [3, 4], [False, True]),
        ('"[10..20)"', "rma.weight", [9, 10, 19, 20], [False, True, True, False]),
        ('"(10..20]"', "rma.weight", [10, 20], [False, True]),
        ('"]10..20["', "rma.weight", [10, 11, 20], [False, True, False]),
        ('[1, "> 5"]', "rma.weight", [1, 2, 6], [True, False, True]),
        ('"not(1, [3..4])"', "rma.weight", [1, 2, 3, 4], [False, True, False, False]),
        ("done", "rma.status", ["done", "approved"], [True, False]),
        ("[done, approved]", "rma.status", ["done", "requested"], [True, False]),
        ('"not(done)"', "rma.status", ["done", "requested"], [False, True]),
        ('"!= done"', "rma.status", ["done", "requested"], [False, True]),
        ("true", "rma.escalated", [True, False], [True, False]),
        ('"> 100 EUR"', "order.total", [Money.of(101, "EUR"), Money.of(100, "EUR")], [True, False]),
        ('"> 100 EUR"', "order.total", [Money.of(101, "USD")], [UNKNOWN]),
        ('"[2026-11-01..2026-11-30]"', "rma.label_printed_on", [date(2026, 11, 30), date(2026, 12, 1)], [True, False]),
        ('"< 2026-11-01T09:00:00Z"', "rma.received_at", [datetime(2026, 11, 1, 8, tzinfo=UTC)], [True]),
        ('"> 2d"', "rma.received_at - rma.requested_at", [timedelta(days=3), timedelta(days=2)], [True, False]),
        ('"> params.margin"', "rma.received_at - rma.requested_at", [timedelta(hours=5), timedelta(hours=4)], [True, False]),
        ("""'"any"'""", "order.currency", ["any", "EUR"], [True, False]),
    ],
)  # fmt: skip
def test_a_cell_asks_what_it_says(tmp_path: Path, cell: str, given: str, values: list[Any], wanted: list[Any]) -> None:
    assert matches(tmp_path, cell, given, values) == wanted


OVERLAPPING = """
    rows:
      - {x: "> 1", then: {fee: 3}}
      - {x: "> 2", then: {fee: 1}}
      - {x: "> 3", then: {fee: 3}}
"""


@pytest.mark.parametrize(
    ("hit", "none", "all_three"),
    [
        ("first", None, 3),
        ("collect", (), (3, 1, 3)),
        ("rule order", (), (3, 1, 3)),
        ("collect sum", 0, 7),
        ("collect min", None, 1),
        ("collect max", None, 3),
        ("collect count", 0, 3),
    ],
)
def test_each_hit_policy_gives_what_dmn_says(tmp_path: Path, hit: str, none: Any, all_three: Any) -> None:
    found = table(tmp_path, f"    hit: {hit}{OVERLAPPING}")
    assert [found.evaluate({"x": value})["fee"] for value in (0, 4)] == [none, all_three]


def test_priority_and_output_order_go_by_the_order_of_the_listed_values(tmp_path: Path) -> None:
    listed = f"    outputs: {{fee: [1, 3]}}{OVERLAPPING}"
    assert table(tmp_path / "a", f"    hit: priority\n{listed}").evaluate({"x": 4}) == {"fee": 1}
    assert table(tmp_path / "b", f"    hit: output order\n{listed}").evaluate({"x": 4}) == {"fee": (1, 3, 3)}
    compound = """
    hit: priority
    outputs: {size: [big, small], colour: text, speed: [fast, slow]}
    rows:
      - {x: any, then: {size: small, colour: a, speed: fast}}
      - {x: any, then: {size: big, colour: b, speed: slow}}
      - {x: any, then: {size: big, colour: c, speed: fast}}
      - {x: any, then: {size: big, colour: d, speed: fast}}
"""
    assert table(tmp_path / "c", compound).evaluate({})["colour"] == "c"


def test_where_no_row_matches_outputs_are_missing_or_what_otherwise_says(tmp_path: Path) -> None:
    rows = "    rows: [{x: 1, then: {fee: 3 EUR}}]\n"
    assert table(tmp_path / "a", rows).evaluate({"x": 2}) == {"fee": None}
    assert table(tmp_path / "b", f"{rows}    otherwise: {{fee: 9 EUR}}\n").evaluate({"x": 2}) == {"fee": Money.of(9, "EUR")}
    last = f"    hit: collect\n{rows}    otherwise: {{fee: 9 EUR}}\n"
    assert table(tmp_path / "c", last).evaluate({"x": 2}) == {"fee": (Money.of(9, "EUR"),)}
    assert table(tmp_path / "d", last).evaluate({})["fee"] == Items((), (Money.of(3, "EUR"), Money.of(9, "EUR")))
    assert table(tmp_path / "e", f"    hit: collect sum\n{rows}").evaluate({"x": 2}) == {"fee": Money.of(0, "EUR")}


def test_outputs_have_types_of_their_own(tmp_path: Path) -> None:
    vocabulary = compiled(tmp_path, POLICY).vocabulary
    assert vocabulary["policy"].type_of("refund_on") == enum_of("scan", "inspection", "receipt")
    assert vocabulary["policy"].type_of("within") == PERIOD
    rule_set = compiled(tmp_path / "b", f"tables:\n  t:\n    given: {{x: rma.weight}}\n    hit: collect{OVERLAPPING}")
    assert rule_set.vocabulary["t"].type_of("fee") == list_of(NUMBER)
    declared = "tables:\n  t:\n    given: {x: rma.weight}\n    outputs: {w: text, d: duration}\n    otherwise: {w: 4h, d: 4h}\n"
    found = compiled(tmp_path / "c", declared)
    assert found.vocabulary["t"].type_of("d") == DURATION
    assert found.tables["t"].evaluate({}) == {"w": "4h", "d": timedelta(hours=4)}


def test_a_misspelt_output_and_a_value_no_row_gives_are_told(tmp_path: Path) -> None:
    rule = "rules:\n  r: {{group: sync, each: rma, when: '{when}', then: [{{raise: {{owner: x, severity: low, title: t}}}}]}}\n"
    found = problems(tmp_path / "a", POLICY + rule.format(when='policy.refund_onn == "scan"'))
    assert 'policy has no field "refund_onn" (did you mean "refund_on"?)' in found
    found = problems(tmp_path / "b", POLICY + rule.format(when='policy.refund_on == "scann"'))
    assert 'policy.refund_on is never "scann" (did you mean "scan"?)' in found


def test_a_working_and_an_elapsed_duration_in_one_output_are_for_add_working_alone(tmp_path: Path) -> None:
    due = "facts:\n  rma.due: {}\n"
    counted = compiled(tmp_path / "a", POLICY + due.format('add_working(rma.received_at, policy.within, "weekdays")'))
    assert counted.derived["rma.due"].type == TIMESTAMP
    assert "has no meaning" in problems(tmp_path / "b", POLICY + due.format("rma.received_at + policy.within"))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("a: order.currency, b: rma.status", "rma"),
        ("a: order.currency", "order"),
        ("a: rma.status, b: rma_unit.sku", "rma_unit"),
        ("a: rma.order.currency", "rma"),
        ("a: any(r.escalated for r in rmas)", "case"),
        ("a: params.refund_on", "case"),
        ("a: seller.balance", "seller"),
        ("a: seller.balance, b: order_refund.amount", "order_refund"),
        ("a: 'any(r.escalated for r in rmas if r.status == \"done\")', b: parcel.status", "parcel"),
    ],
)
def test_a_table_is_a_fact_of_the_narrowest_record_its_inputs_read(tmp_path: Path, given: str, kind: str) -> None:
    assert compiled(tmp_path, f"tables: {{t: {{given: {{{given}}}, otherwise: {{x: 1}}}}}}").tables["t"].kind == kind


def test_lookup_gives_what_the_table_says_of_other_inputs(tmp_path: Path) -> None:
    facts = """
facts:
  order.heavy: lookup(policy, "USD", "done", 11).refund_on
  order.light: lookup(policy, order.currency, "done", 1).within
"""
    rule_set = compiled(tmp_path, POLICY + facts)
    assert rule_set.derived["order.heavy"].expression.value({}) == "scan"
    finding = rule_set.derived["order.light"].expression.explain({"order": None})
    assert finding.value == timedelta(hours=4)
    assert "order.currency" in rule_set.derived["order.light"].expression.reads


def test_what_lookup_cannot_decide_is_blamed_on_what_it_was_given(tmp_path: Path) -> None:
    rule_set = compiled(tmp_path, POLICY + 'facts:\n  order.heavy: lookup(policy, order.currency, "done", 11).refund_on\n')
    finding = rule_set.derived["order.heavy"].expression.explain({"order": None})
    assert finding.value is UNKNOWN
    assert finding.blame == ("order.currency",)


def test_rules_that_read_a_table_read_its_inputs(tmp_path: Path) -> None:
    rule = """
rules:
  r: {group: sync, each: rma, when: 'policy.refund_on == "scan"', then: [{raise: {owner: x, severity: low, title: t}}]}
"""
    readers = {read: {found.id for found in rules} for read, rules in compiled(tmp_path, POLICY + rule).reading.items()}
    assert "r" in readers["order.currency"]
    assert "r" in readers["rma.weight"]


def test_the_name_of_a_rule_set_changes_with_what_a_table_means_and_not_with_how_it_is_written(tmp_path: Path) -> None:
    first = compiled(tmp_path / "a", POLICY).hash
    assert compiled(tmp_path / "b", POLICY.replace('"[10..20)"', '"[ 10 .. 20 ["')).hash == first
    for old, new in [
        ("48h", "47h"),
        ("[10..20)", "[10..20]"),
        ("hit: first", "hit: collect"),
        ("receipt", "scan"),
        ("> 10", "> 11"),
    ]:
        assert compiled(tmp_path / new.strip("[").replace(" ", ""), POLICY.replace(old, new)).hash != first


def test_a_client_replaces_or_extends_a_table_of_a_pack_by_its_name(tmp_path: Path) -> None:
    over = "tables: {policy: {override: true, rows: [{status: done, then: {refund_on: scan, within: 1h}}]}}"
    rule_set = compiled(tmp_path, POLICY, **{"rules/clients/acme/own.yaml": over})
    policy = rule_set.tables["policy"]
    assert policy.evaluate({"status": "done", "currency": "USD", "weight": 100})["within"] == timedelta(hours=1)
    assert policy.evaluate({"status": "approved", "currency": "USD", "weight": 100})["within"] == timedelta(hours=4)
    assert [place.file for place in rule_set.derived["policy.within"].origins] == [
        "rules/base/t.yaml",
        "rules/clients/acme/own.yaml",
    ]
    narrower = "tables: {policy: {override: true, given: {currency: order.currency}, rows: []}}"
    assert compiled(tmp_path / "b", POLICY, **{"rules/clients/acme/own.yaml": narrower}).tables["policy"].kind == "order"


def test_parameters_in_a_table_have_the_clients_values(tmp_path: Path) -> None:
    text = "tables: {t: {given: {x: rma.weight}, otherwise: {on: params.refund_on, margin: params.margin}}}"
    assert compiled(tmp_path, text).tables["t"].evaluate({}) == {"on": "receipt", "margin": timedelta(hours=4)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"wieght": 3}, 'the table "policy" has no input "wieght" (did you mean "weight"?)'),
        ({"weight": 3.5}, "a number without float's rounding: Decimal or int, not 3.5"),
        ({"weight": True}, 'the input "weight" of the table "policy" must be a number, not True'),
        ({"status": "dnoe"}, 'cannot be "dnoe" (did you mean "done"?)'),
    ],
)
def test_what_a_table_does_not_take_is_refused_with_what_it_does(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    policy = compiled(tmp_path, POLICY).tables["policy"]
    with pytest.raises(BadInputs) as refused:
        policy.evaluate(given)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('[{x: "< 3", then: {y: 1}}, {x: "> 3", then: {y: 2}}]', ['no row of "t" matches where x = 3:']),
        (
            '[{x: "<= 3", then: {y: 1}}, {x: "> 2", then: {y: 2}}]',
            ['rows 1 and 2 of "t" both match where x = 2.5; with hit "unique" only one row may match'],
        ),
        ('[{x: "< 3", then: {y: 1}}, {x: ">= 3", then: {y: 2}}]', []),
    ],
)
def test_what_is_wrong_with_the_rows_is_told_by_an_example(tmp_path: Path, body: str, said: list[str]) -> None:
    found = problems(tmp_path, f"tables: {{t: {{given: {{x: rma.weight}}, rows: {body}}}}}")
    assert len(found.splitlines()) == len(said)
    assert all(each in found for each in said)


def test_a_count_is_never_negative(tmp_path: Path) -> None:
    rows = '[{n: "> -5", then: {y: 1}}]'
    assert problems(tmp_path / "a", f"tables: {{t: {{given: {{n: count(rma.units)}}, rows: {rows}}}}}") == ""
    rows = '[{n: "< 0", then: {y: 1}}, {n: ">= 1", then: {y: 1}}]'
    found = problems(tmp_path / "b", f"tables: {{t: {{given: {{n: count(rma.units)}}, rows: {rows}}}}}")
    assert 'row 1 of "t" can never match: no "n" is < 0' in found
    assert 'no row of "t" matches where n = 0' in found
    assert len(found.splitlines()) == 2


def test_a_count_is_a_whole_number_so_nothing_is_missing_between_three_and_four(tmp_path: Path) -> None:
    rows = '[{n: "<= 3", then: {y: 1}}, {n: ">= 4", then: {y: 2}}]'
    assert problems(tmp_path / "a", f"tables: {{t: {{given: {{n: count(rma.units)}}, rows: {rows}}}}}") == ""
    assert "where n = 3.5:" in problems(tmp_path / "b", f"tables: {{t: {{given: {{n: rma.weight}}, rows: {rows}}}}}")


def test_a_sum_with_two_doubtful_rows_is_not_known_though_either_alone_would_leave_it_as_otherwise_says(tmp_path: Path) -> None:
    rows = "    hit: collect sum\n    rows: [{x: 1, then: {fee: 5}}, {x: '> 0', then: {fee: 5}}]\n    otherwise: {fee: 5}\n"
    assert table(tmp_path / "a", rows).evaluate({}) == {"fee": UNKNOWN}
    rows = "    hit: collect max\n    rows: [{x: 1, then: {fee: 5}}, {x: '> 0', then: {fee: 5}}]\n    otherwise: {fee: 5}\n"
    assert table(tmp_path / "b", rows).evaluate({}) == {"fee": 5}
