"""Rules that wait: for longer than they should, or without end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from engine.language.durations import show_duration
from engine.language.lints.whole import Whole
from engine.language.terms import Call, Compare, Field, Literal, Logic, Not, Setting, Term, path_of
from engine.problems import Problem

_HOLD = "hold"  # the group for waiting
_LONG = timedelta(days=1)


def long_clocks(whole: Whole) -> Iterator[Problem]:
    """A clock of `for` starts when the condition is seen to hold and starts anew after a break; a known start does not."""
    for rule in whole.rules:
        if rule.hold_for is None:
            continue
        long = rule.hold_for.value({"params": whole.settings})
        start = next((path for read in whole.conditions(rule) for path in _starts(read.term)), None)
        if isinstance(long, timedelta) and long >= _LONG and start is not None:
            written = f"hours({long // timedelta(hours=1)})" if rule.hold_for.constant else rule.hold_for.text
            said = (
                f"counts {show_duration(long)} from when the condition is first seen to hold, and anew after every break; "
                f"the start is known: write after: {start} + {written}"
            )
            yield Problem(rule.hold_for.place, "long-for", said)


def endless_holds(whole: Whole) -> Iterator[Problem]:
    """A hold nothing can end, and one that ends only with what may never come while nobody is told."""
    highest: dict[str, int] = {}
    for rule in whole.rules:
        for use in rule.actions:
            highest[use.action] = min(rule.rank, highest.get(use.action, rule.rank))
    for rule in whole.rules:
        if rule.group != _HOLD or not rule.forbids:
            continue
        reads = whole.conditions(rule)
        if not any(_may_end(read.term) for read in reads):
            said = (
                "nothing this reads changes any more, so it never ends; what is not waiting belongs into a group such as verdict"
            )
            yield Problem(rule.when.place, "endless-hold", said)
            continue
        for forbid in rule.forbids:
            late = [action for action in forbid.actions if highest.get(action, rule.rank) >= rule.rank]
            if late and not rule.raises:
                said = (
                    f"if what it waits for never comes, {late[0]} waits for ever and nobody is told: "
                    f"propose it by a deadline in a group above {rule.group}, or raise an exception here"
                )
                yield Problem(forbid.place, "endless-hold", said)


def _starts(term: Term) -> Iterator[str]:
    """The timestamps a condition demands to be there."""
    if isinstance(term, Logic) and term.operator == "and":
        for part in term.terms:
            yield from _starts(part)
    elif isinstance(term, Call) and term.function.name == "exists":
        yield from _timestamp(term.arguments[0])
    elif isinstance(term, Compare):
        yield from _timestamp(term.left)
        yield from _timestamp(term.right)


def _timestamp(term: Term) -> Iterator[str]:
    path = path_of(term)
    if path is not None and term.type.name == "timestamp":
        yield path


def _may_end(term: Term) -> bool:
    """Whether the condition can stop holding: only what is there stays there, and names and parameters stay as they are."""
    if isinstance(term, Logic):
        return any(_may_end(part) for part in term.terms)
    if isinstance(term, Call) and term.function.name == "exists":
        return False
    if isinstance(term, Compare):
        return not (_lasts(term.left) and _lasts(term.right))
    return not _lasts(term.of if isinstance(term, Not) else term)


def _lasts(term: Term) -> bool:
    """Whether its value stays once it is there: written out, a parameter, or text such as a name or a channel."""
    if isinstance(term, Literal | Setting):
        return not (isinstance(term, Setting) and term.group == "answer")
    if isinstance(term, Field):
        return term.type.name == "text" or _is_param(term)
    parts = list(term.parts())
    return bool(parts) and all(_lasts(part) for part in parts) and not isinstance(term, Call)


def _is_param(term: Term) -> bool:
    while isinstance(term, Field):
        term = term.of
    return isinstance(term, Setting) and term.group == "params"
