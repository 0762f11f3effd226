"""What a candidate in shadow costs the service beside which it runs.

    python tests/bench/candidates.py [--events 2000] [--rounds 3]

The demo's orders, told again for as many others, are taken in by a service with the shipped rules, with and without a candidate
in a process of its own. Processor time of the service's process alone: what the candidate decides is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.demo import play
from engine.facts.outside import Event, installed_actions
from engine.language.files import read_files, shipped_root
from engine.language.pack import files_of, load
from engine.run.clock import VirtualClock
from engine.run.deciding.worker import Decided
from engine.run.service import Service
from engine.simulate.candidates.beside import Beside
from engine.simulate.history import Entry, Outcome, recorded
from engine.store.sqlite.store import SqliteStore
from tests.bench.replay import multiplied, stories
from tests.simulate.histories import CLIENT

TOGETHER = 10  # events of one delivery
CHANGED = ("sla_margin: 2h", "sla_margin: 6h")


@dataclass
class Spent:
    """Seconds of the service's process: of its steps, of those in telling the candidate, and of the candidate's own rounds."""

    steps: float = 0.0
    telling: float = 0.0
    rounds: float = 0.0
    decisions: int = 0


async def lived(folder: Path, events: Sequence[Event], candidate: Path | None) -> Spent:
    files = read_files(shipped_root())
    rule_set = load(files, CLIENT, installed_actions())
    clock = VirtualClock(events[0].observed_at)
    database = folder / f"{'with' if candidate else 'without'}.sqlite"
    store = SqliteStore.open(database, synchronous="NORMAL")
    service = Service(store, rule_set, {}, clock, files=files_of(files, CLIENT))
    beside = Beside(service, shipped_root(), database)
    spent = Spent()
    if candidate is not None:
        await beside.start(str(candidate), "bench")
        await beside.all_done()
    tell = service.worker.told

    def telling(decided: Decided) -> None:
        spent.decisions += 1
        if tell is not None:
            began = time.process_time()
            tell(decided)
            spent.telling += time.process_time() - began

    service.worker.told = telling
    for start in range(0, len(events), TOGETHER):
        together = events[start : start + TOGETHER]
        clock.move(max(clock(), together[-1].observed_at))
        began = time.process_time()
        service.hear(together)
        await service.step()
        spent.steps += time.process_time() - began
        began = time.process_time()
        await beside.all_done()
        spent.rounds += time.process_time() - began
    beside.close()
    await service.close()
    return spent


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--events", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    files = dict(read_files(shipped_root()).contents)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        play(fast=True, root=None, database=folder / "demo.sqlite", emit=lambda _: None)
        store = SqliteStore.open(folder / "demo.sqlite", as_="visitor")
        history: list[Entry] = [entry for entry in recorded(store) if not isinstance(entry, Outcome)]
        store.close()
        events = [entry.events[0] for entry in multiplied(stories(history, files), given.events)]
        candidate = folder / "candidate"
        for name, content in files.items():
            (candidate / name).parent.mkdir(parents=True, exist_ok=True)
            (candidate / name).write_bytes(content.replace(*(text.encode() for text in CHANGED)))
        without, beside = [], []
        for number in range(given.rounds):
            for found, with_it in ((without, None), (beside, candidate)):
                here = folder / f"{number}"
                here.mkdir(exist_ok=True)
                found.append(asyncio.run(lived(here, events, with_it)))
    plain = statistics.median(one.steps for one in without)
    steps = statistics.median(one.steps for one in beside)
    telling = statistics.median(one.telling for one in beside)
    rounds = statistics.median(one.rounds for one in beside)
    count = beside[0].decisions
    print(f"{len(events):,} events, {count:,} decisions, {given.rounds} rounds each")
    print(f"steps of the service: {plain * 1e3 / count:.2f} ms a decision without, {steps * 1e3 / count:.2f} ms with a candidate")
    print(f"of these, telling it: {telling * 1e6 / count:.0f} us a decision, {telling / steps:.1%} of a step")
    print(f"between steps: {rounds * 1e3 / count:.2f} ms a decision, {rounds / steps:.0%} of what the steps take")


if __name__ == "__main__":
    main()
