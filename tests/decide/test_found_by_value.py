"""A rule that is not looked at, because of the value of a fact it asks for, would have been false."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decide.document import read_case
from engine.decide.match import Pass, env_for, match
from engine.decide.view import View, view_of
from engine.facts.derive import derive
from tests.decide.small import NOON, rules

RAISE = "then: [{raise: {owner: operations, severity: low, title: t, runbook: r}}]"
CONDITIONS = {
    "{line: order.lines}": [
        *(
            f"line.quantity {operator} {amount}"
            for operator in ("<", "<=", ">", ">=", "==")
            for amount in ("0", "1.5", "2", "-1")
        ),
        "2 > line.quantity",
        "2 <= line.quantity",
        "line.quantity in [1, 2.0, 3]",
        "line.quantity in []",
        "line.quantity > 1 and line.quantity < 3",
        "line.quantity > 2 and line.quantity == 2",
        "not (line.quantity > 1)",
        "line.can_refund",
        "not line.can_refund",
        "line.can_refund == false",
        "line.can_refund and line.sku == 'X'",
        "line.sku in ['X', 'Y'] and not line.can_refund",
        "line.sku != 'X'",
        "line.sku == 'True' or line.can_refund",
        "line.price > money(10, order.currency)",
    ],
    "ledger_line": [
        *(
            f'ledger_line.amount {operator} money({amount}, "{currency}")'
            for operator in ("<", "<=", ">", ">=", "==")
            for amount in ("5", "7.50", "-2")
            for currency in ("EUR", "GBP")
        ),
        'money(5, "EUR") < ledger_line.amount',
        'ledger_line.amount > money(5, "EUR") and ledger_line.id == "B"',
        'ledger_line.amount > money(5, "euro")',
        f'ledger_line.amount > money({"9" * 40}, "EUR")',
    ],
}


def _rules() -> str:
    written = []
    for each, conditions in CONDITIONS.items():
        name = "line" if "lines" in each else each
        for n, condition in enumerate(conditions):
            entry = condition.replace("'", "''")
            written.append(f"  {name}_{n}:\n    group: sync\n    each: {each}\n    when: ['{entry}']\n    {RAISE}")
    return "\n" + "\n".join(written) + "\n"


RULES = rules(_rules())
amounts = st.sampled_from(["-2", "0", "5", "5.00", "7.50", "7.51", "10"])
lines = st.fixed_dictionaries(
    {
        "quantity": st.sampled_from([-1, 0, 1, 2, 3, None]),
        "can_refund": st.sampled_from([True, False, None]),
        "sku": st.sampled_from(["X", "Y", "True", None]),
        "price": st.none() | st.fixed_dictionaries({"amount": amounts, "currency": st.just("EUR")}),
    }
)
bookings = st.fixed_dictionaries(
    {"amount": st.none() | st.fixed_dictionaries({"amount": amounts, "currency": st.sampled_from(["EUR", "GBP"])})}
)
cases = st.tuples(st.lists(lines, max_size=3), st.lists(bookings, max_size=2))


def _view(told: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> View:
    def known(record: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {key: value for key, value in record.items() if value is not None} | more

    placed = [known(line, id=f"L{n}", index=n) for n, line in enumerate(told[0])]
    records = {
        "order": [{"id": "A", "currency": "EUR", "tax_mode": "included", "lines": placed}],
        "ledger_line": [known(booking, id=f"B{n}", order_id="A") for n, booking in enumerate(told[1])],
    }
    case, memory, _ = read_case(RULES, {"now": NOON.isoformat(), "records": records})
    return view_of(RULES, derive(RULES.vocabulary, case, memory.effects, {}))


def _asked_one_by_one(view: View) -> dict[str, dict[str, bool | None]]:
    found = {}
    for rule in RULES.rules:
        assert rule.each is not None
        truths = {rec.item: rule.when.truth(env_for(rule, rec, view, {})) for rec in view.items(rule.each)}
        if left := {item: truth for item, truth in truths.items() if truth is not False}:
            found[rule.id] = left
    return found


@settings(max_examples=200, deadline=None)
@given(told=st.lists(cases, min_size=1, max_size=3))
def test_what_is_found_by_value_is_all_that_is_not_false(told: list[Any]) -> None:
    before: Pass | None = None
    for each in told:
        view = _view(each)
        found = match(RULES, view, {}, before)
        assert found == _asked_one_by_one(view)
        assert match(RULES, view, {}, None) == found
        before = Pass(RULES.hash, view, {}, found)


def test_a_rule_about_another_value_is_not_looked_at() -> None:
    """Nothing above would notice if every rule were looked at."""
    asked = RULES.readers.every.across
    quantity = next(one for one in asked if one.field == "quantity")
    beyond_two = {rule.id for rule in quantity.asking(2)}
    assert {"line_0", "line_4"}.isdisjoint(beyond_two)  # below 0, at most 0
    assert len(beyond_two) <= len(quantity.rules) / 2
    assert {rule.id for rule in quantity.asking(None)} == set(quantity.rules)
    assert not RULES.readers.every.own
