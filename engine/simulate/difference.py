"""What a second rule set would have done otherwise with a case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from engine.facts.values import Money
from engine.simulate.seen import PROMISE, CaseSeen, EffectSeen, ExceptionSeen, Withheld

What = Literal[
    "effect added", "effect gone", "effect earlier", "effect later", "effect otherwise", "effect ended otherwise",
    "exception added", "exception gone", "withheld added", "withheld gone", "promise broken", "promise kept",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is otherwise in a case. `was` and `now` say how it is with each set, "" where there is nothing.

    `reaction`: the world would have gone on otherwise after an earlier difference of this case, which a history cannot show.
    """

    case: str
    what: What
    key: str
    rule: str
    at: datetime
    was: str
    now: str
    amount: Money | None = None  # by how much the money that leaves changes
    reaction: bool = False


def differences(case: str, before: CaseSeen | None, after: CaseSeen | None) -> list[Difference]:
    """Everything that differs, in the order of time."""
    empty = CaseSeen(case, (), (), (), 0, "")
    was, now = before or empty, after or empty
    found = [*_effects(case, was, now), *_exceptions(case, was, now), *_withheld(case, was, now)]
    found.sort(key=lambda d: (d.at, d.what, d.key))
    first = min((d.at for d in found if d.what.startswith("effect")), default=None)
    return [_marked(d, first) for d in found]


def _marked(one: Difference, first: datetime | None) -> Difference:
    if first is None or one.at <= first:
        return one
    return replace(one, reaction=True)


def _effects(case: str, was: CaseSeen, now: CaseSeen) -> Iterator[Difference]:
    before = {e.key: e for e in was.effects if e.mode == "live"}
    after = {e.key: e for e in now.effects if e.mode == "live"}
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            yield Difference(case, "effect added", key, new.rule, _leaves(new), "", _said(new), _counted(new))
        elif new is None and old is not None:
            yield Difference(case, "effect gone", key, old.rule, _leaves(old), _said(old), "", _negative(_counted(old)))
        elif old is not None and new is not None:
            yield from _changed(case, old, new)


def _changed(case: str, old: EffectSeen, new: EffectSeen) -> Iterator[Difference]:
    if (old.units, old.amount) != (new.units, new.amount):
        yield Difference(
            case, "effect otherwise", new.key, new.rule, _leaves(new), _said(old), _said(new), _less(_counted(new), _counted(old))
        )
    if old.status != new.status or old.reason != new.reason:
        yield Difference(case, "effect ended otherwise", new.key, new.rule, _leaves(new), _ended(old), _ended(new))
    if _leaves(old) != _leaves(new):
        what: What = "effect earlier" if _leaves(new) < _leaves(old) else "effect later"
        yield Difference(case, what, new.key, new.rule, min(_leaves(old), _leaves(new)), _when(old), _when(new))


def _leaves(effect: EffectSeen) -> datetime:
    return effect.sent_at or effect.planned_at


def _when(effect: EffectSeen) -> str:
    return f"{_leaves(effect):%Y-%m-%d %H:%M}Z by {effect.rule}"


def _said(effect: EffectSeen) -> str:
    amount = f" {effect.amount}" if effect.amount is not None else ""
    return f"{effect.action}{amount} at {_when(effect)}"


def _ended(effect: EffectSeen) -> str:
    return f"{effect.status} ({effect.reason})" if effect.reason else effect.status


def _counted(effect: EffectSeen) -> Money | None:
    """What of it left: nothing of what was not sent, or was refused."""
    return effect.amount if effect.status == "settled" else None


def _negative(amount: Money | None) -> Money | None:
    return None if amount is None else -amount


def _less(one: Money | None, other: Money | None) -> Money | None:
    if one is None or other is None:
        return one if other is None else _negative(other)
    return one - other if one.currency == other.currency else one


def _exceptions(case: str, was: CaseSeen, now: CaseSeen) -> Iterator[Difference]:
    before, after = _opened(was.exceptions), _opened(now.exceptions)
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            what: What = "promise broken" if new.rule == PROMISE else "exception added"
            yield Difference(case, what, key, new.rule, new.opened_at, "", f"{new.title} ({new.owner})")
        elif new is None and old is not None:
            what = "promise kept" if old.rule == PROMISE else "exception gone"
            yield Difference(case, what, key, old.rule, old.opened_at, f"{old.title} ({old.owner})", "")


def _opened(found: Iterable[ExceptionSeen]) -> dict[str, ExceptionSeen]:
    """The first occurrence of each."""
    first: dict[str, ExceptionSeen] = {}
    for one in found:
        if one.mode == "live":
            first.setdefault(one.key, one)
    return first


def _withheld(case: str, was: CaseSeen, now: CaseSeen) -> Iterator[Difference]:
    before = {_kept(w): w for w in reversed(was.withheld)}
    after = {_kept(w): w for w in reversed(now.withheld)}
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        name = f"{key[0]} {key[2]}"
        if old is None and new is not None:
            yield Difference(case, "withheld added", name, new.by, new.since, "", _because(new))
        elif new is None and old is not None:
            yield Difference(case, "withheld gone", name, old.by, old.since, _because(old), "")


def _kept(one: Withheld) -> tuple[str, ...]:
    return one.action, one.rule, one.item, one.why, one.by


def _because(one: Withheld) -> str:
    until = f" until {one.until:%Y-%m-%d %H:%M}Z" if one.until else ""
    return f"{one.because or one.why}{until}"
