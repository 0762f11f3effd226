"""An RMA in our words: nothing lost, nothing inferred, each trap of the real payloads met by name."""

import json
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.http import dumps
from connectors.returngo.shapes import NO_SHIPMENT, Piece
from connectors.returngo.world import World
from engine.facts.merge import fields_of, merge
from engine.facts.outside import Event
from engine.facts.values import Money, Unreadable
from engine.language.mapping import SetAside
from tests.connectors.kit import MAIN
from tests.connectors.mapped import observed, pushed, read

SAMPLES = Path(os.environ.get("INSTEP_SHARED", MAIN.parent / "shared")) / "data/returngo"
PAYLOADS = sorted(SAMPLES.glob("rma_*.json"))
ASKED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(payload, at=ASKED_AT):
    return Event("returngo", "returngo.rma", payload, at, requested=True)


class Shop:
    """A sandbox's world on a clock, and what the mapping makes of its RMA."""

    def __init__(self):
        self.now = ASKED_AT
        self.world = World(lambda: self.now, "ZAR")

    def rma(self, *pieces, approve=True, **given_):
        self.rma_id = self.world.create_rma("7396", "T1", pieces or [Piece("17", "SKU-1", "659", "85.96")], **given_)
        if approve:
            self.world.approve(self.rma_id)
        return self.rma_id

    @property
    def shipment(self):
        return self.world.shipments(self.rma_id)[0]

    @property
    def observation(self):
        return observed(event(dumps(self.world.rma(self.rma_id)), self.now))

    @property
    def fields(self):
        return {**self.observation.fields, **self.observation.milestones}

    def later(self, **time):
        self.now += timedelta(**time)


@pytest.fixture
def shop():
    return Shop()


# Samples as captured


@pytest.mark.skipif(not PAYLOADS, reason=f"no reference data at {SAMPLES}")
@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_a_captured_rma_is_mapped_without_loss(path):
    told = json.loads(path.read_text(), parse_float=Decimal)
    one = observed(event(path.read_bytes()))
    summary, kept = told["rmaSummary"], {**one.fields, **one.milestones}
    assert (one.kind, one.key, kept["sale_id"]) == ("rma", summary["rmaId"], told["orderDetails"]["orderId"])
    assert kept["status"] == {"Pending": "requested", "Approved": "approved", "Received": "received"}[summary["status"]]
    assert [u["key"] for u in kept["units"]] == [item["returnedItemId"] for item in told["items"]]
    assert [u["paid"] for u in kept["units"]] == [Money(Decimal(i["paidPrice"]["amount"]), "ZAR") for i in told["items"]]
    assert [u["tax"] for u in kept["units"]] == [Money(Decimal(i["paidTax"]["amount"]), "ZAR") for i in told["items"]]
    assert not [u for u in kept["units"] if "verdict" in u or "inspected_at" in u or "restockable" in u]
    assert not [v for u in [kept, *kept["units"], *kept["shipments"]] for v in u.values() if isinstance(v, Unreadable)]
    assert [s["id"] for s in kept["shipments"]] == [s["shipmentId"] for s in told["shipments"]]
    assert kept["tracking_numbers"] == tuple(s["trackingNumber"] for s in told["shipments"] if s["trackingNumber"])
    assert kept["receipt_refs"] == tuple(f"RG-{one.key}-{s['shipmentId']}" for s in told["shipments"])
    assert [t["id"] for t in kept["transactions"]] == [str(t["id"]) for t in told["transactions"]]
    said = " ".join(c["htmlText"] for c in told["comments"])
    assert ("in_transit_at" in kept, "received_at" in kept) == ("IN TRANSIT" in said, "RECEIVED" in said)
    assert {("sale", kept["sale_id"])} | {("receipt", ref) for ref in kept["receipt_refs"]} <= one.links


# The measured traps, facts of ReturnGO, section 7


def test_1_a_later_reading_wins_though_last_updated_stands_still(shop):
    shop.rma()
    first = shop.observation
    shop.later(hours=1)
    shop.world.ship(shop.shipment)
    second = shop.observation
    assert first.fields["updated_at"] == second.fields["updated_at"]
    state = merge(merge(None, second), first)
    assert [s["status"] for s in fields_of(state)["shipments"]] == ["shipped"]


def test_2_two_pieces_of_one_line_are_two_units(shop):
    shop.rma(*[Piece("17", "SKU-1", "100")] * 2, Piece("18", "SKU-2", "5"))
    units = shop.fields["units"]
    assert [u["line_item_id"] for u in units] == ["17", "17", "18"]
    assert len({u["key"] for u in units}) == 3


