"""Deliveries: acknowledged only once they are kept, refused with a 4xx whatever they hold, never a crash."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from connectors.easypost.connector import EasyPostConnector
from connectors.returngo.connector import ReturnGoConnector
from connectors.shipbob.connector import ShipBobConnector
from connectors.shopify.connector import ShopifyConnector
from engine.facts.outside import Connector, Hint, Ref
from engine.run.hearing.journalling import Written
from engine.run.web import webhooks
from engine.run.web.webhooks import LARGEST_BODY, webhook_app
from tests.run.small import NOON, Client, an_order, client, order_fields, plain

Send = Callable[..., Awaitable[httpx.Response]]


def post(world: Client, url: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(webhook_app(world.service))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as http:
            return await http.post(url, content=body, headers=headers)

    return asyncio.run(send())


@pytest.fixture
def world(tmp_path: Path) -> Client:
    return client(tmp_path / "a.db")


def test_a_delivery_is_kept_when_it_is_acknowledged(world: Client) -> None:
    answer = post(world, "/webhooks/shop/t", json.dumps({"id": "A", "delivery": 1}).encode())
    assert answer.status_code == 200
    assert world.store.journal.behind() == 1
    asyncio.run(world.service.step())
    assert world.store.cases.named("order:A") is not None


def test_a_delivery_that_comes_again_is_acknowledged_and_not_kept_again(world: Client) -> None:
    body = json.dumps({"id": "A", "delivery": 1}).encode()
    assert [post(world, "/webhooks/shop?token=t", body).status_code for _ in range(3)] == [200, 200, 200]
    assert world.store.journal.behind() == 1


def test_a_hint_is_kept_too(world: Client) -> None:
    assert post(world, "/webhooks/shop/t", b'{"hint": "A"}').status_code == 200
    asyncio.run(world.service.step())
    assert "fetch shop.order A" in world.shop.asked


def counted(world: Client, answers: Callable[[Send], Awaitable[object]]) -> dict[str, float]:
    """What is counted of the deliveries that are sent, by the metrics themselves."""

    async def play() -> str:
        transport = httpx.ASGITransport(webhook_app(world.service))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            await answers(http.post)
            return (await http.get("/metrics")).text

    lines = [line for line in asyncio.run(play()).splitlines() if line.startswith("instep_deliveries_")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if "_created" not in name}


REFUSED: dict[str, tuple[str, dict[str, str], bytes, int]] = {
    "unknown_connector": ("/webhooks/nobody", {}, b"{}", 404),
    "bad_signature": ("/webhooks/shop/wrong", {}, b'{"id": "A"}', 401),
    "compressed": ("/webhooks/shop/t", {"content-encoding": "gzip"}, b"{}", 415),
    "content_type": ("/webhooks/shop/t", {"content-type": "application/x-www-form-urlencoded"}, b"a=b", 415),
    "too_large": ("/webhooks/shop/t", {}, b"x" * (LARGEST_BODY + 1), 413),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_taken_is_answered_counted_and_not_kept(world: Client, reason: str) -> None:
    url, headers, body, status = REFUSED[reason]

    async def send(post: Send) -> None:
        assert (await post(url, content=body, headers=headers)).status_code == status

    name = "" if reason == "unknown_connector" else "shop"
    assert counted(world, send)[f'instep_deliveries_refused_total{{connector="{name}",reason="{reason}"}}'] == 1
    assert world.store.journal.behind() == 0


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/vnd.api+json", "text/json"])
def test_json_is_taken_by_any_of_its_names(world: Client, kind: str) -> None:
    assert post(world, "/webhooks/shop/t", b'{"id": "A"}', {"content-type": kind}).status_code == 200


def test_a_fault_of_ours_is_answered_as_one_and_acknowledges_nothing(world: Client) -> None:
    """The small marketplace's connector does not look whether its body is JSON."""

    async def send(post: Send) -> None:
        answer = await post("/webhooks/shop/t", content=b"no json")
        assert answer.status_code == 500
        assert "Traceback" not in answer.text

    assert counted(world, send)['instep_deliveries_refused_total{connector="shop",reason="fault"}'] == 1


def test_a_body_that_does_not_end_is_given_up(world: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "BODY_SECONDS", 0.01)

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async def play() -> int:
        door = webhook_app(world.service)
        sent: list[int] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": await anext(pieces), "more_body": True}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message.get("status", 0))

        pieces = endless()
        scope = {
            "type": "http", "method": "POST", "path": "/webhooks/shop/t", "query_string": b"", "headers": [], "root_path": "",
        }  # fmt: skip
        await door(scope, receive, send)
        return sent[0]

    assert asyncio.run(play()) == 408
    assert world.store.journal.behind() == 0


