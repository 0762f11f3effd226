"""One pass over one case: what should be sent, what is forbidden, who must look, and when to look again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from engine.decide.attention import Seen, attend, continued, earliest_snooze_end, known_refusals
from engine.decide.match import Pass, Standing, answers_given, match, standings
from engine.decide.memory import ExceptionState, HoldClock, Memory, RuleItem
from engine.decide.outcomes import settled, settled_elsewhere
from engine.decide.plan import Plan, free_claims, plan
from engine.decide.promises import check_promises
from engine.decide.propose import Lack, Proposal, Veto, at_the_root, blame, propose, vetoes
from engine.decide.renamed import renamed
from engine.decide.resolve import Blocked, Conflict, resolve
from engine.decide.view import View, view_of
from engine.facts.case import Case
from engine.facts.derive import Given, derived
from engine.facts.effects import EffectState
from engine.facts.values import Money, Rec
from engine.language.compiled import Condition
from engine.language.ruleset import RuleSet


@dataclass(frozen=True, slots=True)
class Decision:
    """The result of one pass. `effects` are those to be sent now, `memory` is what the next pass starts from."""

    case: str
    rule_set: str
    now: datetime
    memory: Memory
    effects: tuple[EffectState, ...]
    withdrawn: tuple[str, ...]
    blocked: tuple[Blocked, ...]
    vetoes: tuple[Veto, ...]
    exceptions: tuple[ExceptionState, ...]
    closed: tuple[tuple[ExceptionState, str], ...]
    standings: tuple[Standing, ...]
    lacks: tuple[Lack, ...]
    wake_at: datetime | None
    basis: Pass  # give it to the next pass over this case to spare work

    @property
    def view(self) -> View:
        return self.basis.view

    @property
    def open(self) -> bool:
        """Whether the case still wants attention: a wake-up, a proposal, an unsettled effect or an open exception."""
        unsettled = any(e.status in {"planned", "performing", "unsure"} for e in self.memory.effects)
        raised = any(e.mode == "live" for e in self.exceptions)
        return bool(self.wake_at or self.effects or self.blocked or raised or unsettled)


def decide(rule_set: RuleSet, case: Case, memory: Memory, now: datetime, previous: Pass | None = None) -> Decision:
    """Same rule set, same facts, same memory, same `now`: same decision. `previous` only spares work."""
    if previous is not None and previous.rule_set != rule_set.hash:
        previous = None
    memory, view = _settle_from_facts(rule_set, case, renamed(memory, rule_set.renames), now, previous)
    if view.env["case"]["out_of_scope"] is True:
        return _nothing(rule_set, case, memory, now, view)
    given = answers_given(view, rule_set, memory.answers)
    matches = match(rule_set, view, given, previous)
    standing, clocks = standings(rule_set, view, given, matches, memory, now)
    weighed = _weigh(rule_set, view, standing, memory, now)
    return _attended(rule_set, case, memory, now, Pass(rule_set.hash, view, given, matches), standing, clocks, weighed)


def _settle_from_facts(
    rule_set: RuleSet, case: Case, memory: Memory, now: datetime, previous: Pass | None
) -> tuple[Memory, View]:
    """What the facts show to be done is done: an unsure refund that is seen, a planned one somebody else made.

    Facts are derived anew only where something they are derived from is not what it was in the `previous` pass.
    """
    known = None if previous is None else previous.view
    answers = {key: answer.answer for key, answer in memory.answers.items()}
    for _ in range(3):  # each round can only settle effects, and settling changes facts at most once more
        given = Given.of(case, memory.effects, answers)
        as_known = known is not None and given.is_that_of(known.facts.given)
        facts = known.facts if known is not None and as_known else derived(rule_set.vocabulary, given)
        after = memory
        for key, refund in facts.matches.items():
            effect = after.effect(key)
            if effect is not None and effect.status in {"performing", "unsure"}:
                after = settled(after, key, {"refund_id": refund}, now)
        units = {rec.key: rec for rec in facts.records.get("unit", ())}
        for effect in after.effects:
            waiting = effect.mode == "live" and effect.status in {"planned", "refused"}
            if waiting and effect.units and _done_by_others(effect, units):
                after = settled_elsewhere(after, effect.key, {}, now)
        if after is memory:
            break
        memory = after
    return memory, known if known is not None and known.facts is facts else view_of(rule_set, facts)


def _done_by_others(effect: EffectState, units: dict[str, Rec]) -> bool:
    done = "cancelled" if effect.action.endswith(".cancel") else "refunded"
    return all(key in units and units[key][done] is True for key in effect.units)


@dataclass(frozen=True, slots=True)
class _Weighed:
    plan: Plan
    vetoes: tuple[Veto, ...]
    blocked: tuple[Blocked, ...]
    conflicts: tuple[Conflict, ...]
    lacks: tuple[Lack, ...]


def _weigh(rule_set: RuleSet, view: View, standing: Sequence[Standing], memory: Memory, now: datetime) -> _Weighed:
    """Proposals against vetoes and claims; shadow rules count only among themselves."""
    unit_actions = frozenset(name for name, spec in rule_set.actions.items() if spec.subject == ("units",))
    lacks: list[Lack] = []
    binding: list[Veto] = []
    proposals: list[Proposal] = []
    for one in standing:
        binding.extend(vetoes(one))
        if one.truth is True and one.ready:
            mine, wanting = propose(one)
            lacks.extend(wanting)
            for proposal in mine:
                lacks.extend(_unpriced(proposal))
                free = _freed(proposal, memory, unit_actions)
                if free is not None:
                    proposals.append(free)
        lacks.extend(_undecided(one))
    live = resolve([p for p in proposals if not _shadow(p.standing)], [v for v in binding if not _shadow(v.standing)])
    shadow = resolve([p for p in proposals if _shadow(p.standing)], [v for v in binding if _shadow(v.standing)])
    blocked = (*live.blocked, *shadow.blocked)
    lacks.extend(_blocking_unknown(binding, blocked))
    planned = plan(rule_set, live.granted, shadow.granted, memory, now)
    named = tuple(replace(lack, facts=at_the_root(lack.facts, rule_set, view)) for lack in lacks)
    return _Weighed(planned, tuple(binding), blocked, (*live.conflicts, *shadow.conflicts), named)


def _shadow(standing: Standing) -> bool:
    return standing.rule.mode == "shadow"


def _freed(proposal: Proposal, memory: Memory, unit_actions: frozenset[str]) -> Proposal | None:
    if not proposal.claims:
        return proposal
    left = free_claims(proposal.claims, memory, unit_actions)
    gifts_too = proposal.use.action.endswith(".cancel")  # what was given away is cancelled with the rest, and never refunded
    left = tuple(c for c in left if gifts_too or not _paid_up(c.unit))
    left = tuple(c for c in left if c.unit["costs_nothing"] is False or (gifts_too and c.unit["costs_nothing"] is True))
    return replace(proposal, claims=left) if left else None


def _paid_up(unit: Rec) -> bool:
    """Whether nothing is left of its line for it, because others were paid for with more than they cost."""
    due = unit["due"]
    return isinstance(due, Money) and due.amount <= 0


def _unpriced(proposal: Proposal) -> list[Lack]:
    """Units of lines whose price is not known: nobody can say how much to refund."""
    lines = {claim.unit["line"].item for claim in proposal.claims if claim.unit["costs_nothing"] is None}
    return [Lack(proposal.standing, tuple(f"{line}.price" for line in sorted(lines)), (proposal.use.action,))] if lines else []


def _undecided(standing: Standing) -> list[Lack]:
    """A rule with an action or a raise that is neither true nor false. A forbid is undecided only if it blocks something."""
    rule, env = standing.rule, standing.env
    if not (rule.actions or rule.raises):
        return []
    facts: list[str] = []
    if standing.truth is None:
        if rule.raises and not rule.actions and not standing.ready and not standing.after_unknown:
            return []
        facts.extend(unknown_facts(rule.when, env))
    if standing.after_unknown:
        facts.extend(blame([e for e in (rule.after, rule.hold_for) if e is not None], env, f"{rule.id}.after"))
    return [Lack(standing, tuple(dict.fromkeys(facts)), tuple(u.action for u in rule.actions))] if facts else []


def unknown_facts(condition: Condition, env: object) -> list[str]:
    """The facts for want of which a condition is unknown, entry by entry."""
    if condition.truth(env) is not None:  # type: ignore[arg-type]
        return []
    if condition.expression is not None:
        return list(blame((condition.expression,), env, f"{condition.place}"))  # type: ignore[arg-type]
    return [fact for part in condition.parts for fact in unknown_facts(part, env)]


def _blocking_unknown(binding: Sequence[Veto], blocked: Sequence[Blocked]) -> list[Lack]:
    """A forbid that stops something only because it is unknown has to be decided too."""
    stopping = {(b.by, b.by_item) for b in blocked if b.unknown}
    lacks: list[Lack] = []
    for veto in binding:
        rule = veto.standing.rule
        if veto.unknown and (rule.id, veto.standing.item) in stopping:
            facts = unknown_facts(rule.when, veto.standing.env)
            sources = [e for e in (veto.forbid.units, rule.after if veto.standing.after_unknown else None) if e is not None]
            if sources:
                facts.extend(blame(sources, veto.standing.env, rule.id))
            lacks.append(Lack(veto.standing, tuple(dict.fromkeys(facts)) or (rule.id,), veto.forbid.actions))
    return lacks


def _attended(
    rule_set: RuleSet,
    case: Case,
    memory: Memory,
    now: datetime,
    basis: Pass,
    standing: Sequence[Standing],
    clocks: Mapping[RuleItem, HoldClock],
    weighed: _Weighed,
) -> Decision:
    again = [(g.proposal.standing, g.proposal.subject) for g in weighed.plan.flapping]
    flapping = [(by.rule.id, by.item, subject, by.rule.mode) for by, subject in again]
    attention = attend(
        Seen(
            rule_set, basis.view, basis.given, standing, weighed.lacks, weighed.blocked, weighed.conflicts, flapping, memory, now
        )
    )
    exceptions = dict(attention.exceptions)
    opened = {key: one for key, one in exceptions.items() if one.mode == "live"}
    checked = check_promises(rule_set, basis.view, opened | known_refusals(memory, now), now)
    breaches = {e.key: e for e in checked.breaches}
    for key, breach in breaches.items():
        exceptions[key] = continued(memory.exceptions.get(key), breach, now)
    mended = tuple(
        (was, "the promise is kept again")
        for k, was in sorted(memory.exceptions.items())
        if was.rule == "promise_broken" and k not in breaches
    )
    exceptions |= earliest_snooze_end(exceptions.values(), checked.deadlines[0] if checked.deadlines else None)
    exceptions = {
        k: replace(e, state="open", until=None) if e.state == "snoozed" and e.until and e.until <= now else e
        for k, e in exceptions.items()
    }
    after = Memory(
        clocks=clocks,
        exceptions=dict(sorted(exceptions.items())),
        answers=memory.answers,
        undecided=attention.undecided,
        occurrences=weighed.plan.occurrences,
        effects=weighed.plan.effects,
    )
    wakes = [s.until for s in standing if s.until is not None]
    wakes += [e.until for e in exceptions.values() if e.until is not None]
    wakes += [w for w in (attention.wake_at, weighed.plan.wake_at, *checked.deadlines[:1]) if w is not None]
    return Decision(
        case=case.id,
        rule_set=rule_set.hash,
        now=now,
        memory=after,
        effects=weighed.plan.planned,
        withdrawn=weighed.plan.withdrawn,
        blocked=weighed.blocked,
        vetoes=weighed.vetoes,
        exceptions=tuple(exceptions[k] for k in sorted(exceptions)),
        closed=(*attention.closed, *mended),
        standings=tuple(standing),
        lacks=weighed.lacks,
        wake_at=min((w for w in wakes if w > now), default=None),
        basis=basis,
    )


def _nothing(rule_set: RuleSet, case: Case, memory: Memory, now: datetime, view: View) -> Decision:
    """A case that is known not to be ours: kept, not evaluated."""
    left = tuple(e for e in memory.effects if e.status != "planned")
    gone = tuple(e.key for e in memory.effects if e.status == "planned")
    closed = tuple((e, "out of scope") for e in memory.exceptions.values())
    after = replace(memory, effects=left, exceptions={}, clocks={}, undecided={})
    return Decision(
        case.id, rule_set.hash, now, after, (), gone, (), (), (), closed, (), (), None, Pass(rule_set.hash, view, {}, {})
    )
