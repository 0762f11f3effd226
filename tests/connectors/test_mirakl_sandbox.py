"""The sandbox keeps the published shape and the marketplace's own rules."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.http import Http, HttpError
from connectors.mirakl.amounts import No
from connectors.mirakl.market import BALANCE
from connectors.mirakl.shapes import NewLine, NewTax
from connectors.mirakl.world import World
from engine.facts.budget import Limit
from engine.facts.outside import Refused, TryLater
from tests.connectors.contract_mirakl import fill, order, payload
from tests.connectors.kit import TestClock, events, run
from tests.connectors.mirakl_market import Market, market, spec

LINE = NewLine("SHOE-41", 2, "100.00", "5.00", taxes=(NewTax("VAT", "33.34"),), commission="20.00", commission_tax="4.00")


@pytest.fixture
def served() -> Iterator[Market]:
    with market() as found:
        yield found


@pytest.fixture
def world() -> World:
    found = World(TestClock(), "USD", "TAX_INCLUDED")
    found.add_order("A-1", LINE)
    found.ship("A-1")
    return found


def refund(**more: Any) -> dict[str, Any]:
    item = {
        "order_line_id": "A-1-1",
        "amount": 100,
        "shipping_amount": 0,
        "reason_code": "17",
        "taxes": [{"code": "VAT", "amount": "16.67"}],
    }
    return {"refunds": [{**item, **more}]}


def test_every_request_and_answer_keeps_the_published_schema(served: Market) -> None:
    published = spec()
    returns = fill(served.sandbox)
    refused = served.sandbox.world.open_return("A-1", {"A-1-1": 1}, rma="RMA-7")
    connector = served.connector()
    line = {"id": "C-1-1", "key": "C-1/C-1-1", "parent": {"id": "C-1"}}
    deeds = [
        ("refund", payload(shipping_taxes=())),
        ("cancel", payload("B-1-1")),
        ("resolve_incident", {"line": line}),
        ("set_return", {"market_return": {"id": returns["asked"]}, "state": "accepted"}),
        ("set_return", {"market_return": {"id": returns["asked"]}, "state": "received"}),
        ("set_return", {"market_return": {"id": refused}, "state": "refused"}),
        ("report_compliance", {"market_return": {"id": returns["received"]}, "compliant": False}),
        ("set_return", {"market_return": {"id": returns["received"]}, "state": "closed"}),
    ]

    async def everything() -> None:
        for action, params in deeds:
            await connector.perform(order(served.clock, action, params))
        for feed in connector.feeds:
            await events(connector, feed)

    run(everything())
    served.sandbox.world.pay_refunds()
    served.sandbox.world.add_order("D-1", NewLine("S"), state="WAITING_DEBIT", debited=False)
    run(connector.perform(order(served.clock, "cancel", payload("D-1-1", "10.00", "0.00", taxes=()))))
    run(events(connector, "orders"))
    seen = {published.check(exchange) for exchange in served.wire.exchanges}
    assert seen == {"OR11", "OR28", "OR29", "OR30", "OR64", "RT11", "RT21", "RT25", "RT26", "RT27", "RE01", "PC01", "A01"}


def test_orders_are_paged_ten_by_ten_unless_asked(served: Market) -> None:
    for n in range(25):
        served.sandbox.world.add_order(f"P-{n:02}", NewLine("S"))
    http = Http(served.url, {"Authorization": served.sandbox.api_key})
    first = run(http.get("/api/orders"))
    assert len(first.json()["orders"]) == 10
    assert first.json()["total_count"] == 25
    ids = [o["order_id"] for o in first.json()["orders"]]
    while (link := first.link("next")) is not None:
        first = run(http.get(link))
        ids += [o["order_id"] for o in first.json()["orders"]]
    assert ids == [f"P-{n:02}" for n in range(25)]


def test_a_hundred_ids_are_the_most(served: Market) -> None:
    served.sandbox.world.add_order("A-1", LINE)
    http = Http(served.url, {"Authorization": served.sandbox.api_key})
    with pytest.raises(HttpError, match="limit of 100 is exceeded"):
        run(http.get("/api/orders", {"order_ids": ",".join(str(n) for n in range(101))}))


def test_a_bearer_key_is_not_the_key(served: Market) -> None:
    for key, status in ((f"Bearer {served.sandbox.api_key}", 401), ("other", 401)):
        with pytest.raises(HttpError) as no:
            run(Http(served.url, {"Authorization": key}).get("/api/orders"))
        assert no.value.status == status


def test_limits_answer_429_until_the_window_has_passed(served: Market) -> None:
    served.sandbox.admission.limits = (Limit(1, timedelta(minutes=1), "OR11"),)
    connector = served.connector()
    run(events(connector, "orders"))
    served.clock.tick(seconds=20)
    with pytest.raises(TryLater) as later:
        run(events(connector, "orders"))
    assert later.value.after == timedelta(seconds=40)
    served.clock.tick(seconds=40)
    run(events(connector, "orders"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w.close("A-1"), "expected state"),
        (lambda w: w.orders["A-1"]["order_lines"][0].pop("debited_date"), "expected state"),
        (lambda w: setattr(w, "pending", Decimal(1)), BALANCE),
        (lambda w: w.refund_by_hand("A-1", "A-1-1"), "expected state|exceeds"),
        (lambda w: (w.refund_by_hand("A-1", "A-1-1", "1.00"), setattr(w, "one_refund_at_a_time", True)), "already in progress"),
    ],
)
def test_refunds_the_marketplace_refuses_by_its_state(world: World, spoil: Callable[[World], Any], message: str) -> None:
    spoil(world)
    before = json.dumps(world.orders, default=str), len(world.books())
    with pytest.raises(No, match=message) as no:
        world.refund(refund())
    assert no.value.status == 400
    assert (json.dumps(world.orders, default=str), len(world.books())) == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"reason_code": "14"}, "reason '14' cannot be used"),
        ({"reason_code": "nonsense"}, "reason"),
        ({"amount": "200.01"}, "exceeds"),
        ({"amount": -1}, "exceeds"),
        ({"shipping_amount": "5.01"}, "exceeds"),
        ({"amount": None}, "datatype"),
        ({"amount": True}, "datatype"),
        ({"amount": "a lot"}, "datatype"),
        ({"taxes": []}, "tax VAT .* is required"),
        ({"taxes": None}, "tax VAT .* is required"),
        ({"taxes": [{"code": "VAT", "amount": 0}]}, "tax VAT .* is required"),
        ({"taxes": [{"code": "VAT", "amount": None}]}, "tax VAT .* is required"),
        ({"taxes": [{"code": "VAT", "amount": "33.35"}]}, "exceeds"),
        ({"taxes": [{"code": "GST", "amount": "1"}]}, "Unknown tax"),
        ({"amount": 0, "taxes": []}, "zero"),
        ({"currency_iso_code": "EUR"}, "currency"),
    ],
)
def test_refunds_the_marketplace_refuses_by_their_content(world: World, more: dict[str, Any], message: str) -> None:
    with pytest.raises(No, match=message):
        world.refund(refund(**more))
    assert world.books() == ()


def test_a_refund_of_several_lines_is_all_or_nothing(world: World) -> None:
    good, bad = refund()["refunds"][0], refund(amount=10_000)["refunds"][0]
    with pytest.raises(No):
        world.refund({"refunds": [good, bad]})
    assert world.books() == ()
    assert world.orders["A-1"]["order_lines"][0]["refunds"] == []


def test_a_tax_nobody_states_is_silently_kept_where_the_operator_is_lax(world: World) -> None:
    """Mirakl's page says both that it is required and that it is just not refunded."""
    world.strict_taxes = False
    (made,) = world.refund(refund(taxes=[]))["refunds"]
    assert made["taxes"] == [{"code": "VAT", "amount": Decimal(0)}]


