"""How long changed files take to become active, how much compiling costs, and how long the loop is held up by it.

    python tests/bench/reload.py [--rules 500] [--large 2000]

Processor time and elapsed time: on a busy machine only the first says something about the program.
"""

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

from engine.cli.output import log_to_stderr
from engine.run.boot import open_client
from engine.run.clock import VirtualClock
from engine.run.rules.candidate import Candidate, candidate_of, read_disk
from tests.bench.decide import write_synthetic

CLIENT = "bench"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def compiled(root: Path) -> Candidate:
    disk = read_disk(root, CLIENT)
    return candidate_of(disk.files, CLIENT, disk.digest)


def compiling(rules: int) -> None:
    """In a process that has compiled nothing like it yet, and again after one line changed."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_synthetic(rules, Path(folder))
        first = spent(lambda: compiled(root))
        touch(root, 1)
        again = [spent(lambda: compiled(root)) for _ in range(3)]
        cpu, wall = (statistics.median(figures) for figures in zip(*again, strict=True))
        gc.collect()
        tracemalloc.start()
        kept = compiled(root)
        held, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    print(f"compiling {len(kept.rule_set.rules):>5} rules, first:        {first[0]:6.2f} s processor, {first[1]:6.2f} s elapsed")
    print(f"compiling {len(kept.rule_set.rules):>5} rules, after a change: {cpu:6.2f} s processor, {wall:6.2f} s elapsed")
    print(f"memory of {len(kept.rule_set.rules):>5} rules: {held / 2**20:6.1f} MB, {most / 2**20:.1f} MB while compiling")


def spent(action) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - cpu, time.perf_counter() - wall


def touch(root: Path, n: int) -> None:
    """One rule means something else."""
    path = root / "rules/base/rules.yaml"
    path.write_text(path.read_text().replace("title: t,", f"title: t{n},", 1))


async def reloading(rules: int, edits: int = 7) -> None:
    """From the end of the quiet time to being active, while something else wants the loop all the time."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_synthetic(rules, Path(folder))
        served = open_client(root, CLIENT, root / "bench.sqlite", VirtualClock(NOW))
        original = (root / "rules/base/rules.yaml").read_text()
        figures, held = [], []
        for n in range(edits):
            (root / "rules/base/rules.yaml").write_text(original.replace("title: t,", f"title: t{n},", 1))
            stop = asyncio.Event()
            waits: list[float] = []
            ticking = asyncio.create_task(ticks(stop, waits))
            cpu, wall = time.process_time(), time.perf_counter()
            await served.reload.read()
            figures.append((time.process_time() - cpu, time.perf_counter() - wall))
            stop.set()
            await ticking
            held.append(max(waits))
            assert len(served.service.store.rule_sets.history(99)) == n + 2
        await served.service.close()
    cpu, wall = (statistics.median(each) for each in zip(*figures, strict=True))
    print(f"reload of {rules:>4} rules, quiet to active:    {cpu:6.3f} s processor, {wall:6.3f} s elapsed (median of {edits})")
    print(f"longest the loop was held up meanwhile: {statistics.median(held) * 1000:.0f} ms (median of {edits})")


async def ticks(stop: asyncio.Event, waits: list[float]) -> None:
    while not stop.is_set():
        asked = time.perf_counter()
        await asyncio.sleep(0.001)
        waits.append(time.perf_counter() - asked)


def main() -> None:
    log_to_stderr(shown=("activated",))
    options = argparse.ArgumentParser()
    options.add_argument("--rules", type=int, default=500)
    options.add_argument("--large", type=int, default=2000)
    chosen = options.parse_args()
    compiling(chosen.large)
    asyncio.run(reloading(chosen.rules))


if __name__ == "__main__":
    main()
