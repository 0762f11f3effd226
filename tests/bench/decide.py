"""How long deciding takes: one event against 20, 200 and 2,000 rules, and a decision of the base pack.

    python tests/bench/decide.py [--quick] [--json]

Medians in microseconds, all measured in one run; ratios count more than figures, machines differ. An event changes one fact of
a case. *Matching* is finding and evaluating the rules it may concern, the changed facts being known; *a decision* is everything
that follows an event, from the records to the outbox: deriving facts, comparing them, matching, vetoes, claims, exceptions.

Every event kind has its share of the rules. Most are about one thing among many (an article, a channel, a reason) and are found
by its value. Three events are not so kind: for `threshold` every rule about its record compares an amount with a bound of its
own; with `unseen` a parcel is named that nobody has seen, so that every rule about parcels becomes unknown; `everything` is read
by every rule.
"""

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine.decide import Memory, decide
from engine.decide.document import read_case
from engine.decide.match import Pass, match
from engine.decide.view import View, changed, view_of
from engine.facts.derive import derive
from engine.facts.outside import installed_actions
from engine.language.pack import load
from engine.language.ruleset import RuleSet

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SIZES = (20, 200, 2000)
STATES = ("approved", "received", "validated", "done")
EUR = {"currency": "EUR"}

# By event: the kind its rules look at, and their condition. `{n}` is another value for every rule.
CONDITIONS = {
    "sale": ("sale", 'sale.financial_status == "F{n}" and sale.of_marketplace'),
    "rma": ("rma", 'exists(rma.status) and rma.status == "{state}" and rma.order_name == "N{n}"'),
    "parcel": ("parcel", 'parcel.carrier == "C{n}"'),
    "article": ("unit", 'unit.sku == "SKU-{n}"'),
    "receipt": ("receipt", 'receipt.id in ["T{n}", "U{n}"]'),
    "market_return": ("market_return", 'market_return.reason_code == "R{n}" and exists(market_return.state)'),
    "channel": ("order", 'order.channel == "C{n}"'),
    "threshold": ("ledger_line", 'ledger_line.amount > money({n}, "EUR")'),
}
# By event: where in the document its fact is, and the two values it has in turn.
EVENTS: dict[str, tuple[tuple[Any, ...], Any, Any]] = {
    "sale": (("sale", 0, "financial_status"), "F0", "F8"),
    "rma": (("rma", 0, "order_name"), "N1", "N9"),
    "parcel": (("parcel", 0, "carrier"), "C2", "C10"),
    "article": (("order", 0, "lines", 0, "sku"), "SKU-3", "SKU-11"),
    "receipt": (("receipt", 0, "id"), "T4", "T12"),
    "market_return": (("market_return", 0, "reason_code"), "R5", "R13"),
    "channel": (("order", 0, "channel"), "C6", "C14"),
    "threshold": (("ledger_line", 0, "amount"), {"amount": "7.50", **EUR}, {"amount": "15.50", **EUR}),
    "unseen": (("rma", 0, "tracking_numbers"), ["T1"], ["T1", "T2"]),
    "everything": (("order", 0, "state"), "received", "shipped"),
}


def synthetic(rules: int, where: Path) -> RuleSet:
    """A client of `rules` rules over eight kinds of facts, as large clients have: most of them about something else."""
    return load(write_synthetic(rules, where), "bench", {})


def write_synthetic(rules: int, where: Path) -> Path:
    """The same, as files."""
    for name in ("rules/base", "rules/clients/bench", "mappings"):
        (where / name).mkdir(parents=True, exist_ok=True)
    (where / "mappings/facts.yaml").write_text((ROOT / "mappings/facts.yaml").read_text())
    lines = ["precedence: [one]", "rules:"]
    for n in range(rules):
        kind, condition = list(CONDITIONS.values())[n % len(CONDITIONS)]
        text = condition.format(n=n, state=STATES[n % 4])
        lines += [f"  r{n}:", "    group: one", f"    each: {kind}", f"    when: ['{text}', 'order.state == \"received\"']"]
        lines += ["    then: [{raise: {owner: operations, severity: low, title: t, runbook: r}}]"]
    (where / "rules/base/rules.yaml").write_text("\n".join(lines) + "\n")
    (where / "rules/clients/bench/client.yaml").write_text("client: bench\nextends: [base]\n")
    return where


