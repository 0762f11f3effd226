"""Whenever the process ends: after a restart nothing was lost and nothing was sent twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.run.waits import MOST_SENDS
from tests.run.crashing import NO_POINT
from tests.run.small import Books

MAIN = Path(__file__).parents[2]


class Market(ThreadingHTTPServer):
    """Keeps books, and shows a refund only after ten minutes.

    `kill_on` ends the caller after booking that many refunds, before any answer.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.books = Books(orders={"A": {"quantity": 2, "price": "100.00"}}, lag=timedelta(minutes=10))
        self.kill_on = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Market

    def do_GET(self) -> None:
        *_, order_id, now = self.path.split("/")
        self._answer(self.server.books.shown(order_id, datetime.fromtimestamp(float(now), UTC)))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        made = self.server.books.book(asked["order"], asked["line"], asked["amount"], datetime.fromisoformat(asked["at"]))
        if len(self.server.books.refunds) == self.server.kill_on:
            os.kill(asked["pid"], signal.SIGKILL)
            return
        self._answer({"id": made})

    def _answer(self, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def market() -> Iterator[Market]:
    server = Market()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def start(store: Path, server: Market, point: str, nth: int = 1, minutes: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.run.crashing", str(store), server.url, point, str(nth)],
        cwd=MAIN, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "MINUTES": str(minutes)},
    )  # fmt: skip


def check_after_restart(store: Path, server: Market) -> None:
    done = start(store, server, NO_POINT, minutes=1)
    assert done.returncode == 0, done.stderr
    assert [r["amount"] for r in server.books.refunds] == ["100.00"]
    assert json.loads(done.stdout) == {"refund:A-1#1+A-1#2": "settled"}


@pytest.mark.parametrize("point", ["looked_up", "begun", "before_send", "after_send", "performed", "settled"])
def test_killed_around_a_send(tmp_path: Path, point: str) -> None:
    with market() as server:
        killed = start(tmp_path / "a.db", server, point)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        check_after_restart(tmp_path / "a.db", server)


def test_killed_between_booking_and_answer(tmp_path: Path) -> None:
    with market() as server:
        server.kill_on = 1
        killed = start(tmp_path / "a.db", server, NO_POINT)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        check_after_restart(tmp_path / "a.db", server)


def test_killed_again_and_again(tmp_path: Path) -> None:
    with market() as server:
        for point in ("begun", "looked_up", "before_send", "after_send"):
            start(tmp_path / "a.db", server, point)
        check_after_restart(tmp_path / "a.db", server)


def test_a_send_that_is_cut_off_time_after_time_is_no_refusal_of_the_outside(tmp_path: Path) -> None:
    with market() as server:
        for _ in range(MOST_SENDS + 1):
            killed = start(tmp_path / "a.db", server, "begun")
            assert killed.returncode == -signal.SIGKILL, killed.stderr
        check_after_restart(tmp_path / "a.db", server)


@pytest.mark.parametrize("when", ["before_commit", "after_commit"])
@pytest.mark.parametrize("nth", range(1, 15, 3))
def test_killed_at_any_commit(tmp_path: Path, when: str, nth: int) -> None:
    with market() as server:
        killed = start(tmp_path / "a.db", server, when, nth)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        check_after_restart(tmp_path / "a.db", server)


@pytest.mark.long
@pytest.mark.parametrize("when", ["before_commit", "after_commit"])
def test_killed_at_every_commit(tmp_path: Path, when: str, full: bool) -> None:
    for nth in range(1, 40, 1 if full else 5):
        with market() as server:
            start(tmp_path / f"{nth}.db", server, when, nth)
            check_after_restart(tmp_path / f"{nth}.db", server)
