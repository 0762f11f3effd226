"""What people ask about a case, answered piece by piece: why it was refunded, why it is held, what is waited for, who did it.

Made of one decision, and of what is known of the decisions before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine.decide.decision import Decision
from engine.decide.document import because_to_json
from engine.decide.match import Standing
from engine.decide.memory import Answer, ExceptionState, RuleItem
from engine.decide.propose import Veto
from engine.decide.resolve import Blocked
from engine.decide.subjects import lineage
from engine.decide.trace import Because, Entry, trace
from engine.facts.effects import EffectState
from engine.facts.values import Money, Rec, listed
from engine.language.compiled import Rule
from engine.language.ruleset import RuleSet
from engine.language.show import show
from engine.run.deciding.cadence import due_at, held_back

UNITS = ("units",)
ENDED = {"settled": "settled", "settled_elsewhere": "done by somebody else first", "refused": "refused"}


@dataclass(frozen=True, slots=True)
class Known:
    """What one decision alone does not tell: since when each forbid binds, and of each effect when it was first asked for and
    how its rule stood then.
    """

    bound_since: Mapping[RuleItem, datetime] = field(default_factory=dict)
    asked: Mapping[str, tuple[datetime, Entry]] = field(default_factory=dict)


NOTHING = Known()


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence of an answer: which rule it is about and where that is written, and the conditions that made it so."""

    text: str
    rule: str = ""
    place: str = ""
    because: tuple[Because, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One piece of the order, or with no unit the rest of the case: how it stands, and the answers."""

    unit: str
    sku: str
    state: str
    refunded: tuple[Said, ...] = ()
    held: tuple[Said, ...] = ()
    waiting: tuple[Said, ...] = ()
    who: tuple[Said, ...] = ()


def story(rule_set: RuleSet, decision: Decision, known: Known = NOTHING) -> tuple[Told, ...]:
    """Every piece of the order, then what is waited for besides."""
    told = _Story(rule_set, decision, known)
    units = [told.unit(unit) for unit in decision.view.facts.records.get("unit", ())]
    rest = told.rest()
    return (*units, *([rest] if rest.waiting or rest.held or not units else []))


def story_to_json(told: Sequence[Told]) -> list[dict[str, Any]]:
    """Plain JSON values."""
    return [
        {"unit": one.unit, "sku": one.sku, "state": one.state}
        | {name: [_said_to_json(said) for said in getattr(one, name)] for name in ("refunded", "held", "waiting", "who")}
        for one in told
    ]


def _said_to_json(said: Said) -> dict[str, Any]:
    found: dict[str, Any] = {"text": said.text}
    found |= {name: getattr(said, name) for name in ("rule", "place") if getattr(said, name)}
    found |= {name: at.isoformat() for name, at in (("since", said.since), ("until", said.until)) if at is not None}
    return found | ({"because": [because_to_json(b) for b in said.because]} if said.because else {})


class _Story:
    def __init__(self, rule_set: RuleSet, decision: Decision, known: Known) -> None:
        self.rules = rule_set
        self.decision = decision
        self.known = known
        self.entries = {(e.rule, e.item): e for e in trace(rule_set, decision)}
        self.unit_actions = {name for name, spec in rule_set.actions.items() if spec.subject == UNITS}
        self.effects = [e for e in decision.memory.effects if e.mode == "live"]
        self.told: set[object] = set()  # what is waited for and was said of a piece

    def unit(self, unit: Rec) -> Told:
        items = _items(unit)
        effects = [e for e in self.effects if unit.key in e.units]
        items |= {f"effect:{e.key}" for e in effects}
        state, sku = self._state(unit), str(unit["sku"] or "")
        answers = tuple(self._answers(items))
        if unit["refunded"] is True:
            return Told(unit.key, sku, state, tuple(self._refunded(unit, effects)), who=(*self._who(unit, effects), *answers))
        if unit["cancelled"] is True:
            done = [e for e in effects if e.action.endswith(".cancel")]
            return Told(unit.key, sku, state, who=(*self._by_us(done), *answers))
        held = tuple(self._held(unit, items, effects))
        return Told(unit.key, sku, state, (), held, tuple(self._waiting(items, effects)), (*self._who(unit, effects), *answers))

    def rest(self) -> Told:
        """What is waited for and has to do with no piece that is still to be refunded."""
        waiting = [*self._standing(None), *self._going(e for e in self.effects if e.key not in self.told)]
        waiting += [*self._lacking(None), *self._people(None)]
        held = [self._lost(b) for b in self.decision.blocked if b.mode == "live" and not b.units]
        return Told("", "", "the case as a whole", (), tuple(held), tuple(waiting))

    # --- why was it refunded, and who did it ---

    def _state(self, unit: Rec) -> str:
        if unit["refunded"] is True:
            at = f" {show(unit['refunded_at'])}" if unit["refunded_at"] else ""
            return f"refunded{at}"
        if unit["cancelled"] is True:
            return "cancelled"
        if unit["in_flight"] is True:
            return "sent, and its end is not known yet"
        left = f"{show(unit['due'])} can be refunded"
        return f"{left}, but it is unclear what earlier refunds cover" if unit["coverage"] == "unclear" else left

    def _refunded(self, unit: Rec, effects: Sequence[EffectState]) -> Iterator[Said]:
        ours = [e for e in effects if e.action.endswith(".refund") and e.status in {"settled", "settled_elsewhere"}]
        for effect in ours:
            yield self._asked(effect)
        for refund in _covering(self.decision, unit):
            if refund.get("ours") is not True:
                yield Said(
                    f"the marketplace shows refund {refund.key.rsplit('/', 1)[-1]} of {_amount(refund)}, which we did not make"
                )

    def _asked(self, effect: EffectState) -> Said:
        rule = self.rules.rule(effect.rule)
        at, entry = self.known.asked.get(effect.key, (effect.planned_at, None))
        title = f": {rule.title}" if rule is not None and rule.title else ""
        amount = effect.params.get("amount")
        sum_ = f" of {show(amount)}" if isinstance(amount, Money) else ""
        text = f"{effect.rule} asked for {effect.action}{sum_}{_of(effect.item)}{title}"
        place = str(rule.place) if rule is not None else (entry.place if entry is not None else "")
        return Said(text, effect.rule, place, entry.because if entry is not None else (), at)

    def _who(self, unit: Rec, effects: Sequence[EffectState]) -> Iterator[Said]:
        yield from self._by_us(e for e in effects if e.action.endswith(".refund"))
        for refund in _covering(self.decision, unit):
            if refund.get("ours") is not True:
                number = refund.key.rsplit("/", 1)[-1]
                said = f"somebody else in the marketplace: refund {number} of {_amount(refund)}"
                yield Said(said, since=refund["created_at"] if isinstance(refund["created_at"], datetime) else None)
        for refund in listed(unit["store_refunds"]):
            agent = f" by agent {refund['user_id']}" if refund["user_id"] else ""
            at = refund["created_at"]
            yield Said(
                f"refund {refund.key.rsplit('/', 1)[-1]} was made in the store{agent}",
                since=at if isinstance(at, datetime) else None,
            )

    def _by_us(self, effects: Iterable[EffectState]) -> Iterator[Said]:
        for effect in effects:
            if effect.status == "settled":
                reference = effect.receipt.get("refund_id") or effect.receipt.get("reference")
                receipt = f", receipt {reference}" if reference else ""
                rule = self.rules.rule(effect.rule)
                place = str(rule.place) if rule is not None else ""
                yield Said(f"instep, by rule {effect.rule}{receipt}", effect.rule, place, since=effect.sent_at)
            elif effect.status == "settled_elsewhere":
                yield Said(f"somebody else, before {effect.rule} could", effect.rule, since=effect.settled_at)

    def _answers(self, items: set[str]) -> Iterator[Said]:
        for (rule_id, item), answer in sorted(self.decision.memory.answers.items()):
            if item in items or not item:
                yield self._answered(rule_id, item, answer)

    def _answered(self, rule_id: str, item: str, answer: Answer) -> Said:
        rule = self.rules.rule(rule_id)
        means = next((r.answers.get(answer.answer) for r in rule.raises if r.answers), "") if rule is not None else ""
        place = str(rule.place) if rule is not None else ""
        text = f'{answer.by} answered "{answer.answer}" to {rule_id}{_of(item)}{f": {means}" if means else ""}'
        return Said(text, rule_id, place, since=answer.at)

    # --- why is it still held ---

    def _held(self, unit: Rec, items: set[str], effects: Sequence[EffectState]) -> Iterator[Said]:
        blocked = [b for b in self.decision.blocked if b.mode == "live" and unit.key in b.units]
        told: set[RuleItem] = set()
        for veto in self._binding(unit):
            key = (veto.standing.rule.id, veto.standing.item)
            if key not in told:
                told.add(key)
                asking = sorted({b.rule for b in blocked if (b.by, b.by_item) == key})
                yield self._forbidden(veto, asking)
        yield from (self._lost(b) for b in blocked if (b.by, b.by_item) not in told)
        for effect in effects:
            if effect.status == "refused":
                detail = f": {effect.detail}" if effect.detail else ""
                done = f"; nothing more is done about it, by {effect.acknowledged}" if effect.acknowledged else ""
                text = f"{effect.action} was refused ({effect.reason}{detail}){done}"
                yield Said(text, effect.rule, self._place(effect.rule), since=effect.settled_at)
            elif effect.status in {"performing", "unsure"}:
                text = f"{effect.action} was sent and may or may not have happened{f': {effect.detail}' if effect.detail else ''}"
                yield Said(text, effect.rule, self._place(effect.rule), since=effect.sent_at)
        if not told and not blocked and not effects:
            yield from self._nobody_asks(items)

    def _binding(self, unit: Rec) -> Iterator[Veto]:
        claimants = [*listed(unit["rma_units"]), *listed(unit["store_refunds"])] or [unit]
        for veto in self.decision.vetoes:
            concerns = not veto.forbid.partial and not self.unit_actions.isdisjoint(veto.forbid.actions)
            if concerns and veto.standing.rule.mode == "live" and any(veto.binds_unit(unit.key, c) for c in claimants):
                yield veto

    def _forbidden(self, veto: Veto, asking: Sequence[str]) -> Said:
        rule, item = veto.standing.rule, veto.standing.item
        entry = self.entries.get((rule.id, item))
        asked = f"; asked for by {', '.join(asking)}" if asking else ""
        sure = ", for want of a fact" if veto.unknown else ""
        text = f"{rule.id} forbids {' and '.join(veto.forbid.actions)}{sure}: {veto.because}{asked}"
        since = self.known.bound_since.get((rule.id, item))
        return Said(text, rule.id, str(rule.place), entry.because if entry is not None else (), since)

    def _lost(self, blocked: Blocked) -> Said:
        what = f"{blocked.rule} asked for {blocked.action}{_of(blocked.item)}"
        if blocked.why == "claimed":
            return Said(f"{what}; it goes to {blocked.by}, which stands above it", blocked.rule, self._place(blocked.rule))
        if blocked.why == "conflict":
            return Said(f"{what}; it waits: {blocked.because}", blocked.rule, self._place(blocked.rule))
        since = self.known.bound_since.get((blocked.by, blocked.by_item))
        entry = self.entries.get((blocked.by, blocked.by_item))
        because = entry.because if entry is not None else ()
        return Said(f"{what}; {blocked.by} forbids it: {blocked.because}", blocked.by, self._place(blocked.by), because, since)

    def _nobody_asks(self, items: set[str]) -> Iterator[Said]:
        """Every rule that could ask for its refund, with what keeps it from asking."""
        if not any(item.startswith(("rma:", "store_refund:")) for item in items):
            yield Said("nobody has asked for it: no return and no refund in the store names it")
            return
        for rule in self.rules.rules:
            refunds = any(u.action in self.unit_actions and u.action.endswith(".refund") for u in rule.actions)
            for (rule_id, item), entry in self.entries.items() if refunds and rule.mode == "live" else ():
                if rule_id == rule.id and item in items and entry.outcome == "did not hold":
                    yield Said(f"{rule.id} does not ask for it{_of(item)}", rule.id, entry.place, entry.because)

    # --- what are we waiting for ---

    def _waiting(self, items: set[str], effects: Sequence[EffectState]) -> Iterator[Said]:
        yield from self._standing(items)
        yield from self._going(effects)
        yield from self._lacking(items)
        yield from self._people(items)

    def _standing(self, items: set[str] | None) -> Iterator[Said]:
        for one in sorted(self.decision.standings, key=lambda s: (s.until or self.decision.now, s.rule.id)):
            doing = _would(one)
            if one.until is None or one.rule.mode != "live" or not doing or not self._mine(one, one.item, items):
                continue
            entry = self.entries.get((one.rule.id, one.item))
            clocks = tuple(b for b in entry.because if b.path in ("for", "after")) if entry is not None else ()
            text = f"{one.rule.id} {doing}{_of(one.item)} at {show(one.until)}"
            yield Said(text, one.rule.id, str(one.rule.place), clocks, until=one.until)

    def _going(self, effects: Iterable[EffectState]) -> Iterator[Said]:
        opened: datetime = self.decision.view.env["case"]["opened_at"] or self.decision.now
        for effect in effects:
            if effect.status not in {"planned", "unsure", "performing"}:
                continue
            self.told.add(effect.key)
            yield self._leaving(effect, opened)

    def _leaving(self, effect: EffectState, opened: datetime) -> Said:
        what = f"{effect.action}{_of(effect.subject)}"
        place, due = self._place(effect.rule), due_at(effect, self.rules, ZoneInfo(self.rules.time_zone), opened)
        when = f" at {show(due)}" if due is not None else ""
        if effect.status != "planned":
            text = f"{what} was sent: it is looked up{when}, until its end is known"
            return Said(text, effect.rule, place, since=effect.sent_at, until=due)
        if held_back(effect, self.rules, opened):
            return Said(f"{what} is only decided and shown, it is never sent", effect.rule, place, since=effect.planned_at)
        if effect.not_before is not None and due == effect.not_before:
            text = f"{what} is tried again{when}{f': {effect.detail}' if effect.detail else ''}"
        elif effect.turn_at is not None and due == effect.turn_at and effect.turn_at > effect.planned_at:
            text = f"{what} waits for its turn{when}: {effect.rule} may do so only so often"
        elif effect.action in self.rules.cadence and due is not None and due > effect.planned_at:
            text = f"{what} leaves with its batch{when}"
        else:
            text = f"{what} leaves at once, after a last look at the outside"
        return Said(text, effect.rule, place, since=effect.planned_at, until=due)

    def _lacking(self, items: set[str] | None) -> Iterator[Said]:
        """One sentence for each set of facts that are not known, naming every rule that wants them."""
        wanting: dict[tuple[str, ...], dict[RuleItem, Rule]] = {}
        for lack in self.decision.lacks:
            rule, item = lack.standing.rule, lack.standing.item
            if rule.mode == "live" and self._mine(("lack", rule.id, item), item, items):
                wanting.setdefault(lack.facts, {})[rule.id, item] = rule
        for facts, rules in wanting.items():
            yield self._undecided(facts, rules)

    def _undecided(self, facts: tuple[str, ...], rules: Mapping[RuleItem, Rule]) -> Said:
        named = sorted({rule.id for rule in rules.values()})
        items = sorted({item for _, item in rules if item})
        text = f"{' and '.join(facts)} not known, so {', '.join(named)} cannot be decided{_of(', '.join(items))}"
        undecided = self.decision.memory.undecided
        began = {key: undecided[key] for key in rules if key in undecided}
        told_at = [at + rules[key].undecided_after for key, at in began.items()]
        told = any(not set(facts).isdisjoint(one.facts) for one in self.decision.exceptions if one.mode == "live")
        until = None if told else min((at for at in told_at if at > self.decision.now), default=None)
        text += f"; a person is told at {show(until)}" if until is not None else ""
        places = ", ".join(sorted({str(rule.place) for rule in rules.values()}))
        only = next(iter(rules)) if len(rules) == 1 else None
        entry = self.entries.get(only) if only is not None else None
        because = entry.because if entry is not None else ()
        return Said(text, named[0] if only is not None else "", places, because, min(began.values(), default=None), until)

    def _people(self, items: set[str] | None) -> Iterator[Said]:
        for one in self.decision.exceptions:
            if one.mode == "live" and self._mine(("exception", one.key), one.item, items):
                yield _for_people(one)

    def _mine(self, what: object, item: str, items: set[str] | None) -> bool:
        """Whether it is about a piece with these items; for the rest, with none, whether no piece was told of it."""
        key = (what.rule.id, what.item) if isinstance(what, Standing) else what
        if items is None:
            return key not in self.told
        if item in items or not item:
            self.told.add(key)
            return True
        return False

    def _place(self, rule_id: str) -> str:
        rule = self.rules.rule(rule_id)
        return str(rule.place) if rule is not None else ""


def _for_people(one: ExceptionState) -> Said:
    todo = f"to answer {' or '.join(one.answers)}" if one.answers else "to look at it"
    place = one.places[0] if one.places else ""
    put_off = f" (put off until {show(one.until)})" if one.state == "snoozed" else ""
    return Said(f"{one.owner} {todo}{put_off}: {one.title}", one.rule, place, since=one.opened_at, until=one.until)


def _would(one: Standing) -> str:
    """What a rule does once its time has come."""
    if one.rule.actions:
        return f"asks for {' and '.join(use.action for use in one.rule.actions)}"
    if one.rule.forbids:
        return f"forbids {' and '.join(a for f in one.rule.forbids for a in f.actions)}"
    return f"tells {one.rule.raises[0].owner}" if one.rule.raises else ""


def _items(unit: Rec) -> set[str]:
    """The unit and everything it is part of or comes in."""
    found: set[str] = set()
    line = unit["line"]
    refunds = listed(line["refunds"]) if isinstance(line, Rec) else ()
    starts: list[Any] = [unit, line, *refunds, *listed(unit["rma_units"]), *listed(unit["store_refunds"])]
    for claimed in listed(unit["rma_units"]):
        rma = claimed.parent
        if rma is not None:
            shipments = [s for s in listed(rma.get("shipments")) if claimed in listed(s.get("units"))]
            starts += [*shipments, *listed(rma.get("parcels")), rma.get("receipt")]
    for start in starts:
        if isinstance(start, Rec):
            found |= {rec.item for rec in lineage(start)}
    return found


def _covering(decision: Decision, unit: Rec) -> list[Rec]:
    """The marketplace's refunds that are for a unit."""
    order = decision.view.facts.order
    every = listed(order["refunds"]) if order is not None else ()
    return [refund for refund in every if unit in listed(refund.get("units"))]


def _amount(refund: Rec) -> str:
    return show(refund["amount"])


def _of(item: str) -> str:
    return f" for {item}" if item else ""
