"""What is kept of a record does not depend on how its observations arrived."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.merge import CORRECTION, fields_of, links_of, merge
from engine.facts.merge import given as given_whole
from engine.facts.record import Observation, RecordState, Snapshot
from engine.facts.values import Unreadable
from tests.facts.words import T0, WORDS, at, eur


def seen(fields: dict[str, Any], version: str = "1", digest: str = "d", hours: float = 0, **more: Any) -> Observation:
    whole: dict[str, Any] = {
        "mapping": "platform.rma",
        "kind": "rma",
        "key": "1",
        "item_keys": {"units": "key", "transactions": "id"},
    }
    return Observation(version=version, digest=digest, observed_at=at(hours), fields=fields, **(whole | more))


def merged(*observations: Observation) -> RecordState:
    state: RecordState | None = None
    for observation in observations:
        state = merge(state, observation)
    assert state is not None
    return state


def test_a_stale_webhook_changes_nothing_but_its_milestones() -> None:
    fresh = seen({"status": "received"}, version="2", hours=5)
    stale = seen({"status": "approved"}, version="1", hours=6, milestones={"received_at": at(2)})
    fields = fields_of(merged(fresh, stale))
    assert fields["status"] == "received"
    assert fields["received_at"] == at(2)


def test_an_empty_summary_after_a_full_record_takes_no_milestone_back() -> None:
    full = seen(
        {}, mapping="carrier.parcel", kind="parcel", version="1", milestones={"first_scan_at": at(1), "delivered_at": at(9)}
    )
    empty = seen({"status": None}, mapping="carrier.parcel", kind="parcel", version="2", milestones={"first_scan_at": None})
    fields = fields_of(merged(full, empty))
    assert (fields["first_scan_at"], fields["delivered_at"]) == (at(1), at(9))


def test_the_earliest_time_ever_seen_stays() -> None:
    late, early = (seen({}, milestones={"received_at": at(h)}) for h in (8, 3))
    assert fields_of(merged(late, early, late))["received_at"] == at(3)


def test_what_was_once_true_stays_true_and_what_was_only_ever_false_is_known_to_be_false() -> None:
    yes, no = (seen({}, milestones={"out_of_policy": value}) for value in (True, False))
    assert fields_of(merged(no))["out_of_policy"] is False
    assert fields_of(merged(no, yes, no))["out_of_policy"] is True


def test_an_unreadable_milestone_does_not_replace_a_readable_one() -> None:
    state = merged(seen({}, milestones={"received_at": at(1)}), seen({}, milestones={"received_at": Unreadable("soon")}))
    assert fields_of(state)["received_at"] == at(1)


def test_each_mapping_keeps_its_own_winner() -> None:
    state = merged(seen({"status": "done"}, version="9"), seen({"order_name": "#1"}, version="1", mapping="other.rma"))
    assert fields_of(state) == {"status": "done", "order_name": "#1"}


def test_equal_versions_are_told_apart_by_digest() -> None:
    assert fields_of(merged(seen({"status": "b"}, digest="b"), seen({"status": "a"}, digest="a")))["status"] == "b"


def test_the_same_payload_read_anew_replaces_what_an_older_mapping_made_of_it() -> None:
    assert fields_of(merged(seen({"status": Unreadable("New")}), seen({"status": "approved"})))["status"] == "approved"


def test_items_of_a_kept_list_come_together_and_the_newer_reading_of_each_wins() -> None:
    first = seen(
        {}, version="1", milestones={"transactions": ({"id": "1", "status": "requested"}, {"id": "2", "status": "success"})}
    )
    second = seen(
        {}, version="2", milestones={"transactions": ({"id": "1", "status": "success"}, {"id": "3", "status": "failed"})}
    )
    expected = {"1": "success", "2": "success", "3": "failed"}
    for order in ((first, second), (second, first)):
        assert {t["id"]: t["status"] for t in fields_of(merged(*order))["transactions"]} == expected


def test_a_kept_list_joins_the_items_of_the_snapshot() -> None:
    whole = seen({"transactions": ({"id": "1", "status": "success"},)}, mapping="platform.full")
    pushed = seen({}, milestones={"transactions": ({"id": "2", "status": "requested"},)})
    assert [t["id"] for t in fields_of(merged(whole, pushed))["transactions"]] == ["1", "2"]


def test_a_kept_list_that_came_empty_is_known_to_be_empty() -> None:
    assert fields_of(merged(seen({}, milestones={"transactions": ()})))["transactions"] == ()
    assert "transactions" not in fields_of(merged(seen({})))


def test_what_was_kept_in_words_that_are_gone_does_not_stand_in_the_way() -> None:
    kept = merged(
        seen({}, milestones={"received_at": at(4), "transactions": ({"id": "1"},), "units": {"a": {"inspected_at": at(1)}}})
    )
    faded = {name: Snapshot(s.version, s.digest, {}) for name, s in kept.snapshots.items()}
    state = RecordState(kept.kind, kept.key, kept.seen_at, faded, {"received_at": Unreadable("gone")})
    assert fields_of(state)["received_at"] == Unreadable("gone")
    healed = seen({"units": ({"key": "a"},)}, milestones={"received_at": at(3), "units": {"a": {"inspected_at": at(2)}}})
    assert fields_of(merge(state, healed)) == {
        "received_at": at(3),
        "transactions": (),
        "units": ({"key": "a", "inspected_at": at(2)},),
    }


def test_kept_fields_of_an_item_stay_with_it_and_leave_with_it() -> None:
    inspected = seen({"units": ({"key": "a"}, {"key": "b"})}, version="1", milestones={"units": {"a": {"inspected_at": at(4)}}})
    reset = seen({"units": ({"key": "a", "sku": "X"},)}, version="2", milestones={"units": {"a": {"inspected_at": None}}})
    assert fields_of(merged(reset, inspected))["units"] == ({"key": "a", "sku": "X", "inspected_at": at(4)},)
    gone = seen({"units": ()}, version="3")
    assert fields_of(merged(reset, gone, inspected))["units"] == ()


def test_a_kept_list_must_name_the_key_of_its_items() -> None:
    with pytest.raises(ValueError, match=r"keeps rma\.transactions without naming the key"):
        merge(None, seen({}, milestones={"transactions": ({"id": "1"},)}, item_keys={}))


def test_links_of_a_snapshot_that_lost_are_gone() -> None:
    old = seen({}, version="1", links=frozenset({("sale", "wrong")}))
    new = seen({}, version="2", links=frozenset({("sale", "right")}))
    assert merged(old, new).links == merged(new, old).links == {("sale", "right")}


def test_a_correction_by_a_person_wins_over_a_milestone_whenever_it_comes() -> None:
    wrong = seen({}, milestones={"received_at": at(1)})
    right = seen({"received_at": at(7)}, mapping=f"{CORRECTION}received_at", version="2026")
    assert fields_of(merged(right, wrong))["received_at"] == at(7)
    assert fields_of(merged(wrong, right))["received_at"] == at(7)


def test_a_record_is_seen_when_it_was_first_observed() -> None:
    assert merged(seen({}, hours=9), seen({}, version="0", hours=2)).seen_at == at(2)


times = st.integers(0, 5).map(at)
kept_fields = st.fixed_dictionaries(
    {},
    optional={
        "received_at": st.none() | times,
        "out_of_policy": st.none() | st.booleans(),
        "units": st.dictionaries(st.sampled_from("ab"), st.fixed_dictionaries({"inspected_at": st.none() | times}), max_size=2),
    },
)


@st.composite
def histories(draw: st.DrawFn) -> list[Observation]:
    """Observations in which one mapping makes the same of the same payload."""
    payloads = draw(
        st.dictionaries(
            st.tuples(st.sampled_from(["m1", "m2"]), st.sampled_from("12"), st.sampled_from("xy")),
            st.tuples(
                st.fixed_dictionaries({"status": st.sampled_from(["approved", "done"])}),
                kept_fields,
                st.lists(st.sampled_from("stu"), unique=True, max_size=2),
                st.lists(st.sampled_from("ab"), unique=True, max_size=2),
            ),
            min_size=1,
        )
    )
    observations = []
    for (mapping, version, digest), (fields, milestones, kept, links) in payloads.items():
        observations.append(
            seen(
                {**fields, "units": tuple({"key": key} for key in links)},
                version,
                digest,
                draw(st.integers(0, 9)),
                mapping=mapping,
                milestones={**milestones, "transactions": tuple({"id": key, "status": version} for key in kept)},
                links=frozenset(("sale", key) for key in links),
            )
        )
    return observations


@settings(max_examples=150, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_order_and_repetition_make_no_difference(history: list[Observation], chance: random.Random) -> None:
    again = history + chance.choices(history, k=3)
    chance.shuffle(again)
    state = merged(*history)
    assert merged(*again) == state
    assert fields_of(merged(*again)) == fields_of(state)


@settings(max_examples=100, deadline=None)
@given(histories())
def test_a_milestone_never_goes_back(history: list[Observation]) -> None:
    state: RecordState | None = None
    for observation in history:
        before = {} if state is None else fields_of(state)
        state = merge(state, observation)
        after = fields_of(state)
        if before.get("received_at") is not None:
            assert after["received_at"] <= before["received_at"]
        if before.get("out_of_policy"):
            assert after["out_of_policy"] is True


def test_a_record_given_whole_has_empty_lists_where_none_is_mentioned() -> None:
    state = given_whole(WORDS, "order", {"id": "A", "lines": ({"id": "A-1", "price": eur(5)},)}, T0)
    fields = fields_of(state)
    assert fields["lines"][0]["refunds"] == ()
    assert "total" not in fields
    assert (
        given_whole(WORDS, "rma", {"id": "1", "tracking_numbers": None}, T0).snapshots["given"].fields["tracking_numbers"] is None
    )


def test_a_record_given_whole_links_to_what_its_relations_name_on_either_side() -> None:
    rma = {"id": "1", "sale_id": "S", "tracking_numbers": ("T1", "T2"), "shipments": ({"id": "s", "tracking_number": "T3"},)}
    assert set(links_of(WORDS, "rma", rma)) == {("sale", "S"), ("parcel", "T1"), ("parcel", "T2"), ("parcel", "T3")}
    assert set(links_of(WORDS, "market_return", {"id": "m", "order_id": "A", "rma_id": "1"})) == {("order", "A"), ("rma", "1")}
