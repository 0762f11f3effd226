"""The life of a case is lived again from its history: every decision as it was made, under the rule sets of its time."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.cli.explaining import explanation, timeline
from engine.desk.explained import Asked, Explained, explained, explained_json
from engine.desk.stored import NotFound
from engine.language.files import read_files, shipped_root
from engine.run.boot import open_client
from engine.run.clock import SystemClock
from engine.run.deciding.summary import summary
from engine.simulate.chronicle import chronicle
from engine.simulate.history import Looked, parsed, recorded, written
from engine.simulate.life import Life, life_in, life_in_store
from engine.store.sqlite.store import SqliteStore
from tests.conftest import Played
from tests.run.files_world import (
    CLIENT_YAML,
    FILES,
    HOLD,
    FakeMirakl,
    FakeReturns,
    an_order,
    an_rma,
    opened,
    project,
    write,
)

RMA = FILES["mappings/returngo/rma.yaml"]
CASES = ("M-1001", "M-1104", "M-1107", "M-1202", "M-1303", "M-1307", "M-1401", "M-1402", "M-1505", "M-1603")
PLACE = re.compile(r"(rules/[\w/.-]+\.yaml):(\d+):(\d+)")


@pytest.fixture(scope="module")
def store(demo_day: Played) -> Iterator[SqliteStore]:
    found = SqliteStore.open(demo_day[2], as_="visitor")
    yield found
    found.close()


@pytest.fixture(scope="module")
def lives(store: SqliteStore) -> dict[str, Life]:
    return {name: life_in_store(store, store.cases.find(name)[0]) for name in CASES}


@pytest.fixture(scope="module")
def exported(store: SqliteStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    path.write_text("".join(written(recorded(store))), encoding="utf-8")
    return path


def at(demo_day: Played, case: str, instant: str = "", **more: Any) -> Explained:
    return explained(Asked(case, demo_day[2], at=instant, **more))


def text_of(found: Explained, *, every: bool = False) -> str:
    return "\n".join(line.plain for line in explanation(found, every=every))


def test_the_explanation_at_each_recorded_instant_is_the_recorded_decision(store: SqliteStore, lives: dict[str, Life]) -> None:
    looks: dict[tuple[str, datetime], str] = {}
    for entry in recorded(store, lambda _: False):
        if isinstance(entry, Looked):
            looks[entry.case, entry.at] = entry.digest  # the last one of an instant
    compared = 0
    for life in lives.values():
        assert life.exact, life.case
        for (case, instant), digest in looks.items():
            if case == life.case:
                moment = life.at(instant)
                assert moment is not None
                assert moment.seen[-1].digest == digest
                assert summary(moment.seen[-1].decision) == summary(moment.decision)
                compared += 1
    assert compared > 80


def test_a_history_written_out_tells_the_same_life(lives: dict[str, Life], exported: Path) -> None:
    for name in ("M-1104", "M-1401"):
        again = life_in(lambda: parsed(exported.open(encoding="utf-8"), "h"), name)
        assert (again.recorded, again.same) == (lives[name].recorded, lives[name].same)
        assert [line.text for line in chronicle(again)] == [line.text for line in chronicle(lives[name])]


def test_every_line_that_is_named_is_there(demo_day: Played) -> None:
    files = read_files(shipped_root()).contents
    named = 0
    for case in ("M-1104", "M-1202", "M-1402"):
        found = at(demo_day, case, "2026-11-03T12:30:00Z")
        for text in (text_of(found, every=True), "\n".join(line.plain for line in timeline(found))):
            for file, line, column in PLACE.findall(text):
                written_there = files[file].decode().splitlines()[int(line) - 1]
                assert len(written_there) >= int(column)
                assert written_there[int(column) - 1] not in " #"
                named += 1
    assert named > 200


def test_why_it_was_held_then_and_what_was_waited_for(demo_day: Played) -> None:
    text = text_of(at(demo_day, "M-1104", "2026-11-03T12:30:00Z"))
    assert "hold_for_inspection forbids marketplace.refund: waiting for the warehouse inspection, since 2026-11-03T06:00" in text
    assert "refund_before_deadline asks for marketplace.refund for rma:1038 at 2026-11-03T17:30Z" in text


def test_why_it_was_refunded_and_who_decided_that(demo_day: Played) -> None:
    text = text_of(at(demo_day, "M-1104"))
    assert "refund_as_decided asked for marketplace.refund of 119.00 EUR for rma:1038" in text
    assert 'default(answer.rejected_at_inspection, "") == "refund" is true: answer.rejected_at_inspection = refund' in text
    assert "instep, by rule refund_as_decided, receipt 1066" in text
    assert 'the story answered "refund" to rejected_at_inspection for rma:1038: refund anyway' in text


def test_what_was_refunded_in_the_store_first_says_so(demo_day: Played) -> None:
    assert re.search(r"refund \d+ was made in the store, 2026-11-03T15:00Z", text_of(at(demo_day, "M-1307")))


def test_the_default_view_tells_each_rule_once_and_every_item_only_when_asked(demo_day: Played) -> None:
    found = at(demo_day, "M-1001")
    short, whole = text_of(found), text_of(found, every=True)
    assert "balance_too_low" not in short
    assert whole.count("balance_too_low effect:") == 5
    why_not = short.partition("Why not\n")[2].splitlines()
    rules = [line.split()[0] for line in why_not]
    assert len(rules) == len(set(rules)), "one line for each"
    assert max(len(line) for line in why_not) < 450


def test_a_life_is_told_in_order_with_its_causes_and_what_came_of_them(demo_day: Played) -> None:
    lines = [line.plain for line in timeline(at(demo_day, "M-1104"))]
    order = [
        "  seen: returngo.rma",
        "for customer service: RMA 1038: 9051 rejected at inspection, to answer refund or keep",
        '  the story answered "refund" to rejected_at_inspection',
        'closed: RMA 1038: 9051 rejected at inspection (the story answered "refund")',
        "  sending marketplace.refund for M-1104-1#1, 119.00 EUR",
        "  done: marketplace.refund for M-1104-1#1, 119.00 EUR, receipt 1066",
        "close_rma asks for returns.set_status for rma:1038",
    ]
    places = [next(n for n, line in enumerate(lines) if wanted in line) for wanted in order]
    assert places == sorted(places)


def test_a_moment_before_the_case_or_still_to_come_is_said_to_be(demo_day: Played, exported: Path) -> None:
    with pytest.raises(NotFound, match=r"first seen 2026-11-03T06:00Z: nothing was known of it at 2026-11-01T00:00Z"):
        at(demo_day, "M-1104", "2026-11-01")
    with pytest.raises(NotFound, match=r"2999-01-01T00:00Z is still to come"):
        at(demo_day, "M-1104", "2999-01-01")
    with pytest.raises(NotFound, match="--at wants an instant"):
        at(demo_day, "M-1104", "soon")
    with pytest.raises(NotFound, match=r"history\.jsonl ends at"):
        explained(Asked("M-1104", history=exported, at="2999-01-01"))
    with pytest.raises(NotFound, match=r"no case, order, RMA, parcel or other record is called 'nobody'"):
        explained(Asked("nobody", history=exported))


def test_it_can_be_narrowed_to_a_piece_or_a_rule(demo_day: Played) -> None:
    text = text_of(at(demo_day, "M-1107", unit="M-1107-1#2"))
    assert "unit M-1107-1#2" in text
    assert "M-1107-1#1" not in text
    text = text_of(at(demo_day, "M-1107", rule="rejected_at_inspection"))
    assert "rejected_at_inspection rma:1009" in text
    assert "hold_for_inspection" not in text
    with pytest.raises(NotFound, match=r"no unit M-1107-1#3 .*: it has M-1107-1#1, M-1107-1#2"):
        at(demo_day, "M-1107", unit="M-1107-1#3")
    with pytest.raises(NotFound, match='no rule hold_for_inspecton \\(did you mean "hold_for_inspection"'):
        at(demo_day, "M-1107", rule="hold_for_inspecton")


def test_programs_get_all_of_it(demo_day: Played) -> None:
    told = explained_json(at(demo_day, "M-1107", "2026-11-03T15:00:00Z"))
    assert {"trace", "memory", "story", "timeline", "at"} <= told.keys()
    first, second = told["story"][:2]
    assert first["refunded"][0]["rule"] == "refund_after_inspection"
    assert second["held"][0]["because"][0]["place"].startswith("rules/base/verdict.yaml:")
    assert json.loads(json.dumps(told))["timeline"][0]["at"] == "2026-11-03T06:00:00+00:00"


def test_the_verb_takes_a_history(exported: Path) -> None:
    run = CliRunner().invoke(app, ["explain", "1038", "--history", str(exported), "--at", "2026-11-03T12:30:00Z"])
    assert run.exit_code == 0, run.output
    assert "order:M-1104  at 2026-11-03T12:30Z, decided 2026-11-03T11:00" in run.output
    run = CliRunner().invoke(app, ["explain", "M-1104", "--history", str(exported), "--timeline"])
    assert "rules/base/verdict.yaml" in run.output


def test_a_life_under_several_rule_sets_is_lived_under_each_in_its_time(tmp_path: Path) -> None:
    """The rules change, then a mapping heals a value that was unknown; each decision is lived under what was active."""

    async def lived() -> None:
        world = opened(project(tmp_path))
        await world.hear(an_order("A"), an_rma("1", "A", "Approved"), an_order("B"), an_rma("2", "B", "Odd"))
        for change in (
            {"rules/base/hold.yaml": HOLD.replace("it is not done", "not done yet")},
            {"mappings/returngo/rma.yaml": RMA.replace("Done: done", "Done: done, Odd: approved")},
            {"rules/clients/acme/client.yaml": CLIENT_YAML + "since: 2026-10-01\n"},
        ):
            world.passed(hours=1)
            write(tmp_path, change)
            await world.reload.read()
            await world.service.step()
        await world.service.close()

    asyncio.run(lived())
    store = SqliteStore.open(tmp_path / "acme.sqlite", as_="visitor")
    try:
        for order in ("A", "B"):
            life = life_in_store(store, store.cases.find(order)[0])
            assert life.exact, (order, life.recorded, life.same)
            again = life_in(lambda: parsed(written(recorded(store)), "h"), order)
            assert [line.text for line in chronicle(again)] == [line.text for line in chronicle(life)]
        told = [line.text for line in chronicle(life)]
    finally:
        store.close()
    assert len([text for text in told if text.startswith("rule set ")]) == 3
    assert any("rma 2: status is approved" in text for text in told), told


def test_on_a_real_clock_every_decision_is_lived_again_exactly_too(tmp_path: Path) -> None:
    """Time goes on between an event and what is decided about it; what is written down is the instant it was decided for."""
    clock = SystemClock()
    shop = FakeMirakl(clock)
    overrides = {"marketplace": shop, "returns": FakeReturns(clock)}
    service = open_client(project(tmp_path), "acme", tmp_path / "acme.sqlite", clock, overrides).service

    async def day() -> None:
        for name in "AB":
            shop.books.orders[name] = {}
            service.hear([an_order(name, clock())])
            await service.step()
            service.hear([an_rma(f"1{name}", name, "Approved", clock())])  # a clock of two days begins
            await service.step()
        service.hear([an_rma("1A", "A", "Done", clock())])
        await service.step()

    asyncio.run(day())
    for name in "AB":
        (row,) = service.store.cases.find(f"order:{name}")
        life = life_in_store(service.store, row)
        assert life.exact
        assert life.recorded > 1
    asyncio.run(service.close())
