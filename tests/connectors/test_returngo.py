"""ReturnGO: what the polls see, what a webhook is worth, what becomes of an action. Against the sandbox, over real HTTP."""

import asyncio
import json
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.returngo import polling
from connectors.returngo.client import Summary
from connectors.returngo.connector import OPEN, ReturnGoConnector, ReturnGoSettings
from connectors.returngo.sandbox import ReturnGoSandbox
from connectors.returngo.shapes import Piece
from connectors.returngo.words import EVENT_NAMES
from connectors.serving import Served
from engine.facts.outside import Event, Hint, Order, Ref, Refused, Rejected, TryLater, Unsure, WebhookRequest


class Clock:
    def __init__(self):
        self.now = datetime(2026, 3, 1, 6, tzinfo=UTC)

    def __call__(self):
        return self.now

    def pass_(self, **time):
        self.now += timedelta(**time)


class Bench:
    """A sandbox, a connector to it, and the cursors of its feeds."""

    def __init__(self, url, sandbox, clock, **given):
        self.sandbox, self.world, self.clock, self.url = sandbox, sandbox.world, clock, url
        self.connector = ReturnGoConnector(ReturnGoSettings(**{**sandbox.settings(url), **given}), clock, {})
        self.cursors = {"rmas": "", "open_rmas": ""}

    def poll(self, feed):
        """What one poll brings: ids hinted at, or ids read."""
        return asyncio.run(self._poll(feed))

    async def _poll(self, feed):
        found = []
        try:
            async for page in self.connector.observe(feed, self.cursors[feed]):
                self.cursors[feed] = page.cursor
                found += [hint.ref.key for hint in page.hints]
                found += [rma_of(event) for event in page.events]
        finally:
            await self.connector.close()
        return found

    def do(self, coroutine):
        async def run():
            try:
                return await coroutine
            finally:
                await self.connector.close()

        return asyncio.run(run())

    def rma(self, *, approved=True, label=""):
        rma_id = self.world.create_rma("5001", "#1001", [Piece("11", "SKU-1", "25.96", "4.33")])
        if approved:
            self.world.approve(rma_id)
        if label:
            self.world.create_label(self.world.shipments(rma_id)[0], label)
        return rma_id

    def order(self, action, **params):
        return Order("key", f"returns.{action}", "subject", (), params, 1, self.clock())


@contextmanager
def bench(calls_per_day=2000, **given):
    clock = Clock()
    sandbox = ReturnGoSandbox(clock, calls_per_day=calls_per_day)
    with Served(sandbox.app) as url:
        yield Bench(url, sandbox, clock, **given)


@pytest.fixture
def shop():
    with bench() as ready:
        yield ready


def rma_of(event):
    return json.loads(event.payload)["rmaSummary"]["rmaId"]


# Polling


def test_a_new_rma_is_hinted_at_once(shop):
    rma_id = shop.rma(approved=False)
    assert shop.poll("rmas") == [rma_id]
    shop.clock.pass_(minutes=5)
    assert shop.poll("rmas") == []


def test_a_receipt_that_does_not_move_last_updated_is_found_by_the_sweep(shop):
    """Facts 7.1: 276 of 305 RMAs have timeline entries later than lastUpdated."""
    rma_id = shop.rma(label="TRK1")
    shop.poll("rmas")
    before = shop.world.rma(rma_id)["lastUpdated"]
    shop.clock.pass_(days=1)
    shop.world.receive(shop.world.shipments(rma_id)[0])
    assert (shop.world.rma(rma_id)["lastUpdated"], shop.world.status(rma_id)) == (before, "Received")
    assert shop.poll("rmas") == [rma_id]


def test_a_first_scan_and_a_refund_are_found_by_reading_open_rmas_again(shop):
    """Facts 7.1: neither shows in any list."""
    rma_id = shop.rma(label="TRK1")
    assert shop.poll("open_rmas") == [rma_id]
    shop.world.ship(shop.world.shipments(rma_id)[0])
    shop.clock.pass_(minutes=10)
    assert shop.poll("open_rmas") == [rma_id]
    assert shop.poll("rmas") == [rma_id]
    assert shop.poll("rmas") == []


def test_an_rma_with_a_new_transaction_is_read_before_its_turn(shop):
    first, *others = [shop.rma() for _ in range(12)]
    for _ in range(3):
        shop.poll("open_rmas")
        shop.clock.pass_(minutes=10)
    shop.world.refund(first, shop.world.pieces(first), status="Requested")
    waiting = shop.poll("open_rmas")
    assert waiting[0] == first
    assert set(waiting[1:]) <= set(others)


