"""Rule sets from a project's files: `rules/` and `mappings/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from engine.facts.outside import Action, Codes, Connector
from engine.facts.schema import Vocabulary
from engine.language.assemble import assemble
from engine.language.client import ClientConfig, node_at, read_client
from engine.language.codes import merged, places_of, read_codes, read_codes_file
from engine.language.doubts import Doubts, idle_silences, unread_by_all
from engine.language.files import CLIENTS, FACTS, Files, project_root, read_files
from engine.language.ingredients import Ingredients
from engine.language.mapping import RecordMapping
from engine.language.mapping_file import check_owners, read_mapping
from engine.language.node import Entry, Node
from engine.language.ruleset import RuleSet
from engine.language.scenario_names import untried_rules
from engine.language.secrets import secret_name, secret_settings
from engine.language.sections import Sections, read_file, yaml_files
from engine.language.vocabulary import read_vocabulary
from engine.language.worlds.files import check_worlds
from engine.problems import Place, Problem, Problems, ProblemsFound, did_you_mean

__all__ = [
    "Project",
    "check",
    "client_directory",
    "clients",
    "code_places",
    "files_of",
    "load",
    "load_client",
    "plain_secrets",
    "project_root",
]

Project = Path | Files  # a directory, or files that were read already

_CLIENT = "client.yaml"
_CODES = "codes.yaml"


def clients(project: Project) -> tuple[str, ...]:
    """The clients that have a `client.yaml`, by name."""
    files = _files(project)
    return tuple(name for name in files.folders(CLIENTS) if f"{CLIENTS}/{name}/{_CLIENT}" in files)


def client_directory(root: Path, client: str) -> Path:
    return root / CLIENTS / client


def load_client(project: Project, client: str) -> ClientConfig:
    """One client's configuration, with secrets still only named. Raises `ProblemsFound`."""
    problems = Problems()
    config, _ = _client(_files(project), client, problems)
    if config is None or problems.errors:
        raise ProblemsFound(problems)
    return config


def files_of(project: Project, client: str) -> dict[str, str]:
    """The texts of the files a client's rule set is made from, by name; `load(Files.of(texts), ...)` makes it again.

    Raises `ProblemsFound` where the client's own file cannot be read.
    """
    files = _files(project)
    config = load_client(files, client)
    folders = [f"rules/{pack}" for pack in config.extends] + [f"{CLIENTS}/{client}"]
    folders += [f"mappings/{use.use}" for use in config.connectors.values()]
    names = [FACTS, *(name for folder in folders for name in files.below(folder))]
    return {name: files.contents[name].decode() for name in sorted(set(names)) if name in files.contents}


def code_places(project: Project, client: str) -> dict[tuple[str, str], Place]:
    """Where each outbound code of a client stands, by parameter and word: in its own file, else in the connector's."""
    files, ignored = _files(project), Problems()
    config, node = _client(files, client, ignored)
    used = sorted({use.use for use in config.connectors.values()}) if config is not None else []
    names = (f"mappings/{connector}/{_CODES}" for connector in used)
    trees = [*(read_file(files, name, ignored) for name in names if name in files), node]
    places: dict[tuple[str, str], Place] = {}
    for tree in trees:
        places.update(places_of((tree and tree.get("codes")) or Node("map", Place(""))))
    return places


def plain_secrets(project: Project, client: str, classes: Mapping[str, type[Connector]]) -> Problems:
    """A problem for each secret that is written out in a client's file: files are shown, sent around, and kept in the store.

    `classes` are the installed connectors by name.
    """
    problems = Problems()
    config, node = _client(_files(project), client, Problems())
    if config is None or node is None:
        return problems
    for role, use in config.connectors.items():
        made = classes.get(use.use)
        for name in sorted(secret_settings(made.Settings) if made is not None else ()):
            if use.settings.get(name) is not None and secret_name(use.settings[name]) is None:
                place = node_at(node, ("connectors", role, name)).place
                message = "write {secret: NAME}, and its value into the environment or a .env file"
                problems.add(place, "secret-in-file", f"connectors.{role}.{name} is a secret: {message}")
    return problems


def load(project: Project, client: str, actions: Mapping[str, Action]) -> RuleSet:
    """The rule set of a client. Raises `ProblemsFound` with every error of every file."""
    problems = Problems()
    rule_set = _compile(_files(project), client, actions, problems)
    if rule_set is None or problems.errors:
        raise ProblemsFound(problems)
    return rule_set