def test_proportional_taxes_are_worked_out_whatever_is_sent() -> None:
    world = World(TestClock(), "USD", "TAX_EXCLUDED")
    world.add_order("A-1", NewLine("S", 3, "10.00", "1.00", taxes=(NewTax("T", "1.00", "proportional"),)))
    amounts = [world.refund(refund(amount=10, taxes=[]))["refunds"][0]["taxes"][0]["amount"] for _ in range(3)]
    assert amounts == [Decimal("0.33"), Decimal("0.34"), Decimal("0.33")]
    assert [b.total for b in world.books()] == [Decimal("10.33"), Decimal("10.34"), Decimal("10.33")]


def test_prices_stay_gross_after_refunds_and_cancelations_reduce_the_total(world: World) -> None:
    world.refund(refund())
    line = world.orders["A-1"]["order_lines"][0]
    assert (line["price"], line["total_price"], line["can_refund"]) == (Decimal("200.00"), Decimal("205.00"), True)
    world.add_order("B-1", LINE, state="WAITING_DEBIT", debited=False)
    world.cancel_order("B-1")
    cancelled = world.orders["B-1"]["order_lines"][0]
    assert (cancelled["price"], cancelled["total_price"]) == (Decimal("200.00"), Decimal("0.00"))
    assert cancelled["cancelations"][0]["amount"] == Decimal("200.00")


