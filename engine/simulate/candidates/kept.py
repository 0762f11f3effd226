"""How a case stands with a candidate, as its row keeps it; and what differs in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from engine.decide.memory import Memory
from engine.facts.codec import loads
from engine.simulate.candidates.following import NEAR, State
from engine.simulate.difference import Difference, differences
from engine.simulate.seen import CaseSeen, EffectSeen
from engine.simulate.told import case_of_text, case_text
from engine.store.candidates import BesideRow

UNDER_WAY = frozenset({"performing", "unsure"})
TRIFLE = 2 * NEAR  # of two instants that are each told to the minute


def state_of(row: BesideRow) -> State:
    """The state of a run that goes on."""
    return State(Memory.from_json(loads(row.memory)), row.looked_at, row.next_at, seen(row.was), seen(row.now))


def row_of(case_id: int, name: str, state: State) -> BesideRow:
    memory = json.dumps(state.memory.to_json(), sort_keys=True, separators=(",", ":"))
    was, now = _text(state.was), _text(state.now)
    found = len(otherwise(name, state.was, state.now))
    return BesideRow(case_id, name, memory, state.looked_at, state.next_at, was, now, found)


def seen(text: str) -> CaseSeen | None:
    return case_of_text(text) if text else None


def _text(case: CaseSeen | None) -> str:
    return "" if case is None else case_text(case)


def otherwise(case: str, was: CaseSeen | None, now: CaseSeen | None) -> list[Difference]:
    """What differs as far as it can be told yet: not how an effect ended that is under way with one of both, nor a moment."""
    return [one for one in differences(case, was, now) if not _not_yet(one, was, now)]


def _not_yet(one: Difference, was: CaseSeen | None, now: CaseSeen | None) -> bool:
    if one.what not in ("effect ended otherwise", "effect earlier", "effect later"):
        return False
    both = [e for e in (_effect(was, one.key), _effect(now, one.key)) if e is not None]
    if one.what == "effect ended otherwise":
        return any(e.status in UNDER_WAY for e in both)
    instants = [e.sent_at or e.planned_at for e in both]
    return _apart(instants) < TRIFLE


def _apart(instants: Sequence[datetime]) -> timedelta:
    return max(instants) - min(instants)


def _effect(case: CaseSeen | None, key: str) -> EffectSeen | None:
    return next((e for e in case.effects if e.key == key), None) if case is not None else None
