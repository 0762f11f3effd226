"""Over real sockets: deliveries are answered whatever the engine is at, and nobody can keep others from being answered."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from engine.run.web import listening as module
from engine.run.web.listening import LONGEST_HEADERS, CannotListen, Listening
from engine.run.web.webhooks import LARGEST_BODY
from tests.run.small import Client, client


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Client]:
    made = client(tmp_path / "a.db")
    yield made
    made.store.close()


@asynccontextmanager
async def listening(world: Client) -> AsyncIterator[Listening]:
    made = Listening("127.0.0.1", 0)
    made.start()
    made.open_to(world.service)
    try:
        yield made
    finally:
        await made.close_to(world.service)
        await made.stop()


def asked(port: int, request: bytes) -> bytes:
    """Everything that is answered until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as made:
        made.sendall(request)
        found = b""
        while got := made.recv(65536):
            found += got
    return found


def delivery(body: bytes = b'{"id": "A", "delivery": 1}') -> bytes:
    head = f"POST /webhooks/shop/t HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


STATUS = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def of_thread(work: Callable[[], bytes]) -> bytes:
    """Done by a thread that is waited for, so that nothing else happens on this loop meanwhile."""
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(30)
    return found[0]


def test_a_delivery_is_answered_while_the_engine_is_at_something_else(world: Client) -> None:
    async def play() -> None:
        async with listening(world) as here:
            answer = of_thread(lambda: asked(here.port, delivery()))
            assert answer.startswith(b"HTTP/1.1 200")
            assert world.store.journal.behind() == 1

    asyncio.run(play())


def test_the_service_is_woken_by_a_delivery(world: Client) -> None:
    async def play() -> None:
        async with listening(world) as here:
            stop = asyncio.Event()
            running = asyncio.create_task(world.service.run(stop))
            for body in (b'{"id": "B"}', b'{"hint": "A"}'):
                assert (await asyncio.to_thread(asked, here.port, delivery(body))).startswith(b"HTTP/1.1 200")
            async with asyncio.timeout(60):
                while world.store.cases.named("order:B") is None or "fetch shop.order A" not in world.shop.asked:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            stop.set()
            await running

    asyncio.run(play())


def test_the_status_says_that_the_engine_is_busy_and_for_how_long(world: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STATUS_SECONDS", 0.05)

    async def play() -> None:
        async with listening(world) as here:
            free = json.loads((await asyncio.to_thread(asked, here.port, STATUS)).partition(b"\r\n\r\n")[2])
            assert (free["live"], free["ready"], free["busy_seconds"]) == (True, True, 0.0)
            busy = of_thread(lambda: asked(here.port, STATUS))
            assert busy.startswith(b"HTTP/1.1 200")
            assert json.loads(busy.partition(b"\r\n\r\n")[2])["busy_seconds"] > 0
            monkeypatch.setattr("engine.run.web.health.LONGEST_BUSY", 0.0)
            stuck = of_thread(lambda: asked(here.port, STATUS))
            assert stuck.startswith(b"HTTP/1.1 503")
            assert b"the engine has not answered for" in stuck

    asyncio.run(play())


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /webhooks/shop/t HTTP/1.1\r\nhost",
        delivery(b"{}").replace(b"content-length: 2", b"content-length: 9"),
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /healthz HTT",
    ],
    ids=["nothing", "half a header", "half a body", "half of the next request"],
)
def test_who_never_says_all_is_cut_off_and_counted(world: Client, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.1)

    async def play() -> None:
        async with listening(world) as here:
            await asyncio.to_thread(asked, here.port, sent)  # ends: the connection is closed from the other side
            told = (await asyncio.to_thread(asked, here.port, METRICS)).decode()
            assert 'instep_deliveries_refused_total{connector="",reason="too_slow"} 1.0' in told

    asyncio.run(play())
    assert world.store.journal.behind() == 0


def test_a_body_too_large_is_refused_before_any_of_it_is_sent(world: Client) -> None:
    claimed = delivery(b"").replace(b"content-length: 0", f"content-length: {LARGEST_BODY + 1}".encode())

    async def play() -> bytes:
        async with listening(world) as here:
            return await asyncio.to_thread(asked, here.port, claimed)

    assert asyncio.run(play()).startswith(b"HTTP/1.1 413")


def test_a_body_that_is_too_large_and_never_says_so_is_refused_as_it_comes(world: Client) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = b"POST /webhooks/shop/t HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"

    async def play() -> bytes:
        async with listening(world) as here:
            return await asyncio.to_thread(asked, here.port, head + chunk * (LARGEST_BODY // 0x10000 + 1))

    assert asyncio.run(play()).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01" + b"\0" * 600, b"GET / HTTP/1.1\r\nx: " + b"a" * 2 * LONGEST_HEADERS],
    ids=["no HTTP", "endless headers"],
)
def test_what_is_no_request_is_answered_as_such(world: Client, sent: bytes) -> None:
    async def play() -> bytes:
        async with listening(world) as here:
            return await asyncio.to_thread(asked, here.port, sent)

    assert asyncio.run(play()).startswith(b"HTTP/1.1 400")


def test_there_is_an_end_to_how_many_connections_are_kept_open(world: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OPEN", 3)
    monkeypatch.setattr(module, "TO_SPARE", 2)

    async def play() -> None:
        async with listening(world) as here:
            idle = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(5)]
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            for _, one in [*idle, (reader, writer)]:
                one.close()
            for _, one in idle:
                await one.wait_closed()
            told = await asyncio.to_thread(asked, here.port, METRICS)
            assert b'{connector="",reason="too_many"} 1.0' in told

    asyncio.run(play())


def test_what_was_begun_is_answered_before_it_stops(world: Client) -> None:
    async def play() -> bytes:
        here = Listening("127.0.0.1", 0)
        over = here.start()
        here.open_to(world.service)
        with world.store.transaction():
            answering = asyncio.create_task(asyncio.to_thread(asked, here.port, delivery()))
            while not world.store.wanted_elsewhere:  # noqa: ASYNC110 - another thread comes
                await asyncio.sleep(0.001)
            stopping = asyncio.create_task(here.stop())
        await stopping
        await over
        await here.close_to(world.service)
        return await answering

    assert asyncio.run(play()).startswith(b"HTTP/1.1 200")
    assert world.store.journal.behind() == 1


def test_without_a_service_behind_it_senders_are_asked_to_come_again(world: Client) -> None:
    async def play() -> bytes:
        here = Listening("127.0.0.1", 0)
        here.start()
        answer = await asyncio.to_thread(asked, here.port, delivery())
        await here.stop()
        return answer

    answer = asyncio.run(play())
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 30" in answer.lower()


def test_an_address_that_is_taken_is_told_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CannotListen, match="Choose another --host or --port"):
        Listening("127.0.0.1", taken.getsockname()[1])
