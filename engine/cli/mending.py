"""`instep events mend`: what changed files would make of an event that was set aside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from engine.cli.mapping import record_json
from engine.desk.asides import Which, came_of, fault_json, faults, for_many
from engine.desk.doing import Wanted, person
from engine.desk.stored import NotFound, active_rule_set, store_path, visited
from engine.facts.outside import Event, installed_actions
from engine.language.files import Files, project_root, read_files
from engine.language.mapping import observe
from engine.language.misread import pretty
from engine.language.pack import load
from engine.language.ruleset import RuleSet
from engine.run.hearing.deeds import PERSON, Deed

Json = dict[str, Any]
_FROM = re.compile(rb"^from:\s*[\"']?([\w.-]+)", re.MULTILINE)
_TO = re.compile(rb"^to:\s*[\"']?([\w.-]+)", re.MULTILINE)


def mended(
    database: Path | None, client: str | None, root: Path | None, mapping: Path | None, which: Which, by: str | None
) -> list[Json]:
    """What the files as they lie, or with this mapping in place of theirs, make of each. With `by`, what the active rule set can
    read is taken in again. Raises `NotFound`, and `ProblemsFound` for the files.
    """
    who = person(by) if by is not None else ""
    with visited(database, client) as store:
        found = for_many(store, which)
        active = active_rule_set(store)
        trial = load(_files(root, mapping), active.client, installed_actions())
        rows: list[Json] = []
        wanted: list[Wanted] = []
        for one in found:
            entry = store.journal.one(one.seq)
            if entry is None or entry.event.connector == PERSON:
                rows.append({"number": one.seq, "fine": False, "reason": "a person's own words are read by no mapping"})
                continue
            rows.append(row := {"number": one.seq, "kind": one.kind, "about": one.about} | _tried(trial, entry.event))
            if who:
                row |= _application(active, entry.event, fine=row["fine"] is True)
                if row["applied"]:
                    wanted.append(Wanted(Deed.about_event("person.read_again", one.seq, entry.event, who, ""), "mended"))
        came_of(store, store_path(database, client), wanted, rows)
    return rows


def _files(root: Path | None, mapping: Path | None) -> Files:
    files = read_files(project_root(root))
    if mapping is None:
        return files
    try:
        text = mapping.read_bytes()
    except OSError as fault:
        raise NotFound(f"cannot read {mapping}: {fault.strerror}") from None
    kind, to = _FROM.search(text), _TO.search(text)
    if kind is None or to is None:
        raise NotFound(f"{mapping} is no mapping of a payload: it needs `from:` and `to:`")
    folder = f"mappings/{kind[1].decode().partition('.')[0]}"
    theirs = (name for name in files.below(folder) if _reads(files.contents.get(name, b""), kind[1], to[1]))
    name = next(theirs, f"{folder}/{mapping.name}")
    return Files({**files.contents, name: text}, files.unreadable)


def _reads(text: bytes, kind: bytes, to: bytes) -> bool:
    found, into = _FROM.search(text), _TO.search(text)
    return found is not None and into is not None and (found[1], into[1]) == (kind, to)


def _tried(rule_set: RuleSet, event: Event) -> Json:
    observed, aside = observe(rule_set.mappings.get(event.kind, ()), event)
    records = [record_json(rule_set, one) for one in observed]
    if not aside:
        return {"fine": True, "records": records}
    told = [fault_json(*fault) for fault in faults(rule_set, event)]
    return {"fine": False, "records": records, "reason": told[0]["reason"], "faults": told}


def _application(active: RuleSet, event: Event, *, fine: bool) -> Json:
    if not observe(active.mappings.get(event.kind, ()), event)[1]:
        return {"applied": True}
    why = (
        f"the active rule set {active.hash} cannot read it yet: once these files are active, which `instep rules status` tells,"
        " it is read again by itself"
        if fine
        else "these files cannot read it either"
    )
    return {"applied": False, "fine": False, "outcome": why}


def mended_lines(rows: Sequence[Json]) -> list[Text]:
    lines: list[Text] = []
    for row in rows:
        name = f"event {row['number']}  {row.get('kind', '')} {row.get('about', '')}".rstrip()
        lines.append(Text(f"{name}: {'can be read' if not row.get('reason') else 'cannot be read'}", style="bold"))
        lines += [Text(f"  {fault['reason']} ({fault['place']})", style="red") for fault in row.get("faults", [])]
        for record in row.get("records", []):
            lines.append(Text(f"  {record['kind']} {record['key']}", style="green"))
            lines += [Text(f"    {line}") for line, _ in pretty(record["fields"])]
        if row.get("reason") and not row.get("faults"):
            lines.append(Text(f"  {row['reason']}", style="red"))
        if row.get("outcome"):
            lines.append(Text(f"  {row['outcome']}"))
    return lines
