"""The life of a case as a timeline for people: what was seen, decided, sent and answered, and what changed by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from engine.decide.memory import ExceptionState, Memory, RuleItem
from engine.decide.people import NotPossible
from engine.decide.plan import SHADOW
from engine.decide.resolve import Blocked
from engine.decide.trace import Entry, trace
from engine.decide.view import View, changed
from engine.facts.codec import loads
from engine.facts.outside import Event
from engine.facts.values import Items, Money, Rec, is_gap
from engine.language.show import counted, show
from engine.run.hearing.deeds import Deed
from engine.run.kept.story import Known
from engine.run.sending.steps import Step
from engine.simulate.history import Activated, Looked, Stepped
from engine.simulate.life import Life, Moment
from engine.simulate.replay import Seen, ToldAt

What = Literal[
    "seen", "person", "rules", "time", "fact", "asked", "withdrawn", "effect", "withheld", "freed", "opened", "closed"
]  # fmt: skip
CAUSES = ("seen", "person", "rules", "time", "effect")  # what brought the decision; the others are what came of it
FACTS_SHOWN = 8
OF_RECORDS_NEW = ("state", "status", "financial_status", "quantity", "sku")


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened or changed. `mode` is shadow for what is only shown."""

    at: datetime
    what: What
    text: str
    rule: str = ""
    place: str = ""
    mode: str = "live"


def line_to_json(line: Line) -> dict[str, Any]:
    """Plain JSON values."""
    found = {"at": line.at.isoformat(), "what": line.what, "text": line.text}
    found |= {name: getattr(line, name) for name in ("rule", "place") if getattr(line, name)}
    return found | ({"mode": line.mode} if line.mode != "live" else {})


def known_by(life: Life, until: Moment) -> Known:
    """What the decisions up to a moment tell that its own does not."""
    bound: dict[RuleItem, datetime] = {}
    asked: dict[str, tuple[datetime, Entry]] = {}
    by: dict[str, str] = {}
    for moment in life.decided:
        for seen in moment.seen:
            now = seen.decision.now
            binding = {(v.standing.rule.id, v.standing.item) for v in seen.decision.vetoes}
            bound = {key: bound.get(key, now) for key in binding}
            new = [e for e in seen.decision.effects if by.get(e.key) != e.rule]
            entries = {(e.rule, e.item): e for e in trace(moment.rule_set, seen.decision)} if new else {}
            for effect in new:
                by[effect.key] = effect.rule
                if (effect.rule, effect.item) in entries:
                    asked[effect.key] = (now, entries[effect.rule, effect.item])
        if moment is until:
            break
    return Known(bound, asked)


def chronicle(life: Life, until: datetime | None = None) -> Iterator[Line]:
    """Every line in order, up to an instant."""
    before: Seen | None = None
    for moment in life.moments:
        if until is not None and moment.at > until:
            return
        lines: list[Line] = []
        for seen in moment.seen:
            lines += _changes(moment, before, seen)
            before = seen
        if lines or isinstance(moment.cause, Activated | Stepped) or _by_person(moment):
            yield from _causes(moment, before)
            yield from lines


def corrections(life: Life, until: datetime | None = None) -> list[Line]:
    """What people said against what was seen, the last of each milestone, up to an instant."""
    found: dict[str, Line] = {}
    for moment in life.moments:
        if until is not None and moment.at > until:
            break
        for told in moment.cause.events if isinstance(moment.cause, ToldAt) else ():
            if told.person is not None and told.person.kind == "person.correct":
                found[Deed.of(told.person).key] = _deed(moment.at, told.person)
    return list(found.values())


def _by_person(moment: Moment) -> bool:
    return isinstance(moment.cause, ToldAt) and any(told.person is not None for told in moment.cause.events)


def _causes(moment: Moment, seen: Seen | None) -> Iterator[Line]:
    at, cause = moment.at, moment.cause
    match cause:
        case ToldAt():
            for told in cause.events:
                if told.person is not None:
                    yield _deed(at, told.person)
                else:
                    yield Line(at, "seen", f"seen: {told.what}")
        case Activated():
            who = f" by {cause.by}" if cause.by and cause.by != "instep" else ""
            yield Line(at, "rules", f"rule set {cause.rule_set[:12]} is active{who}{f': {cause.why}' if cause.why else ''}")
        case Stepped():
            yield _step(moment, cause.step, seen)
        case Looked():
            yield Line(at, "time", "the time had come to look again")


