"""What cannot go on is kept with its reason; what people do about it is journalled, audited and lived again exactly."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from engine.decide.people import NotPossible
from engine.desk.explained import Asked, explained
from engine.facts.outside import Event, Refused, TryLater, Unsure
from engine.facts.schema import Type
from engine.language.compiled import PromiseSpec
from engine.run.hearing.deeds import Deed, mark, noted
from engine.simulate.history import Activated, parsed, recorded, written
from engine.simulate.life import life_in, life_in_store, lives, rule_sets_of
from engine.store.audit import every_entry, first_broken
from engine.store.rows import Journalled
from engine.store.sqlite import SqliteStore
from tests.run.files_world import FILES, World, opened, project, told, write
from tests.run.files_world import an_order as a_file_order
from tests.run.small import (
    BY_RMA,
    HERE,
    NOON,
    Client,
    a_sale,
    an_order,
    an_rma,
    client,
    expression,
    plain,
    refund_rule,
    small_rules,
)
from tests.run.test_service import KEY, hear, on

RMA = FILES["mappings/returngo/rma.yaml"]


@pytest.fixture
def world(tmp_path: Path) -> Client:
    return client(tmp_path / "a.db")


def do(world: Client, deed: Deed) -> None:
    world.service.deed(deed)
    asyncio.run(world.service.step())


def aside(world: Client | World, seq: int) -> Journalled:
    entry = world.store.journal.one(seq)
    assert entry is not None
    return entry


def of_event(kind: str, entry: Journalled, why: str = "") -> Deed:
    return Deed.about_event(kind, entry.seq, entry.event, "Ana", why)  # type: ignore[arg-type]


def audited(store: SqliteStore) -> list[tuple[str, str, str, str]]:
    return [(e.by, e.did, e.about, e.reason) for e in every_entry(store.audit) if e.did not in ("started", "activated")]


class TestEvents:
    def test_a_discarded_event_is_kept_and_no_longer_asked_about(self, world: Client) -> None:
        hear(world, plain("order", None))
        do(world, of_event("person.discard", aside(world, 1), "a test of theirs"))
        found = world.store.asides.of(1)
        assert found is not None
        assert (found.state, found.discarded_by, found.discarded_for) == ("discarded", "Ana", "a test of theirs")
        assert aside(world, 1).event == plain("order", None)
        assert world.store.journal.waiting_aside() == []
        assert world.exceptions() == []
        (closed,) = world.store.exceptions.listed(only_open=False)
        assert closed.why_closed == "Ana discarded what waited: a test of theirs"
        assert audited(world.store) == [("Ana", "discarded", "event:1", "a test of theirs")]

    def test_the_exception_stays_while_another_event_waits_for_the_same(self, world: Client) -> None:
        hear(world, plain("order", None), plain("order", None, at=NOON + timedelta(hours=1)))
        do(world, of_event("person.discard", aside(world, 1), "twice"))
        assert world.exceptions() == ["set_aside"]
        do(world, of_event("person.discard", aside(world, 2), "twice"))
        assert world.exceptions() == []

    def test_changed_mappings_do_not_bring_back_what_was_discarded_until_it_is_wanted(self, tmp_path: Path) -> None:
        from tests.run.small import PLAIN  # noqa: PLC0415

        world = client(tmp_path / "a.db", small_rules(mappings={**PLAIN, "desk.rma": ()}))
        hear(world, an_order(), a_sale(), an_rma())
        do(world, of_event("person.discard", aside(world, 3), "not ours"))
        world.service.activate(small_rules(hash="h2"), {})
        asyncio.run(world.service.step())
        assert world.shop.books.refunds == []
        do(world, of_event("person.read_again", aside(world, 3)))
        assert len(world.shop.books.refunds) == 1
        found = world.store.asides.of(3)
        assert found is not None
        assert found.state == "read"

    def test_an_event_that_still_cannot_be_read_waits_on(self, world: Client) -> None:
        hear(world, plain("order", None))
        do(world, of_event("person.read_again", aside(world, 1)))
        assert [row.reason for row in world.store.journal.waiting_aside()] == ["no key"]
        assert world.exceptions() == ["set_aside"]

    @pytest.mark.parametrize(
        ("seq", "kind", "why"),
        [(2, "person.discard", "never set aside"), (9, "person.discard", "never set aside"), (1, "person.read_again", "")],
    )
    def test_only_what_was_set_aside_can_be_discarded(self, world: Client, seq: int, kind: str, why: str) -> None:
        hear(world, plain("order", None), an_order())
        entry = world.store.journal.one(seq) or aside(world, 2)
        deed = Deed.about_event(kind, seq, entry.event, "Ana", "no")  # type: ignore[arg-type]
        if why:
            with pytest.raises(NotPossible, match=why):
                world.service.deed(deed)
            assert world.store.journal.behind() == 0
        else:
            do(world, deed)

    def test_what_a_person_wanted_too_late_is_set_aside_told_in_the_trail_and_not_done_later(self, world: Client) -> None:
        hear(world, an_order())
        noted(world.store, Deed("person.answer", "order:A", "gone", "Ben", "keep"), NOON)
        asyncio.run(world.service.step())
        (row,) = world.store.journal.waiting_aside()
        assert audited(world.store) == [
            ("Ben", "answered", "gone", ""),
            ("Ben", "not done", "gone", "no open exception gone"),
        ]
        with pytest.raises(NotPossible, match="do it again, and discard"):
            world.service.deed(of_event("person.read_again", aside(world, row.seq)))
        do(world, of_event("person.discard", aside(world, row.seq), "done otherwise"))
        assert world.exceptions() == []

    def test_a_deed_about_an_event_of_another_store_is_not_done(self, world: Client) -> None:
        hear(world, plain("order", None))
        other = Deed("person.discard", "", "event:1", "Ana", mark(an_order()), "no")
        noted(world.store, other, NOON)
        asyncio.run(world.service.step())
        found = world.store.asides.of(1)
        assert found is not None
        assert found.state == "waiting"


class TestEffects:
    def refused(self, world: Client) -> None:
        world.shop.before = [Refused("balance_too_low", "top up")]
        hear(world, an_order(), a_sale(), an_rma())
        assert world.effects() == {KEY: "refused"}
        assert world.exceptions() == ["refused"]

    def test_an_acknowledged_refusal_is_nobodys_matter_any_more_and_is_never_sent(self, world: Client) -> None:
        self.refused(world)
        do(world, Deed("person.acknowledge", "order:A", KEY, "Ana", reason="paid by bank transfer"))
        assert world.exceptions() == []
        (closed,) = world.store.exceptions.listed(only_open=False)
        assert closed.why_closed == "acknowledged by Ana: paid by bank transfer"
        on(world, days=5)
        assert world.shop.books.refunds == []
        assert world.effects() == {KEY: "refused"}
        assert world.exceptions() == []

    def test_a_promise_counts_an_acknowledged_refusal_as_known_to_somebody(self, tmp_path: Path) -> None:
        """As it counts an open exception: the deadline passes, and nobody is woken for what was decided."""
        by = expression("deadline", lambda _: NOON + timedelta(hours=1), Type("timestamp"))
        never = expression("refunded", lambda _: False)
        promise = PromiseSpec("in_time", HERE, each=BY_RMA, by=by, must=never, must_owned=("marketplace.refund",))
        world = client(tmp_path / "a.db", small_rules(refund_rule(), promises=(promise,)))
        world.shop.before = [Refused("balance_too_low", "top up")]
        hear(world, an_order(), a_sale(), an_rma())
        do(world, Deed("person.acknowledge", "order:A", KEY, "Ana", reason="paid"))
        on(world, hours=2)
        assert world.exceptions() == []
        hear(world, an_order("B"), a_sale("T", "B"), an_rma("2", sale_id="T", status="approved"))
        on(world, hours=2)
        assert world.exceptions() == ["promise_broken"]

    def test_without_a_rule_for_it_an_acknowledged_refusal_is_not_asked_about_either(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", small_rules(refund_rule()))
        world.shop.before = [Refused("balance_too_low", "top up")]
        hear(world, an_order(), a_sale(), an_rma())
        assert world.exceptions() == ["unhandled_outcome"]
        do(world, Deed("person.acknowledge", "order:A", KEY, "Ana", reason="paid"))
        assert world.exceptions() == []

    def test_an_acknowledged_refusal_can_still_be_retried(self, world: Client) -> None:
        self.refused(world)
        do(world, Deed("person.acknowledge", "order:A", KEY, "Ana", reason="paid"))
        do(world, Deed("person.retry", "order:A", KEY, "Ben"))
        assert world.effects() == {KEY: "settled"}
        assert world.shop.asked.count("look up 1") == 2

    def test_a_retry_goes_through_the_vetoes(self, world: Client) -> None:
        self.refused(world)
        hear(world, plain("seller", "1", id="1", state="suspended"))
        do(world, Deed("person.retry", "order:A", KEY, "Ana"))
        assert world.shop.books.refunds == []
        assert world.effects() == {KEY: "withdrawn"}

    def test_a_retry_of_what_somebody_did_meanwhile_sends_nothing(self, world: Client) -> None:
        self.refused(world)
        world.shop.books.book("A", "A-1", "50.00", NOON)
        do(world, Deed("person.retry", "order:A", KEY, "Ana"))
        assert len(world.shop.books.refunds) == 1
        assert world.effects() == {KEY: "settled_elsewhere"}

    def test_an_unsure_effect_is_looked_up_and_never_simply_sent_again(self, world: Client) -> None:
        world.shop.before = [Unsure("no answer")]
        hear(world, an_order(), a_sale(), an_rma())
        on(world, minutes=1)
        asked = len(world.shop.asked)
        with pytest.raises(NotPossible, match="is unsure, not refused"):
            world.service.deed(Deed("person.retry", "order:A", KEY, "Ana"))
        do(world, Deed("person.look", "order:A", KEY, "Ana"))
        assert [a for a in world.shop.asked[asked:] if not a.startswith("fetch")] == ["look up 1"]
        assert world.effects() == {KEY: "unsure"}

    def test_what_was_put_off_may_be_tried_now(self, world: Client) -> None:
        world.shop.before = [TryLater("busy", timedelta(hours=20))]
        hear(world, an_order(), a_sale(), an_rma())
        assert world.effects() == {KEY: "planned"}
        do(world, Deed("person.look", "order:A", KEY, "Ana"))
        assert world.effects() == {KEY: "settled"}

    @pytest.mark.parametrize("kind", ["person.retry", "person.look", "person.acknowledge"])
    def test_what_is_settled_stays(self, world: Client, kind: str) -> None:
        hear(world, an_order(), a_sale(), an_rma())
        with pytest.raises(NotPossible, match="is settled"):
            world.service.deed(Deed(kind, "order:A", KEY, "Ana"))  # type: ignore[arg-type]


def test_an_answered_exception_says_who_answered_what(world: Client) -> None:
    hear(world, an_order(), a_sale(), an_rma(status="rejected"))
    (row,) = world.store.exceptions.listed()
    do(world, Deed("person.answer", "order:A", row.entry.key, "Ana", "keep"))
    (closed,) = world.store.exceptions.listed(only_open=False)
    assert closed.why_closed == 'Ana answered "keep"'


class TestTheTrail:
    def test_starts_stops_and_cuts_of_the_service_are_told(self, tmp_path: Path) -> None:
        for ends in ("close", "cut", "close"):
            world = client(tmp_path / "a.db")
            if ends == "close":
                asyncio.run(world.service.close())
            else:
                world.store.close()
        store = SqliteStore.open(tmp_path / "a.db")
        found = [(e.did, json.loads(e.details).get("ended_before")) for e in every_entry(store.audit)]
        assert found == [
            ("activated", None),
            ("started", "there was none"),
            ("stopped", None),
            ("started", "stopped"),
            ("started", "was cut off"),
            ("stopped", None),
        ]
        assert first_broken(store.audit) is None
        store.close()

    def test_settings_are_known_by_their_digest(self, tmp_path: Path) -> None:
        import hashlib  # noqa: PLC0415

        world = opened(project(tmp_path))
        (entry,) = (e for e in every_entry(world.store.audit) if e.did == "started")
        file = tmp_path / "rules/clients/acme/client.yaml"
        assert json.loads(entry.details)["settings"] == hashlib.sha256(file.read_bytes()).hexdigest()


class TestLivedAgain:
    """A store in which people did everything they can do to what cannot go on."""

    @pytest.fixture
    def lived(self, tmp_path: Path) -> World:
        return asyncio.run(self.live(opened(project(tmp_path))))

    async def live(self, world: World) -> World:
        world.shop.before = [Refused("balance_too_low", "top up"), Unsure("no answer")]
        for name in ("A", "B", "C", "D"):
            world.shop.books.orders[name] = {}
            await world.hear(a_file_order(name, world.clock()))
            world.passed(minutes=1)
        await world.hear(self.rma("1", "A", key="id"))  # refused
        world.passed(minutes=1)
        await world.hear(self.rma("2", "B", key="id"))  # unsure
        world.passed(minutes=1)
        await world.hear(self.rma("3", "C", key="number"))  # set aside, read when the mapping knows the word
        world.passed(minutes=1)
        await world.hear(self.rma("4", "D", key="number"))  # discarded, read when it is wanted after all
        world.passed(minutes=1)
        for deed in (
            Deed("person.acknowledge", "order:A", "refund:A-1#1", "Ana", reason="by hand"),
            Deed("person.look", "order:B", "refund:B-1#1", "Ana"),
            of_event("person.discard", aside(world, self.seq(world, "4")), "not ours"),
            of_event("person.read_again", aside(world, self.seq(world, "3"))),
        ):
            await self.do(world, deed)
        write(world.root, {"mappings/returngo/rma.yaml": RMA.replace("key: id\n", "key: default(id, number)\n")})
        await world.reload.read()
        await world.service.step()
        assert world.store.cases.named("order:C") is not None
        assert [row.seq for row in world.store.journal.waiting_aside()] == []
        world.passed(hours=3)
        await world.service.step()
        for deed in (
            Deed("person.retry", "order:A", "refund:A-1#1", "Ben", reason="topped up"),
            of_event("person.read_again", aside(world, self.seq(world, "4"))),
        ):
            await self.do(world, deed)
        world.passed(hours=30)
        await world.service.step()
        return world

    def rma(self, number: str, order: str, *, key: str) -> Event:
        units = [{"key": f"{number}-1", "sku": "SHOE"}]
        body = {key: number, "order": order, "status": "Done", "requested_at": NOON.isoformat(), "units": units}
        return told("returngo.rma", body, NOON)

    def seq(self, world: World, number: str) -> int:
        return next(j.seq for j in world.store.journal.after(0, 99) if f'"number": "{number}"'.encode() in j.event.payload)

    async def do(self, world: World, deed: Deed) -> None:
        world.service.deed(deed)
        await world.service.step()
        world.passed(minutes=1)

    def test_what_people_did_came_about(self, lived: World) -> None:
        statuses = {row.entry.key: row.entry.status for row in lived.store.outbox.every(0, 99)}
        assert statuses == {f"refund:{name}-1#1": "settled" for name in "ABCD"}
        assert len(lived.shop.books.refunds) == 4

    def test_every_decision_comes_out_the_same_byte_for_byte(self, lived: World) -> None:
        for name in "ABCD":
            (row,) = lived.store.cases.find(f"order:{name}")
            life = life_in_store(lived.store, row)
            assert (life.exact, life.same) == (True, life.recorded), name
        text = list(written(recorded(lived.store)))
        for name in "ABCD":
            assert life_in(lambda: parsed(text, "history"), f"order:{name}").exact
        sets = rule_sets_of([e for e in parsed(text, "h") if isinstance(e, Activated)])
        found = list(lives(parsed(text, "h"), sets))
        assert len(found) == 4
        assert all(life.exact for life in found)

    def test_the_timeline_says_who_did_what(self, lived: World) -> None:
        found = explained(Asked("order:A", lived.root / "acme.sqlite"), life_wanted=True)
        lines = [line.text for line in found.timeline if line.what == "person"]
        assert lines == [
            "Ana is done with refund:A-1#1, which was refused: by hand",
            "Ben asked for refund:A-1#1 to be tried again: topped up",
        ]
        found = explained(Asked("order:D", lived.root / "acme.sqlite"), life_wanted=True)
        lines = [line.text for line in found.timeline if line.what == "person"]
        assert lines == ["Ana discarded what was set aside: not ours", "Ana had what was set aside read again"]

    def test_the_trail_names_everybody(self, lived: World) -> None:
        assert [(by, did, about) for by, did, about, _ in audited(lived.store)] == [
            ("Ana", "discarded", "refund:A-1#1"),
            ("Ana", "looked up", "refund:B-1#1"),
            ("Ana", "discarded", f"event:{self.seq(lived, '4')}"),
            ("Ana", "retried", f"event:{self.seq(lived, '3')}"),
            ("Ben", "retried", "refund:A-1#1"),
            ("Ana", "retried", f"event:{self.seq(lived, '4')}"),
        ]
        assert first_broken(lived.store.audit) is None
