"""What is decided about an effect on its way out, as pure functions: the service asks them, and so does the search for races."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal

from engine.decide.decision import Decision
from engine.facts.codec import dumps
from engine.facts.effects import EffectState
from engine.facts.outside import Evidence, Receipt
from engine.run.sending.lines import lines_of
from engine.run.sending.steps import Step
from engine.run.waits import MOST_CUT_OFF, MOST_SENDS, next_look

Next = Literal["wait", "settled_elsewhere", "begin"]
UNDER_WAY = frozenset({"performing", "unsure"})


def blocked(effect: EffectState, effects: Iterable[EffectState]) -> bool:
    """While an effect on an order line is being sent or unsure, no other on that line goes out."""
    busy = {line for e in effects if e.key != effect.key and e.status in UNDER_WAY for line in lines_of(e)}
    return not busy.isdisjoint(lines_of(effect))


def tells(found: Evidence) -> bool:
    """Whether the outside really said something: that it is not done, or facts to judge it by."""
    return found.done is not None or bool(found.events)


def after_look_up(found: Evidence | None, *, about_units: bool) -> Next:
    """Without an answer nothing is sent, nor without facts where facts must tell; what is done already is never repeated."""
    if found is None or (about_units and not tells(found)):
        return "wait"
    return "settled_elsewhere" if found.done is True else "begin"


def still_asked(decision: Decision, looked_up: EffectState) -> bool:
    """Whether a decision asks for exactly what was looked up, now."""
    wanted = next((e for e in decision.effects if e.key == looked_up.key), None)
    if wanted is None or (wanted.turn_at or decision.now) > decision.now:
        return False
    return wanted.units == looked_up.units and dumps(wanted.params) == dumps(looked_up.params)


def judged(effect: EffectState, found: Evidence | None, quiet: timedelta | None, asked_at: datetime, now: datetime) -> Step:
    """What becomes of an unsure effect after a look-up: settled by evidence, performed once more after its quiet period if the
    outside shows that it did not happen, and else looked up again.
    """
    if found is not None and found.done is True:
        return Step("settled", effect.key, receipt=kept(found.receipt or Receipt("seen", {})))
    sent_at = effect.sent_at or effect.planned_at
    if found is not None and tells(found) and quiet is not None and asked_at >= sent_at + quiet:
        if effect.tries >= MOST_SENDS:
            return Step("refused", effect.key, "gave_up", f"sent {effect.attempts} times without a trace")
        if effect.cut_off >= MOST_CUT_OFF:
            told = f"the process ended {effect.cut_off} times while it was being sent: sending it may be what ends it"
            return Step("refused", effect.key, "gave_up", told)
        return Step("again", effect.key)
    return Step("later", effect.key, detail=effect.detail, wait=next_look(sent_at, now, quiet) - now)


def kept(receipt: Receipt | None) -> dict[str, Any]:
    """What is remembered of a receipt."""
    return {} if receipt is None else {"reference": receipt.reference, **receipt.details}
