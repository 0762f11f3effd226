"""When an effect may leave: at once, or with its batch."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from engine.facts.calendars import instant_of
from engine.facts.effects import EffectState
from engine.language.ruleset import RuleSet

AT_ONCE = "sla"  # effects of this group wait for no batch
FIRST_LOOK = timedelta(minutes=1)  # after an unsure send


def due_at(effect: EffectState, rule_set: RuleSet, zone: ZoneInfo, opened_at: datetime) -> datetime | None:
    """When the dispatcher has to look at an effect next; None is never.

    Nothing is ever due of a shadow rule or client, nor of a case opened before `since`. An unsure effect is looked up again
    whatever the mode, because it has been sent.
    """
    if effect.status == "unsure":
        return max(t for t in (effect.not_before, (effect.sent_at or effect.planned_at) + FIRST_LOOK) if t is not None)
    if effect.status != "planned" or held_back(effect, rule_set, opened_at):
        return None
    leaves = max(effect.planned_at, effect.turn_at or effect.planned_at)
    cadence = rule_set.cadence.get(effect.action)
    if cadence is not None and effect.group != AT_ONCE:
        leaves = next_batch(cadence, leaves, zone)
    return max(leaves, effect.not_before or leaves)


def held_back(effect: EffectState, rule_set: RuleSet, opened_at: datetime) -> bool:
    """Whether it is only decided and shown."""
    shadow = "shadow" in (effect.mode, rule_set.mode)
    return shadow or (rule_set.since is not None and opened_at < rule_set.since)


def next_batch(cadence: str, after: datetime, zone: ZoneInfo) -> datetime:
    """The first batch at or after an instant. `cadence` is like `daily 02:00`, in the client's time zone.

    A time the clock skips runs at the next valid minute; one it repeats runs once, the first time.
    """
    word, _, text = cadence.partition(" ")
    if word != "daily":
        raise ValueError(f"{cadence!r} is not a cadence like 'daily 02:00'")
    at = time.fromisoformat(text)
    day = after.astimezone(zone).date() - timedelta(days=1)
    while True:
        batch = instant_of(datetime.combine(day, at), zone)
        if batch >= after:
            return batch
        day += timedelta(days=1)
