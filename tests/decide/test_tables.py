"""How rules act on what tables decide: never on what a table cannot decide, and never in silence."""

from __future__ import annotations

from dataclasses import replace

from engine.decide.document import decision_to_json
from engine.decide.trace import trace
from tests.decide.small import Told, refunds

POLICY = """
tables:
  policy:
    hit: {hit}
    given: {{channel: order.channel, paid: rma.paid}}
    rows:
      - {{channel: fast, paid: "< 100 EUR", then: {{refund_on: approval}}}}
      - {{channel: any, paid: ">= 100 EUR", then: {{refund_on: inspection}}}}
    {last}
facts:
  rma.paid: sum([u.paid for u in rma.units], "EUR")
rules:
  refund:
    group: refund
    each: rma
    when: ['policy.refund_on == "approval"', 'rma.status == "approved"']
    then: [{{marketplace.refund: {{units: rma.units}}}}]
  hold:
    group: hold
    each: rma
    when: ['policy.refund_on == "inspection"']
    then:
      - forbid: marketplace.refund
        because: "{{policy.refund_on}} comes first"
"""


def told(hit: str = "first", last: str = "otherwise: {refund_on: receipt}", amount: str = "10.00", currency: str = "EUR") -> Told:
    case = Told(POLICY.format(hit=hit, last=last), pieces=1)
    case.order["channel"] = "fast"
    case.rma["units"][0]["paid"] = {"amount": amount, "currency": currency}
    return case


def test_a_rule_acts_on_the_row_that_matches() -> None:
    assert refunds(told().decided()) == [("L#1",)]
    assert refunds(told(amount="100.00").decided()) == []


def test_a_changed_input_is_seen_through_the_table_in_the_next_pass() -> None:
    case = told()
    case.order["channel"] = "slow"
    assert refunds(case.decided()) == []
    case.order["channel"] = "fast"
    assert refunds(case.decided()) == [("L#1",)]


def test_what_a_table_cannot_decide_is_not_acted_on_and_somebody_is_told_which_fact_it_lacks() -> None:
    case = told()
    del case.rma["units"][0]["paid"]
    assert refunds(case.decided()) == []
    last = case.decided(hours=25)
    assert "undecided" in case.opened()
    assert any("rma_unit:1/1.paid" in e.title + e.runbook + e.key for e in last.exceptions)


def test_an_input_a_row_cannot_be_compared_with_leaves_the_outcome_open() -> None:
    case = told(currency="USD")
    assert refunds(case.decided()) == []
    case.decided(hours=25)
    assert "undecided" in case.opened()


def test_where_no_row_matches_rules_are_undecided_unless_otherwise_says_what_holds() -> None:
    case = told(last="")
    case.order["channel"] = "slow"
    case.decided()
    case.decided(hours=25)
    assert "undecided" in case.opened()
    quiet = told()
    quiet.order["channel"] = "slow"
    quiet.decided()
    quiet.decided(hours=25)
    assert quiet.opened() == []


def test_the_trace_names_the_row_with_its_place_and_the_inputs_it_was_chosen_for() -> None:
    case = told(amount="150.00")
    entries = trace(case.rules, case.decided())
    because = next(e for e in entries if e.rule == "hold").because[0]
    assert dict(because.values)["policy:1.refund_on"] == (
        "inspection by row 2 (rules/base/rules.yaml:12), for channel fast, paid 150.00 EUR"
    )
    assert case.last is not None
    assert "row 2" in str(decision_to_json(case.rules, case.last))


def test_templates_show_what_a_table_gives() -> None:
    case = told(amount="150.00")
    assert [veto.because for veto in case.decided().vetoes] == ["inspection comes first"]


def test_a_pass_over_what_changed_gives_what_a_pass_over_everything_gives() -> None:
    for amount in ("10.00", "99.99", "100.00", "150.00"):
        case = told()
        case.decided()
        case.rma["units"][0]["paid"] = {"amount": amount, "currency": "EUR"}
        fresh = told(amount=amount)
        again, once = case.decided(), fresh.decided()
        assert [v.because for v in again.vetoes] == [v.because for v in once.vetoes]
        assert dict(again.basis.matches) == dict(once.basis.matches)


SET = """
  most: {type: number, default: 1}
  trigger: {type: {enum: [approval, scan]}, default: scan}
tables:
  policy:
    hit: first
    given: {pieces: count(rma.units)}
    rows: [{pieces: "<= params.most", then: {refund_on: params.trigger}}]
    otherwise: {refund_on: receipt}
facts:
  order.one: lookup(policy, 1).refund_on
rules:
  refund:
    group: refund
    each: rma
    when: ['policy.refund_on == "approval"', 'order.one == "approval"']
    then: [{marketplace.refund: {units: rma.units}}]
"""


def test_a_rule_set_under_other_parameters_decides_by_their_values() -> None:
    case = Told(SET, pieces=1)
    plain = case.rules
    assert refunds(case.decided()) == []
    for most, trigger, wanted in ((1, "approval", [("L#1",)]), (0, "approval", []), (2, "scan", []), (None, "approval", [])):
        fresh = Told(SET, pieces=1)
        fresh.rules = replace(plain, params={**plain.params, "most": most, "trigger": trigger}, hash=f"{most}{trigger}")
        assert refunds(fresh.decided()) == wanted
