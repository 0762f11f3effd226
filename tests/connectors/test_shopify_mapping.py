"""What the store's payloads become: one sale, whichever way and in whichever order it is told of."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.http import dumps
from connectors.serving import Served
from connectors.shopify.connector import ShopifyConnector
from connectors.shopify.sandbox import ShopifySandbox
from engine.facts.merge import fields_of
from engine.facts.outside import Event
from engine.facts.values import Money
from engine.language.mapping import SetAside
from tests.connectors.kit import TestClock, shared
from tests.connectors.mapped import facts, mappings, merged, observed, pushed, read


def eur(amount: str) -> Money:
    return Money.of(amount, "EUR")


class Day:
    """A day at the shop: every event it gave, by what had happened."""

    def __init__(self) -> None:
        self.clock = TestClock()
        self.box = ShopifySandbox(self.clock)
        self.server = Served(self.box.app).start()
        self.connector = ShopifyConnector(
            ShopifyConnector.Settings.model_validate(self.box.settings(self.server.url)), self.clock, {}
        )
        self.events: list[Event] = []

    def look(self) -> list[Event]:
        """What deliveries and a poll bring now."""
        told = [one for d in self.box.drain() for one in self.connector.receive(d.request(self.clock)) if isinstance(one, Event)]
        self.clock.tick(seconds=5)
        told += asyncio.run(self._poll())
        self.events += told
        self.clock.tick(minutes=10)
        return told

    async def _poll(self) -> list[Event]:
        found = [event async for page in self.connector.observe("orders", "") for event in page.events]
        await self.connector.close()
        return found


@cache
def day() -> Day:
    """An order is fulfilled, refunded twice (one refund pending at first), and cancelled."""
    day = Day()
    number = day.box.create_order([("SHOE", 2, "30.00"), ("SHIRT", 1, "9.50")], order_ref="MK-1-A")
    day.look()
    day.box.fulfil(number, "1Z")
    day.look()
    day.box.refund(number, [("SHOE", 1)], note="damaged")
    pending = day.box.refund(number, [("SHIRT", 1)], status="pending", user_id=None)
    day.look()
    day.box.settle(number, pending)
    day.look()
    day.box.cancel(number)
    day.look()
    day.server.stop()
    return day


def test_the_mappings_of_the_store_have_no_problem():
    assert {one.event for one in mappings("shopify")} == {
        "shopify.order_node", "shopify.order", "shopify.refund", "shopify.fulfillment",
    }  # fmt: skip


def test_a_sale_has_all_that_rules_read_of_it():
    found = facts(*day().events)
    number = next(iter(day().box.orders))
    start = datetime(2026, 11, 2, 10, tzinfo=UTC)
    assert {name: value for name, value in found.items() if name not in {"lines", "refunds"}} == {
        "id": number,
        "name": "#1001",
        "order_ref": "MK-1-A",
        "of_marketplace": True,
        "currency": "EUR",
        "financial_status": "voided",
        "created_at": start,
        "updated_at": start + timedelta(minutes=40, seconds=20),
        "cancelled_at": start + timedelta(minutes=40, seconds=20),
        "cancel_reason": "customer",
        "fulfilled_at": start + timedelta(minutes=10, seconds=5),
    }
    assert [(line["sku"], line["quantity"], line["price"]) for line in found["lines"]] == [
        ("SHOE", 2, eur("30.00")), ("SHIRT", 1, eur("9.50")),
    ]  # fmt: skip
    shoe, shirt = found["refunds"]
    assert (shoe["amount"], shoe["note"]) == (eur("30.00"), "damaged")
    assert shirt["amount"] == eur("9.50")
    [piece] = shoe["lines"]
    assert {name: piece[name] for name in ("line_item_id", "sku", "quantity", "restock", "subtotal", "tax")} == {
        "line_item_id": found["lines"][0]["id"],
        "sku": "SHOE",
        "quantity": 1,
        "restock": "return",
        "subtotal": eur("30.00"),
        "tax": eur("0.00"),
    }


def test_the_sale_is_tied_to_its_marketplace_order():
    assert merged(day().events).links == {("order", "MK-1-A")}


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_order_repetition_and_delay_of_deliveries_make_no_difference(data):
    events = day().events
    shuffled = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events), max_size=6))]))
    assert _plain(fields_of(merged(shuffled))) == _plain(facts(*events))


def _plain(fields):
    return {**fields, "refunds": sorted(fields.get("refunds", ()), key=lambda r: r["id"])}


def test_a_refund_that_is_pushed_is_known_before_the_order_is_read():
    kinds = [event for event in day().events if event.kind == "shopify.refund"]
    found = facts(*kinds)
    assert [r["amount"] for r in found["refunds"]] == [eur("30.00"), eur("0")]
    assert not {"of_marketplace", "order_ref"} & found.keys()


def test_money_that_moves_later_is_seen_by_the_next_read():
    before = [e for e in day().events if e.observed_at < day().events[0].observed_at + timedelta(minutes=25)]
    assert [r["amount"] for r in facts(*before)["refunds"]] == [eur("30.00"), eur("0")]


def test_a_sale_without_a_marketplace_order_is_known_not_to_be_one():
    one = Day()
    one.box.create_order([("SHOE", 1, "30.00")])
    [event] = one.look()
    one.server.stop()
    found = facts(event)
    assert found["of_marketplace"] is False
    assert "order_ref" not in found
    assert merged([event]).links == frozenset()


def test_a_cancellation_is_a_milestone_and_nothing_else_of_a_late_delivery_counts():
    [event] = [event for event in day().events if event.kind == "shopify.order"]
    seen = observed(event)
    assert set(seen.fields) == {"id"}
    assert set(seen.milestones) == {"cancelled_at", "refunds"}
    assert seen.links == {("order", "MK-1-A")}


@pytest.mark.parametrize(("status", "left"), [("success", True), ("pending", False), ("cancelled", False), ("failure", False)])
def test_goods_have_left_once_a_fulfilment_succeeds(status, left):
    told = {
        "id": 5,
        "order_id": 7,
        "status": status,
        "created_at": "2026-11-01T04:00:00-05:00",
        "updated_at": "2026-11-02T04:00:00-05:00",
    }
    found = facts(pushed("shopify", "shopify.fulfillment", dumps(told)))
    assert found.get("fulfilled_at") == (datetime(2026, 11, 1, 9, tzinfo=UTC) if left else None)


@pytest.mark.parametrize(
    ("topic", "kind", "sku_lines"),
    [
        ("refunds.create", "shopify.refund", ["IPOD2008PINK", "IPOD2008PINK"]),
        ("orders.cancelled", "shopify.order", []),
        ("fulfillments.update", "shopify.fulfillment", []),
    ],
)
def test_published_samples_become_records_without_loss(topic, kind, sku_lines):
    body = json.loads(shared(f"shopify/2024-10.{topic}.json").read_text())["body"]
    seen = observed(pushed("shopify", kind, json.dumps(body).encode()))
    assert seen.kind == "sale"
    assert seen.key == str(body.get("order_id", body["id"]))
    refunds = seen.milestones.get("refunds", ())
    assert [line["sku"] for refund in refunds for line in refund["lines"]] == sku_lines
    if topic == "refunds.create":
        [refund] = refunds
        assert (refund["amount"], refund["note"]) == (Money.of("0", "USD"), "Things were damaged")
        assert [line["subtotal"] for line in refund["lines"]] == [Money.of("199.00", "USD")] * 2
    if topic == "orders.cancelled":
        assert seen.milestones["cancelled_at"] == datetime(2022, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "payload", "why"),
    [
        ("shopify.refund", {"id": 1, "created_at": "2026-11-01T00:00:00Z"}, "key"),
        ("shopify.refund", {"id": 1, "order_id": 2}, "version"),
        ("shopify.order", {"id": 1, "updated_at": "yesterday"}, "version"),
        ("shopify.fulfillment", [], "key"),
    ],
)
def test_what_lacks_its_key_or_version_is_set_aside_with_the_reason(kind, payload, why):
    found = read(pushed("shopify", kind, dumps(payload)))
    assert isinstance(found, SetAside)
    assert why in f"{found.path} {found.reason}"
