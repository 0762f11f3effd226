"""Exceptions: what a person must look at. They open and close by themselves, and say why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from engine.decide.match import Given, Standing, about_text
from engine.decide.memory import ExceptionState, Memory, RuleItem
from engine.decide.plan import SHADOW
from engine.decide.propose import Lack
from engine.decide.resolve import Blocked, Conflict
from engine.decide.view import View
from engine.facts.values import Items, Rec, moved
from engine.language.compiled import Mode, Raise, Rule
from engine.language.ruleset import RuleSet

BUILT_IN = frozenset({"undecided", "unlisted_value", "conflict", "flapping", "unhandled_outcome", "promise_broken"})
OPERATIONS = "operations"


@dataclass(frozen=True, slots=True)
class Attention:
    """Exceptions after this pass, those that closed in it with the reason, and when to look again."""

    exceptions: Mapping[str, ExceptionState]
    closed: tuple[tuple[ExceptionState, str], ...]
    undecided: Mapping[RuleItem, datetime]
    wake_at: datetime | None


@dataclass(frozen=True, slots=True)
class Seen:
    """All that exceptions are worked out from in one pass."""

    rule_set: RuleSet
    view: View
    given: Given
    standings: Sequence[Standing]
    lacks: Sequence[Lack]
    blocked: Sequence[Blocked]
    conflicts: Sequence[Conflict]
    flapping: Sequence[tuple[str, str, str, Mode]]  # rule, item, key
    memory: Memory
    now: datetime

    @property
    def acknowledged(self) -> Mapping[str, str]:
        """Effects whose refusal a person is done with, as items, with who it was and why."""
        return acknowledged(self.memory)


def acknowledged(memory: Memory) -> dict[str, str]:
    """By item, as rules with `each: effect` name it."""
    return {f"effect:{e.key}": e.acknowledged for e in memory.effects if e.acknowledged and e.status == "refused"}


def known_refusals(memory: Memory, now: datetime) -> dict[str, ExceptionState]:
    """Refusals a person is done with, as promises see them: somebody knows of each, though nobody is asked any more."""
    done = acknowledged(memory)
    return {item: ExceptionState(item, "acknowledged", item, "", "", "low", by, now) for item, by in done.items()}


def attend(seen: Seen) -> Attention:
    """Raised by rules, then what could not be decided, then what the engine itself has to say."""
    opened: dict[str, ExceptionState] = {}
    keep: set[str] = set()  # open ones whose rule is unknown: they stay as they are
    for standing in seen.standings:
        for raising in standing.rule.raises:
            _raise(seen, standing, raising, opened, keep)
    opened.update({e.key: e for e in _unlisted(seen)})
    opened.update({e.key: e for e in _conflicts(seen)})
    opened.update({e.key: e for e in _outcomes(seen)})
    kept = {k: v for k, v in seen.memory.exceptions.items() if k in keep and k not in opened}
    opened.update(kept)
    since, undecided, wake = _undecided(seen, opened)
    opened.update({e.key: e for e in undecided})
    merged = {key: continued(seen.memory.exceptions.get(key), e, seen.now) for key, e in opened.items()}
    closed = tuple(
        (was, _why_closed(was, seen))
        for key, was in sorted(seen.memory.exceptions.items())
        if key not in merged and was.rule != "promise_broken"
    )
    return Attention(dict(sorted(merged.items())), closed, since, wake)


def key_of(rule: str, item: str, about: str, mode: Mode = "live") -> str:
    """One text for (rule, item, about); what a rule in shadow would raise never meets what is open."""
    return f"{SHADOW if mode == 'shadow' else ''}{rule}|{item}|{about}"


def continued(was: ExceptionState | None, fresh: ExceptionState, now: datetime) -> ExceptionState:
    """The same occurrence goes on: it keeps when it was opened and whether it is put off."""
    if was is None:
        return fresh
    if was.state == "snoozed" and was.until is not None and now < was.until:
        return replace(fresh, opened_at=was.opened_at, state="snoozed", until=was.until)
    return replace(fresh, opened_at=was.opened_at)


def _why_closed(was: ExceptionState, seen: Seen) -> str:
    answer = seen.given.get((was.rule, was.item))
    if answer is not None:
        return f"answered: {answer}"
    if was.item in seen.acknowledged:
        return f"acknowledged by {seen.acknowledged[was.item]}"
    if was.rule in BUILT_IN:
        return "no longer the case"
    rule = seen.rule_set.rule(was.rule)
    if rule is None:
        return "its rule is no longer there"
    if rule.mode != was.mode:
        return {"off": "its rule is off", "shadow": "its rule is in shadow now", "live": "its rule is live now"}[rule.mode]
    return "its condition is known to be false"


def _raise(seen: Seen, standing: Standing, raising: Raise, opened: dict[str, ExceptionState], keep: set[str]) -> None:
    rule, item, env = standing.rule, standing.item, standing.env
    if standing.truth is None or standing.after_unknown:
        prefix = key_of(rule.id, item, "", rule.mode)
        keep.update(k for k in seen.memory.exceptions if k.startswith(prefix))
        return
    if not standing.ready or item in seen.acknowledged:
        return
    about = about_text(raising.about.value(env)) if raising.about is not None else ""
    if raising.answers and (rule.id, item) in seen.given:
        return
    if raising.blocking and not any(b.by == rule.id and b.by_item == item for b in seen.blocked):
        return
    key = key_of(rule.id, item, about, rule.mode)
    opened[key] = ExceptionState(
        key=key,
        rule=rule.id,
        item=item,
        about=about,
        owner=raising.owner,
        severity=raising.severity,
        title=raising.title.render(env),
        opened_at=seen.now,
        runbook=raising.runbook.render(env) if raising.runbook is not None else rule.runbook,
        answers=dict(raising.answers),
        rules=(rule.id,),
        places=rule.places,
        snooze=raising.snooze,
        mode="shadow" if rule.mode == "shadow" else "live",
    )


def _unlisted(seen: Seen) -> Iterable[ExceptionState]:
    """A value that came and is not in the list: once per value, naming every fact that holds it."""
    facts: dict[tuple[str, str], list[str]] = {}
    for rec, name in seen.view.unreadable:
        facts.setdefault((f"{rec.kind}.{name}", rec[name].raw), []).append(f"{rec.item}.{name}")
    for (name, raw), named in sorted(facts.items()):
        yield _built_in(
            seen,
            "unlisted_value",
            "",
            f"{name}={raw}",
            f'{name} came as "{raw}", which the mapping does not list',
            "Add the value to the mapping of this field, or tell the sender. Until then rules that read it wait.",
            facts=tuple(sorted(named)),
        )


def _conflicts(seen: Seen) -> Iterable[ExceptionState]:
    for conflict in seen.conflicts:
        yield _built_in(
            seen,
            "conflict",
            conflict.subject,
            conflict.action,
            f"{conflict.action} for {conflict.subject}: {', '.join(conflict.rules)} ask for different things",
            "Decide which rule is right and narrow the other, or put them in different groups.",
            rules=conflict.rules,
            places=conflict.places,
            mode=conflict.mode,
        )
    for rule_id, item, subject, mode in seen.flapping:
        yield _built_in(
            seen,
            "flapping",
            item,
            subject,
            f"{subject} was asked for again and again within 24 hours by {rule_id}",
            "Two systems may be undoing each other. Find out which, then change the rule.",
            rules=(rule_id,),
            mode=mode,
        )


def _outcomes(seen: Seen) -> Iterable[ExceptionState]:
    """A refusal or an unsure end that no standing rule raises to a person; one in shadow raises nothing."""
    raising = (s for s in seen.standings if s.rule.raises and s.rule.mode == "live" and s.rule.each is not None)
    owned = {s.item for s in raising if s.rule.each is not None and s.rule.each.kind == "effect"}
    for rec in seen.view.index.get("effect", {}).values():
        if rec["status"] in {"refused", "unsure"} and rec.item not in owned and rec.item not in seen.acknowledged:
            how = f"was refused ({rec['reason']})" if rec["status"] == "refused" else "may or may not have happened"
            yield _built_in(
                seen,
                "unhandled_outcome",
                rec.item,
                str(rec["status"]),
                f"{rec['action']} for {rec['subject']} {how}",
                f"No rule says whose this is. They said: {rec['detail'] or 'nothing'}. Mend the cause and retry the effect.",
            )


def _undecided(
    seen: Seen, opened: Mapping[str, ExceptionState]
) -> tuple[dict[RuleItem, datetime], list[ExceptionState], datetime | None]:
    """What has been undecided for too long: one exception per missing fact, unless an open one already names the fact."""
    since: dict[RuleItem, datetime] = {}
    naming: dict[Mode, dict[str, list[Rule]]] = {"live": {}, "shadow": {}}
    wakes: list[datetime] = []
    for lack in seen.lacks:
        rule, item = lack.standing.rule, lack.standing.item
        began = seen.memory.undecided.get((rule.id, item), seen.now)
        since[rule.id, item] = min(began, since.get((rule.id, item), began))
        due = _due(rule, lack.standing, began)
        if seen.now >= due:
            for fact in lack.facts:
                naming[rule.mode].setdefault(fact, []).append(rule)
        else:
            wakes.append(due)
    found: list[ExceptionState] = []
    for mode, facts in naming.items():
        known = {fact for e in (*opened.values(), *found) if mode == "shadow" or e.mode == "live" for fact in e.facts}
        found.extend(_missing(seen, fact, rules, mode) for fact, rules in sorted(facts.items()) if fact not in known)
    return since, found, min(wakes, default=None)


def _due(rule: Rule, standing: Standing, began: datetime) -> datetime:
    due = moved(began, rule.undecided_after)
    return min(due, standing.after) if rule.group == "sla" and standing.after is not None else due


def _missing(seen: Seen, fact: str, rules: Sequence[Rule], mode: Mode) -> ExceptionState:
    by_id = {r.id: r for r in rules}
    owners = sorted({r.owner or next((x.owner for x in r.raises), "") for r in by_id.values()} - {""})
    return _built_in(
        seen,
        "undecided",
        "",
        fact,
        f"{fact} is not known, so {', '.join(sorted(by_id))} cannot be decided",
        "Find out why the fact has not come, or came in a form that cannot be read, and supply it.",
        facts=(fact,),
        rules=tuple(sorted(by_id)),
        places=tuple(sorted(place for r in by_id.values() for place in r.places)),
        owner=owners[0] if owners else OPERATIONS,
        mode=mode,
    )


def _built_in(
    seen: Seen,
    rule: str,
    item: str,
    about: str,
    title: str,
    runbook: str,
    *,
    facts: tuple[str, ...] = (),
    rules: tuple[str, ...] = (),
    places: tuple[str, ...] = (),
    owner: str = OPERATIONS,
    severity: str = "high",
    mode: Mode = "live",
) -> ExceptionState:
    return ExceptionState(
        key=key_of(rule, item, about, mode),
        rule=rule,
        item=item,
        about=about,
        owner=owner,
        severity=severity,
        title=title,
        opened_at=seen.now,
        runbook=runbook,
        facts=facts,
        rules=rules,
        places=places,
        mode="shadow" if mode == "shadow" else "live",
    )


def earliest_snooze_end(exceptions: Iterable[ExceptionState], next_deadline: datetime | None) -> dict[str, ExceptionState]:
    """A snooze never sleeps through a deadline: it ends an hour before the next one of the case."""
    changed: dict[str, ExceptionState] = {}
    for one in exceptions:
        if one.state == "snoozed" and one.until is not None and next_deadline is not None:
            end = moved(next_deadline, -timedelta(hours=1))
            if end < one.until:
                changed[one.key] = replace(one, until=end)
    return changed


def units_named(rec: Rec) -> frozenset[str]:
    value: Any = rec.get("units")
    return frozenset(u.key for u in value if isinstance(u, Rec)) if isinstance(value, Items) else frozenset()
