"""The warehouse connector against its sandbox, over real HTTP, every call checked against ShipBob's OpenAPI where it is there."""

from __future__ import annotations

import asyncio
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from starlette.responses import JSONResponse

from connectors.http import loads
from connectors.serving import Faults, Served
from connectors.shipbob import shapes
from connectors.shipbob.connector import ShipBobConnector
from connectors.shipbob.expected import LONGEST_REFERENCE, foremost, reference_of
from connectors.shipbob.sandbox import ShipBobSandbox
from connectors.shipbob.shapes import ReturnOrder
from connectors.signatures import standard_webhooks_signature
from engine.facts.outside import Event, Hint, Order, Ref, Refused, Rejected, TryLater, Unsure, WebhookRequest

SHARED = Path(os.environ.get("INSTEP_SHARED", Path(__file__).parents[2].parent / "shared")) / "data"
SPEC = SHARED / "shipbob/openapi-2026-01.returns-receiving-webhooks.json"
START = datetime(2026, 11, 1, 9, tzinfo=UTC)
SKUS = {"SHOE": 11, "SHIRT": 12, "SHIRT-OLD": 12}


class Time:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


class Checked:
    """An ASGI application around the sandbox that holds every request and answer against the OpenAPI."""

    def __init__(self, app) -> None:
        self.app = app
        self.faults: list[str] = []
        self.calls: list[str] = []
        self.spec = json.loads(SPEC.read_text()) if SPEC.is_file() else None

    async def __call__(self, scope, receive, send):
        asked, answered, status = b"", b"", 0

        async def listening():
            nonlocal asked
            message = await receive()
            asked += message.get("body", b"")
            return message

        async def telling(message):
            nonlocal answered, status
            status = message.get("status", status)
            answered += message.get("body", b"")
            await send(message)

        await self.app(scope, listening, telling)
        path = re.sub(r"/\d+(?=$|:)", "/{id}", scope["path"])
        self.calls.append(f"{scope['method']} {path.partition('/return')[2] or '/'}")
        if self.spec is not None:
            self._check(scope, path, asked, status, answered)

    def _check(self, scope, path, asked, status, answered):
        call = self.spec["paths"][path][scope["method"].lower()]
        headers = {name.decode() for name, _ in scope["headers"]}
        query = {pair.partition("=")[0] for pair in scope["query_string"].decode().split("&") if pair}
        known = {p["name"] for p in call["parameters"] if p["in"] == "query"}
        needed = {p["name"].lower() for p in call["parameters"] if p["in"] == "header" and p["required"]}
        self.faults += [f"{path}: no parameter {name}" for name in query - known]
        self.faults += [f"{path}: header {name} is missing" for name in needed - headers]
        if asked or ("requestBody" in call and status < 300):
            self._valid(path, call["requestBody"]["content"]["application/json"]["schema"], asked)
        self._valid(f"{path} {status}", call["responses"][str(status)]["content"]["application/json"]["schema"], answered)

    def _valid(self, what, schema, body):
        whole = {**schema, "components": self.spec["components"]}
        self.faults += [f"{what}: {e.json_path} {e.message}" for e in Draft202012Validator(whole).iter_errors(json.loads(body))]


class Warehouse:
    """A served sandbox and a connector that talks to it."""

    def __init__(self, *, inventory=SKUS) -> None:
        self.time = Time()
        self.box = ShipBobSandbox(self.time, inventory=inventory)
        self.checked = Checked(self.box.app)
        self.faults = Faults(self.checked)
        self.server = Served(self.faults)

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.stop()
        assert self.checked.faults == []

    def run(self, work, codes=None, **more):
        async def whole():
            given = {**self.box.settings(self.server.url), **more}
            connector = ShipBobConnector(ShipBobConnector.Settings.model_validate(given), self.time, codes or {})
            connector._client._http._timeout = 0.5
            try:
                return await work(connector)
            finally:
                await connector.close()

        return asyncio.run(whole())

    def perform(self, order, **more):
        return self.run(lambda c: c.perform(order), **more)

    def look_up(self, *orders):
        return {e.key: e for e in self.run(lambda c: c.look_up(orders))}

    def poll(self, cursor: str = ""):
        async def pages(connector):
            return [page async for page in connector.observe("returns", cursor)]

        pages = self.run(pages)
        return pages[-1].cursor, {one["reference_id"]: one for page in pages for one in map(body_of, page.events)}


