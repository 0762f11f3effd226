"""How long an urgent effect waits behind idle ones, what sending side by side brings, and what a backlog costs.

python tests/bench/dispatch.py [--idle 80] [--latency 0.25] [--backlog 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.facts.outside import Order, Receipt
from engine.facts.schema import Type
from engine.language.compiled import PromiseSpec
from engine.run.clock import SystemClock
from engine.run.service import Service
from engine.store.rows import EffectEntry
from engine.store.sqlite import SqliteStore
from tests.run.small import BY_RMA, HERE, Shop, a_sale, an_order, an_rma, expression, refund_rule, small_rules

HOUR = timedelta(hours=1)


class Slow(Shop):
    """Takes its time over every refund."""

    def __init__(self, clock: Callable[[], datetime], latency: float) -> None:
        super().__init__(clock)
        self.latency = latency
        self.sent: list[tuple[str, float]] = []

    async def perform(self, order: Order) -> Receipt:
        await asyncio.sleep(self.latency)
        self.sent.append((order.params["order"], time.perf_counter()))
        return await super().perform(order)


async def played(path: Path, idle: int, latency: float, side_by_side: int) -> tuple[float, int, float]:
    """Seconds for all, how many idle ones went between the arrival of an urgent one and its sending, and how long it waited."""
    clock = SystemClock()
    shop = Slow(clock, latency)
    by = expression("rma.refund_due", lambda _: clock() + HOUR, Type("timestamp"))
    urgent = expression("urgent", lambda env: env["rma"].key == "urgent")
    promise = PromiseSpec("in_time", HERE, BY_RMA, when=urgent, by=by, must=urgent, must_owned=("marketplace.refund",))
    store = SqliteStore.open(path, synchronous="NORMAL")
    service = Service(
        store, small_rules(refund_rule(), promises=(promise,)), {"marketplace": shop}, clock,
        side_by_side={"marketplace": side_by_side},
    )  # fmt: skip

    def a_return(name: str) -> None:
        shop.books.orders[name] = {}
        service.hear([an_order(name), a_sale(f"S{name}", name), an_rma(name, sale_id=f"S{name}")])

    for n in range(idle):
        a_return(f"O{n}")
    while service.intake.take_some():
        pass
    stop = asyncio.Event()
    began = time.perf_counter()
    running = asyncio.create_task(service.run(stop))
    while len(shop.sent) < idle // 4:  # noqa: ASYNC110 - the shop is no part of what is measured
        await asyncio.sleep(latency / 10)
    before, arrived = len(shop.sent), time.perf_counter()
    a_return("urgent")
    while len(shop.sent) <= idle:  # noqa: ASYNC110
        await asyncio.sleep(latency / 10)
    whole = time.perf_counter() - began
    place = [name for name, _ in shop.sent].index("urgent")
    stop.set()
    await running
    await service.close()
    return whole, place - before, shop.sent[place][1] - arrived


def asked(path: Path, backlog: int) -> float:
    """Median seconds to find the hundred most urgent of a backlog."""
    store = SqliteStore.open(path, synchronous="NORMAL")
    now = datetime.now(UTC)
    with store.transaction():
        for n in range(backlog):
            case = store.cases.open(f"c{n}", anchored=True, opened_at=now, memory="{}")
            entry = EffectEntry(
                key=f"e{n}", action="marketplace.refund", subject="", status="planned", mode="live", rule="r", item="", group="",
                units="[]", params="{}", planned_at=now, due_at=now - timedelta(seconds=n % 977), not_before=None, sent_at=None,
                settled_at=None, attempts=0, reason="", detail="", receipt="{}",
            )  # fmt: skip
            store.outbox.put(case, [entry])
            store.queue.set_deadlines(case, {f"e{n}": now + timedelta(seconds=n * 7 % 9973) if n % 2 else None})
    took = []
    for _ in range(25):
        began = time.perf_counter()
        assert len(store.queue.most_urgent("marketplace", now, 100)) == min(100, backlog)
        took.append(time.perf_counter() - began)
    store.close()
    return statistics.median(took)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--idle", type=int, default=80)
    options.add_argument("--latency", type=float, default=0.25, help="seconds a refund takes")
    options.add_argument("--backlog", type=int, default=100_000)
    chosen = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with TemporaryDirectory() as folder:
        for hands in (1, 4, 8):
            whole, overtook, waited = asyncio.run(played(Path(folder) / f"{hands}.db", chosen.idle, chosen.latency, hands))
            told = f"{chosen.idle + 1} refunds of {chosen.latency * 1000:.0f} ms, {hands} side by side: {whole:.1f} s"
            sys.stdout.write(f"{told}; the urgent one came {overtook} places after it was heard of, {waited * 1000:.0f} ms\n")
        small, large = asked(Path(folder) / "s.db", 100), asked(Path(folder) / "l.db", chosen.backlog)
        sys.stdout.write(f"the 100 most urgent of 100: {small * 1000:.2f} ms; of {chosen.backlog:,}: {large * 1000:.2f} ms\n")


if __name__ == "__main__":
    main()
