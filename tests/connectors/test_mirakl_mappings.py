"""What Mirakl shows becomes records without loss."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.http import dumps, loads
from connectors.mirakl.actions import ACTIONS, refund_body
from connectors.mirakl.shapes import NewLine, NewTax
from connectors.mirakl.world import World
from engine.facts.case import Case
from engine.facts.derive import derive
from engine.facts.merge import merge
from engine.facts.outside import Event
from engine.facts.record import Observation
from engine.facts.refunds import payload as refund_payload
from engine.facts.schema import Vocabulary
from engine.facts.values import Money, Unreadable
from engine.language.codes import read_codes_file
from engine.language.mapping import RecordMapping, SetAside
from engine.language.mapping_file import check_owners, read_mapping
from engine.language.source import read_source
from engine.language.vocabulary import read_vocabulary
from engine.problems import Problems
from tests.connectors.contract_mirakl import CODES, fill, order, payload
from tests.connectors.kit import MAIN, TestClock, events, run
from tests.connectors.mirakl_market import Market, example, market

FOLDER = MAIN / "mappings/mirakl"
NOW = datetime(2026, 11, 2, 10, tzinfo=UTC)


def read(path: Path, problems: Problems) -> Any:
    return read_source(path.read_bytes(), path.relative_to(MAIN).as_posix(), problems)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    problems = Problems()
    found = read_vocabulary(read(MAIN / "mappings/facts.yaml", problems), problems)
    assert not problems, str(problems)
    return found


@pytest.fixture(scope="module")
def mappings(vocabulary: Vocabulary) -> dict[str, RecordMapping]:
    problems = Problems()
    nodes = [read(p, problems) for p in sorted(FOLDER.glob("*.yaml")) if p.stem != "codes"]
    found = [m for m in (read_mapping(node, "mirakl", vocabulary, problems) for node in nodes) if m is not None]
    check_owners(found, problems)
    assert not problems, str(problems)
    return {m.event: m for m in found}


@pytest.fixture
def served() -> Iterator[Market]:
    with market() as found:
        yield found


def mapped(mappings: dict[str, RecordMapping], kind: str, body: Any, about: str = "") -> Observation:
    raw = body if isinstance(body, bytes) else dumps(body)
    found = mappings[kind].observe(Event("mirakl", kind, raw, NOW, requested=True, about=about))
    assert not isinstance(found, SetAside), found
    (one,) = found
    return one


def sample(name: str) -> Any:
    """A published sample with its numbers exact."""
    return json.loads(json.dumps(example(name)), parse_float=Decimal)


def usd(amount: str) -> Money:
    return Money.of(amount, "USD")


def told(vocabulary: Vocabulary, kind: str) -> set[str]:
    return {f.name for f in vocabulary[kind].fields.values() if not f.computed}


def test_codes_name_parameters_of_actions_we_have() -> None:
    problems = Problems()
    actions = {f"marketplace.{name}": action for name, action in ACTIONS.items()}
    codes = read_codes_file(read(FOLDER / "codes.yaml", problems), "mirakl", actions, problems)
    assert not problems, str(problems)
    assert codes["marketplace.refund.reason"]["default"] == "17"
    assert set(codes) < set(CODES)


def test_the_published_order_loses_nothing(mappings: dict[str, RecordMapping], vocabulary: Vocabulary) -> None:
    found = mapped(mappings, "mirakl.order", sample("OR11_response_200")["orders"][0])
    assert (found.kind, found.key) == ("order", "Order_00010-A")
    assert set(found.fields) == told(vocabulary, "order")
    assert found.fields["state"] == "received"
    assert found.fields["total"] == usd("173")
    assert found.fields["store_reference"] == "ref_seller"
    assert found.fields["debited_at"] == datetime(2019, 4, 2, 14, 58, 22, 460000, tzinfo=UTC)
    (line,) = found.fields["lines"]
    assert set(line) == told(vocabulary, "order_line") - {"state_reason"}
    assert (line["price"], line["commission"], line["sku"], line["quantity"]) == (usd("165"), usd("21.3"), "S2000", 3)
    assert [(t["code"], t.get("rule")) for t in line["taxes"]] == [("tax1", "none"), ("tax2", None)]
    (refund,) = line["refunds"]
    assert set(refund) == told(vocabulary, "order_refund")
    assert (refund["id"], refund["state"], refund["amount"]) == ("1106", "waiting_payment", usd("6.82"))
    assert [(t["code"], t["amount"]) for t in refund["shipping_taxes"]] == [("tax1", usd("2.24")), ("tax2", usd("2.24"))]
    (cancelled,) = line["cancelations"]
    assert set(cancelled) == told(vocabulary, "cancelation")
    assert cancelled["amount"] == usd("12.34")


def test_the_published_returns_lose_nothing(mappings: dict[str, RecordMapping], vocabulary: Vocabulary) -> None:
    first, second = (mapped(mappings, "mirakl.return", body) for body in sample("RT11_response_200")["data"])
    assert set(first.fields) == told(vocabulary, "market_return") - {"rejection_code"}
    assert first.links == {("order", "ORDER-1-A")}
    assert first.fields["tracking_number"] == "35H8O95K"
    assert [(li["order_line_id"], li["quantity"], li.get("compliant")) for li in first.fields["lines"]] == [
        ("ORDER-1-A-1", 2, False), ("ORDER-1-A-2", 3, None),
    ]  # fmt: skip
    assert second.fields["state"] == "refused"
    assert second.fields["rejection_code"] == "RETURN_REJECTION_NOT_ELIGIBLE"
    assert second.fields["method"] == "RETURN_METHOD_DROP_OFF"
    assert [li["compliant"] for li in second.fields["lines"]] == [True]


def test_the_published_shop_and_platform_lose_nothing(mappings: dict[str, RecordMapping], vocabulary: Vocabulary) -> None:
    account = mapped(mappings, "mirakl.account", sample("A01_response_200"), "2000")
    platform = mapped(mappings, "mirakl.platform", sample("PC01_response_200"), "2000")
    reasons = mapped(mappings, "mirakl.reasons", sample("RE01_response_200"), "2000")
    assert {account.key, platform.key, reasons.key} == {"2000"}
    assert account.fields["payable_balance"] == usd("-259.2")
    assert account.fields["state"] == "open"
    assert platform.fields["tax_mode"] == "excluded"
    assert platform.fields["direct_payment_refunds"] is False
    assert "returns_enabled" not in platform.fields  # the sample lacks features.returns
    every = {**account.fields, **platform.fields, **reasons.fields}
    assert set(every) == told(vocabulary, "seller") - {"returns_enabled"}
    rights = {r["id"]: r["shop_right"] for r in reasons.fields["reasons"]}
    assert rights["REFUND:15"] is True
    assert rights["INCIDENT_OPEN:1"] is False


def test_what_the_sandbox_shows_is_mapped_whole(mappings: dict[str, RecordMapping], served: Market) -> None:
    fill(served.sandbox)
    connector = served.connector()
    run(connector.perform(order(served.clock, "refund", payload())))
    run(connector.perform(order(served.clock, "cancel", payload("B-1-1"))))
    for feed in connector.feeds:
        for event in run(events(connector, feed)):
            found = mappings[event.kind].observe(event)
            assert not isinstance(found, SetAside), found
            assert "Unreadable" not in repr(found)
    (event,) = [e for e in run(events(connector, "orders")) if b'"A-1"' in e.payload]
    (refund,) = mapped(mappings, "mirakl.order", event.payload).fields["lines"][0]["refunds"]
    assert (refund["state"], refund["amount"], refund["shipping_amount"]) == ("waiting", usd("100.00"), usd("2.50"))
    assert (refund["commission"], refund["commission_total"]) == (usd("10.00"), usd("12.00"))


def test_the_platform_tells_whether_returns_are_in_use(mappings: dict[str, RecordMapping], served: Market) -> None:
    (event,) = run(events(served.connector(), "platform"))
    assert mapped(mappings, "mirakl.platform", event.payload, event.about).fields["returns_enabled"] is True


def test_a_new_state_is_unreadable_and_nothing_else_suffers(mappings: dict[str, RecordMapping]) -> None:
    found = mapped(mappings, "mirakl.order", {"order_id": "A", "order_state": "PARKED", "currency_iso_code": "EUR"})
    assert found.fields["state"] == Unreadable("PARKED")
    assert found.fields["currency"] == "EUR"


def test_an_amount_that_is_no_number_is_unreadable(mappings: dict[str, RecordMapping]) -> None:
    found = mapped(mappings, "mirakl.order", {"order_id": "A", "currency_iso_code": "EUR", "total_price": "lots"})
    assert isinstance(found.fields["total"], Unreadable)


@given(
    pieces=st.integers(1, 6),
    price=st.integers(1, 9999),
    shipping=st.integers(0, 999),
    taxes=st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["none", "proportional"])), max_size=3),
    mode=st.sampled_from(["TAX_INCLUDED", "TAX_EXCLUDED"]),
    order_of=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_its_units_are_refunded_one_by_one_a_line_is_paid_back_to_the_cent(
    mappings: dict[str, RecordMapping],
    vocabulary: Vocabulary,
    pieces: int,
    price: int,
    shipping: int,
    taxes: Any,
    mode: str,
    order_of: Any,
) -> None:
    """What the engine says a unit is due, the marketplace takes, whatever the amounts; and in the end nothing is left."""
    cents, clock = Decimal("0.01"), TestClock()
    market = World(clock, "USD", mode)
    market.pending = Decimal(10**9)
    due = tuple(NewTax(f"T{n}", str(amount * cents), rule) for n, (amount, rule) in enumerate(taxes))
    market.add_order("A-1", NewLine("S", pieces, str(price * cents), str(shipping * cents), taxes=due))
    numbers = list(range(1, pieces + 1))
    order_of.shuffle(numbers)
    for number in numbers:
        shown = mapped(mappings, "mirakl.order", market.orders["A-1"])
        (seen,) = derive(vocabulary, Case("A-1", (merge(None, shown),), (), NOW), (), {}).records["order"]
        line = seen["lines"][0]
        free = [unit for unit in line["units"] if not unit["settled"]]
        unit = next((u for u in free if u["number"] == number), free[0])
        body = refund_body(order(clock, "refund", refund_payload(line, [unit], reason="")), "17")
        market.refund(loads(dumps(body)))
    books = market.books()
    assert sum(b.amount for b in books) == pieces * price * cents
    assert sum(b.shipping_amount for b in books) == shipping * cents
    assert sum(b.taxes for b in books) == sum(amount for amount, _ in taxes) * cents


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"order_state": "SHIPPED"}, "id"),
        ({"order_id": "A", "order_lines": [{"order_line_id": "L"}, {}]}, "lines[1].id"),
        ({"order_id": "A", "order_lines": {"x": 1}}, "lines"),
        (["A"], ""),
    ],
)
def test_what_cannot_be_read_is_set_aside_with_its_path(mappings: dict[str, RecordMapping], body: Any, path: str) -> None:
    event = Event("mirakl", "mirakl.order", dumps(body), NOW, requested=True)
    found = mappings["mirakl.order"].observe(event)
    assert isinstance(found, SetAside), found
    assert path in found.path
    assert found.reason
    assert found.place.file == "mappings/mirakl/order.yaml"
