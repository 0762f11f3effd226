"""One case under the base pack, told step by step: what is seen, what time it is, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from connectors.ledger.connector import LedgerConnector
from connectors.mirakl.connector import MiraklConnector
from connectors.returngo.connector import ReturnGoConnector
from connectors.shipbob.connector import ShipBobConnector
from engine.decide import outcomes
from engine.decide.decision import Decision, decide
from engine.decide.memory import ExceptionState, Memory
from engine.facts.case import case_of
from engine.facts.effects import EffectState
from engine.facts.merge import given
from engine.facts.outside import Action
from engine.facts.values import Money, Rec
from engine.language.pack import load
from engine.language.ruleset import RuleSet

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
CONNECTORS = (MiraklConnector, ReturnGoConnector, ShipBobConnector, LedgerConnector)
CLIENT = """
client: shop
connectors:
  marketplace: {use: mirakl}
codes: {marketplace.resolve_incident.reason: {default: "11"}}
"""


def actions() -> dict[str, Action]:
    return {f"{c.role}.{name}": action for c in CONNECTORS for name, action in c.actions.items()}


@cache
def base_pack() -> RuleSet:
    """The pack as a client has it that sets nothing."""
    with TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "rules" / "clients" / "shop").mkdir(parents=True)
        (root / "rules" / "base").symlink_to(ROOT / "rules" / "base")
        (root / "mappings").symlink_to(ROOT / "mappings")
        (root / "rules" / "clients" / "shop" / "client.yaml").write_text(CLIENT)
        return load(root, "shop", actions())


def base_with(*, partial_refund: bool = True, **params: Any) -> RuleSet:
    """The pack with other parameters; None is a parameter nobody has set."""
    pack = base_pack()
    permissions = Rec("params.permissions", "", {**pack.params["permissions"], "partial_refund": partial_refund})
    changed = {**pack.params, "permissions": permissions, **params}
    return replace(pack, params=changed, hash=f"{pack.hash}{partial_refund}{sorted(map(str, params.items()))}")


def eur(amount: str) -> Money:
    return Money.of(amount, "EUR")


def line(line_id: str = "L1", sku: str = "SHOE", quantity: int = 1, price: str = "50.00", **fields: Any) -> dict[str, Any]:
    plain = {
        "id": line_id, "index": 1, "state": "received", "can_refund": True, "sku": sku, "quantity": quantity,
        "price": eur(price), "shipping_price": eur("0.00"), "total_price": eur(price), "taxes": (), "shipping_taxes": (),
        "commission": eur("5.00"), "debited_at": NOON - timedelta(days=9), "shipped_at": NOON - timedelta(days=8),
        "refunds": (), "cancelations": (),
    }  # fmt: skip
    return plain | fields


def piece(key: str = "P1", sku: str = "SHOE", **fields: Any) -> dict[str, Any]:
    plain = {
        "key": key, "sku": sku, "paid": eur("50.00"), "tax_included": True, "reason": "Does not fit", "resolution": "refund",
        "method": "ship", "shipment_id": "S1",
    }  # fmt: skip
    return plain | fields


def shipment(shipment_id: str = "S1", tracking: str | None = "T1", **fields: Any) -> dict[str, Any]:
    plain = {
        "id": shipment_id, "status": "label_created", "tracking_number": tracking, "outbound": False,
        "receipt_ref": f"RG-{shipment_id}",
    }  # fmt: skip
    return plain | fields


class Journey:
    """A case in memory. `see` changes what is known, `at` lets time pass."""

    def __init__(self, rules: RuleSet | None = None, start: datetime = NOON) -> None:
        self.rules = rules if rules is not None else base_pack()
        self.now = start
        self.memory = Memory()
        self.records: dict[tuple[str, str], dict[str, Any]] = {}
        self.decision: Decision

    def order(self, *lines: Mapping[str, Any], **fields: Any) -> Journey:
        plain = {
            "id": "A", "state": "received", "currency": "EUR", "tax_mode": "included", "created_at": NOON - timedelta(days=10),
            "can_cancel": False, "has_incident": False, "fully_refunded": False, "debited_at": NOON - timedelta(days=9),
            "lines": lines or (line(),),
        }  # fmt: skip
        return self.see("order", "A", **(plain | fields))

    def rma(self, *pieces: Mapping[str, Any], key: str = "1001", **fields: Any) -> Journey:
        shipments = fields.pop("shipments", (shipment(),))
        plain = {
            "id": key, "status": "approved", "order_name": "#1", "sale_id": "9", "requested_at": NOON - timedelta(days=1),
            "units": pieces or (piece(),), "shipments": shipments, "transactions": (),
            "tracking_numbers": tuple(s["tracking_number"] for s in shipments if s["tracking_number"]),
            "receipt_refs": tuple(s["receipt_ref"] for s in shipments if s["receipt_ref"]),
        }  # fmt: skip
        return self.see("rma", key, **(plain | fields)).sale()

    def sale(self, **fields: Any) -> Journey:
        known = self.records.get(("sale", "9"), {})
        plain = {
            "id": "9", "name": "#1", "order_ref": "A", "of_marketplace": True, "currency": "EUR",
            "fulfilled_at": NOON - timedelta(days=8), "created_at": NOON - timedelta(days=10),
            "lines": ({"id": "91", "sku": "SHOE", "quantity": 1, "price": eur("50.00")},),
        }  # fmt: skip
        return self.see("sale", "9", **(plain | known | fields))

    def scan(self, tracking: str = "T1", at: datetime | None = None) -> Journey:
        when = at or self.now
        return self.see("parcel", tracking, tracking_number=tracking, status="in_transit", first_scan_at=when)

    def see(self, kind: str, key: str, **fields: Any) -> Journey:
        self.records[kind, key] = self.records.get((kind, key), {}) | fields
        return self

    def decide(self) -> Decision:
        states = [given(self.rules.vocabulary, kind, fields, NOON) for (kind, _), fields in self.records.items()]
        client = [s for s in states if s.kind == "seller"]
        case = case_of("order:A", [s for s in states if s.kind != "seller"], client, NOON)
        self.decision = decide(self.rules, case, self.memory, self.now)
        self.memory = self.decision.memory
        return self.decision

    def at(self, when: datetime | timedelta) -> Decision:
        """Let time pass, looking again whenever a decision asked to be looked at. A duration counts from now."""
        until = self.now + when if isinstance(when, timedelta) else when
        decision = self.decide()
        while decision.wake_at is not None and decision.wake_at <= until:
            self.now = decision.wake_at
            decision = self.decide()
        self.now = until
        return self.decide()

    def hours(self, number: float) -> Decision:
        return self.at(timedelta(hours=number))

    def begin(self, effect: EffectState) -> None:
        self.memory = outcomes.begin(self.memory, effect.key, self.now)

    def refuse(self, effect: EffectState, reason: str) -> Decision:
        self.begin(effect)
        self.memory = outcomes.refused(self.memory, effect.key, reason, "they said no", self.now)
        return self.decide()

    @property
    def refunds(self) -> list[tuple[str, str]]:
        """The refunds planned now: units and amount."""
        planned = [e for e in self.decide().effects if e.action == "marketplace.refund"]
        return [("+".join(e.units), f"{e.params['amount'].amount}") for e in planned]

    @property
    def open(self) -> dict[str, ExceptionState]:
        """The open exceptions by rule."""
        return {e.rule: e for e in self.decide().exceptions if e.state == "open"}
