"""How fast a recorded history is replayed: the demo's day, told again for as many other orders as are wanted.

    python -m tests.bench.replay [--events 10000 50000 200000] [--workers 2]

Prints for each size events per second and the most memory of the process that reads and of the largest worker, and the share of
the time that goes into deciding.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from multiprocessing import active_children
from pathlib import Path

from engine.demo import play
from engine.language.files import read_files, shipped_root
from engine.simulate import replay
from engine.simulate.backtest import Plan, backtest
from engine.simulate.history import Entry, Outcome, TakenIn, read, recorded, written
from engine.store.sqlite.store import SqliteStore
from tests.simulate.histories import CLIENT, of_orders

LIFE = (  # of each order: kinds of events, and which of that kind; with a sale's all others are tied to the order
    ("shopify.order_node", 0), ("mirakl.order", 0), ("returngo.rma", 0), ("easypost.tracker", -1), ("shipbob.return", -1),
    ("returngo.rma", -1), ("mirakl.order", -1),
)  # fmt: skip
ORDERS = [f"M-{n}" for n in (1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008)]
SPREAD = timedelta(seconds=40)  # between one order and the next
DIGITS = re.compile(
    rb"(?<![\w-])(M-\d{4}|CX\d{4}GB|1\d{3}|5\d{3}|6100000000\d{3})(?![\w])|(?<=RG-)\d{4}(?=-\d{4})|(?<=RG-\d{4}-)\d{4}"
)


def stories(history: Sequence[Entry], files: dict[str, bytes]) -> list[list[TakenIn]]:
    """For each of a few orders, what was seen of it: the beginning and the end of its life."""
    found = []
    for order in ORDERS:
        seen: dict[tuple[str, str], bytes] = {}
        events: list[TakenIn] = []
        for entry in of_orders(history, files, [order]):
            if not isinstance(entry, TakenIn):
                continue
            for event in entry.events:
                if event.kind.startswith("mirakl.") and event.kind not in {"mirakl.order", "mirakl.return"}:
                    continue
                if seen.get((event.kind, event.about)) != event.payload:
                    seen[event.kind, event.about] = event.payload
                    events.append(TakenIn(entry.at, (replace(event, delivery=""),)))
        places = {kind: [n for n, entry in enumerate(events) if entry.events[0].kind == kind] for kind, _ in LIFE}
        found.append([events[n] for n in sorted({places[kind][which] for kind, which in LIFE})])
    return found


def multiplied(found: Sequence[Sequence[TakenIn]], events: int) -> Iterator[TakenIn]:
    """As many orders as it takes, each a little later than the one before, in the order of time.

    Of orders that are under way only the next events are in memory.
    """
    waiting: list[tuple[datetime, int, int]] = []  # when, of which order, which of its events
    earliest = min(entry.at for story in found for entry in story)
    made = 0
    for number in count():
        for place, entry in enumerate(found[number % len(found)]):
            heappush(waiting, (entry.at + SPREAD * number, number, place))
        while waiting and waiting[0][0] < earliest + SPREAD * (number + 1):
            _, order, place = heappop(waiting)
            yield _of_order(found[order % len(found)][place], order)
            made += 1
            if made == events:
                return


def _of_order(entry: TakenIn, number: int) -> TakenIn:
    """An event as it is of another order, so much later."""
    event, later = entry.events[0], SPREAD * number
    payload, about = (DIGITS.sub(rb"\g<0>%07d" % number, text) for text in (event.payload, event.about.encode()))
    moved = replace(event, payload=payload, about=about.decode(), observed_at=event.observed_at + later)
    return TakenIn(entry.at + later, (moved,))


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--events", type=int, nargs="+", default=[20_000])
    options.add_argument("--workers", type=int, default=2)
    options.add_argument(
        "--history", type=Path, help="measure this one, here; the others are each measured in a process of its own"
    )
    given = options.parse_args()
    files = dict(read_files(shipped_root()).contents)
    if given.history is not None:
        measured(given.history, files, given.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "demo.sqlite"
        play(fast=True, root=None, database=database, emit=lambda _: None)
        store = SqliteStore.open(database, as_="visitor")
        history = [entry for entry in recorded(store) if not isinstance(entry, Outcome)]
        store.close()
        told = stories(history, files)
        for events in given.events:
            path = Path(folder) / "history.jsonl"
            with path.open("w", encoding="utf-8") as file:
                file.writelines(written(multiplied(told, events)))
            here = [sys.executable, "-m", "tests.bench.replay", "--workers", str(given.workers), "--history", str(path)]
            subprocess.run(here, check=True, cwd=Path(__file__).parents[2])
        print(f"share of one process's time in deciding: {share_in_decide(files, path):.0%}")


def measured(path: Path, files: dict[str, bytes], workers: int) -> None:
    began = time.perf_counter()
    read_at = [0.0]

    def cutting(*_: int) -> None:
        read_at[0] = time.perf_counter() - began

    def replaying(*_: int) -> None:
        for child in active_children():
            most[str(child.pid)] = most_memory(child.pid)

    most: dict[str, float] = {}
    result = backtest(Plan(CLIENT, files), read(path), workers=workers, cutting=cutting, replaying=replaying)
    took = time.perf_counter() - began
    counts = result.after.counts
    print(f"{counts['events']:,} events, {counts['cases']:,} cases, {counts['decisions']:,} decisions, {workers} workers")
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    spent = sum(one.ru_utime + one.ru_stime for one in (own, others))
    rate = f"{counts['events'] / took:,.0f} events/s, {counts['events'] / spent:,.0f} for each second of a processor"
    print(f"  {rate}; reading and cutting took {read_at[0]:.1f} s of {took:.1f} s")
    print(f"  most memory: this process {most_memory():,.0f} MB, the largest worker {max(most.values(), default=0):,.0f} MB")


def most_memory(pid: int | None = None) -> float:
    """In MB, of a process since it began. What `getrusage` tells goes back to the process that started it."""
    told = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii")
    return int(told.partition("VmHWM:")[2].split()[0]) / 1024


def share_in_decide(files: dict[str, bytes], path: Path) -> float:
    """Of the first part of the same history, replayed in this process."""
    spent = [0.0]
    plain = replay.decide

    def timed(*arguments: object) -> object:
        began = time.perf_counter()
        try:
            return plain(*arguments)  # type: ignore[arg-type]
        finally:
            spent[0] += time.perf_counter() - began

    def first() -> Iterator[Entry]:
        for number, entry in enumerate(read(path)):
            if number >= 3000:
                return
            yield entry

    replay.decide = timed  # type: ignore[assignment]
    try:
        began = time.perf_counter()
        backtest(Plan(CLIENT, files), first())
        return spent[0] / (time.perf_counter() - began)
    finally:
        replay.decide = plain


if __name__ == "__main__":
    sys.exit(main())
