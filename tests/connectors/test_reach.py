"""A connector connects to public addresses, or to those its settings name, and to nothing else."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from connectors.http import AT_ONCE, Http, basic, bearer
from connectors.reach import Reach, may_reach
from connectors.serving import Served
from connectors.signatures import SHORTEST_KEY
from engine.facts.outside import TryLater, installed_connectors
from tests.connectors.kit import run

NEVER = (
    "169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
    "240.0.0.1", "255.255.255.255", "::ffff:169.254.169.254", "2002:a9fe:a9fe::", "64:ff9b::a9fe:a9fe",
)  # fmt: skip
PRIVATE = ("10.0.0.1", "172.16.0.1", "192.168.1.1", "fd12::1", "100.64.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::")
LOOPBACK = ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1")
PUBLIC = ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14")


@pytest.mark.parametrize("text", NEVER)
@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("local", [False, True])
def test_where_clouds_keep_credentials_is_never_reached(text: str, *, private: bool, local: bool) -> None:
    assert not may_reach(ip_address(text), local=local, private=private)


def test_private_networks_are_reached_where_the_settings_say_so() -> None:
    for text in PRIVATE:
        assert not may_reach(ip_address(text), local=False, private=False)
        assert may_reach(ip_address(text), local=False, private=True)


def test_this_machine_is_reached_only_by_its_own_name() -> None:
    for text in LOOPBACK:
        assert may_reach(ip_address(text), local=True, private=False)
        assert not may_reach(ip_address(text), local=False, private=True)
    for text in (*PUBLIC, *PRIVATE):
        assert not may_reach(ip_address(text), local=True, private=True)


@given(st.ip_addresses())
def test_what_is_not_public_needs_leave(address: Any) -> None:
    if may_reach(address, local=False, private=False):
        assert address.is_global


class Names:
    """A resolver that says of each name what it is told to, the next time the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: list[str]) -> None:
        self.answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked: list[str] = []
        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", self.answer)

    async def answer(self, host: str, port: int, **__: Any) -> Any:
        self.asked.append(host)
        left = self.answers[host]
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda **answers: Names(monkeypatch, **answers)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254"])
def test_a_name_that_leads_inside_is_refused_in_words(names: Any, address: str) -> None:
    names(shop_example=[address])
    with pytest.raises(TryLater, match="no public address") as refused:
        run(Http("https://shop.example", retries=AT_ONCE).send("PUT", "/", {}))
    assert address in str(refused.value)
    assert ("private_network: true" in str(refused.value)) == (address == "10.1.2.3")


def test_the_address_that_was_looked_at_is_the_one_connected_to(names: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is looked at and this machine when it is looked up again (DNS rebinding) leads nowhere."""
    asked = names(shop_example=["93.184.215.14", "127.0.0.1"])
    connected: list[str] = []

    async def connect(_: Any, host: str, *__: Any, **___: Any) -> Any:
        connected.append(host)
        raise httpcore.ConnectError("nobody there")

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    with pytest.raises(TryLater):
        run(Http("https://shop.example", retries=AT_ONCE).send("PUT", "/", {}))
    assert (asked.asked, connected) == (["shop.example"], ["93.184.215.14"])


def test_requests_really_go_through_the_guard() -> None:
    """httpx has no setting for it: where a new version builds its pool otherwise, this is where it shows."""

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.headers["x-key"])

    with Served(Starlette(routes=[Route("/", answer)])) as url:
        http = Http(url, {"x-key": SecretStr("a-secret-key")}, retries=AT_ONCE)
        assert run(http.get("/")).body == b"***"
        http._guard._local = False
        with pytest.raises(TryLater, match="no public address"):
            run(http.get("/"))


def test_every_connector_that_speaks_http_can_be_let_into_a_private_network() -> None:
    for name, made in installed_connectors().items():
        fields = made.Settings.model_fields
        assert ("private_network" in fields) == ("url" in fields), name


def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="ca_file"):
        Reach(ca_file=tmp_path / "nowhere.pem")
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(ValueError, match="no certificates"):
        Http("https://shop.example", reach=Reach(ca_file=tmp_path / "empty.pem"))


def test_a_proxy_of_the_environment_is_asked_and_never_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert Http("https://shop.example")._proxied()
    assert not Http("http://127.0.0.1:1")._proxied()


def test_an_address_with_a_password_in_it_is_refused_without_being_shown() -> None:
    for url in ("https://user:hidden-word@shop.example", "https://hidden-word@shop.example", "http://user:hidden-word@127.0.0.1"):
        with pytest.raises(ValueError, match=r"shop\.example|127") as no:
            Http(url)
        assert "hidden-word" not in str(no.value)


def test_a_key_is_blotted_out_of_whatever_repeats_it() -> None:
    key = 'k/e+y "of" 9 signs'
    told = f"{key} {httpx.QueryParams(k=key)} {basic(SecretStr(key)).get_secret_value()}".encode()
    for headers in ({"authorization": basic(SecretStr(key))}, {"authorization": bearer(SecretStr(key.replace(" ", "_")))}):
        http = Http("https://x.example", headers, transport=httpx.MockTransport(lambda _: httpx.Response(200, content=told)))
        if "Basic" in headers["authorization"].get_secret_value():
            assert key.encode() not in run(http.get("/")).body
        assert "signs" not in repr(http) + repr(vars(http))


WEAK = {"returngo": ("webhook_token", "t" * 40), "easypost": ("webhook_secret", "short"), "shopify": ("webhook_secret", "s" * 40)}


@pytest.mark.parametrize("name", WEAK)
def test_a_secret_that_can_be_guessed_is_refused_without_being_shown(name: str) -> None:
    field, weak = WEAK[name]
    with pytest.raises(ValidationError, match="it can be guessed") as no:
        installed_connectors()[name].Settings.model_validate(
            {field: weak, "shop": "a.example", "access_token": "k", "api_key": "k"}
        )
    assert weak not in str(no.value)
    assert SHORTEST_KEY >= 16
