"""By when an effect has to be out: the deadlines of the promises it serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from engine.decide.promises import places_of
from engine.decide.subjects import lineage, units_of
from engine.decide.view import View
from engine.facts.effects import EffectState
from engine.facts.values import Rec
from engine.language.ruleset import RuleSet

ENDED = frozenset({"settled", "settled_elsewhere", "withdrawn"})


def effect_deadlines(rule_set: RuleSet, view: View, effects: Iterable[EffectState]) -> Mapping[str, datetime | None]:
    """For each effect that has not ended, by key, the earliest `by` of the promises about it; None where there is none.

    A promise is about an effect if its `must` names the action, as in `owned(marketplace.refund)`, its `when` is true, and its
    item has a unit of the effect or is what the effect's rule was evaluated for. The promise is the client's own word for the
    deadline: what breaks it is counted by `instep simulate`, and raised in the service.
    """
    waiting = [e for e in effects if e.status not in ENDED and e.mode == "live"]
    found: dict[str, datetime | None] = {e.key: None for e in waiting}
    for promise in rule_set.promises:
        concerned = [e for e in waiting if e.action in promise.must_owned]
        if promise.by is None or not concerned:
            continue
        for rec, env in places_of(promise, view):
            if promise.when is not None and not promise.when.true(env):
                continue
            by = promise.by.value(env)
            if not isinstance(by, datetime):
                continue
            for effect in concerned:
                known = found[effect.key]
                if _is_about(rec, effect) and (known is None or by < known):
                    found[effect.key] = by
    return found


def _is_about(rec: Rec | None, effect: EffectState) -> bool:
    if rec is None:
        return True
    if effect.units:
        return not {unit.key for unit in units_of(rec)}.isdisjoint(effect.units)
    return effect.item in {holder.item for holder in lineage(rec)}
