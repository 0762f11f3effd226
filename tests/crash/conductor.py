"""A run: the story happens, time passes, webhooks travel, the service is killed over and over; then the books are compared."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from engine.demo.story import Deed
from engine.run.clock import VirtualClock
from tests.crash.aim import BEGINNING, Tally
from tests.crash.books import Kept, Wrong, in_the_outside, twice
from tests.crash.life import Life
from tests.crash.nursery import Living, Nursery
from tests.crash.post import Mail, PostOffice, Weather, posted
from tests.crash.proxy import Network, Troubles
from tests.crash.stage import CLIENT, Stage, write_client
from tests.crash.stories import Right, deeds_of, told

FAIR = Weather()
START = datetime(2026, 11, 3, 6, tzinfo=UTC)
MARK = timedelta(hours=1)  # the service is looked at this often, and whenever it is started
HOUR = timedelta(hours=1)
EFFECTS_OF_AN_ORDER = 4.5  # at least, over many
REST = timedelta(hours=50)  # after the last deed: two batches, quiet periods, and what is closed only later
PEOPLE_TRY = 40
FORESEEN = ("[warning", "deliveries_not_kept")  # on a busy machine a sender is told to come again
UNFORESEEN = ("perform_failed", "case_failed", "event_failed", "reload_failed", "Traceback", "Error")
WHOLE = "`instep run`, at any instant"
LAST_KILL = 36 * HOUR  # after the last deed
AT_ANY = 0.2  # the share of lives that end at any instant, and at no point
PATIENT = 6  # marks that a life may go on when its point does not come, as long as no larger share of the kills is owed than:
MOST_OWED = 1 / 6
EDITED = ("worker.decide", "catching_up.some")  # what is done after the rules have changed


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a run is and what goes wrong in it. `kills` are spread over the whole run."""

    seed: int
    orders: int
    hours: float
    kills: int = 0
    agents: bool = False
    weather: Weather = FAIR
    troubles: Troubles | None = None
    timeout: float = 20.0
    edits: bool = True
    down: float = 0.0  # hours, from the beginning
    known: Tally = field(default_factory=Tally, compare=False)  # what was passed and struck in earlier runs
    whole: int = 0  # kills of `instep run` as it is started by people, in real time, before all else


@dataclass(slots=True)
class Outcome:
    """What came of a run. `wrong` is empty where every promise held."""

    plan: Plan
    wrong: list[Wrong]
    tally: Tally
    effects: int
    steps: Counter[str]
    exceptions: Counter[str]
    doubled: int
    acknowledged: int
    resent: int
    faults: Counter[str]
    lives: int
    seconds: float
    used: tuple[float, float]  # seconds of processor time: by the lives, by everything around them