def test_a_transaction_is_news_once_for_each_status(shop):
    """Facts 7.13: lastUpdated of refunds is off by hours, so the window overlaps and what was seen is remembered."""
    rma_ids = [shop.rma() for _ in range(11)]
    for _ in range(4):
        shop.poll("open_rmas")
        shop.clock.pass_(minutes=10)
    number = shop.world.refund(rma_ids[0], shop.world.pieces(rma_ids[0]), status="Requested")
    assert shop.poll("open_rmas")[0] == rma_ids[0]
    shop.clock.pass_(minutes=10)
    assert rma_ids[0] not in shop.poll("open_rmas")
    shop.world.finish_refund(number)
    shop.clock.pass_(hours=3)
    assert shop.poll("open_rmas")[0] == rma_ids[0]


def test_an_rma_closed_in_between_is_read_a_last_time(shop):
    rma_id = shop.rma()
    shop.poll("open_rmas")
    shop.world.mark_done(rma_id)
    shop.clock.pass_(minutes=30)
    assert shop.poll("open_rmas") == [rma_id]
    shop.clock.pass_(minutes=30)
    assert shop.poll("open_rmas") == []


def test_a_reopened_rma_is_news_though_its_status_goes_back(shop):
    """Facts 4: 32 of 305 were reopened."""
    rma_id = shop.rma()
    shop.poll("rmas")
    shop.world.cancel(rma_id)
    shop.clock.pass_(minutes=5)
    assert shop.poll("rmas") == [rma_id]
    shop.world.reopen(rma_id)
    assert shop.world.status(rma_id) == "Approved"
    shop.clock.pass_(minutes=5)
    assert shop.poll("rmas") == [rma_id]


def test_a_great_backlog_is_hinted_at_in_turns_and_completely(shop):
    created = {shop.rma(approved=False) for _ in range(23)}
    seen = []
    for _ in range(5):
        found = shop.poll("rmas")
        assert len(found) <= 5
        seen += found
        shop.clock.pass_(minutes=5)
    assert sorted(seen) == sorted(created)


def test_more_rmas_than_fit_one_page_are_all_found(shop, monkeypatch):
    monkeypatch.setattr("connectors.returngo.client.PAGE_SIZE", 3)
    created = [shop.rma() for _ in range(5)]
    assert sorted(shop.poll("rmas")) == created
    assert sorted(shop.poll("open_rmas")) == created


def test_a_day_of_polling_with_three_hundred_open_rmas_stays_within_the_days_calls():
    """The plan in `polling`, counted: 1248 calls and no more than 2000."""
    with bench() as shop:
        for _ in range(300):
            shop.rma()
        shop.clock.now = datetime(2026, 3, 2, tzinfo=UTC)
        polls = [(at, "rmas") for at in range(0, 1440, 5)] + [(at, "open_rmas") for at in range(0, 1440, 10)]

        async def day():
            for at, feed in sorted(polls):
                shop.clock.now = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=at)
                async for page in shop.connector.observe(feed, shop.cursors[feed]):
                    shop.cursors[feed] = page.cursor
            await shop.connector.close()

        asyncio.run(day())
        assert 1000 < shop.sandbox.calls[shop.clock.now.date()] < 1400


@pytest.mark.parametrize("kind", ["error", "hang", "cut_after", "too_many", "garbage_after"])
def test_a_poll_that_breaks_loses_nothing(kind):
    with bench(timeout=0.3) as shop:
        rma_id = shop.rma()
        shop.sandbox.faults.add(kind, "GET")
        with pytest.raises(TryLater):
            shop.poll("rmas")
        shop.clock.pass_(hours=1)
        assert shop.poll("rmas") == [rma_id]


def test_a_wrong_key_or_shop_is_try_later_and_names_the_answer(shop):
    other = Bench(shop.url, shop.sandbox, shop.clock, api_key="wrong-key")
    with pytest.raises(TryLater, match="401") as refused:
        other.poll("rmas")
    assert "wrong-key" not in str(refused.value)
    elsewhere = Bench(shop.url, shop.sandbox, shop.clock, shop="other.myshopify.com")
    with pytest.raises(TryLater, match="403"):
        elsewhere.poll("rmas")


_CURSORS = st.dictionaries(
    st.sampled_from(["since", "used", "seen", "page", "sweeping", "read_at", "due", "paid", "floor"]),
    st.none() | st.text(max_size=5) | st.integers() | st.just("2026-03-01T06:00:00Z") | st.just({"1": "Done/2"}),
)


