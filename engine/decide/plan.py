"""From granted proposals to effects: keys, amounts, and which of what is in the outbox keeps its place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from engine.decide.memory import Memory, Occurrence
from engine.decide.propose import Claim
from engine.decide.resolve import Granted
from engine.facts.effects import EffectState
from engine.facts.refunds import payload
from engine.facts.units import time_of
from engine.facts.values import Rec
from engine.language.ruleset import RuleSet

FLAPPING_WINDOW = timedelta(hours=24)
FLAPPING_COUNT = 3  # a repeatable subject may come this often in the window, then a person is told


@dataclass(frozen=True, slots=True)
class Plan:
    """The outbox after this pass: all `effects`, the `planned` ones to be sent, keys `withdrawn` as no longer asked for."""

    effects: tuple[EffectState, ...]
    planned: tuple[EffectState, ...]
    withdrawn: tuple[str, ...]
    occurrences: Mapping[str, Occurrence]
    flapping: tuple[Granted, ...]
    wake_at: datetime | None


def plan(rule_set: RuleSet, granted: Sequence[Granted], memory: Memory, now: datetime) -> Plan:
    """Plan what is granted and not yet under way or done."""
    fixed = {e.key: e for e in memory.effects if e.status not in {"planned", "withdrawn"}}
    before = {e.key: e for e in memory.effects if e.status in {"planned", "withdrawn"}}
    wanted: dict[str, EffectState] = {}
    asked: set[str] = set()
    occurrences = dict(memory.occurrences)
    flapping: list[Granted] = []
    wakes: list[datetime] = []
    for one in granted:
        if one.proposal.claims:
            _plan_units(rule_set, one, fixed, before, wanted, now)
            continue
        base = _subject_key(one)
        asked.add(base)
        if one.proposal.use.spec.once:
            if base not in fixed:
                _want(one, base, (), dict(one.proposal.params), before, wanted, now)
            continue
        wake = _plan_repeatable(one, base, occurrences, fixed, before, wanted, now)
        if wake is not None:
            flapping.append(one)
            wakes.append(wake)
    for base, occurrence in occurrences.items():
        if occurrence.asked and base not in asked:
            occurrences[base] = replace(occurrence, asked=False)
    unasked = {k: e for k, e in before.items() if k not in wanted}
    remembered = {k: replace(e, status="withdrawn") for k, e in unasked.items() if e.ever_sent}
    effects = {**fixed, **remembered, **wanted}
    return Plan(
        effects=tuple(effects[k] for k in sorted(effects)),
        planned=tuple(wanted[k] for k in sorted(wanted)),
        withdrawn=tuple(sorted(k for k, e in unasked.items() if e.status == "planned")),
        occurrences=occurrences,
        flapping=tuple(flapping),
        wake_at=min(wakes, default=None),
    )


def free_claims(claims: Sequence[Claim], memory: Memory, unit_actions: frozenset[str]) -> tuple[Claim, ...]:
    """The claims whose unit nothing has settled and nothing we sent names: sent, unsure, settled or refused."""
    named = {u for e in memory.effects if e.status not in {"planned", "withdrawn"} and e.action in unit_actions for u in e.units}
    return tuple(
        c for c in claims if c.unit["settled"] is not True and c.unit["in_flight"] is not True and c.unit.key not in named
    )


def _plan_units(
    rule_set: RuleSet,
    one: Granted,
    fixed: Mapping[str, EffectState],
    before: Mapping[str, EffectState],
    wanted: dict[str, EffectState],
    now: datetime,
) -> None:
    """One effect per order line and reason: it is the line that money is counted on. What was once sent stays together."""
    by_line: dict[tuple[str, str, str], list[Claim]] = defaultdict(list)
    together = _sent_together(one, before)
    for claim in one.claims:
        by_line[claim.unit["line"].key, _reason(rule_set, one, claim), together.get(claim.unit.key, "")].append(claim)
    for (_line, reason, _sent), claims in by_line.items():
        ordered = sorted(claims, key=lambda c: c.unit["number"])
        line: Rec = ordered[0].unit["line"]
        params = {
            **payload(line, [c.unit for c in ordered], reason=reason),
            **{k: v for k, v in one.proposal.params.items() if k != "reason"},
        }
        key = f"{_short(one)}:{'+'.join(c.unit.key for c in ordered)}"
        if key not in fixed:
            _want(one, key, tuple(ordered), params, before, wanted, now)


def _sent_together(one: Granted, before: Mapping[str, EffectState]) -> dict[str, str]:
    asked = {c.unit.key for c in one.claims}
    sent = (e for e in before.values() if e.ever_sent and e.action == one.proposal.use.action and asked.issuperset(e.units))
    return {unit: effect.key for effect in sent for unit in effect.units}


def _reason(rule_set: RuleSet, one: Granted, claim: Claim) -> str:
    """The rule's reason, else the one the customer gave if the outside has a code for it, else none."""
    stated = one.proposal.params.get("reason")
    if isinstance(stated, str):
        return stated
    given = claim.claimant.get("reason")
    codes = rule_set.codes.get(f"{one.proposal.use.action}.reason", {})
    return given if isinstance(given, str) and given in codes else ""


