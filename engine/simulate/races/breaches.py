"""A broken promise, as the search for races found it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Breach:
    """Which promise, how it broke, and where it stands in YAML; promises of the engine itself stand in no file."""

    promise: str
    said: str
    places: tuple[str, ...] = ()
