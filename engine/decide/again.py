"""A decision that need not be made: nothing that is read has changed since the last one, and no instant it waits for has come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.decide.decision import Decision
from engine.decide.memory import Memory
from engine.facts.case import Case
from engine.facts.derive import Given
from engine.facts.record import RecordState
from engine.facts.values import Unreadable
from engine.language.ruleset import RuleSet


def again(rule_set: RuleSet, last: Decision, case: Case, memory: Memory, now: datetime) -> Decision | None:
    """What `decide` says of a case once more, if that can be told from the `last` decision about it; else None.

    `wake_at` is the first instant at which time alone changes something. Until then the memory a decision left and the same
    facts come to that decision again, with nothing more to close or to withdraw. Facts are the same where records came or
    changed that nobody reads; these are not in its view, which is that of the last one.
    """
    due = last.wake_at is not None and now >= last.wake_at
    if memory is not last.memory or last.rule_set != rule_set.hash or due or now < last.now:
        return None
    answers = {key: answer.answer for key, answer in memory.answers.items()}
    if not _reads_the_same(rule_set, last, Given.of(case, memory.effects, answers)):
        return None
    return replace(last, now=now, withdrawn=(), closed=())


def _reads_the_same(rule_set: RuleSet, last: Decision, given: Given) -> bool:
    before = last.view.facts.given
    if given.is_that_of(before):
        return True
    if not given.but_for_records(before):
        return False
    gone = {(state.kind, state.key): state for state in before.case.records}
    there = frozenset(last.view.index)
    for state in given.case.records:
        was = gone.pop((state.kind, state.key), None)
        if was is not state and (not rule_set.unread(state.kind, there) or _has_unreadable(state)):
            return False
    return not gone


def _has_unreadable(state: RecordState) -> bool:
    """A value that means nothing to us is told to a person, whether or not anything reads it."""
    held = (value for snapshot in state.snapshots.values() for value in _values(snapshot.fields))
    return any(value.__class__ is Unreadable for value in (*held, *_values(state.milestones)))


def _values(fields: Mapping[str, Any]) -> Iterator[Any]:
    for value in fields.values():
        if isinstance(value, tuple):
            for item in value:
                yield from _values(item) if isinstance(item, Mapping) else (item,)
        else:
            yield value
