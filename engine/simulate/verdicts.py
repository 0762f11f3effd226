"""Whether a decision is what a scenario expects, and where it is not, what was there instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.decide.attention import BUILT_IN
from engine.decide.decision import Decision
from engine.decide.memory import ExceptionState
from engine.decide.propose import Veto
from engine.facts.effects import EffectState
from engine.facts.values import Items, Money, Rec
from engine.language.ruleset import RuleSet
from engine.language.show import show
from engine.problems import Place
from engine.simulate.scenario import EffectMatch, ExceptionMatch, Expected, FactMatch, Match, OutcomeMatch, VetoMatch


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that was not met: what was wanted, what was there, and the rules whose trace tells why."""

    place: Place
    wanted: str
    actual: str
    rules: tuple[str, ...] = ()


def failures(rule_set: RuleSet, decision: Decision, expected: Expected) -> Iterator[Failure]:
    """What of a block of `then` is not so."""
    effects, exceptions = _planned(decision), _raised(decision)
    for match in sorted(expected.wanted, key=_loosely):
        fault = _unmet(rule_set, decision, match, effects, exceptions)
        if fault is not None:
            yield fault
    for match in expected.unwanted:
        yield from unwelcome(rule_set, decision, match)
    if expected.exact or expected.nothing:
        yield from _left_over(expected, effects, exceptions)


def _planned(decision: Decision) -> list[EffectState]:
    """What would be sent; what rules in shadow plan is sent nowhere."""
    return [e for e in decision.effects if e.mode == "live"]


def _raised(decision: Decision) -> list[ExceptionState]:
    return [e for e in decision.exceptions if e.mode == "live"]


def unwelcome(rule_set: RuleSet, decision: Decision, match: Match) -> Iterator[Failure]:
    """What is there though it must not be."""
    found, rule = _found(decision, match)
    if found:
        place = match.effect.place if isinstance(match, OutcomeMatch) else match.place
        yield Failure(place, f"not {described(match)}", found, _known(rule_set, rule))


def _known(rule_set: RuleSet, *rules: str) -> tuple[str, ...]:
    return tuple(rule for rule in dict.fromkeys(rules) if rule_set.rule(rule) is not None)


def _found(decision: Decision, match: Match) -> tuple[str, str]:
    """What fits, in words, and the rule it came from; nothing where nothing fits."""
    match match:
        case EffectMatch():
            effect = next((e for e in _planned(decision) if fits_effect(e, match)), None)
            return ("", "") if effect is None else (f"planned: {show_effect(effect)}", effect.rule)
        case ExceptionMatch():
            one = next((e for e in _raised(decision) if _fits_exception(e, match)), None)
            return ("", "") if one is None else (f"{one.state}: {show_exception(one)}", one.rule)
        case VetoMatch():
            veto = next((v for v in decision.vetoes if _fits_veto(v, match)), None)
            return ("", "") if veto is None else (show_veto(veto), veto.standing.rule.id)
        case OutcomeMatch():
            effect = next((e for e in decision.memory.effects if _fits_outcome(e, match)), None)
            return ("", "") if effect is None else (f"{show_effect(effect)} is {_status(effect)}", effect.rule)
        case FactMatch():
            value = fact_of(decision, match)
            return (f"{match.kind} {match.key}: {match.field} is {_shown(value)}", "") if same(value, match.value) else ("", "")


