"""A payload becomes an observation or is set aside with the reason; nothing is lost and nothing raises."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.merge import fields_of, merge
from engine.facts.record import Observation
from engine.facts.values import Money, Unreadable
from engine.language.mapping import DEEPEST_PAYLOAD, LARGEST_PAYLOAD, RecordMapping, SetAside, observe
from engine.language.mapping_file import read_mapping
from engine.language.source import read_source
from engine.language.vocabulary import read_vocabulary
from engine.problems import Problems
from tests.language.small_world import NOON, SMALL, event

RMA: dict[str, Any] = {
    "summary": {"id": 1001, "status": "Approved"},
    "updated": "2026-11-01T10:00:00",
    "created": "2026-10-30T09:30:00+02:00",
    "received": None,
    "flags": {"escalated": "yes"},
    "weight": 1.10,
    "label": "2026-10-30",
    "order": {"ids": ["A-1", ""]},
    "shipments": [{"tracking": "T1"}, {"tracking": "T2", "outbound": True}, {"tracking": 3}],
    "items": [
        {"item": 47, "sku": "S", "paid": {"amount": 19.99, "currency": "EUR"}, "inspection": None},
        {"item": "48", "sku": "S", "inspection": {"result": "OK", "date": "2026-11-02T00:00:00Z"}},
    ],
    "comments": [{"id": "c1", "text": "hello", "at": "2026-11-01T00:00:00Z"}],
}


def mapping(text: str, connector: str = "portal") -> RecordMapping:
    problems = Problems()
    facts = read_source((SMALL / "mappings/facts.yaml").read_bytes(), "mappings/facts.yaml", problems)
    node = read_source(text, f"mappings/{connector}/it.yaml", problems)
    assert facts is not None
    assert node is not None
    found = read_mapping(node, connector, read_vocabulary(facts, problems), problems)
    assert not problems, str(problems)
    assert found is not None
    return found


def shipped(name: str) -> RecordMapping:
    return mapping((SMALL / f"mappings/{name}.yaml").read_text(), name.partition("/")[0])


PORTAL = shipped("portal/rma")


def changed(**fields: Any) -> bytes:
    return json.dumps({**RMA, **fields}).encode()


def seen(payload: bytes, by: RecordMapping = PORTAL, **more: Any) -> Observation:
    found = by.observe(event(payload, kind=by.event, **more))
    assert isinstance(found, list), found
    assert len(found) == 1
    return found[0]


def aside(payload: bytes, by: RecordMapping = PORTAL, **more: Any) -> SetAside:
    found = by.observe(event(payload, kind=by.event, **more))
    assert isinstance(found, SetAside), found
    return found


def test_a_payload_becomes_canonical_values() -> None:
    rma = seen(changed())
    assert (rma.kind, rma.key, rma.mapping) == ("rma", "1001", "portal.rma")
    assert rma.fields == {
        "id": "1001",
        "order_id": "A-1",
        "status": "approved",
        "requested_at": datetime(2026, 10, 30, 7, 30, tzinfo=UTC),
        "escalated": True,
        "weight": Decimal("1.1"),
        "label_printed_on": date(2026, 10, 30),
        "tracking_numbers": ("T1", "3"),
        "units": (
            {"key": "47", "sku": "S", "paid": Money.of("19.99", "EUR")},
            {"key": "48", "sku": "S", "verdict": "accepted"},
        ),
    }


def test_links_name_each_key_and_leave_out_the_empty_ones() -> None:
    assert seen(changed()).links == {("order", "A-1")}
    assert seen(changed(order={"ids": ["A-2", "A-3"]})).links == {("order", "A-2"), ("order", "A-3")}
    assert seen(changed(order=None)).links == frozenset()


def test_milestones_are_told_apart_from_what_changes() -> None:
    rma = seen(changed(received="2026-11-01T08:00:00Z"))
    assert rma.milestones == {
        "received_at": datetime(2026, 11, 1, 8, tzinfo=UTC),
        "units": {"48": {"inspected_at": datetime(2026, 11, 2, tzinfo=UTC)}},
        "notes": ({"id": "c1", "text": "hello", "written_at": datetime(2026, 11, 1, tzinfo=UTC)},),
    }
    assert rma.keeps == {"received_at": "earliest", "notes": "ever", "units.inspected_at": "earliest"}
    assert rma.item_keys == {"units": "key", "notes": "id"}


def test_a_kept_field_of_an_item_outlives_the_snapshot_that_brought_it() -> None:
    first = seen(changed())
    items = [{**item, "inspection": None} for item in RMA["items"]]
    later = seen(changed(items=items, updated="2026-11-01T11:00:00"))
    for order in ((first, later), (later, first)):
        state = None
        for observation in order:
            state = merge(state, observation)
        assert state is not None
        units = {unit["key"]: unit for unit in fields_of(state)["units"]}
        assert units["48"].get("verdict") is None
        assert units["48"]["inspected_at"] == datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("updated", "version"),
    [
        ("2026-11-01T10:00:00Z", "2026-11-01T10:00:00.000000Z"),
        ("2026-11-01T10:00:00.5+01:00", "2026-11-01T09:00:00.500000Z"),
        ("2026-11-01T10:00:00", "2026-11-01T09:00:00.000000Z"),  # in the mapping's zone
        (7, "7".zfill(40)),
        ("12", "12".zfill(40)),
        (7.25, "7".zfill(40) + ".25"),
    ],
)
def test_versions_sort_as_text(updated: Any, version: str) -> None:
    assert seen(changed(updated=updated)).version == version


@settings(max_examples=100)
@given(st.decimals(min_value=0, max_value=10**9, places=3), st.decimals(min_value=0, max_value=10**9, places=3))
def test_greater_numbers_are_greater_versions(one: Decimal, other: Decimal) -> None:
    older, newer = (seen(changed(updated=str(n))).version for n in sorted([one, other]))
    assert (older < newer) is (one != other)


def test_a_requested_payload_is_as_old_as_its_request() -> None:
    order = shipped("shop/order")
    payload = json.dumps({"order_id": "A-1", "state": "OPEN", "total": 5, "currency": "EUR", "lines": []}).encode()
    assert seen(payload, order, requested=True).version == "2026-11-01T12:00:00.000000Z"
    assert seen(payload, order, requested=True).fields["lines"] == ()
    assert "it was pushed" in aside(payload, order, requested=False).reason


def test_an_unlisted_word_is_unreadable_and_the_rest_is_kept() -> None:
    rma = seen(changed(summary={"id": "1001", "status": "Dreaming"}))
    assert rma.fields["status"] == Unreadable("Dreaming")
    assert rma.fields["order_id"] == "A-1"


def test_what_is_null_is_missing_and_an_empty_word_too() -> None:
    rma = seen(changed(created=None, weight="", flags={"escalated": ""}, items=None))
    assert {"requested_at", "weight", "escalated", "units"}.isdisjoint(rma.fields)


def test_inner_names_mean_the_item_and_payload_reaches_out() -> None:
    order = shipped("shop/order")
    line = {"id": 1, "price": 2.5, "refunds": [{"id": 9, "amount": 1, "currency": "XXX"}]}
    payload = json.dumps({"order_id": "A", "currency": "EUR", "sku": "outer", "total": 1, "lines": [line]}).encode()
    found = seen(payload, order, requested=True).fields["lines"][0]
    assert found == {"id": "1", "price": Money.of("2.5", "EUR"), "refunds": ({"id": "9", "amount": Money.of("1", "EUR")},)}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "the payload is not JSON"),
        (b"\xff\xfe", "the payload is not JSON"),
        (b'"text"', "the payload is the text 'text', not an object"),
        (b'{"a": NaN}', "the payload is not JSON: NaN is not a number"),
        (b"[" * 5000, "the payload is not JSON"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, f"nested more than {DEEPEST_PAYLOAD} deep"),
        (b'"' + b"x" * LARGEST_PAYLOAD + b'"', "at most 10000000 are read"),
        (b"{}", "id: the key is missing (summary.id)"),
        (changed(summary={"id": 1}), "summary.status: is required and missing"),
        (changed(summary={"id": {}, "status": "x"}), "key: text is wanted, not a group of fields"),
        (changed(updated=None), "version: the version is missing"),
        (changed(updated="soon"), "version: 'soon' is not a timestamp"),
        (changed(updated=-1), "version: a version cannot be negative"),
        (changed(created="yesterday"), "requested_at: 'yesterday' is not a timestamp"),
        (changed(weight="heavy"), "weight: 'heavy' is not a number"),
        (changed(weight=True), "weight: a number is wanted, not true"),
        (changed(label="x"), "label_printed_on: 'x' is not a date"),
        (changed(items={}), "units: a list is wanted, not a group of fields"),
        (changed(items=[1]), "units[0]: an object is wanted, not the number 1"),
        (changed(items=[{"item": 1}, {"item": "1"}]), 'units[1].key: the key "1" is there twice'),
        (changed(items=[{"item": 1}, {"sku": "x"}]), "units[1].key: the key of the item is missing (item)"),
        (changed(items=[{"item": 1, "sku": ["x"]}]), "units[0].sku: text is wanted, not a list"),
        (changed(items=[{"item": 1, "inspection": {"result": {}}}]), "units[0].verdict: text is wanted, not a group of fields"),
        (changed(shipments=[{"tracking": {}}]), "tracking_numbers[0]: text is wanted, not a group of fields"),
    ],
)
def test_what_does_not_fit_is_set_aside_with_the_reason(payload: bytes, reason: str) -> None:
    found = aside(payload)
    assert reason in found.reason
    assert found.place.file == "mappings/portal/it.yaml"


def test_half_a_character_is_set_aside() -> None:
    assert "not JSON" in aside(b'{"summary": {"id": "\\ud800"}}').reason


def test_a_key_can_be_what_the_event_is_about() -> None:
    known_by_event = mapping("from: portal.a\nto: rma\nkey: about\nfields: {escalated: {value: event.about != '', keep: ever}}")
    assert seen(b"{}", known_by_event, about="77").key == "77"
    assert "the key is missing" in aside(b"{}", known_by_event).reason


def test_one_payload_may_hold_many_records() -> None:
    many = mapping(
        "from: portal.parcels\nto: parcel\neach: parcels\nkey: id\nversion: payload.at\n"
        "fields: {status: {from: state, values: {M: moving}}}"
    )
    body = json.dumps({"at": 5, "parcels": [{"id": 1, "state": "M"}, {"id": 2, "state": "?"}]}).encode()
    found = many.observe(event(body, kind=many.event))
    assert isinstance(found, list)
    assert [(o.key, o.version[-1], o.fields["status"]) for o in found] == [("1", "5", "moving"), ("2", "5", Unreadable("?"))]
    assert many.observe(event(b"{}", kind=many.event)) == []


def test_many_mappings_may_read_one_event_and_none_is_told() -> None:
    other = mapping("from: portal.rma\nto: parcel\nkey: shipments_id\nfields: {}")
    observed, set_aside = observe([PORTAL, other], event(changed()))
    assert [o.kind for o in observed] == ["rma"]
    assert [s.reason for s in set_aside] == ["number: the key is missing (shipments_id)"]
    _, unread = observe([], event(b"{}", kind="portal.news"))
    assert [s.reason for s in unread] == ["no mapping reads portal.news"]


def test_repeated_payloads_give_the_same_observation() -> None:
    first, again = seen(changed()), seen(changed())
    assert first == again
    moved = PORTAL.observe(replace(event(changed()), observed_at=NOON + timedelta(hours=1)))
    assert isinstance(moved, list)
    assert replace(moved[0], observed_at=NOON) == first


jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "item", "amount"]), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.binary(max_size=80))
def test_no_bytes_make_a_mapping_raise(raw: bytes) -> None:
    assert isinstance(PORTAL.observe(event(raw)), SetAside)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(sorted(RMA)), jsons, min_size=1, max_size=2))
def test_no_json_makes_a_mapping_raise(odd: dict[str, Any]) -> None:
    found = PORTAL.observe(event(json.dumps({**RMA, **odd}).encode()))
    assert isinstance(found, SetAside | list)
    if isinstance(found, list):
        assert merge(None, found[0]).key
