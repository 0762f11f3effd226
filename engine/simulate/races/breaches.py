"""A broken promise, as the search for races found it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Breach:
    """Which promise, how it broke, and where it stands in YAML; promises of the engine itself stand in no file. `action` and
    `units` are of what should not have been sent, where that is how it broke.
    """

    promise: str
    said: str
    places: tuple[str, ...] = ()
    action: str = ""
    units: tuple[str, ...] = ()
