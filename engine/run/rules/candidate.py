"""What lies in the files now, as a rule set that may become the active one."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.facts.outside import Action, Connector, installed_actions, installed_connectors
from engine.language.client import ClientConfig, ConnectorUse
from engine.language.files import CLIENTS, Files, complete, folders_in, own_files, shipped_root
from engine.language.pack import files_of, load, load_client, plain_secrets
from engine.language.ruleset import RuleSet
from engine.problems import Place, Problems, ProblemsFound, did_you_mean

SHORT_TURN = 0.0005  # seconds


@dataclass(frozen=True, slots=True)
class OnDisk:
    """The files as they lay at one moment. `own` are the folders that are the project's own, not the shipped ones."""

    files: Files
    own: frozenset[str]
    digest: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule set that compiled, with the texts it was made from and the client's settings among them."""

    rule_set: RuleSet
    config: ClientConfig
    texts: Mapping[str, str]
    digest: str = ""


def read_disk(root: Path, client: str) -> OnDisk:
    """Everything that is there, in one go. A file that cannot be read is noted, not raised."""
    own = own_files(root)
    files = own if root == shipped_root() else complete(own)
    return OnDisk(files, folders_in(own), files.digest(client))


def candidate_of(files: Files, client: str, digest: str = "") -> Candidate:
    """The rule set of these files. Raises `ProblemsFound` with all that is wrong with them."""
    problems = Problems()
    for name, why in files.unreadable.items():
        if not name.startswith(f"{CLIENTS}/") or name.startswith(f"{CLIENTS}/{client}"):
            problems.add(Place(name), "unreadable-file", f"it cannot be read: {why}")
    if problems:
        raise ProblemsFound(problems)
    config = load_client(files, client)
    if written_out := plain_secrets(files, client, installed_connectors()):
        raise ProblemsFound(written_out)
    with _beside_others():
        rule_set = load(files, client, actions_of(classes_of(config)))
    return Candidate(rule_set, config, files_of(files, client), digest)


@contextmanager
def _beside_others() -> Iterator[None]:
    """While a thread compiles, the loop keeps getting its turn after half a millisecond, not five. Nor is there any looking for
    cyclic garbage, of which compiling makes little: that takes a third of the time, and stops everybody.
    """
    collecting, turn = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(SHORT_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        if collecting:
            gc.enable()


def actions_of(by_role: Mapping[str, type[Connector]]) -> dict[str, Action]:
    """What rules can ask for: of the connectors of this client, and for roles it has none for, of any that is installed."""
    every = installed_actions()
    taken = {f"{role}." for role in by_role}
    others = {name: action for name, action in every.items() if not name.startswith(tuple(taken))}
    return others | {f"{role}.{name}": action for role, c in by_role.items() for name, action in c.actions.items()}


def classes_of(config: ClientConfig) -> dict[str, type[Connector]]:
    """The connector of each role. Raises `ProblemsFound` for one that is not installed or fills another role."""
    installed = installed_connectors()
    problems = Problems()
    place = client_place(config.client)
    found: dict[str, type[Connector]] = {}
    for role, use in config.connectors.items():
        made = installed.get(use.use)
        if made is None:
            problems.add(place, "unknown-connector", f'there is no connector "{use.use}"{did_you_mean(use.use, installed)}')
        elif made.role != role:
            problems.add(place, "wrong-role", f"{use.use} is a connector for {made.role}, not for {role}")
        else:
            found[role] = made
    if problems:
        raise ProblemsFound(problems)
    return found


def client_place(client: str) -> Place:
    return Place(f"{CLIENTS}/{client}/client.yaml")


def other_connectors(one: ClientConfig, other: ClientConfig) -> list[str]:
    """The roles that another connector fills, or only one of both knows: that is for a restart."""
    roles = sorted({*one.connectors, *other.connectors})
    return [role for role in roles if _use(one, role) != _use(other, role)]


def other_settings(one: ClientConfig, other: ClientConfig) -> list[str]:
    """The settings that differ of connectors that stay, such as `connectors.marketplace.url`."""
    found: list[str] = []
    for role in sorted({*one.connectors} & {*other.connectors}):
        here, there = _all_of(one.connectors[role]), _all_of(other.connectors[role])
        found += [f"connectors.{role}.{key}" for key in sorted({*here, *there}) if here.get(key) != there.get(key)]
    return found


def _all_of(use: ConnectorUse) -> dict[str, Any]:
    return {**use.settings, "side_by_side": use.side_by_side}


def _use(config: ClientConfig, role: str) -> str:
    return next((use.use for name, use in config.connectors.items() if name == role), "")
