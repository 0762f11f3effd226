"""Small rule sets written as YAML, and one case told as JSON."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine.decide import Decision, Memory, decide
from engine.decide.document import read_case
from engine.facts.outside import installed_actions
from engine.language.pack import load
from engine.language.ruleset import RuleSet

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HEAD = """
precedence: [verdict, sla, hold, refund, sync]
params:
  wait: {type: duration, default: 2h}
"""
REFUND = """
  refund:
    group: refund
    each: rma
    when: ['rma.status == "approved"']
    then: [{marketplace.refund: {units: rma.units}}]
"""


def rules(text: str) -> RuleSet:
    """The rule set of these rules (indented by two), under the shipped words and actions."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "rules/base").mkdir(parents=True)
        (root / "rules/clients/shop").mkdir(parents=True)
        (root / "mappings").mkdir()
        (root / "mappings/facts.yaml").symlink_to(ROOT / "mappings/facts.yaml")
        body = text if "\nrules:" in text else f"rules:{text}"
        (root / "rules/base/rules.yaml").write_text(HEAD + body, encoding="utf-8")
        (root / "rules/clients/shop/client.yaml").write_text("client: shop\n", encoding="utf-8")
        return load(root, "shop", installed_actions())


class Told:
    """One case under a rule set: facts change, time passes, and every pass starts from the memory of the last."""

    def __init__(self, text: str, *, pieces: int = 2) -> None:
        self.rules = rules(text)
        self.now = NOON
        self.memory = Memory()
        self.order: dict[str, Any] = {
            "id": "A", "state": "received", "currency": "EUR", "tax_mode": "included",
            "lines": [{"id": "L", "index": 1, "state": "received", "sku": "S", "quantity": pieces,
                       "price": {"amount": f"{pieces * 10}.00", "currency": "EUR"}}],
        }  # fmt: skip
        units = [{"key": str(n), "sku": "S", "resolution": "refund"} for n in range(1, pieces + 1)]
        self.rma: dict[str, Any] = {"id": "1", "status": "approved", "requested_at": "2026-03-01T09:00:00Z", "units": units}
        self.parcels: list[dict[str, Any]] = []
        self.last: Decision | None = None

    def decided(self, hours: float = 0, **changes: Any) -> Decision:
        """`changes` are fields of the RMA."""
        self.now += timedelta(hours=hours)
        self.rma |= changes
        document = {"now": self.now.isoformat(), "records": {"order": [self.order], "rma": [self.rma], "parcel": self.parcels}}
        case, _, now = read_case(self.rules, document)
        memory = Memory.from_json(self.memory.to_json())
        self.last = decide(self.rules, case, memory, now, self.last.basis if self.last else None)
        self.memory = self.last.memory
        return self.last

    def opened(self) -> list[str]:
        assert self.last is not None
        return [e.rule for e in self.last.exceptions if e.state == "open"]


def refunds(decision: Decision) -> list[tuple[str, ...]]:
    return [e.units for e in decision.effects if e.action == "marketplace.refund"]
