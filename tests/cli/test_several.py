"""Several clients in one command: each is served for itself, what ends is started again, and all stop together."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.cli.several import Seat, seats, store_of

CALL = [sys.executable, "-c", "from engine.cli import main; main()", "run"]


def project(folder: Path, *clients: str) -> Path:
    for client in clients:
        own = folder / "rules" / "clients" / client
        own.mkdir(parents=True)
        (own / "client.yaml").write_text(f"client: {client}\nextends: [base]\nparams: {{refund_on: inspection}}\n")
    return folder


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        taken = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


class Running:
    """The command, and all it said."""

    def __init__(self, folder: Path, *given: str) -> None:
        self.process = subprocess.Popen(
            [*CALL, *given], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def until(self, what: str, times: int = 1) -> None:
        _soon(lambda: sum(what in line for line in self.lines) >= times, lambda: f"{what!r} is not in:\n{''.join(self.lines)}")


def _soon(true: Callable[[], bool], why: Callable[[], str] = lambda: "not in time") -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, why()
        time.sleep(0.05)


def health(port: int) -> dict[str, object] | None:
    """None unless it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            told: dict[str, object] = json.load(answer)
            return told
    except (urllib.error.URLError, ConnectionError):
        return None


def pid_of(client: str, folder: Path) -> int:
    """The process that holds the client's store."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                if "engine.cli.several" in words and client in words and str(folder) in " ".join(words):
                    return int(entry.name)
    raise AssertionError(f"no process of {client}")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Running, list[int], Path]]:
    folder = project(tmp_path, "northwind", "southwind")
    ports = free_ports(2)
    running = Running(folder, f"northwind:{ports[0]}", f"southwind:{ports[1]}", "--root", str(folder), "--database", str(folder))
    try:
        running.until("console:", 2)
        yield running, ports, folder
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds the processes in /proc, which is not here")
def test_each_is_served_for_itself_and_what_is_killed_is_started_again_while_the_other_goes_on(
    two: tuple[Running, list[int], Path],
) -> None:
    running, ports, folder = two
    _soon(lambda: all(health(port) for port in ports))
    assert [(health(port) or {})["client"] for port in ports] == ["northwind", "southwind"]
    assert {path.name for path in folder.glob("*.sqlite")} == {"northwind.sqlite", "southwind.sqlite"}
    other = pid_of("northwind", folder)
    os.kill(pid_of("southwind", folder), signal.SIGKILL)
    running.until("southwind | ended with SIGKILL, and is started again in 1 seconds")
    _soon(lambda: health(ports[1]) is not None)
    assert pid_of("northwind", folder) == other
    assert not any(re.match(r"northwind \| ended", line) for line in running.lines)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0
    assert [health(port) for port in ports] == [None, None]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds the processes in /proc, which is not here")
def test_none_is_left_behind_when_the_command_itself_is_killed(two: tuple[Running, list[int], Path]) -> None:
    running, ports, _ = two
    running.process.kill()
    running.process.wait()
    _soon(lambda: all(health(port) is None for port in ports))


def test_what_is_wrong_with_one_client_is_said_and_the_other_is_served(tmp_path: Path) -> None:
    folder = project(tmp_path, "northwind", "southwind")
    (folder / "rules/clients/southwind/client.yaml").write_text("client: southwind\nextends: [bsae]\n")
    ports = free_ports(2)
    running = Running(folder, f"northwind:{ports[0]}", f"southwind:{ports[1]}", "--root", str(folder))
    try:
        running.until("southwind | rules/clients/southwind/client.yaml:2:")
        running.until("southwind | ended with exit code 1")
        _soon(lambda: health(ports[0]) is not None)
        (folder / "rules/clients/southwind/client.yaml").write_text("client: southwind\nextends: [base]\n")
        _soon(lambda: health(ports[1]) is not None)
    finally:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) == 0


def test_ports_follow_each_other_unless_they_are_named_and_stores_stand_in_the_folder(tmp_path: Path) -> None:
    root = project(tmp_path, "northwind", "southwind")
    assert seats(root, ["northwind", "southwind"], tmp_path, 8080) == [
        Seat("northwind", tmp_path / "northwind.sqlite", 8080), Seat("southwind", tmp_path / "southwind.sqlite", 8081),
    ]  # fmt: skip
    assert [seat.port for seat in seats(root, ["northwind:9001", "southwind"], None, 0)] == [9001, 0]
    assert store_of("northwind", None) == Path("northwind.sqlite")
    assert store_of("northwind", tmp_path / "other.sqlite") == tmp_path / "other.sqlite"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["northwind", "sothwind"], 'there is no client "sothwind" (did you mean "southwind"?)'),
        (["northwind", "northwind"], "northwind is named twice"),
        (["northwind:9001", "southwind:9001"], "cannot both have port 9001"),
        (["northwind:http", "southwind"], '"northwind:http" is no CLIENT:PORT'),
        (["northwind", "southwind", "--database", "one.sqlite"], "several clients have a store each"),
        (["northwind", "southwind", "--candidate", "x"], "--candidate is for one client"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(tmp_path: Path, given: list[str], said: str) -> None:
    folder = project(tmp_path, "northwind", "southwind")
    done = subprocess.run(
        [*CALL, *given, "--root", str(folder)], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not list(folder.glob("*.sqlite"))
