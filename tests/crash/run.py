"""Kills the service over and over, cuts its network, has agents act by hand, and compares the books at the end.

    python -m tests.crash.run --kills 2000 --effects 20000
    python -m tests.crash.run --kills 0 --effects 2000 --network
    python -m tests.crash.run --kills 200 --effects 2000 --network --agents --seed 7

Each run of so many orders has a store and an outside of its own. `--whole` kills `instep run` itself, started from nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from tests.crash.conductor import EFFECTS_OF_AN_ORDER, Outcome, Plan, Run
from tests.crash.post import Weather
from tests.crash.proxy import Troubles

BAD_POST = Weather(late=0.3, hours=6.0, twice=0.3, cut=0.1)
HURRIED = 1.0  # seconds until a request that hangs is given up
MEMORY = next((path for path in (Path("/dev/shm"),) if path.is_dir()), None)  # a killed process loses nothing it wrote there


def main() -> None:
    asked = _asked()
    outcomes: list[Outcome] = []
    until = time.monotonic() + asked.minutes * 60
    waiting = plans(asked)
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        running: set[Future[Outcome]] = set()
        while running or (waiting and time.monotonic() < until):
            while waiting and len(running) < asked.workers and time.monotonic() < until:
                running.add(pool.submit(one_run, waiting.pop(0), asked.keep))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                outcomes.append(one.result())
                print(told(outcomes[-1]), flush=True)
    print(summary(outcomes))
    sys.exit(any(o.wrong for o in outcomes) or bool(waiting))


def one_run(plan: Plan, keep: Path | None = None) -> Outcome:
    """Plays it in a folder of its own, which stays where `keep` names one and anything was wrong."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a sandbox whose caller was killed in mid request
    folder = Path(tempfile.mkdtemp(prefix="crash-", dir=keep or MEMORY))
    outcome = asyncio.run(Run(plan, folder).play())
    if keep is None or not outcome.wrong:
        shutil.rmtree(folder)
    return outcome


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
    return [*([whole] if asked.whole else []), *(replace(plan, seed=asked.seed * 1000 + n) for n in range(runs))]


def told(o: Outcome) -> str:
    p = o.plan
    line = (
        f"seed {p.seed}: {p.orders} orders, {o.effects} effects, {sum(o.kills.values())} kills, {o.lives} lives,"
        f" {o.acknowledged} webhooks acknowledged, {sum(o.faults.values())} faults, {o.seconds:.0f} s,"
        f" {o.used[0]:.0f} + {o.used[1]:.0f} s of processor time: {len(o.wrong)} wrong"
    )
    return "\n".join([line, *(f"  WRONG {wrong}" for wrong in o.wrong)])


def summary(outcomes: list[Outcome]) -> str:
    kills, points, steps, exceptions, faults = Counter[str](), set[str](), Counter[str](), Counter[str](), Counter[str]()
    for o in outcomes:
        kills += o.kills
        points |= o.points
        steps += o.steps
        exceptions += o.exceptions
        faults += o.faults
    rare = sorted(points - kills.keys())
    whole = (
        f"{len(outcomes)} runs, {sum(o.plan.orders for o in outcomes)} orders, {sum(o.effects for o in outcomes)} effects,"
        f" {sum(kills.values())} kills, {sum(o.lives for o in outcomes)} lives,"
        f" {sum(o.acknowledged for o in outcomes)} webhooks acknowledged, {sum(faults.values())} faults of the network,"
        f" {sum(o.seconds for o in outcomes) / 60:.1f} minutes"
    )
    lines = [
        "",
        whole,
        f"killed at {len(kills) - 1} named points: " + ", ".join(f"{point} {n}" for point, n in kills.most_common()),
        *([f"never killed at: {', '.join(rare)}"] if rare else []),
        f"steps off the straight way: {dict(steps)}",
        f"exceptions: {dict(exceptions)}",
        *([f"faults: {dict(faults)}"] if faults else []),
        f"lines refunded by an agent between our look-up and our refund: {sum(o.doubled for o in outcomes)}",
        f"wrong: {sum(len(o.wrong) for o in outcomes)}",
    ]
    return "\n".join(lines)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.run", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--effects", type=int, default=1000)
    parser.add_argument("--orders", type=int, default=300, help="of one run")
    parser.add_argument("--hours", type=float, default=16.0, help="within which they are bought")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--whole", type=int, default=0, help="kills of `instep run` itself, in real time, beside the others")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no run is begun any more")
    parser.add_argument("--agents", action="store_true", help="agents refund by hand at any moment")
    parser.add_argument("--network", action="store_true", help="the network fails, and webhooks travel badly")
    parser.add_argument("--keep", type=Path, help="a folder in which what was left behind stays")
    return parser.parse_args()


if __name__ == "__main__":
    main()
