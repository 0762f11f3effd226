"""A scenario is tried by the deciding that runs in production, and fails for anything that is not as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.simulate.trying import try_scenario
from tests.simulate.small_scenarios import RULES, faults, suite, tried


def scenario(body: str) -> str:
    """One scenario named `it`, its body indented by four."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
    return f"scenarios:\n  it:\n{lines}\n"


FINE = {
    "an action, with the units and amount it is for": """
given: return
then: {marketplace.refund: {units: L1#1, amount: 50.00 EUR, rule: pay, for: "rma:1001"}}
""",
    "an action without more": "given: return\nthen: marketplace.refund",
    "everything there is": "given: return\nthen: {marketplace.refund: L1#1, exact: true}",
    "two effects of one action, whatever their order": """
given:
  - return
  - rma 1002: {status: approved, sale_id: "9", units: {Q1: {sku: SHOE, resolution: refund, method: ship, reason: Late}}}
  - order A: {lines: {L2: {index: 2, state: received, sku: HAT, quantity: 1, price: 9.00 EUR}}}
  - rma 1003: {status: approved, sale_id: "9", units: {R1: {sku: HAT, resolution: refund, method: ship}}}
then: [marketplace.refund: {}, marketplace.refund: {units: L2#1}]
""",
    "a veto, its reason and what it asks": """
given: [return, {rma 1001: {out_of_policy: true}}]
then:
  - forbid: {marketplace.refund: {units: L1#1, by: ask, because: policy}}
  - raise: {ask: {owner: care, severity: high, title: 1001 is outside, answers: [pay, keep], for: "rma:1001"}}
  - exact: true
""",
    "an answer, and what it allows": """
given: [return, {rma 1001: {out_of_policy: true}}]
when: {+1h: {answer: {ask: {answer: pay, for: "rma:1001", by: Ann}}}}
then: {start: {raise: ask}, +1h: {closed: ask, marketplace.refund: L1#1}}
""",
    "a clock that runs between the instants named": """
given: [return, {rma 1001: {status: requested}}]
then: {+119m: nothing, +2h: {raise: slow, exact: true}}
""",
    "an exception put off, and back": """
given: [return, {rma 1001: {status: requested}}]
when: {+3h: {resolve: slow}}
then: {+3h: {raise: {slow: {state: snoozed}}}, +50h: {raise: {slow: {state: snoozed}}}, +51h: {raise: slow}}
""",
    "a settled refund that stands in the order": """
given: return
when: {+1h: {settled: marketplace.refund}}
then:
  +1h:
    - effect: {marketplace.refund: settled}
    - fact: {unit L1#1: {refunded: true}, rma 1001: {units_to_refund: []}}
    - not: marketplace.refund
""",
    "a refusal, its reason, and another try": """
given: return
when: {+1h: {refused: {marketplace.refund: {reason: order_closed, units: L1#1}}}, +2h: {retry: marketplace.refund}}
then:
  +1h: {effect: {marketplace.refund: {status: refused, reason: order_closed}}, raise: unhandled_outcome}
  +2h: {marketplace.refund: L1#1}
""",
    "an effect nobody knows the end of, and its end": """
given: return
when: {+1h: {unsure: marketplace.refund}, +2h: {settled: marketplace.refund}}
then: {+1h: {effect: {marketplace.refund: unsure}}, +2h: {effect: {marketplace.refund: settled}}}
""",
    "a piece taken out of a list, a field that is missing again, a list given whole": """
given: return
when:
  +1h: {rma 1001: {units: {P1: ~}}}
  +2h: {rma 1001: {units: [{key: P9, sku: SHOE, resolution: refund, method: ship}]}}
  +3h: {rma 1001: {status: ~}}
then: {+1h: nothing, +2h: {marketplace.refund: L1#1}, +3h: {not: marketplace.refund}}
""",
    "a value nobody can read": """
given: [return, {rma 1001: {status: {unreadable: Shelved}}}]
then: {raise: {unlisted_value: {title: Shelved}}, not: marketplace.refund}
""",
    "parameters of its own": "given: return\nparams: {refund_on: receipt}\nthen: nothing",
    "a milestone corrected by hand": """
given: [return, {rma 1001: {received_at: -2d}}]
when: {+1h: {correct: {rma 1001: {received_at: -1d}}}}
then: {start: {fact: {rma 1001: {received_at: -2d}}}, +1h: {fact: {rma 1001: {received_at: -1d}}}}
""",
    "what has come of it in the end": """
given: [return, {rma 1001: {status: requested}}]
then: {raise: slow}
until: +3h
""",
    "instants as they are on a calendar": """
start: 2026-11-01T09:00:00Z
given: return
then: {2026-11-01T10:00:00Z: marketplace.refund}
""",
}


