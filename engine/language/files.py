"""The YAML files of a project by name, wherever they come from: a folder, what was shipped, a store, an older commit.

A folder of one's own need not hold everything. Where it has no `mappings/facts.yaml`, the shipped packs and mappings lie beneath
it, and each folder it does have (`rules/base`, `mappings/mirakl`, `rules/clients/acme`) takes the place of the shipped one, as
does each world.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

CLIENTS = "rules/clients"
WORLDS = "rules/worlds"  # what simulations meet; no rule set is made from it
FACTS = "mappings/facts.yaml"
SUFFIXES = (".yaml", ".yml")
_TOP = ("rules", "mappings")
LARGEST_FILE = 8_000_000  # bytes: what is read as YAML has at most two million characters
MOST_FILES = 20_000  # a project has some hundred


@dataclass(frozen=True, slots=True)
class Files:
    """What stands in the files, by name as in `rules/base/refund.yaml`. `unreadable` says why a file could not be read."""

    contents: Mapping[str, bytes]
    unreadable: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Files:
        """From texts by name, as a store keeps them."""
        return cls({name: text.encode() for name, text in texts.items()})

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted({*self.contents, *self.unreadable}))

    def __contains__(self, name: str) -> bool:
        return name in self.contents or name in self.unreadable

    def digest(self, client: str) -> str:
        """Changes with every byte one client's rule set may be made from, comments too."""
        found = hashlib.sha256()
        for name in self.names:
            if name.startswith(f"{WORLDS}/") or ".test." in name:
                continue
            if not name.startswith(f"{CLIENTS}/") or name.startswith(f"{CLIENTS}/{client}/"):
                content = self.contents.get(name, b"")
                found.update(f"{name}\0{self.unreadable.get(name, '')}\0{len(content)}\0".encode())
                found.update(content)
        return found.hexdigest()[:16]

    def below(self, folder: str) -> Iterator[str]:
        """The names of all files in a folder and in the folders below it."""
        return (name for name in self.names if name.startswith(f"{folder}/"))

    def folders(self, parent: str) -> tuple[str, ...]:
        """The folders right below `parent` that hold a file."""
        start = len(parent) + 1
        return tuple(sorted({name[start:].split("/")[0] for name in self.below(parent) if "/" in name[start:]}))


def shipped_root() -> Path:
    """Where the packs and mappings that come with the program are. Raises `FileNotFoundError`."""
    here = Path(__file__).resolve().parents[1]
    for candidate in (here / "_bundled", here.parent):
        if (candidate / FACTS).is_file():
            return candidate
    raise FileNotFoundError("the installation lacks its folders rules/ and mappings/")


def project_root(path: Path | None = None) -> Path:
    """The given (or the working) directory if it has a folder `rules` or `mappings`, else where the shipped ones are."""
    wanted = (path or Path.cwd()).resolve()
    return wanted if any((wanted / top).is_dir() for top in _TOP) else shipped_root()


def own_files(root: Path) -> Files:
    """The YAML files in `rules/` and `mappings/` of a directory."""
    contents: dict[str, bytes] = {}
    unreadable: dict[str, str] = {}
    paths, lost = yaml_paths(root)
    for path, fault in lost.items():
        unreadable[path.relative_to(root).as_posix()] = fault.strerror or "no reason given"
    for path in paths:
        name = path.relative_to(root).as_posix()
        try:
            if path.stat().st_size > LARGEST_FILE:
                unreadable[name] = f"it is larger than {LARGEST_FILE} bytes"
            elif len(contents) >= MOST_FILES:
                unreadable[name] = f"there are more than {MOST_FILES} files"
            else:
                contents[name] = path.read_bytes()
        except OSError as error:
            unreadable[name] = error.strerror or "no reason given"
    return Files(contents, unreadable)


def yaml_paths(root: Path) -> tuple[list[Path], dict[Path, OSError]]:
    """The paths of those files, sorted, and the folders that could not be looked into."""
    lost: dict[Path, OSError] = {}
    found = (path for top in _TOP for path in _walk(root / top, frozenset(), lost) if path.suffix in SUFFIXES)
    return sorted(found), lost


def _walk(folder: Path, above: frozenset[Path], lost: dict[Path, OSError]) -> Iterator[Path]:
    """All files below a folder, through links too unless they lead back; not the dangling link an editor leaves as a lock."""
    real = folder.resolve()
    if not folder.is_dir() or real in above:
        return
    try:
        paths = sorted(folder.iterdir())
    except OSError as fault:
        lost[folder] = fault
        return
    for path in paths:
        if path.is_file():
            yield path
        else:
            yield from _walk(path, above | {real}, lost)


def read_files(root: Path) -> Files:
    """All files that count for a directory: its own, and the shipped ones beneath where it does not stand alone."""
    own = own_files(root)
    return own if root == shipped_root() else complete(own)


def complete(own: Files) -> Files:
    """Files with the shipped ones beneath, where they do not stand alone."""
    return own if FACTS in own else laid_over(own, own_files(shipped_root()))


def laid_over(own: Files, shipped: Files) -> Files:
    """`own` with those shipped files whose folder `own` does not have."""
    taken = {_folder(name) for name in own.names}
    beneath = {name: data for name, data in shipped.contents.items() if _folder(name) not in taken}
    return Files(dict(sorted({**beneath, **own.contents}.items())), own.unreadable)


def folders_in(files: Files) -> frozenset[str]:
    """The packs, clients and connectors that have files, and `mappings/facts.yaml`."""
    return frozenset(_folder(name) for name in files.names if not name.startswith(f"{WORLDS}/"))


def _folder(name: str) -> str:
    """The pack, client or connector a file belongs to; a world stands for itself."""
    if name.startswith(f"{WORLDS}/"):
        return name
    parts = name.split("/")
    return "/".join(parts[: 3 if name.startswith(f"{CLIENTS}/") else 2])
