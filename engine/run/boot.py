"""From a client's files to a running service: rule set, connectors with their settings and secrets, and the store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.facts.outside import Action, Codes, Connector, installed_connectors
from engine.language.client import ClientConfig, ConnectorUse
from engine.language.files import read_files
from engine.language.pack import client_directory, files_of, load, load_client
from engine.language.secrets import resolve_secrets
from engine.problems import Place, Problems, ProblemsFound, did_you_mean
from engine.run.clock import Clock
from engine.run.service import Service
from engine.store.sqlite import SqliteStore

BUDGET = "budget"  # `budget: {per_day: 2000}` is for the runtime, unless the connector has a setting of that name


def open_client(
    root: Path, client: str, store_path: Path, clock: Clock, connector_overrides: Mapping[str, Connector] | None = None
) -> Service:
    """The service of one client, ready to step or run. `connector_overrides` takes the place of what is configured, by role.

    Raises `ProblemsFound` for its files, settings and secrets, `StoreInUse` and `NewerStore` for its store.
    """
    files = read_files(root)
    config = load_client(files, client)
    classes = _classes(root, config)
    rule_set = load(files, client, actions_of(classes))
    connectors = dict(connector_overrides or {})
    waiting: dict[str, ConnectorUse] = {role: use for role, use in config.connectors.items() if role not in connectors}
    connectors |= _built(root, client, waiting, classes, clock, rule_set.codes)
    store = SqliteStore.open(store_path)
    try:
        per_day = {classes[role].name: calls for role, use in config.connectors.items() if (calls := _per_day(use)) is not None}
        return Service(store, rule_set, connectors, clock, per_day=per_day, files=files_of(files, client))
    except BaseException:
        store.close()
        raise


def actions_of(by_role: Mapping[str, type[Connector]]) -> dict[str, Action]:
    """What rules can ask for: of the connectors of this client, and for roles it has none for, of any that is installed."""
    every = {f"{c.role}.{name}": action for c in installed_connectors().values() for name, action in c.actions.items()}
    taken = {f"{role}." for role in by_role}
    others = {name: action for name, action in every.items() if not name.startswith(tuple(taken))}
    return others | {f"{role}.{name}": action for role, c in by_role.items() for name, action in c.actions.items()}


def _classes(root: Path, config: ClientConfig) -> dict[str, type[Connector]]:
    """The connector of each role. Raises `ProblemsFound` for one that is not installed or fills another role."""
    installed = installed_connectors()
    problems = Problems()
    place = _place(root, config.client)
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


def _built(
    root: Path,
    client: str,
    uses: Mapping[str, ConnectorUse],
    classes: Mapping[str, type[Connector]],
    clock: Clock,
    codes: Codes,
) -> dict[str, Connector]:
    problems = Problems()
    directory = client_directory(root, client)
    built: dict[str, Connector] = {}
    for role, use in uses.items():
        made = classes[role]
        try:
            settings = resolve_secrets(_own_settings(use, made), directory, place=_place(root, client))
            built[role] = made(made.Settings.model_validate(settings), clock, codes)
        except ProblemsFound as found:
            problems.extend(found.problems)
        except ValidationError as faults:
            for fault in faults.errors(include_url=False, include_context=False, include_input=False):
                where = ".".join(["connectors", role, *(str(key) for key in fault["loc"])])
                problems.add(_place(root, client), "connector-setting", f"{where}: {fault['msg']}")
    if problems:
        raise ProblemsFound(problems)
    return built


def _own_settings(use: ConnectorUse, made: type[Connector]) -> dict[str, Any]:
    fields: Mapping[str, Any] = getattr(made.Settings, "model_fields", {})
    return {name: value for name, value in use.settings.items() if name != BUDGET or name in fields}


def _per_day(use: ConnectorUse) -> int | None:
    budget = use.settings.get(BUDGET)
    calls = budget.get("per_day") if isinstance(budget, Mapping) else None
    return calls if isinstance(calls, int) else None


def _place(root: Path, client: str) -> Place:
    return Place((client_directory(root, client) / "client.yaml").relative_to(root).as_posix())
