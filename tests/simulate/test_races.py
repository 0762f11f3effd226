"""Races: planted faults are found and shown, and with none planted the base pack keeps its promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.simulate.races.racing import race
from engine.simulate.races.search import Limits
from tests.simulate.planted import FAULTS, Fault, of_client, project

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


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_without_the_fault_the_same_scenario_holds(root: Path, fault: Fault) -> None:
    rule_set, scenario = of_client(root, fault.sound, fault.title)
    raced = race(rule_set, scenario, Limits(fault.moves, 6000, 300))
    assert raced.breaches == ()
    assert raced.searched.complete == fault.moves
