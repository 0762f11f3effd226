"""The scenarios that come with the packs and the demo's client: what they promise is so, and no rule is without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.facts.outside import installed_actions
from engine.simulate.suite import Suite, suites
from engine.simulate.trying import try_scenario

ROOT = Path(__file__).parents[2]
SUITES = suites(ROOT, installed_actions())
EACH = [pytest.param(suite, scenario, id=f"{suite.name}: {scenario.title}") for suite in SUITES for scenario in suite.scenarios]


@pytest.mark.parametrize(("suite", "scenario"), EACH)
def test_it_is_as_promised(suite: Suite, scenario) -> None:
    tried = try_scenario(suite.rules_for(scenario), scenario)
    assert [(str(one.failure.place), one.failure.wanted, one.failure.actual) for one in tried.found] == []


def test_every_rule_of_the_base_pack_holds_somewhere_and_not_elsewhere_and_so_does_every_condition() -> None:
    (base,) = [suite for suite in SUITES if suite.name == "base"]
    coverage = base.coverage()
    for _ in base.run(coverage):
        pass
    assert [f"{p.place} {p.rule} {p.path} {p.told}" for p in coverage.missing()] == []
    assert len(coverage.rules) == len(base.rule_set.rules)
