"""Rule sets from a project's folders: `rules/` and `mappings/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.facts.outside import Action, Codes
from engine.facts.schema import Vocabulary
from engine.language.assemble import Ingredients, assemble
from engine.language.client import ClientConfig, read_client
from engine.language.codes import merged, read_codes, read_codes_file
from engine.language.mapping import RecordMapping
from engine.language.mapping_file import check_owners, read_mapping
from engine.language.node import Node
from engine.language.ruleset import RuleSet
from engine.language.sections import Sections, read_file, yaml_files
from engine.language.vocabulary import read_vocabulary
from engine.problems import Place, Problems, ProblemsFound, did_you_mean

_CLIENT = "client.yaml"
_CODES = "codes.yaml"
_FACTS = "facts.yaml"


def project_root(path: Path | None = None) -> Path:
    """Where `rules/` and `mappings/` are: in the given (or the working) directory if it has both, else the shipped ones."""
    here = Path(__file__).resolve().parents[1]
    wanted = (path or Path.cwd()).resolve()
    for candidate in (wanted, here / "_bundled", here.parent):
        if (candidate / "rules").is_dir() and (candidate / "mappings").is_dir():
            return candidate
    raise FileNotFoundError(f"neither {wanted} nor the installation has the folders rules/ and mappings/")


def clients(root: Path) -> tuple[str, ...]:
    """The clients that have a `client.yaml`, by name."""
    return tuple(sorted(path.parent.name for path in (root / "rules" / "clients").glob(f"*/{_CLIENT}")))


def client_directory(root: Path, client: str) -> Path:
    return root / "rules" / "clients" / client


def load_client(root: Path, client: str) -> ClientConfig:
    """One client's configuration, with secrets still only named. Raises `ProblemsFound`."""
    problems = Problems()
    config, _ = _client(root, client, problems)
    if config is None or problems.errors:
        raise ProblemsFound(problems)
    return config


def load(root: Path, client: str, actions: Mapping[str, Action]) -> RuleSet:
    """The rule set of a client. Raises `ProblemsFound` with every error of every file."""
    problems = Problems()
    rule_set = _compile(root, client, actions, problems)
    if rule_set is None or problems.errors:
        raise ProblemsFound(problems)
    return rule_set


def check(root: Path, actions: Mapping[str, Action], client: str | None = None) -> Problems:
    """All problems of all files at once: of the base pack and one client, or of every client that is there."""
    problems = Problems()
    if client is None:
        _compile(root, None, actions, problems, warn=True)
        _check_folders(root, problems)
    for each in clients(root) if client is None else (client,):
        _compile(root, each, actions, problems, warn=True)
    return problems


def _compile(
    root: Path, client: str | None, actions: Mapping[str, Action], problems: Problems, *, warn: bool = False
) -> RuleSet | None:
    config, node = (None, None) if client is None else _client(root, client, problems)
    if client is not None and config is None:
        return None
    packs = ["base"] if config is None else config.extends
    sections = Sections()
    for directory in (*_packs(root, packs, node, problems), *(_own(root, client) if client is not None else ())):
        for path in yaml_files(root, directory, problems, without=(_CLIENT,)):
            tree = read_file(root, path, problems)
            if tree is not None:
                sections.add(tree, problems)
    vocabulary = _vocabulary(root, problems)
    used = _connectors(root, config, node, problems)
    if config is not None and node is not None:
        _check_cadence(config, node, actions, problems)
    given = Ingredients(
        vocabulary=vocabulary,
        sections=sections,
        mappings=_mappings(root, used, vocabulary, problems),
        codes=_codes(root, used, node, actions, problems),
        actions=actions,
        client=config,
        client_node=node,
    )
    return assemble(given, problems, warn=warn)


def _client(root: Path, client: str, problems: Problems) -> tuple[ClientConfig | None, Node | None]:
    path = client_directory(root, client) / _CLIENT
    if not path.is_file():
        place = Place(path.relative_to(root).as_posix())
        problems.add(place, "unknown-client", f'there is no client "{client}"{did_you_mean(client, clients(root))}')
        return None, None
    node = read_file(root, path, problems)
    config = None if node is None else read_client(node, problems)
    if config is not None and node is not None and config.client != client:
        said = f'the client is called "{config.client}", its folder "{client}": they must be the same'
        problems.add((node.get("client") or node).place, "bad-name", said)
    return config, node


def _own(root: Path, client: str) -> tuple[Path, ...]:
    return (client_directory(root, client),)


def _packs(root: Path, names: list[str], node: Node | None, problems: Problems) -> Iterator[Path]:
    there = sorted(path.name for path in (root / "rules").iterdir() if path.is_dir() and path.name != "clients")
    listed = node.get("extends") if node is not None else None
    for number, name in enumerate(names):
        place = Place("rules") if listed is None else listed.elements[number].place
        if name not in there:
            problems.add(place, "unknown-pack", f"there is no pack rules/{name}{did_you_mean(name, there)}")
        elif name in names[:number]:
            problems.add(place, "already-defined", f'"{name}" is extended twice')
        else:
            yield root / "rules" / name


def _check_folders(root: Path, problems: Problems) -> None:
    """A client without its `client.yaml` would be passed over in silence."""
    named = clients(root)
    for path in sorted((root / "rules" / "clients").glob("*/*.yaml")):
        folder = path.parent.relative_to(root).as_posix()
        if path.parent.name not in named:
            problems.add(Place(folder), "missing-client", f"this folder needs a {_CLIENT}, which says what the client extends")


def _vocabulary(root: Path, problems: Problems) -> Vocabulary:
    node = read_file(root, root / "mappings" / _FACTS, problems)
    return Vocabulary({}) if node is None else read_vocabulary(node, problems)


def _connectors(root: Path, config: ClientConfig | None, node: Node | None, problems: Problems) -> tuple[str, ...]:
    """The connectors whose mappings count: those the client uses, or all."""
    there = sorted(path.name for path in (root / "mappings").iterdir() if path.is_dir())
    if config is None or node is None:
        return tuple(there)
    for role, use in config.connectors.items():
        if use.use not in there:
            roles = node.get("connectors") or node
            place = ((roles.get(role) or roles).get("use") or roles).place
            said = f'there are no mappings for a connector "{use.use}"{did_you_mean(use.use, there)}'
            problems.add(place, "unknown-connector", said)
    return tuple(sorted({use.use for use in config.connectors.values()} & set(there)))


def _mappings(root: Path, used: tuple[str, ...], vocabulary: Vocabulary, problems: Problems) -> tuple[RecordMapping, ...]:
    found: list[RecordMapping] = []
    for connector in used:
        for path in yaml_files(root, root / "mappings" / connector, problems, without=(_CODES,)):
            node = read_file(root, path, problems)
            mapping = None if node is None else read_mapping(node, connector, vocabulary, problems)
            found.extend([mapping] if mapping is not None else [])
    check_owners(found, problems)
    return tuple(found)


def _codes(root: Path, used: tuple[str, ...], node: Node | None, actions: Mapping[str, Action], problems: Problems) -> Codes:
    codes: Codes = {}
    for connector in used:
        path = root / "mappings" / connector / _CODES
        tree = read_file(root, path, problems) if path.is_file() else None
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