def test_3_whole_and_broken_numbers_are_exact_and_zero_and_one_are_no_and_yes(shop):
    shop.rma(Piece("17", "SKU-1", "199", "25.96"), out_of_policy=True)
    number = shop.world.refund(shop.rma_id, shop.world.pieces(shop.rma_id))
    unit, transaction = shop.fields["units"][0], shop.fields["transactions"][0]
    assert (unit["paid"], unit["tax"]) == (Money.of("199", "ZAR"), Money.of("25.96", "ZAR"))
    assert transaction["id"] == str(number)
    assert shop.fields["out_of_policy"] is True


def test_4_before_an_inspection_there_is_no_verdict(shop):
    shop.rma(Piece("17", "SKU-1", "1"), Piece("17", "SKU-1", "1"), Piece("17", "SKU-1", "1"))
    good, bad, waiting = shop.world.pieces(shop.rma_id)
    assert all("verdict" not in unit for unit in shop.fields["units"])
    shop.world.inspect(shop.rma_id, {good: True, bad: False}, restockable=False)
    units = {unit["key"]: unit for unit in shop.fields["units"]}
    assert (units[good]["verdict"], units[good]["restockable"]) == ("accepted", False)
    assert (units[bad]["verdict"], units[bad]["inspected_at"]) == ("rejected", shop.now)
    assert not {"verdict", "restockable", "inspected_at"} & units[waiting].keys()


def test_5_received_without_ever_having_been_in_transit(shop):
    shop.rma()
    shop.later(days=3)
    shop.world.receive(shop.shipment)
    assert shop.fields["received_at"] == shop.now
    assert "in_transit_at" not in shop.fields


def test_6_a_refund_before_receipt_makes_nothing_received(shop):
    shop.rma()
    shop.world.create_label(shop.shipment, "TRK-1")
    shop.world.refund(shop.rma_id, shop.world.pieces(shop.rma_id))
    assert (shop.fields["status"], shop.fields["shipments"][0]["status"]) == ("approved", "label_created")
    assert shop.fields["transactions"][0]["status"] == "success"
    assert not {"received_at", "in_transit_at"} & shop.fields.keys()


def test_7_a_failed_refund_has_a_reference_and_has_failed(shop):
    shop.rma(Piece("17", "SKU-1", "10", method=NO_SHIPMENT))
    shop.world.refund(shop.rma_id, shop.world.pieces(shop.rma_id), status="Failed")
    (transaction,) = shop.fields["transactions"]
    assert transaction["status"] == "failed"
    assert transaction["reference"]


def test_8_each_unit_has_its_own_resolution_and_an_unheard_of_one_is_no_refund(shop):
    names = ("RefundToPaymentMethod", "RefundToStoreCredit", "InstantVariantExchange", "KeepItem")
    shop.rma(*(Piece("17", "SKU-1", "10", resolution=name) for name in names))
    found = [unit["resolution"] for unit in shop.fields["units"]]
    assert found == ["refund", "store_credit", "exchange", Unreadable("KeepItem")]


def test_9_amounts_of_transactions_are_as_given_whatever_was_paid(shop):
    shop.rma(Piece("17", "SKU-1", "459", resolution="RefundToStoreCredit"))
    shop.world.refund(shop.rma_id, shop.world.pieces(shop.rma_id), amount="519", kind="RefundToStoreCredit")
    shop.world.refund(shop.rma_id, [], amount="590", kind="InvoicePayment", status="Requested")
    credit, payment = shop.fields["transactions"]
    assert (credit["amount"], credit["units"]) == (Money.of("519", "ZAR"), tuple(shop.world.pieces(shop.rma_id)))
    assert (payment["type"], payment["amount"], payment["units"]) == ("InvoicePayment", Money.of("590", "ZAR"), ())


def test_10_what_the_timeline_repeats_and_what_people_write_moves_no_milestone(shop):
    shop.rma()
    shop.later(days=1)
    shop.world.ship(shop.shipment)
    scanned = shop.now
    for _ in range(5):
        shop.later(hours=1)
        shop.world.update_shipment(shop.shipment, {"carrierName": "CourierX"})
        shop.world.say(shop.rma_id, "Shipment <strong>RECEIVED</strong> by a neighbour?", kind="merchant", by="Agent A")
    shop.later(hours=1)
    shop.world.say(shop.rma_id, "Shipment <strong>IN TRANSIT</strong>", by="Automation")
    assert shop.fields["in_transit_at"] == scanned
    assert "received_at" not in shop.fields


def test_11_tax_is_told_apart_as_included_or_not(shop):
    shop.rma(Piece("17", "SKU-1", "659", "85.96"), Piece("17", "SKU-1", "659", "85.96", tax_included=False))
    assert [u["tax_included"] for u in shop.fields["units"]] == [True, False]
    assert {str(u["tax"]) for u in shop.fields["units"]} == {"85.96 ZAR"}


