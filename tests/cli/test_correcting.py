"""What a person says against a milestone: taken in by the service, told with name and reason, and never said of money."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from engine.facts.outside import Event
from engine.store.audit import every_entry
from tests.cli.test_mending import found, instep, running, step
from tests.run.files_world import FILES, World, opened, project, told
from tests.run.small import NOON, order_fields

MAPPING = "mappings/returngo/rma.yaml"
FILES_WITH_A_MILESTONE = {
    **FILES,
    MAPPING: FILES[MAPPING].replace("  units:", "  received_at: {from: received_at, keep: earliest}\n  units:", 1),
    "rules/base/refund.yaml": FILES["rules/base/refund.yaml"].replace('rma.status == "done"', "exists(rma.received_at)"),
}
WRONG = (NOON - timedelta(hours=5)).isoformat()
RIGHT = "2026-11-01T10:00:00Z"
WHAT = "rma:1001.received_at"
BY = ("--by", "Ana", "--reason", "the scan was of another parcel")


def an_rma(received_at: str | None, seen_at: str = NOON.isoformat()) -> Event:
    body = {"id": "1001", "order": "A", "status": "Done", "requested_at": NOON.isoformat()}
    units = [{"key": "1001-1", "sku": "SHOE"}]
    return told("returngo.rma", body | {"units": units, "received_at": received_at}, NOON, delivery=seen_at)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = opened(project(tmp_path, FILES_WITH_A_MILESTONE))
    world.shop.books.orders["A"] = {}
    asyncio.run(world.hear(told("mirakl.order", order_fields("A"), NOON)))
    yield world
    asyncio.run(world.service.close())


def milestone(world: World) -> dict[str, object]:
    (one,) = found(world, "correct", "1001")["milestones"]
    return one


def test_the_milestones_of_a_case_are_listed_with_what_was_seen_and_what_was_said_against_it(world: World) -> None:
    asyncio.run(world.hear(an_rma(WRONG)))
    assert (milestone(world)["value"], milestone(world)["corrected_by"]) == (WRONG, "")
    assert f"{WHAT} 2026-11-0" in instep(world, "correct", "A")[1]
    with running(world):
        code, said = instep(world, "correct", "A", "rma.received_at", RIGHT, *BY)
    assert (code, f"Ana corrected {WHAT} of order:A: 2026-11-01T10:00Z" in said, "Taken in" in said) == (0, True, True)
    one = milestone(world)
    assert (one["value"], one["seen"]) == ("2026-11-01T10:00:00+00:00", WRONG)
    assert (one["corrected_by"], one["reason"]) == ("Ana", BY[3])
    assert "corrected by Ana" in instep(world, "correct", "A")[1]


def test_it_is_a_fact_from_then_on_whatever_is_seen_later_and_stands_in_trail_and_explanation(world: World) -> None:
    asyncio.run(world.hear(an_rma(None)))
    assert world.shop.books.refunds == []
    with running(world):
        instep(world, "correct", "A", WHAT, RIGHT, *BY)
    step(world)
    assert len(world.shop.books.refunds) == 1
    asyncio.run(world.hear(an_rma(WRONG)))
    assert milestone(world)["value"] == "2026-11-01T10:00:00+00:00"
    (entry,) = [e for e in every_entry(world.store.audit) if e.by == "Ana"]
    assert (entry.did, entry.about, entry.case, entry.reason) == ("corrected", WHAT, "order:A", BY[3])
    said = instep(world, "explain", "A")[1]
    assert f"Ana corrected {WHAT} to 2026-11-01T10:00:00+00:00: {BY[3]}" in said
    assert "Of 1 recorded" not in said  # lived again, its life comes out the same
    assert f"Ana corrected {WHAT}" in instep(world, "explain", "A", "--timeline")[1]
    assert [line["text"].split()[0] for line in found(world, "explain", "A")["corrected"]] == ["Ana"]


def test_what_never_happened_is_none_also_after_a_restart_and_what_was_sent_stays_sent(world: World) -> None:
    asyncio.run(world.hear(an_rma(WRONG)))
    assert len(world.shop.books.refunds) == 1
    with running(world):
        said = instep(world, "correct", "A", WHAT, "none", *BY)[1]
    assert "has not happened" in said
    assert "What was sent before stays sent: 1 effect of this case." in said
    assert milestone(world)["value"] is None
    asyncio.run(world.service.close())
    again = opened(world.root, world.clock, world.shop)
    asyncio.run(again.hear(an_rma(WRONG, "later")))
    assert milestone(again)["value"] is None
    with running(again):
        instep(again, "correct", "A", WHAT, RIGHT, *BY)
    step(again)
    assert milestone(again)["value"] == "2026-11-01T10:00:00+00:00"
    assert len(world.shop.books.refunds) == 1  # paid once, whatever is said of when
    world.served = again.served


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("A", "rma.recieved_at", RIGHT, *BY), 'did you mean "rma.received_at"?'),
        (("A", "order.lines", RIGHT, *BY), "money above all, is put right where it was seen"),
        (("A", "rma:1001.transactions", "[]", *BY), "no milestone rma:1001.transactions"),
        (("A", WHAT, "2026-11-01T10:00", *BY), "has no time zone"),
        (("A", WHAT, "yesterday", *BY), "is not a timestamp like"),
        (("A", WHAT, "2999-01-01T00:00Z", *BY), "is still to come"),
        (("A", WHAT, WRONG, *BY), "says so already"),
        (("A", WHAT, RIGHT, "--by", "Ana"), "--reason wants a sentence"),
        (("A", WHAT, RIGHT, "--reason", "why"), "--by wants the name of the person"),
        (("A", WHAT), "say what is right"),
        (("B", WHAT, RIGHT, *BY), "is called 'B'"),
    ],
)
def test_what_cannot_be_corrected_is_said_and_nothing_is_written(world: World, words: tuple[str, ...], said: str) -> None:
    asyncio.run(world.hear(an_rma(WRONG)))
    before = len(list(every_entry(world.store.audit)))
    code, told_of = instep(world, "correct", *words)
    assert (code, said in told_of) == (2, True), told_of
    assert len(list(every_entry(world.store.audit))) == before
    assert world.store.journal.behind() == 0
