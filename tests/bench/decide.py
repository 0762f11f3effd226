"""How long deciding takes: matching an event against 20, 200 and 2,000 rules, and a whole pass over the base pack.

    python tests/bench/decide.py [--quick]

Prints medians in microseconds, all measured in one run; ratios count more than figures, machines differ.
"""

import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.cli.output import installed_actions
from engine.decide import Memory, decide
from engine.decide.document import read_case
from engine.decide.match import Pass, match
from engine.decide.view import view_of
from engine.facts.derive import derive
from engine.language.pack import load

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
STATES = ("approved", "received", "validated", "done")


def synthetic(rules: int, where: Path) -> Path:
    """A client of `rules` rules over eight kinds of facts, as large clients have: most of them about something else."""
    for name in ("rules/base", "rules/clients/bench"):
        (where / name).mkdir(parents=True, exist_ok=True)
    (where / "mappings").mkdir(exist_ok=True)
    (where / "mappings/facts.yaml").write_text((ROOT / "mappings/facts.yaml").read_text())
    conditions = [
        ("sale", 'sale.financial_status == "F{n}"'),
        ("rma", 'exists(rma.status) and rma.status == "{state}"'),
        ("parcel", 'parcel.carrier == "C{n}"'),
        ("unit", 'unit.sku == "SKU-{n}"'),
        ("receipt", 'receipt.tracking_number == "T{n}"'),
        ("market_return", 'market_return.reason_code == "R{n}"'),
        ("ledger_line", 'ledger_line.code == "T{n}"'),
        ("order", 'order.channel == "C{n}"'),
    ]
    lines = ["precedence: [one]", "rules:"]
    for n in range(rules):
        kind, condition = conditions[n % len(conditions)]
        text = condition.format(n=n, state=STATES[n % 4])
        lines += [f"  r{n}:", "    group: one", f"    each: {kind}", f"    when: ['{text}', 'order.state == \"received\"']"]
        lines += ["    then: [{raise: {owner: operations, severity: low, title: t, runbook: r}}]"]
    (where / "rules/base/rules.yaml").write_text("\n".join(lines) + "\n")
    (where / "rules/clients/bench/client.yaml").write_text("client: bench\nextends: [base]\n")
    return where


def document(status: str, paid: str = "F0") -> dict[str, object]:
    units = [{"key": str(n), "sku": "SKU-1", "resolution": "refund", "method": "ship", "shipment_id": "9"} for n in range(2)]
    money = {"amount": "80.00", "currency": "EUR"}
    line = {
        "id": "A-1",
        "index": 1,
        "state": "received",
        "sku": "SKU-1",
        "quantity": 2,
        "price": money,
        "debited_at": "2026-02-20T09:00:00Z",
    }
    return {
        "now": NOW.isoformat(),
        "records": {
            "order": [
                {"id": "A", "state": "received", "currency": "EUR", "tax_mode": "included", "channel": "WEB", "lines": [line]}
            ],
            "rma": [
                {
                    "id": "1001",
                    "status": status,
                    "sale_id": "S",
                    "requested_at": "2026-03-01T09:00:00Z",
                    "tracking_numbers": ["T1"],
                    "units": units,
                    "shipments": [{"id": "9", "status": "shipped", "tracking_number": "T1", "outbound": False}],
                }
            ],
            "sale": [{"id": "S", "order_ref": "A", "of_marketplace": True, "financial_status": paid}],
            "parcel": [
                {"tracking_number": "T1", "status": "in_transit", "carrier": "POST", "first_scan_at": "2026-03-02T08:00:00Z"}
            ],
        },
    }


def median(action, times: int) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter_ns()
        action()
        found.append(time.perf_counter_ns() - start)
    return statistics.median(found) / 1000


def matching(rules: int, times: int) -> float:
    """One event moves a sale from one of its many states to another; deriving facts and comparing them are not counted."""
    with tempfile.TemporaryDirectory() as folder:
        rule_set = load(synthetic(rules, Path(folder)), "bench", {})
    views = []
    for paid in ("F0", "F8"):
        case, memory, _ = read_case(rule_set, document("approved", paid))
        views.append(view_of(rule_set, derive(rule_set.vocabulary, case, memory.effects, {})))
    given = {}
    passes = [Pass(rule_set.hash, view, given, match(rule_set, view, given, None)) for view in views]
    turn = [0]

    def event() -> None:
        turn[0] ^= 1
        match(rule_set, views[turn[0]], given, passes[turn[0] ^ 1], changes=CHANGES)

    return median(event, times)


CHANGES = frozenset({"sale.financial_status"})


def whole_pass(times: int) -> tuple[float, float]:
    """A decision of the base pack: from nothing, and after one fact changed."""
    rule_set = load(ROOT, "demo", installed_actions())
    first, memory, now = read_case(rule_set, document("approved"))
    second, _, _ = read_case(rule_set, document("received"))
    decided = decide(rule_set, first, memory, now)
    full = median(lambda: decide(rule_set, first, Memory(), now), times)
    incremental = median(lambda: decide(rule_set, second, decided.memory, now + timedelta(hours=1), decided.basis), times)
    return full, incremental


def main() -> None:
    times = 300 if "--quick" in sys.argv else 3000
    figures = {rules: matching(rules, times) for rules in (20, 200, 2000)}
    for rules, figure in figures.items():
        print(f"matching one event, {rules:>5} rules: {figure:8.1f} us")
    print(f"2,000 rules cost {figures[2000] / figures[20]:.1f} times what 20 cost")
    full, incremental = whole_pass(max(times // 10, 50))
    print(f"base pack, whole pass from nothing: {full:8.1f} us")
    print(f"base pack, whole pass after one change: {incremental:8.1f} us")


if __name__ == "__main__":
    main()
