"""Which rules scenario files name, without understanding the files: cheap enough for every check."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from engine.language.compiled import Rule
from engine.language.files import Files
from engine.language.node import Node
from engine.language.source import read_source
from engine.problems import Problem, Problems

SCENARIOS = ".test.yaml"


def scenario_files(files: Files, folder: str) -> Iterator[str]:
    """The names of the scenario files of a pack or client, such as `rules/base`."""
    return (name for name in files.below(folder) if name.endswith(SCENARIOS))


def rules_with_scenarios(files: Files, folders: Iterable[str], rules: Collection[str]) -> frozenset[str]:
    """Those of these rule ids that a scenario of these folders names: as what asks, forbids, raises or is answered.

    What is wrong with the files is told by `instep test`.
    """
    named: set[str] = set()
    for folder in folders:
        for name in scenario_files(files, folder):
            tree = read_source(files.contents.get(name, b""), name, Problems())
            if tree is not None:
                named.update(_words(tree))
    return frozenset(named.intersection(rules))


def untried_rules(files: Files, folders: Iterable[str], rules: Collection[Rule]) -> Iterator[Problem]:
    """The rules of these folders that no scenario names, though there are scenarios beside them."""
    for folder in folders:
        mine = {rule.id: rule for rule in rules if rule.place.file.startswith(f"{folder}/") and rule.mode != "off"}
        if mine and any(scenario_files(files, folder)):
            tried = rules_with_scenarios(files, [folder], mine)
            for rule in mine.values():
                if rule.id not in tried:
                    said = f'no scenario names the rule "{rule.id}": say in {folder}/<name>.test.yaml what it promises'
                    yield Problem(rule.place, "untried-rule", said)


def _words(tree: Node) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node.text
        yield from (entry.key for entry in node.entries)
        waiting.extend(node.elements)
        waiting.extend(entry.node for entry in node.entries)
