"""Which rule set decides, which were active before, and activating one by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine.desk.doing import person
from engine.desk.stored import NotFound, store_path, visited
from engine.problems import did_you_mean
from engine.run.rules.past import NoSuchRuleSet, find_rule_set
from engine.store.base import Store
from engine.store.candidates import CandidateRequest
from engine.store.rows import ActivationRequest, RuleSetRow
from engine.store.sqlite.lock import is_held

PATIENCE = timedelta(seconds=30)  # for the service to do what it was asked
GLANCE = 0.2
MANY = 1000

Json = dict[str, Any]


def rules_status(database: Path | None, client: str | None) -> Json:
    """The active set, how reading the files went last, and what waits, as the service last told it."""
    with visited(database, client) as store:
        row = store.rule_sets.current()
        told: Json = json.loads(store.rule_sets.status() or "{}")
        asked = store.rule_sets.requested()
    return {
        "client": row.client if row else "",
        "running": is_held(store_path(database, client)),
        "active": _row(row) if row else None,
        "last_read": told.get("last_read"),
        "waiting": told.get("waiting"),
        "passed_over": bool(row and row.passed_over),
        "needs_restart": told.get("needs_restart", []),
        "asked_for": [{"hash": r.hash, "by": r.asked_by, "at": r.asked_at.isoformat()} for r in asked],
    }


def rules_history(database: Path | None, client: str | None, limit: int) -> list[Json]:
    """Every activation, the latest first."""
    with visited(database, client) as store:
        return [_row(row) for row in store.rule_sets.history(limit)]


def rules_shown(database: Path | None, client: str | None, hash_: str) -> Json:
    """A rule set with when it was active and the text of its files. Raises `NotFound`."""
    with visited(database, client) as store:
        row = _found(store, hash_)
        times = [_row(one) for one in store.rule_sets.history(MANY) if one.hash == row.hash]
        return {"hash": row.hash, "client": row.client, "activations": times, "files": store.rule_sets.files(row.id)}


def file_of(shown: Json, name: str) -> str:
    """Raises `NotFound`."""
    if name not in shown["files"]:
        raise NotFound(f"it has no file {name}{did_you_mean(name, shown['files'])}")
    return str(shown["files"][name])


def lay_out(shown: Json, folder: Path) -> int:
    """Writes the files below a folder that is not there or empty; how many. Raises `NotFound` for any other."""
    if folder.exists() and any(folder.iterdir()):
        raise NotFound(f"{folder} is not empty: name a new folder")
    for name, text in shown["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return len(shown["files"])


def activate(database: Path | None, client: str | None, hash_: str, by: str) -> tuple[str, bool]:
    """Asks for a rule set: what became of it, and whether that is what was wanted. Raises `NotFound`.

    A running service is waited for; without one the request stays in the store for the next start.
    """
    who = person(by)
    with visited(database, client) as store:
        known = json.loads(store.rule_sets.status() or "{}").get("waiting") or {}
        if hash_ and not str(known.get("hash", "")).startswith(hash_):
            _found(store, hash_)
        now = datetime.now(UTC)
        with store.transaction():
            asked = store.rule_sets.request(hash_, who, now)
            store.audit.append(now, who, "asked for activation", hash_ or "what waits")
        if not is_held(store_path(database, client)):
            return "Noted. No service is running: it is activated at the next start.", True
        patience = timedelta() if known.get("restart") else PATIENCE
        return outcome_of(lambda: store.rule_sets.request_of(asked), patience)


def outcome_of(request: Callable[[], ActivationRequest | CandidateRequest | None], patience: timedelta) -> tuple[str, bool]:
    """What became of what was asked of a running service, and whether that is what was wanted. Waits for it so long."""
    end = time.monotonic() + patience.total_seconds()
    while True:
        found = request()
        if found is not None and found.done_at is not None:
            first = found.outcome.partition(" ")[0]
            said = found.outcome[:1].upper() + found.outcome[1:] if first.isalpha() else found.outcome  # a hash stays as it is
            return f"{said}.", found.fine
        if time.monotonic() >= end:
            return "Noted. The service has not done it yet; it does at the latest when it is started again.", True
        time.sleep(GLANCE)


def _found(store: Store, hash_: str) -> RuleSetRow:
    try:
        return find_rule_set(store, hash_)
    except NoSuchRuleSet as no:
        raise NotFound(str(no)) from None


def _row(row: RuleSetRow) -> Json:
    return {
        "hash": row.hash,
        "activated_at": row.activated_at.isoformat(),
        "by": row.activated_by or "unknown",
        "why": row.why or "unknown",
        "caught_up_at": row.caught_up_at.isoformat() if row.caught_up_at else None,
    }