def _deed(at: datetime, event: Event) -> Line:
    try:
        deed = Deed.of(event)
    except NotPossible:
        return Line(at, "person", f"a person: {event.kind}")
    rule = deed.key.partition("|")[0]
    match deed.kind:
        case "person.answer":
            return Line(at, "person", f'{deed.by} answered "{deed.value}" to {rule}', rule)
        case "person.resolve":
            return Line(at, "person", f"{deed.by} resolved {rule}{_because(deed)}", rule)
        case "person.retry":
            return Line(at, "person", f"{deed.by} asked for {deed.key} to be tried again{_because(deed)}")
        case "person.look":
            return Line(at, "person", f"{deed.by} wanted {deed.key} looked at now")
        case "person.acknowledge":
            return Line(at, "person", f"{deed.by} is done with {deed.key}, which was refused{_because(deed)}")
        case "person.read_again":
            return Line(at, "person", f"{deed.by} had what was set aside read again")
        case "person.discard":
            return Line(at, "person", f"{deed.by} discarded what was set aside{_because(deed)}")
        case "person.correct":
            return Line(at, "person", f"{deed.by} corrected {deed.key} to {_corrected_to(deed)}{_because(deed)}")


def _corrected_to(deed: Deed) -> str:
    value = loads(deed.value)
    return "never" if value is None else value if isinstance(value, str) else str(value).lower()


def _because(deed: Deed) -> str:
    return f": {deed.reason}" if deed.reason else ""


def _step(moment: Moment, step: Step, seen: Seen | None) -> Line:
    effect = seen.memory.effect(step.key) if seen is not None else None
    what = f"{effect.action} for {effect.subject}" if effect is not None else step.key
    amount = effect.params.get("amount") if effect is not None else None
    what += f", {show(amount)}" if isinstance(amount, Money) else ""
    why = f": {': '.join(t for t in (step.reason, step.detail) if t)}" if step.reason or step.detail else ""
    reference = step.receipt.get("refund_id") or step.receipt.get("reference")
    said = {
        "begun": f"sending {what}",
        "settled": f"done: {what}{f', receipt {reference}' if reference else ''}",
        "settled_elsewhere": f"somebody else had done it already: {what}",
        "refused": f"refused: {what}{why}",
        "unsure": f"may or may not have happened: {what}{why}",
        "later": f"put off: {what}{why}",
        "again": f"no sign of it, it may be sent once more: {what}",
        "anew": f"tried again, what it was refused for may have passed: {what}",
        "interrupted": "the service ended while something was being sent",
    }[step.what]
    rule = effect.rule if effect is not None else ""
    return Line(moment.at, "effect", said, rule, _place(moment, rule))


def _changes(moment: Moment, before: Seen | None, seen: Seen) -> Iterator[Line]:
    at = seen.decision.now
    yield from _facts(at, moment, before.decision.view if before else None, seen.decision.view)
    yield from _outbox(at, moment, before, seen)
    yield from _withheld(at, moment, before, seen)
    was = before.memory if before else Memory()
    why = {e.key: said for e, said in seen.decision.closed}
    answers = {k: a for k, a in seen.memory.answers.items() if was.answers.get(k) != a}
    for key, one in was.exceptions.items():
        if key not in seen.memory.exceptions:
            answer = answers.get((one.rule, one.item))
            said = f'{answer.by} answered "{answer.answer}"' if answer is not None else why.get(key, "decided by a person")
            yield _attention(at, "closed", one, f"closed: {one.title} ({said})", moment)
    for key, one in seen.memory.exceptions.items():
        if key not in was.exceptions:
            wanted = f", to answer {' or '.join(one.answers)}" if one.answers else ""
            yield _attention(at, "opened", one, f"for {one.owner}: {one.title}{wanted}", moment)


def _attention(at: datetime, what: What, one: ExceptionState, text: str, moment: Moment) -> Line:
    return Line(at, what, text, one.rule, _place(moment, one.rule) or next(iter(one.places), ""), one.mode)


