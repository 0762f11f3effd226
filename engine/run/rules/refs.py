"""Rule sets by what people call them: a folder, `live`, a hash of one that was active, or a git commit, branch or tag."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from engine.facts.outside import Action
from engine.language.files import SUFFIXES, Files, complete, read_files
from engine.language.pack import load
from engine.language.ruleset import RuleSet
from engine.run.rules.past import NoSuchRuleSet, find_rule_set
from engine.store.base import Store

LIVE = "live"
_TOP = ("rules", "mappings")


def files_at(ref: str, root: Path, store: Store | None) -> Files:
    """The files a reference stands for. `root` is the project that git is asked about. Raises `NoSuchRuleSet`."""
    if ref == LIVE:
        return _live(store)
    if ref and os.path.isdir(ref):  # noqa: PTH112 - a Path raises where the name is too long for one
        return read_files(Path(ref))
    if store is not None:
        try:
            return Files.of(store.rule_sets.files(find_rule_set(store, ref).id))
        except NoSuchRuleSet:
            pass
    committed = _committed(ref, root)
    if committed is not None:
        return committed
    tried = [f"no folder {ref}", f"no commit of the project in {root}"]
    tried += ["no rule set of this hash in the store"] if store is not None else ["no store to look for a hash in"]
    raise NoSuchRuleSet(f'"{ref}" names no rule set: {", ".join(tried)}; or write "{LIVE}" for the active one')


def rule_set_at(ref: str, client: str, root: Path, store: Store | None, actions: Mapping[str, Action]) -> RuleSet:
    """The rule set of a client that a reference stands for. Raises `NoSuchRuleSet` and `ProblemsFound`."""
    return load(files_at(ref, root, store), client, actions)


def _live(store: Store | None) -> Files:
    current = None if store is None else store.rule_sets.current()
    if store is None or current is None:
        raise NoSuchRuleSet(f'"{LIVE}" is the active rule set of a store: name one that has decided something with --database')
    return Files.of(store.rule_sets.files(current.id))


def _committed(ref: str, root: Path) -> Files | None:
    """The files of a commit, with what lies beneath them; None where git knows no such commit of this folder."""
    if not ref or ref.startswith("-"):
        return None
    contents: dict[str, bytes] = {}
    for top in _TOP:
        contents |= _archived(ref, root, top)
    return complete(Files(contents)) if contents else None


def _archived(ref: str, root: Path, top: str) -> dict[str, bytes]:
    asked = ["git", "-C", str(root), "archive", "--format=tar", ref, "--", top]
    try:
        packed = subprocess.run(asked, capture_output=True, check=False)  # noqa: S603 - git, with a name that is no option
    except OSError:
        return {}
    if packed.returncode != 0:
        return {}
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
        files = [(member.name, tar.extractfile(member)) for member in tar if member.isfile()]
        return {name: held.read() for name, held in files if held is not None and name.endswith(SUFFIXES)}
