"""Plays the day: the story happens outside, the service runs as it does in production, on virtual time."""

from __future__ import annotations

import asyncio
import heapq
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from socket import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from engine.decide.people import NotPossible
from engine.demo.outside import Outside, Post
from engine.demo.story import Deed, story
from engine.demo.summary import Summary, summarise
from engine.demo.telling import DemoLine, Teller
from engine.facts.outside import Connector, installed_actions, installed_connectors
from engine.language.pack import load, load_client, project_root
from engine.run.boot import Served, open_client
from engine.run.clock import VirtualClock
from engine.run.hearing.deeds import Deed as PersonsDeed
from engine.run.service import Service
from engine.run.web.webhooks import webhook_app

CLIENT = "demo"
MORNING = datetime(2026, 11, 3, 6, tzinfo=UTC)  # a Tuesday
HOURS = 30
MARK = timedelta(minutes=15)
SECONDS_PER_DAY = 90.0  # of real time, when nobody is in a hurry
LATE, TWICE = 0.1, 0.15  # of deliveries: come late, and so after younger ones; come again
Emit = Callable[[DemoLine], None]
Stay = Callable[[Service, Summary], Awaitable[None]]


def books_of(database: Path) -> Path:
    """Where the postings of the day that is played into this store are written."""
    return database.with_name(f"{database.stem}-books")


def play(*, fast: bool, root: Path | None, database: Path, emit: Emit, stay: Stay | None = None) -> Summary:
    """Plays the demo and leaves its store at `database`, with the books beside it.

    `root` holds `rules/` and `mappings/`; without it those of the working directory are used, or the shipped ones. Without
    `fast` it is slow enough to read along. With `stay` the service is still there for it in the evening, and rules that are
    edited or activated count.
    Raises FileExistsError where the database is there already.
    """
    if database.exists():
        raise FileExistsError(f"{database} is there already: remove it, or name another file")
    return asyncio.run(_play(project_root(root), database, emit, 0.0 if fast else SECONDS_PER_DAY / 86400, stay))


async def _play(root: Path, database: Path, emit: Emit, pace: float, stay: Stay | None) -> Summary:
    started = time.monotonic()
    deeds = deque(story())
    clock = VirtualClock(MORNING + deeds[0].at)
    outside = Outside(clock, books_of(database))
    while deeds[0].at < timedelta(0):
        deed = deeds.popleft()
        clock.move(MORNING + deed.at)
        outside.do(deed)
    outside.posted()  # nobody listened before this morning
    clock.move(MORNING)
    with outside.served() as settings:
        served = open_client(root, CLIENT, database, clock, _installed(root, settings, clock), synchronous="NORMAL")
        service = served.service
        try:
            async with _listening(service) as url, _reloading(served, watched=pace > 0 or stay is not None):
                day = _Day(service, clock, outside, deeds, emit, url, pace)
                await day.play(MORNING + timedelta(hours=HOURS))
                params = service.rule_set.params
                seconds = time.monotonic() - started

                def deadline(scanned_at: datetime) -> datetime:
                    due: datetime = params["sla_calendar"].add(scanned_at, params["refund_within"])
                    return due

                summary = summarise(service, outside, day.teller.withheld, deadline=deadline, seconds=seconds)
                if stay is not None:
                    await stay(service, summary)
                return summary
        finally:
            await service.close()


def _installed(root: Path, settings: Mapping[str, Mapping[str, Any]], clock: VirtualClock) -> dict[str, Connector]:
    """The demo client's connectors by role, turned to the sandboxes."""
    classes = installed_connectors()
    codes = load(root, CLIENT, installed_actions()).codes
    connectors: dict[str, Connector] = {}
    for role, use in load_client(root, CLIENT).connectors.items():
        made = classes[use.use]
        connectors[role] = made(made.Settings.model_validate(settings[use.use]), clock, codes)
    return connectors


@asynccontextmanager
async def _reloading(served: Served, *, watched: bool) -> AsyncIterator[None]:
    """Where there is time to edit anything, changed files count at once, as they do in a service."""
    if not watched:
        yield
        return
    stop = asyncio.Event()
    reloading = asyncio.create_task(served.reload.run(stop))
    try:
        yield
    finally:
        stop.set()
        await reloading


class _Webhooks(uvicorn.Server):
    """Says when it listens. Leaves signals to the command line, so that Ctrl-C ends the demo."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False, ws="none"))
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _listening(service: Service) -> AsyncIterator[str]:
    """The service's webhooks over loopback, on the loop the service runs on: its store is not shared between threads."""
    server = _Webhooks(webhook_app(service))
    serving = asyncio.create_task(server.serve())
    await server.ready.wait()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/webhooks"
    finally:
        server.should_exit = True
        await serving


