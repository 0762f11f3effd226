"""From what is heard to what is sent: the runtime on a virtual clock, with a real store and a marketplace that keeps books."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest

from engine.decide.people import NotPossible
from engine.facts.budget import Limit
from engine.facts.outside import Event, Feed, Hint, Page, Ref, Refused, TryLater, Unsure
from engine.facts.record import Observation
from engine.facts.values import Unreadable
from engine.language.batches import Cadence, parse_batch
from engine.language.mapping import SetAside
from engine.run.hearing.deeds import Deed
from tests.run.small import NOON, PLAIN, Client, PlainMapping, a_sale, an_order, an_rma, client, plain, refund_rule, small_rules

HOUR = timedelta(hours=1)
KEY = "refund:A-1#1"
DAILY = Cadence(parse_batch("daily 02:00"))


def hear(world: Client, *events: Event | Hint) -> None:
    """Hears and does all that follows at once."""
    world.service.hear(events)
    asyncio.run(world.service.step())


def on(world: Client, **delta: float) -> None:
    asyncio.run(world.service.play(world.clock, world.clock() + timedelta(**delta)))


@pytest.fixture
def world(tmp_path: Path) -> Client:
    return client(tmp_path / "a.db")


class TestFromEventToEffect:
    def test_a_refund_is_sent_once_and_its_receipt_kept(self, world: Client) -> None:
        hear(world, an_order(), a_sale(), an_rma())
        assert [r["amount"] for r in world.shop.books.refunds] == ["50.00"]
        (row,) = world.store.outbox.listed(["settled"], 10)
        assert row.case == "order:A"
        assert '"refund_id":"R1"' in row.entry.receipt
        on(world, days=3)
        assert len(world.shop.books.refunds) == 1

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    def test_the_order_of_arrival_does_not_matter(self, tmp_path: Path, order: tuple[int, ...]) -> None:
        world = client(tmp_path / "a.db")
        events = [an_order(), a_sale(), an_rma()]
        for n in order:
            hear(world, events[n])
        assert len(world.shop.books.refunds) == 1
        assert [c.name for c in world.store.cases.listed(only_open=False, limit=10)] == ["order:A"]
        for event in events * 2:
            hear(world, event)
        assert len(world.shop.books.refunds) == 1

    def test_after_a_refund_the_order_is_read_again(self, world: Client) -> None:
        hear(world, an_order(), a_sale(), an_rma())
        assert world.shop.asked == ["look up 1", f"perform {KEY}", "fetch shop.order A"]
        row = world.store.records.get("order", "A")
        assert row is not None
        assert '"id":"R1"' in row.state

    def test_a_refund_somebody_else_made_is_not_made_again(self, world: Client) -> None:
        """The look-up's answer is decided on before anything is performed."""
        hear(world, an_order(), a_sale())
        world.shop.books.book("A", "A-1", "50.00", NOON)
        hear(world, an_rma())
        assert len(world.shop.books.refunds) == 1
        assert not [a for a in world.shop.asked if a.startswith("perform")]

    def test_a_veto_that_comes_with_the_last_look_withdraws_the_effect(self, world: Client) -> None:
        hear(world, an_order(), a_sale(), plain("seller", "1", id="1", state="suspended"), an_rma())
        assert world.shop.books.refunds == []
        assert world.effects() == {}

    def test_what_changes_for_the_client_is_looked_at_in_every_open_case(self, world: Client) -> None:
        hear(world, an_order(), a_sale(), plain("seller", "1", id="1", state="suspended"), an_rma())
        later = NOON + HOUR
        hear(world, plain("seller", "1", at=later, id="1", state="open"))
        assert len(world.shop.books.refunds) == 1

    def test_a_second_unit_gets_its_own_refund(self, world: Client) -> None:
        world.shop.books.orders["A"] = {"quantity": 2, "price": "100.00"}
        hear(world, an_order(quantity=2, price="100.00"), a_sale(), an_rma())
        hear(world, an_rma("1002"))
        assert [r["amount"] for r in world.shop.books.refunds] == ["50.00", "50.00"]
        assert world.effects() == {"refund:A-1#1": "settled", "refund:A-1#2": "settled"}


