"""EasyPost: only what it signed is believed, and a label is not a scan."""

import asyncio
import json
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from connectors.easypost.connector import EasyPostConnector, EasyPostSettings
from connectors.easypost.sandbox import EasyPostSandbox
from connectors.serving import Served
from connectors.signatures import easypost_signature
from engine.facts.outside import Event, Order, Ref, Refused, Rejected, TryLater, WebhookRequest
from tests.connectors.kit import TestClock, shared

SECRET = "a secret that signs"


def connector(clock=None, **given_):
    return EasyPostConnector(EasyPostSettings(**{"webhook_secret": SECRET, **given_}), clock or TestClock(), {})


def signed(body, secret=SECRET):
    return WebhookRequest(body, {"x-hmac-signature": easypost_signature(body, secret)}, {}, TestClock()())


def asked(made, ref):
    async def fetch():
        try:
            return await made.fetch(ref)
        finally:
            await made.close()

    return asyncio.run(fetch())


@contextmanager
def served(**given_):
    sandbox = EasyPostSandbox(TestClock())
    with Served(sandbox.app) as url:
        yield sandbox, connector(sandbox.clock, **{**sandbox.settings(url), **given_})


def test_the_published_event_with_its_published_signature_is_taken():
    vector = json.loads(shared("easypost/hmac-test-vector.json").read_text())
    body = json.dumps(json.loads(shared("easypost/event-body.json").read_text()), separators=(",", ":")).encode()
    request = WebhookRequest(body, {"x-hmac-signature": vector["expected"]}, {}, TestClock()())
    made = connector()
    made._secret = SecretStr(vector["secret"])  # shorter than any we would take
    (event,) = made.receive(request)
    assert event == Event("easypost", "easypost.tracker", body, request.received_at, requested=False, delivery="evt_1")


def test_every_scan_is_delivered_signed_with_all_scans_so_far():
    sandbox = EasyPostSandbox(TestClock())
    sandbox.create_tracker("TRK-1")
    for scan in (sandbox.pick_up, sandbox.move, sandbox.out_for_delivery, sandbox.deliver):
        sandbox.clock.tick(hours=5)
        scan("TRK-1")
    made = connector(**sandbox.settings("http://127.0.0.1"))
    received = [made.receive(delivery.request(sandbox.clock))[0] for delivery in sandbox.drain()]
    told = [json.loads(event.payload) for event in received]
    assert [event.delivery for event in received] == [f"evt_{n}" for n in range(1, 6)]
    assert [t["result"]["status"] for t in told] == ["pre_transit", *["in_transit"] * 2, "out_for_delivery", "delivered"]
    assert [len(t["result"]["tracking_details"]) for t in told] == [1, 2, 3, 4, 5]
    assert told[2]["previous_attributes"] == {"status": "in_transit"}
    assert sandbox.drain() == []


def test_two_scans_in_one_second_still_have_a_later_and_an_earlier():
    sandbox = EasyPostSandbox(TestClock())
    sandbox.create_tracker("TRK-1")
    sandbox.pick_up("TRK-1")
    sandbox.deliver("TRK-1")
    updates = [json.loads(delivery.body)["result"]["updated_at"] for delivery in sandbox.drain()]
    assert updates == sorted(set(updates))


@pytest.mark.parametrize("signature", ["", "hmac-sha256-hex=", "hmac-sha256-hex=00", "é"])
def test_without_a_sound_signature_nothing_is_read(signature):
    with pytest.raises(Rejected) as no:
        connector().receive(WebhookRequest(b"no json", {"x-hmac-signature": signature}, {}, TestClock()()))
    assert no.value.status == 401


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"description": "tracker.updated"}', b"\xff", b"[" * 100_000])
def test_signed_nonsense_is_rejected(body):
    with pytest.raises(Rejected) as no:
        connector().receive(signed(body))
    assert no.value.status == 400


def test_signed_events_about_other_things_are_answered_with_nothing():
    assert connector().receive(signed(b'{"description": "batch.created", "result": {"id": "batch_1"}}')) == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["tracker.updated", "TRK-1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["description", "result", "tracking_code", "id"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()), st.booleans())
@settings(max_examples=200)
def test_any_bytes_are_rejected_or_answered_with_events(body, genuine):
    with suppress(Rejected):
        received = connector().receive(signed(body, SECRET if genuine else "another"))
        assert genuine
        assert all(isinstance(each, Event) and each.payload == body for each in received)


def test_a_tracker_is_fetched_by_its_number_in_the_shape_of_an_event():
    with served() as (sandbox, made):
        sandbox.create_tracker("TRK-1")
        sandbox.create_tracker("TRK-2")
        sandbox.pick_up("TRK-1")
        (event,) = asked(made, Ref("easypost.tracker", "TRK-1"))
        assert (event.requested, event.observed_at) == (True, sandbox.clock())
        assert json.loads(event.payload)["result"] == sandbox.trackers["TRK-1"]
        assert asked(made, Ref("easypost.tracker", "TRK-3")) == []


def test_without_a_key_nothing_can_be_asked_for():
    assert asked(connector(), Ref("easypost.tracker", "TRK-1")) == []


def test_a_wrong_key_or_a_fault_is_tried_later():
    with served(api_key="wrong-key") as (sandbox, made):
        with pytest.raises(TryLater, match="401") as later:
            asked(made, Ref("easypost.tracker", "TRK-1"))
        assert later.value.after == timedelta(minutes=15)
        sandbox.faults.add("garbage_after")
        with pytest.raises(TryLater):
            asked(made, Ref("easypost.tracker", "TRK-1"))


def test_there_is_nothing_to_do_at_a_carrier():
    order = Order("key", "carrier.fly", "x", (), {}, 1, TestClock()())
    with pytest.raises(Refused):
        asyncio.run(connector().perform(order))
    assert asyncio.run(connector().look_up([order]))[0].done is False