def _unmet(
    rule_set: RuleSet, decision: Decision, match: Match, effects: list[EffectState], exceptions: list[ExceptionState]
) -> Failure | None:
    """None where it is met; what met it is taken off the lists, so that it meets nothing else."""
    wanted = described(match)
    match match:
        case EffectMatch():
            found = next((e for e in effects if fits_effect(e, match)), None)
            if found is not None:
                effects.remove(found)
                return None
            same_action = [e for e in _planned(decision) if e.action == match.action]
            said = "; ".join(show_effect(e) for e in same_action) or f"no {match.action} is planned"
            return Failure(match.place, wanted, said, _asking(rule_set, match, same_action))
        case ExceptionMatch():
            one = next((e for e in exceptions if _fits_exception(e, match)), None)
            if one is not None:
                exceptions.remove(one)
                return None
            near = [e for e in _raised(decision) if e.rule == match.rule]
            said = (
                "; ".join(f"{e.state}: {show_exception(e)}{_details(e, match)}" for e in near)
                or f"no exception of {match.rule} is open"
            )
            if not near and match.rule in BUILT_IN:
                said += "; open: " + (", ".join(sorted({e.rule for e in _raised(decision)})) or "nothing")
            return Failure(match.place, wanted, said, _known(rule_set, match.rule))
        case VetoMatch():
            if _found(decision, match)[0]:
                return None
            of_action = [v for v in decision.vetoes if match.action in v.forbid.actions]
            said = "; ".join(show_veto(v) for v in of_action) or f"nothing forbids {match.action}"
            rules = [r.id for r in rule_set.rules if any(match.action in f.actions for f in r.forbids)]
            return Failure(match.place, wanted, said, (match.by,) if match.by else _known(rule_set, *rules))
        case OutcomeMatch():
            if _found(decision, match)[0]:
                return None
            near_effects = [e for e in decision.memory.effects if e.action == match.effect.action]
            said = "; ".join(f"{show_effect(e)} is {_status(e)}" for e in near_effects) or f"there is no {match.effect.action}"
            return Failure(match.effect.place, wanted, said, _asking(rule_set, match.effect, near_effects))
        case FactMatch():
            value = fact_of(decision, match)
            return None if same(value, match.value) else Failure(match.place, wanted, f"{match.field} is {_shown(value)}")


def _details(one: ExceptionState, match: ExceptionMatch) -> str:
    """What was asked for and is not in its title."""
    told = {
        "about": one.about if match.about is not None else "",
        "answers": "" if match.answers is None else ", ".join(one.answers),
    }
    said = "; ".join(f"{name} {text or 'nothing'}" for name, text in told.items() if text or getattr(match, name) is not None)
    return f" [{said}]" if said else ""


def _left_over(expected: Expected, effects: list[EffectState], exceptions: list[ExceptionState]) -> Iterator[Failure]:
    wanted = "nothing" if expected.nothing else "nothing but what is listed (exact)"
    for effect in effects:
        yield Failure(expected.place, wanted, f"planned: {show_effect(effect)}", (effect.rule,))
    for one in exceptions:
        if one.state == "open":
            yield Failure(expected.place, wanted, f"open: {show_exception(one)}", () if one.rule in BUILT_IN else (one.rule,))


def _asking(rule_set: RuleSet, match: EffectMatch, found: list[EffectState]) -> tuple[str, ...]:
    """The rules that could have asked for it, those that asked for something like it first."""
    if match.rule:
        return _known(rule_set, match.rule, *(e.rule for e in found))
    asking = [r.id for r in rule_set.rules if any(use.action == match.action for use in r.actions)]
    return _known(rule_set, *(e.rule for e in found), *asking)


def _loosely(match: Match) -> int:
    """The most particular first, so that a loose one does not take what only a particular one fits."""
    if isinstance(match, EffectMatch):
        return -(len(match.params) + sum(map(bool, (match.units, match.rule, match.item))))
    if isinstance(match, ExceptionMatch):
        return -sum(v is not None for v in (match.owner, match.severity, match.title, match.about, match.item))
    return 0


def fits_effect(effect: EffectState, match: EffectMatch) -> bool:
    """Whether an effect is one of those meant."""
    return (
        effect.action == match.action
        and match.units in {None, frozenset(effect.units)}
        and match.rule in {"", effect.rule}
        and match.item in {"", effect.item}
        and all(same(effect.params.get(name), value) for name, value in match.params.items())
    )


def _fits_exception(one: ExceptionState, match: ExceptionMatch) -> bool:
    return (
        one.rule == match.rule
        and one.state == match.state
        and match.owner in {None, one.owner}
        and match.severity in {None, one.severity}
        and match.item in {None, one.item}
        and (match.about is None or _is_about(one.about, match.about))
        and (match.title is None or match.title in one.title)
        and match.answers in {None, frozenset(one.answers)}
        and (match.facts is None or match.facts <= frozenset(one.facts))
    )


def _is_about(about: str, wanted: frozenset[str]) -> bool:
    """Whether it is about just these. Records may be named by their own key: `P1` for `rma_unit:1001/P1`."""
    named = [text for text in about.split(",") if text]
    return len(named) == len(wanted) and all({text, re.split("[:/]", text)[-1]} & wanted for text in named)