def test_commission_is_given_back_in_proportion(world: World) -> None:
    world.refund(refund(amount="102.50", shipping_amount=0, taxes=[{"code": "VAT", "amount": "17.09"}]))
    (made,) = world.orders["A-1"]["order_lines"][0]["refunds"]
    assert made["commission_amount"] == Decimal("10.00")
    assert made["commission_taxes"] == [{"code": "TAXDEFAULT", "amount": Decimal("2.00")}]
    assert made["commission_total_amount"] == Decimal("12.00")


def test_a_refund_is_a_request_until_the_operator_has_paid_it(world: World) -> None:
    world.refund(refund(amount=200, shipping_amount=5, taxes=[{"code": "VAT", "amount": "33.34"}]))
    line = world.orders["A-1"]["order_lines"][0]
    states = [line["refunds"][0]["refund_state"]]
    for _ in range(3):
        world.advance_refunds("A-1")
        states.append(line["refunds"][0]["refund_state"])
    assert states == ["WAITING_REFUND", "WAITING_REFUND_PAYMENT", "REFUNDED", "REFUNDED"]
    assert line["order_line_state"] == "REFUNDED"
    assert world.orders["A-1"]["fully_refunded"] is True


def test_a_full_refund_ends_the_incident(world: World) -> None:
    world.open_incident("A-1", "A-1-1")
    assert world.orders["A-1"]["has_incident"] is True
    world.refund(refund(amount=200, shipping_amount=5, taxes=[{"code": "VAT", "amount": "33.34"}]))
    assert world.orders["A-1"]["has_incident"] is False


def test_only_people_of_the_operator_drive_the_balance_negative(world: World) -> None:
    world.pending = Decimal(1)
    world.refund_by_hand("A-1", "A-1-1")
    assert world.pending < 0
    (booked,) = world.books()
    assert (booked.by, booked.amount, booked.shipping_amount, booked.taxes) == (
        "hand", Decimal("200.00"), Decimal("5.00"), Decimal("33.34"),
    )  # fmt: skip


def test_received_orders_are_refunded_from_what_is_payable(world: World) -> None:
    world.receive("A-1")
    world.payable, world.pending = Decimal(1), Decimal(1000)
    with pytest.raises(No, match=BALANCE):
        world.refund(refund())


def test_paid_orders_are_not_cancelled(world: World) -> None:
    assert world.orders["A-1"]["can_cancel"] is False
    with pytest.raises(No, match="expected state"):
        world.cancel_order("A-1")
    item = {"order_line_id": "A-1-1", "amount": 1, "shipping_amount": 0, "quantity": 1, "reason_code": "34"}
    with pytest.raises(No, match="expected state"):
        world.cancel_lines({"cancelations": [item]})


