"""What became of the effects of a case, as records rules can read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from engine.facts.account import PRICE, SHIPPING, ZERO, moved
from engine.facts.assemble import Builder
from engine.facts.effects import EffectState
from engine.facts.values import Items, Money, Rec

# An effect that only waits, or was withdrawn, is not a fact: no rule can chase its own tail. One that is tried again after it
# was refused is what it was, until it is known what comes of it.
_STATUS: Mapping[str, str] = MappingProxyType(
    {
        "performing": "unsure",
        "unsure": "unsure",
        "settled": "settled",
        "settled_elsewhere": "settled_elsewhere",
        "refused": "refused",
    }
)


def effect_records(
    builder: Builder, effects: Iterable[EffectState], units: Mapping[str, Rec], read_back: Mapping[str, str | None]
) -> Items:
    """One record for each effect that went out or came to an end; those of shadow rules stay among themselves. `read_back` tells
    of refunds that are seen in what they differ from what was sent.
    """
    told = [e for e in effects if _status(e) and e.mode == "live"]
    return Items(_record(builder, effect, units, read_back) for effect in sorted(told, key=lambda e: e.key))


def _record(builder: Builder, effect: EffectState, units: Mapping[str, Rec], read_back: Mapping[str, str | None]) -> Rec:
    known = {
        "key": effect.key,
        "action": effect.action,
        "status": _status(effect),
        "reason": effect.reason or None,
        "detail": effect.detail or None,
        "subject": effect.subject,
        "units": Items(units[u] for u in effect.units if u in units),
        "amount": _amount(effect),
        "planned_at": effect.planned_at,
        "settled_at": effect.settled_at,
        "seen": effect.key in read_back,
        "difference": read_back.get(effect.key),
    }
    return builder.blank("effect", effect.key, known)


def _status(effect: EffectState) -> str | None:
    tried_again = effect.status in ("planned", "performing") and effect.reason
    return "refused" if tried_again else _STATUS.get(effect.status)


def _amount(effect: EffectState) -> Money | None:
    amount = effect.params.get("amount")
    if not isinstance(amount, Money):
        return None
    counted = moved(effect.params, amount.currency)
    if effect.params.get("tax_mode") != "excluded":
        counted = {key: counted[key] for key in (PRICE, SHIPPING)}
    return Money(sum(counted.values(), ZERO), amount.currency)