@given(st.text() | _CURSORS.map(json.dumps))
@settings(max_examples=100)
def test_any_cursor_text_can_be_polled_from(text):
    for cursor in (polling.RmasCursor.read(text), polling.OpenCursor.read(text)):
        assert type(cursor).read(cursor.text()) == cursor


def test_closed_rmas_forgotten_by_the_cursor_are_no_news_until_reopened(monkeypatch):
    monkeypatch.setattr(polling, "REMEMBERED", 2)
    cursor = polling.RmasCursor()
    rows = [Summary(str(n), "Done", "Done/2") for n in range(1, 5)]
    cursor.remember(rows)
    assert cursor.news(rows) == []
    assert len(cursor.seen) == 2
    assert cursor.news([Summary("1", "Approved", "Approved/2")])


# Fetching


def test_what_is_fetched_is_as_of_when_it_was_asked_for_and_byte_for_byte(shop):
    rma_id = shop.rma()
    (event,) = shop.do(shop.connector.fetch(Ref("returngo.rma", rma_id)))
    assert event == Event("returngo", "returngo.rma", event.payload, shop.clock.now, requested=True)
    assert b'"amount":25.96' in event.payload


@pytest.mark.parametrize("key", ["9999", "", "..", "1001/../1002", "RMA1001", "１００１"])
def test_an_rma_that_cannot_be_is_fetched_as_nothing(shop, key):
    shop.rma()
    assert shop.do(shop.connector.fetch(Ref("returngo.rma", key))) == []


# Webhooks


def test_every_event_is_a_hint_whatever_its_shape(shop):
    shop.sandbox.listen("http://127.0.0.1/hooks/returngo")
    rma_id = shop.rma(label="TRK1")
    shipment = shop.world.shipments(rma_id)[0]
    shop.world.ship(shipment)
    shop.world.receive(shipment)
    shop.world.refund(rma_id, shop.world.pieces(rma_id))
    deliveries = shop.world.drain()
    assert {json.loads(d.body)["eventName"] for d in deliveries} == set(EVENT_NAMES)
    for delivery in deliveries:
        received = shop.connector.receive(delivery.request(shop.clock))
        assert received == [Hint("returngo", Ref("returngo.rma", rma_id))]
    assert shop.world.drain() == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"rmaId": "RMA1001"}, ["1001"]),
        ({"rmaId": 1001}, ["1001"]),
        ({"data": {"rmaSummary": {"rmaId": "1001"}}}, ["1001"]),
        ({"eventName": "TRANSACTION_CREATED", "data": {"id": 7}}, []),
        ({"rmaId": "../../etc"}, []),
        ({"rmaId": True}, []),
        ({}, []),
    ],
)
def test_the_rma_is_found_wherever_it_stands_and_nothing_else_is_taken_for_one(shop, body, named):
    request = WebhookRequest(json.dumps(body).encode(), {}, {"token": shop.sandbox.webhook_token}, shop.clock.now)
    assert [hint.ref.key for hint in shop.connector.receive(request)] == named


@pytest.mark.parametrize("query", [{}, {"token": ""}, {"token": "wrong"}, {"token": "é"}])
def test_without_our_token_a_delivery_is_not_even_read(shop, query):
    with pytest.raises(Rejected) as no:
        shop.connector.receive(WebhookRequest(b"not json", {}, query, shop.clock.now))
    assert no.value.status == 401


def test_with_no_token_configured_no_webhook_is_accepted(shop):
    closed = Bench(shop.url, shop.sandbox, shop.clock, webhook_token="")
    with pytest.raises(Rejected):
        closed.connector.receive(WebhookRequest(b"{}", {}, {"token": ""}, shop.clock.now))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rmaId", "data", "x"]), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()), st.booleans())
@settings(max_examples=200)
def test_any_bytes_are_rejected_or_answered_with_hints(body, allowed):
    given_ = ReturnGoSettings(shop="demo.myshopify.com", api_key="key", webhook_token="token-of-the-tests-1234")
    connector = ReturnGoConnector(given_, Clock(), {})
    request = WebhookRequest(body, {}, {"token": "token-of-the-tests-1234"} if allowed else {}, datetime(2026, 1, 1, tzinfo=UTC))
    with suppress(Rejected):
        received = connector.receive(request)
        assert all(isinstance(each, Hint) and each.ref.key.isdigit() for each in received)


# Actions


