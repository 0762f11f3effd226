"""What time should have brought earlier: noted when the service was away, or could not keep up, when it fell due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from engine.decide.decision import Decision
from engine.decide.memory import Memory
from engine.store.safekeeping import Late

TOLD = timedelta(minutes=1)  # less is how a service works that has much to do
BY_TIME = frozenset({"undecided", "promise_broken"})  # exceptions the engine opens at an instant it looks at the case for


def late(wake_at: datetime | None, was: Memory, decision: Decision) -> list[Late]:
    """Effects and exceptions that are new in a decision and that only time brought, where the case should have been looked at
    at `wake_at` and was not. What facts brought is never late.
    """
    if wake_at is None or decision.now - wake_at < TOLD:
        return []
    due = {
        (s.rule.id, s.item): s.after if s.after is not None and wake_at <= s.after <= decision.now else wake_at
        for s in decision.standings
        if s.ready and (s.rule.after is not None or s.rule.hold_for is not None)
    }
    return [*_effects(due, was, decision), *_exceptions(due, wake_at, was, decision)]


def _effects(due: dict[tuple[str, str], datetime], was: Memory, decision: Decision) -> Iterator[Late]:
    for effect in decision.memory.effects:
        before = was.effect(effect.key)
        if effect.planned_at == decision.now and (before is None or before.planned_at != effect.planned_at):
            at = due.get((effect.rule, effect.item))
            if at is not None:
                yield Late("effect", effect.key, at, decision.now)


def _exceptions(due: dict[tuple[str, str], datetime], wake_at: datetime, was: Memory, decision: Decision) -> Iterator[Late]:
    for key, found in decision.memory.exceptions.items():
        if key not in was.exceptions:
            at = wake_at if found.rule in BY_TIME else due.get((found.rule, found.item))
            if at is not None:
                yield Late("exception", key, at, decision.now)