def body_of(event: Event):
    return loads(event.payload)


def announce(reference="RG-1-1", sent_at=None, **pieces: int) -> Order:
    lines = tuple({"sku": sku, "quantity": n} for sku, n in (pieces or {"SHOE": 1}).items())
    shipment = {"id": "1", "receipt_ref": reference, "tracking_number": "1Z", "lines": lines, "key": f"1/{reference}"}
    return Order(f"asn:{reference}", "warehouse.create_asn", "shipment:1", (), {"shipment": shipment}, 1, START, sent_at)


def call_off(reference="RG-1-1") -> Order:
    receipt = {"ref": reference, "key": reference, "status": "awaiting"}
    return Order(f"off:{reference}", "warehouse.cancel_asn", "receipt:1", (), {"receipt": receipt}, 1, START)


@pytest.mark.skipif(not SPEC.is_file(), reason=f"no OpenAPI at {SPEC}")
def test_the_checks_against_the_openapi_can_fail():
    checked = Checked(None)
    checked._valid("x", {"$ref": "#/components/schemas/Returns.CreateReturnRequest"}, b'{"reference_id": 1}')
    assert len(checked.faults) == 3


def test_a_shipment_is_announced_under_its_reference_and_its_pieces_by_inventory_id():
    with Warehouse() as warehouse:
        receipt = warehouse.perform(announce(**{"SHOE": 2, "SHIRT": 1, "SHIRT-OLD": 3}))
        [made] = warehouse.box.returns.values()
    assert receipt.reference == str(made.id)
    assert (made.reference_id, made.tracking_number) == ("RG-1-1", "1Z")
    assert {piece.id: piece.expected for piece in made.pieces} == {11: 2, 12: 4}
    assert [body_of(e)["id"] for e in receipt.events] == [made.id]


def test_a_poll_that_is_cut_short_goes_on_where_it_was_and_misses_nothing():
    with Warehouse() as warehouse:
        every = {f"RG-{n}-1" for n in range(120)}
        for reference in sorted(every):
            warehouse.box.expect(reference, {"SHOE": 1})

        async def cut_short(connector):
            pages = connector.observe("returns", "")
            return [await anext(pages), await anext(pages)]

        begun = warehouse.run(cut_short)
        first = {body_of(event)["reference_id"] for page in begun for event in page.events}
        asked_at = warehouse.time()
        warehouse.time.pass_by(hours=2)
        left = next(iter(warehouse.box.returns.values()))  # what leaves the list moves the rest of it forward
        left.status = "Cancelled"
        cursor, rest = warehouse.poll(begun[-1].cursor)
        assert len(first) == 100
        assert first | rest.keys() == every
        assert len(rest) < 100
        assert cursor == asked_at.isoformat()


def test_a_cursor_that_stands_nowhere_begins_the_poll_anew():
    with Warehouse() as warehouse:
        warehouse.box.expect("RG-1-1", {"SHOE": 1})
        for strange in ("{", "[]", '{"began": 1}', '{"began": "2026-01-01T00:00:00Z", "since": "x", "search": 0, "page": 1}'):
            assert warehouse.poll(strange)[1].keys() == {"RG-1-1"}


def test_announcing_twice_announces_once():
    with Warehouse() as warehouse:
        first, second = warehouse.perform(announce()), warehouse.perform(announce())
        assert first.reference == second.reference
        assert len(warehouse.box.returns) == 1


def test_what_somebody_announced_by_hand_is_found():
    with Warehouse() as warehouse:
        number = warehouse.box.expect("RG-1-1", {"SHOE": 1})
        assert warehouse.perform(announce()).reference == str(number)


def test_an_article_without_an_inventory_id_is_refused_before_anything_is_sent():
    with Warehouse() as warehouse:
        with pytest.raises(Refused, match="'HAT' has no ShipBob inventory id") as no:
            warehouse.perform(announce(SHOE=1, HAT=1))
        assert no.value.reason == "sku_unknown"
        assert warehouse.checked.calls == []


