"""Ten thousand deliveries in ten seconds, to the service as it really runs, from senders in another process.

    PYTHONPATH=. python tests/bench/burst.py [--deliveries 10000] [--seconds 10] [--kill 0]

The service runs the shipped rules against sandboxes of all six systems, which meanwhile answer its polls and fetches. How long
an acknowledgement took is counted from the moment the delivery was due to be sent. Afterwards every acknowledged delivery must
be in the journal, and all of it taken in. `--kill N` ends the service by SIGKILL N times in mid-burst; what had been
acknowledged must be in the file it left, and senders post again what was not.
"""

from __future__ import annotations

import argparse
import pickle
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from connectors.easypost.connector import EasyPostConnector
from connectors.returngo.connector import ReturnGoConnector
from connectors.shopify.connector import ShopifyConnector
from engine.demo.outside import Outside
from engine.facts.outside import Event
from engine.run.clock import SystemClock
from tests.bench.load.lives import Posted, as_received, life
from tests.bench.load.process import MAIN, Process

CLASSES = {"shopify": ShopifyConnector, "easypost": EasyPostConnector, "returngo": ReturnGoConnector}


@dataclass
class Burst:
    """What came of it."""

    sent: int
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)  # seconds to each acknowledgement
    acknowledged: int = 0
    lost: list[int] = field(default_factory=list)  # acknowledged and not in the store
    kills: int = 0
    taken_in: float = 0.0
    set_aside: int = 0
    behind: int = 0  # at the end of the burst
    processor: float = 0.0  # seconds the service used for it
    own: dict[str, float] = field(default_factory=dict)  # what the service counted itself since it was started

    def within(self, seconds: str) -> float:
        """The share of acknowledgements that took the service no longer, from their headers on, by its own count."""
        counted = self.own["instep_acknowledgement_seconds_count"]
        return self.own[f'instep_acknowledgement_seconds_bucket{{le="{seconds}"}}'] / counted if counted else 1.0

    def quantile(self, of: float) -> float:
        return sorted(self.waits)[min(int(len(self.waits) * of), len(self.waits) - 1)]


def deliveries_of(outside: Outside, wanted: int) -> list[Posted]:
    found: list[Posted] = []
    n = 0
    while len(found) < wanted:
        for step in life(outside, n):
            found += step.posted
        n += 1
    return found[:wanted]


def burst(folder: Path, deliveries: int, seconds: float, kills: int = 0, *, seed: int = 1) -> Burst:
    outside = Outside(SystemClock(), folder / "postings")
    with outside.served() as settings:
        posts = deliveries_of(outside, deliveries)
        expected = Expected(settings, posts)
        (folder / "deliveries").write_bytes(pickle.dumps(posts))
        service = Process(folder, settings)
        service.start()
        outcome = Burst(len(posts))
        used = service.processor_seconds()
        answers = folder / "answers"
        answers.touch()
        sending = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load.senders", folder / "deliveries", answers, service.url_file,
             str(deliveries / seconds)], cwd=MAIN,
        )  # fmt: skip
        try:
            draw = random.Random(seed)
            for n in range(kills):
                wait_for(answers, int(deliveries * (n + draw.uniform(0.3, 0.9)) / (kills + 1)))
                service.kill()
                outcome.kills += 1
                outcome.lost += expected.missing(service, acknowledged(answers.read_text()))
                service.start()
                used = service.processor_seconds()
            if sending.wait(600):
                raise RuntimeError("the senders failed")
            read(answers.read_text(), outcome)
            outcome.processor = service.processor_seconds() - used
            outcome.own = service.metrics()
            outcome.behind = service.health()["behind"]
            outcome.lost += expected.missing(service, acknowledged(answers.read_text()))
            outcome.taken_in = service.taken_in(1200)
            ((outcome.set_aside,),) = service.ask("select count(*) from set_aside where taken_in_at is null")
            if service.stop():
                raise RuntimeError(f"the service did not stop in order:\n{service.log.read_text()[-4000:]}")
        finally:
            sending.kill()
            if service.running():
                service.kill()
    return outcome


def wait_for(answers: Path, lines: int) -> None:
    while answers.read_text().count("\n") < lines:
        time.sleep(0.05)


def acknowledged(text: str) -> list[int]:
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [int(n) for n, status, *_ in (line.split() for line in whole) if status == "200"]


def read(text: str, outcome: Burst) -> None:
    for n, status, wait in (line.split() for line in text.splitlines()):
        if n == "all":
            continue
        outcome.statuses[int(status)] += 1
        if status == "200":
            outcome.waits.append(float(wait))
    outcome.acknowledged = len(set(acknowledged(text)))


class Expected:
    """What each delivery must have left in the store, as its connector understands it."""

    def __init__(self, settings, posts: Sequence[Posted]) -> None:
        clock = SystemClock()
        made = {name: cls(cls.Settings.model_validate(settings[name]), clock, {}) for name, cls in CLASSES.items()}
        self._wanted: list[list[tuple[str, ...]]] = []
        for post in posts:
            name, request = as_received(post, clock)
            heard = made[name].receive(request)
            self._wanted.append(
                [("event", one.kind, one.payload.decode()) if isinstance(one, Event) else ("hint", one.ref.kind, one.ref.key)
                 for one in heard]
            )  # fmt: skip

    def missing(self, service: Process, acknowledged: Sequence[int]) -> list[int]:
        events = service.ask(
            "select j.kind, coalesce(j.payload, first.payload) from journal j left join journal first on first.seq = j.repeats"
        )
        there = {("event", kind, payload.decode()) for kind, payload in events}
        there |= {("hint", kind, key) for kind, key in service.ask("select kind, key from fetches")}
        return [n for n in acknowledged if not there.issuperset(self._wanted[n])]


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--deliveries", type=int, default=10_000)
    given.add_argument("--seconds", type=float, default=10.0)
    given.add_argument("--kill", type=int, default=0)
    given.add_argument("--seed", type=int, default=1)
    asked = given.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = burst(Path(folder), asked.deliveries, asked.seconds, asked.kill, seed=asked.seed)
    told = ", ".join(f"{count} answered {status or 'nothing'}" for status, count in sorted(outcome.statuses.items()))
    print(f"{outcome.sent} deliveries in {asked.seconds:g} s, {outcome.kills} kills: {told}")
    print(f"acknowledged {outcome.acknowledged}, of these not in the store: {len(outcome.lost)}")
    shares = ", ".join(f"{outcome.within(limit):.1%} within {limit} s" for limit in ("0.1", "0.5", "1.0", "5.0"))
    print(f"by the service's own count, from the headers on: {shares}")
    print(f"processor time of the service meanwhile: {outcome.processor:.1f} s")
    print(
        f"acknowledgement: p50 {outcome.quantile(0.5) * 1000:.0f} ms, p99 {outcome.quantile(0.99) * 1000:.0f} ms,"
        f" longest {max(outcome.waits) * 1000:.0f} ms, mean {statistics.fmean(outcome.waits) * 1000:.0f} ms"
    )
    print(
        f"{outcome.behind} events waited at its end; all taken in {outcome.taken_in:.0f} s later, {outcome.set_aside} set aside"
    )
    raise SystemExit(bool(outcome.lost) or outcome.acknowledged < outcome.sent)


if __name__ == "__main__":
    main()
