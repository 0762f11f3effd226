"""What the rule files of a set say, gathered by section before anything is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.language.files import Files
from engine.language.forms import RULE_FILE
from engine.language.node import Entry, Node
from engine.language.override import Definition, is_override, settled
from engine.language.source import read_source
from engine.problems import Place, Problems

_NAMED = {"params": "the parameter", "facts": "the fact", "tables": "the table", "rules": "the rule", "promises": "the promise"}


@dataclass(slots=True)
class Sections:
    """All definitions by section and id, and the one order of precedence. Add every file, then `settle`."""

    params: dict[str, Definition] = field(default_factory=dict)
    facts: dict[str, Definition] = field(default_factory=dict)
    tables: dict[str, Definition] = field(default_factory=dict)
    rules: dict[str, Definition] = field(default_factory=dict)
    promises: dict[str, Definition] = field(default_factory=dict)
    precedence: tuple[str, ...] = ()
    precedence_place: Place | None = None
    _said: dict[str, dict[str, list[Entry]]] = field(default_factory=dict)  # section -> id -> all that files say, as read

    def entries(self) -> Iterator[Definition]:
        """Every definition of every section."""
        for section in _NAMED:
            yield from getattr(self, section).values()

    def add(self, node: Node, problems: Problems) -> None:
        """One rule file more, those of packs first in the order they are extended, then the client's own."""
        if node.is_null:  # an empty file says nothing
            return
        node.expect_form(problems, "a rule file", RULE_FILE)
        for key, place, inner in node.items():
            if key == "precedence":
                self._order(place, inner, problems)
            elif key in _NAMED and inner.expect_map(problems, f'"{key}"'):
                self._gather(key, inner)

    def _gather(self, section: str, node: Node) -> None:
        said = self._said.setdefault(section, {})
        for entry in node.entries:
            said.setdefault(entry.key, []).append(entry)

    def settle(self, problems: Problems) -> None:
        """Definitions with their overrides. What is defined twice is a problem naming both places."""
        for section, said in self._said.items():
            known = [key for key, entries in said.items() if not all(is_override(entry.node) for entry in entries)]
            found = {key: settled(section, _NAMED[section], entries, known, problems) for key, entries in said.items()}
            getattr(self, section).update({key: each for key, each in found.items() if each is not None})

    def _order(self, place: Place, node: Node, problems: Problems) -> None:
        if self.precedence_place is not None:
            where = f"{self.precedence_place.file}:{self.precedence_place.line}"
            problems.add(
                place,
                "already-defined",
                f"the precedence is already defined at {where}: there is one for all, so a new group goes in there",
            )
            return
        self.precedence_place = place
        if not node.expect_list(problems, '"precedence"'):
            return
        groups: list[str] = []
        for element in node.elements:
            name = element.expect_text(problems, "a group")
            if name is not None and name in groups:
                problems.add(element.place, "already-defined", f'the group "{name}" stands in the precedence twice')
            elif name is not None:
                groups.append(name)
        self.precedence = tuple(groups)


def read_file(files: Files, name: str, problems: Problems) -> Node | None:
    """The tree of one file."""
    if name in files.contents:
        return read_source(files.contents[name], name, problems)
    why = files.unreadable.get(name, "there is no such file")
    problems.add(Place(name), "unreadable-file", f"the file cannot be read: {why}")
    return None


def yaml_files(files: Files, folder: str, problems: Problems, without: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of a folder's YAML files, scenarios left out. Files that look like some but are not read are problems."""
    for name in files.below(folder):
        rest = name.removeprefix(f"{folder}/")
        if rest.endswith((".test.yaml", ".test.yml")):
            continue
        if not rest.endswith(".yaml"):
            problems.add(Place(name), "not-read", "this file is not read: its name must end in .yaml")
        elif "/" in rest:
            problems.add(Place(name), "not-read", f"this file is not read: it must stand in {folder} itself")
        elif rest not in without:
            yield name
