"""What the standing rules ask for and what they forbid, before either is weighed against the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.decide.match import Standing
from engine.decide.subjects import given_parameter, lineage, units_of
from engine.decide.view import View
from engine.facts.values import Items, Rec, is_gap
from engine.language.compiled import ActionUse, Expression, Forbid
from engine.language.ruleset import RuleSet


@dataclass(frozen=True, slots=True)
class Claim:
    """One unit a proposal asks for, and for whom: the RMA unit or store refund that named it."""

    unit: Rec
    claimant: Rec


@dataclass(frozen=True, slots=True)
class Proposal:
    """An action a rule asks for. `claims` where its subject is units, else `subject` and the things it is about. `values` are
    what its parameters came to.
    """

    standing: Standing
    use: ActionUse
    claims: tuple[Claim, ...] = ()
    subject: str = ""
    about: frozenset[str] = frozenset()
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters as the outside is given them. Most proposals are of what was sent long ago, and nobody asks."""
        return self.values if self.claims else {name: given_parameter(value) for name, value in self.values.items()}

    @property
    def rank(self) -> int:
        return self.standing.rule.rank

    @property
    def value(self) -> Any:
        """The wanted value, where the action sets a status; parameters that must agree otherwise."""
        if self.use.spec.sets:
            return given_parameter(self.values.get(self.use.spec.sets))
        return tuple(sorted((k, str(v)) for k, v in self.params.items() if k not in self.use.spec.subject))


@dataclass(frozen=True, slots=True)
class Veto:
    """A forbid that binds now. `units` None and `items` None is the whole case. `unknown`: it binds for want of a fact."""

    standing: Standing
    forbid: Forbid
    because: str
    units: frozenset[str] | None
    items: frozenset[str] | None
    unknown: bool = False

    def binds(self, action: str, rank: int) -> bool:
        return action in self.forbid.actions and self.standing.rule.rank < rank

    def binds_unit(self, unit: str, claimant: Rec) -> bool:
        if self.units is None and self.items is None:
            return True
        if self.units is not None and unit in self.units:
            return True
        return self.items is not None and claimant.item in self.items

    def binds_subject(self, about: frozenset[str]) -> bool:
        if self.units is None and self.items is None:
            return True
        return self.items is not None and not self.items.isdisjoint(about)


@dataclass(frozen=True, slots=True)
class Lack:
    """A rule and item that could not be decided, and the facts that are to blame."""

    standing: Standing
    facts: tuple[str, ...]
    actions: tuple[str, ...]


def blame(expressions: Iterable[Expression], env: Mapping[str, Any], otherwise: str) -> tuple[str, ...]:
    """The facts for want of which these are unknown; where no fact is to blame, the reason in words."""
    found: dict[str, None] = {}
    for expression in expressions:
        finding = expression.explain(env)
        for fact in finding.blame:
            found.setdefault(fact)
        if not finding.blame and finding.reason:
            found.setdefault(f"{otherwise}: {finding.reason}")
    return tuple(found) or (otherwise,)


_OF_THE_LINES_PRICE = frozenset({"price", "due", "costs_nothing"})  # facts of a unit: not known where its line has no price


def at_the_root(facts: Iterable[str], rule_set: RuleSet, view: View) -> tuple[str, ...]:
    """Where a derived fact is unknown, the facts for want of which it is: those somebody can supply."""
    found: dict[str, None] = {}
    waiting = list(facts)
    seen: set[str] = set()
    while waiting:
        fact = waiting.pop(0)
        if fact in seen:
            continue
        seen.add(fact)
        item, _, name = fact.rpartition(".")
        kind, _, key = item.partition(":")
        derived, rec = rule_set.derived.get(f"{kind}.{name}"), view.index.get(kind, {}).get(key)
        beneath: tuple[str, ...] = ()
        if kind == "unit" and name in _OF_THE_LINES_PRICE and rec is not None:
            beneath = (f"{rec['line'].item}.price",)
        if derived is not None and rec is not None and rec.get(name) is not None:
            beneath = derived.expression.explain(view.bound(kind, rec)).blame
        if beneath:
            waiting.extend(beneath)
        else:
            found.setdefault(fact)
    return tuple(found)