class TestModes:
    def test_a_shadow_client_decides_and_sends_nothing(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", small_rules(mode="shadow"))
        hear(world, an_order(), a_sale(), an_rma())
        on(world, days=1)
        assert world.shop.books.refunds == []
        assert world.effects() == {KEY: "planned"}

    def test_a_shadow_rule_sends_nothing(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", small_rules(refund_rule(mode="shadow")))
        hear(world, an_order(), a_sale(), an_rma())
        assert world.shop.books.refunds == []

    def test_nothing_is_sent_for_cases_from_before(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", small_rules(since=NOON + HOUR))
        hear(world, an_order(), a_sale(), an_rma())
        on(world, hours=2)
        assert world.effects() == {KEY: "planned"}
        later = NOON + 2 * HOUR
        world.shop.books.orders["B"] = {}
        fresh = an_order("B", at=later, created_at=later.isoformat())
        hear(world, fresh, a_sale("T", "B", at=later), an_rma("1002", at=later, sale_id="T"))
        assert [r["order"] for r in world.shop.books.refunds] == ["B"]

    def test_a_batch_leaves_at_its_time(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", small_rules(cadence={"marketplace.refund": DAILY}))
        hear(world, an_order(), a_sale(), an_rma())
        assert world.shop.books.refunds == []
        on(world, hours=13)
        assert world.shop.books.refunds == []
        on(world, hours=2)
        assert [r["at"] for r in world.shop.books.refunds] == ["2026-11-02T02:00:00+00:00"]

    def test_group_sla_waits_for_no_batch(self, tmp_path: Path) -> None:
        rules = small_rules(
            refund_rule(group="sla"), precedence=("permission", "verdict", "sla"), cadence={"marketplace.refund": DAILY}
        )
        world = client(tmp_path / "a.db", rules)
        hear(world, an_order(), a_sale(), an_rma())
        assert len(world.shop.books.refunds) == 1


class TestWhatCanGoWrong:
    def test_not_now_is_tried_later(self, world: Client) -> None:
        world.shop.before = [TryLater("429", timedelta(minutes=10)), TryLater("503")]
        hear(world, an_order(), a_sale(), an_rma())
        assert world.effects() == {KEY: "planned"}
        on(world, minutes=9)
        assert len(world.shop.before) == 1
        on(world, hours=1)
        assert len(world.shop.books.refunds) == 1

    def test_not_now_for_ever_is_given_up_and_owned(self, world: Client) -> None:
        world.shop.before = [TryLater("503")] * 100
        hear(world, an_order(), a_sale(), an_rma())
        on(world, days=2)
        assert world.effects() == {KEY: "refused"}
        assert world.exceptions() == ["refused"]
        assert len(world.shop.before) > 50

    def test_a_refusal_is_a_fact(self, world: Client) -> None:
        world.shop.before = [Refused("balance_too_low", "no money")]
        hear(world, an_order(), a_sale(), an_rma())
        on(world, days=2)
        (row,) = world.store.outbox.listed(["refused"], 10)
        assert (row.entry.reason, row.entry.detail) == ("balance_too_low", "no money")
        assert world.exceptions() == ["refused"]
        assert world.shop.books.refunds == []

    def test_a_person_can_have_a_refusal_tried_again(self, world: Client) -> None:
        world.shop.before = [Refused("balance_too_low", "no money")]
        hear(world, an_order(), a_sale(), an_rma())
        world.service.deed(Deed("person.retry", "order:A", KEY, "ann"))
        asyncio.run(world.service.step())
        assert len(world.shop.books.refunds) == 1
        assert world.exceptions() == []

    @pytest.mark.parametrize("fault", [Unsure("no answer"), RuntimeError("a bug of the connector")])
    def test_what_was_booked_unseen_is_found_and_not_sent_again(self, world: Client, fault: Exception) -> None:
        world.shop.after = [fault]
        hear(world, an_order(), a_sale(), an_rma())
        assert world.effects() == {KEY: "unsure"}
        on(world, hours=2)
        assert world.effects() == {KEY: "settled"}
        assert len(world.shop.books.refunds) == 1

    def test_what_never_arrived_is_sent_once_more_after_the_quiet_period(self, world: Client) -> None:
        world.shop.before = [Unsure("no answer")]
        hear(world, an_order(), a_sale(), an_rma())
        on(world, minutes=19)
        assert world.shop.books.refunds == []
        on(world, minutes=2)
        assert [r["amount"] for r in world.shop.books.refunds] == ["50.00"]
        assert world.effects() == {KEY: "settled"}

    def test_without_evidence_nothing_unsure_is_ever_sent_again(self, world: Client) -> None:
        world.shop.before = [Unsure("no answer")]
        hear(world, an_order(), a_sale(), an_rma())
        world.shop.hidden = True
        on(world, days=3)
        assert world.effects() == {KEY: "unsure"}
        assert world.shop.books.refunds == []
        assert world.exceptions() == ["refused"]

    def test_sends_without_a_trace_end_with_a_person(self, world: Client) -> None:
        world.shop.before = [Unsure("no answer")] * 10
        hear(world, an_order(), a_sale(), an_rma())
        on(world, days=1)
        assert world.effects() == {KEY: "refused"}
        assert len(world.shop.before) == 7

    def test_nothing_is_sent_without_a_look(self, world: Client) -> None:
        world.shop.blind = [TryLater("503"), RuntimeError("a bug"), TryLater("503")]
        hear(world, an_order(), a_sale(), an_rma())
        assert world.shop.books.refunds == []
        on(world, hours=1)
        assert len(world.shop.books.refunds) == 1

    def test_a_look_that_never_works_ends_with_a_person(self, world: Client) -> None:
        world.shop.hidden = True
        hear(world, an_order(), a_sale(), an_rma())
        on(world, days=2)
        assert world.effects() == {KEY: "refused"}
        assert world.exceptions() == ["refused"]

    def test_while_a_line_is_unsure_no_other_effect_on_it_is_sent(self, world: Client) -> None:
        world.shop.books.orders["A"] = {"quantity": 2, "price": "100.00"}
        world.shop.after = [Unsure("no answer")]
        world.shop.hidden = False
        hear(world, an_order(quantity=2, price="100.00"), a_sale(), an_rma())
        hear(world, an_rma("1002"))
        assert world.effects() == {"refund:A-1#1": "unsure", "refund:A-1#2": "planned"}
        assert len(world.shop.books.refunds) == 1
        on(world, hours=1)
        assert set(world.effects().values()) == {"settled"}
        assert len(world.shop.books.refunds) == 2

    def test_a_case_that_cannot_be_decided_stops_no_other(self, tmp_path: Path) -> None:
        rule = refund_rule()
        broken = refund_rule(id="broken", after=None)
        object.__setattr__(broken, "when", rule.when)

        def boom(env: object) -> bool:
            if getattr(env["order"], "key", "") == "B":  # type: ignore[index]
                raise RuntimeError("a fault of ours")
            return False

        part = rule.when.parts[0].expression
        assert part is not None
        leaf = rule.when.parts[0].__class__("is", "when/0", part.place, part.__class__(
            part.text, part.place, part.type, part.reads, boom, boom, boom, part.explain))  # fmt: skip
        broken = refund_rule(id="broken", when=leaf)
        world = client(tmp_path / "a.db", small_rules(rule, broken))
        world.shop.books.orders["B"] = {}
        hear(world, an_order("B"), a_sale("T", "B"), an_rma("1002", sale_id="T"), an_order(), a_sale(), an_rma())
        assert [r["order"] for r in world.shop.books.refunds] == ["A"]
        assert world.exceptions() == ["engine_fault"]
        assert world.store.journal.behind() == 0


class TestLinking:
    def test_a_record_that_fits_no_order_waits_in_a_case_of_its_own(self, world: Client) -> None:
        hear(world, an_rma())
        (case,) = world.store.cases.listed(only_open=False, limit=10)
        assert (case.name, case.anchored) == ("rma:1001", False)
        assert world.shop.books.refunds == []

    def test_the_link_of_an_orphan_is_fetched(self, world: Client) -> None:
        hear(world, an_rma(), a_sale())
        assert world.shop.asked[0] == "fetch shop.order A"
        assert len(world.shop.books.refunds) == 1

    def test_a_link_that_leads_nowhere_is_fetched_less_and_less(self, world: Client) -> None:
        world.shop.books.orders.clear()
        hear(world, an_rma(), a_sale())
        on(world, days=5)
        assert 5 < world.shop.asked.count("fetch shop.order A") <= 10

    def test_what_waited_is_absorbed_with_its_memory_when_the_order_comes(self, world: Client) -> None:
        world.shop.books.orders.clear()
        hear(world, an_rma(status="rejected"))
        world.service.deed(Deed("person.answer", "rma:1001", only_key(world), "ann", "keep"))
        hear(world, a_sale(), an_order())
        (case,) = world.store.cases.listed(only_open=False, limit=10)
        assert case.name == "order:A"
        assert world.exceptions() == []
        assert [c.name for c in world.store.cases.find("1001")] == ["order:A"]

    def test_two_orphans_that_turn_out_to_be_one_share_a_case(self, world: Client) -> None:
        world.shop.books.orders.clear()
        hear(world, an_rma("1001"))
        hear(world, an_rma("1002"))
        assert [c.name for c in world.store.cases.listed(only_open=False, limit=10)] == ["rma:1001"]
        hear(world, a_sale(order_id=None))
        assert len(world.store.records.of_case(world.store.cases.find("1002")[0].id)) == 3

    def test_a_record_joins_every_order_it_belongs_to(self, world: Client) -> None:
        hear(world, an_order("A"), an_order("B"), a_sale("S", "A"), a_sale("T", "B"))
        shared = plain("ledger_line", "1", id="1", order_id="A")
        hear(world, shared)
        assert [c.name for c in world.store.cases.find("1")] == ["order:A"]

    def test_a_record_whose_link_changes_moves(self, world: Client) -> None:
        hear(world, an_order("A"), an_order("B"), a_sale("S", "A"))
        hear(world, a_sale("S", "B", at=NOON + HOUR))
        assert [c.name for c in world.store.cases.find("S")] == ["order:B"]
        hear(world, a_sale("S", None, at=NOON + 2 * HOUR))
        assert [c.name for c in world.store.cases.find("S")] == ["sale:S"]
        hear(world, a_sale("S", "A", at=NOON + 3 * HOUR))
        assert [c.name for c in world.store.cases.find("S")] == ["order:A"]


class TestIntake:
    def test_a_payload_that_cannot_be_read_is_set_aside_whole(self, world: Client) -> None:
        hear(world, plain("order", None), an_order())
        (aside,) = world.store.journal.waiting_aside()
        assert aside.reason == "no key"
        kept = world.store.journal.one(aside.seq)
        assert kept is not None
        assert kept.event == plain("order", None)
        assert world.exceptions() == ["set_aside"]
        assert world.store.cases.named("order:A") is not None

    def test_a_fault_of_ours_sets_the_event_aside(self, world: Client) -> None:
        hear(world, Event("shop", "shop.order", b'{"key": "A", "fault": true}', NOON, requested=True), an_order())
        assert [a.reason for a in world.store.journal.waiting_aside()] == ["fault: RuntimeError: a fault of ours"]
        assert world.store.cases.named("order:A") is not None

    def test_a_repeat_changes_nothing_but_is_journalled(self, world: Client) -> None:
        hear(world, an_order())
        case = world.store.cases.named("order:A")
        hear(world, an_order(at=NOON + HOUR))
        assert world.store.cases.named("order:A") == case
        assert world.store.counts()["journal"] == 2

    def test_a_hint_is_fetched(self, world: Client) -> None:
        hear(world, Hint("shop", Ref("shop.order", "A")))
        assert world.store.cases.named("order:A") is not None

    def test_a_fetch_that_fails_is_made_again(self, world: Client) -> None:
        world.shop.there["A"] = an_order()
        real, failing = world.shop.fetch, [TryLater("503"), RuntimeError("a bug")]

        async def fetch(ref: Ref) -> object:
            if failing:
                raise failing.pop(0)
            return await real(ref)

        world.shop.fetch = fetch  # type: ignore[method-assign, assignment]
        hear(world, Hint("shop", Ref("shop.order", "A")))
        assert world.store.cases.named("order:A") is None
        on(world, hours=1)
        assert world.store.cases.named("order:A") is not None


class TestPolls:
    def test_a_feed_is_polled_as_often_as_it_allows_and_from_its_cursor(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db")
        world.shop.feeds = {"orders": Feed("orders", timedelta(minutes=10))}
        world.shop.pages = [Page("c1", (an_order(),)), Page("c2", (), (Hint("shop", Ref("shop.order", "A")),))]
        on(world, minutes=25)
        polls = [a for a in world.shop.asked if a.startswith("poll")]
        assert polls == ["poll orders from ''", "poll orders from 'c2'", "poll orders from 'c2'"]
        assert "fetch shop.order A" in world.shop.asked

    def test_a_feed_that_fails_is_put_off_and_shown(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db")
        world.shop.feeds = {"orders": Feed("orders", timedelta(minutes=10))}

        def observe(feed: str, cursor: str) -> object:
            raise TryLater("503", timedelta(hours=2))

        world.shop.observe = observe  # type: ignore[method-assign, assignment]
        asyncio.run(world.service.step())
        assert [f["feed"] for f in world.service.status()["failing"]] == ["orders"]
        assert world.service.next_due() == NOON + 2 * HOUR

    def test_a_feed_that_keeps_failing_is_put_before_a_person_until_it_works(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db")
        world.shop.feeds = {"orders": Feed("orders", timedelta(minutes=10))}
        works = world.shop.observe

        def observe(feed: str, cursor: str) -> object:
            raise RuntimeError("a bug")

        world.shop.observe = observe  # type: ignore[method-assign, assignment]
        on(world, days=1)
        assert world.exceptions() == ["poll_failing"]
        world.shop.observe = works  # type: ignore[method-assign]
        on(world, hours=2)
        assert world.exceptions() == []

    def test_the_last_calls_of_a_day_are_not_for_polls(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", limits={"marketplace": [Limit(10, timedelta(days=1))]})
        world.shop.feeds = {"orders": Feed("orders", timedelta(minutes=1))}
        on(world, hours=2)
        assert len([a for a in world.shop.asked if a.startswith("poll")]) == 8
        hear(world, an_order(), a_sale(), an_rma())
        assert len(world.shop.books.refunds) == 1


class TestTime:
    def test_a_clock_runs_out_by_itself(self, world: Client) -> None:
        hear(world, an_order(), a_sale(), an_rma(status="approved"))
        on(world, hours=47)
        assert world.exceptions() == []
        on(world, hours=2)
        assert world.exceptions() == ["slow"]

    def test_a_clock_survives_a_restart(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db")
        hear(world, an_order(), a_sale(), an_rma(status="approved"))
        on(world, hours=30)
        asyncio.run(world.service.close())
        again = client(tmp_path / "a.db", now=NOON + timedelta(hours=30))
        on(again, hours=17)
        assert again.exceptions() == []
        on(again, hours=2)
        assert again.exceptions() == ["slow"]


def only_key(world: Client) -> str:
    (row,) = world.store.exceptions.listed()
    return row.entry.key


class TestPeople:
    def test_an_answer_closes_the_exception_and_is_journalled(self, world: Client) -> None:
        hear(world, an_order(), a_sale(), an_rma(status="rejected"))
        world.service.deed(Deed("person.answer", "order:A", only_key(world), "ann", "keep"))
        asyncio.run(world.service.step())
        assert world.exceptions() == []
        last = world.store.journal.after(0, 10)[-1].event
        assert (last.kind, last.about) == ("person.answer", "order:A")

    def test_what_cannot_be_done_is_said_before_it_is_written(self, world: Client) -> None:
        hear(world, an_order(), a_sale(), an_rma(status="rejected"))
        with pytest.raises(NotPossible, match="keep, pay"):
            world.service.deed(Deed("person.answer", "order:A", only_key(world), "ann", "perhaps"))
        with pytest.raises(NotPossible, match="no case"):
            world.service.deed(Deed("person.answer", "order:X", "k", "ann", "keep"))
        with pytest.raises(NotPossible, match="no effect"):
            world.service.deed(Deed("person.retry", "order:A", "refund:x", "ann"))
        with pytest.raises(NotPossible, match="not a field"):
            world.service.deed(Deed("person.correct", "order:A", "nonsense", "ann", "1"))
        assert world.store.journal.behind() == 0

    def test_resolving_puts_off_until_the_snooze_ends(self, world: Client) -> None:
        hear(world, an_order(), a_sale(), an_rma(status="approved"))
        on(world, hours=49)
        world.service.deed(Deed("person.resolve", "order:A", only_key(world), "ann"))
        asyncio.run(world.service.step())
        assert [x.entry.state for x in world.store.exceptions.listed()] == ["snoozed"]
        on(world, hours=49)
        assert [x.entry.state for x in world.store.exceptions.listed()] == ["open"]

    def test_only_a_milestone_is_corrected_by_hand(self, world: Client) -> None:
        hear(world, an_order(), a_sale(), an_rma(status="approved"))
        deed = Deed("person.correct", "order:A", "rma:1001.status", "ann", '"done"')
        with pytest.raises(NotPossible, match="no milestone"):
            world.service.deed(deed)
        world.service.hear([deed.event(NOON)])
        asyncio.run(world.service.step())
        assert world.shop.books.refunds == []
        assert [row.reason for row in world.store.journal.waiting_aside()] == [
            "rma.status is no milestone, and only those are corrected by hand: a rma has none"
        ]


class TestActivation:
    def test_a_changed_rule_set_looks_at_every_open_case(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", small_rules(refund_rule(mode="shadow")))
        hear(world, an_order(), a_sale(), an_rma())
        world.service.activate(small_rules(refund_rule(), hash="h2"), {})
        asyncio.run(world.service.step())
        assert len(world.shop.books.refunds) == 1

    def test_changed_mappings_read_again_what_was_set_aside(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", small_rules(mappings={**PLAIN, "desk.rma": ()}))
        hear(world, an_order(), a_sale(), an_rma())
        assert world.exceptions() == ["set_aside"]
        world.service.activate(small_rules(hash="h2"), {})
        asyncio.run(world.service.step())
        assert world.exceptions() == []
        assert world.store.journal.waiting_aside() == []
        assert len(world.shop.books.refunds) == 1

    def test_changed_mappings_read_the_latest_payloads_of_open_cases_anew(self, tmp_path: Path) -> None:
        class Vague(PlainMapping):
            """Does not know the word `done` yet."""

            def observe(self, event: Event) -> list[Observation] | SetAside:
                found = super().observe(event)
                assert isinstance(found, list)
                return [replace(o, fields={**o.fields, "status": Unreadable("done")}) for o in found]

        world = client(tmp_path / "a.db", small_rules(mappings={**PLAIN, "desk.rma": (Vague("desk.rma"),)}))
        hear(world, an_order(), a_sale(), an_rma())
        assert world.shop.books.refunds == []
        on(world, days=2)
        world.service.activate(small_rules(hash="h2"), {})
        asyncio.run(world.service.step())
        assert len(world.shop.books.refunds) == 1

    def test_a_store_belongs_to_one_client(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db")
        with pytest.raises(ValueError, match="store of small, not of other"):
            world.service.activate(small_rules(client="other"), {})

    def test_going_live_sends_what_shadow_only_showed(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", small_rules(mode="shadow"))
        hear(world, an_order(), a_sale(), an_rma())
        asyncio.run(world.service.close())
        again = client(tmp_path / "a.db", small_rules(hash="h2"), shop=world.shop)
        asyncio.run(again.service.step())
        assert len(again.shop.books.refunds) == 1
