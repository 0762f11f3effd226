"""A week against real sandboxes: crashes, outages, faults of the other side and storms of webhooks, and never one request more
than is allowed in any stretch of time.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.demo.outside import Outside, Post
from engine.demo.story import Deed, story
from engine.facts.budget import Limit, Limited
from engine.facts.outside import Connector, Hint, Ref, Rejected, WebhookRequest, installed_actions, installed_connectors
from engine.language.pack import load, load_client
from engine.run.clock import VirtualClock
from engine.run.service import LiveCodes, Service
from engine.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
MORNING = datetime(2026, 11, 3, 6, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FAULTS = ("error", "cut_after", "too_many", "garbage_after", "error_after")
STORM = 400  # hints within a moment
Sent = deque[tuple[datetime, str]]


class Killed(BaseException):
    """The process has ended: nothing after it is done."""


class MortalClock(VirtualClock):
    """The world's time, until the process dies: at the so-manieth look at the clock, wherever in the code that is."""

    def __init__(self, world: VirtualClock, looks: int) -> None:
        super().__init__(world())
        self.world = world
        self.looks = looks

    def __call__(self) -> datetime:
        self.looks -= 1
        if self.looks < 0:
            raise Killed
        return self.world()

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        self()
        await self.world.wait(until, woken)


@dataclass
class Counted:
    """Every request that reached a sandbox, whatever became of it there."""

    app: ASGIApp
    clock: VirtualClock
    named: Callable[[Scope], str | None]
    sent: Sent = field(default_factory=deque)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self.named(scope) if scope["type"] == "http" else None
        if operation is not None:
            self.sent.append((self.clock(), operation))
        await self.app(scope, receive, send)


def of_mirakl(scope: Scope) -> str | None:
    """The operation; None for a further page of a listing."""
    query, path = parse_qs(scope["query_string"].decode()), scope["path"]
    if query.get("offset", ["0"]) != ["0"] or "page_token" in query:
        return None
    if scope["method"] != "GET":
        return "change"
    orders = "OR11 by id" if "order_ids" in query else "OR11"
    return {"/api/orders": orders, "/api/returns": "RT11", "/api/account": "A01"}.get(path, path)


def most_within(sent: Iterable[tuple[datetime, str]], limit: Limit) -> int:
    """The most requests in any span of the limit's length."""
    most, window = 0, deque[datetime]()
    for at, operation in sorted(sent):
        if limit.covers(operation):
            window.append(at)
            while window[0] <= at - limit.per:
                window.popleft()
            most = max(most, len(window))
    return most