def test_an_article_goes_by_its_code_before_the_settings():
    with Warehouse() as warehouse:
        codes = {"warehouse.create_asn.sku": {"HAT": str(SKUS["SHOE"]), "SHOE": "not a number"}}
        receipt = warehouse.run(lambda c: c.perform(announce(HAT=1, SHOE=1)), codes, inventory={**SKUS, "HAT": 99})
        assert body_of(receipt.events[0])["inventory"][0]["quantity"] == 2


@pytest.mark.parametrize(("change", "reason"), [({"receipt_ref": None}, "no_reference"), ({"lines": ()}, "nothing_expected")])
def test_what_cannot_be_announced_is_refused(change, reason):
    order = announce()
    order.params["shipment"].update(change)
    with Warehouse() as warehouse, pytest.raises(Refused) as no:
        warehouse.perform(order)
    assert no.value.reason == reason


def test_what_shipbob_refuses_is_refused_in_its_words():
    with Warehouse() as warehouse:
        with pytest.raises(Refused, match="unknown inventory 99") as no:
            warehouse.perform(announce(HAT=1), inventory={"HAT": 99})
        assert no.value.reason == "invalid_request"
        with pytest.raises(Refused) as no:
            warehouse.perform(announce(), channel_id=5)
        assert no.value.reason == "missing_role"
        with pytest.raises(TryLater, match="401"):
            warehouse.perform(announce(), token="wrong")


@pytest.mark.parametrize("fault", ["error_after", "hang_after", "cut_after", "garbage_after"])
def test_a_lost_answer_is_unsure_and_the_look_up_then_finds_what_was_made(fault):
    with Warehouse() as warehouse:
        warehouse.faults.add(fault, "POST")
        with pytest.raises(Unsure):
            warehouse.perform(announce())
        evidence = warehouse.look_up(announce())["asn:RG-1-1"]
        [made] = warehouse.box.returns
        assert evidence.done is True
        assert evidence.receipt is not None
        assert evidence.receipt.reference == str(made)
        assert [body_of(e)["reference_id"] for e in evidence.events] == ["RG-1-1"]


def test_a_look_up_tells_what_is_there_and_what_is_not():
    with Warehouse() as warehouse:
        warehouse.box.expect("RG-1-1", {"SHOE": 1})
        warehouse.box.expect("RG-2-1", {"SHOE": 1})
        warehouse.box.cancel("RG-2-1")
        orders = [announce(f"RG-{n}-1") for n in (1, 2, 3)] + [call_off(f"RG-{n}-1") for n in (1, 2, 3)]
        found = warehouse.look_up(*orders)
        assert {key: e.done for key, e in found.items()} == {
            "asn:RG-1-1": True, "asn:RG-2-1": False, "asn:RG-3-1": False,
            "off:RG-1-1": False, "off:RG-2-1": True, "off:RG-3-1": False,
        }  # fmt: skip
        assert warehouse.checked.calls == ["GET /"]


def test_what_we_announced_and_somebody_cancelled_since_is_not_announced_again():
    with Warehouse() as warehouse:
        warehouse.perform(announce())
        warehouse.box.cancel("RG-1-1")
        assert warehouse.look_up(announce(sent_at=START))["asn:RG-1-1"].done is True
        assert warehouse.look_up(announce(sent_at=START + timedelta(hours=1)))["asn:RG-1-1"].done is False


def test_an_announcement_is_called_off_while_it_is_awaited():
    with Warehouse() as warehouse:
        warehouse.perform(announce())
        receipt = warehouse.perform(call_off())
        assert warehouse.box.status_of("RG-1-1") == "Cancelled"
        assert body_of(receipt.events[0])["status"] == "Cancelled"
        assert warehouse.perform(call_off()).reference == receipt.reference


def test_what_has_arrived_cannot_be_called_off():
    with Warehouse() as warehouse:
        warehouse.perform(announce())
        warehouse.box.arrive("RG-1-1")
        with pytest.raises(Refused) as no:
            warehouse.perform(call_off())
        assert no.value.reason == "already_arrived"
        with pytest.raises(Refused) as no:
            warehouse.perform(call_off("RG-9-9"))
        assert no.value.reason == "not_found"


