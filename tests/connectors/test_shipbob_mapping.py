"""What an expected return becomes: what was announced, what came, and what was found in it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.http import dumps
from connectors.shipbob import shapes
from connectors.shipbob.sandbox import ShipBobSandbox
from engine.facts.outside import Event
from engine.facts.values import Unreadable
from engine.language.mapping import SetAside
from tests.connectors.kit import TestClock
from tests.connectors.mapped import facts, mappings, merged, pushed, read


class Dock:
    def __init__(self) -> None:
        self.clock = TestClock()
        self.box = ShipBobSandbox(self.clock, inventory={"SHOE": 11, "SHIRT": 12})
        self.box.expect("RG-1-1", {"SHOE": 2, "SHIRT": 1}, "1Z")

    def see(self, **change) -> Event:
        self.clock.tick(hours=1)
        [order] = self.box.returns.values()
        body = dumps({**shapes.listed(order, 1), **change})
        return Event("shipbob", "shipbob.return", body, self.clock(), requested=True)


def lines(found) -> dict[str, tuple[int, int, int, int]]:
    return {i["sku"]: (i["expected"], i["received"], i["restocked"], i["rejected"]) for i in found["lines"]}


def test_the_mapping_of_the_warehouse_has_no_problem():
    assert [one.event for one in mappings("shipbob")] == ["shipbob.return"]


def test_an_announced_return_is_awaited():
    event = Dock().see()
    found = facts(event)
    assert (found["ref"], found["status"], found["tracking_number"]) == ("RG-1-1", "awaiting", "1Z")
    assert found["id"].isdigit()
    assert found["created_at"] == datetime(2026, 11, 2, 10, tzinfo=UTC)
    assert not {"arrived_at", "completed_at"} & found.keys()
    assert lines(found) == {"SHOE": (2, 0, 0, 0), "SHIRT": (1, 0, 0, 0)}
    assert merged([event]).links == {("parcel", "1Z")}


def test_what_is_found_is_counted_by_what_was_done_with_it():
    dock = Dock()
    dock.box.arrive("RG-1-1")
    arrived = dock.see()
    assert facts(arrived)["status"] == "arrived"
    dock.box.process("RG-1-1")
    assert facts(dock.see())["status"] == "processing"
    dock.box.inspect("RG-1-1", {"SHOE": {"restock": 1, "quarantine": 1, "dispose": 1}, "SHIRT": {}})
    done = dock.see()
    found = facts(done)
    assert found["status"] == "completed"
    assert lines(found) == {"SHOE": (2, 3, 1, 2), "SHIRT": (1, 0, 0, 0)}
    assert found["arrived_at"] == facts(arrived)["arrived_at"]
    assert facts(done, arrived) == facts(arrived, done) == found


def test_an_action_shipbob_has_not_told_of_yet_is_not_taken_for_good():
    dock = Dock()
    dock.box.inspect("RG-1-1", {"SHOE": {"restock": 1, "Donate": 1}})
    assert lines(facts(dock.see()))["SHOE"] == (2, 2, 1, 1)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Awaiting Arrival", "awaiting"),
        ("AwaitingArrival", "awaiting"),
        ("Cancelled", "cancelled"),
        ("Action Required", Unreadable("Action Required")),
    ],
)
def test_a_status_is_read_or_said_to_be_unreadable(word, status):
    assert facts(Dock().see(status=word))["status"] == status


@pytest.mark.parametrize("sku", [None, ""])
def test_goods_without_a_sku_go_by_their_inventory_id(sku):
    dock = Dock()
    goods = {"id": 99, "name": "found in the box", "quantity": 0, "sku": sku, "action_taken": None}
    assert lines(facts(dock.see(inventory=[goods]))) == {"99": (0, 0, 0, 0)}


def test_a_return_without_a_reference_is_set_aside():
    found = read(Dock().see(reference_id=None))
    assert isinstance(found, SetAside)
    assert "reference_id" in found.reason


def test_a_pushed_return_never_counts_as_the_latest():
    found = read(pushed("shipbob", "shipbob.return", Dock().see().payload))
    assert isinstance(found, SetAside)
    assert "pushed" in found.reason
