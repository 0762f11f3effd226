"""`instep audit`: who did what, and whether the trail that tells it is whole."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.desk.doing import instant
from engine.desk.stored import NotFound, second, visited
from engine.store.audit import AuditEntry, every_entry, first_broken
from engine.store.stamps import instant as read_stamp

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the trail to show."""

    since: str = ""
    by: str = ""
    did: str = ""
    about: str = ""
    case: str = ""
    limit: int = 50


def listed(database: Path | None, client: str | None, asked: Asked) -> list[Json]:
    """The latest entries that fit, in order."""
    since = instant("--since", asked.since)
    with visited(database, client) as store:
        fitting = (entry for entry in every_entry(store.audit) if _fits(entry, asked))
        wanted = (entry for entry in fitting if since is None or read_stamp(entry.at) >= since)
        return [entry_json(entry) for entry in deque(wanted, asked.limit)]


def _fits(entry: AuditEntry, asked: Asked) -> bool:
    if asked.by and asked.by.casefold() != entry.by.casefold():
        return False
    if asked.did and asked.did != entry.did:
        return False
    return asked.about in entry.about and asked.case in ("", entry.case, entry.case.partition(":")[2])


def entry_json(entry: AuditEntry) -> Json:
    return {
        "number": entry.number,
        "at": entry.at,
        "by": entry.by,
        "did": entry.did,
        "about": entry.about,
        "case": entry.case,
        "reason": entry.reason,
        "details": json.loads(entry.details),
        "hash": entry.hash,
    }


def table(rows: Sequence[Json]) -> Table | Text:
    if not rows:
        return Text("The trail tells of nothing like that.")
    found = Table("", "when", "by", "did", "about", "why", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        about = Text.assemble(row["about"], (f"\n{row['case']}" if row["case"] else "", "dim"))
        details = ", ".join(f"{name} {value}" for name, value in row["details"].items() if value not in ("", None))
        why = Text.assemble(row["reason"], (("\n" if row["reason"] else "") + details, "dim"))
        found.add_row(str(row["number"]), second(row["at"]), row["by"], row["did"], about, why)
    return found


def verified(database: Path | None, client: str | None, expect: str) -> Json:
    """Whether the trail is whole, and its anchor. Raises `NotFound` for an anchor that is none."""
    with visited(database, client) as store:
        try:
            broken = first_broken(store.audit, expect)
        except ValueError as no:
            raise NotFound(str(no)) from None
        last = store.audit.last()
    return {
        "whole": broken is None,
        "entries": last.number if last else 0,
        "anchor": last.anchor if last else "",
        "broken": {"number": broken.number, "why": broken.why} if broken else None,
    }


def verified_lines(told: Json, expect: str) -> list[Text]:
    if told["broken"]:
        broken = told["broken"]
        said = Text(f"The trail is broken at entry {broken['number']}: {broken['why']}.", style="red")
        return [said, Text("What is told from there on proves nothing. Compare with a backup: `instep audit --json` of both.")]
    lines = [Text(f"The trail is whole: {told['entries']:,} entries, each tied to the one before it.", style="green")]
    if expect:
        lines.append(Text("The anchor that was kept is in it.", style="green"))
    if told["anchor"]:
        lines.append(Text(f"Anchor: {told['anchor']}"))
        lines.append(
            Text("Keep it elsewhere: `instep audit verify --expect ANCHOR` notices a trail that lost its end.", style="dim")
        )
    return lines
