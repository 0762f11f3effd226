"""Only rules that may have changed are evaluated again, and the result is what evaluating all of them gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decide import Memory, decide
from engine.decide.again import again
from engine.decide.document import decision_to_json, read_case
from engine.decide.people import answered
from engine.facts.codec import dumps
from tests.decide.small import NOON, rules

RAISE = "then: [{raise: {owner: operations, severity: low, title: t, runbook: r}}]"
CONDITIONS = {
    "parcel": [
        'parcel.carrier == "X"',
        'parcel.carrier in ["X", "Y"] and parcel.status == "delivered"',
        'parcel.carrier == "X" and any(p.carrier == "Y" for p in parcel.rma.parcels)',
        'parcel.carrier == "X" and any(p.status == "delivered" for p in parcels)',
        'parcel.status == "delivered" and any(r.status == "done" for r in rmas)',
        'parcel.carrier == "X" and parcel.rma.status == "done"',
        'parcel.carrier == "X" and answer.asking == "yes"',
        'parcel.carrier == "X" or parcel.status == "delivered"',
        'parcel.carrier == "X" and parcel.carrier == "Y"',
        'parcel.carrier != "X"',
        'exists(parcel.delivered_at) and parcel.carrier == "Y"',
    ],
    "rma": [
        'rma.status == "done" and any(p.carrier == "X" for p in rma.parcels)',
        'rma.status in ["done", "approved"] and any(r.order_name == "X" for r in rmas)',
        'rma.order_name == "X" and rma.order_name == rma.status',
        'all(p.carrier == "X" for p in rma.parcels)',
    ],
    "rma_unit": [
        'back.sku == "X" and back.rma.status == "done"',
        'back.sku == "Y" and any(u.sku == "X" for u in back.rma.units)',
        'rma.status == "done" and back.sku == "X"',
    ],
}


def _rules() -> str:
    asking = RAISE.replace("runbook: r", "runbook: r, answers: {yes: so, no: not}")
    written = [f"  asking:\n    group: sync\n    each: parcel\n    when: ['exists(parcel.carrier)']\n    {asking}"]
    for kind, conditions in CONDITIONS.items():
        each = "{back: rma.units}" if kind == "rma_unit" else kind
        for n, condition in enumerate(conditions):
            parts = [condition] if " or " in condition else condition.split(" and ", 1)
            for form, when in (("whole", [condition]), ("parts", parts)):
                entries = ", ".join(f"'{entry}'" for entry in when)
                written.append(f"  {kind}_{n}_{form}:\n    group: sync\n    each: {each}\n    when: [{entries}]\n    {RAISE}")
    return "\n" + "\n".join(written) + "\n"


RULES = rules(_rules())
words = st.sampled_from(["X", "Y", None])
parcels = st.fixed_dictionaries(
    {
        "tracking_number": st.sampled_from(["T1", "T2", "T3"]),
        "carrier": words,
        "status": st.sampled_from(["delivered", "in_transit", "never heard of", None]),
        "delivered_at": st.sampled_from(["2026-03-01T09:00:00Z", None]),
    }
)
rmas = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["1", "2"]),
        "status": st.sampled_from(["done", "approved", "never heard of", None]),
        "order_name": st.sampled_from(["X", "done", None]),
        "tracking_numbers": st.lists(st.sampled_from(["T1", "T2", "T3"]), unique=True),
        "units": st.lists(st.fixed_dictionaries({"key": st.sampled_from("ab"), "sku": words}), unique_by=lambda u: u["key"]),
    }
)


def _known(records: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if v is not None} for record in {r[key]: r for r in records}.values()]


cases = st.tuples(st.lists(parcels, max_size=3), st.lists(rmas, max_size=2))


@settings(max_examples=150, deadline=None)
@given(told=st.lists(cases, min_size=2, max_size=5), answers=st.lists(st.sampled_from(["", "yes", "no"]), min_size=5, max_size=5))
def test_whatever_changes_the_rules_that_were_spared_would_have_said_the_same(told: list[Any], answers: list[str]) -> None:
    memory, basis = Memory(), None
    for (seen, returns), answer in zip(told, answers, strict=False):
        records = {"order": [{"id": "A"}], "parcel": _known(seen, "tracking_number"), "rma": _known(returns, "id")}
        asked = sorted(e.key for e in memory.exceptions.values() if e.rule == "asking")
        if answer and asked:
            memory = answered(memory, asked[0], answer, "Kim", NOON)
        case, _, now = read_case(RULES, {"now": NOON.isoformat(), "records": records})
        spared = decide(RULES, case, memory, now, basis)
        assert dumps(decision_to_json(RULES, spared)) == dumps(decision_to_json(RULES, decide(RULES, case, memory, now)))
        memory, basis = spared.memory, spared.basis


TIMED = rules(
    """
  waiting:
    group: sync
    each: parcel
    when: ['exists(parcel.carrier)']
    for: 2h
    then: [{raise: {owner: operations, severity: low, title: "{parcel.carrier}", runbook: r}}]
  late:
    group: sync
    each: rma
    when: ['rma.status == "done"']
    after: rma.requested_at
    then: [{raise: {owner: operations, severity: low, title: t, runbook: r}}]
  booked:
    group: sync
    each: {refund: order.refunds}
    when: ['any(l.refund_id == refund.id for l in order.ledger)']
    then: [{raise: {owner: operations, severity: low, title: t, runbook: r}}]
