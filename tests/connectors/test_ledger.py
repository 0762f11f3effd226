"""The books: what a refund is booked as, once, whole or not at all."""

from __future__ import annotations

import asyncio
import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.http import loads
from connectors.ledger import books
from connectors.ledger.books import COLUMNS
from connectors.ledger.connector import LedgerConnector
from connectors.ledger.sandbox import LedgerSandbox
from engine.facts.outside import Order, Ref, Refused, Rejected, TryLater, WebhookRequest
from engine.facts.values import Money

START = datetime(2026, 11, 1, 2, tzinfo=UTC)


def eur(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


REFUND = {
    "id": "7",
    "key": "MK-1-A/MK-1-A-1/7",
    "parent": {"id": "MK-1-A-1", "key": "MK-1-A/MK-1-A-1", "sku": "SHOE"},
    "amount": eur("30.00"),
    "shipping_amount": eur("2.50"),
    "taxes": ({"code": "STATE", "amount": eur("1.80")}, {"code": "CITY", "amount": eur("0.60")}),
    "shipping_taxes": ({"code": "STATE", "amount": eur("0.15")},),
    "commission": eur("4.50"),
    "commission_taxes": ({"code": "VAT", "amount": eur("0.90")},),
    "commission_total": eur("5.40"),
    "total": eur("35.05"),
}


def posting(number: int = 7, **change) -> Order:
    refund = {**REFUND, "id": str(number), "key": f"MK-1-A/MK-1-A-1/{number}", **change}
    return Order(f"post:order_refund:{number}", "finance.post", f"order_refund:{number}", (), {"refund": refund}, 1, START)


def adjusting(commission: Money | None, number: int = 7) -> Order:
    refund = {**REFUND, "id": str(number)}
    key = f"adjust:order_refund:{number}:{commission}"
    return Order(key, "finance.adjust", key, (), {"refund": refund, "commission": commission}, 1, START)


class Ledger:
    def __init__(self, path: Path) -> None:
        self.now = START
        self.books = LedgerSandbox(path)
        self.connector = self.another()

    def another(self) -> LedgerConnector:
        return LedgerConnector(LedgerConnector.Settings.model_validate(self.books.settings()), lambda: self.now, {})

    def perform(self, *orders: Order):
        return asyncio.run(self.connector.perform_many(orders))

    def look_up(self, *orders: Order):
        return [e.done for e in asyncio.run(self.connector.look_up(orders))]

    def poll(self, cursor: str = ""):
        async def pages():
            return [page async for page in self.connector.observe("postings", cursor)]

        [page] = asyncio.run(pages())
        return page.cursor, [loads(event.payload) for event in page.events]

    def files(self) -> list[Path]:
        return sorted(p for p in self.books.directory.iterdir())


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "postings")


def test_a_refund_is_booked_by_component_and_tax_code(ledger):
    receipt = asyncio.run(ledger.connector.perform(posting()))
    assert [(line.component, line.code, str(line.amount)) for line in ledger.books.lines()] == [
        ("amount", "", "-30.00 EUR"),
        ("commission", "", "4.50 EUR"),
        ("commission_tax", "VAT", "0.90 EUR"),
        ("shipping", "", "-2.50 EUR"),
        ("shipping_tax", "STATE", "-0.15 EUR"),
        ("tax", "CITY", "-0.60 EUR"),
        ("tax", "STATE", "-1.80 EUR"),
    ]
    assert receipt.reference == "post:order_refund:7"
    assert len(receipt.events) == 7


def test_the_file_is_csv_that_says_whose_refund_it_is(ledger):
    ledger.perform(posting())
    [file] = ledger.files()
    with file.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    assert tuple(rows[0]) == COLUMNS
    assert {(row["order_id"], row["order_line_id"], row["refund_id"]) for row in rows} == {("MK-1-A", "MK-1-A-1", "7")}
    assert {(row["posted_at"], row["kind"], row["tax_mode"]) for row in rows} == {("2026-11-01T02:00:00Z", "refund", "excluded")}


@pytest.mark.parametrize(("total", "mode"), [("32.50", "included"), ("35.05", "excluded"), ("1.00", "")])
def test_the_total_tells_whether_amounts_hold_their_taxes(ledger, total, mode):
    ledger.perform(posting(total=eur(total)))
    assert {line.tax_mode for line in ledger.books.lines()} == {mode}


