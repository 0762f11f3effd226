"""What people type about what cannot go on, beside a running service and without one."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.cli import app
from engine.facts.outside import Event, Refused, TryLater, Unsure
from engine.store.audit import every_entry
from tests.run.files_world import FILES, HOLD, World, an_order, an_rma, opened, project, told, write
from tests.run.small import NOON

RMA = FILES["mappings/returngo/rma.yaml"]
KEY = "refund:A-1#1"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = opened(project(tmp_path))
    world.shop.books.orders["A"] = {}
    asyncio.run(world.hear(an_order("A")))
    yield world
    asyncio.run(world.service.close())


@contextmanager
def running(world: World) -> Iterator[None]:
    """The service takes in what others journal, as it does in real time."""
    stop = threading.Event()

    def serve() -> None:
        while not stop.wait(0.02):
            if world.store.journal.behind():
                asyncio.run(world.service.step())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def step(world: World) -> None:
    asyncio.run(world.service.step())


def instep(world: World, *words: str | Path, typed: str = "") -> tuple[int, str]:
    """Exit code and what is printed, in one line."""
    done = CliRunner().invoke(app, [*map(str, words), "--database", str(world.root / "acme.sqlite")], input=typed)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


def found(world: World, *words: str | Path) -> Any:
    done = CliRunner().invoke(app, [*map(str, words), "--json", "--database", str(world.root / "acme.sqlite")])
    return json.loads(done.stdout)


def strange(number: str, order: str = "A", **more: Any) -> Event:
    """An RMA as the mapping does not know it: with its number elsewhere."""
    body = {"number": number, "order": order, "status": "Done", "requested_at": NOON.isoformat()}
    return told("returngo.rma", body | {"units": [{"key": "1", "sku": "SHOE"}]} | more, NOON)


class TestEvents:
    def test_what_was_set_aside_is_listed_by_what_it_is_and_what_it_speaks_of(self, world: World) -> None:
        asyncio.run(world.hear(strange("7"), strange("8", "B"), told("returngo.odd", {}, NOON)))
        rows = found(world, "events", "list")["events"]
        assert [(row["kind"], row["status"]) for row in rows] == [("returngo.rma", "waiting")] * 2 + [("returngo.odd", "waiting")]
        assert [row["number"] for row in found(world, "events", "list", "--case", "order:B")["events"]] == [rows[1]["number"]]
        assert [row["number"] for row in found(world, "events", "list", "--why", "NO MAPPING")["events"]] == [rows[2]["number"]]
        assert len(found(world, "events", "list", "--kind", "returngo.rma", "--since", "2026-11-01")["events"]) == 2
        assert found(world, "events", "list", "--since", "2026-11-02")["events"] == []
        code, said = instep(world, "events", "list", "--kind", "returngo.rmas")
        assert (code, 'did you mean "returngo.rma"' in said) == (2, True)
        assert instep(world, "events", "list", "--status", "waitin")[0] == 2

    def test_the_place_in_payload_and_mapping_where_reading_stopped_is_shown(self, world: World) -> None:
        bad = told(
            "mirakl.order",
            {
                "id": "B",
                "state": "shipped",
                "created_at": NOON.isoformat(),
                "lines": [{"id": "1"}, {"id": "2", "quantity": "many"}],
            },
            NOON,
        )
        asyncio.run(world.hear(bad))
        (row,) = found(world, "events", "list")["events"]
        told_of = found(world, "events", "show", str(row["number"]))
        (fault,) = told_of["faults"]
        assert (fault["path"], fault["reads"], fault["spot"]) == ("lines[1].quantity", "quantity", ["lines", 1, "quantity"])
        text = FILES["mappings/mirakl/order.yaml"].splitlines()
        file, line, _ = fault["place"].split(":")
        assert (file, text[int(line) - 1].strip()) == ("mappings/mirakl/order.yaml", "quantity: quantity")
        assert '> "quantity": "many"' in instep(world, "events", "show", str(row["number"]))[1]
        assert instep(world, "events", "show", "1")[0] == 0
        assert "the last one is 2" in instep(world, "events", "show", "99")[1]

    def test_a_changed_mapping_is_tried_before_it_is_used(self, world: World, tmp_path: Path) -> None:
        asyncio.run(world.hear(strange("7")))
        (row,) = found(world, "events", "list")["events"]
        number = str(row["number"])
        code, said = instep(world, "events", "mend", number, "--root", world.root)
        assert (code, "the key is missing" in said) == (1, True)
        mapping = tmp_path / "new.yaml"
        mapping.write_text(RMA.replace("key: id\n", "key: number\n"), encoding="utf-8")
        code, said = instep(world, "events", "mend", number, "--root", world.root, "--mapping", mapping)
        assert (code, "rma 7" in said) == (0, True)
        assert world.store.journal.waiting_aside()
        code, said = instep(world, "events", "mend", number, "--root", world.root, "--mapping", mapping, "--apply", "--by", "Ana")
        assert (code, "cannot read it yet" in said, "read again by itself" in said) == (1, True, True)
        assert world.store.journal.waiting_aside()
        write(world.root, {"mappings/returngo/rma.yaml": mapping.read_text(encoding="utf-8")})
        asyncio.run(world.reload.read())
        code, said = instep(world, "events", "show", number)
        assert "The active rule set can read it" in said
        with running(world):
            code, said = instep(world, "events", "mend", number, "--root", world.root, "--apply", "--by", "Ana")
        assert (code, "Taken in." in said) == (0, True)
        assert [e.did for e in every_entry(world.store.audit) if e.by == "Ana"] == ["mended"]
        assert len(world.shop.books.refunds) == 1

    def test_many_are_discarded_at_once_only_when_that_is_meant(self, world: World) -> None:
        asyncio.run(world.hear(strange("7"), strange("8"), told("returngo.odd", {}, NOON)))
        words = ("events", "discard", "--kind", "returngo.rma", "--reason", "their test", "--by", "Ana")
        code, said = instep(world, *words, typed="n\n")
        assert (code, "2 events. Do it to all of them?" in said, "Nothing was done" in said) == (1, True, True)
        assert instep(world, *words, "--json") == (2, "2 events: add --yes to do it to all of them")
        with running(world):
            code, said = instep(world, *words, typed="y\n")
        assert (code, said.count("Discarded. It stays in the journal, whole.")) == (0, 2)
        assert [row["kind"] for row in found(world, "events", "list")["events"]] == ["returngo.odd"]
        rows = found(world, "events", "list", "--status", "discarded")["events"]
        assert [(row["discarded"]["by"], row["discarded"]["reason"]) for row in rows] == [("Ana", "their test")] * 2

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (("events", "discard", "--all", "--reason", "x", "--by", " "), "name of the person"),
            (("events", "discard", "--all", "--reason", "x", "--by", "instep"), "name of the person"),
            (("events", "discard", "--all", "--reason", " ", "--by", "Ana"), "--reason wants a sentence"),
            (("events", "discard", "--all", "--reason", "a\nb", "--by", "Ana"), "one line"),
            (("events", "discard", "--reason", "x", "--by", "Ana"), "say which"),
            (("events", "discard", "1", "--reason", "x", "--by", "Ana"), "event 1 was never set aside"),
            (("events", "retry", "--all", "--by", "Ana"), "nothing that was set aside fits"),
            (("events", "retry", "--why", "x", "--since", "soon", "--by", "Ana"), "--since wants an instant"),
        ],
    )
    def test_what_is_asked_wrongly_is_said_and_nothing_is_done(self, world: World, words: tuple[str, ...], why: str) -> None:
        code, said = instep(world, *words)
        assert (code, why in said) == (2, True), said
        assert world.store.journal.behind() == 0

    def test_an_event_that_still_cannot_be_read_is_said_to_be_one(self, world: World) -> None:
        asyncio.run(world.hear(strange("7")))
        with running(world):
            code, said = instep(world, "events", "retry", "--all", "--by", "Ana")
        assert (code, "It still cannot be read: id: the key is missing" in said) == (1, True), said

    def test_without_a_service_it_is_done_at_the_next_start(self, world: World) -> None:
        asyncio.run(world.hear(strange("7")))
        (row,) = found(world, "events", "list")["events"]
        asyncio.run(world.service.close())
        words = ("events", "discard", str(row["number"]), "--reason", "their test", "--by", "Ana")
        code, said = instep(world, *words)
        assert (code, "No service is running: it is done at the next start." in said) == (0, True)
        code, said = instep(world, *words)
        assert (code, "Ana has wanted something of it already" in said) == (1, True)
        world.served = opened(world.root).served
        step(world)
        assert found(world, "events", "list", "--status", "all")["events"][0]["status"] == "discarded"


class TestEffects:
    def refused(self, world: World) -> None:
        world.shop.before = [Refused("balance_too_low", "top up the account")]
        asyncio.run(world.hear(an_rma("1", "A", "Done")))

    def test_only_what_cannot_go_on_is_listed_unless_asked_otherwise(self, world: World) -> None:
        self.refused(world)
        (row,) = found(world, "effects", "list")["effects"]
        assert (row["key"], row["status"], row["reason"], row["rule"]) == (KEY, "refused", "balance_too_low", "refund_when_done")
        assert found(world, "effects", "list", "--status", "settled")["effects"] == []
        assert (
            len(found(world, "effects", "list", "--case", "A", "--why", "TOP UP", "--connector", "marketplace")["effects"]) == 1
        )
        assert found(world, "effects", "list", "--action", "returns.comment")["effects"] == []
        assert instep(world, "effects", "list", "--case", "X")[0] == 2

    def test_the_whole_life_of_an_effect_is_shown_with_the_line_of_its_rule(self, world: World) -> None:
        world.shop.before = [Refused("order_closed", "it is closed")]
        asyncio.run(world.hear(an_rma("1", "A", "Done")))
        told_of = found(world, "effects", "show", KEY)
        assert [each["what"] for each in told_of["life"]] == ["planned", "begun", "refused"]
        assert told_of["rule_place"] == "rules/base/refund.yaml:2:3"
        (exception,) = told_of["exceptions"]
        assert exception["title"].startswith("marketplace.refund for A-1#1 was refused")
        assert "refund_when_done asks for it: it is looked up, and sent" in told_of["next"]
        with running(world):
            instep(world, "effects", "retry", KEY, "--by", "Ana", "--reason", "topped up")
        code, said = instep(world, "effects", "show", KEY)
        assert (code, "retried by Ana: topped up" in said, "done, receipt R1" in said) == (0, True, True), said
        assert "refused: order_closed: it is closed" in said
        (receipt,) = found(world, "effects", "show", KEY)["receipts"]
        assert receipt["reference"] == "R1"

    def test_a_retry_goes_through_look_up_and_rules_and_says_how_it_ended(self, world: World) -> None:
        self.refused(world)
        with running(world):
            code, said = instep(world, "effects", "retry", KEY, "--by", "Ana")
        assert (code, "Rules: refund_when_done asks for it" in said) == (0, True), said
        step(world)
        assert world.shop.asked.count("look up 1") == 2
        assert len(world.shop.books.refunds) == 1

    def test_a_retry_that_a_veto_stops_says_which_one(self, world: World) -> None:
        world.write(hold=HOLD.replace('"approved"', '"done"'), refund=FILES["rules/base/refund.yaml"])
        self.refused(world)  # with the rules from before
        asyncio.run(world.reload.read())
        step(world)
        with running(world):
            code, said = instep(world, "effects", "retry", KEY, "--by", "Ana")
        assert code == 0
        assert "Rules: it is not sent, withheld by hold_while_approved: it is not done." in said
        step(world)
        assert world.shop.books.refunds == []

    def test_an_unsure_effect_is_looked_up_and_cannot_be_discarded(self, world: World) -> None:
        world.shop.before = [Unsure("no answer")]
        asyncio.run(world.hear(an_rma("1", "A", "Done")))
        world.passed(minutes=2)
        with running(world):
            code, said = instep(world, "effects", "discard", KEY, "--reason", "x", "--by", "Ana")
            assert (code, "it may have happened" in said) == (1, True)
            code, said = instep(world, "effects", "retry", KEY, "--by", "Ana")
        assert (code, "It is looked up now." in said) == (0, True), said
        step(world)
        assert len([asked for asked in world.shop.asked if asked.startswith("perform")]) == 1

    def test_what_is_still_asked_for_cannot_be_discarded_and_the_rule_is_named(self, world: World) -> None:
        world.shop.before = [TryLater("busy")]
        asyncio.run(world.hear(an_rma("1", "A", "Done")))
        assert found(world, "effects", "list")["effects"][0]["status"] == "planned"
        code, said = instep(world, "effects", "discard", "--all", "--reason", "x", "--by", "Ana")
        assert (code, "rule refund_when_done (rules/base/refund.yaml:2:3) asks for it" in said) == (1, True), said
        assert world.store.journal.behind() == 0

    def test_a_refusal_somebody_is_done_with_is_asked_about_no_more(self, world: World) -> None:
        self.refused(world)
        with running(world):
            code, said = instep(world, "effects", "discard", "--why", "balance", "--reason", "paid by hand", "--by", "Ana")
        assert (code, "Acknowledged" in said) == (0, True), said
        assert found(world, "exceptions")["exceptions"] == []
        assert found(world, "effects", "list")["effects"] == []
        (row,) = found(world, "effects", "list", "--status", "acknowledged")["effects"]
        assert row["acknowledged"] == "Ana: paid by hand"
        (closed,) = found(world, "exceptions", "--all")["exceptions"]
        assert closed["why_closed"] == "acknowledged by Ana: paid by hand"


class TestExceptions:
    def test_one_is_shown_assigned_and_resolved_with_the_reason(self, world: World) -> None:
        asyncio.run(world.hear(an_rma("1", "A", "Approved")))
        asyncio.run(world.service.play(world.clock, world.clock().replace(day=4)))
        (row,) = found(world, "exceptions", "list")["exceptions"]
        number = str(row["number"])
        assert instep(world, "exceptions", "assign", number, "--to", "Ben", "--by", "Ana")[0] == 0
        assert found(world, "exceptions", "list", "--owner", "Ben")["exceptions"][0]["assigned_to"] == "Ben"
        with running(world):
            code, said = instep(world, "exceptions", "resolve", number, "--reason", "asked the carrier", "--by", "Ana")
        assert (code, said.endswith("Taken in.")) == (0, True), said
        told_of = found(world, "exceptions", "show", number)
        assert (told_of["state"], told_of["place"]) == ("snoozed", "rules/base/slow.yaml:2:3")
        assert [(e["did"], e["by"], e["reason"]) for e in told_of["trail"]] == [
            ("assigned", "Ana", ""),
            ("resolved", "Ana", "asked the carrier"),
        ]
        code, said = instep(world, "exceptions", "show", number)
        assert (code, "assigned to Ben by Ana" in said, "resolved by Ana: asked the carrier" in said) == (0, True, True), said

    def test_what_was_no_longer_possible_when_the_service_came_to_it_is_said(self, world: World) -> None:
        asyncio.run(world.hear(an_rma("1", "A", "Approved")))
        asyncio.run(world.service.play(world.clock, world.clock().replace(day=4)))
        (row,) = found(world, "exceptions", "list")["exceptions"]
        world.service.hear([an_rma("1", "A", "Done", world.clock())])  # not taken in yet
        with running(world):
            code, said = instep(world, "exceptions", "resolve", str(row["number"]), "--reason", "x", "--by", "Ana")
        assert code == 2, said
        assert ("no longer possible" in said) or ("is closed" in said), said

    def test_what_cannot_be_decided_so_is_said(self, world: World) -> None:
        asyncio.run(world.hear(strange("7")))
        (row,) = found(world, "exceptions")["exceptions"]
        code, said = instep(world, "exceptions", "resolve", str(row["number"]), "--reason", "x", "--by", "Ana")
        assert (code, "`instep events list`" in said) == (2, True), said
        assert instep(world, "exceptions", "show", "99")[0] == 2
        assert instep(world, "exceptions", "assign", "99", "--to", "Ben", "--by", "Ana")[0] == 2
        assert instep(world, "exceptions", "--severity", "hig")[0] == 2


class TestAudit:
    def test_it_lists_who_did_what_and_proves_to_be_whole(self, world: World) -> None:
        asyncio.run(world.hear(strange("7")))
        with running(world):
            instep(world, "events", "discard", "--all", "--reason", "their test", "--by", "Ana")
        rows = found(world, "audit")["audit"]
        assert [row["did"] for row in rows] == ["activated", "started", "discarded"]
        assert [row["did"] for row in found(world, "audit", "--by", "ana")["audit"]] == ["discarded"]
        assert found(world, "audit", "--since", "2100-01-01")["audit"] == []
        code, said = instep(world, "audit", "verify")
        assert (code, "3 entries" in said) == (0, True)
        anchor = found(world, "audit", "verify")["anchor"]
        assert instep(world, "audit", "verify", "--expect", anchor)[0] == 0
        assert instep(world, "audit", "verify", "--expect", "nonsense")[0] == 2
        db = sqlite3.connect(world.root / "acme.sqlite")
        for (trigger,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            db.execute(f"drop trigger {trigger}")
        db.execute("delete from audit where id = 3")
        db.commit()
        assert instep(world, "audit", "verify")[0] == 0
        code, said = instep(world, "audit", "verify", "--expect", anchor)
        assert (code, "broken at entry 3" in said, "the trail ends at entry 2" in said) == (1, True, True), said
        db.execute("update audit set who = 'Ben' where id = 1")
        db.commit()
        code, said = instep(world, "audit", "verify")
        assert (code, "broken at entry 1: what it says was changed" in said) == (1, True), said

    def test_who_wanted_a_rule_set_that_was_held_back_is_told(self, world: World) -> None:
        asyncio.run(world.hear(an_rma("1", "A", "Approved")))
        world.write(hold="")
        asyncio.run(world.reload.read())
        assert world.rules["waiting"]
        world.store.rule_sets.request("", "Ana", world.clock())
        asyncio.run(world.reload.grant())
        rows = found(world, "audit", "--by", "Ana")["audit"]
        assert [row["did"] for row in rows] == ["activated", "overrode"]
        assert rows[1]["details"]["held_back"]
