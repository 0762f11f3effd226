"""Scenarios of a project of a few rules, written into a folder and tried."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from engine.facts.outside import installed_actions
from engine.problems import ProblemsFound
from engine.simulate.suite import Suite, suites
from engine.simulate.trying import Tried

ROOT = Path(__file__).parents[2]
RULES = """
precedence: [verdict, hold, refund, sync]
params:
  refund_on: {type: {enum: [scan, receipt]}, default: scan}
  patience: {type: duration, default: 2h}
facts:
  rma.units_to_refund: '[u for u in rma.units if exists(u.unit) and not u.unit.settled]'
rules:
  pay:
    title: Refund what comes back
    group: refund
    each: rma
    when: ['params.refund_on == "scan"', 'rma.status == "approved"', rma.units_to_refund]
    then: [{marketplace.refund: {units: rma.units_to_refund}}]
  ask:
    title: Ask about what is outside the policy
    group: verdict
    each: rma
    when: ['default(rma.out_of_policy, false)', 'default(answer.ask, "") != "pay"']
    then:
      - {forbid: marketplace.refund, because: outside the policy}
      - raise: {owner: care, severity: high, title: "RMA {rma.id} is outside", runbook: Ask., answers: {pay: do, keep: do not}}
  slow:
    title: Tell when a return waits
    group: sync
    each: rma
    when: ['rma.status == "requested"']
    for: params.patience
    then: [{raise: {owner: care, severity: low, title: "RMA {rma.id} waits", runbook: Look.}}]
promises:
  once: {each: unit, never: unit.times_refunded > 1}
"""
SAMPLES = """
samples:
  return:
    order A:
      {state: received, currency: EUR, tax_mode: included, debited_at: -9d,
       lines: {L1: {index: 1, state: received, sku: SHOE, quantity: 2, price: 100.00 EUR}}}
    sale 9: {order_ref: A, of_marketplace: true, currency: EUR}
    rma 1001: {status: approved, sale_id: "9", requested_at: -1d, units: {P1: {sku: SHOE, resolution: refund, method: ship}}}
"""


def project(directory: Path, scenarios: str, **files: str) -> Path:
    """A project of these rules, with a client `acme` that pays on receipt."""
    texts = {
        "rules/base/base.yaml": RULES,
        "rules/base/samples.test.yaml": SAMPLES,
        "rules/base/small.test.yaml": dedent(scenarios),
        "rules/clients/acme/client.yaml": "client: acme\nextends: [base]\nparams: {refund_on: receipt}\n",
        **files,
    }
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if not (directory / "mappings").exists():
        (directory / "mappings").symlink_to(ROOT / "mappings")
    return directory


def suite(directory: Path, scenarios: str, name: str = "base", **files: str) -> Suite:
    (found,) = suites(project(directory, scenarios, **files), installed_actions(), name)
    return found


def tried(directory: Path, scenarios: str, name: str = "base", **files: str) -> list[Tried]:
    return list(suite(directory, scenarios, name, **files).run())


def faults(directory: Path, scenarios: str, **files: str) -> list[str]:
    """What was not as expected, at how many minutes after the start."""
    return [
        f"+{int((found.at - one.scenario.start).total_seconds() // 60)}m {found.failure.wanted}: {found.failure.actual}"
        for one in tried(directory, scenarios, **files)
        for found in one.found
    ]


def problems(directory: Path, scenarios: str, **files: str) -> list[str]:
    """The problems for which nothing is tried, without the name of the file."""
    try:
        suite(directory, scenarios, **files)
    except ProblemsFound as found:
        return [f"{p.place.line}:{p.place.column} {p.code}: {p.message}" for p in found.problems]
    return []
