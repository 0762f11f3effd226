"""A tracker in our words: the first scan is the first that shows the carrier has the parcel."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.easypost.sandbox import EasyPostSandbox
from engine.facts.values import Unreadable
from engine.language.mapping import SetAside
from tests.connectors.kit import TestClock, shared
from tests.connectors.mapped import facts, pushed, read


@pytest.fixture
def sandbox():
    made = EasyPostSandbox(TestClock())
    made.create_tracker("TRK-1")
    return made


def event(body):
    return pushed("easypost", "easypost.tracker", body)


def parcel(*bodies):
    """The parcel after these events, in this order."""
    return facts(*map(event, bodies))


def sent(sandbox):
    return [delivery.body for delivery in sandbox.drain()]


def test_the_published_event_was_picked_up_at_its_second_detail():
    """FedEx, "Picked up": the label was made four hours earlier."""
    found = parcel(shared("easypost/event-body.json").read_bytes())
    assert found == {
        "tracking_number": "1",
        "carrier": "FedEx",
        "status": "in_transit",
        "first_scan_at": datetime(2024, 7, 31, 19, 27, tzinfo=UTC),
        "updated_at": datetime(2024, 8, 2, 19, 26, 51, tzinfo=UTC),
    }


def test_a_label_is_no_scan(sandbox):
    found = parcel(*sent(sandbox))
    assert found["status"] == "label_created"
    assert "first_scan_at" not in found


def test_the_first_scan_is_when_the_carrier_saw_it_not_when_it_told(sandbox):
    scanned = sandbox.clock()
    sandbox.clock.tick(hours=6)
    sandbox.scan("TRK-1", "in_transit", "arrived_at_facility", "Picked up", at=scanned)
    assert parcel(*sent(sandbox))["first_scan_at"] == scanned


def test_delivered_without_any_scan_was_scanned_when_delivered(sandbox):
    sandbox.clock.tick(days=2)
    sandbox.deliver("TRK-1")
    found = parcel(*sent(sandbox))
    assert found["first_scan_at"] == found["delivered_at"] == sandbox.clock()


@pytest.mark.parametrize("status", ["failure", "cancelled", "error", "unknown"])
def test_a_label_that_fails_or_is_voided_was_never_scanned(sandbox, status):
    sandbox.clock.tick(days=1)
    sandbox.scan("TRK-1", status, "unknown", "")
    found = parcel(*sent(sandbox))
    assert found["status"] == ("unknown" if status == "unknown" else "exception")
    assert "first_scan_at" not in found


def test_returned_to_sender_is_neither_delivered_nor_on_its_way(sandbox):
    sandbox.pick_up("TRK-1")
    sandbox.return_to_sender("TRK-1")
    found = parcel(*sent(sandbox))
    assert found["status"] == "returned_to_sender"
    assert "delivered_at" not in found


def test_an_unheard_of_status_is_unreadable_and_still_a_scan(sandbox):
    sandbox.clock.tick(days=1)
    sandbox.scan("TRK-1", "in_customs", "unknown", "")
    found = parcel(*sent(sandbox))
    assert found["status"] == Unreadable("in_customs")
    assert found["first_scan_at"] == sandbox.clock()


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=4))
@settings(max_examples=60)
def test_late_repeated_and_reordered_events_end_in_the_same_parcel(order, again):
    sandbox = EasyPostSandbox(TestClock())
    sandbox.create_tracker("TRK-1")
    for scan in (sandbox.pick_up, sandbox.move, sandbox.move, sandbox.out_for_delivery, sandbox.deliver):
        sandbox.clock.tick(hours=4)
        scan("TRK-1")
    bodies = sent(sandbox)
    assert parcel(*(bodies[n] for n in [*order, *again])) == parcel(*bodies)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no", b'{"result": {"tracking_code": "T"}}', b'{"result": []}'])
def test_what_tells_no_tracker_or_no_time_is_set_aside(body):
    assert isinstance(read(event(body)), SetAside)


def test_what_is_fetched_and_what_is_pushed_are_the_same_parcel(sandbox):
    sandbox.pick_up("TRK-1")
    fetched = json.dumps({"result": sandbox.trackers["TRK-1"]}).encode()
    assert parcel(fetched) == parcel(*sent(sandbox))
