"""What rules in shadow would have sent, raised and withheld, beside what was done: from the lives of cases as they were lived.

Of a client that is in shadow as a whole it is everything its rules asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from engine.decide.plan import SHADOW
from engine.decide.propose import Veto
from engine.facts.effects import EffectState
from engine.facts.values import Money
from engine.language.ruleset import RuleSet
from engine.language.show import show
from engine.simulate.life import Life, Moment
from engine.simulate.replay import Seen

Would = Literal["send", "raise", "withhold"]
UNDER_WAY = frozenset({"planned", "performing", "unsure"})
DONE = {
    "settled": "was done",
    "settled_elsewhere": "was done by somebody else",
    "refused": "was refused",
    "performing": "is being sent",
    "unsure": "was sent, its end is not known",
    "planned": "is asked for",
}


@dataclass(frozen=True, slots=True)
class Shadowed:
    """One thing a rule in shadow would have done, as long as it would, and what was done beside it. `alike` says that the same
    came about without it.
    """

    case: str
    rule: str
    place: str
    would: Would
    text: str
    since: datetime
    until: datetime | None
    beside: str = ""
    alike: bool = False


def shadowed(lives: Iterable[Life]) -> Iterator[Shadowed]:
    """All of it, case by case, each in the order of time."""
    for life in lives:
        yield from sorted(_of_case(life), key=lambda one: (one.since, one.rule, one.text))


def _of_case(life: Life) -> Iterator[Shadowed]:
    standing: dict[tuple[str, ...], Shadowed] = {}
    subjects: dict[tuple[str, ...], EffectState | None] = {}
    told: dict[str, str] = {}  # by item, what people were told by rules that are live
    ended: list[tuple[tuple[str, ...], Shadowed]] = []
    for moment in life.decided:
        for seen in moment.seen:
            now = seen.decision.now
            current = dict(_now(life.case, moment, seen))
            gone = [key for key in standing if key not in current]
            ended.extend((key, replace(standing.pop(key), until=now)) for key in gone)
            told |= {e.item: f"{e.owner} was told by {e.rule}" for e in seen.memory.exceptions.values() if e.mode == "live"}
            for key, (one, effect) in current.items():
                standing.setdefault(key, one)
                subjects[key] = effect
    last = life.decided[-1].seen[-1]
    for key, one in (*ended, *standing.items()):
        effect = subjects[key]
        beside, alike = (told.get(_item(key), "nobody was told"), False) if effect is None else _beside(effect, one, last)
        yield replace(one, beside=beside, alike=alike)


_Now = tuple[tuple[str, ...], tuple[Shadowed, EffectState | None]]


def _now(case: str, moment: Moment, seen: Seen) -> Iterator[_Now]:
    """What they would do as things stand."""
    rules, now = moment.rule_set, seen.decision.now

    def found(would: Would, rule: str, text: str) -> Shadowed:
        return Shadowed(case, rule, _place(rules, rule), would, text, now, None)

    for effect in seen.decision.effects:
        if "shadow" in (effect.mode, rules.mode):
            amount = effect.params.get("amount")
            sum_ = f", {show(amount)}" if isinstance(amount, Money) else ""
            text = f"{effect.action} for {effect.subject}{sum_}"
            yield ("send", effect.rule, effect.key), (found("send", effect.rule, text), effect)
    for one in seen.memory.exceptions.values():
        if one.mode == "shadow":
            yield ("raise", one.rule, one.key), (found("raise", one.rule, f"{one.owner}: {one.title}"), None)
    for veto in seen.decision.vetoes:
        if veto.standing.rule.mode == "shadow":
            for effect in seen.memory.effects:
                if effect.mode == "live" and effect.status == "planned" and _binds(veto, effect, rules):
                    rule = veto.standing.rule.id
                    text = f"{effect.action} for {effect.subject} by {effect.rule}: {veto.because}"
                    yield ("withhold", rule, effect.key), (found("withhold", rule, text), effect)


def _binds(veto: Veto, effect: EffectState, rules: RuleSet) -> bool:
    """Whether this forbid would stop something of an effect, were it live."""
    rank = rules.precedence.index(effect.group) if effect.group in rules.precedence else len(rules.precedence)
    if veto.forbid.partial or not veto.binds(effect.action, rank):
        return False
    if veto.units is None and veto.items is None:
        return True
    units, items = veto.units or frozenset(), veto.items or frozenset()
    if not effect.claims:
        return effect.item in items
    return any(unit in units or claimant in items for unit, claimant in effect.claims)


def _item(key: tuple[str, ...]) -> str:
    """The item an exception is about, in its key of rule, item and what it is about."""
    return key[-1].split("|")[1]


def _beside(effect: EffectState, one: Shadowed, last: Seen) -> tuple[str, bool]:
    """What was done about the same, in the end."""
    live = [e for e in last.memory.effects if e.mode == "live" and e.status != "withdrawn"]
    if one.would == "withhold":
        sent = next((e for e in live if e.key == effect.key), None)
        return (f"it {_done(sent)}", False) if sent is not None else ("it was withdrawn", True)
    same = [e for e in live if e.key == effect.key.removeprefix(SHADOW) and e.mode != effect.mode]
    same = same or [e for e in live if e.mode != effect.mode and e.action == effect.action and {*e.units} & {*effect.units}]
    if same:
        return f"it {_done(same[0])} by {same[0].rule}", same[0].status in ("settled", "settled_elsewhere")
    units = last.decision.view.index.get("unit", {})
    refunded = effect.action.endswith(".refund") and effect.units
    if refunded and all(u in units and units[u]["refunded"] is True for u in effect.units):
        return "somebody else did it", True
    return "it was not done", False


def _done(effect: EffectState) -> str:
    at = effect.settled_at or effect.sent_at
    return f"{DONE.get(effect.status, effect.status)}{f' {show(at)}' if at is not None else ''}"


def _place(rules: RuleSet, rule_id: str) -> str:
    rule = rules.rule(rule_id)
    return str(rule.place) if rule is not None else ""


def shadow_json(found: Iterable[Shadowed]) -> dict[str, Any]:
    """Plain JSON values: sums by rule and by day, then each."""
    listed = list(found)
    by_rule: dict[str, Counter[str]] = {}
    by_day: dict[str, Counter[str]] = {}
    for one in listed:
        by_rule.setdefault(one.rule, Counter())[one.would] += 1
        by_day.setdefault(one.since.date().isoformat(), Counter())[one.would] += 1
    return {
        "rules": {rule: dict(sorted(count.items())) for rule, count in sorted(by_rule.items())},
        "days": {day: dict(sorted(count.items())) for day, count in sorted(by_day.items())},
        "found": [_json(one) for one in listed],
    }


def _json(one: Shadowed) -> dict[str, Any]:
    return {
        "case": one.case,
        "rule": one.rule,
        "place": one.place,
        "would": one.would,
        "what": one.text,
        "since": one.since.isoformat(),
        "until": one.until.isoformat() if one.until is not None else None,
        "beside": one.beside,
        "alike": one.alike,
    }
