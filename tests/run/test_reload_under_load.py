"""Good and bad edits in turn while events flow: nothing is lost, decided twice or decided by a set that was not active."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from engine.run.rules.reload import Reload
from tests.run.files_world import SLOW, World, an_order, an_rma, project, watched
from tests.run.small import NOON

STATUSES = {0: "Done", 10: "Done", 20: "Done", 30: "Done", 40: "Done", 45: "Approved"}  # of fifty; the others are done with


async def under_load(root: Path, edits: int, events: int) -> None:
    async with watched(root, quiet=0.0) as world:
        await world.hear(an_order("CLOCK"), an_rma("clock", "CLOCK", "Approved"))
        stop = asyncio.Event()
        serving = asyncio.create_task(world.service.run(stop))
        flowing = asyncio.create_task(flow(world, events))
        outcomes = await edit(world, edits)
        await flowing
        await world.service.step()  # everything taken in, decided with the last rule set and sent
        stop.set()
        await serving
        check(world, events + 2, outcomes)


async def edit(world: World, edits: int) -> list[bool]:
    """Each edit is read before the next one is written; every second one is bad. Whether each was taken."""
    outcomes: list[bool] = []
    while len(outcomes) < edits:
        n = len(outcomes)
        before = world.rules["last_read"]
        world.write(more=good(n) if n % 2 == 0 else good(n).replace("rma.status", "rma.statuss"))
        async with asyncio.timeout(60):
            while world.rules["last_read"] == before or not as_wanted(world.reload, n):
                await world.reload.told()
        outcomes.append(world.rules["last_read"]["ok"])
    return outcomes


def as_wanted(reload: Reload, n: int) -> bool:
    """A file may be met half written; it is read again at once."""
    active = reload._service.rule_set.rule(f"more_{n}")
    problems = reload.status()["last_read"]["problems"]
    return active is not None if n % 2 == 0 else any(p["code"] == "unknown-field" for p in problems)


def good(n: int) -> str:
    return SLOW.replace("slow:", f"more_{n}:").replace("for: 2d", f"for: {n + 1}h")


async def flow(world: World, events: int) -> None:
    """Orders and their returns, a few at a time, for as long as edits are made and longer."""
    for n in range(events // 2):
        at = NOON + timedelta(milliseconds=n)
        world.shop.books.orders[f"O{n}"] = {}
        world.service.hear([an_order(f"O{n}", at), an_rma(f"{n}", f"O{n}", STATUSES.get(n % 50, "Canceled"), at)])
        if n % 5 == 4:
            await asyncio.sleep(0.001)


def check(world: World, events: int, outcomes: list[bool]) -> None:
    run = world.store._connection.execute
    assert outcomes == [n % 2 == 0 for n in range(len(outcomes))]
    assert world.store.journal.behind() == 0
    assert world.store.journal.waiting_aside() == []
    assert run("select count(*) from cases where anchored = 1").fetchone() == (events // 2,)
    refunded = [refund["order"] for refund in world.shop.books.refunds]
    assert sorted(refunded) == sorted({f"O{n}" for n in range(0, events // 2 - 1, 10)})
    activations = run("select id, hash from rule_sets order by id").fetchall()
    assert len(activations) == 1 + (len(outcomes) + 1) // 2
    hashes = dict(activations)
    last: dict[int, int] = {}
    seen: set[tuple[int, int, int, bytes]] = set()
    for case, rule_set, seq, digest, trace in run(
        "select case_id, rule_set_id, journal_seq, digest, trace from decisions order by id"
    ):
        decided = json.loads(trace)
        assert decided["rule_set"] == hashes[rule_set]  # made by the set it names, which was active
        assert rule_set >= last.get(case, 0)  # and never by an older one again
        last[case] = rule_set
        named = [held["rule"] for held in decided["held"] if held["rule"].startswith("more_")]
        assert len(set(named)) <= 1  # by one whole set
        assert (case, rule_set, seq, digest) not in seen
        seen.add((case, rule_set, seq, digest))
    memory = json.loads(run("select memory from cases where name = 'order:CLOCK'").fetchone()[0])
    clock = memory["clocks"]["slow|rma:clock"]
    assert (clock["since"], clock["ran"]) == (NOON.isoformat(), 0)  # of a rule nobody touched


def test_twenty_edits_while_four_hundred_events_flow(tmp_path: Path) -> None:
    asyncio.run(under_load(project(tmp_path), 20, 400))


@pytest.mark.long
def test_hundreds_of_edits_while_thousands_of_events_flow(tmp_path: Path, full: bool) -> None:
    edits, events = (500, 10_000) if full else (150, 3_000)
    asyncio.run(under_load(project(tmp_path), edits, events))
