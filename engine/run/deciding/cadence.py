"""When an effect may leave: at once, or with its batch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from engine.facts.calendars import Calendar
from engine.facts.effects import EffectState
from engine.language.batches import Cadence
from engine.language.ruleset import RuleSet
from engine.run.waits import next_try

AT_ONCE = "sla"  # effects of this group wait for no batch
ONE_MINUTE = timedelta(minutes=1)
FIRST_LOOK = timedelta(minutes=1)  # after an unsure send


def due_at(effect: EffectState, rule_set: RuleSet, zone: ZoneInfo, opened_at: datetime) -> datetime | None:
    """When the dispatcher has to look at an effect next; None is never.

    Nothing is ever due of a shadow rule or client, nor of a case opened before `since`. An unsure effect is looked up again
    whatever the mode, because it has been sent. A refusal that passes by itself is due when it is tried again.
    """
    if effect.status == "unsure":
        return max(t for t in (effect.not_before, (effect.sent_at or effect.planned_at) + FIRST_LOOK) if t is not None)
    if held_back(effect, rule_set, opened_at):
        return None
    if effect.status == "refused":
        return _tried_again_at(effect, rule_set)
    if effect.status != "planned":
        return None
    leaves = max(effect.planned_at, effect.turn_at or effect.planned_at)
    cadence = rule_set.cadence.get(effect.action)
    if cadence is not None and effect.group != AT_ONCE:
        leaves = max(leaves, _with_its_batch(cadence, leaves, effect.planned_at, zone))
    return max(leaves, effect.not_before or leaves)


def _tried_again_at(effect: EffectState, rule_set: RuleSet) -> datetime | None:
    """None where it does not pass, or a person is done with it."""
    spec = rule_set.actions.get(effect.action)
    wait = spec.passes.get(effect.reason) if spec is not None else None
    if wait is None or effect.acknowledged or effect.settled_at is None:
        return None
    return next_try(effect.settled_at, effect.planned_at, wait, effect.key)


def held_back(effect: EffectState, rule_set: RuleSet, opened_at: datetime) -> bool:
    """Whether it is only decided and shown."""
    shadow = "shadow" in (effect.mode, rule_set.mode)
    return shadow or (rule_set.since is not None and opened_at < rule_set.since)


def _with_its_batch(cadence: Cadence, after: datetime, planned_at: datetime, zone: ZoneInfo) -> datetime:
    batch = next_batch(cadence, after, zone)
    return batch if cadence.not_later is None else min(batch, planned_at + cadence.not_later)


def next_batch(cadence: Cadence, after: datetime, zone: ZoneInfo) -> datetime:
    """The first batch at or after an instant, in the client's time zone.

    A time the clock skips runs at the next valid minute; one it repeats runs once, the first time.
    """
    return min(_next(cron, cadence.calendar, after, zone) for cron in cadence.batch.crons)


def _next(cron: str, calendar: Calendar | None, after: datetime, zone: ZoneInfo) -> datetime:
    for batch in CronSim(cron, (after - ONE_MINUTE).astimezone(zone)):
        if batch >= after and (calendar is None or calendar.works_on(batch.date())):
            return batch.astimezone(UTC)
    raise ValueError(f"{cron} has no time after {after:%Y-%m-%d}")
