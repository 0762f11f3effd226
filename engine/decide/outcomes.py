"""What happens to an effect once it leaves the rules' hands: each step is a pure change of the case's memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.decide.memory import Memory
from engine.facts.effects import EffectState


class WrongState(ValueError):  # noqa: N818
    """The effect is not in a state this step can start from."""


def _of(memory: Memory, key: str, *allowed: str) -> EffectState:
    effect = memory.effect(key)
    if effect is None:
        raise WrongState(f"no effect {key}")
    if effect.status not in allowed:
        raise WrongState(f"effect {key} is {effect.status}, not {' or '.join(allowed)}")
    return effect


def begin(memory: Memory, key: str, now: datetime) -> Memory:
    """It is about to be sent. Committed before anything leaves, so that a crash finds it `performing`."""
    effect = _of(memory, key, "planned")
    detail = effect.detail if effect.reason else ""
    return memory.with_effect(
        replace(effect, status="performing", ever_sent=True, sent_at=now, attempts=effect.attempts + 1, detail=detail)
    )


def settled(memory: Memory, key: str, receipt: Mapping[str, Any], now: datetime) -> Memory:
    """It took place, by us; the receipt proves it."""
    effect = _of(memory, key, "performing", "unsure", "settled")
    if effect.status == "settled":
        return memory
    return memory.with_effect(replace(effect, status="settled", settled_at=now, receipt=dict(receipt), reason="", detail=""))


def settled_elsewhere(memory: Memory, key: str, receipt: Mapping[str, Any], now: datetime) -> Memory:
    """Someone else did it: recorded, never repeated."""
    effect = _of(memory, key, "planned", "refused")
    return memory.with_effect(replace(effect, status="settled_elsewhere", settled_at=now, receipt=dict(receipt)))


def refused(memory: Memory, key: str, reason: str, detail: str, now: datetime) -> Memory:
    """The outside said no, for good. A fact: rules say whose it is."""
    effect = _of(memory, key, "performing", "planned", "unsure")
    return memory.with_effect(replace(effect, status="refused", settled_at=now, reason=reason, detail=detail))


def unsure(memory: Memory, key: str, reason: str) -> Memory:
    """Sent, and its end is not known. Never withdrawn; looked up until there is evidence."""
    effect = _of(memory, key, "performing", "unsure")
    return memory.with_effect(replace(effect, status="unsure", reason="", detail=reason))


def later(memory: Memory, key: str, not_before: datetime, reason: str, *, nothing_sent: bool) -> Memory:
    """Not now. With `nothing_sent` the outside is known not to have acted, so the effect is merely planned again."""
    effect = _of(memory, key, "planned", "performing", "unsure")
    if effect.status == "unsure" or not nothing_sent:
        return memory.with_effect(replace(effect, not_before=not_before, detail=reason))
    detail = effect.detail if effect.reason else reason
    return memory.with_effect(replace(effect, status="planned", not_before=not_before, detail=detail))


def again(memory: Memory, key: str) -> Memory:
    """An unsure effect whose quiet period ended without evidence may be performed once more."""
    effect = _of(memory, key, "unsure")
    return memory.with_effect(replace(effect, status="planned", detail="no evidence within the quiet period"))


def retried(memory: Memory, key: str) -> Memory:
    """A person asks for a refused effect again: rules, vetoes and claims decide anew."""
    effect = _of(memory, key, "refused")
    fresh = replace(effect, status="planned", settled_at=None, not_before=None, attempts=0, cut_off=0)
    return memory.with_effect(replace(fresh, reason="", detail="", acknowledged=""))


def anew(memory: Memory, key: str) -> Memory:
    """A refusal that passes by itself has had its time: rules, vetoes and claims decide anew. Until it is known what comes of it
    this time it is still the refusal it was to those who were told.
    """
    effect = _of(memory, key, "refused")
    return memory.with_effect(replace(effect, status="planned", settled_at=None, not_before=None, attempts=0, cut_off=0))


def looked_for(memory: Memory, key: str) -> Memory:
    """A person does not want to wait: what is unsure is looked up now, and what was put off is due now. Nothing is sent for it
    that would not be sent later.
    """
    effect = _of(memory, key, "unsure", "planned")
    if effect.status == "planned" and effect.not_before is None:
        raise WrongState(f"effect {key} is planned and was not put off: it leaves by itself")
    return memory.with_effect(replace(effect, not_before=None))


def acknowledged(memory: Memory, key: str, by: str, why: str) -> Memory:
    """A person is done with a refusal: nothing is sent again, and nobody is asked about it any more."""
    effect = _of(memory, key, "refused")
    return memory.with_effect(replace(effect, acknowledged=f"{by}: {why}" if why else by))


def interrupted(memory: Memory) -> Memory:
    """After a crash nobody knows how far a `performing` effect came: it is unsure. That the outside gave no answer says nothing
    about the outside.
    """
    for effect in memory.effects:
        if effect.status == "performing":
            memory = unsure(memory, effect.key, "the process ended while it was being sent")
            memory = memory.with_effect(replace(_of(memory, effect.key, "unsure"), cut_off=effect.cut_off + 1))
    return memory


def merged(left: Memory, right: Memory) -> Memory:
    """One memory of two cases that turn out to be one: clocks take the later start, a snooze survives only if both had it."""
    clocks = dict(left.clocks)
    for key, clock in right.clocks.items():
        mine = clocks.get(key)
        clocks[key] = (
            clock
            if mine is None
            else min(
                (mine, clock), key=lambda c: (c.ran, c.since or datetime.min.replace(tzinfo=c.since.tzinfo if c.since else None))
            )
        )
    exceptions = dict(left.exceptions)
    for name, theirs in right.exceptions.items():
        ours = exceptions.get(name)
        if ours is None or (ours.state == "snoozed" and theirs.state == "open"):
            exceptions[name] = theirs
    for name, ours in exceptions.items():
        both = name in left.exceptions and name in right.exceptions
        if ours.state == "snoozed" and not both:
            exceptions[name] = replace(ours, state="open", until=None)
    effects = {e.key: e for e in right.effects} | {e.key: e for e in left.effects}
    return Memory(
        clocks=clocks,
        exceptions=exceptions,
        answers={**right.answers, **left.answers},
        undecided={**right.undecided, **{k: max(v, right.undecided.get(k, v)) for k, v in left.undecided.items()}},
        occurrences={**right.occurrences, **left.occurrences},
        effects=tuple(effects[k] for k in sorted(effects)),
    )
