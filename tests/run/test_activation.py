"""A rule set is swapped in at once; what it leaves to be done never lets the old one decide anything more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.language.compiled import Forbid
from engine.language.ruleset import RuleSet
from engine.run.clock import VirtualClock
from engine.run.rules.comparison import Comparing, Comparison
from engine.run.service import Service
from engine.store.sqlite import SqliteStore
from tests.run.small import (
    HERE,
    NOON,
    PLAIN,
    Client,
    PlainMapping,
    a_sale,
    an_order,
    an_rma,
    client,
    hold_rule,
    plain,
    refund_rule,
    says,
    small_rules,
    status_is,
    when,
)  # fmt: skip


def hear(world: Client, *events: Any) -> None:
    world.service.hear(events)
    asyncio.run(world.service.step())


def orders(world: Client, count: int, status: str = "done") -> None:
    for n in range(count):
        world.shop.books.orders[f"O{n}"] = {}
        hear(world, an_order(f"O{n}"), a_sale(f"S{n}", f"O{n}"), an_rma(f"{1000 + n}", status=status, sale_id=f"S{n}"))


def compared(world: Client, candidate: RuleSet, *, alike: bool = True) -> Comparison:
    comparing = Comparing(world.store, world.service.worker, candidate, world.clock, alike=alike)
    for _ in comparing.steps():
        pass
    return comparing.finish()


def shadow(**more: Any) -> RuleSet:
    return small_rules(mode="shadow", **more)


class TestCatchingUp:
    def test_an_effect_that_is_due_is_not_sent_once_the_client_is_in_shadow(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", small_rules(cadence={"marketplace.refund": "daily 02:00"}))
        hear(world, an_order(), a_sale(), an_rma())
        world.clock.move(NOON + timedelta(hours=14, seconds=1))
        world.service.activate(shadow(hash="h2"), {})

        async def send_due() -> None:  # before any case was looked at anew
            world.service._dispatch.start_due(world.service._lanes)
            await world.service._lanes.finish()

        asyncio.run(send_due())
        assert world.shop.books.refunds == []
        asyncio.run(world.service.step())
        assert world.effects() == {"refund:A-1#1": "planned"}
        assert world.store.outbox.next_due(NOON) is None

    def test_going_live_sends_what_waited_and_what_since_leaves_out_stays(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", shadow())
        orders(world, 2)
        world.service.activate(small_rules(hash="h2", since=NOON + timedelta(days=1)), {})
        asyncio.run(world.service.step())
        assert world.shop.books.refunds == []
        world.service.activate(small_rules(hash="h3", since=NOON), {})
        asyncio.run(world.service.step())
        assert len(world.shop.books.refunds) == 2

    def test_a_swap_while_an_effect_is_looked_up_decides_with_the_new_rules(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db")

        class Swapping(type(world.shop)):  # type: ignore[misc]
            async def look_up(self, orders: Any) -> Any:
                world.service.activate(shadow(hash="h2"), {})
                return await super().look_up(orders)

        world.shop.__class__ = Swapping
        hear(world, an_order(), a_sale(), an_rma())
        assert world.shop.books.refunds == []
        assert world.effects() == {"refund:A-1#1": "planned"}

    def test_being_done_is_marked_and_a_process_that_ended_before_begins_anew(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", shadow())
        orders(world, 3)
        world.service.activate(small_rules(hash="h2"), {})
        row = world.store.rule_sets.current()
        assert row is not None
        assert row.caught_up_at is None
        world.store.close()  # killed
        again = client(tmp_path / "a.db", small_rules(hash="h2"), shop=world.shop)
        asyncio.run(again.service.step())
        assert len(again.shop.books.refunds) == 3
        row = again.store.rule_sets.current()
        assert row is not None
        assert row.caught_up_at is not None

    def test_a_case_that_cannot_be_mapped_anew_holds_up_no_other(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", shadow())
        orders(world, 3)
        faulty = status_is("done")
        faulty = replace(faulty, true=lambda env: 1 / 0 if env["rma"]["id"] == "1001" else faulty.value(env) is True)
        rule = refund_rule(when=when(faulty))
        world.service.activate(small_rules(rule, hash="h2"), {})
        asyncio.run(world.service.step())
        assert len(world.shop.books.refunds) == 2
        assert world.exceptions() == ["engine_fault"]
        assert world.service.worker.behind == 1

    def test_set_aside_payloads_are_not_asked_about_anew_where_mappings_did_not_change(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", small_rules(mapping_hash="m"))
        hear(world, plain("rma", None))
        (before,) = world.store.exceptions.listed()
        world.service.activate(small_rules(hash="h2", mapping_hash="m"), {})
        asyncio.run(world.service.step())
        assert [row.id for row in world.store.exceptions.listed()] == [before.id]


class TestComparison:
    def test_counts_what_only_the_candidate_would_send(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", shadow(max_new_effects=2))
        orders(world, 3)
        found = compared(world, small_rules(hash="h2"))
        assert [(one.case, one.key, one.rule) for one in found.new_effects()] == [
            (f"order:O{n}", f"refund:O{n}-1#1", "refund_when_done") for n in range(3)
        ]
        assert found.reasons() == ["it would at once send 3 effects in 3 cases; max_new_effects is 2"]

    def test_keeps_nothing(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", shadow())
        orders(world, 2)
        before = list(world.store._connection.iterdump())
        compared(world, small_rules(hash="h2"), alike=False)
        assert list(world.store._connection.iterdump()) == before

    def test_a_number_within_bounds_needs_nobody(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", shadow(max_new_effects=3))
        orders(world, 3)
        assert compared(world, small_rules(hash="h2")).reasons() == []

    def test_what_is_held_back_by_since_or_mode_is_not_counted(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", shadow(max_new_effects=0))
        orders(world, 2)
        assert compared(world, small_rules(hash="h2", since=NOON + timedelta(days=1))).reasons() == []
        assert compared(world, shadow(hash="h3")).reasons() == []

    def test_what_new_mappings_make_of_kept_payloads_counts(self, tmp_path: Path) -> None:
        class Vague(PlainMapping):
            def observe(self, event: Any) -> Any:
                found = super().observe(event)
                assert isinstance(found, list)
                return [replace(one, fields={**one.fields, "status": "approved"}) for one in found]

        world = client(tmp_path / "a.db", small_rules(mappings={**PLAIN, "desk.rma": (Vague("desk.rma"),)}, max_new_effects=0))
        hear(world, an_order(), a_sale(), an_rma())
        candidate = small_rules(hash="h2")
        assert compared(world, candidate, alike=False).reasons() == [
            "it would at once send 1 effect in 1 case; max_new_effects is 0"
        ]

    @pytest.mark.parametrize(
        ("change", "ended"),
        [
            ({}, False),
            ({"id": "renamed"}, False),
            ({"mode": "shadow"}, True),
            ({"mode": "off"}, True),
            ({"rank": 2, "group": "refund"}, True),
        ],
    )
    def test_a_veto_in_force_ends_only_where_nothing_upholds_it(
        self, tmp_path: Path, change: Mapping[str, Any], *, ended: bool
    ) -> None:
        world = client(tmp_path / "a.db")
        hear(world, plain("seller", "1", id="1", state="suspended"), an_order(), a_sale(), an_rma())
        found = compared(world, small_rules(refund_rule(), replace(hold_rule(), **change), hash="h2"))
        assert bool(found.ended_vetoes()) is ended
        assert found.reasons() == (["it would end a veto in force in 1 case: suspended"] if ended else [])

    def test_a_veto_that_binds_less_than_before_is_ended(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db")
        hear(world, plain("seller", "1", id="1", state="suspended"), an_order(), a_sale(), an_rma())
        partial = (Forbid(("marketplace.refund",), says("the shop is suspended"), HERE, partial=True),)
        found = compared(world, small_rules(refund_rule(), replace(hold_rule(), forbids=partial), hash="h2"))
        assert [(one.case, one.rule, one.action) for one in found.ended_vetoes()] == [
            ("order:A", "suspended", "marketplace.refund")
        ]

    def test_a_case_the_candidate_cannot_decide_is_a_reason(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", shadow())
        orders(world, 1)
        faulty = replace(status_is("done"), true=lambda _: 1 / 0)
        (reason,) = compared(world, small_rules(refund_rule(when=when(faulty)), hash="h2")).reasons()
        assert reason == "1 case cannot be decided with it: order:O0: ZeroDivisionError: division by zero"

    def test_a_case_that_moves_on_meanwhile_is_compared_as_it_is_at_the_swap(self, tmp_path: Path) -> None:
        world = client(tmp_path / "a.db", shadow(max_new_effects=0))
        orders(world, 1, status="approved")
        hear(world, an_order("A"), a_sale(), an_rma(status="approved"))
        comparing = Comparing(world.store, world.service.worker, small_rules(hash="h2"), world.clock, alike=True)
        for _ in comparing.steps():
            pass
        assert comparing.found.new_effects() == []
        hear(world, an_rma(status="done", at=NOON + timedelta(minutes=1)))
        assert [one.case for one in comparing.finish().new_effects()] == ["order:A"]


def test_killed_at_any_point_of_a_swap_the_active_set_is_in_the_journal(tmp_path: Path) -> None:
    class KilledError(BaseException):
        pass

    for point in ("journalled", "committed", "swapped"):
        path = tmp_path / f"{point}.db"
        world = client(path, shadow())
        orders(world, 1)

        def die(passed: str, at: str = point) -> None:
            if passed == at:
                raise KilledError

        world.service._points = die
        with pytest.raises(KilledError):
            world.service.activate(small_rules(hash="h2"), {"a.yaml": "a"})
        world.store._connection.close()
        world.store._lock.release()  # type: ignore[union-attr]
        opened = SqliteStore.open(path)
        row = opened.rule_sets.current()
        assert row is not None
        assert row.hash == ("h1" if point == "journalled" else "h2")
        again = Service(opened, small_rules(hash=row.hash, mode="shadow"), {}, VirtualClock(world.clock()))
        asyncio.run(again.step())
        current = opened.rule_sets.current()
        assert current is not None
        assert current.caught_up_at is not None
        opened.close()
