"""The store connector against its sandbox, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.responses import Response

from connectors.deliveries import Delivery
from connectors.http import dumps, loads
from connectors.serving import Served
from connectors.shopify.connector import ShopifyConnector
from connectors.shopify.order_ref import OrderRef
from connectors.shopify.queries import QUERIES
from connectors.shopify.sandbox import ShopifySandbox
from connectors.signatures import shopify_signature
from engine.facts.outside import Event, Hint, Order, Page, Ref, Refused, Rejected, TryLater, WebhookRequest

START = datetime(2026, 11, 1, 9, tzinfo=UTC)
BIG = 9_007_199_254_740_993  # the first whole number a double cannot hold


class Time:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


class Shop:
    """A served sandbox and a connector that talks to it."""

    def __init__(self, **sandbox) -> None:
        self.time = Time()
        self.box = ShopifySandbox(self.time, **sandbox)
        self.faults = self.box.faults
        self.server = Served(self.box.app)
        self.extra: dict = {}

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.stop()

    def connector(self, **more) -> ShopifyConnector:
        given = {**self.box.settings(self.server.url), **more}
        return ShopifyConnector(ShopifyConnector.Settings.model_validate(given), self.time, {})

    def run(self, work, **more):
        async def whole():
            connector = self.connector(**more)
            try:
                return await work(connector)
            finally:
                await connector.close()

        return asyncio.run(whole())

    def poll(self, cursor: str = "", **more) -> list[Page]:
        async def pages(connector):
            return [page async for page in connector.observe("orders", cursor)]

        return self.run(pages, **more)


def offline(**more) -> tuple[ShopifySandbox, ShopifyConnector]:
    box = ShopifySandbox(lambda: START)
    given = {**box.settings("http://127.0.0.1:1"), **more}
    return box, ShopifyConnector(ShopifyConnector.Settings.model_validate(given), lambda: START, {})


def names(pages: list[Page]) -> list[str]:
    return [loads(event.payload)["name"] for page in pages for event in page.events]


def signed(box: ShopifySandbox, body: bytes, topic: str, **headers: str) -> WebhookRequest:
    given = {
        "x-shopify-topic": topic,
        "x-shopify-shop-domain": box.shop,
        "x-shopify-hmac-sha256": shopify_signature(body, box.webhook_secret),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return WebhookRequest(body, given, {}, START)


def test_a_poll_brings_orders_with_their_refunds_and_the_marketplace_order_they_are_for():
    with Shop() as shop:
        number = shop.box.create_order([("SHOE", 2, "30.00")], order_ref="MK-1-A")
        shop.box.refund(number, [("SHOE", 1)])
        [page] = shop.poll()
    [event] = page.events
    assert (event.kind, event.requested, event.about) == ("shopify.order_node", True, "MK-1-A")
    node = loads(event.payload)
    assert node["legacyResourceId"] == number
    assert node["refunds"][0]["transactions"]["nodes"][0]["amountSet"]["shopMoney"]["amount"] == "30.00"


def test_every_id_has_its_number_beside_it():
    with Shop() as shop:
        number = shop.box.create_order([("SHOE", 2, "30.00")])
        shop.box.refund(number, [("SHOE", 1)])
        [page] = shop.poll()
    node = loads(page.events[0].payload)
    line, refund = node["lineItems"]["nodes"][0], node["refunds"][0]
    piece = refund["refundLineItems"]["nodes"][0]
    assert piece["lineItem"]["legacyResourceId"] == line["legacyResourceId"] == line["id"].rpartition("/")[2]
    assert piece["legacyResourceId"].isdigit()


def test_polls_page_to_the_end_and_start_again_where_they_were():
    with Shop() as shop:
        for _ in range(7):
            shop.box.create_order([("SHOE", 1, "30.00")])
            shop.time.pass_by(hours=1)
        pages = shop.poll(page_size=3)
        assert [len(page.events) for page in pages] == [3, 3, 1]
        assert names(shop.poll(pages[-1].cursor)) == ["#1007"]
        assert names(shop.poll(pages[0].cursor)) == ["#1003", "#1004", "#1005", "#1006", "#1007"]


def test_an_order_the_search_index_shows_late_is_not_missed():
    with Shop() as shop:
        late = shop.box.create_order([("SHOE", 1, "30.00")])
        shop.time.pass_by(minutes=5)
        shop.box.create_order([("SHOE", 1, "30.00")])
        shop.box.graphql.unindexed.add(late)
        [first] = shop.poll()
        assert names([first]) == ["#1002"]
        shop.time.pass_by(minutes=4)
        shop.box.graphql.unindexed.clear()
        assert names(shop.poll(first.cursor)) == ["#1001", "#1002"]


def test_the_first_poll_looks_back_over_the_history_asked_for():
    with Shop() as shop:
        shop.box.create_order([("SHOE", 1, "30.00")])
        shop.time.pass_by(days=3)
        assert names(shop.poll(history_days=2)) == []
        assert names(shop.poll(history_days=4)) == ["#1001"]


def test_an_overlap_shorter_than_the_lag_of_the_index_is_refused():
    with pytest.raises(ValidationError, match="greater than or equal to 10"):
        offline(overlap_minutes=9)


def test_long_lists_of_lines_refund_lines_and_transactions_come_whole():
    with Shop() as shop:
        number = shop.box.create_order([(f"SKU-{n}", 1, "1.00") for n in range(170)])
        refund = shop.box.refund(number, [(f"SKU-{n}", 1) for n in range(160)])
        made = shop.box.orders[number].refund_of(int(refund))
        made.transactions = made.transactions * 65
        [page] = shop.poll()
    node = loads(page.events[0].payload)
    assert [line["sku"] for line in node["lineItems"]["nodes"]] == [f"SKU-{n}" for n in range(170)]
    assert len(node["refunds"][0]["refundLineItems"]["nodes"]) == 160
    assert len(node["refunds"][0]["transactions"]["nodes"]) == 65


def test_an_unchanged_order_is_the_same_payload_every_time():
    with Shop() as shop:
        shop.box.create_order([(f"SKU-{n}", 1, "1.00") for n in range(60)])
        [first] = shop.poll()
        shop.time.pass_by(minutes=1)
        [second] = shop.poll(first.cursor)
    assert first.events[0].payload == second.events[0].payload


def test_a_throttled_query_is_asked_again_when_it_can_be_paid_for():
    with Shop() as shop:
        shop.box.graphql.points -= 1990
        with pytest.raises(TryLater) as later:
            shop.poll()
        assert later.value.after == timedelta(seconds=1)
        shop.time.pass_by(seconds=1)
        shop.poll()


@pytest.mark.parametrize("fault", ["error", "too_many", "cut_after", "garbage_after"])
def test_every_fault_of_the_wire_is_try_later(fault):
    with Shop() as shop:
        shop.box.create_order([("SHOE", 1, "30.00")])
        shop.faults.add(fault, times=5)
        with pytest.raises(TryLater):
            shop.poll()


def test_a_refused_token_is_told_and_tried_later():
    with Shop() as shop, pytest.raises(TryLater, match="401"):
        shop.poll(access_token="wrong")


def test_a_fetch_gives_the_order_as_it_is_now_and_nothing_where_there_is_none():
    with Shop() as shop:
        number = shop.box.create_order([("SHOE", 1, "30.00")], order_ref="MK-1-A")
        fetch = lambda key: shop.run(lambda c: c.fetch(Ref("shopify.order_node", key)))  # noqa: E731
        [event] = fetch(number)
        assert loads(event.payload)["name"] == "#1001"
        assert fetch("1") == []
        assert fetch("gid://shopify/Order/1") == []
        assert shop.run(lambda c: c.fetch(Ref("shopify.refund", number))) == []


def test_every_query_is_answered_with_just_the_fields_it_names():
    """The sandbox cannot drift from the queries: each field asked for is in its answer, and no other."""
    with Shop() as shop:
        number = shop.box.create_order([("SHOE", 1, "30.00")], order_ref="MK-1-A")
        shop.box.refund(number, [("SHOE", 1)])
        shop.box.fulfil(number)
        [page] = shop.poll()
    text = QUERIES["OrderById"].partition("fragment OrderParts on Order")[2]
    asked = set(text.replace("{", " ").replace("}", " ").split()) | {"nodes"}
    asked = {word.partition("(")[0] for word in asked} - {"", "50)", "10)", "pageInfo", "hasNextPage", "endCursor"}
    assert asked == keys_of(loads(page.events[0].payload))


def keys_of(value) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set()


def test_a_refund_is_an_event_at_once_and_a_reason_to_fetch_its_order():
    box, connector = offline()
    number = box.create_order([("SHOE", 2, "30.00")], order_ref="MK-1-A")
    box.drain()
    box.refund(number, [("SHOE", 1)], note="damaged")
    told, updated = box.drain()
    event, hint = connector.receive(told.request(lambda: START))
    assert isinstance(event, Event)
    assert (event.kind, event.payload, event.requested, event.about) == ("shopify.refund", told.body, False, "")
    assert hint == Hint("shopify", Ref("shopify.order_node", number), f"{event.delivery}:fetch")
    assert connector.receive(updated.request(lambda: START)) == [
        Hint("shopify", Ref("shopify.order_node", number), f"orders/updated:{updated.headers['x-shopify-event-id']}")
    ]


def test_a_cancelled_order_says_which_marketplace_order_it_is():
    box, connector = offline()
    number = box.create_order([("SHOE", 2, "30.00")], order_ref="MK-1-A")
    box.drain()
    box.cancel(number)
    event, _ = connector.receive(box.drain()[0].request(lambda: START))
    assert (event.kind, event.about) == ("shopify.order", "MK-1-A")


def test_a_fulfilment_is_an_event():
    box, connector = offline()
    number = box.create_order([("SHOE", 2, "30.00")])
    box.drain()
    box.fulfil(number, "1Z")
    event, _ = connector.receive(box.drain()[0].request(lambda: START))
    assert event.kind == "shopify.fulfillment"


def test_the_same_delivery_twice_has_the_same_id_whichever_way_it_is_told():
    box, connector = offline()
    number = box.create_order([("SHOE", 2, "30.00")])
    box.drain()
    box.refund(number, [("SHOE", 1)])
    told = box.drain()[0]
    ids = []
    for dropped in ((), ("x-shopify-event-id",), ("x-shopify-event-id", "x-shopify-webhook-id")):
        kept = {name: value for name, value in told.headers.items() if name not in dropped}
        twice = [connector.receive(Delivery("", kept, told.body).request(lambda: START))[0].delivery for _ in range(2)]
        assert twice[0] == twice[1] != ""
        ids.append(twice[0])
    assert len(set(ids)) == 3
    assert all(one.startswith("refunds/create:") for one in ids)


def test_numbers_past_what_a_double_holds_stay_exact():
    box, connector = offline()
    body = dumps({"id": BIG, "order_id": BIG + 2, "refund_line_items": [], "transactions": []})
    event, hint = connector.receive(signed(box, body, "refunds/create"))
    assert hint.ref.key == str(BIG + 2)
    assert loads(event.payload)["order_id"] == BIG + 2


@pytest.mark.parametrize("topic", ["orders/paid", "products/update", "", "refunds"])
def test_topics_nobody_asked_for_are_taken_and_ignored(topic):
    box, connector = offline()
    assert connector.receive(signed(box, b"{}", topic)) == []


def test_a_test_send_is_taken_and_ignored():
    box, connector = offline()
    body = dumps({"id": 1, "order_id": 2, "refund_line_items": [], "transactions": []})
    assert connector.receive(signed(box, body, "refunds/create", x_shopify_test="true")) == []
    assert connector.receive(signed(box, body, "refunds/create", x_shopify_test="false"))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"x-shopify-hmac-sha256": "AAAA"}, 401),
        ({"x-shopify-hmac-sha256": ""}, 401),
        ({"x-shopify-shop-domain": "other.myshopify.com"}, 403),
        ({"x-shopify-topic": "orders/cancelled"}, 400),
    ],
)
def test_a_delivery_with_the_wrong_signature_shop_or_shape_is_rejected(change, status):
    box, connector = offline()
    body = dumps({"id": 1, "order_id": 2, "refund_line_items": [], "transactions": []})
    right = signed(box, body, "refunds/create")
    with pytest.raises(Rejected) as no:
        connector.receive(WebhookRequest(body, {**right.headers, **change}, {}, START))
    assert no.value.status == status


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
_KEYS = ("id", "order_id", "updated_at", "line_items", "refund_line_items", "transactions", "status", "tags", "note_attributes")
_HALF_RIGHT = st.fixed_dictionaries({}, optional=dict.fromkeys(_KEYS, _JSON))
_BODIES = st.binary() | (_JSON | _HALF_RIGHT).map(lambda value: json.dumps(value).encode())
_TOPICS = st.sampled_from(["refunds/create", "orders/cancelled", "orders/updated", "fulfillments/create"]) | st.text()
_HEADERS = st.dictionaries(st.sampled_from(["x-shopify-event-id", "x-shopify-test"]), st.text())


@settings(max_examples=150, deadline=None)
@given(_BODIES, _TOPICS, _HEADERS)
def test_whatever_is_delivered_is_read_or_rejected(body, topic, headers):
    box, connector = offline()
    request = signed(box, body, topic)
    try:
        found = connector.receive(WebhookRequest(body, {**request.headers, **headers}, {}, START))
    except Rejected:
        return
    assert all(isinstance(each, Event | Hint) for each in found)


class Parrot:
    """An ASGI application that always says the same."""

    def __init__(self) -> None:
        self.says = b""

    async def __call__(self, scope, receive, send):
        await Response(self.says, media_type="application/json")(scope, receive, send)


def _page(items):
    page = st.fixed_dictionaries({"hasNextPage": _JSON, "endCursor": _JSON})
    return st.fixed_dictionaries({"nodes": st.lists(items, max_size=2)}, optional={"pageInfo": page}) | _JSON


_REFUND = st.fixed_dictionaries({}, optional={"id": _JSON, "refundLineItems": _page(_JSON), "transactions": _page(_JSON)})
_NODE = st.fixed_dictionaries(
    {"updatedAt": st.just("2026-11-01T00:00:00Z") | _JSON, "lineItems": _page(_JSON), "refunds": st.lists(_REFUND) | _JSON},
    optional={"id": _JSON, "customAttributes": _JSON},
)
_DATA = st.fixed_dictionaries({"orders": _page(_NODE), "order": _NODE, "node": _JSON})
_ANSWERS = st.fixed_dictionaries({"data": _DATA | _JSON}, optional={"errors": _JSON, "extensions": _JSON}) | _JSON


def test_whatever_shopify_answers_is_read_or_tried_later():
    parrot = Parrot()
    box = ShopifySandbox(lambda: START)

    async def ask(url):
        connector = ShopifyConnector(ShopifyConnector.Settings.model_validate(box.settings(url)), lambda: START, {})
        with suppress(TryLater):
            await connector.fetch(Ref("shopify.order_node", "1"))
        with suppress(TryLater):
            _ = [page async for page in connector.observe("orders", "")]
        await connector.close()

    with Served(parrot) as url:

        @settings(max_examples=100, deadline=None)
        @given(_ANSWERS)
        def try_one(answer):
            parrot.says = json.dumps(answer).encode()
            asyncio.run(asyncio.wait_for(ask(url), 10))

        try_one()


@settings(max_examples=50)
@given(st.binary(), st.text())
def test_nothing_unsigned_is_believed(body, signature):
    box, connector = offline()
    with pytest.raises(Rejected):
        connector.receive(signed(box, body, "orders/updated", x_shopify_hmac_sha256=signature))


@pytest.mark.parametrize(
    ("setting", "order", "found"),
    [
        ({}, {"note_attributes": [{"name": "gift", "value": "yes"}, {"name": "mirakl_order_id", "value": " MK-1 "}]}, "MK-1"),
        ({}, {"customAttributes": [{"key": "mirakl_order_id", "value": "MK-1"}]}, "MK-1"),
        ({}, {"note_attributes": [{"name": "mirakl_order_id", "value": None}]}, ""),
        ({"name": "market"}, {"note_attributes": [{"name": "market", "value": 77}]}, "77"),
        ({"from": "tag", "pattern": "^mirakl:(.+)$"}, {"tags": "vip, mirakl:MK-1"}, "MK-1"),
        ({"from": "tag", "pattern": "^mirakl:(.+)$"}, {"tags": ["vip", "mirakl:MK-1"]}, "MK-1"),
        ({"from": "tag", "pattern": "^mirakl:(.+)$"}, {"tags": "vip"}, ""),
        ({"from": "name"}, {"name": "MK-1-A"}, "MK-1-A"),
        ({"from": "name", "pattern": "MK-[0-9]+"}, {"name": "#MK-12-X"}, "MK-12"),
        ({"from": "source_identifier"}, {"source_identifier": "MK-1"}, "MK-1"),
        ({"from": "source_identifier"}, {"sourceIdentifier": "MK-1"}, "MK-1"),
        ({"from": "source_identifier"}, {"source_identifier": None}, ""),
    ],
)
def test_the_marketplace_order_is_found_where_the_client_keeps_it(setting, order, found):
    assert OrderRef.model_validate(setting).find(order) == found


def test_a_tag_without_a_pattern_and_a_pattern_that_is_none_are_refused():
    with pytest.raises(ValidationError, match="pattern that tells which tag"):
        OrderRef.model_validate({"from": "tag"})
    with pytest.raises(ValidationError, match="not a regular expression"):
        OrderRef.model_validate({"from": "name", "pattern": "("})


def test_nothing_is_ever_done_in_the_store():
    _, connector = offline()
    order = Order("k", "store.anything", "s", (), {}, 1, START)
    assert [e.done for e in asyncio.run(connector.look_up([order]))] == [False]
    with pytest.raises(Refused, match="only read"):
        asyncio.run(connector.perform(order))