class Week:
    """The demo's systems with their limits on, and a service that is killed and started again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = Random(seed)
        self.world = VirtualClock(MORNING - 10 * DAY)
        self.outside = Outside(self.world, folder / "books")
        self.store = folder / "week.db"
        self.rule_set = load(ROOT, "demo", installed_actions())
        self.uses = {role: use.use for role, use in load_client(ROOT, "demo").connectors.items()}
        self.deeds = deque(story())
        self.counted: dict[str, Counted] = {}
        self.limits: dict[str, tuple[Limit, ...]] = {}
        self.kills = self.storms = 0
        self.down = timedelta(0)
        self.asked: set[tuple[str, str]] = set()
        self.posts: list[Post] = []
        boxes: Mapping[str, tuple[Any, Callable[[Scope], str | None]]] = {
            "mirakl": (self.outside.market, of_mirakl),
            "returngo": (self.outside.returns, lambda _: "any"),
            "shipbob": (self.outside.warehouse, lambda _: "any"),
            "easypost": (self.outside.carrier, lambda _: "GET trackers"),
        }
        for name, (box, named) in boxes.items():
            made = installed_connectors()[name]
            assert isinstance(made, Limited)
            self.limits[name] = made.quota.limits
            box.admission.limits = made.quota.limits
            box.app = self.counted[name] = Counted(box.app, self.world, named)
        self.boxes = {name: box for name, (box, _) in boxes.items()}

    def run(self, length: timedelta) -> None:
        self._deeds_until(MORNING)
        self.outside.posted()
        self.world.move(MORNING)
        with self.outside.served() as settings:
            while self.world() < MORNING + length:
                self._life(settings, MORNING + length)

    def _life(self, settings: Mapping[str, Mapping[str, Any]], end: datetime) -> None:
        clock = MortalClock(self.world, self.rng.randrange(300, 5000))
        store = SqliteStore.open(self.store, synchronous="NORMAL")
        try:
            asyncio.run(self._live(store, clock, settings, end))
        except Killed:
            self.kills += 1
        except BaseExceptionGroup as group:
            if group.split(Killed)[1] is not None:
                raise
            self.kills += 1
        finally:
            store.close()
        if self.rng.random() < 0.15:  # nobody starts it again for a while
            stopped = self.world()
            self._deeds_until(min(stopped + self.rng.uniform(0.2, 3) * HOUR, end))
            self.down += self.world() - stopped

    async def _live(
        self, store: SqliteStore, clock: MortalClock, settings: Mapping[str, Mapping[str, Any]], end: datetime
    ) -> None:
        codes = LiveCodes()
        connectors = {role: self._connector(use, settings[use], clock, codes) for role, use in self.uses.items()}
        try:
            service = Service(store, self.rule_set, connectors, clock, zone=ZoneInfo("Europe/London"), codes=codes)
            while self.world() < end:
                self._trouble(service)
                self._deliver(service, connectors)
                due = await service.step()
                self.asked |= {(name, operation) for name, operation, _ in service.budget.sent}
                mark = self.world() + MINUTE
                self._deeds_until(min(max(due or mark, self.world()), mark, end))
        finally:
            for connector in connectors.values():
                await connector.close()

    def _connector(self, use: str, settings: Mapping[str, Any], clock: MortalClock, codes: LiveCodes) -> Connector:
        made = installed_connectors()[use]
        return made(made.Settings.model_validate(settings), clock, codes)

    def _trouble(self, service: Service) -> None:
        """Now and then the other side fails, and word of changes comes in a storm."""
        if self.rng.random() < 0.01:
            box = self.rng.choice([*self.boxes.values(), self.outside.store])
            box.faults.add(self.rng.choice(FAULTS), times=self.rng.randrange(1, 6), retry_after=self.rng.choice([30, 600]))
        if self.rng.random() < 0.0005 or (self.storms == 0 and self.world() > MORNING + HOUR):
            self.storms += 1
            first = self.rng.randrange(5000)
            service.hear([Hint("returngo", Ref("returngo.rma", str(1000 + first + n))) for n in range(STORM)])
            service.hear([Hint("shopify", Ref("shopify.order_node", str(10**9 + first + n))) for n in range(STORM)])

    def _deliver(self, service: Service, connectors: Mapping[str, Connector]) -> None:
        by_name = {connector.name: connector for connector in connectors.values()}
        posts, self.posts = [*self.posts, *self.outside.posted()], []
        for post in posts:
            signed = self.outside.signed_now(post)
            query = {name: values[0] for name, values in parse_qs(signed.query).items()}
            headers = {name.lower(): value for name, value in signed.headers.items()}
            try:
                service.hear(by_name[post.connector].receive(WebhookRequest(signed.body, headers, query, self.world())))
            except Rejected as no:
                raise AssertionError(f"{post.connector}: {no.reason}") from None

    def _deeds_until(self, instant: datetime) -> None:
        while self.deeds and MORNING + self.deeds[0].at <= instant:
            deed: Deed = self.deeds.popleft()
            self.world.move(max(MORNING + deed.at, self.world()))
            if deed.what not in {"person", "retry"}:
                self.outside.do(deed)
        self.world.move(max(instant, self.world()))

    def said(self) -> dict[str, Any]:
        """The most that was seen in any window, beside what is allowed."""
        return {
            f"{name} {limit.operation or 'all'} {limit.units} per {limit.per}": most_within(self.counted[name].sent, limit)
            for name, limits in self.limits.items()
            for limit in limits
        }


@pytest.mark.long
def test_no_sandbox_ever_sees_more_than_its_limit_in_any_window(
    tmp_path: Path, full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A week with `--full`, else eight hours of one."""
    week = Week(tmp_path, seed=5)
    week.run(7 * DAY if full else 8 * HOUR)
    with capsys.disabled():
        requests = sum(len(counted.sent) for counted in week.counted.values())
        troubles = {"kills": week.kills, "storms": week.storms, "hours down": round(week.down / HOUR)}
        told = {"requests": requests, **troubles, **week.said()}
        print("\n" + json.dumps(told, indent=1))
    over = [
        (name, limit, most)
        for name, limits in week.limits.items()
        for limit in limits
        if (most := most_within(week.counted[name].sent, limit)) > limit.units
    ]
    assert over == []
    assert {name: box.admission.refused for name, box in week.boxes.items()} == dict.fromkeys(week.boxes, 0)
    assert week.outside.store.graphql.throttled == 0
    assert week.kills >= (100 if full else 4)
    quotas = {name: made.quota for name, made in installed_connectors().items() if isinstance(made, Limited)}
    named = {(name, operation) for name, quota in quotas.items() for operation in quota.operations}
    assert week.asked <= named
    assert len(week.asked) > 10
    up = (week.world() - MORNING - week.down) / HOUR
    assert sum(operation == "OR11" for _, operation in week.counted["mirakl"].sent) > 8 * up  # of 12: it kept on asking
    assert len(week.counted["returngo"].sent) > 40 * up
