"""A steady stream of deliveries for as long as one likes, and whether the service stays the same meanwhile.

    PYTHONPATH=. python tests/bench/soak.py [--minutes 30] [--rate 20]

Orders live their lives in sandboxes of all six systems while the service, as it really runs, follows: most are only sold
and sent, three in ten are returned or cancelled. Told are memory over time with the slope of a straight line through its second
half, the
size of the store, how long acknowledgements took, and how far the engine was behind.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.demo.outside import Outside
from engine.run.clock import SystemClock
from tests.bench.load.lives import Life, Posted, life
from tests.bench.load.process import Process
from tests.bench.load.senders import Pool, request_of

AT_ONCE = 40  # orders that live side by side


@dataclass(frozen=True)
class Sample:
    seconds: float
    rss_kib: int
    store_bytes: int
    behind: int


@dataclass
class Soak:
    """What came of it."""

    samples: list[Sample] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)  # when it was due, seconds to its acknowledgement
    refused: int = 0
    orders: int = 0
    decisions: int = 0
    effects: int = 0
    lost: int = 0

    def slope_mib_per_hour(self) -> float:
        """Of a straight line through the second half of the samples."""
        half = self.samples[len(self.samples) // 2 :]
        line = statistics.linear_regression([s.seconds for s in half], [s.rss_kib / 1024 for s in half])
        return line.slope * 3600

    def rss_mib(self, share: float) -> float:
        return self.samples[min(int(len(self.samples) * share), len(self.samples) - 1)].rss_kib / 1024

    def p99_ms(self, begin: float, end: float) -> float:
        """Of deliveries due in this share of the time."""
        whole = self.waits[-1][0]
        found = sorted(wait for due, wait in self.waits if begin * whole <= due <= end * whole)
        return found[int(len(found) * 0.99)] * 1000


def stream(outside: Outside, seed: int, soak: Soak) -> Iterator[Posted]:
    """Deliveries of many lives at once, in the order their deeds are done, for ever."""
    draw = random.Random(seed)
    living: list[Iterator[Life]] = []
    while True:
        while len(living) < AT_ONCE:
            living.append(life(outside, soak.orders, ends_early=draw.random() < 0.7))
            soak.orders += 1
        one = draw.choice(living)
        step = next(one, None)
        if step is None:
            living.remove(one)
        else:
            yield from step.posted


async def soaked(folder: Path, seconds: float, rate: float, *, every: float = 5.0, seed: int = 1) -> Soak:
    soak = Soak()
    outside = Outside(SystemClock(), folder / "postings")
    outside.returns.calls_per_day = 10_000_000  # what ReturnGO grants in a day is not what is looked at here
    with outside.served() as settings:
        service = Process(folder, settings)
        service.start()
        try:
            pool = Pool(service.url_file)
            began = time.perf_counter()
            sampling = asyncio.create_task(sample(service, soak, began, every))
            coming = stream(outside, seed, soak)
            async with asyncio.TaskGroup() as group:
                n = 0
                while (due := n / rate) < seconds:
                    if (wait := began + due - time.perf_counter()) > 0:
                        await asyncio.sleep(wait)
                    group.create_task(sent(pool, next(coming), due, began, soak))
                    n += 1
            sampling.cancel()
            await asyncio.to_thread(service.taken_in, 600)
            soak.samples.append(look(service, began))
            ((soak.decisions,),) = service.ask("select count(*) from decisions")
            ((soak.effects,),) = service.ask("select count(*) from effects where status = 'settled'")
            acknowledged = len(soak.waits)
            told = await asyncio.to_thread(service.metrics)
            counted = sum(value for name, value in told.items() if name.startswith("instep_deliveries_acknowledged_total"))
            soak.lost = acknowledged - int(counted)
            if service.stop():
                raise RuntimeError(f"the service did not stop in order:\n{service.log.read_text()[-4000:]}")
        finally:
            if service.running():
                service.kill()
    return soak


async def sent(pool: Pool, post: Posted, due: float, began: float, soak: Soak) -> None:
    status = await answer(pool, post) or await answer(pool, post)  # an idle connection may end just when it is used again
    if status == 200:
        soak.waits.append((due, time.perf_counter() - began - due))
    else:
        soak.refused += 1


async def answer(pool: Pool, post: Posted) -> int:
    answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    pool.post(request_of(post), answered.set_result)
    return await answered


async def sample(service: Process, soak: Soak, began: float, every: float) -> None:
    while True:
        seen = await asyncio.to_thread(look, service, began)
        if soak.samples and seen.seconds // 60 > soak.samples[-1].seconds // 60:
            memory, store = seen.rss_kib / 1024, seen.store_bytes / 2**20
            print(f"{seen.seconds / 60:.0f} min: {memory:.1f} MiB, store {store:.1f} MiB, {seen.behind} behind", file=sys.stderr)
        soak.samples.append(seen)
        await asyncio.sleep(every)


def look(service: Process, began: float) -> Sample:
    ((behind,),) = service.ask("select count(*) from journal where seq > (select journal_seq from position)")
    return Sample(time.perf_counter() - began, service.rss_kib(), service.size(), behind)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--minutes", type=float, default=30.0)
    given.add_argument("--rate", type=float, default=20.0)
    asked = given.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = asyncio.run(soaked(Path(folder), asked.minutes * 60, asked.rate))
    sizes = [soak.samples[0], soak.samples[len(soak.samples) // 2], soak.samples[-1]]
    print(f"{len(soak.waits)} acknowledged, {soak.refused} refused, {soak.lost} not counted; {soak.orders} orders,"
          f" {soak.decisions} decisions, {soak.effects} effects settled")  # fmt: skip
    print("memory, MiB: " + ", ".join(f"{int(share * 100)} %: {soak.rss_mib(share):.1f}" for share in (0, 0.25, 0.5, 0.75, 1)))
    print(f"slope of the second half: {soak.slope_mib_per_hour():+.2f} MiB an hour")
    print("store, MiB: " + ", ".join(f"{size.store_bytes / 2**20:.1f}" for size in sizes))
    print(f"acknowledgement, p99: first quarter {soak.p99_ms(0, 0.25):.0f} ms, last quarter {soak.p99_ms(0.75, 1):.0f} ms")
    print(f"most events behind: {max(one.behind for one in soak.samples)}, at the end {soak.samples[-1].behind}")
    raise SystemExit(bool(soak.refused or soak.lost))


if __name__ == "__main__":
    main()