@pytest.mark.parametrize("body", FINE.values(), ids=FINE)
def test_it_can_expect(body: str, tmp_path: Path) -> None:
    assert faults(tmp_path, scenario(body)) == []


FAILING = {
    "another amount": (
        "given: return\nthen: {marketplace.refund: {amount: 38.00 EUR}}",
        "+0m marketplace.refund with amount 38.00 EUR: marketplace.refund L1#1 50.00 EUR by pay",
    ),
    "an action nobody asks for": (
        "given: [return, {rma 1001: {status: requested}}]\nthen: {marketplace.refund: L1#1}",
        "+0m marketplace.refund with units L1#1: no marketplace.refund is planned",
    ),
    "the same effect twice": (
        "given: return\nthen: [marketplace.refund: {}, marketplace.refund: {}]",
        "+0m marketplace.refund: marketplace.refund L1#1 50.00 EUR by pay",
    ),
    "an action that must not be": (
        "given: return\nthen: {not: marketplace.refund}",
        "+0m not marketplace.refund: planned: marketplace.refund L1#1 50.00 EUR by pay",
    ),
    "nothing": (
        "given: return\nthen: nothing",
        "+0m nothing: planned: marketplace.refund L1#1 50.00 EUR by pay",
    ),
    "more than is listed": (
        "given: [return, {rma 1001: {out_of_policy: true}}]\nthen: {forbid: marketplace.refund, exact: true}",
        "+0m nothing but what is listed (exact): open: ask for rma:1001 (care, high): RMA 1001 is outside",
    ),
    "something that came between the instants named, and was gone again": (
        """
given: [return, {rma 1001: {status: requested}}]
when: {+150m: {rma 1001: {status: approved}}}
never: {raise: slow}
until: +4h
""",
        "+120m not open exception slow: open: slow for rma:1001 (care, low): RMA 1001 waits",
    ),
    "an exception of another owner": (
        "given: [return, {rma 1001: {out_of_policy: true}}]\nthen: {raise: {ask: {owner: finance}}}",
        "+0m open exception ask with owner finance: open: ask for rma:1001 (care, high): RMA 1001 is outside",
    ),
    "an answer to a question nobody asks": (
        "given: return\nwhen: {+1h: {answer: {ask: pay}}}\nthen: {+1h: marketplace.refund}",
        "+60m an open exception of ask to answer: there is none",
    ),
    "an effect settled that nobody planned": (
        "given: [return, {rma 1001: {status: requested}}]\nwhen: {settled: marketplace.refund}\nthen: nothing",
        "+0m marketplace.refund that can be settled: nothing is planned and nothing was sent",
    ),
    "a veto that does not bind these units": (
        "given: [return, {rma 1001: {out_of_policy: true}}]\nthen: {forbid: {marketplace.refund: L1#2}}",
        "+0m marketplace.refund forbidden with units L1#2: marketplace.refund forbidden for L1#1 by ask: outside the policy",
    ),
    "a fact that is otherwise": (
        "given: return\nthen: {fact: {unit L1#1: {refunded: true}}}",
        "+0m unit L1#1: refunded is true: refunded is false",
    ),
    "a record no link ties to the case": (
        "given: [return, {parcel T9: {status: in_transit}}]\nthen: {marketplace.refund: L1#1}",
        "+0m parcel T9 to be part of the case: no link ties parcel T9 to the case, so nothing was decided about it",
    ),
    "a broken promise it does not speak of": (
        """
given: [return, {order A: {lines: {L1: {quantity: 1, price: 50.00 EUR}}}}]
when:
  - settled: marketplace.refund
  - order A: {lines: {L1: {refunds: {X: {state: waiting, amount: 50.00 EUR, created_at: now}}}}}
then: {not: marketplace.refund}
""",
        "+0m every promise to be kept: open: promise_broken for unit:L1#1 (operations, critical): Promise once is broken",
    ),
}


@pytest.mark.parametrize(("body", "said"), FAILING.values(), ids=FAILING)
def test_it_fails_for(body: str, said: str, tmp_path: Path) -> None:
    found = faults(tmp_path, scenario(body))
    assert said.split(": it must", maxsplit=1)[0] in found[0]
    assert len(found) == 1