def _outbox(at: datetime, moment: Moment, before: Seen | None, seen: Seen) -> Iterator[Line]:
    planned = {e.key: e for e in before.decision.effects} if before else {}
    for effect in seen.decision.effects:
        was = planned.get(effect.key)
        if was is None or (was.rule, was.units) != (effect.rule, effect.units):
            amount = effect.params.get("amount")
            sum_ = f", {show(amount)}" if isinstance(amount, Money) else ""
            only = "would ask" if effect.mode == "shadow" else "asks"
            text = f"{effect.rule} {only} for {effect.action} for {effect.subject}{sum_}"
            yield Line(at, "asked", text, effect.rule, _place(moment, effect.rule), effect.mode)
    for key in seen.decision.withdrawn:
        rule = planned[key].rule if key in planned else ""
        mode = "shadow" if key.startswith(SHADOW) else "live"
        yield Line(at, "withdrawn", f"no longer asked for: {key.removeprefix(SHADOW)}", rule, _place(moment, rule), mode)


def _withheld(at: datetime, moment: Moment, before: Seen | None, seen: Seen) -> Iterator[Line]:
    was = {_stopped(b): b for b in before.decision.blocked} if before else {}
    now = {_stopped(b): b for b in seen.decision.blocked}
    for key, blocked in now.items():
        if key not in was:
            by = f"{blocked.by}: " if blocked.by else ""
            text = f"withheld: {blocked.action} of {blocked.rule}{_named(blocked)}, {by}{blocked.because}"
            yield Line(at, "withheld", text, blocked.by, _place(moment, blocked.by), blocked.mode)
    for key, blocked in was.items():
        if key not in now:
            text = f"no longer withheld: {blocked.action} of {blocked.rule}{_named(blocked)}"
            yield Line(at, "freed", text, blocked.by, _place(moment, blocked.by), blocked.mode)


def _stopped(blocked: Blocked) -> tuple[Any, ...]:
    return blocked.action, blocked.rule, blocked.item, blocked.units, blocked.why, blocked.by


def _named(blocked: Blocked) -> str:
    return f" for {', '.join(blocked.units) or blocked.item or 'the case'}"


def _facts(at: datetime, moment: Moment, before: View | None, after: View) -> Iterator[Line]:
    found = sorted(_fact_lines(moment, before, after))
    for text in found[:FACTS_SHOWN]:
        yield Line(at, "fact", text)
    if len(found) > FACTS_SHOWN:
        yield Line(at, "fact", f"and {len(found) - FACTS_SHOWN} more facts")


def _fact_lines(moment: Moment, before: View | None, after: View) -> Iterator[str]:
    kinds = moment.rule_set.vocabulary
    known = before.index if before is not None else {}
    come = {
        (k, key) for k, recs in after.index.items() for key, r in recs.items() if _came(kinds, k, r, known.get(k, {}).get(key))
    }
    for kind, key in come:
        rec = after.index[kind][key]
        said = [f"{n.replace('_', ' ')} {show(rec[n])}" for n in OF_RECORDS_NEW if not is_gap(rec.get(n))]
        yield f"{kind.replace('_', ' ')} {key} is known{': ' if said else ''}{', '.join(said)}"
    if before is None:
        return
    for fact, keys in changed(before, after).items():
        kind, _, name = fact.partition(".")
        spec = kinds[kind].fields.get(name) if kind in kinds else None
        if spec is None or spec.computed or name.endswith("updated_at"):
            continue
        for key in keys:
            was, now = before.index.get(kind, {}).get(key), after.index.get(kind, {}).get(key)
            if was is not None and now is not None and (kind, key) not in come and not isinstance(now.get(name), Items | Rec):
                then = f", was {show(was.get(name))}" if not is_gap(was.get(name)) else ""
                yield f"{kind.replace('_', ' ')} {key}: {name.replace('_', ' ')} is {counted(now.get(name))}{then}"


def _came(kinds: Any, kind: str, rec: Rec, was: Rec | None) -> bool:
    """Whether a record of its own was first seen now."""
    of_case = kind in kinds and kinds[kind].scope == "case" and kind not in ("unit", "effect", "case")
    return of_case and rec.get("seen_at") is not None and (was is None or was.get("seen_at") is None)


def _place(moment: Moment, rule_id: str) -> str:
    rule = moment.rule_set.rule(rule_id) if rule_id else None
    return str(rule.place) if rule is not None else ""
