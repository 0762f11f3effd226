"""Records of a case see each other, as records or as stubs."""

from __future__ import annotations

from engine.facts.values import Items, Unreadable
from tests.facts.words import T0, facts, line, order, piece, record, rma, sale, store_refund


def test_a_closed_relation_has_one_element_per_key_before_any_record_has_come() -> None:
    found = facts(order(line()), rma("1", tracking_numbers=("T1", "T2")), record("parcel", {"tracking_number": "T2"}))
    waited, come = found.records["rma"][0]["parcels"]
    assert (waited["tracking_number"], waited["first_scan_at"], waited["seen_at"]) == ("T1", None, None)
    assert (come["tracking_number"], come["seen_at"]) == ("T2", T0)
    assert [p.key for p in found.records["parcel"]] == ["T2"]


def test_a_stub_knows_who_points_at_it() -> None:
    found = facts(order(line()), rma("1", tracking_numbers=("T1",)))
    owner = found.records["rma"][0]
    assert owner["parcels"][0]["rma"] is owner


def test_all_who_name_a_key_share_one_stub() -> None:
    shipped = {"id": "s", "tracking_number": "T1"}
    found = facts(order(line()), rma("1", tracking_numbers=("T1",), shipments=(shipped,)))
    owner = found.records["rma"][0]
    assert owner["parcels"][0] is owner["shipments"][0]["parcel"]


def test_an_open_relation_lists_what_points_back() -> None:
    found = facts(order(line()), sale(), rma("2"), rma("1"))
    assert found.order is not None
    assert [r.key for r in found.order["sales"]] == ["S"]
    assert [r.key for r in found.records["sale"][0]["rmas"]] == ["1", "2"]


def test_a_missing_key_leaves_the_relation_missing_and_an_unreadable_one_unreadable() -> None:
    found = facts(order(line()), rma("1", sale_id=None), rma("2", sale_id=Unreadable("?"), tracking_numbers=None))
    first, second = found.records["rma"]
    assert first["sale"] is None
    assert first["parcels"] == Items()
    assert second["sale"] == Unreadable("?")


def test_items_know_what_holds_them_and_are_named_by_it() -> None:
    found = facts(order(line()), sale(store_refund("r", {"id": "l", "sku": "SHOE", "quantity": 1})), rma("1", piece("a")))
    assert found.order is not None
    assert found.order["lines"][0]["order"] is found.order
    refunded = found.records["sale"][0]["refunds"][0]
    assert refunded["lines"][0]["refund"] is refunded
    assert refunded["lines"][0].item == "store_refund_line:S/r/l"
    assert found.records["rma"][0]["units"][0].item == "rma_unit:1/a"


def test_a_shipment_holds_the_units_that_name_it() -> None:
    found = facts(
        order(line(quantity=2)),
        rma("1", piece("a", shipment_id="s2"), piece("b", shipment_id="s1"), shipments=({"id": "s1"}, {"id": "s2"})),
    )
    first, second = found.records["rma"][0]["shipments"]
    assert ([u["key"] for u in first["units"]], [u["key"] for u in second["units"]]) == (["b"], ["a"])


def test_what_belongs_to_several_orders_shows_only_the_parts_whose_line_is_here() -> None:
    both = {("order", "A"), ("order", "B")}
    shared = sale(
        store_refund("r", {"id": "1", "sku": "SHOE", "quantity": 1}, {"id": "2", "sku": "HAT", "quantity": 1}),
        lines=({"id": "1", "sku": "SHOE", "quantity": 1}, {"id": "2", "sku": "HAT", "quantity": 1}),
    )
    shared = type(shared)(shared.kind, shared.key, shared.seen_at, shared.snapshots, {}, frozenset(both))
    found = facts(order(line()), shared, rma("1", piece("a"), piece("b", "HAT")))
    assert [u["key"] for u in found.records["rma"][0]["units"]] == ["a"]
    assert [s["sku"] for s in found.records["sale"][0]["lines"]] == ["SHOE"]
    assert [s["sku"] for s in found.records["sale"][0]["refunds"][0]["lines"]] == ["SHOE"]
    assert found.unfit == ()
