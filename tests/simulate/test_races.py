"""Races: planted faults are found and shown, and with none planted the base pack keeps its promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine import cli
from engine.facts.effects import EffectState
from engine.facts.outside import installed_actions
from engine.simulate.races.moves import Move, Moves, Taken
from engine.simulate.races.racing import Raced, race, why_not
from engine.simulate.races.search import Limits
from engine.simulate.races.state import State
from engine.simulate.races.written import scenario_file
from engine.simulate.suite import suites
from engine.simulate.trying import Tried
from tests.simulate.planted import FAULTS, ROOT, Fault, of_client, project

QUICK = Limits(moves=1, most=6000, seconds=300)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("races"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found_with_its_counterexample(root: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    rule_set, scenario = of_client(root, fault.client, fault.title)
    fault.plant(monkeypatch)
    raced = race(fault.change(rule_set), scenario, QUICK)
    assert fault.promise in [b.promise for b in raced.breaches]
    assert [told.text for at in raced.timeline for told in at.told]
    monkeypatch.undo()
    assert written_and_tried(root, fault, raced).passes > 0


def written_and_tried(root: Path, fault: Fault, raced: Raced) -> Tried:
    """The counterexample as a scenario of the same client, run like any other."""
    file = root / "rules" / "clients" / fault.client / "written.test.yaml"
    try:
        file.write_text(scenario_file(raced, of_client(root, fault.client, fault.title)[0].vocabulary))
        (suite,) = suites(root, installed_actions(), fault.client, (file.relative_to(root).as_posix(),))
        (tried,) = suite.run()
    finally:
        file.unlink(missing_ok=True)
    return tried


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_without_the_fault_the_same_scenario_holds(root: Path, fault: Fault) -> None:
    rule_set, scenario = of_client(root, fault.sound, fault.title)
    raced = race(rule_set, scenario, Limits(fault.moves, 6000, 300))
    assert raced.breaches == ()
    assert raced.searched.complete == fault.moves


def test_orders_that_are_left_out_lead_nowhere_else(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every order tried the same moments are met, only by more ways."""
    rule_set, scenario = of_client(root, "acme", "A return that is approved and then called off")
    spared = race(rule_set, scenario, QUICK).searched
    monkeypatch.setattr(Move, "independent_of", lambda *_: False)
    whole = race(rule_set, scenario, QUICK).searched
    assert spared.bound == whole.bound == ""
    assert spared.states == whole.states
    assert spared.spared > whole.spared
    assert spared.transitions < whole.transitions


def test_a_refusal_that_passes_by_itself_is_tried_again_as_the_service_does(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule_set, scenario = of_client(root, "acme", "A return that is approved and then called off")
    tried: list[tuple[str, str]] = []
    anew = Moves._anew

    def noted(self: Moves, state: State, effect: EffectState) -> Taken:
        taken = anew(self, state, effect)
        after = taken.state.play.memory.effect(effect.key)
        tried.append((effect.reason, after.status if after else "withdrawn"))
        return taken

    monkeypatch.setattr(Moves, "_anew", noted)
    assert race(rule_set, scenario, QUICK).breaches == ()
    assert {reason for reason, _ in tried} == {"balance_too_low"}
    assert "planned" in {after for _, after in tried}


def test_races_come_out_the_same_every_time(root: Path) -> None:
    rule_set, scenario = of_client(root, "hasty", "A rejected pair")
    first, second = (race(rule_set, scenario, QUICK) for _ in range(2))
    assert (first.searched.path, first.searched.states) == (second.searched.path, second.searched.states)
    assert first.timeline == second.timeline


def said(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["races", *options])
    return result.exit_code, result.output


def test_a_broken_promise_is_told_as_a_timeline_and_written_as_a_scenario_that_fails(root: Path, tmp_path: Path) -> None:
    found = root / "rules" / "clients" / "hasty" / "found.test.yaml"
    try:
        code, told = said(str(root / "rules/clients/hasty"), "-k", "rejected pair", "--moves", "0", "--write", str(found))
        assert code == 1
        assert "nothing is sent under a veto" in told
        assert "verdict.yaml" in told
        assert "begun (marketplace.refund L1#1 50.00 EUR by refund_before_deadline" in told
        result = CliRunner().invoke(cli.app, ["test", str(found)])
        assert result.exit_code == 1
        assert "not marketplace.refund" in result.output or "no marketplace.refund" in result.output
    finally:
        found.unlink(missing_ok=True)


def test_the_reached_bound_is_said_plainly(root: Path) -> None:
    _, told = said(str(root / "rules/clients/acme"), "-k", "A parcel is scanned", "--most", "50")
    assert "stopped at 50 states" in told
    code, text = said(str(root / "rules/clients/acme"), "-k", "A parcel is scanned", "--moves", "0", "--json")
    (one,) = json.loads(text)["scenarios"]
    assert code == 0
    assert one["held"]
    assert one["complete_deviations"] == 0
    assert not one["exhausted"]


def test_a_scenario_that_cannot_be_raced_says_why(root: Path) -> None:
    code, told = said(str(root / "rules/base/cancellation.test.yaml"), "-k", "Pieces taken off a sale we know no order of")
    assert code == 2
    assert "it has no order" in told


ACTORS = {"an agent", "the customer", "somebody", "act", "see", "send", "restart"}


def names_of_actors(one: Raced) -> set[str]:
    return {actor for actor in ACTORS if any(name.startswith(actor) for name in one.searched.kinds)}


@pytest.mark.long
def test_the_base_pack_keeps_its_promises_whatever_goes_wrong() -> None:
    """Agent, customer, store, network, outside systems and restarts, each at every moment, over every fifth scenario."""
    (suite,) = suites(ROOT, installed_actions(), "base")
    scenarios = [s for s in suite.scenarios if not why_not(s)][::5]
    found = [race(suite.rules_for(s), s, Limits(1, 8000, 600)) for s in scenarios]
    assert len(found) >= 20
    assert {one.scenario.title: one.breaches for one in found if one.breaches} == {}
    assert sum(len(names_of_actors(one)) >= 5 for one in found) >= 20


@pytest.mark.long
@pytest.mark.parametrize("title", ["A return goes its whole way and troubles nobody", "Two returns of one piece are one refund"])
def test_two_things_may_go_wrong_at_once(title: str) -> None:
    (suite,) = suites(ROOT, installed_actions(), "base")
    scenario = next(s for s in suite.scenarios if s.title == title)
    found = race(suite.rules_for(scenario), scenario, Limits(2, 30_000, 600))
    assert found.breaches == ()
    assert found.searched.complete >= 1
