"""Vetoes, claims and conflicts: which proposals become effects, and what stopped the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.decide.propose import Claim, Proposal, Veto
from engine.facts.values import Items, Rec
from engine.language.compiled import Mode

Why = Literal["veto", "claimed", "conflict", "partial"]


@dataclass(frozen=True, slots=True)
class Blocked:
    """What a proposal did not get, and whose doing that is. Comes back by itself when the veto ends."""

    action: str
    rule: str
    item: str
    subject: str
    units: tuple[str, ...]
    why: Why
    by: str
    because: str
    unknown: bool = False
    by_item: str = ""
    mode: Mode = "live"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Rules of one group that ask for different things about one unit or subject."""

    action: str
    subject: str
    rules: tuple[str, ...]
    places: tuple[str, ...]
    mode: Mode = "live"


@dataclass(frozen=True, slots=True)
class Granted:
    """What a proposal may do now: all of its subject, or those of its units that are left."""

    proposal: Proposal
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    granted: tuple[Granted, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


def resolve(proposals: Sequence[Proposal], vetoes: Sequence[Veto]) -> Resolution:
    """Vetoes first, then claims unit by unit, then vetoes on what is only part of a line."""
    if not proposals:
        return Resolution()
    blocked: list[Blocked] = []
    conflicts: list[Conflict] = []
    plain = [v for v in vetoes if not v.forbid.partial]
    allowed = [_after_vetoes(p, plain, blocked) for p in proposals]
    units, subjects = [g for g in allowed if g and g.claims], [g for g in allowed if g and not g.proposal.claims]
    granted = _claim_units(units, blocked, conflicts) + _claim_subjects(subjects, blocked, conflicts)
    partial = [v for v in vetoes if v.forbid.partial]
    if partial:
        granted = _after_partial(granted, partial, blocked)
    return Resolution(tuple(granted), tuple(blocked), tuple(conflicts))


def _stopped(
    proposal: Proposal, units: Iterable[str], why: Why, by: str, because: str, *, unknown: bool = False, by_item: str = ""
) -> Blocked:
    standing = proposal.standing
    return Blocked(
        proposal.use.action,
        standing.rule.id,
        standing.item,
        proposal.subject,
        tuple(units),
        why,
        by,
        because,
        unknown,
        by_item,
        standing.rule.mode,
    )


def _after_vetoes(proposal: Proposal, vetoes: Sequence[Veto], blocked: list[Blocked]) -> Granted | None:
    binding = [v for v in vetoes if v.binds(proposal.use.action, proposal.rank)]
    if not proposal.claims:
        stopping = [v for v in binding if v.binds_subject(proposal.about)]
        blocked.extend(_by_veto(proposal, (), v, unknown=v.unknown and all(s.unknown for s in stopping)) for v in stopping)
        return None if stopping else Granted(proposal, ())
    left: list[Claim] = []
    stopped: dict[int, list[str]] = defaultdict(list)
    certain: set[str] = set()
    for claim in proposal.claims:
        stopping_at = [i for i, v in enumerate(binding) if v.binds_unit(claim.unit.key, claim.claimant)]
        if not stopping_at:
            left.append(claim)
        for i in stopping_at:
            stopped[i].append(claim.unit.key)
            if not binding[i].unknown:
                certain.add(claim.unit.key)
    for i, units in stopped.items():
        only_unknown = binding[i].unknown and not certain.issuperset(units)
        blocked.append(_by_veto(proposal, units, binding[i], unknown=only_unknown))
    return Granted(proposal, tuple(left)) if left else None


def _by_veto(proposal: Proposal, units: Iterable[str], veto: Veto, *, unknown: bool, why: Why = "veto") -> Blocked:
    rule = veto.standing.rule
    return _stopped(proposal, units, why, rule.id, veto.because, unknown=unknown, by_item=veto.standing.item)


def _claim_units(granted: Sequence[Granted], blocked: list[Blocked], conflicts: list[Conflict]) -> list[Granted]:
    """Each unit goes to the highest group that asks for it; within a group all must ask for the same."""
    asking: dict[str, list[Granted]] = defaultdict(list)
    for one in granted:
        for claim in one.claims:
            asking[claim.unit.key].append(one)
    winners: dict[str, Proposal | None] = {}
    for unit, rivals in asking.items():
        top = min(r.proposal.rank for r in rivals)
        first = [r.proposal for r in rivals if r.proposal.rank == top]
        same = len(first) == 1 or len({(p.use.action, p.value) for p in first}) == 1
        winners[unit] = first[0] if same else None
        if not same:
            conflicts.append(_conflict(f"unit:{unit}", first))
    left: list[Granted] = []
    for one in granted:
        kept = tuple(c for c in one.claims if winners[c.unit.key] is one.proposal)
        _note_losses(one, winners, blocked)
        if kept:
            left.append(Granted(one.proposal, kept))
    return left


def _note_losses(one: Granted, winners: Mapping[str, Proposal | None], blocked: list[Blocked]) -> None:
    lost: dict[str, list[str]] = defaultdict(list)
    for claim in one.claims:
        winner = winners[claim.unit.key]
        if winner is None:
            lost[""].append(claim.unit.key)
        elif winner is not one.proposal:
            lost[winner.standing.rule.id].append(claim.unit.key)
    for rule_id, units in lost.items():
        if rule_id:
            blocked.append(_stopped(one.proposal, units, "claimed", rule_id, f"already asked for by {rule_id}"))
        else:
            blocked.append(_stopped(one.proposal, units, "conflict", "", "rules of one group ask for different things"))


def _claim_subjects(granted: Sequence[Granted], blocked: list[Blocked], conflicts: list[Conflict]) -> list[Granted]:
    """The same for subjects that are not units: one wanted value per subject and action."""
    asking: dict[tuple[str, str], list[Proposal]] = defaultdict(list)
    for one in granted:
        asking[one.proposal.use.action, one.proposal.subject].append(one.proposal)
    left: list[Granted] = []
    for (_action, subject), rivals in asking.items():
        top = min(p.rank for p in rivals)
        first = [p for p in rivals if p.rank == top]
        if len(first) > 1 and len({p.value for p in first}) > 1:
            conflicts.append(_conflict(subject, first))
            blocked.extend(_stopped(p, (), "conflict", "", "rules of one group ask for different things") for p in rivals)
            continue
        left.append(Granted(first[0], ()))
        winner = first[0].standing.rule.id
        blocked.extend(_stopped(p, (), "claimed", winner, f"already asked for by {winner}") for p in rivals if p is not first[0])
    return left


def _conflict(subject: str, proposals: Sequence[Proposal]) -> Conflict:
    rules = sorted({p.standing.rule.id for p in proposals})
    places = sorted({str(p.use.place) for p in proposals})
    return Conflict(proposals[0].use.action, subject, tuple(rules), tuple(places), proposals[0].standing.rule.mode)


def _after_partial(granted: Sequence[Granted], vetoes: Sequence[Veto], blocked: list[Blocked]) -> list[Granted]:
    """What, after all else, has fewer of a line's units than were ordered."""
    count: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in granted:
        for claim in one.claims:
            count[one.proposal.use.action, _line(claim.unit).key].add(claim.unit.key)
    left: list[Granted] = []
    for one in granted:
        binding = [v for v in vetoes if v.binds(one.proposal.use.action, one.proposal.rank)]
        kept: list[Claim] = []
        for claim in one.claims:
            line = _line(claim.unit)
            whole = len(count[one.proposal.use.action, line.key]) >= _ordered(line)
            stopping = [] if whole else [v for v in binding if v.binds_unit(claim.unit.key, claim.claimant)]
            blocked.extend(_by_veto(one.proposal, (claim.unit.key,), v, unknown=v.unknown, why="partial") for v in stopping)
            if not stopping:
                kept.append(claim)
        if kept or not one.claims:
            left.append(Granted(one.proposal, tuple(kept)))
    return left


def _line(unit: Rec) -> Rec:
    line: Any = unit["line"]
    return line if isinstance(line, Rec) else unit


def _ordered(line: Rec) -> int:
    units = line.get("units")
    return len(units) if isinstance(units, Items) else 1