def test_12_where_nothing_comes_back_there_is_no_shipment(shop):
    shop.rma(Piece("17", "SKU-1", "10", method=NO_SHIPMENT))
    fields = shop.fields
    assert (fields["shipments"], fields["receipt_refs"], fields["tracking_numbers"]) == ((), (), ())
    assert (fields["units"][0]["method"], "shipment_id" in fields["units"][0]) == ("no_shipment", False)


def test_13_a_transaction_keeps_both_its_times_as_they_were_given(shop):
    """Of a refund they were seen 3 h apart, as if of two zones: neither is corrected, nor used to tell what is new."""
    shop.rma()
    shop.world.refund(shop.rma_id, shop.world.pieces(shop.rma_id))
    shop.world.rma(shop.rma_id)["transactions"][0]["lastUpdated"] = (shop.now + timedelta(hours=3)).isoformat()
    (transaction,) = shop.fields["transactions"]
    assert transaction["updated_at"] - transaction["created_at"] == timedelta(hours=3)


# What follows from them


def test_what_goes_out_or_was_cancelled_expects_no_receipt_but_stays_in_the_case(shop):
    shop.rma(Piece("17", "SKU-1", "10"), parcels=2)
    kept, dropped = shop.world.shipments(shop.rma_id)
    out = shop.world.add_shipment(shop.rma_id, outbound=True)
    for number, shipment in enumerate((kept, dropped, out)):
        shop.world.create_label(shipment, f"TRK-{number}")
    shop.world.cancel_shipment(dropped)
    fields, ref = shop.fields, f"RG-{shop.rma_id}-"
    assert [s.get("receipt_ref") for s in fields["shipments"]] == [ref + kept, None, None]
    assert (fields["receipt_refs"], fields["tracking_numbers"]) == ((ref + kept,), ("TRK-0",))
    assert shop.observation.links == {
        ("sale", "7396"), ("parcel", "TRK-0"), ("parcel", "TRK-1"), ("receipt", ref + kept), ("receipt", ref + dropped),
    }  # fmt: skip


def test_in_transit_is_not_believed_where_a_parcel_goes_out(shop):
    """The timeline names no shipment: it may be the exchange that is on its way to the customer."""
    shop.rma()
    shop.world.ship(shop.world.add_shipment(shop.rma_id, outbound=True))
    assert "in_transit_at" not in shop.fields


def test_a_milestone_once_seen_stays_though_the_timeline_is_cut(shop):
    shop.rma()
    shop.world.ship(shop.shipment)
    seen, scanned = shop.observation, shop.now
    shop.later(days=90)
    shop.world.rma(shop.rma_id)["comments"].clear()
    assert fields_of(merge(merge(None, seen), shop.observation))["in_transit_at"] == scanned


def test_a_reopened_rma_goes_back(shop):
    shop.rma()
    shop.world.cancel(shop.rma_id)
    closed = shop.observation
    shop.later(minutes=1)
    shop.world.reopen(shop.rma_id)
    assert fields_of(merge(merge(None, shop.observation), closed))["status"] == "approved"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{}", "id: the key is missing (rmaSummary.rmaId)"),
        (b"[]", "id: the key is missing (rmaSummary.rmaId)"),
        (b"<html>", "the payload is not JSON"),
        (b'{"rmaSummary": {"rmaId": "1"}, "items": [{"sku": "A"}]}', "units[0].key: the key of the item is missing"),
        (b'{"rmaSummary": {"rmaId": "1"}, "createdAt": "yesterday"}', "requested_at: 'yesterday' is not a timestamp"),
        (b'{"rmaSummary": {"rmaId": "1"}, "isOutOfPolicy": 2}', "out_of_policy: true or false is wanted"),
    ],
)
def test_what_cannot_be_read_is_set_aside_with_its_path(payload, reason):
    found = read(event(payload))
    assert isinstance(found, SetAside)
    assert found.reason.startswith(reason)


def test_a_pushed_rma_is_set_aside():
    """Nothing in it tells which of two is the newer: that is why webhooks are only hints."""
    told = pushed("returngo", "returngo.rma", b'{"rmaSummary": {"rmaId": "1"}}')
    assert isinstance(read(told), SetAside)


_ODD = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.builds(list) | st.builds(dict)


@given(st.data())
@settings(max_examples=150)
def test_whatever_stands_in_its_place_no_value_makes_the_mapping_fail(data):
    shop = Shop()
    shop.rma(Piece("17", "SKU-1", "10"), Piece("17", "SKU-1", "10"))
    shop.world.ship(shop.shipment)
    shop.world.refund(shop.rma_id, shop.world.pieces(shop.rma_id))
    payload = json.loads(dumps(shop.world.rma(shop.rma_id)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = payload
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or data.draw(st.integers(0, 4)) == 0:
                place[key] = data.draw(_ODD)
                break
            place = place[key]
    found = read(event(json.dumps(payload).encode()))
    assert isinstance(found, SetAside | list)
