"""What a person decides about an exception, as a pure change of the case's memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from engine.decide.attention import key_of
from engine.decide.memory import Answer, ExceptionState, Memory


class NotPossible(ValueError):  # noqa: N818
    """What was asked cannot be done; the message says why and what can."""


def _of(memory: Memory, key: str) -> ExceptionState:
    found = memory.exceptions.get(key)
    if found is None:
        raise NotPossible(f"no open exception {key}")
    if found.mode == "shadow":
        raise NotPossible(f"{key} is not open: its rule is in shadow, and only shows what it would raise")
    return found


def _is_said(memory: Memory, key: str, answer: str) -> bool:
    told = ((key_of(rule, item, one.about), one.answer) for (rule, item), one in memory.answers.items())
    return (key, answer) in told


def answered(memory: Memory, key: str, answer: str, by: str, at: datetime) -> Memory:
    """The answer becomes a fact for the rules: `answer.<rule>` of that item, until what it was about changes. Said once more, it
    changes nothing: who does not hear that it was taken says it again.
    """
    if key not in memory.exceptions and _is_said(memory, key, answer):
        return memory
    found = _of(memory, key)
    if not found.answers:
        raise NotPossible(f"{key} has no answers to choose from; resolve it instead")
    if answer not in found.answers:
        raise NotPossible(f"{key} can be answered with {', '.join(sorted(found.answers))}, not {answer!r}")
    exceptions = {k: v for k, v in memory.exceptions.items() if k != key}
    answers = {**memory.answers, (found.rule, found.item): Answer(answer, found.about, at, by)}
    return replace(memory, exceptions=exceptions, answers=answers)


def resolved(memory: Memory, key: str, at: datetime) -> Memory:
    """While its rule still holds, resolving only puts it off; the next pass may bring the end of that forward."""
    found = _of(memory, key)
    if found.answers:
        raise NotPossible(f"{key} wants an answer: {', '.join(sorted(found.answers))}")
    snoozed = replace(found, state="snoozed", until=at + found.snooze)
    return replace(memory, exceptions={**memory.exceptions, key: snoozed})
