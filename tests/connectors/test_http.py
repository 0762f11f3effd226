"""The one HTTP client: exact numbers, and faults told apart by what may be done next."""

import json
import logging
import math
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from connectors.http import AT_ONCE, Http, HttpError, Retries, dumps, loads, segment
from connectors.serving import FaultKind, Faults, Served
from engine.facts.outside import TryLater, Unsure
from tests.connectors.kit import run

KEY = "key-that-nobody-may-see"
numbers = st.integers(-(10**30), 10**30) | st.decimals(
    min_value=Decimal(-(10**20)), max_value=Decimal(10**20), allow_nan=False, places=6
)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=20
)


@given(values)
def test_what_is_written_is_read_back_digit_by_digit(value: Any) -> None:
    assert loads(dumps(value)) == value


@given(st.decimals(min_value=Decimal("0.01"), max_value=Decimal("99999999.99"), places=2))
def test_money_is_a_json_number_never_a_float(amount: Decimal) -> None:
    written = dumps({"amount": amount})
    assert written == f'{{"amount":{amount}}}'.encode()
    assert str(loads(written)["amount"]) == str(amount)


def test_a_float_is_refused() -> None:
    for bad in (0.1, [1.5], {"a": math.nan}, Decimal("NaN"), Decimal("Infinity"), object()):
        with pytest.raises(TypeError):
            dumps(bad)


@given(st.binary() | values.map(dumps) | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused_with_a_value_error(body: bytes) -> None:
    try:
        found = loads(body)
    except ValueError:
        return
    dumps(found)


def test_hostile_json_is_refused() -> None:
    for bad in (b"[" * 100_000, b"1e999999999", b"NaN", b"Infinity", b"9" * 5000, b"0." + b"1" * 5000, b'"\xff"', b""):
        with pytest.raises(ValueError):  # noqa: PT011 - it is the promise
            loads(bad)


def test_no_id_leads_to_another_path() -> None:
    assert segment("a/../b?x#y") == "a%2F..%2Fb%3Fx%23y"
    for bad in ("", ".", ".."):
        with pytest.raises(ValueError, match="path"):
            segment(bad)


class Echo:
    """A host that tells what it was asked, and how often."""

    def __init__(self) -> None:
        routes = [
            Route("/echo", self.echo, methods=["GET", "PUT"]),
            Route("/say/{status:int}", self.say, methods=["GET", "PUT"]),
            Route("/away", lambda _: RedirectResponse("http://elsewhere.example/")),
        ]
        self.faults = Faults(Starlette(routes=routes))
        self.asked: list[Request] = []

    async def echo(self, request: Request) -> Response:
        self.asked.append(request)
        return JSONResponse({"query": str(request.url.query), "body": (await request.body()).decode()})

    async def say(self, request: Request) -> Response:
        self.asked.append(request)
        headers = {"Retry-After": request.query_params["after"]} if "after" in request.query_params else {}
        body = f"your key was {request.headers['authorization']}"
        return Response(body, request.path_params["status"], headers)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Echo, str]]:
    echo = Echo()
    with Served(echo.faults) as url:
        yield echo, url


@pytest.fixture
def echo(served: tuple[Echo, str]) -> Echo:
    served[0].asked.clear()
    served[0].faults.waiting.clear()
    return served[0]


@pytest.fixture
def http(served: tuple[Echo, str]) -> Http:
    return Http(served[1], {"Authorization": KEY}, timeout=0.3)


