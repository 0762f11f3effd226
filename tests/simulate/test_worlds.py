"""Worlds: the same for the same seed, judged by their own books, and telling of a change of the rules what it does."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from engine.cli import app
from engine.facts.outside import ROLES
from engine.language.files import WORLDS, Files, read_files
from engine.language.source import read_source
from engine.language.worlds.chances import Spread, Weights
from engine.language.worlds.files import world_named, worlds_in
from engine.language.worlds.world import People, Platform, Platforms, World, read_world
from engine.problems import Problems
from engine.simulate.worlds.figures import Times, backlog
from engine.simulate.worlds.plot import orders, stream
from engine.simulate.worlds.season import Outcome, Season, simulate_season
from engine.simulate.worlds.told import broken, world_json

ROOT = Path(__file__).parents[2]
LONDON = ZoneInfo("Europe/London")
DEMO = "rules/clients/demo/client.yaml"


@cache
def shipped() -> Files:
    return read_files(ROOT)


def world(name: str) -> World:
    return world_named(shipped(), name)


def refunding_on(what: str) -> Mapping[str, bytes]:
    """The demo's files with another moment of refunds, within the marketplace's own limit."""
    text = shipped().contents[DEMO].decode()
    changed = text.replace("refund_on: inspection", f"refund_on: {what}").replace("refund_within: 12h", "refund_within: 48h")
    assert changed != text
    return {**shipped().contents, DEMO: changed.encode()}


def outcome(of: World, *, on: str = "first_scan", against: str = "", days: int = 4, seed: int = 1, workers: int = 1) -> Outcome:
    season = Season("demo", of, refunding_on(on), refunding_on(against) if against else None, days, seed)
    return simulate_season(season, workers=workers)


def test_the_same_seed_is_the_same_world_with_one_process_or_two() -> None:
    one = outcome(world("hostile"), against="inspection", days=2)
    two = outcome(world("hostile"), against="inspection", days=2, workers=2)
    assert json.dumps(world_json(one), default=str) == json.dumps(world_json(two), default=str)


def test_another_seed_is_another_world() -> None:
    calm = world("calm")
    assert orders(calm, 1, 3, LONDON) == orders(calm, 1, 3, LONDON)
    assert orders(calm, 1, 3, LONDON) != orders(calm, 2, 3, LONDON)


def test_one_more_habit_of_somebody_changes_nobody_elses_choices() -> None:
    hostile = world("hostile")
    bare = replace(hostile, agents=replace(hostile.agents, goodwill=0.0))
    with_gestures, without = (orders(w, 1, 5, LONDON) for w in (hostile, bare))
    assert [o.returns for o in with_gestures] == [o.returns for o in without]
    assert [[d for d in o.by_hand if d.what != "goodwill"] for o in with_gestures] == [list(o.by_hand) for o in without]


@pytest.mark.parametrize("on", ["first_scan", "receipt", "inspection"])
def test_a_calm_world_breaks_no_promise_and_bothers_nobody(on: str) -> None:
    after = outcome(world("calm"), on=on).after
    assert after.owed
    assert after.from_scan.count == after.owed
    assert (after.exceptions, after.late, after.never) == (0, 0, 0)
    assert not broken(outcome(world("calm"), on=on, days=1))


@pytest.mark.parametrize("on", ["first_scan", "receipt", "inspection"])
def test_a_hostile_world_keeps_every_promise_by_its_own_books(on: str) -> None:
    after = outcome(world("hostile"), on=on, days=6, seed=3).after
    assert after.owed > 50
    assert after.exceptions
    assert (after.twice, after.too_much, after.unpaid, after.left_alone, after.promises) == ([], [], [], [], {})


def test_the_race_no_look_up_can_see_is_told_apart_and_found_by_the_engine_itself() -> None:
    """Somebody refunds after our look-up and before our refund: the piece is paid twice, and the rules say so at once."""
    bought = replace(busy().customers, pieces=Weights((2,), (1.0,)), partial_returns=1.0)
    racing = replace(busy(), customers=bought, agents=replace(world("calm").agents, while_we_send=1.0))
    after = outcome(racing, days=1).after
    assert after.raced
    assert after.twice_in_race
    assert (after.twice, after.promises) == ([], {})
    assert sum(after.promises_in_race.values()) == len(after.twice_in_race)


def test_a_rule_set_that_pays_too_soon_and_too_much_is_seen_by_the_books() -> None:
    """The books are not the engine's: with the marketplace's limit at an hour, refunds on inspection are late by them alone."""
    strict = replace(world("calm"), refund_within=3600.0)
    after = outcome(strict, on="inspection", days=2).after
    assert after.late == after.owed > 0
    assert after.unpaid


def test_refunding_on_receipt_is_sooner_than_on_inspection_and_pays_for_more_that_never_came() -> None:
    doubtful = replace(world("calm"), warehouse=replace(world("calm").warehouse, rejects=0.3))
    slow = replace(doubtful, refund_within=30 * 86400.0, people=People(answers=0.0))
    text = {on: {**(files := refunding_on(on)), DEMO: files[DEMO].replace(b"48h", b"30d")} for on in ("receipt", "inspection")}
    found = simulate_season(Season("demo", slow, text["receipt"], text["inspection"], days=5))
    assert found.before is not None
    assert found.after.from_scan.median < found.before.from_scan.median
    assert found.after.from_receipt.median < found.before.from_receipt.median
    assert found.after.without_goods > found.before.without_goods == 0
    assert found.differing
    assert found.kinds["effect added", "refund_on_receipt"]


def test_two_rule_sets_that_are_the_same_differ_in_nothing() -> None:
    found = outcome(world("hostile"), against="first_scan", days=2)
    assert found.before is not None
    assert (found.differing, found.kinds, found.before.money) == (0, {}, found.after.money)


def busy(**platforms: Platform) -> World:
    """A calm world in which much comes back, with these systems."""
    calm = world("calm")
    many = replace(calm.customers, orders=25.0, returns=0.7)
    return replace(calm, customers=many, platforms=replace(Platforms(), **platforms))


def test_no_budget_is_ever_exceeded_and_what_had_to_wait_is_done_later() -> None:
    tight = outcome(busy(marketplace=Platform(budget=18), warehouse=Platform(budget=18)), days=3).after
    free = outcome(busy(), days=3).after
    assert max(free.calls["marketplace"].values()) > 18
    assert max(free.calls["warehouse"].values()) > 18
    assert max(tight.calls["marketplace"].values()) == 18
    assert max(tight.calls["warehouse"].values()) == 18
    assert tight.from_scan.p99 > free.from_scan.p99
    assert tight.from_scan.count == free.from_scan.count
    assert (tight.twice, tight.unpaid, tight.left_alone) == ([], [], [])


def test_polls_leave_the_last_fifth_of_a_budget_to_what_is_sent() -> None:
    calls = outcome(busy(marketplace=Platform(polled=900.0, budget=90)), days=2).after.calls["marketplace"]
    whole_days = list(calls.values())[:-1]
    assert max(whole_days) <= 90
    assert min(whole_days) >= 72


def test_a_budget_gives_the_same_result_for_any_number_of_processes() -> None:
    tight = busy(marketplace=Platform(polled=1800.0, budget=50, times_out=0.3))
    one, two = (outcome(tight, days=3, workers=workers) for workers in (1, 2))
    assert world_json(one) == world_json(two)
    assert 50 in one.after.calls["marketplace"].values()


def test_the_warehouse_receives_no_more_parcels_in_a_day_than_it_can() -> None:
    small = replace(busy(), warehouse=replace(world("calm").warehouse, receives=3.0))
    days: dict[str, int] = {}
    for one in (each for order in orders(small, 1, 3, LONDON) for each in order.returns):
        assert one.received_at is not None
        day = one.received_at.astimezone(LONDON).date().isoformat()
        days[day] = days.get(day, 0) + 1
    assert max(days.values()) == 3
    assert max(backlog(orders(small, 1, 3, LONDON), LONDON).values()) > 3


def test_every_shipped_world_is_understood_and_has_a_title() -> None:
    names = worlds_in(shipped())
    assert {"calm", "hostile", "peak"} <= set(names)
    assert all(world(name).title for name in names)


def test_a_spread_is_what_it_says() -> None:
    random = stream(1, "spread")
    drawn = sorted(Spread(10.0, 40.0).draw(random) for _ in range(4000))
    assert drawn[2000] == pytest.approx(10, rel=0.1)
    assert drawn[3600] == pytest.approx(40, rel=0.15)
    even = [Spread(1.0, 2.0, even=True).draw(random) for _ in range(500)]
    assert 1 <= min(even) < 1.1 < 1.9 < max(even) <= 2


def test_times_are_ranks_of_what_was_measured() -> None:
    assert Times.of([float(n) for n in range(1, 101)]) == Times(100, 50, 90, 99)
    assert Times.of([]) == Times(0, 0, 0, 0)


MISPRINTS = {
    "customers: {order: 3 per day}": '1:13: unknown-key: "customers" has no key "order" (did you mean "orders"?)',
    "customers: {orders: 3}": '1:21: bad-value: "orders" must be a rate such as 40 per day, not the number 3',
    "customers: {orders: 3 per day, returns: 0.3}": '1:41: bad-value: "returns" must be a share such as 3%, not the number 0.3',
    "customers: {orders: 3 per day, returns: 130%}": '1:41: bad-value: "returns" is 130%: there is no more than 100%',
    "customers: {orders: 3 per day, asks_after: {median: 5d, p90: 2d}}": (
        '1:62: bad-value: p90 of "asks_after" must not be less than its median'
    ),
    "customers: {orders: 3 per day, asks_after: {medain: 5d, p90: 9d}}": (
        '1:45: unknown-key: "asks_after", written as 2d or {median: 2d, p90: 5d}, has no key "medain" (did you mean "median"?)'
    ),
    "customers: {orders: 3 per day, asks_after: 5}": "1:44: bad-duration:",
    "customers: {orders: 3 per day, lines: {one: 60%, two: 30%}}": (
        '1:39: bad-value: the shares of "lines" make up 0.9 of the whole'
    ),
    "customers: {orders: 3 per day, lines: {thre: 100%}}": (
        '1:40: bad-value: "lines" is about one to ten, not "thre" (did you mean "three"?)'
    ),
    "customers: {orders: 3 per day, hours: {8-25: 100%}}": '1:40: bad-value: "hours" is about hours of a day such as 08-18',
    "customers: {orders: 3 per day, week: {saturday: 120%}}": '1:39: unknown-key: "week" has no key "saturday"',
    "customers: {orders: 3 per day, peaks: {sale: {from: 2026-11-30, to: 2026-11-27, times: 2}}}": (
        '1:69: bad-value: the peak "sale" ends on 2026-11-27, before it begins on 2026-11-30'
    ),
    "customers: {orders: 3 per day}\nplatforms: {markteplace: {}}": (
        '2:13: unknown-key: "platforms" has no key "markteplace" (did you mean "marketplace"?)'
    ),
    "customers: {orders: 3 per day}\nplatforms: {returns: {loses: 1%, tells_after: 1m}}": (
        "2:23: bad-value: what returns loses is never seen unless it is asked as well: say how often it is polled"
    ),
    "customers: {orders: 3 per day}\nplatforms: {store: {loses: 1%}}": (
        "2:21: bad-value: store tells nothing by itself that it could lose: say tells_after"
    ),
    "customers: {orders: 3 per day}\nplatforms: {store: {polled: 5s}}": "2:29: bad-value: store is polled every 5s",
    "customers: {orders: 3 per day}\nplatforms: {store: {budget: many}}": (
        '2:29: bad-value: "budget" must be a whole number above 0'
    ),
    "customers: {orders: 3 per day}\npeople: {owners: {finance: {answers: most}}}": (
        '2:38: bad-value: "answers" must be a share such as 3%, not "most"'
    ),
    "customers: {orders: 3 per day}\nstarts: next week": (
        '2:9: bad-value: "starts" must be a date such as 2026-11-27, not "next week"'
    ),
    "customers: {orders: 3 per day}\ncurrency: euro": '2:11: bad-value: "currency" must be a currency such as EUR, not "euro"',
    "title: nobody": '1:1: missing-key: a world file needs the key "customers"',
    "[]": "1:1: wrong-shape: a world file must be a mapping, not a list",
}


@pytest.mark.parametrize("text", MISPRINTS)
def test_a_misprint_is_told_with_its_place_and_what_is_wanted(text: str) -> None:
    problems = Problems()
    node = read_source(text, "w.yaml", problems)
    assert node is not None
    assert read_world(node, problems) is None
    told = [f"{p.place.line}:{p.place.column}: {p.code}: {p.message}" for p in problems]
    assert any(each.startswith(MISPRINTS[text]) for each in told), told


def test_check_reads_worlds_and_no_rule_set_is_made_from_them(tmp_path: Path) -> None:
    (tmp_path / WORLDS).mkdir(parents=True)
    (tmp_path / WORLDS / "ours.yaml").write_text("customers: {orders: 3 per day, retuns: 3%}\n")
    found = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert found.exit_code == 1
    assert "rules/worlds/ours.yaml:1:32" in found.output
    assert 'did you mean "returns"' in found.output.replace("\n", " ")
    assert read_files(tmp_path).digest("demo") == shipped().digest("demo")


def test_the_command_plays_a_world_and_says_what_came_of_it(tmp_path: Path) -> None:
    page = tmp_path / "world.html"
    asked = ["simulate", "demo", "--world", "calm", "--days", "2", "--workers", "1", "--root", str(ROOT)]
    told = CliRunner().invoke(app, [*asked, "--html", str(page)])
    assert told.exit_code == 0, told.output
    assert "refunded twice" in told.output
    assert "<script" not in page.read_text()
    found = CliRunner().invoke(app, [*asked, "--json"])
    assert json.loads(found.output)["with_it"]["refunded_twice"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--world", "caml"], 'did you mean "calm"'),
        (["--world", "calm", "--history", "x.jsonl"], "--history is about a recorded history"),
        (["--world", "calm", "--against", "nowhere"], "names no rule set"),
    ],
)
def test_what_is_asked_wrongly_is_told(arguments: list[str], said: str) -> None:
    found = CliRunner().invoke(app, ["simulate", "demo", *arguments, "--root", str(ROOT)])
    assert found.exit_code == 2
    assert said in found.stderr.replace("\n", " ")


def test_no_role_is_forgotten() -> None:
    assert all(isinstance(Platforms().of(role), Platform) for role in ROLES)


def test_a_return_nobody_sends_is_asked_about_before_the_world_ends() -> None:
    """A world goes on long enough for what only time brings up."""
    forgotten = replace(world("calm"), customers=replace(world("calm").customers, returns=0.9, never_sends=1.0))
    told = outcome(forgotten, days=1).after.seen.exceptions
    assert told["parcel_never_scanned", "customer service"]


@pytest.mark.long
@pytest.mark.parametrize("on", ["first_scan", "receipt", "inspection"])
def test_a_hostile_month_keeps_every_promise(on: str) -> None:
    after = outcome(world("hostile"), on=on, days=30, seed=11, workers=os.cpu_count() or 1).after
    assert after.owed > 500
    assert (after.twice, after.too_much, after.unpaid, after.left_alone, after.promises) == ([], [], [], [], {})
