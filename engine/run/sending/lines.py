"""Which order lines an effect is about."""

from __future__ import annotations

from collections.abc import Mapping

from engine.facts.effects import EffectState


def lines_of(effect: EffectState) -> frozenset[str]:
    """The lines of its units, and the line it names."""
    lines = {unit.rpartition("#")[0] for unit in effect.units}
    named = effect.params.get("line")
    if isinstance(named, str):
        lines.add(named)
    elif isinstance(named, Mapping) and isinstance(named.get("key"), str):
        lines.add(named["key"])
    return frozenset(line for line in lines if line)
