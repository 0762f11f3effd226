"""Payloads leave the store only into a file that was read back, only of closed cases, and what stays is whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli import app
from engine.desk import pruning
from engine.facts.outside import Event
from engine.run.clock import VirtualClock
from engine.run.hearing.deeds import Deed
from engine.simulate.history import Activated, Outcome, TakenIn, read, recorded
from engine.simulate.life import life_in, life_in_store, lives, rule_sets_of
from engine.store.audit import every_entry, first_broken
from engine.store.retention import Pruning
from engine.store.sqlite import SqliteStore
from tests.run.files_world import World, an_order, opened, params, project, told, write

LONG_AGO = datetime(2026, 1, 5, 12, tzinfo=UTC)
MARK = "only the payload says this"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    root = project(tmp_path)
    write(root, {"rules/clients/acme/client.yaml": params(retention="{payloads: 60d}")})
    world = opened(root, VirtualClock(LONG_AGO))
    asyncio.run(live(world))
    yield world
    asyncio.run(world.service.close())


async def live(world: World) -> None:
    """A and B are refunded and done, C is still open, D is done but was seen again of late, E's payload was discarded."""
    for name, status in (("A", "Done"), ("B", "Done"), ("C", "Approved"), ("D", "Done")):
        world.shop.books.orders[name] = {}
        await world.hear(an_order(name, world.clock()))
        world.passed(minutes=1)
        await world.hear(an_rma(name, status, world.clock()))
        world.passed(minutes=1)
    await world.hear(told("returngo.rma", {"wrong": MARK}, world.clock()))
    entry = world.store.journal.one(last(world.store))
    assert entry is not None
    world.service.deed(Deed.about_event("person.discard", entry.seq, entry.event, "Ana", "a test"))
    await world.service.step()
    world.clock.move(datetime.now(UTC) - timedelta(days=50))
    await world.hear(an_rma("D", "Done", LONG_AGO))


def an_rma(order: str, status: str, at: datetime) -> Event:
    body = {"id": f"R{order}", "order": order, "status": status, "requested_at": LONG_AGO.isoformat(), "note": MARK + order}
    return told("returngo.rma", {**body, "units": [{"key": f"{order}-1", "sku": "SHOE"}]}, at)


def last(store: SqliteStore) -> int:
    return store.journal.position()