def test_a_refund_without_taxes_or_commission_is_its_amount(ledger):
    bare = dict.fromkeys(("shipping_amount", "commission", "commission_total", "total"))
    ledger.perform(posting(**bare, taxes=(), shipping_taxes=(), commission_taxes=(), amount=eur("0")))
    assert [(line.component, line.amount) for line in ledger.books.lines()] == [("amount", eur("0"))]


def test_commission_tax_nobody_itemised_is_the_rest_of_the_total(ledger):
    ledger.perform(posting(commission_taxes=()))
    assert ledger.books.totals()["commission_tax", "EUR"] == eur("0.90")


def test_the_same_posting_twice_is_booked_once(ledger):
    ledger.perform(posting())
    [before] = [file.read_bytes() for file in ledger.files()]
    ledger.now += timedelta(hours=1)
    ledger.connector = ledger.another()
    ledger.perform(posting(), posting())
    assert [file.read_bytes() for file in ledger.files()] == [before]


def test_a_batch_is_one_file_and_leaves_out_what_is_booked_already(ledger):
    ledger.perform(posting(1))
    receipts = ledger.perform(posting(1), posting(2), posting(3))
    assert [r.reference for r in receipts] == ["post:order_refund:1", "post:order_refund:2", "post:order_refund:3"]
    assert len(ledger.files()) == 2
    assert sorted(ledger.books.postings()) == ["post:order_refund:1", "post:order_refund:2", "post:order_refund:3"]
    assert ledger.books.totals()["amount", "EUR"] == eur("-90.00")


def test_a_batch_with_one_refused_posting_books_nothing(ledger):
    with pytest.raises(Refused, match="incomplete"):
        ledger.perform(posting(1), posting(2, amount=None))
    assert ledger.look_up(posting(1)) == [False]


def test_a_look_up_finds_what_is_in_any_file(ledger):
    ledger.perform(posting(1), posting(2))
    assert ledger.look_up(posting(2), posting(3)) == [True, False]


def test_an_adjustment_brings_the_books_to_the_commission_it_should_be(ledger):
    ledger.perform(posting())
    ledger.perform(adjusting(eur("4.00")))
    assert ledger.books.totals()["commission", "EUR"] == eur("4.00")
    ledger.perform(adjusting(eur("4.75")))
    ledger.perform(adjusting(eur("4.00")))  # in the books already, under its own key
    assert ledger.books.totals()["commission", "EUR"] == eur("4.75")
    assert [line.amount for line in ledger.books.lines() if line.kind == "adjustment"] == [eur("-0.50"), eur("0.75")]


def test_an_adjustment_in_the_batch_of_its_refund_is_over_and_above_it(ledger):
    ledger.perform(posting(), adjusting(eur("4.00")))
    assert ledger.books.totals()["commission", "EUR"] == eur("4.00")


def test_an_adjustment_of_nothing_is_booked_and_found(ledger):
    ledger.perform(posting())
    ledger.perform(adjusting(eur("4.50")))
    assert ledger.look_up(adjusting(eur("4.50"))) == [True]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (posting(amount=None), "incomplete"),
        (adjusting(None), "incomplete"),
        (posting(commission_taxes=(), commission_total=Money(Decimal(5), "USD")), "currency_differs"),
        (Order("k", "finance.dance", "s", (), {"refund": REFUND}, 1, START), "unknown_action"),
    ],
)
def test_what_cannot_be_booked_is_refused(ledger, order, reason):
    with pytest.raises(Refused) as no:
        ledger.perform(order)
    assert no.value.reason == reason


def test_an_adjustment_in_another_currency_is_refused(ledger):
    ledger.perform(posting())
    with pytest.raises(Refused, match="currency_differs"):
        ledger.perform(adjusting(Money(Decimal(4), "USD")))


