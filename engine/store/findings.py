"""What is found wrong in a store: what, where, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

RESTORE = (
    "Stop the service, keep a copy of the file with its -wal, and go back to the last good backup: `instep restore`. If there is"
    " none, report this with the copy"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names the invariant, `where` the row."""

    check: str
    where: str
    what: str
    remedy: str = RESTORE
