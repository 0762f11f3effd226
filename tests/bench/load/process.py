"""`instep run` as a process of its own, for a client whose systems are sandboxes on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CLIENT = "load"
MAIN = Path(__file__).parents[3]
ROLES = {
    "mirakl": "marketplace", "returngo": "returns", "shopify": "store", "easypost": "carrier", "shipbob": "warehouse",
    "ledger": "finance",
}  # fmt: skip


class Process:
    """Starts, kills and looks at the service. `url_file` always holds its present address."""

    def __init__(self, folder: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
        self.root = folder / "project"
        self.database = folder / "load.sqlite"
        self.url_file = folder / "url"
        self.log = folder / "log"
        self._write(settings)
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-c", "from engine.cli import main; main()", "run", CLIENT,
                    "--root", str(self.root), "--database", str(self.database), "--port", "0",
                ],
                cwd=MAIN, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, "COLUMNS": "500"},
            )  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("Webhooks: "):
                self.url = line.split()[1].removesuffix("/webhooks/CONNECTOR")
                self.url_file.write_text(self.url)
                self._ready()
                return
        raise RuntimeError(f"the service did not start:\n{self.log.read_text()[-4000:]}")

    def _ready(self) -> None:
        """Returns when deliveries are taken: until then senders are asked to come again."""
        for _ in range(600):
            with contextlib.suppress(OSError):
                if self.health()["ready"]:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the service is not ready:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """As by the out-of-memory killer: nothing is finished."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(120)

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def health(self) -> dict[str, Any]:
        """What it says of itself, ready or not."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=10) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as not_ready:
            told = not_ready.read()
            return json.loads(told) if told.startswith(b"{") else {"ready": False}

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (ln.rpartition(" ") for ln in lines if not ln.startswith("#"))}

    def rss_kib(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def processor_seconds(self) -> float:
        """What all its threads have used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def taken_in(self, seconds: float) -> float:
        """Waits until the journal is worked off, and says how long that took. Raises TimeoutError."""
        began = time.monotonic()
        while self.ask("select count(*) from journal where seq > (select journal_seq from position)") != [(0,)]:
            if time.monotonic() - began > seconds or not self.running():
                raise TimeoutError(f"not taken in after {seconds} s:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.5)
        return time.monotonic() - began

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Of the store, read beside the service."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def size(self) -> int:
        """Bytes of the store with what waits beside it."""
        return sum(path.stat().st_size for path in self.database.parent.glob(f"{self.database.name}*"))

    def _write(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        folder = self.root / "rules" / "clients" / CLIENT
        folder.mkdir(parents=True)
        (self.root / "mappings").mkdir()
        shop = yaml.safe_load((MAIN / "rules/clients/demo/client.yaml").read_text())
        secrets: dict[str, str] = {}
        connectors: dict[str, dict[str, Any]] = {}
        for name, given in settings.items():
            made: dict[str, Any] = {"use": name}
            for key, value in given.items():
                if key.endswith(("key", "token", "secret")):
                    secrets[f"{name}_{key}".upper()] = str(value)
                    made[key] = {"secret": f"{name}_{key}".upper()}
                else:
                    made[key] = str(value) if isinstance(value, Path) else value
            connectors[ROLES[name]] = made
        shop.update(client=CLIENT, connectors=connectors)
        (folder / "client.yaml").write_text(yaml.safe_dump(shop))
        (folder / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in secrets.items()))
