"""What a project and its connectors know: the words an author can choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from engine.facts.calendars import Calendar
from engine.facts.outside import Action, Connector
from engine.facts.schema import Vocabulary
from engine.language.calendars import read_calendars
from engine.language.files import CLIENTS, FACTS, Files
from engine.language.params import ParamSpec, read_param
from engine.language.sections import Sections, read_file, yaml_files
from engine.language.vocabulary import read_vocabulary
from engine.problems import Place, Problems


@dataclass(frozen=True, slots=True)
class Known:
    """Of all packs and clients together. `mapped` are the connectors that have mappings."""

    vocabulary: Vocabulary
    packs: tuple[str, ...]
    clients: tuple[str, ...]
    groups: tuple[str, ...]
    rules: Mapping[str, Place]
    tables: tuple[str, ...]
    params: Mapping[str, ParamSpec]
    actions: Mapping[str, Action]
    connectors: Mapping[str, type[Connector]]
    mapped: tuple[str, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Every connector, installed or only mapped."""
        return tuple(sorted({*self.connectors, *self.mapped}))


def known_in(files: Files, actions: Mapping[str, Action], connectors: Mapping[str, type[Connector]]) -> Known:
    """What can be understood of the files; what is at fault in them is for `check` to tell."""
    untold = Problems()
    sections = Sections()
    for pack in packs_in(files):
        for name in yaml_files(files, f"rules/{pack}", untold):
            _add(sections, files, name)
    for client in files.folders(CLIENTS):
        for name in yaml_files(files, f"{CLIENTS}/{client}", untold, without=("client.yaml",)):
            _add(sections, files, name)
    sections.settle(untold)
    calendars = _calendars(files)
    specs = {name: read_param(name, each.place, each.node, calendars, untold) for name, each in sections.params.items()}
    facts = read_file(files, FACTS, untold)
    return Known(
        vocabulary=Vocabulary({}) if facts is None else read_vocabulary(facts, untold),
        packs=packs_in(files),
        clients=files.folders(CLIENTS),
        groups=sections.precedence,
        tables=tuple(sorted(sections.tables)),
        rules={name: each.place for name, each in sections.rules.items()},
        params={name: spec for name, spec in specs.items() if spec is not None},
        actions=actions,
        connectors=connectors,
        mapped=files.folders("mappings"),
    )


def packs_in(files: Files) -> tuple[str, ...]:
    return tuple(name for name in files.folders("rules") if name != CLIENTS.rpartition("/")[2])


def _calendars(files: Files) -> dict[str, Calendar]:
    """Those of all clients."""
    found = read_calendars(None, UTC, Problems())
    for client in files.folders(CLIENTS):
        node = read_file(files, f"{CLIENTS}/{client}/client.yaml", Problems())
        found |= read_calendars(None if node is None else node.get("calendars"), UTC, Problems())
    return found


def _add(sections: Sections, files: Files, name: str) -> None:
    node = read_file(files, name, Problems())
    if node is not None:
        sections.add(node, Problems())
