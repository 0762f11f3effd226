"""What was typed for verbs with many options, without what they need to run: read when the command line starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AskedOfWorld:
    """What was typed after `instep simulate CLIENT`, with `--world`."""

    world: str
    days: int
    seed: int
    rules: str
    against: str
    workers: int
    database: Path | None
