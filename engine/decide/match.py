"""Which rules hold, for which items. Only rules that read a changed fact are evaluated again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.decide.memory import Answer, HoldClock, Memory, RuleItem
from engine.decide.view import Answers, Changes, View, changed
from engine.facts.values import Money, Rec, is_gap, moved
from engine.language.compiled import Rule, Truth
from engine.language.ruleset import RuleSet
from engine.language.wants import Wanting

Matches = Mapping[str, Mapping[str, Truth]]  # rule id -> item -> True or None (unknown); what is false is left out
Given = Mapping[RuleItem, str]  # answers that count now
Looked = dict[
    tuple[str, str, tuple[str, ...]], list[tuple[str, Mapping[str, Any]]]
]  # by `each`: items, and what rules see for them


@dataclass(frozen=True, slots=True)
class Pass:
    """What the next pass over the same case may build on. Belongs to one rule set."""

    rule_set: str
    view: View
    given: Given
    matches: Matches


@dataclass(frozen=True, slots=True)
class Standing:
    """A rule that is not false for an item: `truth` True or None. `until` is when it becomes ready, if time is all it waits for.

    `after_unknown` says that its `after` (or `for`) cannot be worked out.
    """

    rule: Rule
    item: str
    rec: Rec | None
    env: Mapping[str, Any]
    truth: Truth
    ready: bool
    until: datetime | None = None
    after: datetime | None = None
    after_unknown: bool = False


def rules_to_look_at(rule_set: RuleSet, view: View, changes: Changes, previous: Pass) -> dict[str, Rule]:
    """The rules whose outcome these changed facts may have changed, by id."""
    found: dict[str, Rule] = {}
    for fact, keys in changes.items():
        readers = rule_set.readers[fact]
        for rule in readers.always:
            found[rule.id] = rule
        for wanting in readers.own:
            was, now = previous.view.index.get(wanting.kind, {}), view.index.get(wanting.kind, {})
            for rule in _asking(wanting, (index[key] for index in (was, now) for key in keys if key in index)):
                found[rule.id] = rule
        for wanting in readers.across:
            for rule in _asking(wanting, view.index.get(wanting.kind, {}).values()):
                found[rule.id] = rule
            for rule_id in previous.matches:
                if rule_id in wanting.rules:
                    found[rule_id] = wanting.rules[rule_id]
    return found


def _any_of(rule_set: RuleSet, view: View) -> Iterable[Rule]:
    """The rules that are not false for every item, as far as the fact tells that each is found by."""
    every = rule_set.readers.every
    found = {rule.id: rule for rule in every.always}
    for wanting in every.across:
        for rule in _asking(wanting, view.index.get(wanting.kind, {}).values()):
            found[rule.id] = rule
    return found.values()


def _asking(wanting: Wanting, recs: Iterable[Rec]) -> Iterator[Rule]:
    """Those that ask for a value that one of these has, or may have."""
    for rec in recs:
        yield from wanting.asking(rec.get(wanting.field))


def match(rule_set: RuleSet, view: View, given: Given, previous: Pass | None, changes: Changes | None = None) -> Matches:
    """Evaluate what may have changed; the rest is taken from `previous`. The result is what evaluating all rules gives.

    `changes` is what changed since `previous`, where the caller has compared already.
    """
    if previous is None or previous.rule_set != rule_set.hash:
        again: Iterable[Rule] = _any_of(rule_set, view)
        matches: dict[str, Mapping[str, Truth]] = {}
    else:
        if changes is None:
            changes = changed(previous.view, view)
        if previous.given != given:
            changes = {**changes, **{f"answer.{rule}": frozenset() for rule, _ in _differing(previous.given, given)}}
        again = rules_to_look_at(rule_set, view, changes, previous).values()
        matches = dict(previous.matches)
    by_item = answers_by_item(given)
    looked_at: Looked = {}
    for rule in again:
        found = _evaluate(rule, view, by_item, looked_at)
        if found:
            matches[rule.id] = found
        else:
            matches.pop(rule.id, None)
    return matches


def _differing(before: Given, after: Given) -> set[RuleItem]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def answers_by_item(given: Given) -> dict[str, Answers]:
    by_item: dict[str, Answers] = {}
    for (rule_id, item), answer in given.items():
        by_item.setdefault(item, Answers())[rule_id] = answer
    return by_item


def env_for(rule: Rule, rec: Rec | None, view: View, by_item: Mapping[str, Answers]) -> Mapping[str, Any]:
    """The names a rule sees for one item."""
    if rec is None or rule.each is None:
        return {**view.env, "answer": by_item[""]} if "" in by_item else view.env
    env = view.bound(rule.each.name, rec)
    return {**env, "answer": by_item[rec.item]} if by_item and rec.item in by_item else env


def _evaluate(rule: Rule, view: View, by_item: Mapping[str, Answers], looked_at: Looked) -> dict[str, Truth]:
    if rule.mode == "off":
        return {}
    truth = rule.when.truth
    if rule.each is None:
        outcome = truth(env_for(rule, None, view, by_item))
        return {} if outcome is False else {"": outcome}
    each = (rule.each.name, rule.each.kind, rule.each.path)
    items = looked_at.get(each)
    if items is None:
        items = looked_at[each] = [(rec.item, env_for(rule, rec, view, by_item)) for rec in view.items(rule.each)]
    return {item: outcome for item, env in items if (outcome := truth(env)) is not False}


def standings(
    rule_set: RuleSet, view: View, given: Given, matches: Matches, memory: Memory, now: datetime
) -> tuple[list[Standing], dict[RuleItem, HoldClock]]:
    """Every rule and item that is not false, with its clocks as of `now`, in the order of rule ids and facts."""
    by_item = answers_by_item(given)
    clocks: dict[RuleItem, HoldClock] = {}
    found: list[Standing] = []
    for rule in rule_set.rules:
        items = matches.get(rule.id)
        if not items:
            continue
        recs: Iterable[Rec | None] = (None,) if rule.each is None else (r for r in view.items(rule.each) if r.item in items)
        for rec in recs:
            item = rec.item if rec is not None else ""
            standing, clock = _stand(rule, item, rec, env_for(rule, rec, view, by_item), items[item], memory, now)
            found.append(standing)
            if clock is not None:
                clocks[rule.id, item] = clock
    return found, clocks


def _stand(
    rule: Rule, item: str, rec: Rec | None, env: Mapping[str, Any], truth: Truth, memory: Memory, now: datetime
) -> tuple[Standing, HoldClock | None]:
    clock: HoldClock | None = None
    instants: list[datetime] = []
    paused = unknown = False
    if rule.hold_for is not None:
        wanted = rule.hold_for.value(env)
        clock = _run(memory.clocks.get((rule.id, item)), rule, truth, now)
        if not isinstance(wanted, timedelta):
            unknown = True
        elif clock.elapsed(now) < wanted:
            paused = clock.since is None
            instants.append(moved(moved(clock.since or now, wanted), -clock.ran))
    after: datetime | None = None
    if rule.after is not None:
        value = rule.after.value(env)
        if is_gap(value) or not isinstance(value, datetime):
            unknown = True
        else:
            after = value
            if after > now:
                instants.append(after)
    until = max(instants) if instants and not paused else None
    standing = Standing(
        rule,
        item,
        rec,
        env,
        truth,
        ready=not instants and not unknown,
        until=until,
        after=after,
        after_unknown=unknown,
    )
    return standing, clock


def _run(clock: HoldClock | None, rule: Rule, truth: Truth, now: datetime) -> HoldClock:
    if clock is None or clock.meaning != rule.meaning:
        return HoldClock(timedelta(), now if truth else None, rule.meaning)
    if truth:
        return clock if clock.since is not None else HoldClock(clock.ran, now, rule.meaning)
    return HoldClock(clock.elapsed(now), None, rule.meaning)


def answers_given(view: View, rule_set: RuleSet, answers: Mapping[RuleItem, Answer]) -> dict[RuleItem, str]:
    """The answers that count: those whose exception would be about the same now."""
    counting: dict[RuleItem, str] = {}
    for (rule_id, item), answer in answers.items():
        rule = rule_set.rule(rule_id)
        if rule is None or not rule.raises:
            continue
        raising = next((r for r in rule.raises if r.answers), None)
        if raising is None or answer.answer not in raising.answers:
            continue
        rec = _record(view, rule, item)
        if raising.about is None or (rec is None and rule.each is not None):
            counting[rule_id, item] = answer.answer
            continue
        env = env_for(rule, rec, view, {})
        if about_text(raising.about.value(env)) == answer.about:
            counting[rule_id, item] = answer.answer
    return counting


def _record(view: View, rule: Rule, item: str) -> Rec | None:
    kind, _, key = item.partition(":")
    return view.index.get(kind, {}).get(key) if rule.each is not None else None


def about_text(value: Any) -> str:
    """What an exception is about, as text that is equal when it is the same."""
    if value is None:
        return ""
    if isinstance(value, Rec):
        return value.item
    if isinstance(value, tuple):
        every = (*value, *getattr(value, "unsure", ()))
        return ",".join(sorted(about_text(v) for v in every))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Money):
        return f"{about_text(value.amount)} {value.currency}"
    if isinstance(value, Decimal):  # 10 and 10.00 are the same amount
        return f"{value.normalize():f}"
    return str(value)
