"""What a service itself tells the audit trail: when it began and ended, with which version, settings and rule set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from engine.store.audit import AuditTrail
from engine.store.base import Store

INSTEP = "instep"  # does what nobody in particular did
STARTED, STOPPED, ACTIVATED, OVERRODE = "started", "stopped", "activated", "overrode"
PAGE = 200


def started(store: Store, at: datetime, rule_set: str, settings: str) -> None:
    """`settings` is the text of the client's file: its SHA-256 is kept, as `sha256sum` prints it."""
    details = {
        "version": _version(),
        "rule_set": rule_set,
        "settings": hashlib.sha256(settings.encode()).hexdigest() if settings else "",
        "process": os.getpid(),
        "ended_before": _ended(store.audit),
    }
    store.audit.append(at, INSTEP, STARTED, details=details)


def stopped(store: Store, at: datetime) -> None:
    with store.transaction():
        store.audit.append(at, INSTEP, STOPPED, details={"version": _version(), "process": os.getpid()})


def activated(store: Store, at: datetime, rule_set: str, by: str, why: str, before: str, held_back: Sequence[str]) -> None:
    """`held_back` are the reasons for which it waited until a person wanted it all the same."""
    details: Mapping[str, object] = {"before": before} if before else {}
    store.audit.append(at, by, ACTIVATED, rule_set, reason=why, details=details)
    if held_back:
        store.audit.append(at, by, OVERRODE, rule_set, reason=why, details={"held_back": list(held_back)})


def _ended(trail: AuditTrail) -> str:
    """How the service before this one ended, as far as the trail tells."""
    last = trail.last()
    upto = last.number if last else 0
    while upto > 0:
        for entry in reversed(trail.entries(max(upto - PAGE, 0), min(PAGE, upto))):
            if entry.did in (STARTED, STOPPED):
                return "stopped" if entry.did == STOPPED else "was cut off"
        upto -= PAGE
    return "there was none"


def _version() -> str:
    try:
        return version("instep")
    except PackageNotFoundError:
        return "unknown"
