"""Mirakl as the marketplace: nothing missed, nothing refunded on a guess, every no told in a word rules can read."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.http import AT_ONCE, Http, dumps
from connectors.mirakl.client import MiraklClient
from connectors.mirakl.connector import MiraklConnector
from connectors.mirakl.shapes import NewLine, NewTax
from connectors.mirakl.world import World
from engine.facts.outside import Order, Ref, Refused, Rejected, TryLater, Unsure, WebhookRequest
from engine.facts.values import Money
from tests.connectors.contract_mirakl import CODES, fill, order, payload
from tests.connectors.kit import TestClock, events, pages, run
from tests.connectors.mirakl_market import Market, example, market


@pytest.fixture
def served() -> Iterator[Market]:
    with market() as found:
        yield found


@pytest.fixture
def filled(served: Market) -> Market:
    fill(served.sandbox)
    return served


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> MiraklConnector:
    """A connector whose other side is this function."""
    connector = MiraklConnector(MiraklConnector.Settings(url="https://x.example", api_key="key", shop_id=7), TestClock(), CODES)
    http = Http("https://x.example", {"Authorization": "key"}, retries=AT_ONCE, transport=httpx.MockTransport(answer))
    connector._client._http = http
    return connector


def says(body: Any, status: int = 200, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    raw = body if isinstance(body, bytes) else dumps(body)
    return lambda _: httpx.Response(status, content=raw, headers=headers)


def ids(found: list[Any]) -> list[str]:
    return [json.loads(e.payload).get("id") or json.loads(e.payload)["order_id"] for e in found]


# polls


def test_an_order_changed_twice_is_seen_twice_and_none_is_missed(served: Market) -> None:
    connector, cursor = served.connector(), ""
    seen: list[str] = []
    for n in range(30):
        served.sandbox.world.add_order(f"P-{n:02}", NewLine("S"))
        served.clock.tick(minutes=1)
        if n % 5 == 4:
            found = run(pages(connector, "orders", cursor))
            cursor = found[-1].cursor
            seen += ids([e for p in found for e in p.events])
    assert set(seen) == {f"P-{n:02}" for n in range(30)}
    served.clock.tick(hours=2)
    served.sandbox.world.ship("P-00")
    assert "P-00" in ids(run(events(connector, "orders", cursor)))


def test_a_poll_pages_by_a_hundred_and_goes_on_where_it_was_cut_off(served: Market) -> None:
    for n in range(230):
        served.sandbox.world.add_order(f"P-{n:03}", NewLine("S"))
    connector = served.connector()
    found = run(pages(connector, "orders"))
    assert [len(p.events) for p in found] == [100, 100, 30]
    assert all(dict(e.query)["max"] == "100" for e in served.asked("/api/orders"))
    served.clock.tick(hours=3)
    rest = run(pages(connector, "orders", found[0].cursor))
    assert [len(p.events) for p in rest] == [100, 30]
    assert rest[-1].cursor == found[-1].cursor


def test_an_order_that_changes_between_two_pages_is_not_lost(served: Market) -> None:
    """The window has no end, so that what changes while we page stays in it and moves nobody up."""
    world = served.sandbox.world
    for n in range(150):
        world.add_order(f"P-{n:03}", NewLine("S"))
        served.clock.tick(seconds=1)
    connector, seen = served.connector(), []

    async def poll() -> None:
        async for page in connector.observe("orders", ""):
            seen.extend(ids(list(page.events)))
            served.clock.tick(minutes=1)
            world.ship("P-050")

    run(poll())
    assert set(seen) == {f"P-{n:03}" for n in range(150)}
    assert not any(name == "end_update_date" for e in served.asked("/api/orders") for name, _ in e.query)


def test_polls_overlap_because_clocks_differ(served: Market) -> None:
    """Our clock runs a day ahead of theirs, and still no change falls between two polls."""
    world, connector = served.sandbox.world, served.connector()
    ahead = served.connector()
    ahead._reader._clock = lambda: served.clock() + timedelta(days=1)
    world.add_order("A-1", NewLine("S"))
    cursor = run(pages(ahead, "orders"))[-1].cursor
    served.clock.tick(minutes=3)
    world.ship("A-1")
    assert ids(run(events(ahead, "orders", cursor))) == ["A-1"]
    assert connector.feeds["orders"].every == timedelta(minutes=5)


def test_a_quiet_shop_keeps_its_window_open(served: Market) -> None:
    connector = served.connector()
    cursor = run(pages(connector, "orders"))[-1].cursor
    served.clock.tick(days=3)
    assert run(pages(connector, "orders", cursor))[-1].cursor == cursor


def test_a_paid_refund_is_seen_even_where_it_moves_no_date(filled: Market) -> None:
    world, connector = filled.sandbox.world, filled.connector()
    world.refunds_touch_orders = False
    run(connector.perform(order(filled.clock, "refund", payload())))
    cursor = run(pages(connector, "orders"))[-1].cursor
    filled.clock.tick(days=2)
    world.add_order("Z-1", NewLine("S"))
    cursor = run(pages(connector, "orders", cursor))[-1].cursor
    world.pay_refunds("A-1")
    found = {ids([e])[0]: json.loads(e.payload) for e in run(events(connector, "orders", cursor))}
    assert found["A-1"]["order_lines"][0]["refunds"][0]["refund_state"] == "REFUNDED"
    last = run(pages(connector, "orders", cursor))[-1].cursor
    assert "A-1" not in last


def test_an_incident_that_is_closed_is_seen_to_be_gone(filled: Market) -> None:
    connector = filled.connector()
    found = run(pages(connector, "incidents"))
    assert ids([e for p in found for e in p.events]) == ["C-1"]
    filled.sandbox.world.close_incident("C-1", "C-1-1")
    (over,) = run(events(connector, "incidents", found[-1].cursor))
    assert json.loads(over.payload)["has_incident"] is False
    assert run(events(connector, "incidents", run(pages(connector, "incidents", found[-1].cursor))[-1].cursor)) == []


def test_returns_are_paged_by_token_which_holds_the_filters(served: Market) -> None:
    world = served.sandbox.world
    world.add_order("A-1", NewLine("S", 300))
    opened = [world.open_return("A-1", {"A-1-1": 1}) for _ in range(130)]
    connector = served.connector()
    found = run(pages(connector, "returns"))
    assert sorted(ids([e for p in found for e in p.events])) == sorted(opened)
    second = served.asked("/api/returns")[1]
    assert "return_last_updated_from" not in dict(second.query)
    resumed = run(pages(connector, "returns", found[0].cursor))
    assert sum(len(p.events) for p in resumed) == 30


def test_a_page_token_that_is_no_longer_taken_begins_the_window_anew(served: Market) -> None:
    world = served.sandbox.world
    world.add_order("A-1", NewLine("S", 300))
    opened = [world.open_return("A-1", {"A-1-1": 1}) for _ in range(130)]
    connector = served.connector()
    cursor = json.loads(run(pages(connector, "returns"))[0].cursor)
    seen = run(events(connector, "returns", json.dumps({**cursor, "token": "bm90IGEgdG9rZW4="})))
    assert set(ids(seen)) == set(opened)


def test_external_partners_read_orders_every_15_minutes(served: Market) -> None:
    partner, own = served.connector(external_partner=True), served.connector()
    assert partner.feeds["orders"].every == timedelta(minutes=15)
    assert own.feeds["orders"].every == timedelta(minutes=5)
    assert MiraklConnector.feeds["orders"].every == timedelta(minutes=5)


def test_what_names_no_shop_is_told_to_be_about_ours(served: Market) -> None:
    for more in ({}, {"shop_id": None}):
        connector = served.connector(**more)
        for feed in ("platform", "reasons", "account"):
            (event,) = run(events(connector, feed))
            assert event.about == "2001"


def test_every_call_names_the_shop(filled: Market) -> None:
    connector = filled.connector()
    for feed in connector.feeds:
        run(events(connector, feed))
    run(connector.perform(order(filled.clock, "refund", payload())))
    assert all(("shop_id", "2001") in e.query for e in filled.wire.exchanges)


def test_many_orders_are_asked_for_a_hundred_at_a_time(served: Market) -> None:
    for n in range(120):
        served.sandbox.world.add_order(f"P-{n:03}", NewLine("S"))
    orders = [order(served.clock, "refund", payload(f"P-{n:03}-1"), key=str(n)) for n in range(120)]
    found = run(served.connector().look_up(orders))
    assert all(e.done is None and len(e.events) == 1 for e in found)
    assert len(served.asked("/api/orders")) == 2


# answers that are not what they should be


def test_a_broken_page_never_moves_the_cursor() -> None:
    for body in ({}, [], {"orders": None}, {"orders": {}}, {"data": "x"}, None, 3):
        with pytest.raises(TryLater):
            run(pages(answering(says(body)), "orders"))
        with pytest.raises(TryLater):
            run(pages(answering(says(body)), "returns"))


def test_a_host_that_repeats_a_page_for_ever_is_left() -> None:
    page = {"orders": [{"order_id": "A"}], "total_count": 10_000}
    with pytest.raises(TryLater, match="same page"):
        run(pages(answering(says(page)), "orders"))


def test_a_host_that_ignores_max_is_read_to_the_end() -> None:
    """Some installations give ten at a time whatever is asked."""

    def ten(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params.get("offset", "0"))
        orders = [{"order_id": f"P-{n}"} for n in range(offset, min(offset + 10, 35))]
        return httpx.Response(200, content=dumps({"orders": orders, "total_count": 35}))

    assert len(run(events(answering(ten), "orders"))) == 35


def test_without_a_link_or_a_count_a_full_page_has_a_next() -> None:
    def bare(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        return httpx.Response(
            200, content=dumps({"orders": [{"order_id": f"P-{n}"} for n in range(offset, min(offset + 100, 250))]})
        )

    assert len(run(events(answering(bare), "orders"))) == 250


def test_what_we_do_not_understand_is_handed_on_untouched() -> None:
    """New fields, new states and orders without an id are for the mapping to judge, not for the wire."""
    orders = [{"order_id": "A", "order_state": "BRAND_NEW", "new": {"x": Decimal("1.10")}}, {"no": "id"}, 3]
    found = run(events(answering(says({"orders": orders, "total_count": 3})), "orders"))
    assert [e.payload for e in found] == [dumps(o) for o in orders]


def test_amounts_keep_every_digit() -> None:
    raw = b'{"orders":[{"order_id":"A","price":12.50,"rate":0.1000000000000000055511151231257827}],"total_count":1}'
    (event,) = run(events(answering(says(raw)), "orders"))
    assert event.payload == b'{"order_id":"A","price":12.50,"rate":0.1000000000000000055511151231257827}'


def test_a_poll_that_is_refused_is_told_and_tried_much_later(served: Market) -> None:
    served.sandbox.roles = {"ROLE_PARTNER_ORDER_READ"}
    with pytest.raises(TryLater, match="RT11 refused: HTTP 403") as later:
        run(pages(served.connector(), "returns"))
    assert later.value.after == timedelta(hours=1)


# refunds


def sent(served: Market, path: str = "/api/orders/refund") -> Any:
    return json.loads(served.asked(path)[-1].body, parse_float=str)


def test_a_refund_states_exact_amounts_its_tax_mode_and_currency(filled: Market) -> None:
    receipt = run(filled.connector().perform(order(filled.clock, "refund", payload())))
    assert sent(filled) == {
        "order_tax_mode": "TAX_INCLUDED",
        "refunds": [
            {
                "order_line_id": "A-1-1", "amount": "100.00", "shipping_amount": "2.50", "quantity": 1, "reason_code": "17",
                "currency_iso_code": "USD", "taxes": [{"code": "VAT", "amount": "16.67"}],
            }
        ],
    }  # fmt: skip
    (booked,) = filled.sandbox.books()
    assert receipt.reference == receipt.details["refund_id"] == booked.refund_id
    assert receipt.details["order_refund_id"]
    (event,) = receipt.events
    assert json.loads(event.payload)["order_lines"][0]["refunds"][0]["id"] == booked.refund_id


def test_the_amounts_are_json_numbers_whatever_samples_do(filled: Market) -> None:
    run(filled.connector().perform(order(filled.clock, "refund", payload())))
    raw = filled.asked("/api/orders/refund")[0].body
    assert b'"amount":100.00,"shipping_amount":2.50' in raw
    assert b'"taxes":[{"code":"VAT","amount":16.67}]' in raw


@given(amount=st.decimals(min_value=Decimal("0.01"), max_value=Decimal("9999999.99"), places=2))
@settings(max_examples=100)
def test_no_amount_is_ever_rounded_on_its_way(amount: Decimal) -> None:
    bodies: list[bytes] = []

    def take(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return httpx.Response(200, content=b'{"refunds":[{"order_line_id":"A-1-1","refund_id":"5"}],"orders":[]}')

    receipt = run(answering(take).perform(order(TestClock(), "refund", payload(amount=str(amount)))))
    assert receipt.reference == "5"
    assert f'"amount":{amount},'.encode() in bodies[0]


def test_taxes_mirakl_works_out_are_not_sent(served: Market) -> None:
    served.sandbox.world.add_order("A-1", NewLine("S", 2, "100.00", "5.00", taxes=(NewTax("VAT", "33.34", "proportional"),)))
    run(served.connector().perform(order(served.clock, "refund", payload(taxes=()))))
    assert "taxes" not in sent(served)["refunds"][0]
    assert served.sandbox.books()[0].taxes == Decimal("16.67")


def test_the_receipt_stands_when_the_order_cannot_be_read_again(filled: Market) -> None:
    filled.sandbox.faults.add("error", "GET", times=20)
    receipt = run(filled.connector().perform(order(filled.clock, "refund", payload())))
    assert receipt.reference
    assert receipt.events == ()


def test_a_reason_of_ours_is_mapped_and_an_unmapped_one_sends_nothing(filled: Market) -> None:
    connector = filled.connector()
    run(connector.perform(order(filled.clock, "refund", payload(reason="out_of_stock"))))
    assert sent(filled)["refunds"][0]["reason_code"] == "15"
    with pytest.raises(Refused, match="reason_unmapped"):
        run(connector.perform(order(filled.clock, "refund", payload(reason="did not like it"))))
    assert len(filled.asked("/api/orders/refund")) == 1


@pytest.mark.parametrize("reason", [None, ""])
def test_without_a_reason_the_default_code_is_sent(filled: Market, reason: str | None) -> None:
    run(filled.connector().perform(order(filled.clock, "refund", payload(reason=reason))))
    assert sent(filled)["refunds"][0]["reason_code"] == "17"


def test_an_amount_that_is_nothing_or_negative_is_not_sent(filled: Market) -> None:
    for wrong in (payload(amount="0", shipping="0", taxes=()), payload(amount="-1.00"), payload(shipping="-0.01")):
        with pytest.raises(Refused, match="invalid_amount"):
            run(filled.connector().perform(order(filled.clock, "refund", wrong)))
    assert filled.asked("/api/orders/refund") == []


def test_amounts_of_an_unknown_tax_mode_are_not_sent(filled: Market) -> None:
    for mode in (None, "gross"):
        with pytest.raises(Refused, match="taxes is not known"):
            run(filled.connector().perform(order(filled.clock, "refund", payload(tax_mode=mode))))
    assert filled.asked("/api/orders/refund") == []


REFUSALS: list[tuple[str, Callable[[World], Any], dict[str, Any]]] = [
    ("order_closed", lambda w: w.close("A-1"), {}),
    (
        "not_debited",
        lambda w: w.add_order("N-1", NewLine("S", 2, "100.00", "5.00"), debited=False),
        {"line": "N-1-1", "order": "N-1"},
    ),
    ("line_not_refundable", lambda w: w.cancel_by_operator("A-1"), {}),
    (
        "line_not_refundable",
        lambda w: w.add_order("N-1", NewLine("S", 2, "100.00", "5.00"), paid_to_seller=True),
        {"line": "N-1-1", "order": "N-1", "taxes": ()},
    ),
    ("refund_in_progress", lambda w: w.refund_by_hand("A-1", "A-1-1", "150.00"), {}),
    (
        "refund_in_progress",
        lambda w: (w.refund_by_hand("A-1", "A-1-1", "1.00"), setattr(w, "one_refund_at_a_time", True)),
        {"amount": Money.of("10.00", "USD"), "shipping_amount": Money.of("0", "USD")},
    ),
    ("invalid_amount", lambda _: None, {"amount": Money.of("200.01", "USD")}),
    ("invalid_amount", lambda w: (w.refund_by_hand("A-1", "A-1-1", "150.00"), w.advance_refunds(), w.advance_refunds()), {}),
    ("tax_missing", lambda _: None, {"taxes": ()}),
    ("tax_missing", lambda _: None, {"taxes": ({"code": "VAT", "amount": Money.of("0.00", "USD")},)}),
    ("reason_not_allowed", lambda _: None, {"reason": "not_ours"}),
    ("not_found", lambda _: None, {"line": "Q-1-1"}),
]


@pytest.mark.parametrize("silent", [False, True], ids=["with a message", "without a word"])
@pytest.mark.parametrize(("word", "spoil", "more"), REFUSALS, ids=[r[0] for r in REFUSALS])
def test_every_refusal_has_its_word_whatever_mirakl_says(
    filled: Market, silent: bool, word: str, spoil: Callable[[World], Any], more: dict[str, Any]
) -> None:
    spoil(filled.sandbox.world)
    filled.sandbox.silent = silent
    before = filled.sandbox.books()
    with pytest.raises(Refused) as no:
        run(filled.connector().perform(order(filled.clock, "refund", {**payload(), **more})))
    assert no.value.reason == word
    assert filled.sandbox.books() == before


def test_a_balance_that_is_too_low_is_told_in_mirakls_own_words(filled: Market) -> None:
    filled.sandbox.world.pending = Decimal(1)
    with pytest.raises(Refused) as no:
        run(filled.connector().perform(order(filled.clock, "refund", payload())))
    assert no.value.reason == "balance_too_low"
    assert "sufficient payable balance" in no.value.detail


def test_a_key_without_the_role_is_missing_role(filled: Market) -> None:
    filled.sandbox.roles = {"ROLE_PARTNER_ORDER_READ"}
    with pytest.raises(Refused) as no:
        run(filled.connector().perform(order(filled.clock, "refund", payload())))
    assert no.value.reason == "missing_role"


def test_a_key_that_is_not_taken_waits_for_a_person(filled: Market) -> None:
    with pytest.raises(TryLater):
        run(filled.connector(api_key="old").perform(order(filled.clock, "refund", payload())))


def test_a_waiting_refund_is_known_by_its_deprecated_name_too() -> None:
    """Published samples have `state` and no `refund_state`."""
    line = {"order_line_id": "A-1-1", "order_line_state": "SHIPPED", "debited_date": "x", "price": 200, "shipping_price": 5}
    refund = {"state": "WAITING_REFUND_PAYMENT", "amount": 150, "shipping_amount": 0}

    def answer(request: httpx.Request) -> httpx.Response:
        shown = {"order_id": "A-1", "order_lines": [{**line, "refunds": [refund]}]}
        return httpx.Response(400) if request.method == "PUT" else httpx.Response(200, content=dumps({"orders": [shown]}))

    with pytest.raises(Refused, match="refund_in_progress"):
        run(answering(answer).perform(order(TestClock(), "refund", payload())))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors":[{"code":"NEW","field":"x","message":"No."}]}', b'"no"'])
def test_an_unknown_no_is_invalid_request_with_its_text(body: bytes) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            return httpx.Response(400, content=body)
        if request.url.path == "/api/reasons":
            return httpx.Response(403)
        line = {
            "order_line_id": "A-1-1", "order_line_state": "SHIPPED", "debited_date": "2026-01-01T00:00:00Z", "price": 200,
            "shipping_price": 5,
        }  # fmt: skip
        return httpx.Response(200, content=dumps({"orders": [{"order_id": "A-1", "order_lines": [line]}], "total_count": 1}))

    with pytest.raises(Refused) as no:
        run(answering(answer).perform(order(TestClock(), "refund", payload())))
    assert no.value.reason == "invalid_request"
    assert no.value.detail


def test_errors_of_items_inside_a_200_are_a_no() -> None:
    body = {"refunds": [], "refund_errors": [{"order_line_id": "A-1-1", "message": "not a sufficient balance"}]}
    with pytest.raises(Refused, match="balance_too_low"):
        run(answering(says(body)).perform(order(TestClock(), "refund", payload())))


@pytest.mark.parametrize(
    "body", [{}, {"refunds": []}, {"refunds": [{"order_line_id": "B", "refund_id": "1"}]}, {"refunds": [{}]}, [], 1]
)
def test_a_200_that_does_not_name_our_refund_is_unsure(body: Any) -> None:
    with pytest.raises(Unsure):
        run(answering(says(body)).perform(order(TestClock(), "refund", payload())))


def test_a_time_out_after_the_refund_was_made_is_unsure_and_the_look_up_shows_it(filled: Market) -> None:
    connector = filled.connector(timeout=0.2)
    wanted = order(filled.clock, "refund", payload())
    filled.sandbox.faults.add("hang_after", "PUT")
    with pytest.raises(Unsure):
        run(connector.perform(wanted))
    (found,) = run(connector.look_up([replace(wanted, sent_at=filled.clock())]))
    assert found.done is None
    (refund,) = json.loads(found.events[0].payload)["order_lines"][0]["refunds"]
    assert refund["id"] == filled.sandbox.books()[0].refund_id
    assert len(filled.sandbox.books()) == 1


# cancellations, incidents, returns


def test_a_whole_unpaid_order_is_cancelled_at_once_where_mirakl_lets_it(served: Market) -> None:
    served.sandbox.world.add_order("B-1", NewLine("S", 1, "10.00"), state="WAITING_DEBIT", debited=False)
    whole = payload("B-1-1", "10.00", "0.00", taxes=())
    run(served.connector().perform(order(served.clock, "cancel", whole)))
    (asked,) = served.asked("/api/orders/B-1/cancel")
    assert asked.body == b""
    assert served.sandbox.world.orders["B-1"]["order_state"] == "CANCELED"


def test_a_part_of_an_order_is_cancelled_by_line_with_its_quantity(filled: Market) -> None:
    receipt = run(filled.connector().perform(order(filled.clock, "cancel", payload("B-1-1"))))
    assert sent(filled, "/api/orders/cancel")["cancelations"][0]["quantity"] == 1
    assert receipt.reference == receipt.details["cancelation_id"]


def test_a_paid_line_cannot_be_cancelled(filled: Market) -> None:
    for silent in (False, True):
        filled.sandbox.silent = silent
        with pytest.raises(Refused, match="line_not_cancelable"):
            run(filled.connector().perform(order(filled.clock, "cancel", payload())))


def test_with_taxes_per_order_a_cancelation_states_none() -> None:
    bodies: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            bodies.append(json.loads(request.content))
            return httpx.Response(200, content=b'{"cancelations":[{"order_line_id":"A-1-1","cancelation_id":9}]}')
        shown = {"order_id": "A-1", "order_taxes": [{"code": "VAT"}], "order_lines": []}
        return httpx.Response(200, content=dumps({"orders": [shown], "total_count": 1}))

    for mode, stated in (("excluded", False), ("included", True)):
        receipt = run(answering(answer).perform(order(TestClock(), "cancel", payload(tax_mode=mode))))
        assert receipt.reference == "9"
        assert ("taxes" in bodies[-1]["cancelations"][0]) is stated


def incident(clock: TestClock) -> Order:
    return order(clock, "resolve_incident", {"line": {"id": "C-1-1", "key": "C-1/C-1-1", "parent": {"id": "C-1"}}})


def test_a_resolved_incident_that_nobody_closed_yet_is_not_said_to_be_undone(filled: Market) -> None:
    filled.sandbox.world.resolving_closes = False
    connector, wanted = filled.connector(), incident(filled.clock)
    (before,) = run(connector.look_up([wanted]))
    run(connector.perform(wanted))
    (after,) = run(connector.look_up([replace(wanted, sent_at=filled.clock())]))
    assert (before.done, after.done) == (False, None)
    filled.sandbox.world.close_incident("C-1", "C-1-1")
    (closed,) = run(connector.look_up([wanted]))
    assert closed.done is True


def test_an_incident_already_gone_cannot_be_resolved(filled: Market) -> None:
    filled.sandbox.world.close_incident("C-1", "C-1-1")
    with pytest.raises(Refused):
        run(filled.connector().perform(incident(filled.clock)))


def test_a_return_error_inside_a_200_is_a_no(filled: Market) -> None:
    params = {"market_return": {"id": "f61b5db8-0000-4000-8000-000000000000"}, "state": "received"}
    with pytest.raises(Refused) as no:
        run(filled.connector().perform(order(filled.clock, "set_return", params)))
    assert (no.value.reason, no.value.detail) == ("not_found", "The return does not exist.")


def test_a_refused_return_carries_its_reason(filled: Market) -> None:
    (return_id, *_) = filled.sandbox.world.desk.returns
    params = {"market_return": {"id": return_id}, "state": "refused"}
    run(filled.connector().perform(order(filled.clock, "set_return", params)))
    assert sent(filled, "/api/returns/accept")["returns"][0]["rejection_reason_code"] == "RETURN_REJECTION_NOT_ELIGIBLE"
    assert filled.sandbox.world.desk.returns[return_id]["state"] == "REFUSED"


def test_compliance_is_reported_for_every_line(filled: Market) -> None:
    *_, return_id = filled.sandbox.world.desk.returns
    wanted = order(filled.clock, "report_compliance", {"market_return": {"id": return_id}, "compliant": False})
    run(filled.connector().perform(wanted))
    (line,) = sent(filled, "/api/returns/compliance")["returns"][0]["return_lines"]
    assert line["compliant"] is False
    assert line["non_compliance_reason_code"] == "RETURN_NON_COMPLIANT_OTHER"
    (found,) = run(filled.connector().look_up([wanted]))
    assert found.done is True


def test_sellers_get_no_webhooks(served: Market) -> None:
    with pytest.raises(Rejected):
        served.connector().receive(WebhookRequest(b"{}", {}, {}, datetime(2026, 1, 1, tzinfo=UTC)))


# whatever comes


@given(
    body=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda v: st.lists(v, max_size=3), max_leaves=5
    ).map(dumps)
    | st.dictionaries(
        st.sampled_from(
            ["orders", "total_count", "data", "next_page_token", "refunds", "cancelations", "return_errors", "reasons", "errors"]
        ),
        st.none()
        | st.integers()
        | st.lists(
            st.none()
            | st.text(max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["order_id", "order_lines", "id", "refund_id", "order_line_id", "message", "state", "last_updated_date"]
                ),
                st.none()
                | st.integers()
                | st.text(max_size=5)
                | st.just("A-1-1")
                | st.just("A-1")
                | st.lists(st.none(), max_size=2),
            ),
            max_size=3,
        ),
    ).map(dumps),
    status=st.sampled_from([200, 200, 200, 204, 302, 400, 401, 403, 404, 418, 429, 500, 503]),
)
@settings(max_examples=150, deadline=None)
def test_whatever_bytes_come_the_connector_only_says_later_no_or_unsure(body: bytes, status: int) -> None:
    connector = answering(says(body, status))
    returned = {"market_return": {"id": "r"}, "state": "closed"}
    orders = [
        order(TestClock(), "refund", payload()),
        order(TestClock(), "cancel", payload()),
        incident(TestClock()),
        order(TestClock(), "set_return", returned),
        order(TestClock(), "report_compliance", {**returned, "compliant": True}),
    ]

    async def everything() -> None:
        for work in (
            *(pages(connector, feed) for feed in connector.feeds),
            *(connector.perform(o) for o in orders),
            connector.look_up(orders),
            connector.fetch(Ref("mirakl.order", "A-1")),
        ):
            try:
                await work
            except (TryLater, Refused, Unsure):
                continue

    run(everything())


def test_published_samples_go_through_whole() -> None:
    orders, returns = example("OR11_response_200"), example("RT11_response_200")
    found = run(events(answering(says(json.dumps(orders).encode())), "orders"))
    assert [json.loads(e.payload) for e in found] == orders["orders"]
    client = MiraklClient(Http("https://x.example", transport=httpx.MockTransport(says(json.dumps(returns).encode()))))
    page = run(client.returns_updated_since(datetime(2026, 1, 1, tzinfo=UTC)))
    assert list(page.returns) == returns["data"]
    assert page.next_token == returns["next_page_token"]
