"""Promises: what must be true of every case at every moment. A breach is an exception of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.decide.attention import key_of
from engine.decide.memory import ExceptionState
from engine.decide.subjects import lineage, units_of
from engine.decide.view import View
from engine.facts.values import Rec
from engine.language.compiled import PromiseSpec
from engine.language.ruleset import RuleSet


@dataclass(frozen=True, slots=True)
class Checked:
    """Breaches as exceptions, and the next instants at which a promise falls due."""

    breaches: tuple[ExceptionState, ...]
    deadlines: tuple[datetime, ...]


def check_promises(rule_set: RuleSet, view: View, exceptions: Mapping[str, ExceptionState], now: datetime) -> Checked:
    """Every promise for every item of the case."""
    breaches: list[ExceptionState] = []
    deadlines: list[datetime] = []
    for promise in rule_set.promises:
        for rec, env in places_of(promise, view):
            if promise.when is not None and not promise.when.true(env):
                continue
            why = _broken(promise, env, now, deadlines, owned(rule_set, view, exceptions, promise.must_owned, rec))
            if why:
                item = rec.item if rec is not None else ""
                breaches.append(_breach(promise, item, why, now))
    return Checked(tuple(breaches), tuple(sorted(deadlines)))


def places_of(promise: PromiseSpec, view: View) -> Iterable[tuple[Rec | None, Mapping[str, Any]]]:
    """What a promise is about, each with the names its expressions see. None is the case as a whole."""
    if promise.each is None:
        yield None, view.env
        return
    for rec in view.items(promise.each):
        yield rec, view.bound(promise.each.name, rec)


def _broken(promise: PromiseSpec, env: Mapping[str, Any], now: datetime, deadlines: list[datetime], is_owned: bool) -> str:
    if promise.never is not None:
        return f"{promise.never.text} is true" if promise.never.true(env) else ""
    if promise.by is None or promise.must is None:
        return ""
    by = promise.by.value(env)
    kept = promise.must.true(env) or is_owned
    if not isinstance(by, datetime):
        return "" if kept else f"its deadline {promise.by.text} is not known"
    if now < by:
        deadlines.append(by)
        return ""
    return "" if kept else f"{promise.must.text} was not true by {by:%Y-%m-%d %H:%M}Z"


def owned(
    rule_set: RuleSet, view: View, exceptions: Mapping[str, ExceptionState], actions: Sequence[str], rec: Rec | None
) -> bool:
    """Whether a person has been told: an exception is open, or put off, of a rule that forbids, raises about or is undecided on
    one of these actions for this item.
    """
    if not actions:
        return False
    mine = frozenset(r.item for r in lineage(rec)) if rec is not None else frozenset()
    units = frozenset(u.key for u in units_of(rec)) if rec is not None else frozenset()
    return any(_concerns(rule_set, view, one, actions) and _touches(view, one, mine, units) for one in exceptions.values())


def _concerns(rule_set: RuleSet, view: View, one: ExceptionState, actions: Sequence[str]) -> bool:
    if one.rule == "promise_broken":
        return False
    if one.item.startswith("effect:"):
        effect = view.index.get("effect", {}).get(one.item.partition(":")[2])
        return effect is not None and effect["action"] in actions
    if one.rule in {"conflict", "unlisted_value"}:
        return True
    for rule_id in one.rules:
        rule = rule_set.rule(rule_id)
        if rule is None:
            continue
        if any(a in f.actions for f in rule.forbids for a in actions) or any(u.action in actions for u in rule.actions):
            return True
        if rule.raises and not rule.forbids and not rule.actions and one.rule == rule_id:
            return True
    return False


def _touches(view: View, one: ExceptionState, mine: frozenset[str], units: frozenset[str]) -> bool:
    if not one.item:
        return not one.facts or one.rule == "unlisted_value" or _names_any(one.facts, mine, view)
    if one.item in mine or not {f"unit:{unit}" for unit in units}.isdisjoint(one.about.split(",")):
        return True
    kind, _, key = one.item.partition(":")
    theirs = view.index.get(kind, {}).get(key)
    if theirs is None:
        return False
    if kind == "order":
        return True
    if any(r.item in mine for r in lineage(theirs)):
        return True
    return not units.isdisjoint(u.key for u in units_of(theirs))


def _names_any(facts: Sequence[str], mine: frozenset[str], view: View) -> bool:
    """Whether a missing fact is of this item, of something in it, or of the whole case."""
    for fact in facts:
        kind, _, key = fact.rpartition(".")[0].partition(":")
        rec = view.index.get(kind, {}).get(key)
        if rec is None or kind in {"order", "order_line", "seller", "case"} or any(r.item in mine for r in lineage(rec)):
            return True
    return not mine


def _breach(promise: PromiseSpec, item: str, why: str, now: datetime) -> ExceptionState:
    about = promise.id
    return ExceptionState(
        key_of("promise_broken", item, about),
        "promise_broken",
        item,
        about,
        "operations",
        "critical",
        f"Promise {promise.id} is broken{f' for {item}' if item else ''}: {why}",
        now,
        promise.doc or "Find out what stood in the way; the trace of the case says which rule held or was blocked.",
        rules=(promise.id,),
        places=tuple(str(place) for place in promise.origins or (promise.place,)),
    )
