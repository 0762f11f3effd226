"""Why and why not: for every rule and item, what came of it, which condition decided, with which values, where in the YAML.

Worked out on demand from a decision, which holds everything it was made from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from engine.decide.decision import Decision
from engine.decide.match import Standing, answers_by_item, env_for
from engine.decide.resolve import Blocked
from engine.facts.effects import EffectState
from engine.facts.values import Rec
from engine.language.compiled import Condition, Mode, Rule, Truth
from engine.language.ruleset import RuleSet
from engine.language.show import show

Outcome = Literal["held", "waiting", "did not hold", "unknown", "no items", "off"]


@dataclass(frozen=True, slots=True)
class Because:
    """The condition that decided: its place, its text, whether it was true, and the values it saw."""

    path: str
    place: str
    text: str
    truth: Truth
    values: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What came of one rule for one item. `overrides` are where the rule at `place` is changed by others."""

    rule: str
    item: str
    outcome: Outcome
    place: str
    title: str = ""
    because: tuple[Because, ...] = ()
    until: datetime | None = None
    blocked: tuple[Blocked, ...] = ()
    planned: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    mode: Mode = "live"


def trace(rule_set: RuleSet, decision: Decision) -> tuple[Entry, ...]:
    """Every rule, for every item it was looked at for."""
    return tuple(
        replace(entry, overrides=rule.places[1:], mode=rule.mode) for rule in rule_set.rules for entry in _entries(rule, decision)
    )


def _entries(rule: Rule, decision: Decision) -> Iterator[Entry]:
    if rule.mode == "off":
        yield Entry(rule.id, "", "off", str(rule.place), rule.title)
        return
    standing = {s.item: s for s in decision.standings if s.rule.id == rule.id}
    by_item = answers_by_item(decision.basis.given)
    recs: list[Rec | None] = [None] if rule.each is None else list(decision.view.items(rule.each))
    if not recs:
        yield Entry(rule.id, "", "no items", str(rule.place), rule.title)
    for rec in recs:
        item = rec.item if rec is not None else ""
        env = env_for(rule, rec, decision.view, by_item)
        yield _entry(rule, item, env, standing.get(item), decision)


def _entry(rule: Rule, item: str, env: Mapping[str, Any], standing: Standing | None, decision: Decision) -> Entry:
    if standing is None:
        return Entry(rule.id, item, "did not hold", str(rule.place), rule.title, _decisive(rule.when, env, wanted=False))
    truth: Truth = None if standing.after_unknown else standing.truth
    outcome: Outcome = "unknown" if truth is None else ("held" if standing.ready else "waiting")
    because = _decisive(rule.when, env, wanted=truth) if standing.truth is not True or truth is True else _clock_reason(rule, env)
    if outcome == "waiting":
        because = (*because, *_clock_reason(rule, env))
    mine = tuple(b for b in decision.blocked if b.rule == rule.id and b.item == item)
    of_rule = [e for e in decision.memory.effects if e.rule == rule.id and e.item == item]
    return Entry(
        rule.id,
        item,
        outcome,
        str(rule.place),
        rule.title,
        because,
        standing.until,
        mine,
        tuple(_planned(e, rule) for e in of_rule if e.status == "planned"),
        tuple(f"{e.key} ({e.status})" for e in of_rule if e.status != "planned"),
    )


def _planned(effect: EffectState, rule: Rule) -> str:
    """Its key, and what it waits for."""
    if effect.turn_at is None or rule.at_most is None:
        return effect.key
    limit = f"{rule.at_most.count} per {show(rule.at_most.per)}"
    return f"{effect.key} (at most {limit}: not before {show(effect.turn_at)})"


def _clock_reason(rule: Rule, env: Mapping[str, Any]) -> tuple[Because, ...]:
    sources = [(name, e) for name, e in (("after", rule.after), ("for", rule.hold_for)) if e is not None]
    found = []
    for name, expression in sources:
        finding = expression.explain(env)
        found.append(Because(name, str(expression.place), expression.text, None, finding.values, finding.blame, finding.reason))
    return tuple(found)


def _decisive(condition: Condition, env: Mapping[str, Any], *, wanted: Truth) -> tuple[Because, ...]:
    """The leaves that made the condition what it is: the first false one, every unknown one, or all true ones."""
    leaves = list(_leaves(condition, env, wanted))
    return tuple(leaves[:1] if wanted is False else leaves)


def _leaves(condition: Condition, env: Mapping[str, Any], wanted: Truth) -> Iterator[Because]:
    if condition.truth(env) is not wanted:
        return
    if condition.expression is not None:
        finding = condition.expression.explain(env)
        text = condition.label or condition.expression.text
        yield Because(condition.path, str(condition.place), text, wanted, finding.values, finding.blame, finding.reason)
        return
    inner: Truth = wanted if condition.kind != "none" or wanted is None else not wanted
    for part in condition.parts:
        yield from _leaves(part, env, inner)
