"""Published examples of Mirakl contradict its own schema; each of these contradictions is read leniently."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.http import HttpError
from connectors.mirakl.connector import MiraklConnector
from connectors.mirakl.refusals import by_message, said
from connectors.mirakl.shapes import NewLine, NewTax
from connectors.mirakl.world import World
from engine.facts.outside import Event
from engine.facts.values import Money, Unreadable
from tests.connectors.kit import TestClock
from tests.connectors.mapped import observed

NOW = datetime(2026, 11, 2, 10, tzinfo=UTC)


def fields(kind: str, body: Any, about: str = "") -> dict[str, Any]:
    return dict(observed(Event("mirakl", kind, json.dumps(body).encode(), NOW, requested=True, about=about)).fields)


@pytest.fixture
def world() -> World:
    found = World(TestClock(), "USD", "TAX_INCLUDED")
    found.add_order("A-1", NewLine("SHOE-41", 2, "100.00", "5.00", taxes=(NewTax("VAT", "33.34"),)))
    return found


@pytest.mark.parametrize("name", ["state", "refund_state"])
def test_a_refund_has_its_state_under_either_name(name: str) -> None:
    line = {"order_line_id": "A-1", "refunds": [{"id": "7", name: "WAITING_REFUND_PAYMENT", "amount": 5}]}
    (found,) = fields("mirakl.order", {"order_id": "A", "currency_iso_code": "USD", "order_lines": [line]})["lines"]
    assert found["refunds"][0]["state"] == "waiting_payment"


def test_a_refund_with_both_names_goes_by_the_one_that_is_not_deprecated() -> None:
    refund = {"id": "7", "state": "WAITING_REFUND", "refund_state": "REFUNDED", "amount": 5}
    line = {"order_line_id": "A-1", "refunds": [refund]}
    (found,) = fields("mirakl.order", {"order_id": "A", "currency_iso_code": "USD", "order_lines": [line]})["lines"]
    assert found["refunds"][0]["state"] == "refunded"


@pytest.mark.parametrize("carrier", [{"carrierCode": "UPS", "carrierName": "UPS"}, {"carrier_code": "UPS"}])
def test_a_return_is_read_whichever_way_its_carrier_is_spelt_and_without_reasons_on_its_lines(carrier: dict[str, str]) -> None:
    body = {"id": "R", "order_id": "A", "state": "IN_PROGRESS", "tracking": {**carrier, "tracking_number": "T1"}}
    found = fields("mirakl.return", body | {"return_lines": [{"order_line_id": "A-1", "quantity": 2}]})
    assert found["tracking_number"] == "T1"
    assert [(line["order_line_id"], line["quantity"], line.get("reason_code")) for line in found["lines"]] == [("A-1", 2, None)]


def test_a_return_method_that_is_not_in_the_schema_is_kept_as_it_is() -> None:
    found = fields("mirakl.return", {"id": "R", "order_id": "A", "state": "IN_PROGRESS", "method_code": "RETURN_METHOD_DROP_OFF"})
    assert found["method"] == "RETURN_METHOD_DROP_OFF"
    assert not isinstance(found["state"], Unreadable)


@pytest.mark.parametrize("code", [34, "34"])
def test_a_reason_code_may_be_a_number(code: object) -> None:
    line = {"order_line_id": "A-1", "cancelations": [{"id": "1", "amount": 5, "quantity": 1, "reason_code": code}]}
    (found,) = fields("mirakl.order", {"order_id": "A", "currency_iso_code": "USD", "order_lines": [line]})["lines"]
    assert found["cancelations"][0]["reason_code"] == "34"


@pytest.mark.parametrize("amount", ["16.67", Decimal("16.67")])
def test_a_tax_amount_may_be_text(world: World, amount: object) -> None:
    world.ship("A-1")
    item = {"order_line_id": "A-1-1", "amount": 100, "shipping_amount": 0, "reason_code": "17"}
    world.refund({"refunds": [item | {"taxes": [{"code": "VAT", "amount": amount}]}]})
    (booked,) = world.books()
    assert booked.taxes == Decimal("16.67")
    shown = world.orders["A-1"]["order_lines"][0]["refunds"][0]["taxes"][0]
    line = {"order_line_id": "A-1", "refunds": [{"id": "7", "amount": 5, "taxes": [shown | {"amount": str(shown["amount"])}]}]}
    (found,) = fields("mirakl.order", {"order_id": "A", "currency_iso_code": "USD", "order_lines": [line]})["lines"]
    assert found["refunds"][0]["taxes"][0]["amount"] == Money.of("16.67", "USD")


def test_a_platform_may_say_nothing_of_returns() -> None:
    found = fields("mirakl.platform", {"features": {"order_tax_mode": "TAX_EXCLUDED"}}, about="2000")
    assert found["tax_mode"] == "excluded"
    assert "returns_enabled" not in found


@pytest.mark.parametrize("name", ["message", "error_message"])
def test_an_error_has_its_words_under_either_name(name: str) -> None:
    no = HttpError(400, json.dumps({"errors": [{"code": "X", name: "the amount exceeds what is left"}]}).encode(), {})
    assert "the amount exceeds what is left" in said(no)
    assert by_message(said(no)).reason == "invalid_amount"


def test_whether_a_refund_was_paid_is_read_from_its_order_and_never_from_the_operators_payments() -> None:
    """PA12 nests its lists in two ways, and is the operator's."""
    assert set(MiraklConnector.feeds) == {"orders", "incidents", "returns", "account", "platform", "reasons"}