def _fits_veto(veto: Veto, match: VetoMatch) -> bool:
    bound = veto.units is None and veto.items is None
    units = match.units is None or bound or match.units <= (veto.units or frozenset())
    return (
        match.action in veto.forbid.actions
        and match.by in {"", veto.standing.rule.id}
        and match.because in veto.because
        and units
        and (match.units is not None or bound or bool(veto.units) or bool(veto.items))
    )


def _fits_outcome(effect: EffectState, match: OutcomeMatch) -> bool:
    return fits_effect(effect, match.effect) and effect.status == match.status and match.reason in {"", effect.reason}


def fact_of(decision: Decision, match: FactMatch) -> Any:
    """The value of a fact; missing where there is no such record."""
    recs = decision.view.index.get(match.kind, {})
    rec = recs.get(match.key) or next((r for key, r in recs.items() if key.rsplit("/", 1)[-1] == match.key), None)
    return None if rec is None else rec.get(match.field)


def same(actual: Any, wanted: Any) -> bool:
    """Whether a value, or a parameter as the outside is given it, is what was written."""
    if isinstance(actual, Items) or isinstance(wanted, frozenset):
        texts = frozenset(show(each) for each in actual) if isinstance(actual, tuple) else frozenset()
        return bool(texts == wanted) if isinstance(wanted, frozenset) else False
    if isinstance(actual, tuple) and isinstance(wanted, Mapping):  # taxes by code
        return {str(tax["code"]): tax["amount"] for tax in actual} == dict(wanted)
    if isinstance(actual, Rec):
        return str(wanted) in {actual.key, show(actual)}
    if isinstance(actual, Mapping):
        return str(wanted) in {str(actual.get("key")), str(actual.get("key")).rsplit("/", 1)[-1]}
    if isinstance(wanted, datetime) and isinstance(actual, str):
        return actual == wanted.isoformat()
    if isinstance(wanted, int | Decimal) and not isinstance(wanted, bool) and isinstance(actual, str):
        return actual == f"{wanted:f}"
    return bool(actual == wanted)


def described(match: Match) -> str:
    """What a scenario asks for, in a few words."""
    match match:
        case EffectMatch():
            named = {"units": match.units, **match.params, "rule": match.rule, "for": match.item}
            return _with(match.action, named)
        case ExceptionMatch():
            named = {"owner": match.owner, "severity": match.severity, "title": match.title, "about": match.about}
            return _with(f"{match.state} exception {match.rule}", {**named, "for": match.item, "answers": match.answers})
        case VetoMatch():
            return _with(f"{match.action} forbidden", {"units": match.units, "by": match.by, "because": match.because})
        case OutcomeMatch():
            return f"{described(match.effect)} {match.status}{f' ({match.reason})' if match.reason else ''}"
        case FactMatch():
            return f"{match.kind} {match.key}: {match.field} is {_shown(match.value)}"


def _with(what: str, named: Mapping[str, Any]) -> str:
    said = ", ".join(f"{name} {_shown(value)}" for name, value in named.items() if value)
    return f"{what} with {said}" if said else what


def _shown(value: Any) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value))) or "none"
    return show(value)


def show_effect(effect: EffectState) -> str:
    amount = effect.params.get("amount")
    wanted = effect.params.get("state", effect.params.get("status"))
    money = f" {show(amount)}" if isinstance(amount, Money) else ""
    subject = effect.subject or "+".join(effect.units)
    shadow = " (in shadow)" if effect.mode == "shadow" else ""
    return f"{effect.action} {subject}{money}{f' = {wanted}' if isinstance(wanted, str) else ''} by {effect.rule}{shadow}"


def show_exception(one: ExceptionState) -> str:
    return f"{one.rule}{f' for {one.item}' if one.item else ''} ({one.owner}, {one.severity}): {one.title}"


def show_veto(veto: Veto) -> str:
    if veto.units is None and veto.items is None:
        scope = "part of any line" if veto.forbid.partial else "the whole case"
    else:
        scope = ", ".join(sorted(veto.units or ())) or ", ".join(sorted(veto.items or ())) or "nothing yet"
    unknown = ", for want of a fact" if veto.unknown else ""
    return f"{', '.join(veto.forbid.actions)} forbidden for {scope} by {veto.standing.rule.id}: {veto.because}{unknown}"


def _status(effect: EffectState) -> str:
    return f"{effect.status}{f' ({effect.reason})' if effect.reason else ''}"
