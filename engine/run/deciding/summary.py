"""A decision as the store keeps it and people read it: what held, what was planned, blocked and raised.

The full trace is worked out again on demand, from the same facts, memory and `now`.
"""

from __future__ import annotations

import hashlib
from typing import Any

from engine.decide.decision import Decision
from engine.decide.memory import ExceptionState
from engine.facts.codec import dumps
from engine.facts.effects import EffectState
from engine.store.rows import EffectEntry, ExceptionEntry


def summary(decision: Decision) -> dict[str, Any]:
    """Everything but `now`: two passes that came out the same have the same summary."""
    return {
        "rule_set": decision.rule_set,
        "held": [
            {"rule": s.rule.id, "item": s.item, "truth": s.truth, "ready": s.ready, "until": s.until} for s in decision.standings
        ],
        "planned": [{"key": e.key, "rule": e.rule, "item": e.item, "mode": e.mode} for e in decision.effects],
        "withdrawn": decision.withdrawn,
        "vetoes": [{"rule": v.standing.rule.id, "item": v.standing.item, "because": v.because} for v in decision.vetoes],
        "blocked": [
            {"action": b.action, "rule": b.rule, "item": b.item, "units": b.units, "why": b.why, "by": b.by, "because": b.because}
            for b in decision.blocked
        ],
        "undecided": [
            {"rule": lack.standing.rule.id, "item": lack.standing.item, "facts": lack.facts} for lack in decision.lacks
        ],
        "exceptions": [{"key": x.key, "title": x.title, "state": shown_state(x)} for x in decision.exceptions],
        "closed": [{"key": x.key, "why": why} for x, why in decision.closed],
        "wake_at": decision.wake_at,
    }


def summary_text(decision: Decision) -> tuple[str, bytes]:
    """The summary as JSON text, and sixteen bytes that tell it apart."""
    text = dumps(summary(decision))
    return text, hashlib.blake2b(text.encode(), digest_size=16).digest()


def shown_state(found: ExceptionState) -> str:
    """What a rule in shadow would raise is recorded, never open."""
    return "shadow" if found.mode == "shadow" else found.state


def exception_entry(found: ExceptionState) -> ExceptionEntry:
    return ExceptionEntry(
        key=found.key,
        rule=found.rule,
        item=found.item,
        about=found.about,
        owner=found.owner,
        severity=found.severity,
        title=found.title,
        runbook=found.runbook,
        answers=dumps(dict(found.answers)),
        state=shown_state(found),
        opened_at=found.opened_at,
        until=found.until,
    )


def effect_entry(effect: EffectState, due_at: Any) -> EffectEntry:
    return EffectEntry(
        key=effect.key,
        action=effect.action,
        subject=effect.subject,
        status=effect.status,
        mode=effect.mode,
        rule=effect.rule,
        item=effect.item,
        group=effect.group,
        units=dumps(effect.units),
        params=dumps(effect.params),
        planned_at=effect.planned_at,
        due_at=due_at,
        not_before=effect.not_before,
        sent_at=effect.sent_at,
        settled_at=effect.settled_at,
        attempts=effect.attempts,
        reason=effect.reason,
        detail=effect.detail,
        receipt=dumps(effect.receipt),
    )
