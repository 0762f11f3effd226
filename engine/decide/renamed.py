"""A renamed rule keeps its memory: all that a case remembers under the earlier id is taken over by the new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from engine.decide.memory import ExceptionState, Memory, RuleItem

_Kept = TypeVar("_Kept")


def renamed(memory: Memory, renames: Mapping[str, str]) -> Memory:
    """`renames` are new ids by the earlier ones. What the new id remembers already is not written over."""
    if not renames:
        return memory
    exceptions = {key: _exception(each, renames) for key, each in memory.exceptions.items()}
    return replace(
        memory,
        clocks=_under_new_ids(memory.clocks, renames),
        answers=_under_new_ids(memory.answers, renames),
        undecided=_under_new_ids(memory.undecided, renames),
        exceptions={each.key: each for _, each in sorted(exceptions.items(), key=lambda entry: entry[1].key)},
        effects=tuple(replace(e, rule=renames[e.rule]) if e.rule in renames else e for e in memory.effects),
    )


def renamed_key(exception: ExceptionState, renames: Mapping[str, str]) -> str:
    """The key an exception has once its rule is renamed."""
    new = renames.get(exception.rule)
    return exception.key if new is None else exception.key.replace(f"{exception.rule}|", f"{new}|", 1)


def _exception(exception: ExceptionState, renames: Mapping[str, str]) -> ExceptionState:
    rules = tuple(renames.get(rule, rule) for rule in exception.rules)
    rule = renames.get(exception.rule, exception.rule)
    return replace(exception, key=renamed_key(exception, renames), rule=rule, rules=rules)


def _under_new_ids(kept: Mapping[RuleItem, _Kept], renames: Mapping[str, str]) -> dict[RuleItem, _Kept]:
    moved = {(renames[rule], item): each for (rule, item), each in kept.items() if rule in renames}
    return {**moved, **{(rule, item): each for (rule, item), each in kept.items() if rule not in renames}}