def test_an_order_the_operator_cancelled_has_its_reason(world: World) -> None:
    world.cancel_by_operator("A-1")
    (line,) = world.orders["A-1"]["order_lines"]
    assert line["order_line_state"] == world.orders["A-1"]["order_state"] == "CANCELED"
    assert line["cancelations"][0]["reason_code"] == "SYSTEM_LATE_SHIPMENT_CANCELATION"


@given(
    pieces=st.integers(1, 7),
    price=st.integers(1, 20000),
    tax=st.integers(0, 500),
    fee=st.integers(0, 300),
    rule=st.sampled_from(["none", "proportional"]),
    parts=st.lists(st.integers(1, 30000), min_size=1, max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_however_a_line_is_refunded_no_cent_is_lost_or_made(
    pieces: int, price: int, tax: int, fee: int, rule: Any, parts: list[int]
) -> None:
    world = World(TestClock(), "USD", "TAX_EXCLUDED")
    world.pending = Decimal(10**9)
    cents = Decimal("0.01")
    line = NewLine("S", pieces, str(price * cents), taxes=(NewTax("T", str(tax * cents), rule),), commission=str(fee * cents))
    world.add_order("A-1", line)
    for part in parts:
        try:
            world.refund_by_hand("A-1", "A-1-1", str(part * cents))
        except No:
            assert part * cents > price * pieces * cents - sum(b.amount for b in world.books()) or not part
    world_line = world.orders["A-1"]["order_lines"][0]
    if sum(b.amount for b in world.books()) < price * pieces * cents:
        world.refund_by_hand("A-1", "A-1-1")
    assert sum(b.amount for b in world.books()) == price * pieces * cents
    assert sum(b.taxes for b in world.books()) == tax * cents
    assert sum(r["commission_amount"] for r in world_line["refunds"]) == fee * cents


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.decimals(allow_nan=False, allow_infinity=False),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["code", "amount", "id"]), v, max_size=3),
    max_leaves=6,
)
items = st.fixed_dictionaries(
    {},
    optional={
        "order_line_id": st.just("A-1-1") | junk, "amount": st.just(1) | junk, "shipping_amount": st.just(1) | junk,
        "reason_code": st.sampled_from(["17", "34"]) | junk, "taxes": junk, "shipping_taxes": junk, "quantity": st.just(1) | junk,
        "currency_iso_code": st.just("USD") | junk, "id": junk, "accepted": junk, "return_lines": junk,
    },
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(["refunds", "cancelations", "returns", "order_tax_mode"]), st.lists(items, max_size=3) | junk)
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_asked_the_marketplace_answers_with_a_no_at_worst(body: dict[str, Any]) -> None:
    world = World(TestClock(), "USD", "TAX_INCLUDED")
    world.add_order("A-1", LINE)
    calls = (
        world.refund,
        world.cancel_lines,
        *(lambda b, c=c: world.desk.change(c, b) for c in ("accept", "receive", "compliance")),
    )
    statuses = {200}
    for call in calls:
        try:
            call(body)
        except No as no:
            statuses.add(no.status)
    assert statuses <= {200, 400, 404}


def test_returns_move_only_as_they_may(served: Market) -> None:
    returns = fill(served.sandbox)
    connector = served.connector()

    def asked(state: str, return_id: str) -> Any:
        return order(served.clock, "set_return", {"market_return": {"id": return_id}, "state": state})

    with pytest.raises(Refused, match="wrong_state"):
        run(connector.perform(asked("received", returns["asked"])))
    with pytest.raises(Refused, match="not_found"):
        run(connector.perform(replace(asked("received", "nowhere"))))
    run(connector.perform(asked("accepted", returns["asked"])))
    run(connector.perform(asked("received", returns["asked"])))
    assert served.sandbox.world.desk.returns[returns["asked"]]["state"] == "RECEIVED"
