"""`instep events prune`: payloads that are no longer needed leave the store, into a file first."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.text import Text

from engine.desk.stored import NotFound, active_rule_set, visited
from engine.language.durations import show_duration
from engine.language.files import project_root, read_files
from engine.language.pack import load_client
from engine.language.ruleset import RuleSet
from engine.run.hearing.deeds import PERSON
from engine.run.kept.retention import Leaving, leaving
from engine.simulate.history import BadHistory, Entry, TakenIn, read, recorded_of, written
from engine.store.base import Store
from engine.store.retention import Pruning
from engine.store.rows import Journalled

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What would leave, by the client's setting."""

    kept_for: timedelta
    before: datetime
    leaving: Leaving

    def to_json(self) -> Json:
        return {
            "kept_for": show_duration(self.kept_for),
            "before": self.before.isoformat(),
            "cases": len(self.leaving.cases),
            "events": len(self.leaving.seqs),
            "bytes": self.leaving.size,
        }


def planned(database: Path | None, client: str | None, root: Path | None) -> Plan:
    """Raises `NotFound` where the client keeps payloads for ever, `ProblemsFound` for its files."""
    with visited(database, client) as store:
        return _planned(store, root)


def _planned(store: Store, root: Path | None) -> Plan:
    active = active_rule_set(store)
    config = load_client(read_files(project_root(root)), active.client)
    if config.retention is None:
        raise NotFound(
            f"client.yaml of {active.client} has no `retention`, so payloads are kept for ever. To let those of closed cases"
            " leave after a time, write for example retention: {payloads: 400d}"
        )
    before = datetime.now(UTC) - config.retention.payloads
    return Plan(config.retention.payloads, before, leaving(store, active, before))


def pruned(database: Path | None, client: str | None, root: Path | None, to: Path, by: str) -> Json:
    """Writes what leaves, and only when that is safely on disk and was read back takes it out of the store.

    Raises `NotFound`, `ProblemsFound`, and OSError for the file; in every case nothing has left.
    """
    if to.exists():
        raise NotFound(f"{to} is there already: name a new file")
    with visited(database, client) as store:
        plan = _planned(store, root)
        if not plan.leaving.seqs:
            return plan.to_json() | {"pruned": False, "file": ""}
        rule_set = active_rule_set(store)
        digest = _write(to, _history(store, rule_set, plan.leaving))
        _read_back(to, len(plan.leaving.seqs))
        now = datetime.now(UTC)
        going = plan.leaving
        note = Pruning(0, now, by, plan.before, len(going.seqs), going.size, to.name, digest)
        with store.transaction():
            if not going.cases.keys() <= store.retention.quiet_cases(plan.before).keys():
                raise NotFound(f"something was seen of one of these cases meanwhile: nothing has left; remove {to} and try again")
            store.retention.remove(going.seqs, going.cases, note)
            details = {"events": note.events, "bytes": note.size, "cases": len(going.cases), "sha256": digest}
            why = f"older than {show_duration(plan.kept_for)}"
            store.audit.append(now, by, "pruned", to.name, reason=why, details=details)
    return plan.to_json() | {"pruned": True, "file": str(to), "sha256": digest}


def _history(store: Store, rule_set: RuleSet, going: Leaving) -> Iterator[Entry]:
    """The history of what leaves, with what people decided about it and what was the same for every case."""
    names = store.retention.names(going.cases)
    shared = {m.event for mappings in rule_set.mappings.values() for m in mappings if m.kind in rule_set.vocabulary.client}
    about = {f"event:{seq}" for seq in going.seqs}

    def wanted(entry: Journalled) -> bool:
        event = entry.event
        if event.connector == PERSON:
            return event.about in names or event.about in about
        return entry.seq in going.seqs or event.kind in shared

    return recorded_of(store, wanted, names.__contains__)


def _write(to: Path, entries: Iterator[Entry]) -> str:
    """Durable before it has its name. The SHA-256 of what was written."""
    digest = hashlib.sha256()
    part = to.with_name(f"{to.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            for line in written(entries):
                digest.update(line.encode())
                file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            part.unlink()
            raise
    part.rename(to)
    folder = os.open(to.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return digest.hexdigest()


def _read_back(path: Path, wanted: int) -> None:
    try:
        found = sum(len(entry.events) for entry in read(path) if isinstance(entry, TakenIn))
    except BadHistory as fault:
        raise NotFound(f"{path} cannot be read back: {fault}. Nothing has left the store") from None
    if found < wanted:
        raise NotFound(f"{path} holds {found} events where {wanted} were to leave. Nothing has left the store")


def lines(told: Json) -> list[Text]:
    """For people."""
    what = f"{told['events']:,} payloads ({told['bytes']:,} bytes) of {told['cases']:,} closed cases"
    since = f"quiet since before {told['before'][:10]} ({told['kept_for']})"
    if not told["events"]:
        return [Text(f"Nothing leaves: no payload is of a closed case that was {since}.", style="green")]
    if not told.get("pruned"):
        return [Text(f"{what}, {since}, would leave.")]
    return [
        Text(f"{what}, {since}, have left the store.", style="green"),
        Text(f"They are in {told['file']}, with all that was decided about them: instep explain CASE --history {told['file']}"),
        Text(f"SHA-256 {told['sha256']}", style="dim"),
    ]