def check(project: Project, actions: Mapping[str, Action], client: str | None = None) -> Problems:
    """All problems of all files at once: of one client and what it extends, or of the base pack and every client that is there.

    What only some clients bring about in a file of all names them.
    """
    files = _files(project)
    if client is not None:
        problems, doubts = _looked_at(files, client, actions)
        problems.extend(problem for problem in unread_by_all([doubts]) if problem.place.file.startswith(f"{CLIENTS}/"))
        return problems
    problems, doubts = _looked_at(files, None, actions)
    shared = frozenset(problems)
    _check_folders(files, problems)
    check_worlds(files, problems)
    brought: dict[Problem, list[str]] = {}
    everywhere = [doubts]
    for each in clients(files):
        own, doubts = _looked_at(files, each, actions)
        everywhere.append(doubts)
        for problem in own:
            if problem not in shared:
                brought.setdefault(problem, []).append(each)
    problems.extend(_naming(problem, by) for problem, by in brought.items())
    if not problems.errors:
        problems.extend([*unread_by_all(everywhere), *idle_silences(everywhere)])
    return problems


def _looked_at(files: Files, client: str | None, actions: Mapping[str, Action]) -> tuple[Problems, Doubts]:
    """The problems of one rule set that nobody silenced, and what is only known once all have been looked at."""
    problems, doubts = Problems(), Doubts()
    rule_set = _compile(files, client, actions, problems, doubts)
    if rule_set is not None and not problems.errors:
        extended = [] if client is None else [pack for pack in _extended(files, client) if pack != "base"]
        folders = ["rules/base"] if client is None else [f"{CLIENTS}/{client}", *(f"rules/{pack}" for pack in extended)]
        problems.extend(untried_rules(files, folders, rule_set.rules))
    return doubts.unsilenced(problems), doubts


def _naming(problem: Problem, by: Sequence[str]) -> Problem:
    """A fault in a file of all that is one only for these clients says so; one in a client's own file tells it by its place."""
    if len(by) == 1 and problem.place.file.startswith(f"{CLIENTS}/{by[0]}/"):
        return problem
    whose = f"for the client{'s' if len(by) > 1 else ''} {', '.join(by)}"
    return replace(problem, message=f"{problem.message} ({whose})")


def _compile(
    files: Files, client: str | None, actions: Mapping[str, Action], problems: Problems, doubts: Doubts | None = None
) -> RuleSet | None:
    given = gathered(files, client, actions, problems)
    return None if given is None else assemble(given, problems, doubts)


def gathered(
    files: Files,
    client: str | None,
    actions: Mapping[str, Action],
    problems: Problems,
    *,
    alone: Sequence[str] = ("base",),
    assuming: Node | None = None,
) -> Ingredients | None:
    """What the files of a client say, or those of packs `alone`. `assuming` stands in for keys of its `client.yaml`."""
    config, node = (None, None) if client is None else _client(files, client, problems, assuming)
    if client is not None and config is None:
        return None
    extended = list(alone) if config is None else config.extends
    sections = Sections()
    own = () if client is None else (f"{CLIENTS}/{client}",)
    for folder in (*_packs(files, extended, node, problems), *own):
        for name in yaml_files(files, folder, problems, without=(_CLIENT,)):
            tree = read_file(files, name, problems)
            if tree is not None:
                sections.add(tree, problems)
    sections.settle(problems)
    vocabulary = _vocabulary(files, problems)
    used = _connectors(files, config, node, problems)
    if client is None and assuming is not None:
        config, node = _assumed(assuming, extended, problems)
    if config is not None and node is not None:
        _check_cadence(config, node, actions, problems)
    return Ingredients(
        vocabulary=vocabulary,
        sections=sections,
        mappings=_mappings(files, used, vocabulary, problems, together=client is not None),
        codes=_codes(files, used, node, actions, problems),
        actions=actions,
        client=config,
        client_node=node,
    )


def _assumed(assuming: Node, extended: Sequence[str], problems: Problems) -> tuple[ClientConfig | None, Node]:
    """Packs tried alone, as a client would have them that sets just this."""
    place, name = assuming.place, extended[-1]
    named = Node("map", place, entries=(Entry("client", place, Node("scalar", place, name, name)),))
    whole = named.overlaid(assuming)
    return read_client(whole, problems), whole