def test_a_status_is_set_once_and_then_seen_as_done(shop):
    rma_id = shop.rma(approved=False)
    order = shop.order("set_status", rma={"id": rma_id}, status="approved")
    (before,) = shop.do(shop.connector.look_up([order]))
    assert (before.done, before.receipt) == (False, None)
    assert shop.do(shop.connector.perform(order)).reference == f"rma {rma_id} Approved"
    (after,) = shop.do(shop.connector.look_up([order]))
    assert after.done is True
    assert rma_of(after.events[0]) == rma_id


def test_a_status_that_cannot_follow_is_refused_with_a_word_for_rules(shop):
    rma_id = shop.rma()
    shop.world.mark_done(rma_id)
    with pytest.raises(Refused) as no:
        shop.do(shop.connector.perform(shop.order("set_status", rma={"id": rma_id}, status="approved")))
    assert no.value.reason == "invalid_transition"
    assert "Done -> Approved" in no.value.detail


def test_a_comment_is_written_as_text_and_recognised_again(shop):
    rma_id = shop.rma()
    text = "Refunded 25.96 <USD> & closed\nby instep"
    order = shop.order("comment", rma={"id": rma_id}, text=text)
    assert shop.do(shop.connector.look_up([order]))[0].done is False
    shop.do(shop.connector.perform(order))
    assert shop.world.rma(rma_id)["comments"][0]["htmlText"] == "Refunded 25.96 &lt;USD&gt; &amp; closed<br />by instep"
    assert shop.do(shop.connector.look_up([order]))[0].done is True
    shop.clock.pass_(days=1)
    again = shop.order("comment", rma={"id": rma_id}, text=text)
    assert shop.do(shop.connector.look_up([again]))[0].done is False


def test_a_shipment_gets_its_status_and_number(shop):
    rma_id = shop.rma()
    shipment = {"id": shop.world.shipments(rma_id)[0], "parent": {"id": rma_id}}
    order = shop.order("set_shipment", shipment=shipment, status="label_created", tracking_number="TRK9")
    assert shop.do(shop.connector.look_up([order]))[0].done is False
    shop.do(shop.connector.perform(order))
    assert shop.world.rma(rma_id)["shipments"][0]["trackingNumber"] == "TRK9"
    assert shop.do(shop.connector.look_up([order]))[0].done is True
    other = shop.order("set_shipment", shipment=shipment, status="label_created", tracking_number="TRK8")
    assert shop.do(shop.connector.look_up([other]))[0].done is False


def test_a_carrier_goes_by_the_name_the_codes_give_it(shop):
    rma_id = shop.rma()
    shipment = {"id": shop.world.shipments(rma_id)[0], "parent": {"id": rma_id}}
    order = shop.order("set_shipment", shipment=shipment, status="shipped", carrier="dhl")
    shop.connector._codes = {"returns.set_shipment.carrier": {"dhl": "DHL Express"}}
    assert shop.do(shop.connector.look_up([order]))[0].done is False
    shop.do(shop.connector.perform(order))
    assert shop.world.rma(rma_id)["shipments"][0]["carrierName"] == "DHL Express"
    assert shop.do(shop.connector.look_up([order]))[0].done is True
    other = shop.order("set_shipment", shipment=shipment, status="shipped", carrier="ups")
    assert shop.do(shop.connector.look_up([other]))[0].done is False
    with pytest.raises(Refused) as no:
        shop.do(shop.connector.perform(other))
    assert no.value.reason == "carrier_unmapped"
    shop.connector._codes = {}
    shop.do(shop.connector.perform(other))
    assert shop.world.rma(rma_id)["shipments"][0]["carrierName"] == "ups"


@pytest.mark.parametrize(
    ("params", "given_", "reason"),
    [
        ({"rma": {"id": "9999"}, "status": "done"}, {}, "not_found"),
        ({"rma": {"id": "1001"}, "status": "done"}, {"api_key": "wrong-key"}, "not_authorised"),
        ({"rma": {"id": "1001"}, "status": "done"}, {"shop": "other.myshopify.com"}, "not_authorised"),
        ({"rma": {"id": "1001"}, "status": "unheard_of"}, {}, "invalid_parameters"),
        ({"rma": {}, "status": "done"}, {}, "invalid_parameters"),
    ],
)
def test_every_final_no_has_its_word(shop, params, given_, reason):
    shop.rma()
    connector = Bench(shop.url, shop.sandbox, shop.clock, **given_).connector
    with pytest.raises(Refused) as no:
        shop.do(connector.perform(shop.order("set_status", **params)))
    assert no.value.reason == reason