def test_a_poll_reads_the_books_back_and_later_only_what_is_new(ledger):
    assert ledger.poll()[1] == []
    ledger.perform(posting(1))
    cursor, lines = ledger.poll()
    assert {line["posting"] for line in lines} == {"post:order_refund:1"}
    ledger.now += timedelta(days=1)
    ledger.perform(posting(2))
    cursor, lines = ledger.poll(cursor)
    assert {line["posting"] for line in lines} == {"post:order_refund:1", "post:order_refund:2"}  # the last hour again
    ledger.now += timedelta(hours=2)
    cursor, lines = ledger.poll(cursor)
    assert {line["posting"] for line in lines} == {"post:order_refund:2"}
    assert ledger.poll(cursor)[1] == []
    assert len(asyncio.run(ledger.connector.fetch(Ref("ledger.line", "post:order_refund:1/tax/CITY")))) == 1


@pytest.mark.parametrize("moment", ["open", "fsync", "replace"])
def test_a_crash_while_writing_leaves_no_half_file(ledger, monkeypatch, moment):
    ledger.perform(posting(1))

    def crash(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*{"open": (books.csv, "writer"), "fsync": (books.os, "fsync"), "replace": (Path, "replace")}[moment], crash)
        with pytest.raises(KeyboardInterrupt):
            ledger.connector._books.write(["x"], ledger.books.lines())
    assert ledger.books.postings() == ("post:order_refund:1",)
    ledger.perform(posting(2))
    assert ledger.look_up(posting(1), posting(2)) == [True, True]


def test_books_that_somebody_broke_stop_all_booking(ledger):
    ledger.perform(posting(1))
    [file] = ledger.files()
    whole = file.read_text()
    for broken in (
        whole.replace("-30.00", "thirty"),
        whole.replace("posted_at", "when"),
        '"',
        "\0",
        "\udcff",
        "",
        whole.replace("-30.00", "NaN"),
    ):
        file.write_bytes(broken.encode("utf-8", "surrogateescape"))
        with pytest.raises(TryLater, match="cannot be read"):
            ledger.perform(posting(2))
    file.write_text(whole)
    ledger.perform(posting(2))


def test_other_files_in_the_directory_are_left_alone(ledger):
    ledger.perform(posting(1))
    (ledger.books.directory / "notes.csv").write_text("dear colleague")
    assert ledger.look_up(posting(1)) == [True]


def test_a_relative_path_starts_at_the_base(tmp_path):
    connector = LedgerConnector(LedgerConnector.Settings.model_validate({"path": "p", "base": str(tmp_path)}), lambda: START, {})
    asyncio.run(connector.perform(posting()))
    assert (tmp_path / "p").is_dir()


@given(st.binary())
@settings(max_examples=20)
def test_nothing_is_ever_delivered(body):
    connector = LedgerConnector(LedgerConnector.Settings(), lambda: START, {})
    with pytest.raises(Rejected):
        connector.receive(WebhookRequest(body, {}, {}, START))


_AMOUNTS = st.decimals(min_value=0, max_value=10**6, places=2).map(lambda d: Money(d, "EUR"))
_TAXES = st.lists(st.fixed_dictionaries({"code": st.sampled_from(["A", "B", "C"]), "amount": _AMOUNTS}), max_size=4).map(tuple)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_AMOUNTS, _AMOUNTS, _TAXES, _TAXES, _AMOUNTS), min_size=1, max_size=4), st.booleans())
def test_the_books_hold_every_cent_whichever_way_they_are_written(tmp_path_factory, refunds, together):
    ledger = Ledger(tmp_path_factory.mktemp("books"))
    orders = [
        posting(
            n, amount=a, shipping_amount=s, taxes=t, shipping_taxes=x, commission=c, commission_taxes=(), commission_total=None
        )
        for n, (a, s, t, x, c) in enumerate(refunds)
    ]
    for batch in [orders] if together else [[one] for one in orders]:
        ledger.perform(*batch)
    totals, zero = ledger.books.totals(), eur("0")
    assert totals["amount", "EUR"] == -sum((a for a, *_ in refunds), zero)
    assert totals.get(("shipping", "EUR"), zero) == -sum((s for _, s, *_ in refunds), zero)
    assert totals.get(("tax", "EUR"), zero) == -sum((e["amount"] for _, _, t, _, _ in refunds for e in t), zero)
    assert totals.get(("shipping_tax", "EUR"), zero) == -sum((e["amount"] for _, _, _, x, _ in refunds for e in x), zero)
    assert totals.get(("commission", "EUR"), zero) == sum((c for *_, c in refunds), zero)