def document(status: str = "approved") -> dict[str, Any]:
    units = [{"key": str(n), "sku": "SKU-3", "resolution": "refund", "method": "ship", "shipment_id": "9"} for n in range(2)]
    line = {"id": "A-1", "index": 1, "state": "received", "sku": "SKU-3", "quantity": 2, "price": {"amount": "80.00", **EUR}}
    shipment = {"id": "9", "status": "shipped", "tracking_number": "T1", "outbound": False}
    rma = {"id": "1001", "status": status, "sale_id": "S", "requested_at": "2026-03-01T09:00:00Z", "order_name": "N1"}
    return {
        "now": NOW.isoformat(),
        "records": {
            "order": [
                {"id": "A", "state": "received", "currency": "EUR", "tax_mode": "included", "channel": "C6",
                 "lines": [line | {"debited_at": "2026-02-20T09:00:00Z"}]}
            ],
            "rma": [rma | {"tracking_numbers": ["T1"], "units": units, "shipments": [shipment]}],
            "sale": [{"id": "S", "order_ref": "A", "of_marketplace": True, "financial_status": "F0"}],
            "parcel": [
                {"tracking_number": "T1", "status": "in_transit", "carrier": "C2", "first_scan_at": "2026-03-02T08:00:00Z"}
            ],
            "receipt": [{"ref": "RG-9", "id": "T4", "status": "awaiting", "lines": []}],
            "market_return": [{"id": "M", "order_id": "A", "state": "in_progress", "reason_code": "R5", "lines": []}],
            "ledger_line": [{"id": "B", "order_id": "A", "amount": {"amount": "7.50", **EUR}}],
        },
    }  # fmt: skip


def with_value(place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The case with another value at this place."""
    told = deepcopy(document())
    holder = told["records"]
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return told


def median(action: Callable[[], object], times: int) -> float:
    found = []
    gc.collect()
    gc.disable()  # collecting what earlier rounds left behind is not this round's time
    try:
        for _ in range(times):
            start = time.perf_counter_ns()
            action()
            found.append(time.perf_counter_ns() - start)
    finally:
        gc.enable()
    return statistics.median(found) / 1000


def matching(rule_set: RuleSet, event: str, times: int) -> float:
    """The event comes again and again, its fact going back and forth between its two values."""
    views: list[View] = []
    place, *values = EVENTS[event]
    for value in values:
        case, memory, _ = read_case(rule_set, with_value(place, value))
        views.append(view_of(rule_set, derive(rule_set.vocabulary, case, memory.effects, {})))
    changes = changed(*views)
    passes = [Pass(rule_set.hash, view, {}, match(rule_set, view, {}, None)) for view in views]
    turn = [0]

    def once() -> None:
        turn[0] ^= 1
        match(rule_set, views[turn[0]], {}, passes[turn[0] ^ 1], changes=changes)

    return median(once, times)


def deciding(rule_set: RuleSet, event: str, times: int) -> float:
    """The same event, decided: from the records of the case to what is sent and who is told."""
    place, *values = EVENTS[event]
    cases = [read_case(rule_set, with_value(place, value))[0] for value in values]
    decided = [decide(rule_set, case, Memory(), NOW) for case in cases]
    turn = [0]

    def once() -> None:
        turn[0] ^= 1
        before = decided[turn[0] ^ 1]
        decide(rule_set, cases[turn[0]], before.memory, NOW, before.basis)

    return median(once, times)


def base_pack(times: int) -> Mapping[str, float]:
    """A decision of the base pack: from nothing, and when an RMA is received."""
    rule_set = load(ROOT, "demo", installed_actions())
    first, memory, now = read_case(rule_set, document("approved"))
    second, _, _ = read_case(rule_set, document("received"))
    decided = decide(rule_set, first, memory, now)
    later = now + timedelta(hours=1)
    return {
        "from nothing": median(lambda: decide(rule_set, first, Memory(), now), times),
        "after one event": median(lambda: decide(rule_set, second, decided.memory, later, decided.basis), times),
    }


def measured(times: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        sets = {size: synthetic(size, Path(folder) / str(size)) for size in SIZES}
    few = max(times // 10, 50)
    kinds = [event for event in EVENTS if event not in {"threshold", "unseen", "everything"}]
    return {
        "matching": {event: {size: matching(sets[size], event, times) for size in SIZES} for event in EVENTS},
        "typical": {size: statistics.median(matching(sets[size], event, times) for event in kinds) for size in SIZES},
        "deciding": {size: statistics.median(deciding(sets[size], event, few) for event in kinds) for size in SIZES},
        "base pack": base_pack(few),
    }


def main() -> None:
    found = measured(300 if "--quick" in sys.argv else 3000)
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    print(f"{'matching one event, us':<28}" + "".join(f"{size:>8} rules" for size in SIZES) + "   2,000 : 20")
    rows = {"median of what is found by value": found["typical"], **found["matching"], "a decision": found["deciding"]}
    for name, row in rows.items():
        print(f"{name:<32}" + "".join(f"{row[size]:>10.1f}    " for size in SIZES) + f"{row[2000] / row[20]:>8.1f}")
    for name, figure in found["base pack"].items():
        print(f"a decision of the base pack, {name}: {figure:.0f} us")


if __name__ == "__main__":
    main()