@dataclass(slots=True)
class _Day:
    """The story and the service, step by step. Deliveries travel as they do: some late, some twice."""

    service: Service
    clock: VirtualClock
    outside: Outside
    deeds: deque[Deed]
    emit: Emit
    url: str
    pace: float
    teller: Teller = field(init=False)
    _post: list[tuple[datetime, int, Post]] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)
    _draw: Random = field(default_factory=lambda: Random(11))
    _active: str = field(init=False)

    def __post_init__(self) -> None:
        self.teller = Teller(self.service)
        self._active = self.service.rule_set.hash

    async def play(self, until: datetime) -> None:
        """Deeds happen at their own time; the service is stepped at every mark of the day at which anything is due."""
        while True:
            due = await self._settle()
            ahead = _mark_after(min(instant for instant in (due, *self._next(), until) if instant is not None))
            if self.clock() >= until:
                break
            await asyncio.sleep((ahead - self.clock()).total_seconds() * self.pace)
            while self.deeds and MORNING + self.deeds[0].at <= ahead:
                deed = self.deeds.popleft()
                self.clock.move(max(MORNING + deed.at, self.clock()))
                self._do(deed)
            self.clock.move(ahead)

    async def _settle(self) -> datetime | None:
        """Deliveries and steps until all is quiet at this moment."""
        while True:
            self._collect()
            delivered = await self._deliver()
            due = await self.service.step()
            if self.service.rule_set.hash != self._active:
                self._active = self.service.rule_set.hash
                self.emit(DemoLine(self.clock(), "person", "", f"the changed files count from now on: rule set {self._active}"))
            for line in self.teller.news():
                self.emit(line)
            if not delivered:
                return due

    def _next(self) -> Sequence[datetime]:
        deed = [MORNING + self.deeds[0].at] if self.deeds else []
        return [*deed, *([self._post[0][0]] if self._post else [])]

    def _collect(self) -> None:
        for post in self.outside.posted():
            wait = timedelta(minutes=self._draw.uniform(5, 40)) if self._draw.random() < LATE else timedelta(seconds=1)
            heapq.heappush(self._post, (self.clock() + wait, next(self._numbers), post))
            if self._draw.random() < TWICE:
                again = self.clock() + wait + timedelta(minutes=self._draw.uniform(1, 30))
                heapq.heappush(self._post, (again, next(self._numbers), post))

    async def _deliver(self) -> int:
        delivered = 0
        while self._post and self._post[0][0] <= self.clock():
            post = self.outside.signed_now(heapq.heappop(self._post)[2])
            await asyncio.to_thread(_posted, f"{self.url}/{post.connector}?{post.query}", post)
            delivered += 1
        return delivered

    def _do(self, deed: Deed) -> None:
        if deed.what not in {"person", "retry"}:
            self.outside.do(deed)
            self._tell(deed, "outside", deed.say)
            return
        try:
            done = self._retry(deed) if deed.what == "retry" else self._answer(deed)
        except NotPossible as no:
            done = str(no)
        self._tell(deed, "person", deed.say if done is None else f"{deed.say} - not possible: {done}")

    def _tell(self, deed: Deed, tone: Any, text: str) -> None:
        if text:
            self.emit(DemoLine(self.clock(), tone, deed.order, text))

    def _answer(self, deed: Deed) -> str | None:
        """Answers the exception the rule has open for the order. What is wrong with that, or None."""
        case = self.service.store.cases.named(f"order:{deed.order}")
        rows = self.service.store.exceptions.listed(case_id=case.id) if case is not None else []
        row = next((r for r in rows if r.entry.rule == deed.about["rule"]), None)
        if case is None or row is None:
            return f"{deed.about['rule']} has nothing open"
        self.service.deed(PersonsDeed("person.answer", case.name, row.entry.key, "the story", deed.about["answer"]))
        return None

    def _retry(self, deed: Deed) -> str | None:
        case = self.service.store.cases.named(f"order:{deed.order}")
        rows = self.service.store.outbox.of_case(case.id) if case is not None else []
        refused = [row.entry.key for row in rows if row.entry.status == "refused"]
        if case is None or not refused:
            return "nothing was refused"
        for key in refused:
            self.service.deed(PersonsDeed("person.retry", case.name, key, "the story"))
        return None


def _mark_after(instant: datetime) -> datetime:
    """The first mark of the day that is not before it."""
    marks = -((MORNING - instant) // MARK)
    return MORNING + max(marks, 0) * MARK


def _posted(url: str, post: Post) -> None:
    """Over HTTP, as from outside. A refusal is an answer too: it shows in the service's log."""
    request = urllib.request.Request(url, post.body, dict(post.headers), method="POST")  # noqa: S310 - loopback
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        answer.read()