def test_a_change_is_sent_once_with_exact_numbers(http: Http, echo: Echo) -> None:
    answer = run(http.send("PUT", "/echo", {"amount": Decimal("12.50")}, {"at": "2026-01-01T00:00:00+01:00"}))
    assert answer.json() == {"query": "at=2026-01-01T00%3A00%3A00%2B01%3A00", "body": '{"amount":12.50}'}
    assert len(echo.asked) == 1
    assert echo.asked[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", ["error", "error_after", "hang", "hang_after", "cut_after", "garbage_after"])
def test_a_change_that_may_have_happened_is_unsure(http: Http, echo: Echo, kind: FaultKind) -> None:
    echo.faults.add(kind)

    async def change() -> None:
        (await http.send("PUT", "/echo", {})).json()

    with pytest.raises(Unsure):
        run(change())
    assert not echo.faults.waiting


@pytest.mark.parametrize("kind", ["error", "cut_after", "hang"])
def test_a_read_is_tried_again_and_then_later(http: Http, echo: Echo, kind: FaultKind) -> None:
    echo.faults.add(kind, times=2)
    assert run(http.get("/echo")).status == 200
    echo.faults.add(kind, times=3)
    with pytest.raises(TryLater):
        run(http.get("/echo"))
    assert not echo.faults.waiting


def test_reads_wait_between_tries_and_not_for_long() -> None:
    assert Retries().longest_wait <= 5
    assert AT_ONCE.first_wait == 0


def test_a_read_with_a_strange_answer_is_tried_later(http: Http, echo: Echo) -> None:
    echo.faults.add("garbage_after")
    with pytest.raises(TryLater):
        run(http.get("/echo")).json()


@pytest.mark.parametrize("port", [1, 9])
def test_what_was_never_sent_is_tried_later(port: int) -> None:
    with pytest.raises(TryLater):
        run(Http(f"http://127.0.0.1:{port}").send("PUT", "/x", {}))


@pytest.mark.parametrize(
    ("status", "after", "wait"),
    [
        (429, "120", timedelta(seconds=120)),
        (429, "", None),
        (429, "soon", None),
        (429, "-5", None),
        (429, "9" * 40, timedelta(days=1)),
        (503, "30", timedelta(seconds=30)),
    ],
)
def test_retry_after_is_heard(http: Http, echo: Echo, status: int, after: str, wait: timedelta | None) -> None:
    for send in (http.get(f"/say/{status}", {"after": after}), http.send("PUT", f"/say/{status}", {}, {"after": after})):
        with pytest.raises(TryLater) as later:
            run(send)
        assert later.value.after == wait
    assert len(echo.asked) == 2


def test_retry_after_may_be_a_date() -> None:
    dates = {"Date": "Mon, 02 Nov 2026 10:00:00 GMT", "Retry-After": "Mon, 02 Nov 2026 10:05:00 GMT"}
    http = Http("https://x.example", transport=httpx.MockTransport(lambda _: httpx.Response(429, headers=dates)))
    with pytest.raises(TryLater) as later:
        run(http.get("/"))
    assert later.value.after == timedelta(minutes=5)


def test_a_bare_503_to_a_change_is_unsure(http: Http, echo: Echo) -> None:
    with pytest.raises(Unsure):
        run(http.send("PUT", "/say/503", {}))
    assert len(echo.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_no_is_handed_on_without_our_key(http: Http, echo: Echo, status: int) -> None:
    with pytest.raises(HttpError) as no:
        run(http.send("PUT", f"/say/{status}", {}))
    assert no.value.status == status
    assert no.value.body == b"your key was ***"
    assert KEY not in str(no.value) + repr(no.value)
    assert len(echo.asked) == 1


def test_redirects_are_not_followed(http: Http) -> None:
    with pytest.raises(HttpError) as no:
        run(http.get("/away"))
    assert no.value.status == 307


def test_links_to_another_host_are_not_followed(http: Http, served: tuple[Echo, str]) -> None:
    assert run(http.get(f"{served[1]}/echo?page=2")).json()["query"] == "page=2"
    for away in ("https://elsewhere.example/echo", served[1].replace("http:", "https:") + "/echo", "//elsewhere.example"):
        with pytest.raises((TryLater, HttpError)):
            run(http.get(away))


def test_secrets_travel_over_https_or_within_this_machine_only() -> None:
    for bad in ("http://shop.example", "ftp://shop.example", "shop.example", "", "https://"):
        with pytest.raises(ValueError, match="https"):
            Http(bad, {"Authorization": KEY})


def test_a_key_with_a_line_break_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="authorization") as no:
        Http("https://x.example", {"Authorization": f"{KEY}\n"})
    assert KEY not in str(no.value)


def test_nothing_shows_a_header(http: Http, echo: Echo, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo.faults.add("error", times=3)
    with pytest.raises(TryLater) as later:
        run(http.get("/echo"))
    assert KEY not in repr(http) + str(later.value) + caplog.text


def test_one_client_serves_one_loop_after_another(http: Http) -> None:
    assert run(http.get("/echo")).status == 200
    assert run(http.get("/echo")).status == 200


@given(
    link=st.text(st.characters(min_codepoint=32, max_codepoint=126)), body=st.binary(max_size=200), status=st.integers(200, 599)
)
@settings(max_examples=200, deadline=None)
def test_no_answer_is_more_than_a_client_can_bear(link: str, body: bytes, status: int) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body, headers={"Link": link}))
    http = Http("https://x.example", retries=AT_ONCE, transport=transport)

    async def both() -> None:
        for ask in (http.get("/"), http.send("PUT", "/", {})):
            try:
                answer = await ask
                answer.link("next")
                answer.json()
            except (TryLater, Unsure):
                pass
            except HttpError as no:
                no.json()

    run(both())


def test_absurdly_long_answers_are_not_taken_in() -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            while True:
                yield b" " * 1_000_000

    http = Http(
        "https://x.example", retries=AT_ONCE, transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))
    )
    with pytest.raises(Unsure):
        run(http.send("PUT", "/", {}))


def test_json_stays_as_others_write_it() -> None:
    assert json.loads(dumps({"a": [1, None, True, "é\ud800"], "b": Decimal("1E+3")})) == {
        "a": [1, None, True, "é\ud800"],
        "b": 1000,
    }