"""
)
LINE = {"id": "L", "sku": "X", "quantity": 1, "price": {"amount": "5.00", "currency": "EUR"}}
REFUND = {"id": "7", "amount": {"amount": "5.00", "currency": "EUR"}, "created_at": NOON.isoformat()}
ledger = st.lists(st.sampled_from(["7", "8", None]), max_size=2)


@settings(max_examples=150, deadline=None)
@given(
    seen=st.tuples(cases, ledger, st.booleans()),
    later=st.tuples(ledger, st.booleans()),
    minutes=st.sampled_from([0, 1, 119, 120, 121, 1440]),
    requested=st.sampled_from([None, "2026-03-02T11:00:00Z", "2026-03-02T12:01:00Z", "2026-03-03T12:00:00Z"]),
)
def test_a_decision_that_is_told_again_is_the_one_that_would_be_made(
    seen: Any, later: Any, minutes: int, requested: str | None
) -> None:
    """Whatever time has gone by, and whatever has been booked in the meantime."""
    (parcels_seen, returns), booked, refunded = seen
    known = {
        "parcel": _known(parcels_seen, "tracking_number"),
        "rma": _known([{**r, "requested_at": requested} for r in returns], "id"),
    }
    first = _with_ledger(known, booked, refunded=refunded)
    case, _, now = read_case(TIMED, {"now": NOON.isoformat(), "records": first})
    last = decide(TIMED, case, Memory(), now)
    more = read_case(TIMED, {"now": NOON.isoformat(), "records": _with_ledger(known, later[0], refunded=later[1])})[0]
    same = {(r.kind, r.key): r for r in case.records}
    meanwhile = replace(more, records=tuple(same[k] if same.get(k := (r.kind, r.key)) == r else r for r in more.records))
    at = now + timedelta(minutes=minutes)
    told = again(TIMED, last, meanwhile, last.memory, at)
    if told is not None:
        made = decide(TIMED, meanwhile, last.memory, at)
        assert dumps(decision_to_json(TIMED, told)) == dumps(decision_to_json(TIMED, made))
    elif meanwhile == case:
        assert last.wake_at is not None
        assert at >= last.wake_at


def _with_ledger(known: dict[str, Any], booked: list[str | None], *, refunded: bool) -> dict[str, Any]:
    lines = [{"id": str(n), "order_id": "A", **({"refund_id": r} if r else {})} for n, r in enumerate(booked)]
    return {**known, "order": [{"id": "A", "lines": [LINE | ({"refunds": [REFUND]} if refunded else {})]}], "ledger_line": lines}