def test_too_many_at_once_are_asked_to_come_again(world: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MOST_OPEN", 0)
    answer = post(world, "/webhooks/shop/t", b'{"id": "A"}')
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert world.store.journal.behind() == 0


def test_the_same_said_again_without_an_id_is_taken_once_also_after_a_restart(world: Client) -> None:
    """A sender that gives its deliveries no id is believed by what it says."""
    pushed = replace(an_order(), requested=False)
    assert world.service.hear([pushed]) == Written(1, 0)
    assert world.service.hear([replace(pushed, observed_at=NOON + timedelta(hours=1))]) == Written(0, 1)
    world.store.close()
    again = client(world.path)
    assert again.service.hear([pushed]) == Written(0, 1)
    assert again.service.hear([replace(pushed, payload=b'{"other": 1}')]) == Written(1, 0)
    again.store.close()


def test_what_we_asked_for_is_an_observation_each_time(world: Client) -> None:
    assert world.service.hear([an_order()]) == Written(1, 0)
    assert world.service.hear([an_order()]) == Written(1, 0)


def test_a_delivery_known_by_its_id_that_says_something_else_is_kept(world: Client) -> None:
    first = plain("order", "A", delivery="d1", **order_fields("A"))
    changed = plain("order", "A", delivery="d1", **order_fields("A", price="60.00"))
    assert world.service.hear([first]) == Written(1, 0)
    assert world.service.hear([changed]) == Written(1, 0)
    assert world.service.hear([first, changed]) == Written(0, 2)


def test_a_repeated_delivery_asks_for_nothing_again(world: Client) -> None:
    """Its hint was written down with its event, the first time."""
    heard = [plain("order", "A", delivery="d1", **order_fields("A")), Hint("shop", Ref("shop.order", "A"))]
    world.service.hear(heard)
    asyncio.run(world.service.step())
    world.service.hear(heard)
    asyncio.run(world.service.step())
    assert world.shop.asked.count("fetch shop.order A") == 1


def test_the_status_page_tells_nothing_secret(world: Client) -> None:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(webhook_app(world.service))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as http:
            return await http.get("/healthz")

    answer = asyncio.run(get())
    assert answer.status_code == 200
    assert answer.json()["behind"] == 0


def look(world: Client, path: str, *, peer: str = "127.0.0.1", host: str = "127.0.0.1:8080", **headers: str) -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(webhook_app(world.service), client=(peer, 5000))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as http:
            return await http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return asyncio.run(get())


STRANGERS = {
    "from elsewhere": {"peer": "192.0.2.7"},
    "handed on by a proxy": {"x_forwarded_for": "192.0.2.7"},
    "handed on under another name": {"host": "hooks.example"},
    "a browser led here by a name of its own": {"host": "evil.example:8080", "origin": "http://evil.example:8080"},
    "a name that starts like ours": {"host": "127.0.0.1.evil.example"},
}


@pytest.mark.parametrize("how", STRANGERS)
def test_a_stranger_learns_that_the_service_lives_and_nothing_else(world: Client, how: str) -> None:
    answer = look(world, "/healthz", **STRANGERS[how])
    assert answer.json() == {"live": True, "ready": True}
    refused = look(world, "/metrics", **STRANGERS[how])
    assert refused.status_code == 403
    assert "instep_" not in refused.text


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080"])
def test_who_asks_from_this_machine_sees_the_state(world: Client, host: str) -> None:
    assert look(world, "/healthz", host=host).json()["client"] == "small"
    assert "instep_events" in look(world, "/metrics", host=host).text


def test_with_a_token_the_token_alone_counts(world: Client) -> None:
    token = "the-token-of-the-status-page"
    world.service.status_token = SecretStr(token)
    assert "client" not in look(world, "/healthz").json()
    assert look(world, "/metrics").headers["www-authenticate"] == "Bearer"
    for wrong in ("Bearer", "Bearer ", f"Basic {token}", f"Bearer {token}x", token):
        assert look(world, "/metrics", authorization=wrong).status_code == 401
    told = look(world, "/healthz", peer="192.0.2.7", host="hooks.example", authorization=f"Bearer {token}")
    assert told.json()["client"] == "small"
    assert token not in told.text + repr(world.service.__dict__)


REAL: dict[str, tuple[type[Connector], dict[str, object]]] = {
    "returngo": (ReturnGoConnector, {"shop": "a.myshopify.com", "api_key": "k" * 20, "webhook_token": "token-of-the-tests-1234"}),
    "shopify": (ShopifyConnector, {"shop": "a.myshopify.com", "access_token": "k" * 20, "webhook_secret": "secret-of-the-tests"}),
    "easypost": (EasyPostConnector, {"api_key": "k" * 20, "webhook_secret": "secret-of-the-tests"}),
    "shipbob": (
        ShipBobConnector,
        {"token": "k" * 20, "webhook_secret": "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cw==", "channel_id": 1, "fulfillment_center": 1},
    ),
}


@pytest.mark.parametrize("name", REAL)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    body=st.binary(max_size=200) | st.from_regex(rb'\{"[a-z]{1,5}":[0-9\[{"]{0,20}', fullmatch=True),
    headers=st.dictionaries(
        st.sampled_from(["x-hmac-signature", "x-shopify-hmac-sha256", "webhook-signature", "webhook-id", "webhook-timestamp"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
    ),
)
def test_any_bytes_are_answered_with_a_4xx(tmp_path: Path, name: str, body: bytes, headers: dict[str, str]) -> None:
    made, given_settings = REAL[name]
    path = tmp_path / "any.db"
    path.unlink(missing_ok=True)
    world = client(path)
    try:
        connector = made(made.Settings.model_validate(given_settings), world.clock, {})
        world.service.connectors = {"marketplace": world.shop, connector.role: connector}
        for url in (f"/webhooks/{name}", f"/webhooks/{name}/x?token=%ff"):
            assert 400 <= post(world, url, body, headers).status_code < 500
        assert world.store.journal.behind() == 0
    finally:
        world.store.close()