def test_what_arrives_while_it_is_called_off_is_refused_too():
    with Warehouse() as warehouse:
        warehouse.perform(announce())
        [number] = warehouse.box.returns
        warehouse.box.arrive("RG-1-1")
        with pytest.raises(Refused) as no:
            warehouse.run(lambda c: c._client.cancel(number))
        assert no.value.reason == "already_arrived"


def test_an_action_nobody_declared_is_refused():
    with Warehouse() as warehouse, pytest.raises(Refused, match="unknown_action"):
        warehouse.perform(Order("k", "warehouse.dance", "s", (), {}, 1, START))


def test_a_poll_sees_what_is_open_and_what_ended_since_the_last():
    with Warehouse() as warehouse:
        box = warehouse.box
        for n in range(1, 5):
            box.expect(f"RG-{n}", {"SHOE": 1})
        box.arrive("RG-2")
        cursor, seen = warehouse.poll()
        assert {r: one["status"] for r, one in seen.items()} == {
            "RG-1": "AwaitingArrival", "RG-2": "Arrived", "RG-3": "AwaitingArrival", "RG-4": "AwaitingArrival",
        }  # fmt: skip
        warehouse.time.pass_by(hours=3)
        box.inspect("RG-2", {"SHOE": {"restock": 1}})
        box.cancel("RG-3")
        warehouse.time.pass_by(hours=2)
        cursor, seen = warehouse.poll(cursor)
        assert {seen["RG-2"]["status"], seen["RG-3"]["status"]} == {"Completed", "Cancelled"}
        warehouse.time.pass_by(hours=3)
        _, seen = warehouse.poll(cursor)
        assert set(seen) == {"RG-1", "RG-4"}


def test_a_poll_reads_every_page():
    with Warehouse() as warehouse:
        for n in range(120):
            warehouse.box.expect(f"RG-{n}", {"SHOE": 1})
        _, seen = warehouse.poll()
        assert len(seen) == 120


def test_of_several_returns_of_one_reference_the_furthest_along_counts():
    with Warehouse() as warehouse:
        warehouse.box.expect("RG-1-1", {"SHOE": 1})
        warehouse.box.inspect("RG-1-1", {"SHOE": {"restock": 1}})
        warehouse.box.expect("RG-1-1", {"SHOE": 1})
        _, seen = warehouse.poll()
        assert seen["RG-1-1"]["status"] == "Completed"
        [event] = warehouse.run(lambda c: c.fetch(Ref("shipbob.return", "RG-1-1")))
        assert body_of(event)["status"] == "Completed"
    assert foremost([{"id": 2, "status": "Awaiting Arrival"}, {"id": 1, "status": "Cancelled"}])["id"] == 2
    assert foremost([{"id": 2, "status": "Arrived"}, {"id": 1, "status": "Arrived"}])["id"] == 1
    assert foremost([]) is None


def test_a_poll_that_fails_half_way_starts_again_where_it_was():
    with Warehouse() as warehouse:
        warehouse.faults.add("error", "GET", times=3)
        with pytest.raises(TryLater):
            warehouse.poll()


def test_a_list_that_never_ends_is_tried_later():
    with Warehouse() as warehouse:
        one = shapes.listed(ReturnOrder(1, "RG-1-1", None, 8, START, []), 1)
        warehouse.checked.app = JSONResponse({"items": [one], "next": "https://example.com/?Cursor=2"})
        warehouse.checked.spec = None
        with pytest.raises(TryLater, match="again and again"):
            warehouse.poll()


@pytest.mark.parametrize("answer", [[], {}, {"items": {}}, {"items": [1]}, {"items": [{"reference_id": "RG-1-1"}]}])
def test_an_answer_that_is_no_list_of_returns_is_tried_later(answer):
    with Warehouse() as warehouse:
        warehouse.checked.app = JSONResponse(answer)
        warehouse.checked.spec = None
        with pytest.raises(TryLater, match="no list of returns"):
            warehouse.look_up(announce())