class Run:
    """One store, one outside, many lives."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.random = Random(f"run {plan.seed}")
        self.start = START if plan.whole == 0 else datetime.now(UTC)
        self.clock = VirtualClock(self.start)
        self.folder = folder
        self.store = folder / "crash.sqlite"
        self.stage = Stage(self.clock, folder / "books")
        self.rights: Mapping[str, Right] = told(plan.seed, plan.orders, plan.hours, agents=plan.agents)
        self.deeds = deque(deeds_of(self.rights))
        self.post = PostOffice(Random(f"post {plan.seed}"), plan.weather)
        self.wrong: list[Wrong] = []
        self.lives = 0
        self.nursery = Nursery(folder, folder, self._on_armed)
        self._people: list[tuple[datetime, int, Deed]] = []
        self._living: Living | None = None
        self._last = self.start
        self._down_until = self.start + plan.down * HOUR
        self._go = 0
        self._number = 0
        self._sends = 0
        self._ends: list[datetime] = []  # when a life was ended
        self._settings: Mapping[str, Mapping[str, Any]] = {}
        self._alarm = False

    async def play(self) -> Outcome:
        began, around = time.monotonic(), time.process_time()
        with ExitStack() as stack:
            settings = dict(stack.enter_context(self.stage.served()))
            network = Network(self.plan.troubles, self.plan.seed, self.clock)
            self._settings = await network.between(settings)
            write_client(self.folder, self._settings)
            nursery = self.nursery
            async with nursery:
                await self._days(network)
                if self._living is not None and self._living.ended is None:
                    await nursery.stop(self._living)
            await network.close()
        kept = Kept(self.store)
        disturbed = bool(self.plan.troubles or self.plan.kills or self.plan.whole)
        doubled = twice(self.stage, self.rights)
        self.wrong += [
            *in_the_outside(self.stage, self.rights),
            *kept.wrong(self.rights, doubled, self._ends, disturbed=disturbed),
            *kept.lost(self.stage, self.post.acknowledged), *self._log(),
        ]  # fmt: skip
        return Outcome(
            self.plan, self.wrong, nursery.tally, kept.settled(), kept.detours(), kept.exceptions(),
            len(doubled), len(self.post.acknowledged), self.post.sent - len(self.post.acknowledged), network.faults,
            self.lives, time.monotonic() - began, (nursery.used, time.process_time() - around),
        )  # fmt: skip

    def broken_off(self, fault: Exception) -> Outcome:
        """What there is of a run that could not be played to its end."""
        wrong = [*self.wrong, Wrong("fault", f"the run ended early: {type(fault).__name__}: {fault}")]
        return Outcome(
            self.plan, wrong, self.nursery.tally, 0, Counter(), Counter(), 0, 0, 0, Counter(), self.lives, 0.0, (0.0, 0.0)
        )

    async def _days(self, network: Network) -> None:
        self._last = max(self.start + deed.at for right in self.rights.values() for deed in right.deeds)
        if self.plan.whole:
            self._last = await self._in_real_time()
        end = self._last + REST
        while True:
            now = self.clock()
            await network.weather(now if now < self._last else None)
            self._happen(now)
            if self._living is None and now >= self._down_until:
                await self._rise(now)
            await self._turn(now)
            if now >= end and self._living is not None:
                return
            self.clock.move(self._ahead(now, end))

    async def _in_real_time(self) -> datetime:
        """The story at an hour a second, before `instep run` in a process started from nothing, which is killed at any instant.
        When it was over.
        """
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [str(Path(sys.executable).with_name("instep")), "run", CLIENT, "--root", str(self.folder)]
        command += ["--database", str(self.store), "--port", str(port)]
        while self.deeds or self.nursery.tally.struck[WHOLE] < self.plan.whole:
            with self.nursery.log.open("ab") as log:
                one = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, stderr=log)
            self.lives += 1
            until = time.monotonic() + self.random.uniform(0.5, 6.0)
            while time.monotonic() < until and one.returncode is None:
                await self._second(port)
            if one.returncode is not None:
                self.wrong.append(Wrong("fault", f"`instep run` ended by itself ({one.returncode}); see {self.nursery.log}"))
                break
            one.kill()
            await one.wait()
            self.nursery.tally.struck[WHOLE] += 1
        self.deeds.clear()
        return self.clock()

    async def _second(self, port: int) -> None:
        """A little time passes, and a little of the story."""
        await asyncio.sleep(0.1)
        self.clock.move(max(datetime.now(UTC), self.clock()))
        passed = (self.clock() - self.start) * 3600
        while self.deeds and self.deeds[0].at <= passed:
            deed = self.deeds.popleft()
            if deed.what == "person":
                self._people.append((self.clock(), 0, deed))
            else:
                self.stage.do(deed)
        self.post.take(self.stage.posted(), self.clock())
        for mail in self.post.due(self.clock()):
            post = self.stage.signed_now(mail.post)
            status = await posted(port, f"/webhooks/{post.connector}?{post.query}", post.headers, post.body)
            self.post.answered(Mail(post, mail.tries), status, self.clock())

    def _ahead(self, now: datetime, end: datetime) -> datetime:
        """The next mark at which anything is due."""
        living = self._living
        if living is None and self._down_until <= now:
            return now
        mark = MARK if now < self._last else 2 * HOUR
        due = [living.due if living else self._down_until, self.post.next(), end]
        due += [self.start + self.deeds[0].at] if self.deeds else []
        due += [min(at for at, _, _ in self._people)] if self._people else []
        soonest = max(min(one for one in due if one is not None), now + timedelta(seconds=1))
        return max(self.start + -((self.start - soonest) // mark) * mark, now)

    def _happen(self, now: datetime) -> None:
        while self.deeds and self.start + self.deeds[0].at <= now:
            deed = self.deeds.popleft()
            if deed.what == "person":
                self._people.append((now, 0, deed))
            else:
                self.stage.do(deed)
        self.post.take(self.stage.posted(), now)

    async def _rise(self, now: datetime) -> None:
        after, point, nth = self._fate(now)
        life = Life(
            str(self.folder), str(self.store), str(self.nursery.control), str(self.nursery.log), now.isoformat(), after, point,
            nth, self.plan.timeout,
        )  # fmt: skip
        self.lives += 1
        self._go = 0
        living = await self.nursery.begin(life)
        self._living = living
        self._buried(now)

    def _fate(self, now: datetime) -> tuple[int, str, int]:
        """After how many sends in peace, at which point and at which passing of it the next life ends."""
        left = self.plan.kills - sum(self.nursery.tally.struck.values())
        if left <= 0 or now >= self._last + LAST_KILL:
            return 10**9, "", 1
        peace = self._peace(left) if now < self._last else 0.0
        after = int(self.random.expovariate(1 / peace)) if peace > 0 else 0
        if self.random.random() < AT_ANY:
            return after, "", 1
        known = Tally()
        known += self.plan.known
        known += self.nursery.tally
        point = known.aim(self.random, soon=self._behind(now))
        self.nursery.tally.aimed[point] += 1
        if point in BEGINNING:
            return 0, point, 1
        return after, point, self.random.choice((1, 1, 1, 1, 2, 4))

    def _behind(self, now: datetime) -> bool:
        """Whether there were so many fewer kills than there should be by now that there is no time to wait for rare points."""
        whole = self._last + LAST_KILL - self.start
        owed = self.plan.kills * ((now - self.start) / whole) - sum(self.nursery.tally.struck.values())
        return owed > self.plan.kills * MOST_OWED

    def _peace(self, left: int) -> float:
        """The mean number of sends before each of the kills that are left."""
        ahead = self.plan.orders * EFFECTS_OF_AN_ORDER - self._sends
        return max(ahead / (left * 1.2) - 0.5, 0.0)

    def _on_armed(self, living: Living) -> None:
        """Its time has come, at any instant."""
        self._kill_soon(living, self.random.choice((0.005, 0.02, 0.1, 0.3)))

    def _kill_soon(self, living: Living, within: float) -> None:
        def kill() -> None:
            if living.ended is None and living.pid:
                with suppress(ProcessLookupError):
                    os.kill(living.pid, signal.SIGKILL)

        asyncio.get_running_loop().call_later(self.random.uniform(0, within), kill)

    def _buried(self, now: datetime) -> bool:
        """Whether the life has ended. How it did is looked at, and how long it takes until the next."""
        living = self._living
        if living is None or living.ended is None:
            return living is None
        if living.ended != -signal.SIGKILL:
            self.wrong.append(Wrong("fault", f"at {now} the service ended by itself ({living.ended}); see {self.nursery.log}"))
            if self.wrong.count(self.wrong[-1]) > 5:
                raise RuntimeError(self.wrong[-1].text)
        else:
            self._ends.append(now)
        self._sends += living.sends
        self._living = None
        self._down_until = now
        if self.random.random() < 0.2:
            self._down_until += timedelta(minutes=self.random.choice((5, 20, 20, 60)))
        return True

    async def _turn(self, now: datetime) -> None:
        """Deliveries, people's answers and one go, until the service rests or has ended."""
        mails = self.post.due(now)
        if self._living is None:
            for mail in mails:
                self.post.answered(mail, None, now)
            return
        living = self._living
        early = self.random.randrange(len(mails) + 1)
        await self._deliver(living, mails[:early], now)
        await self._answer(living, now)
        await self._gone(living, now)
        if mails[early:]:
            await asyncio.gather(self._deliver(living, mails[early:], now), self._gone(living, now))
            await self._gone(living, now)
        if living.armed and living.ended is None:
            living.turns += 1
            if not living.life.point or living.turns > PATIENT or self._behind(now):
                self._kill_soon(living, 0.0)  # the point it was to end at does not come
                await self.nursery.until(living, lambda: False)
        self._buried(now)

    async def _gone(self, living: Living, now: datetime) -> None:
        self._go += 1
        go = self._go
        aimed_at = living.life.point.rpartition(" ")[2]
        edited = self.plan.edits and self.random.random() < (0.5 if aimed_at in EDITED else 0.02)
        if edited:
            self._alarm = not self._alarm
            write_client(self.folder, self._settings, sla_alarm="2h" if self._alarm else "1h")
        living.tell(go=go, now=now.isoformat(), reload=edited)
        await self.nursery.until(living, lambda: living.resting and living.gone >= go)

    async def _deliver(self, living: Living, mails: list[Mail], now: datetime) -> None:
        many = asyncio.Semaphore(4)

        async def one(mail: Mail) -> None:
            async with many:
                post = self.stage.signed_now(mail.post)
                path, cut = f"/webhooks/{post.connector}?{post.query}", self.post.cut()
                status = await posted(living.port, path, post.headers, post.body, cut) if living.ended is None else None
                self.post.answered(Mail(post, mail.tries), status, now)

        await asyncio.gather(*(one(mail) for mail in mails))

    async def _answer(self, living: Living, now: datetime) -> None:
        """People who answer what they are asked, and have tried again what was given up."""
        due = [one for one in self._people if one[0] <= now]
        self._people = [one for one in self._people if one[0] > now]
        for _, tries, deed in due:
            done = await self._answered(living, deed)
            if not done and tries < PEOPLE_TRY:
                self._people.append((now + HOUR, tries + 1, deed))
            elif not done:
                self.wrong.append(Wrong("not told", f"{deed.order}: {deed.about['rule']} was never asked"))
        if self._go % 8 == 0 and (self.plan.kills or self.plan.troubles):
            for case, key in Kept(self.store).rows(
                "select name, key from effects join cases on cases.id = case_id where status = 'refused' and reason = 'gave_up'"
            ):
                await self._did(living, {"kind": "person.retry", "case": case, "key": key, "by": "Kim", "value": ""})

    async def _answered(self, living: Living, deed: Deed) -> bool:
        rows = Kept(self.store).rows(
            "select e.key, e.closed_at from exceptions e join cases c on c.id = e.case_id where c.name = ? and e.rule = ?"
            " order by e.closed_at is null desc",
            f"order:{deed.order}", deed.about["rule"],
        )  # fmt: skip
        if not rows:
            return False
        if rows[0][1] is not None:
            return True  # answered in an earlier life
        case = f"order:{deed.order}"
        return await self._did(
            living, {"kind": "person.answer", "case": case, "key": rows[0][0], "by": "Kim", "value": deed.about["answer"]}
        )

    async def _did(self, living: Living, deed: dict[str, str]) -> bool:
        if living.ended is not None:
            return False
        self._number += 1
        number = self._number
        living.tell(deed=deed, number=number)
        await self.nursery.until(living, lambda: number in living.answers)
        return living.answers.get(number) == ""

    def _log(self) -> list[Wrong]:
        """Faults the service logged that nobody foresaw."""
        lines = [
            line
            for line in self.nursery.log.read_text(errors="replace").splitlines()
            if not any(word in line for word in FORESEEN)
        ]
        if self.plan.troubles:  # what cannot be understood on the wire is logged, too
            lines = [line for line in lines if any(word in line for word in UNFORESEEN)]
        return [Wrong("fault", f"logged: {line}") for line in dict.fromkeys(lines)][:20]
