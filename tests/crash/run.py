"""Kills the service over and over, cuts its network, has agents act by hand, and compares the books at the end.

    python -m tests.crash.run --kills 2000 --effects 20000 --agents
    python -m tests.crash.run --kills 0 --effects 2000 --network
    python -m tests.crash.run --kills 200 --effects 2000 --network --agents --seed 7
    python -m tests.crash.run --kills 200 --effects 2000 --network --agents --seed 7 --only 7004

Each run of so many orders has a store and an outside of its own. `--whole` kills `instep run` itself, started from nothing. It
ends with 1 where anything is wrong: in the books, with an exception nobody can explain, or, from so many kills on that each named
point has its turn, with a point at which no life ended.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import get_args

from tests.crash.aim import POINTS, SPARED, Tally
from tests.crash.books import What, Wrong
from tests.crash.conductor import EFFECTS_OF_AN_ORDER, WHOLE, Outcome, Plan, Run
from tests.crash.nursery import ANY_INSTANT
from tests.crash.post import Weather
from tests.crash.proxy import Troubles

BAD_POST = Weather(late=0.3, hours=6.0, twice=0.3, cut=0.1)
HURRIED = 1.0  # seconds until a request that hangs is given up
MEMORY = next((path for path in (Path("/dev/shm"),) if path.is_dir()), None)  # a killed process loses nothing it wrote there
ENOUGH = 10  # kills for each point, from which on it is wrong if one was never struck
FRESH = 5  # runs, after which a worker is replaced by a new one


def main() -> None:
    asked = _asked()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, _end)
    with tempfile.TemporaryDirectory(prefix="crash-", dir=MEMORY, ignore_cleanup_errors=True) as folder:
        whole, left = _played(asked, Path(folder))
    if left:
        print(f"{left} runs were not begun: the time was over, or a process of ours ended")
    for what, wanted, found in (("kills", asked.kills, whole.kills), ("effects", asked.effects, whole.effects)):
        if found < wanted:
            print(f"{found} {what}, fewer than the {wanted} that were asked for")
    print(summary(whole))
    sys.exit(bool(whole.wrong or left))


def _end(number: int, _: object) -> None:
    """Whoever ends this wants nothing of it to go on."""
    for worker in active_children():
        worker.terminate()
    sys.exit(128 + number)


def _played(asked: argparse.Namespace, folder: Path) -> tuple[Sum, int]:
    """What all runs came to, and how many of them were not begun. Each knows where lives ended in those before it."""
    waiting, whole, until = plans(asked), Sum(), time.monotonic() + asked.minutes * 60
    total = len(waiting)
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn"), max_tasks_per_child=FRESH) as pool:
        running: set[Future[Outcome]] = set()
        while running or (waiting and time.monotonic() < until):
            while waiting and len(running) < asked.workers and time.monotonic() < until:
                known = Tally()
                known += whole.tally
                running.add(pool.submit(one_run, replace(waiting.pop(0), known=known), asked.keep, folder))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                try:
                    outcome = one.result()
                except BrokenProcessPool as fault:  # no run can be played any more, but what was found is told
                    whole.found.append((asked.seed, Wrong("fault", str(fault))))
                    return whole, len(waiting)
                whole.add(outcome)
                print(f"{whole.runs} of {total}, {told(outcome)}", flush=True)
    return whole, len(waiting)


def one_run(plan: Plan, keep: Path | None = None, folder: Path | None = MEMORY) -> Outcome:
    """Plays it in a folder of its own within `folder`, or within `keep`, where it stays if anything was wrong."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a sandbox whose caller was killed in mid request
    own = Path(tempfile.mkdtemp(prefix="crash-", dir=keep or folder))
    stays = keep is not None
    try:
        run = Run(plan, own)
        try:
            outcome = asyncio.run(run.play())
        except Exception as fault:  # one run that fails does not take the others with it
            traceback.print_exc()
            outcome = run.broken_off(fault)
        stays = stays and bool(outcome.wrong)
        return outcome
    finally:
        if not stays:
            shutil.rmtree(own, ignore_errors=True)


