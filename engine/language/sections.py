"""What the rule files of a set say, gathered by section before anything is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.language.node import Entry, Node
from engine.language.source import read_source
from engine.problems import Place, Problems

_NAMED = {"params": "the parameter", "facts": "the fact", "rules": "the rule", "promises": "the promise"}


@dataclass(slots=True)
class Sections:
    """All entries by section and id, and the one order of precedence."""

    params: dict[str, Entry] = field(default_factory=dict)
    facts: dict[str, Entry] = field(default_factory=dict)
    rules: dict[str, Entry] = field(default_factory=dict)
    promises: dict[str, Entry] = field(default_factory=dict)
    precedence: tuple[str, ...] = ()
    precedence_place: Place | None = None

    def add(self, node: Node, problems: Problems) -> None:
        """One rule file more. What is defined twice is a problem naming both places."""
        if node.is_null:  # an empty file says nothing
            return
        node.expect_keys(problems, "a rule file", (), (*_NAMED, "precedence"))
        for key, place, inner in node.items():
            if key == "precedence":
                self._order(place, inner, problems)
            elif key in _NAMED and inner.expect_map(problems, f'"{key}"'):
                self._gather(key, inner, problems)

    def _gather(self, section: str, node: Node, problems: Problems) -> None:
        entries: dict[str, Entry] = getattr(self, section)
        for entry in node.entries:
            first = entries.setdefault(entry.key, entry)
            if first is not entry:
                where = f"{first.place.file}:{first.place.line}"
                problems.add(entry.place, "already-defined", f'{_NAMED[section]} "{entry.key}" is already defined at {where}')

    def _order(self, place: Place, node: Node, problems: Problems) -> None:
        if self.precedence_place is not None:
            where = f"{self.precedence_place.file}:{self.precedence_place.line}"
            problems.add(place, "already-defined", f"the precedence is already defined at {where}")
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


def read_file(root: Path, path: Path, problems: Problems) -> Node | None:
    """The tree of one file, with places relative to `root`."""
    name = path.relative_to(root).as_posix()
    try:
        data = path.read_bytes()
    except OSError as error:
        problems.add(Place(name), "unreadable-file", f"the file cannot be read: {error.strerror}")
        return None
    return read_source(data, name, problems)


def yaml_files(root: Path, directory: Path, problems: Problems, without: tuple[str, ...] = ()) -> Iterator[Path]:
    """The YAML files of a folder by name, scenarios left out. Files that look like some but are not read are problems."""
    for path in sorted(directory.rglob("*.y*ml")):
        if path.name.endswith((".test.yaml", ".test.yml")) or not path.is_file():
            continue
        place = Place(path.relative_to(root).as_posix())
        if path.suffix != ".yaml":
            problems.add(place, "not-read", "this file is not read: its name must end in .yaml")
        elif path.parent != directory:
            here = directory.relative_to(root).as_posix()
            problems.add(place, "not-read", f"this file is not read: it must stand in {here} itself")
        elif path.name not in without:
            yield path
