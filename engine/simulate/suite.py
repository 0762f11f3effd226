"""The scenarios of packs and clients, found, read and tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.facts.outside import Action
from engine.language.assemble import assemble, with_params
from engine.language.files import CLIENTS, Files, read_files, shipped_root
from engine.language.ingredients import Ingredients
from engine.language.node import Node
from engine.language.pack import clients, gathered, packs
from engine.language.ruleset import RuleSet
from engine.language.scenario_names import SCENARIOS, scenario_files
from engine.problems import Place, Problems, ProblemsFound, did_you_mean
from engine.simulate.coverage import Coverage
from engine.simulate.scenario import Scenario
from engine.simulate.scenario_file import ScenarioFiles
from engine.simulate.trying import Tried, try_scenario

BASE = "base"


@dataclass(slots=True)
class Suite:
    """The scenarios of one pack or client, with the rule sets they are tried under: its own, and with what they assume."""

    name: str
    folder: str  # rules/base, rules/clients/acme
    rule_set: RuleSet
    scenarios: tuple[Scenario, ...]
    variants: Mapping[str, RuleSet] = field(default_factory=dict)

    def rules_for(self, scenario: Scenario) -> RuleSet:
        return self.rule_set if scenario.assuming is None else self.variants[_name(scenario.assuming)]

    def run(self, coverage: Coverage | None = None) -> Iterator[Tried]:
        """Try each in turn."""
        watch = None if coverage is None else coverage.watch
        for scenario in self.scenarios:
            yield try_scenario(self.rules_for(scenario), scenario, watch)

    def coverage(self) -> Coverage:
        return Coverage(self.rule_set, self.folder)


@dataclass(frozen=True, slots=True)
class _Ground:
    """Where a pack's or client's rules come from."""

    files: Files
    name: str
    client: str | None
    alone: tuple[str, ...]
    actions: Mapping[str, Action]

    @property
    def folder(self) -> str:
        return f"rules/{self.name}" if self.client is None else f"{CLIENTS}/{self.client}"

    def gathered(self, problems: Problems, assuming: Node | None = None) -> Ingredients | None:
        return gathered(self.files, self.client, self.actions, problems, alone=self.alone, assuming=assuming)


def suites(root: Path, actions: Mapping[str, Action], only: str | None = None, below: Sequence[str] = ()) -> tuple[Suite, ...]:
    """Every pack and client that has scenarios, or `only` the one of this name, or those with files `below` these names.

    Raises `ProblemsFound` with every problem of every file where rules or scenarios are not understood.
    """
    problems = Problems()
    files = read_files(root)
    grounds = _grounds(files, actions, only, problems)
    _refuse_unread(files, grounds, problems)
    found = [suite for ground in grounds if (suite := _suite(ground, root, below, problems)) is not None]
    if problems.errors:
        raise ProblemsFound(problems)
    return tuple(found)


def _grounds(files: Files, actions: Mapping[str, Action], only: str | None, problems: Problems) -> list[_Ground]:
    here, theirs = packs(files), clients(files)
    if only is not None and only not in (*here, *theirs):
        said = f'there is no client or pack "{only}"{did_you_mean(only, (*here, *theirs))}'
        problems.add(Place("rules"), "unknown-client", said)
    found = [_Ground(files, name, None, (BASE, name) if name != BASE and BASE in here else (name,), actions) for name in here]
    found += [_Ground(files, name, name, (), actions) for name in theirs]
    return [ground for ground in found if only in {None, ground.name}]


def _refuse_unread(files: Files, grounds: Sequence[_Ground], problems: Problems) -> None:
    """A scenario that nobody tries looks like one that passes."""
    for name in files.names:
        if name.endswith(".test.yml") and any(name.startswith(f"{ground.folder}/") for ground in grounds):
            problems.add(Place(name), "not-read", "this file is not read: its name must end in .test.yaml")
        elif name.endswith(SCENARIOS) and not name.startswith("rules/"):
            problems.add(Place(name), "not-read", "this file is not read: scenarios stand beside the rules they try")


def _suite(ground: _Ground, root: Path, below: Sequence[str], problems: Problems) -> Suite | None:
    wanted = [name for name in scenario_files(ground.files, ground.folder) if not below or _is_below(name, below)]
    if not wanted:
        return None
    mine = Problems()
    given = ground.gathered(mine)
    rule_set = None if given is None else assemble(given, mine)
    if given is None or rule_set is None or mine.errors:
        problems.extend(mine)
        return None
    read = ScenarioFiles(ground.files, (root, shipped_root()))
    extended = given.client.extends if given.client is not None else ground.alone
    for folder in dict.fromkeys((*(f"rules/{name}" for name in extended), ground.folder)):
        for name in scenario_files(ground.files, folder):
            read.add(name, mine, only_samples=name not in wanted)
    scenarios = tuple(read.scenarios(rule_set, mine))
    variants = _variants(ground, given, rule_set, scenarios, mine)
    problems.extend(mine)
    return Suite(ground.name, ground.folder, rule_set, scenarios, variants)


def _is_below(name: str, below: Sequence[str]) -> bool:
    return any(name == each or name.startswith(f"{each}/") for each in below)


def _name(assuming: Node) -> str:
    return repr(assuming.plain())


def _variants(
    ground: _Ground, given: Ingredients, rule_set: RuleSet, scenarios: Sequence[Scenario], problems: Problems
) -> dict[str, RuleSet]:
    """A rule set for each different thing that is assumed. Parameters alone need no new compilation."""
    assumed = {_name(s.assuming): s.assuming for s in scenarios if s.assuming is not None}
    compiled: dict[str, tuple[Ingredients, RuleSet]] = {"{}": (given, rule_set)}
    found: dict[str, RuleSet] = {}
    for name, node in assumed.items():
        params = node.get("params")
        rest = Node("map", node.place, entries=tuple(e for e in node.entries if e.key != "params"))
        key = _name(rest)
        if key not in compiled:
            again = ground.gathered(problems, rest)
            if again is None:
                continue
            compiled[key] = (again, assemble(again, problems))
        base, set_ = compiled[key]
        whole = node if base.client_node is None else base.client_node.overlaid(node)
        found[name] = set_ if params is None else with_params(set_, base, whole, problems)
    return found
