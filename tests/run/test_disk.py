"""A service whose disk fails: it stops where it is, nothing more is sent, and started again it knows what it may have sent."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from socket import socket
from typing import Any

import httpx
import pytest

from engine.cli.running import serve, trouble_in
from engine.run.web.webhooks import webhook_app
from engine.store.trouble import StoreTrouble
from tests.run.small import Client, a_sale, an_order, an_rma, client
from tests.store.faults import fill, locked, small_disk

ROOT = Path(__file__).parents[2]
KEY = "refund:A-1#1"


def trouble_of(work: Callable[[], Any]) -> StoreTrouble:
    try:
        work()
    except BaseException as fault:
        found = trouble_in(fault)
        if found is None:
            raise
        return found
    raise AssertionError("there was no trouble")


def play(world: Client, **delta: float) -> None:
    asyncio.run(world.service.play(world.clock, world.clock() + timedelta(**delta)))


class Strikes:
    """At a point of the protocol something happens to the disk."""

    def __init__(self, point: str, strike: Callable[[], object]) -> None:
        self._point = point
        self._strike: Callable[[], object] | None = strike

    def __call__(self, point: str) -> None:
        if point == self._point and self._strike is not None:
            strike, self._strike = self._strike, None
            strike()


def struck(path: Path, point: str, strike: Callable[[Client], object]) -> Client:
    """A service with a refund to make, whose disk fails at this point. It has stopped."""
    made: list[Client] = []
    world = client(path, points=Strikes(point, lambda: strike(made[0])))
    made.append(world)
    world.service.hear([an_order(), a_sale(), an_rma()])
    told = trouble_of(lambda: asyncio.run(world.service.step()))
    assert told.remedy
    trouble_of(lambda: asyncio.run(world.service.step()))  # it does nothing more, whoever asks
    asyncio.run(world.service.close())
    return world


def started_again(world: Client) -> Client:
    again = client(world.path, now=world.clock(), shop=world.shop)
    play(again, hours=2)
    return again


@pytest.mark.parametrize(("point", "sent"), [("looked_up", {0}), ("begun", {0, 1}), ("performed", {1})])
def test_a_full_disk_stops_what_cannot_be_committed(tmp_path: Path, point: str, sent: set[int]) -> None:
    """Before the intent is committed nothing is sent; a receipt that cannot be committed leaves the effect unsure."""
    with small_disk(tmp_path / "disk", "2m") as disk:
        world = struck(disk / "a.db", point, lambda _: fill(disk))
        assert len(world.shop.books.refunds) in sent
        (disk / "ballast").unlink()
        again = started_again(world)
        assert len(again.shop.books.refunds) == 1
        assert again.effects() == {KEY: "settled"}
        again.store.close()


@pytest.mark.parametrize(("point", "sent"), [("looked_up", 0), ("performed", 1)])
def test_a_write_that_fails_stops_what_cannot_be_committed(tmp_path: Path, point: str, sent: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def no_more(world: Client) -> None:
        size = Path(f"{world.path}-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    try:
        world = struck(tmp_path / "a.db", point, no_more)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(world.shop.books.refunds) == sent
    again = started_again(world)
    assert len(again.shop.books.refunds) == 1
    assert again.effects() == {KEY: "settled"}


def test_what_cannot_be_written_down_is_not_acknowledged(tmp_path: Path) -> None:
    world = client(tmp_path / "a.db")
    world.store._connection.execute("pragma busy_timeout = 10")

    async def ask(method: str, url: str) -> httpx.Response:
        transport = httpx.ASGITransport(webhook_app(world.service))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as http:
            return await http.request(method, url, content=b'{"id": "A"}')

    with locked(tmp_path / "a.db"):
        answer = asyncio.run(ask("POST", "/webhooks/shop/t"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert asyncio.run(ask("GET", "/healthz")).status_code == 503
    world.store.close()
    again = client(tmp_path / "a.db")
    assert again.store.journal.behind() == 0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("rules/base", "rules/clients/northwind", "mappings"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "rules/base").symlink_to(ROOT / "rules/base")
    (tmp_path / "mappings").symlink_to(ROOT / "mappings")
    (tmp_path / "rules/clients/northwind").mkdir()
    (tmp_path / "rules/clients/northwind/client.yaml").write_text(
        "client: northwind\nconnectors:\n  finance: {use: ledger, path: postings}\n", encoding="utf-8"
    )
    return tmp_path


@contextmanager
def running(project: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`instep run`, that does not wait as long as it would, and its status page."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quick = (
        "import engine.cli.running as running, engine.store.sqlite.connection as connection\n"
        "running.TRY_AGAIN = 0.2; connection.WAIT_SECONDS = 0.1\n"
        "from engine.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", quick, "run", "northwind", "--port", str(port)], cwd=project, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process, f"http://127.0.0.1:{port}/healthz"
    finally:
        process.kill()
        process.wait()


def status(url: str, wanted: int, **headers: str) -> Any:
    """What the service says once it answers so."""
    for _ in range(200):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
                code, body = answer.status, answer.read().decode()
        except urllib.error.HTTPError as fault:
            code, body = fault.code, fault.read().decode()
        except OSError:
            code, body = 0, ""
        if code == wanted:
            return json.loads(body) if code == 200 else body
        time.sleep(0.1)  # another process is at work
    raise AssertionError(f"it never answered {wanted}, last {code}: {body}")


def test_a_running_service_goes_on_by_itself_when_the_trouble_has_passed(project: Path) -> None:
    with running(project) as (process, url):
        first = status(url, 200)
        own = project / "rules/clients/northwind/own.yaml"
        with locked(project / "northwind.sqlite"):
            own.write_text("rules: {}\n", encoding="utf-8")  # the next write is how that was read
            assert "locked by another process" in status(url, 503)
            assert status(url, 503, via="a proxy") == "not now: nothing was taken, come again"
        assert status(url, 200)["client"] == first["client"]
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "store_trouble" in logged
    assert "store_works_again" in logged


def test_a_running_service_whose_disk_fails_ends_and_says_what_to_do(project: Path) -> None:
    with running(project) as (process, url):
        status(url, 200)
        wal = (project / "northwind.sqlite-wal").stat().st_size
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (wal, resource.RLIM_INFINITY))
        (project / "rules/clients/northwind/own.yaml").write_text("rules: {}\n", encoding="utf-8")
        _, logged = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "could not be read or written" in logged
    assert "Look at the disk" in logged
    assert "Traceback" not in logged


def test_a_store_that_cannot_be_used_is_told_before_anything_starts(project: Path) -> None:
    (project / "northwind.sqlite").write_bytes(b"not a store at all" * 100)
    with pytest.raises(StoreTrouble, match="is not a database"):
        asyncio.run(serve(project, "northwind", project / "northwind.sqlite", "127.0.0.1", 0))
