"""From a client's files to a running service: rule set, connectors with their settings and secrets, and the store."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import structlog
from pydantic import SecretStr, ValidationError

from engine.facts.budget import Limit
from engine.facts.outside import Codes, Connector
from engine.facts.secrecy import unguessable
from engine.language.client import ClientConfig
from engine.language.pack import client_directory, code_places
from engine.language.secrets import resolve_secrets
from engine.problems import Problems, ProblemsFound
from engine.run.clock import Clock
from engine.run.private import open_to_others
from engine.run.rules.candidate import Candidate, OnDisk, candidate_of, classes_of, client_place, read_disk
from engine.run.rules.reload import Reload
from engine.run.rules.start import choose, or_raise
from engine.run.sending.valid_codes import Asked, ask
from engine.run.service import LiveCodes, Service
from engine.store.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class Served:
    """A service and what keeps its rule set with its files: both run on one loop."""

    service: Service
    reload: Reload


def open_client(
    root: Path,
    client: str,
    store_path: Path,
    clock: Clock,
    connector_overrides: Mapping[str, Connector] | None = None,
    synchronous: Literal["FULL", "NORMAL"] = "FULL",
) -> Served:
    """The service of one client, ready to step or run, and what keeps its rule set with its files. `connector_overrides` takes
    the place of what is configured, by role; `synchronous` is the store's.

    Raises `ProblemsFound` for its files, settings and secrets, `StoreInUse`, `NewerStore` and ValueError for its store, and
    `CannotStart` where nobody can tell what its files would change.
    """
    disk, made = _made_of_disk(root, client)
    codes = LiveCodes()

    def connected(candidate: Candidate) -> dict[str, Connector]:
        codes.use(candidate.rule_set.codes)
        return {**_built(root, candidate.config, given, clock, codes), **given}

    given = dict(connector_overrides or {})
    if not store_path.exists():
        connected(or_raise(made))  # what is wrong with the settings is said before a store is made
    store = SqliteStore.open(store_path, synchronous=synchronous)
    for said in open_to_others(store_path, (Path.cwd(), client_directory(root, client))):
        structlog.get_logger("instep.service").warning("open_to_others", what=said)
    try:
        if (last := store.safekeeping.last_now()) is not None:
            clock.resume(last)
        start = choose(store, clock, client, disk, made)
        token = _status_token(root, start.begin.config)
        service = Service(
            store, start.begin.rule_set, connected(start.begin), clock, limits=_limits(start.begin.config),
            files=start.begin.texts, codes=codes, before=start.before, by=start.by, why=start.why,
            passed_over=start.state.passed_over, settings=start.begin.texts.get(client_place(client).file, ""),
            side_by_side={role: use.side_by_side for role, use in start.begin.config.connectors.items()},
        )  # fmt: skip
        for request_id, outcome, fine in start.answers:
            store.rule_sets.answer_request(request_id, clock(), outcome, fine=fine)
        service.status_token = token
        return Served(service, Reload(service, root, start.state))
    except BaseException:
        store.close()
        raise


async def check_codes(root: Path, client: str, clock: Clock) -> tuple[Problems, tuple[str, ...]]:
    """The codes of a client, checked by its connectors: problems at their places, and in words what could not be checked.

    Raises `ProblemsFound` for its files, settings and secrets.
    """
    disk, made = _made_of_disk(root, client)
    candidate = or_raise(made)
    connectors = _built(root, candidate.config, (), clock, candidate.rule_set.codes)
    try:
        asked = await ask(connectors, candidate.rule_set.codes)
    finally:
        for connector in connectors.values():
            await connector.close()
    places, problems = code_places(disk.files, client), Problems()
    for wrong in asked.wrong:
        problems.add(places.get((wrong.parameter, wrong.word), client_place(client)), "code-not-taken", wrong.why)
    return problems, (*(f"{role} could not be asked for its codes: {why}" for role, why in asked.unreachable), *_said(asked))


def _said(asked: Asked) -> tuple[str, ...]:
    if asked.checked:
        return (f"Checked with the outside: {', '.join(asked.checked)}",)
    return () if asked.unreachable else ("No connector of this client can say which codes are valid there",)


def _made_of_disk(root: Path, client: str) -> tuple[OnDisk, Candidate | ProblemsFound]:
    disk = read_disk(root, client)
    try:
        return disk, candidate_of(disk.files, client, disk.digest)
    except ProblemsFound as found:
        return disk, found


def _built(root: Path, config: ClientConfig, given: Container[str], clock: Clock, codes: Codes) -> dict[str, Connector]:
    """The connector of each role that is not given otherwise."""
    problems = Problems()
    place = client_place(config.client)
    classes = classes_of(config)
    built: dict[str, Connector] = {}
    for role, use in config.connectors.items():
        if role in given:
            continue
        made = classes[role]
        try:
            settings = resolve_secrets(use.own_settings, client_directory(root, config.client), place=place)
            built[role] = made(made.Settings.model_validate(settings), clock, codes)
        except ProblemsFound as found:
            problems.extend(found.problems)
        except ValidationError as faults:
            for fault in faults.errors(include_url=False, include_context=False, include_input=False):
                where = ".".join(["connectors", role, *(str(key) for key in fault["loc"])])
                problems.add(place, "connector-setting", f"{where}: {_said_of(fault['msg'], settings, fault['loc'])}")
    if problems:
        raise ProblemsFound(problems)
    return built


def _status_token(root: Path, config: ClientConfig) -> SecretStr | None:
    """Who has this may see the service's state from anywhere. Raises `ProblemsFound`."""
    if config.status_token is None:
        return None
    place = client_place(config.client)
    found = resolve_secrets(
        {"status_token": {"secret": config.status_token.secret}}, client_directory(root, config.client), place=place
    )
    try:
        return unguessable(found["status_token"])
    except ValueError as weak:
        problems = Problems()
        problems.add(place, "connector-setting", f"status_token: {weak}")
        raise ProblemsFound(problems) from None


def _said_of(message: str, settings: Mapping[str, Any], keys: tuple[int | str, ...]) -> str:
    """pydantic's words, or ours where a secret was given for what is shown."""
    given = settings.get(str(keys[0])) if len(keys) == 1 else None
    if isinstance(given, SecretStr) and "string" in message:
        return "this setting is shown to everyone, so it cannot be a secret: write its value out"
    return message.removeprefix("Value error, ")


def _limits(config: ClientConfig) -> dict[str, tuple[Limit, ...]]:
    """The client's own limits, by role."""
    return {role: limits for role, use in config.connectors.items() if (limits := use.limits)}
