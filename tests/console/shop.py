"""A shop in the midst of its day before a real `instep run`: six sandboxes, and something of everything people look at."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from connectors.signatures import easypost_signature
from engine.console import keeping
from engine.demo.outside import Outside
from engine.demo.story import Back, Item, Tale
from engine.desk import exceptions
from engine.run.clock import VirtualClock
from engine.store.sqlite import SqliteStore
from tests.bench.load.process import CLIENT, Process

PASSWORD = "a long enough password"
ROLES = {"Vera": "viewer", "Otto": "operator", "Cora": "consultant"}
EARLIER = timedelta(days=60)
REJECTED, GESTURE, SHUT, PAID, HELD, SCANNED, UNKNOWN = (f"M-{n}" for n in range(2001, 2008))
STRANGE = "CX999GB"


def tales() -> Iterator[Tale]:
    """Orders and what became of them, in hours before now."""
    yield Tale(REJECTED).sold(Item("LOAFER-41")).asked(-9, Back("LOAFER-41")).travels(-6, -3).inspected(-1, False)
    gesture = Tale(GESTURE).sold(Item("LOAFER-41")).asked(-9, Back("LOAFER-41"))
    yield gesture.then(-2, "refund_in_market", amount="15.00")
    shut = Tale(SHUT).sold(Item("SNEAKER-43"), days=40).then(-200, "close")
    yield shut.asked(-9, Back("SNEAKER-43")).travels(-6, -3).inspected(-1)
    yield Tale(PAID).sold(Item("SANDAL-40", taxed=True)).asked(-9, Back("SANDAL-40")).travels(-6, -3).inspected(-1)
    yield Tale(HELD).sold(Item("BOOT-38", 2)).asked(-5, Back("BOOT-38"), Back("BOOT-38")).travels(-2, -1)
    yield Tale(SCANNED).sold(Item("CLOG-39")).asked(-5, Back("CLOG-39")).travels(-2, -1)
    yield Tale(UNKNOWN).sold(Item("WELLIES-41")).asked(-5, Back("WELLIES-41"))


@dataclass
class Shop:
    """What is outside, and the service that keeps it in step."""

    outside: Outside
    service: Process

    @property
    def database(self) -> Path:
        return self.service.database

    @property
    def console(self) -> str:
        return f"{self.service.url}/console"

    def exception(self, rule: str) -> dict[str, Any]:
        """The open one of this rule."""
        rows = exceptions.listed(self.database, None, only_open=True)
        return next(row for row in rows if row["rule"] == rule)

    def store(self) -> SqliteStore:
        return SqliteStore.open(self.database, as_="visitor")

    def edited(self, **keys: Any) -> None:
        """Somebody changes keys of client.yaml, and it counts or waits."""
        file = self.service.root / "rules" / "clients" / CLIENT / "client.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | keys))
        before = self.service.health()["rules"]["last_read"]["at"]
        self.settles(lambda: self.service.health()["rules"]["last_read"]["at"] != before)
        assert self.service.health()["rules"]["last_read"]["ok"]

    @property
    def params(self) -> dict[str, Any]:
        file = self.service.root / "rules" / "clients" / CLIENT / "client.yaml"
        return dict(yaml.safe_load(file.read_text())["params"])

    def strange_delivery(self) -> None:
        """A carrier tells of a parcel in a way no mapping can read."""
        tracker = {"tracking_code": STRANGE, "status": "in_transit", "updated_at": "the day before yesterday"}
        body = json.dumps({"id": "evt_1", "description": "tracker.updated", "result": tracker}).encode()
        signed = easypost_signature(body, self.outside.carrier.webhook_secret)
        headers = {"content-type": "application/json", "x-hmac-signature": signed}
        request = urllib.request.Request(f"{self.service.url}/webhooks/easypost", body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status < 300

    def settles(self, what: Callable[[], bool], seconds: float = 60) -> None:
        """Returns when it is so; what the service does beside us takes the time it takes."""
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until, self.service.log.read_text()[-3000:]
            threading.Event().wait(0.1)

    def statuses(self) -> dict[str, str]:
        """Of every effect, by its key."""
        return dict(self.service.ask("select key, status from effects"))


@contextmanager
def opened(folder: Path) -> Iterator[Shop]:
    now = datetime.now(UTC)
    clock = VirtualClock(now - EARLIER)
    outside = Outside(clock, folder / "books")
    for deed in sorted(deed for tale in tales() for deed in tale.deeds):
        clock.move(max(now + deed.at, clock()))
        outside.do(deed)
    outside.posted()  # nobody listened then
    clock.move(now)
    with outside.served() as settings:
        shop = Shop(outside, Process(folder, settings))
        shop.service.start()
        try:
            for name, role in ROLES.items():
                keeping.added(shop.database, None, name, role, "Kim", PASSWORD)
            shop.strange_delivery()
            shop.settles(lambda: shop.service.health()["set_aside"] == 1)
            yield shop
        finally:
            if shop.service.running():
                shop.service.kill()
