"""Which rules scenario files name, without understanding the files: cheap enough for every check."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from engine.language.files import Files
from engine.language.node import Node
from engine.language.source import read_source
from engine.problems import Problems

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


def _words(tree: Node) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node.text
        yield from (entry.key for entry in node.entries)
        waiting.extend(node.elements)
        waiting.extend(entry.node for entry in node.entries)