def test_a_delivery_is_a_hint_to_fetch_the_return():
    with Warehouse() as warehouse:
        warehouse.perform(announce())
        warehouse.box.arrive("RG-1-1")
        warehouse.box.inspect("RG-1-1", {"SHOE": {"restock": 1}})
        told = warehouse.box.drain()
        assert [d.headers["x-webhook-topic"].partition(".")[2] for d in told] == ["created", "updated", "updated", "completed"]
        connector = offline()
        hints = [connector.receive(d.request(warehouse.time)) for d in told]
        assert hints[0] == [Hint("shipbob", Ref("shipbob.return", "RG-1-1"), "msg_1")]
        [event] = warehouse.run(lambda c: c.fetch(hints[-1][0].ref))
        assert body_of(event)["status"] == "Completed"
        assert warehouse.box.drain() == []


def test_a_return_without_a_reference_is_fetched_by_its_id():
    with Warehouse() as warehouse:
        number = warehouse.box.expect("RG-1-1", {"SHOE": 1})
        [hint] = offline().receive(signed(json.dumps({"id": number}).encode()))
        [event] = warehouse.run(lambda c: c.fetch(hint.ref))
        assert body_of(event)["id"] == number
        assert warehouse.run(lambda c: c.fetch(Ref("shipbob.return_id", "1"))) == []


def offline() -> ShipBobConnector:
    given = ShipBobSandbox(lambda: START, inventory=SKUS).settings("http://127.0.0.1:1")
    return ShipBobConnector(ShipBobConnector.Settings.model_validate(given), lambda: START, {})


def signed(body: bytes, topic: str = "return.updated", age: int = 0) -> WebhookRequest:
    stamp = str(int(START.timestamp()) - age)
    secret = "whsec_c2FuZGJveC1zaWduaW5nLXNlY3JldA=="
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": standard_webhooks_signature(body, "msg_1", stamp, secret),
        "x-webhook-topic": topic,
    }
    return WebhookRequest(body, headers, {}, START)


def test_an_old_delivery_or_a_changed_one_is_rejected():
    right = signed(b'{"id": 1}')
    for wrong in (
        signed(b'{"id": 1}', age=301),
        WebhookRequest(b'{"id": 2}', right.headers, {}, START),
        WebhookRequest(right.body, {**right.headers, "webhook-id": "msg_2"}, {}, START),
        WebhookRequest(right.body, {}, {}, START),
    ):
        with pytest.raises(Rejected) as no:
            offline().receive(wrong)
        assert no.value.status == 401


def test_a_delivery_tried_again_later_is_the_same_message_with_a_new_signature():
    with Warehouse() as warehouse:
        warehouse.box.expect("RG-1-1", {"SHOE": 1})
        [told] = warehouse.box.drain()
        warehouse.time.pass_by(minutes=30)
        connector = offline()
        with pytest.raises(Rejected):
            connector.receive(told.request(warehouse.time))
        [hint] = connector.receive(warehouse.box.again(told).request(warehouse.time))
        assert hint.delivery == told.headers["webhook-id"]


def test_topics_nobody_asked_for_are_taken_and_ignored():
    assert offline().receive(signed(b"[]", "order.shipped")) == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "reference_id"]), inner),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_delivered_is_read_or_rejected(body):
    try:
        found = offline().receive(signed(body))
    except Rejected:
        return
    assert all(isinstance(each, Hint) for each in found)


def test_a_webhook_secret_that_is_no_key_is_refused():
    given = ShipBobSandbox(lambda: START, inventory=SKUS).settings("http://127.0.0.1:1")
    with pytest.raises(ValidationError, match="whsec_"):
        ShipBobConnector.Settings.model_validate({**given, "webhook_secret": "not base64!"})


@settings(max_examples=150)
@given(st.text(min_size=1, max_size=120), st.text(min_size=1, max_size=120))
def test_references_fit_shipbob_and_stay_apart(one, other):
    for text in (one, other):
        short = reference_of(text)
        assert len(short) <= LONGEST_REFERENCE
        assert short.isascii()
        assert "," not in short
        assert reference_of(short) == short
    assert (reference_of(one) == reference_of(other)) is (one == other)
