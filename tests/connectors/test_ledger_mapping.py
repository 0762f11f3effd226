"""What the books become as facts."""

from __future__ import annotations

import asyncio

from connectors.ledger.connector import LedgerConnector
from engine.facts.values import Money
from tests.connectors.contract_ledger import world
from tests.connectors.kit import TestClock
from tests.connectors.mapped import facts, mappings, merged


def test_every_line_of_a_posting_is_a_fact_of_its_order():
    clock = TestClock()
    with world(clock) as books:
        connector = LedgerConnector(LedgerConnector.Settings(**books.settings), clock, {})
        receipt = asyncio.run(connector.perform(books.orders["post"]))
    assert [one.event for one in mappings("ledger")] == ["ledger.line"]
    found = {facts(event)["id"]: facts(event) for event in receipt.events}
    assert {key: (line["component"], line["amount"]) for key, line in found.items()} == {
        "post:7/amount": ("amount", Money.of("-50.00", "USD")),
        "post:7/tax/VAT": ("tax", Money.of("-8.33", "USD")),
        "post:7/commission": ("commission", Money.of("10.00", "USD")),
    }
    assert found["post:7/tax/VAT"]["code"] == "VAT"
    assert {(line["posting"], line["order_id"], line["refund_id"], line["posted_at"]) for line in found.values()} == {
        ("post:7", "A-1", "7", clock())
    }
    assert all(merged([event]).links == {("order", "A-1")} for event in receipt.events)