def test_a_failure_tells_why_the_rule_in_question_did_not_hold(tmp_path: Path) -> None:
    (one,) = tried(tmp_path, scenario("given: [return, {rma 1001: {status: requested}}]\nthen: {marketplace.refund: L1#1}"))
    (entry,) = one.found[0].entries
    assert (entry.rule, entry.outcome) == ("pay", "did not hold")
    (because,) = entry.because
    assert (because.text, because.values) == ('rma.status == "approved"', (("rma:1001.status", "requested"),))
    assert because.place.startswith("rules/base/base.yaml:13:")


def test_a_payload_is_read_by_its_mapping_from_a_file_or_as_it_is_written(tmp_path: Path) -> None:
    body = """
when:
  start: {payload: {returngo.rma: seen.json}}
  +1h:
    payload:
      returngo.rma:
        {rmaSummary: {rmaId: "1001", status: Approved, order_name: T1}, orderDetails: {orderId: "7"}, items: [], shipments: []}
then: {start: {fact: {rma 1001: {status: requested}}}, +1h: {fact: {rma 1001: {status: approved}}}}
"""
    payload = (
        '{"rmaSummary": {"rmaId": "1001", "status": "Pending"}, "orderDetails": {"orderId": "7"}, "items": [], "shipments": []}'
    )
    assert faults(tmp_path, scenario(body), **{"rules/base/seen.json": payload}) == []


def test_a_payload_that_is_set_aside_fails(tmp_path: Path) -> None:
    (said,) = faults(tmp_path, scenario("given: return\nwhen: {payload: {returngo.rma: {items: 7}}}\nthen: marketplace.refund"))
    assert said.startswith("+0m returngo.rma to be read: it is set aside")


def test_records_come_from_a_file_as_deciding_takes_them(tmp_path: Path) -> None:
    case = """{"now": "2026-03-02T09:00:00Z", "records": {
      "order": [{"id": "A", "state": "received", "currency": "EUR", "tax_mode": "included", "lines":
        [{"id": "L1", "index": 1, "sku": "SHOE", "quantity": 1, "price": {"amount": "50.00", "currency": "EUR"}}]}],
      "sale": {"id": "9", "order_ref": "A"},
      "rma": [{"id": "1001", "status": "approved", "sale_id": "9", "units": [{"key": "P1", "sku": "SHOE"}]}]}}"""
    body = "given: {file: case.json}\nthen: {marketplace.refund: {amount: 50.00 EUR}}"
    assert faults(tmp_path, scenario(body), **{"rules/base/case.json": case}) == []


def test_a_client_is_tried_with_its_own_parameters_and_the_packs_samples(tmp_path: Path) -> None:
    mine = {"rules/clients/acme/acme.test.yaml": scenario("given: return\nthen: nothing")}
    (one,) = tried(tmp_path, scenario("given: return\nthen: marketplace.refund"), "acme", **mine)
    assert one.fine
    (two,) = tried(tmp_path, scenario("given: return\nthen: marketplace.refund"), "base", **mine)
    assert two.fine


def test_a_scenario_may_assume_another_client(tmp_path: Path) -> None:
    changed = scenario(
        "given: return\nclient: {time_zone: Europe/London, codes: {}}\nparams: {refund_on: receipt}\nthen: nothing"
    )
    assert faults(tmp_path, changed) == []


def test_what_a_rule_in_shadow_plans_is_not_done(tmp_path: Path) -> None:
    quiet = {"rules/base/base.yaml": RULES.replace("    group: refund\n", "    group: refund\n    mode: shadow\n")}
    assert faults(tmp_path, scenario("given: return\nthen: nothing\nnever: marketplace.refund\nuntil: +1h"), **quiet) == []


def test_the_same_scenario_goes_the_same_way_every_time(tmp_path: Path) -> None:
    one = suite(tmp_path, scenario("given: return\nwhen: {+1h: {settled: everything}}\nthen: {+9d: nothing}"))
    first, second = (try_scenario(one.rule_set, one.scenarios[0]) for _ in range(2))
    assert [(m.at, m.observed, m.decided) for m in first.moments] == [(m.at, m.observed, m.decided) for m in second.moments]


def test_coverage_tells_what_held_what_failed_and_what_was_never_reached(tmp_path: Path) -> None:
    one = suite(tmp_path, scenario("given: return\nthen: marketplace.refund"))
    coverage = one.coverage()
    assert all(t.fine for t in one.run(coverage))
    told = {(p.rule, p.path): p.told for p in coverage.missing()}
    assert told["pay", "when/1"] == "never failed"
    assert told["ask", ""] == "never held"
    assert told["ask", "when/1"] == "never reached"
    assert told["slow", "for"] == "never reached"
    assert coverage.rules_never_held() == ("ask", "slow")
    assert 0 < coverage.percent < 100