def instep(*words: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.output


def prune(world: World, to: str = "gone.jsonl", *more: str) -> tuple[int, str]:
    found = world.root
    return instep(
        "events", "prune", "--database", found / "acme.sqlite", "--root", found, "--to", found / to, "--by", "Ana", "--yes", *more
    )


def orders(store: SqliteStore) -> set[str]:
    told = [json.loads(j.event.payload) for j in store.journal.after(0, 1000) if j.event.kind == "returngo.rma"]
    return {body.get("order", "set aside") for body in told}


def test_first_it_says_what_would_leave(world: World) -> None:
    before = len(world.store.journal.after(0, 1000))
    code, said = instep("events", "prune", "--database", world.root / "acme.sqlite", "--root", world.root)
    assert code == 0
    assert "of 2 closed cases" in said
    assert "would leave" in said
    assert len(world.store.journal.after(0, 1000)) == before


def test_only_closed_and_quiet_cases_leave_and_everything_decided_about_them_stays(world: World) -> None:
    effects = world.store.outbox.every(0, 99)
    decisions = world.store.cases.decisions(0, 999)
    code, said = prune(world)
    assert code == 0, said
    assert orders(world.store) == {"C", "D"}
    assert world.store.outbox.every(0, 99) == effects
    assert world.store.cases.decisions(0, 999) == decisions
    assert world.store.effects.receipts(effects[0].id)
    assert {row.name for row in world.store.cases.listed(only_open=False, limit=9)} == {f"order:{n}" for n in "ABCD"}
    (entry,) = (e for e in every_entry(world.store.audit) if e.did == "pruned")
    assert (entry.by, entry.about, entry.reason) == ("Ana", "gone.jsonl", "older than 60d")
    assert first_broken(world.store.audit) is None


def test_the_file_holds_the_lives_of_what_left_exactly(world: World) -> None:
    prune(world)
    path = world.root / "gone.jsonl"
    assert path.stat().st_mode & 0o077 == 0
    for name in "AB":
        life = life_in(lambda: read(path), f"order:{name}")
        assert life.exact
        assert life.recorded > 2
    assert {e.case for e in read(path) if isinstance(e, Outcome)} == {"order:A", "order:B"}
    discarded = [e for one in read(path) if isinstance(one, TakenIn) for e in one.events if b'"wrong"' in e.payload]
    assert len(discarded) == 1
    code, said = instep("explain", "A", "--history", path, "--timeline")
    assert code == 0
    assert "done: marketplace.refund" in said


def test_what_stays_is_still_lived_again_exactly(world: World) -> None:
    prune(world)
    for name in "CD":
        (row,) = world.store.cases.find(f"order:{name}")
        assert life_in_store(world.store, row).exact
    sets = rule_sets_of([e for e in recorded(world.store) if isinstance(e, Activated)])
    found = list(lives(recorded(world.store), sets))
    assert {life.case for life in found} == {"order:C", "order:D"}
    assert all(life.exact for life in found)


def test_explain_and_simulate_say_what_is_no_longer_there(world: World) -> None:
    _, before = instep("explain", "A", "--database", world.root / "acme.sqlite")
    prune(world)
    code, said = instep("explain", "A", "--database", world.root / "acme.sqlite")
    assert code == 0
    assert "into gone.jsonl" in said
    assert before.splitlines()[0] in said  # what was decided is still told
    code, said = instep("explain", "A", "--database", world.root / "acme.sqlite", "--at", "2026-01-05T12:30:00Z")
    assert code == 2
    assert "instep explain A --history gone.jsonl" in said
    code, said = instep("simulate", "acme", "--workers", "1", "--database", world.root / "acme.sqlite", "--root", world.root)
    assert code == 0
    assert "of 2 closed cases have left the store" in said
    code, said = instep("events", "show", "1", "--database", world.root / "acme.sqlite")
    assert code == 2
    assert "event 1 has left the store, into gone.jsonl" in said


def test_nothing_of_the_payloads_is_left_in_the_file_of_the_store(world: World) -> None:
    prune(world)
    path = world.root / "acme.sqlite"
    world.store._connection.execute("pragma wal_checkpoint(truncate)")
    assert (MARK + "A").encode() not in path.read_bytes()
    assert (MARK + "C").encode() in path.read_bytes()


def test_a_second_time_nothing_leaves(world: World) -> None:
    prune(world)
    code, said = prune(world, "again.jsonl")
    assert code == 0
    assert "Nothing leaves" in said
    assert not (world.root / "again.jsonl").exists()


def test_nothing_leaves_where_something_came_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    check = pruning._read_back

    def meanwhile(path: Path, wanted: int) -> None:
        check(path, wanted)
        asyncio.run(world.hear(an_rma("A", "Canceled", world.clock())))

    monkeypatch.setattr(pruning, "_read_back", meanwhile)
    code, said = prune(world)
    assert code == 2
    assert "nothing has left" in said
    assert orders(world.store) >= {"A", "B", "C", "D"}
    assert not [e for e in every_entry(world.store.audit) if e.did == "pruned"]


def test_nothing_leaves_where_the_file_cannot_be_written(world: World) -> None:
    code, said = prune(world, "no/such/folder.jsonl")
    assert code == 2
    assert "Nothing has left the store" in said
    (world.root / "there.jsonl").write_text("mine")
    code, said = prune(world, "there.jsonl")
    assert (code, (world.root / "there.jsonl").read_text()) == (2, "mine")
    assert orders(world.store) >= {"A", "B", "C", "D"}


def test_a_case_that_is_opened_again_goes_on_from_its_facts_and_is_named(world: World) -> None:
    prune(world)
    world.clock.move(datetime.now(UTC) + timedelta(hours=1))
    asyncio.run(world.hear(an_rma("A", "Canceled", world.clock())))
    (row,) = world.store.cases.find("order:A")
    assert len(world.shop.books.refunds) == 3
    assert row.version > 2
    code, said = instep("simulate", "acme", "--workers", "1", "--database", world.root / "acme.sqlite", "--root", world.root)
    assert code == 0
    assert "1 of them were opened again since and lack their beginning: order:A" in " ".join(said.split())


def test_without_the_setting_payloads_are_kept_for_ever(world: World) -> None:
    write(world.root, {"rules/clients/acme/client.yaml": params()})
    code, said = prune(world)
    assert code == 2
    assert "kept for ever" in said
    code, said = prune(world, "gone.jsonl", "--by", "")
    assert code == 2


def test_a_payload_that_an_event_which_stays_repeats_stays_with_it(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "a.db")
    same = [Event("c", "c.k", b"same", LONG_AGO + timedelta(hours=n), requested=True) for n in range(4)]
    store.journal.append([*same, Event("c", "c.k", b"other", LONG_AGO, requested=True)], LONG_AGO)
    with store.transaction():
        note = Pruning(0, LONG_AGO, "Ana", LONG_AGO, 2, 8, "f", "")
        assert store.retention.remove([1, 2], {}, note).id == 1
    assert [(j.seq, j.event) for j in store.journal.after(0, 9)][:2] == [(3, same[2]), (4, same[3])]
    store.journal.append([same[0]], LONG_AGO)
    found = store.journal.one(6)
    assert found is not None
    assert found.event == same[0]
    store.close()
