"""Which refunds and cancellations of a line our own effects made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.facts.account import PRICE, SHIPPING, ZERO, moved
from engine.facts.effects import EffectState
from engine.facts.values import Money, Rec, listed

REFUND = "marketplace.refund"
CANCEL = "marketplace.cancel"
UNDER_WAY = frozenset({"performing", "unsure"})
SKEW = timedelta(minutes=2)  # between our clock and the marketplace's, which may leave milliseconds out


@dataclass(slots=True)
class Bound:
    """`effects` by the key of the refund or cancellation they made; `matches` those found by their sum, which had no receipt;
    `unseen` are done but not in the records yet, `under_way` may be done.
    """

    effects: dict[str, EffectState] = field(default_factory=dict)
    matches: dict[str, str] = field(default_factory=dict)
    unseen: list[EffectState] = field(default_factory=list)
    under_way: list[EffectState] = field(default_factory=list)


def bind(line: Rec, effects: Sequence[EffectState]) -> Bound:
    """Receipts first, each to one refund; then effects without a receipt, by their sum on the line, to what is still free."""
    bound = Bound()
    if not effects:
        return bound
    free = {REFUND: _by_id(line["refunds"]), CANCEL: _by_id(line["cancelations"])}
    rest: list[EffectState] = []
    for effect in effects:
        ids = receipt_ids(effect)
        seen = next((i for i in ids if i in free[effect.action]), None)
        if seen is not None:
            bound.effects[free[effect.action].pop(seen).key] = effect
        elif effect.status == "settled" and ids and effect.action == REFUND:
            bound.unseen.append(effect)
        elif effect.status in UNDER_WAY or effect.status == "settled":
            rest.append(effect)
    for effect in rest:
        seen = _same_sum(effect, free[effect.action])
        if seen is not None:
            bound.effects[free[effect.action].pop(seen).key] = effect
            if effect.status in UNDER_WAY:
                bound.matches[effect.key] = seen
        elif effect.status == "settled":
            bound.unseen.append(effect)
        else:
            bound.under_way.append(effect)
    return bound


def receipt_ids(effect: EffectState) -> list[str]:
    """The ids the outside gave to what the effect made."""
    details = effect.receipt.get("details")
    places: list[Mapping[str, Any]] = [effect.receipt, details if isinstance(details, Mapping) else {}]
    names = ("refund_id", "cancelation_id", "reference")
    return [str(place[name]) for place in places for name in names if place.get(name)]


def _by_id(recs: Iterable[Rec] | None) -> dict[str, Rec]:
    ordered = sorted(listed(recs), key=lambda r: (str(r["created_at"]), r.key))
    return {str(rec["id"]): rec for rec in ordered}


def _same_sum(effect: EffectState, free: Mapping[str, Rec]) -> str | None:
    """The first refund not older than the effect that moved the same sum, counting the taxes the effect stated."""
    amount = effect.params.get("amount")
    if not isinstance(amount, Money):
        return None
    wanted = moved(effect.params, amount.currency)
    since = _since(effect)
    for refund_id, rec in free.items():
        at = rec["created_at"]
        if isinstance(at, datetime) and at < since - SKEW:
            continue
        found = moved(rec, amount.currency)
        if _sum(found, wanted) == _sum(wanted, wanted):
            return refund_id
    return None


def _since(effect: EffectState) -> datetime:
    """What was made before this cannot be ours. After a second attempt the first may still come to light."""
    return effect.sent_at if effect.sent_at is not None and effect.attempts <= 1 else effect.planned_at


def _sum(amounts: Mapping[tuple[str, str], Decimal], stated: Mapping[tuple[str, str], Decimal]) -> Decimal:
    return sum((a for key, a in amounts.items() if key in stated or key in (PRICE, SHIPPING)), ZERO)