def _short(one: Granted) -> str:
    return one.proposal.use.action.partition(".")[2]


def _subject_key(one: Granted) -> str:
    spec, proposal = one.proposal.use.spec, one.proposal
    wanted = f"={proposal.params.get(spec.sets)}" if spec.sets else ""
    return f"{_short(one)}:{proposal.subject}{wanted}"


def _plan_repeatable(
    one: Granted,
    base: str,
    occurrences: dict[str, Occurrence],
    fixed: Mapping[str, EffectState],
    before: Mapping[str, EffectState],
    wanted: dict[str, EffectState],
    now: datetime,
) -> datetime | None:
    """Once for as long as it is asked for without a break. Returns when it may come again, where it came too often."""
    known = occurrences.get(base, Occurrence(0, asked=False, times=()))
    if not known.asked:
        recent = tuple(t for t in known.times if now - t < FLAPPING_WINDOW)
        if len(recent) >= FLAPPING_COUNT:
            return recent[0] + FLAPPING_WINDOW
        known = Occurrence(known.count + 1, asked=True, times=(*recent, now))
        occurrences[base] = known
    key = f"{base}@{known.count}"
    if key not in fixed:
        _want(one, key, (), dict(one.proposal.params), before, wanted, now)
    return None


def _meant_by(claim: Claim) -> tuple[str, ...]:
    """Who is refunded with a unit: who asked for it, and where that was not an RMA, the RMA the piece is in."""
    rma_units = claim.unit["rma_units"]
    if claim.claimant.kind == "rma_unit" or not rma_units:
        return (claim.claimant.item,)
    first = min(rma_units, key=lambda u: (time_of(u["rma"]["requested_at"]), u["rma"].key, u.key))
    return claim.claimant.item, first.item


def _want(
    one: Granted,
    key: str,
    claims: tuple[Claim, ...],
    params: dict[str, Any],
    before: Mapping[str, EffectState],
    wanted: dict[str, EffectState],
    now: datetime,
) -> None:
    """Put it in the outbox; one that is there unchanged keeps its place, and its history of attempts in any case."""
    standing = one.proposal.standing
    fresh = EffectState(
        key=key,
        action=one.proposal.use.action,
        subject=one.proposal.subject or "+".join(c.unit.key for c in claims),
        units=tuple(c.unit.key for c in claims),
        claims=tuple((c.unit.key, item) for c in claims for item in _meant_by(c)),
        params=params,
        rule=standing.rule.id,
        item=standing.item,
        group=standing.rule.group,
        status="planned",
        planned_at=now,
        mode="shadow" if standing.rule.mode == "shadow" else "live",
    )
    old = before.get(key)
    if old is not None and old.mode == fresh.mode:
        same = old.params == fresh.params
        fresh = replace(
            fresh,
            planned_at=old.planned_at if same else now,
            not_before=old.not_before,
            attempts=old.attempts,
            ever_sent=old.ever_sent,
            sent_at=old.sent_at,
            detail=old.detail,
            claims=old.claims if old.ever_sent else fresh.claims,
        )
    wanted[key] = fresh
