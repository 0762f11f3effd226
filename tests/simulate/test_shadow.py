"""What rules in shadow would have done is told beside what was done."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.cli.shadowing import report_lines, shadow_report
from engine.desk.stored import NotFound
from engine.simulate.shadow import Shadowed
from tests.conftest import Played
from tests.run.files_world import CLIENT_YAML, FILES, an_order, an_rma, opened, project
from tests.run.small import NOON

SHADOWS = """\
rules:
  refund_at_once:
    group: refund
    mode: shadow
    each: rma
    when: ['rma.status == "approved"', rma.units]
    then: [{marketplace.refund: {units: rma.units}}]
  look_first:
    group: hold
    mode: shadow
    each: rma
    when: ['rma.status == "done"']
    then: [{forbid: marketplace.refund, because: somebody looks first}]
  tell_somebody:
    group: sync
    mode: shadow
    each: rma
    when: ['rma.status == "cancelled"']
    then: [{raise: {owner: operations, severity: low, title: "{rma.id} was cancelled", runbook: look}}]
"""


def lived(root: Path, files: dict[str, str]) -> Path:
    """Two orders: A is approved and an hour later done, B is approved and then cancelled."""

    async def run() -> None:
        world = opened(project(root, {**FILES, **files}))
        world.shop.books.orders |= {"A": {}, "B": {}}
        await world.hear(an_order("A"), an_rma("1", "A", "Approved"), an_order("B"), an_rma("2", "B", "Approved"))
        world.passed(hours=1)
        await world.hear(an_rma("1", "A", "Done", world.clock()), an_rma("2", "B", "Canceled", world.clock()))
        await world.service.close()

    asyncio.run(run())
    return root / "acme.sqlite"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return lived(tmp_path, {"rules/base/shadows.yaml": SHADOWS})


def by_rule(found: list[Shadowed], rule: str) -> dict[str, Shadowed]:
    return {one.case: one for one in found if one.rule == rule}


def test_what_they_would_have_sent_raised_and_withheld_stands_beside_what_was_done(database: Path) -> None:
    found = shadow_report(database, "acme", "", "")
    sent = by_rule(found, "refund_at_once")
    assert sent.keys() == {"order:A", "order:B"}
    first, second = sent["order:A"], sent["order:B"]
    assert (first.would, first.since, first.until) == ("send", NOON, NOON + timedelta(hours=1))
    assert first.text.startswith("marketplace.refund for A-1#1, ")
    assert first.beside == "it was done 2026-11-01T13:00Z by refund_when_done"
    assert first.alike
    assert (second.beside, second.alike) == ("it was not done", False)
    (kept,) = by_rule(found, "look_first").values()
    assert (kept.case, kept.would) == ("order:A", "withhold")
    assert kept.text == "marketplace.refund for A-1#1 by refund_when_done: somebody looks first"
    assert kept.beside == "it was done 2026-11-01T13:00Z"
    (told,) = by_rule(found, "tell_somebody").values()
    assert (told.text, told.beside, told.until) == ("operations: 2 was cancelled", "nobody was told", None)
    assert {one.place.rpartition(":")[0].rpartition(":")[0] for one in found} == {"rules/base/shadows.yaml"}


def test_a_client_in_shadow_shows_all_it_would_have_sent(tmp_path: Path) -> None:
    database = lived(tmp_path, {"rules/clients/acme/client.yaml": CLIENT_YAML + "mode: shadow\n"})
    (one,) = shadow_report(database, "acme", "", "")
    assert (one.rule, one.would, one.beside, one.until) == ("refund_when_done", "send", "it was not done", None)


def test_the_report_reads_by_rule_day_and_case(database: Path) -> None:
    lines = [line.plain for line in report_lines(shadow_report(database, "acme", "", ""))]
    assert lines[0].startswith("look_first  would have withheld 1")
    assert "refund_at_once  would have sent 2  rules/base/shadows.yaml:2:3" in lines
    assert "  2026-11-01: 2" in lines
    assert any(line.startswith("  order:B  would have sent marketplace.refund for B-1#1") for line in lines)


def test_it_can_be_narrowed_and_read_by_programs(database: Path) -> None:
    assert {one.rule for one in shadow_report(database, "acme", "look_first", "")} == {"look_first"}
    later = shadow_report(database, "acme", "", "2026-11-01T12:30:00Z")
    assert {one.rule for one in later} == {"look_first", "tell_somebody"}
    run = CliRunner().invoke(app, ["shadow", "report", "acme", "--database", str(database), "--json"])
    told = json.loads(run.output)
    assert told["rules"] == {"look_first": {"withhold": 1}, "refund_at_once": {"send": 2}, "tell_somebody": {"raise": 1}}
    assert told["days"] == {"2026-11-01": {"raise": 1, "send": 2, "withhold": 1}}
    assert len(told["found"]) == 4


def test_what_cannot_be_reported_says_why(database: Path, demo_day: Played) -> None:
    with pytest.raises(NotFound, match="no rule of this client was ever in shadow: write `mode: shadow`"):
        shadow_report(demo_day[2], "demo", "", "")
    with pytest.raises(NotFound, match="this is the store of acme, not of nobody"):
        shadow_report(database, "nobody", "", "")
    with pytest.raises(NotFound, match='did you mean "look_first"'):
        shadow_report(database, "acme", "look_frist", "")
    with pytest.raises(NotFound, match="--since wants an instant"):
        shadow_report(database, "acme", "", "soon")