def propose(standing: Standing) -> tuple[list[Proposal], list[Lack]]:
    """The proposals of a rule that holds, and what of them could not be decided."""
    proposals: list[Proposal] = []
    lacks: list[Lack] = []
    for use in standing.rule.actions:
        wanting = _proposal(standing, use, proposals)
        if wanting:
            lacks.append(Lack(standing, wanting, (use.action,)))
    return proposals, lacks


def _proposal(standing: Standing, use: ActionUse, proposals: list[Proposal]) -> tuple[str, ...]:
    env = standing.env
    values: dict[str, Any] = {}
    lacking: list[str] = []
    for name, source in use.params.items():
        value = source.value(env) if isinstance(source, Expression) else source.render(env)
        if name == "units":
            values[name] = value
            if is_gap(value) or (isinstance(value, Items) and value.unsure):
                lacking.extend(blame((source,), env, f"{standing.rule.id}.units") if isinstance(source, Expression) else ())
        elif is_gap(value) and use.spec.params[name].required:
            lacking.extend(blame((source,), env, f"{standing.rule.id}.{name}") if isinstance(source, Expression) else ())
            return tuple(lacking)
        elif not is_gap(value):
            values[name] = value
    if use.spec.subject == ("units",):
        claims, unfit = _claims(values.pop("units", None))
        lacking.extend(unfit)
        if claims:
            proposals.append(Proposal(standing, use, claims, values=values))
        return tuple(lacking)
    subject, about = _subject(use, values)
    proposals.append(Proposal(standing, use, subject=subject, about=about, values=values))
    return tuple(lacking)


def _claims(value: Any) -> tuple[tuple[Claim, ...], list[str]]:
    if is_gap(value):
        return (), []
    claims: dict[str, Claim] = {}
    unfit: list[str] = []
    for rec in value if isinstance(value, tuple) else (value,):
        units = units_of(rec)
        if not units and rec.kind == "rma_unit":
            unfit.append(f"{rec.item}.unit")
        for unit in units:
            claims.setdefault(unit.key, Claim(unit, rec))
    return tuple(claims.values()), unfit


def _subject(use: ActionUse, values: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    parts: list[str] = []
    about: set[str] = set()
    for name in use.spec.subject:
        value = values.get(name)
        if isinstance(value, Rec):
            parts.append(value.item)
            about.update(rec.item for rec in lineage(value))
        else:
            text = str(value)
            parts.append(text if len(text) <= 40 else hashlib.sha256(text.encode()).hexdigest()[:16])
    return "/".join(parts), frozenset(about)


def vetoes(standing: Standing) -> list[Veto]:
    """The forbids of a rule that bind now. Unknown binds too; before its `for` or `after` none does."""
    found: list[Veto] = []
    if not standing.ready and not (standing.after_unknown and standing.until is None):
        return found
    for forbid in standing.rule.forbids:
        units, items, unsure = _scope(standing, forbid)
        unknown = standing.truth is None or standing.after_unknown or unsure
        found.append(Veto(standing, forbid, forbid.because.render(standing.env), units, items, unknown))
    return found


def _scope(standing: Standing, forbid: Forbid) -> tuple[frozenset[str] | None, frozenset[str] | None, bool]:
    if forbid.units is not None:
        value = forbid.units.value(standing.env)
        if isinstance(value, Items):
            recs = tuple(value.every())
            units = frozenset(u.key for rec in recs for u in units_of(rec))
            return units, frozenset(r.item for r in recs), bool(value.unsure)
        if isinstance(value, Rec):
            return frozenset(u.key for u in units_of(value)), frozenset({value.item}), False
        return (*_item_scope(standing), True)
    return (*_item_scope(standing), False)


def _item_scope(standing: Standing) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    if standing.rec is None:
        return None, None
    inside = {standing.rec.item} | {u.item for u in _below(standing.rec)}
    return frozenset(u.key for u in units_of(standing.rec)), frozenset(inside)


def _below(rec: Rec) -> Iterable[Rec]:
    """The items in its lists: a veto of an RMA binds its shipments and its units' proposals too."""
    for value in rec.values():
        if isinstance(value, Items):
            yield from (v for v in value if isinstance(v, Rec) and v.parent is rec)