def _client(
    files: Files, client: str, problems: Problems, assuming: Node | None = None
) -> tuple[ClientConfig | None, Node | None]:
    name = f"{CLIENTS}/{client}/{_CLIENT}"
    if name not in files:
        problems.add(Place(name), "unknown-client", f'there is no client "{client}"{did_you_mean(client, clients(files))}')
        return None, None
    node = read_file(files, name, problems)
    if node is not None and assuming is not None:
        node = node.overlaid(assuming)
    config = None if node is None else read_client(node, problems)
    if config is not None and node is not None and config.client != client:
        said = f'the client is called "{config.client}", its folder "{client}": they must be the same'
        problems.add((node.get("client") or node).place, "bad-name", said)
    return config, node


def _packs(files: Files, names: list[str], node: Node | None, problems: Problems) -> Iterator[str]:
    there = packs(files)
    listed = node.get("extends") if node is not None else None
    for number, name in enumerate(names):
        place = Place("rules") if listed is None else listed.elements[number].place
        if name not in there:
            problems.add(place, "unknown-pack", f"there is no pack rules/{name}{did_you_mean(name, there)}")
        elif name in names[:number]:
            problems.add(place, "already-defined", f'"{name}" is extended twice')
        else:
            yield f"rules/{name}"


def _check_folders(files: Files, problems: Problems) -> None:
    """A client without its `client.yaml`, and a pack that nobody extends, would be passed over in silence."""
    named = clients(files)
    for name in files.folders(CLIENTS):
        if name not in named:
            folder = Place(f"{CLIENTS}/{name}")
            problems.add(folder, "missing-client", f"this folder needs a {_CLIENT}, which says what the client extends")
    extended = {"base"}.union(*(_extended(files, client) for client in named))
    for pack in packs(files):
        if pack not in extended:
            said = f'no client extends "{pack}", so nothing in it is checked: name it under extends in a {_CLIENT}'
            problems.add(Place(f"rules/{pack}"), "unused-pack", said)


def packs(files: Files) -> list[str]:
    """The packs under `rules/`, by name."""
    return [name for name in files.folders("rules") if name not in {"clients", "worlds"}]


def _extended(files: Files, client: str) -> list[str]:
    config, _ = _client(files, client, Problems())
    return [] if config is None else config.extends


def _vocabulary(files: Files, problems: Problems) -> Vocabulary:
    node = read_file(files, FACTS, problems)
    return Vocabulary({}) if node is None else read_vocabulary(node, problems)


def _connectors(files: Files, config: ClientConfig | None, node: Node | None, problems: Problems) -> tuple[str, ...]:
    """The connectors whose mappings count: those the client uses, or all."""
    there = files.folders("mappings")
    if config is None or node is None:
        return there
    for role, use in config.connectors.items():
        if use.use not in there:
            roles = node.get("connectors") or node
            place = ((roles.get(role) or roles).get("use") or roles).place
            said = f'there are no mappings for a connector "{use.use}"{did_you_mean(use.use, there)}'
            problems.add(place, "unknown-connector", said)
    return tuple(sorted({use.use for use in config.connectors.values()} & set(there)))


def _mappings(
    files: Files, used: tuple[str, ...], vocabulary: Vocabulary, problems: Problems, *, together: bool
) -> tuple[RecordMapping, ...]:
    """All mappings of these connectors. Only those of one client stand `together`: two warehouses both write receipts."""
    found: list[RecordMapping] = []
    for connector in used:
        before = len(found)
        for name in yaml_files(files, f"mappings/{connector}", problems, without=(_CODES,)):
            node = read_file(files, name, problems)
            mapping = None if node is None else read_mapping(node, connector, vocabulary, problems)
            found.extend([mapping] if mapping is not None else [])
        if not together:
            check_owners(found[before:], problems)
    if together:
        check_owners(found, problems)
    return tuple(found)


def _codes(files: Files, used: tuple[str, ...], node: Node | None, actions: Mapping[str, Action], problems: Problems) -> Codes:
    codes: Codes = {}
    for connector in used:
        name = f"mappings/{connector}/{_CODES}"
        tree = read_file(files, name, problems) if name in files else None
        if tree is not None:
            codes = merged(codes, read_codes_file(tree, connector, actions, problems))
    own = None if node is None else node.get("codes")
    return codes if own is None else merged(codes, read_codes(own, actions, problems))


def _check_cadence(config: ClientConfig, node: Node, actions: Mapping[str, Action], problems: Problems) -> None:
    listed = node.get("cadence")
    for action in config.cadence:
        if action not in actions and listed is not None:
            said = f'there is no action "{action}"{did_you_mean(action, actions)}'
            problems.add(listed.key_place(action), "unknown-action", said)


def _files(project: Project) -> Files:
    return project if isinstance(project, Files) else read_files(project)
