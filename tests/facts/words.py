"""The shipped vocabulary, and short ways to give records in its words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.facts.case import Case, case_of
from engine.facts.derive import Facts, derive
from engine.facts.effects import EffectState
from engine.facts.merge import given
from engine.facts.record import RecordState
from engine.facts.values import Money, Rec
from engine.language.source import read_source
from engine.language.vocabulary import read_vocabulary
from engine.problems import Problems

T0 = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def _read() -> Any:
    path = Path(__file__).parents[2] / "mappings" / "facts.yaml"
    problems = Problems()
    node = read_source(path.read_bytes(), str(path), problems)
    assert node is not None
    vocabulary = read_vocabulary(node, problems)
    assert not problems.errors, str(problems)
    return vocabulary


WORDS = _read()


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def eur(amount: str | int | Decimal) -> Money:
    return Money.of(amount, "EUR")


def order(*lines: Mapping[str, Any], **fields: Any) -> RecordState:
    return record("order", {"id": "A", "currency": "EUR", "tax_mode": "included", "state": "shipped", "lines": lines, **fields})


def line(line_id: str = "A-1", sku: str = "SHOE", quantity: int = 1, price: str = "50", **fields: Any) -> dict[str, Any]:
    whole = {"id": line_id, "index": int(line_id.rpartition("-")[2]), "sku": sku, "quantity": quantity, "price": eur(price)}
    return whole | {"shipping_price": eur(0), "state": "shipped"} | fields


def refund(refund_id: str, amount: str, hours: float = 10, **fields: Any) -> dict[str, Any]:
    return {"id": refund_id, "amount": eur(amount), "created_at": at(hours), **fields}


def rma(rma_id: str, *units: Mapping[str, Any], hours: float = 1, **fields: Any) -> RecordState:
    whole = {"id": rma_id, "status": "approved", "requested_at": at(hours), "sale_id": "S", "units": units}
    return record("rma", whole | fields)


def piece(key: str, sku: str = "SHOE", **fields: Any) -> dict[str, Any]:
    return {"key": key, "sku": sku, **fields}


def sale(*refunds: Mapping[str, Any], **fields: Any) -> RecordState:
    return record("sale", {"id": "S", "order_ref": "A", "of_marketplace": True, "refunds": refunds, **fields})


def store_refund(refund_id: str, *lines: Mapping[str, Any], hours: float = 5) -> dict[str, Any]:
    return {"id": refund_id, "created_at": at(hours), "lines": lines}


def record(kind: str, fields: Mapping[str, Any]) -> RecordState:
    return given(WORDS, kind, fields, T0)


def case(*records: RecordState, client: Iterable[RecordState] = (), case_id: str = "order:A") -> Case:
    return case_of(case_id, list(records), list(client), T0)


def facts(
    *records: RecordState,
    effects: Iterable[EffectState] = (),
    answers: Mapping[str, str] | None = None,
    client: Iterable[RecordState] = (),
) -> Facts:
    said = {("coverage_unclear", f"order_refund:{item}"): answer for item, answer in (answers or {}).items()}
    return derive(WORDS, case(*records, client=client), tuple(effects), said)


def units(found: Facts) -> dict[str, Rec]:
    return {unit.key: unit for unit in found.records["unit"]}


def unit_of(found: Facts, rma_unit: str) -> str | None:
    """The unit an RMA unit means, by `1001/47`."""
    recs = (u for r in found.records["rma"] for u in r["units"])
    unit = next(u for u in recs if u.key == rma_unit)["unit"]
    return None if unit is None else unit.key


def effect(
    *names: str, status: Any = "settled", hours: float = 8, claims: Mapping[str, str] | None = None, **more: Any
) -> EffectState:
    """A refund of some units; sent, unless it says otherwise."""
    amount = more.pop("amount", "50")
    action = more.pop("action", "marketplace.refund")
    params = {"amount": eur(amount), "shipping_amount": eur(more.pop("shipping", "0")), "taxes": more.pop("taxes", ())}
    fields: dict[str, Any] = {
        "key": f"{action.partition('.')[2]}:{'+'.join(names)}",
        "action": action,
        "subject": "+".join(names),
        "units": names,
        "claims": tuple((unit, claimant) for claimant, unit in (claims or {}).items()),
        "params": {"tax_mode": "included", **params},
        "rule": "refund_on_receipt",
        "item": "rma:1",
        "group": "refund",
        "status": status,
        "planned_at": at(hours),
        "sent_at": at(hours),
        "settled_at": at(hours) if status == "settled" else None,
        "ever_sent": status != "planned",
        "attempts": 1,
    }
    return EffectState(**(fields | more))