def plans(asked: argparse.Namespace) -> list[Plan]:
    """Runs of equal share, and one whose service is `instep run` itself."""
    orders = int(asked.effects / EFFECTS_OF_AN_ORDER) + 1
    runs = max(-(-orders // asked.orders), 1)
    kills = -(-asked.kills // runs)
    plan = Plan(
        asked.seed, -(-orders // runs), asked.hours * (orders / runs) / asked.orders + 4, kills, asked.agents,
        BAD_POST if asked.network else Weather(),
        Troubles() if asked.network else None, HURRIED if asked.network else 20.0,
    )  # fmt: skip
    whole = replace(plan, seed=asked.seed * 1000 + 999, orders=20, hours=8, kills=0, whole=asked.whole)
    found = [*([whole] if asked.whole else []), *(replace(plan, seed=asked.seed * 1000 + n) for n in range(runs))]
    return [one for one in found if asked.only in (None, one.seed)]


def told(o: Outcome) -> str:
    p = o.plan
    line = (
        f"seed {p.seed}: {p.orders} orders, {o.effects} effects, {sum(o.tally.struck.values())} kills, {o.lives} lives,"
        f" {o.acknowledged} webhooks acknowledged, {sum(o.faults.values())} faults, {o.seconds:.0f} s,"
        f" {o.used[0]:.0f} + {o.used[1]:.0f} s of processor time: {len(o.wrong)} wrong"
    )
    again = f"  again: the same command with --only {p.seed}"
    return "\n".join([line, *(f"  WRONG, {wrong}" for wrong in o.wrong), *([again] if o.wrong else [])])


class Sum:
    """What all runs came to; the outcomes themselves are not kept."""

    def __init__(self) -> None:
        self.runs = self.orders = self.effects = self.lives = self.acknowledged = self.doubled = 0
        self.used = 0.0
        self.tally = Tally()
        self.steps, self.exceptions, self.faults = Counter[str](), Counter[str](), Counter[str]()
        self.found: list[tuple[int, Wrong]] = []  # with the seed

    def add(self, o: Outcome) -> None:
        self.runs += 1
        self.orders += o.plan.orders
        self.effects += o.effects
        self.lives += o.lives
        self.acknowledged += o.acknowledged
        self.doubled += o.doubled
        self.used += sum(o.used)
        self.tally += o.tally
        self.steps += o.steps
        self.exceptions += o.exceptions
        self.faults += o.faults
        self.found += [(o.plan.seed, wrong) for wrong in o.wrong]

    @property
    def kills(self) -> int:
        return sum(self.tally.struck.values())

    @property
    def spared(self) -> list[str]:
        """Points at which no life ended, though there were kills enough for each."""
        return self.tally.missed() if self.kills >= ENOUGH * len(POINTS) else []

    @property
    def wrong(self) -> int:
        return len(self.found) + len(self.spared)


def summary(whole: Sum) -> str:
    kinds = Counter(wrong.what for _, wrong in whole.found)
    return "\n".join(
        [
            "",
            _sizes(whole),
            *_points(whole),
            f"steps off the straight way: {dict(whole.steps)}",
            f"exceptions: {dict(whole.exceptions)}",
            *([f"faults: {dict(whole.faults)}"] if whole.faults else []),
            f"lines refunded by an agent between our look-up and our refund, each told unless said otherwise: {whole.doubled}",
            "wrong: " + ", ".join(f"{what} {kinds[what]}" for what in get_args(What)),
            *(f"  seed {seed}: {wrong}" for seed, wrong in whole.found),
            *(f"  no life ended at: {point}" for point in whole.spared),
        ]
    )


def _sizes(whole: Sum) -> str:
    return (
        f"{whole.runs} runs, {whole.orders} orders, {whole.effects} effects, {whole.kills} kills, {whole.lives} lives,"
        f" {whole.acknowledged} webhooks acknowledged, {sum(whole.faults.values())} faults of the network,"
        f" {whole.used:.0f} s of processor time"
    )


def _points(whole: Sum) -> Iterator[str]:
    """Each with how often a life ended there, of how often it was passed."""
    if not whole.kills:
        return
    tally = whole.tally
    at_any = sum(tally.struck[name] for name in (ANY_INSTANT, WHOLE))
    yield f"kills at any instant: {at_any}; at named points, of so many times they were passed:"
    for point in sorted(tally.points | (tally.struck.keys() - {ANY_INSTANT, WHOLE})):
        yield f"  {tally.struck[point]:6} of {tally.passed[point]:8} {point}"
    for point, why in SPARED.items():
        yield f"       - of {tally.passed[point]:8} {point}: {why}"


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.run", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--effects", type=int, default=1000)
    parser.add_argument("--orders", type=int, default=60, help="of one run")
    parser.add_argument("--hours", type=float, default=4.0, help="within which they are bought")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="only the run of this seed, as it is told beside what was wrong")
    parser.add_argument("--whole", type=int, default=0, help="kills of `instep run` itself, in real time, beside the others")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no run is begun any more")
    parser.add_argument("--agents", action="store_true", help="agents refund by hand at any moment")
    parser.add_argument("--network", action="store_true", help="the network fails, and webhooks travel badly")
    parser.add_argument("--keep", type=Path, help="a folder in which what was left behind stays")
    return parser.parse_args()


if __name__ == "__main__":
    main()