@pytest.mark.parametrize(
    ("kind", "raised", "happened"),
    [
        ("error", Unsure, False),
        ("error_after", Unsure, True),
        ("hang", Unsure, False),
        ("hang_after", Unsure, True),
        ("cut_after", Unsure, True),
        ("too_many", TryLater, False),
    ],
)
def test_what_may_have_happened_is_unsure_and_the_look_up_tells(kind, raised, happened):
    with bench(timeout=0.3) as shop:
        rma_id = shop.rma()
        order = shop.order("set_status", rma={"id": rma_id}, status="done")
        shop.sandbox.faults.add(kind, "PUT")
        with pytest.raises(raised):
            shop.do(shop.connector.perform(order))
        assert shop.do(shop.connector.look_up([order]))[0].done is happened


def test_one_read_answers_for_all_orders_about_an_rma(shop):
    rma_id = shop.rma()
    orders = [shop.order("comment", rma={"id": rma_id}, text=str(n)) for n in range(5)]
    orders.append(shop.order("set_status", rma={"id": rma_id}, status="approved"))
    before = sum(shop.sandbox.calls.values())
    found = shop.do(shop.connector.look_up(orders))
    assert [evidence.done for evidence in found] == [False] * 5 + [True]
    assert sum(shop.sandbox.calls.values()) == before + 1


# The sandbox itself


@pytest.fixture
def ask(shop):
    headers = {"x-api-key": shop.sandbox.api_key, "x-shop-name": shop.sandbox.shop}
    with httpx.Client(base_url=shop.url, headers=headers, trust_env=False) as client:
        yield client


ALLOWED = {
    "Pending": {"LabelCreated", "Shipped", "Received", "Canceled", "Validated"},
    "LabelCreated": {"Shipped", "Received", "Canceled", "Validated"},
    "Shipped": {"Received", "Canceled", "Validated"},
    "Canceled": {"Received", "Validated"},
    "Received": {"Validated"},
    "Validated": set(),
}


@pytest.mark.parametrize("before", ALLOWED)
@pytest.mark.parametrize("after", ALLOWED)
def test_the_sandbox_allows_the_documented_shipment_transitions_and_no_other(shop, ask, before, after):
    shipment = shop.world.shipments(shop.rma())[0]
    if before != "Pending":
        shop.world.update_shipment(shipment, {"status": before})
    answer = ask.put(f"/shipment/{shipment}", json={"status": after, "carrierName": "Other"})
    allowed = after == before or after in ALLOWED[before]
    assert answer.status_code == (200 if allowed else 400)
    if allowed:
        assert (answer.json()["status"], answer.json()["carrierName"]) == (after, "Other")


def test_the_sandbox_lists_filters_and_pages_as_documented(shop, ask):
    done, approved, pending = shop.rma(), shop.rma(label="TRK1"), shop.rma(approved=False)
    shop.world.mark_done(done)

    def listed(**query):
        return [r["rmaId"] for r in ask.get("/rmas", params={"pagesize": "500", **query}).json()["rmas"]]

    assert listed(status="Pending,Done") == [pending, done]
    assert listed(status=OPEN) == [approved]
    assert listed(tracking_numbers="TRK1") == [approved]
    assert listed(rma_created_at="gte:2026-03-01T06:00:00") == [pending, approved, done]
    assert listed(rma_created_at="lt:2026-03-01T06:00:00") == []
    assert listed(sort_by="+rma_created_at") == listed(sort_by="-rma_created_at") == [pending, approved, done]
    first = ask.get("/rmas", params={"pagesize": "2"}).json()
    second = ask.get("/rmas", params={"pagesize": "2", "cursor": first["next_cursor"]}).json()
    assert [r["rmaId"] for r in first["rmas"] + second["rmas"]] == [pending, approved, done]
    assert "next_cursor" not in second
    assert ask.get("/rmas").status_code == 400
    assert ask.get("/rmas", params={"pagesize": "501"}).status_code == 400
    assert ask.get("/rma/abc").status_code == 400
    assert ask.get("/rma/77").status_code == 404


def test_the_sandbox_keeps_one_webhook_row_for_each_event_name(shop, ask):
    row = ask.post("/webhook", json={"url": "http://127.0.0.1/x?token=t", "eventName": "RMA_CREATED"}).json()
    assert ask.get("/webhooks").json() == [row]
    rma_id = shop.rma()
    (delivery,) = shop.world.drain()
    assert (delivery.url, json.loads(delivery.body)["rmaSummary"]["rmaId"]) == (row["url"], rma_id)
    assert ask.delete(f"/webhook/{row['id']}").status_code == 200
    assert ask.post("/webhook", json={"url": "http://127.0.0.1/x", "eventName": "NO_SUCH"}).status_code == 400
    shop.rma()
    assert shop.world.drain() == []
