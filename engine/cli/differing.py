"""`instep diff`: what changed in meaning between two sets of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.text import Text

from engine.desk.stored import visited
from engine.facts.outside import Action, installed_actions
from engine.language.difference import Change, Side, difference
from engine.language.files import Files, project_root, read_files
from engine.language.pack import clients, load, load_client
from engine.run.rules.refs import files_at

Changes = Mapping[str, tuple[Change, ...]]  # by client
STYLES = {"added": "green", "removed": "red", "renamed": "cyan", "changed": "yellow"}


def differences(before: str, after: str | None, client: str | None, root: Path | None, database: Path | None) -> Changes:
    """For each client of both sides what changed; for one that is new or gone, that. `after` is the working files unless named.

    Raises `NoSuchRuleSet`, `NotFound` for the store, and `ProblemsFound` where a side does not compile.
    """
    here = project_root(root)
    with visited(database, None) if database is not None else nullcontext() as store:
        old = files_at(before, here, store)
        new = read_files(here) if after is None else files_at(after, here, store)
    actions = installed_actions()
    every = {*clients(old), *clients(new)} if database is None else {*clients(old)} & {*clients(new)}  # a store is of one client
    named = (client,) if client is not None else tuple(sorted(every))
    return {each: _of_client(each, old, new, actions) for each in named}


def _of_client(client: str, old: Files, new: Files, actions: Mapping[str, Action]) -> tuple[Change, ...]:
    there = [client in clients(old), client in clients(new)]
    if there == [True, False]:
        return (Change("client", client, "removed"),)
    if there == [False, True]:
        return (Change("client", client, "added"),)
    before, after = (Side(load(files, client, actions), load_client(files, client)) for files in (old, new))
    return difference(before, after)


def told(changes: Changes) -> Iterator[Text]:
    """For people: client by client, each change with what it was and what it is."""
    for client, found in changes.items():
        if found:
            yield Text(client, style="bold")
        for change in found:
            where = f"  {change.place}" if change.place is not None else ""
            yield Text.assemble("  ", (change.how, STYLES[change.how]), f" {change.what} ", (change.name, "bold"), (where, "dim"))
            for part in change.parts:
                yield Text.assemble(f"    {part.name}: ", (part.before, "red"))
                yield Text.assemble(" " * (len(part.name) + 3), "-> ", (part.after, "green"))


def as_json(changes: Changes) -> dict[str, Any]:
    return {
        client: [
            {
                "what": change.what,
                "name": change.name,
                "how": change.how,
                "place": str(change.place) if change.place is not None else None,
                "parts": [{"part": part.name, "before": part.before, "after": part.after} for part in change.parts],
            }
            for change in found
        ]
        for client, found in changes.items()
    }
