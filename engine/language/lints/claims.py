"""Rules that ask for the same: one that always loses to another, is always forbidden, or contradicts another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from engine.language.compiled import ActionUse, Expression, Forbid, Rule, Template
from engine.language.lints.conditions import entries_of
from engine.language.lints.whole import Whole
from engine.language.written import same_meaning
from engine.problems import Problem

MOST_RIVALS = 40  # rules about one subject that are compared with one another
_Use = tuple[Rule, ActionUse]


def rival_claims(whole: Whole) -> Iterator[Problem]:
    """Of two rules about the same subject, where one holds whenever the other does."""
    about: dict[tuple[object, ...], list[_Use]] = defaultdict(list)
    for rule in whole.rules:
        for use in rule.actions if rule.mode == "live" else ():
            about[rule.each, use.action, *(_meaning(use.params[key]) for key in use.spec.subject if key in use.params)].append(
                (rule, use)
            )
    for uses in about.values():
        for mine in uses[:MOST_RIVALS]:
            yield from _against_rivals(mine, uses[:MOST_RIVALS], whole)


def always_forbidden(whole: Whole) -> Iterator[Problem]:
    """A rule that only holds where a rule above forbids what it asks for."""
    vetoes: dict[str, list[tuple[Rule, Forbid]]] = defaultdict(list)
    for rule in whole.rules:
        if rule.mode == "live" and rule.hold_for is None and rule.after is None:
            for forbid in rule.forbids:
                for action in forbid.actions if not forbid.partial else ():
                    vetoes[action].append((rule, forbid))
    for rule in whole.rules:
        for use in rule.actions:
            for above, forbid in vetoes.get(use.action, [])[:MOST_RIVALS]:
                if above.rank < rule.rank and _binds(above, forbid, rule, use) and _holds_with(above, rule, whole):
                    said = f'whenever this holds, "{above.id}" forbids {use.action}, so it is never sent'
                    yield Problem(use.place, "always-forbidden", said)
                    break


def _against_rivals(mine: _Use, uses: list[_Use], whole: Whole) -> Iterator[Problem]:
    rule, use = mine
    for other, theirs in uses:
        if other is rule or other.rank > rule.rank or not _at_once(other, rule) or not _holds_with(other, rule, whole):
            continue
        same = _params(use) == _params(theirs)
        mutual = other.rank == rule.rank and _at_once(rule, other) and _holds_with(rule, other, whole)
        if mutual and other.id > rule.id:
            continue
        if same:
            where = "" if other.rank == rule.rank else f" of the higher group {other.group}"
            said = f'whenever this holds, "{other.id}"{where} asks for the same, so this rule changes nothing'
            yield Problem(use.place, "shadowed-rule", said)
            return
        if other.rank == rule.rank and _differ(use, theirs):
            said = f'whenever this holds, "{other.id}" asks for the same with other parameters: a conflict, and neither is sent'
            yield Problem(use.place, "conflicting-claims", said)
            return


def _holds_with(above: Rule, rule: Rule, whole: Whole) -> bool:
    prover = whole.prover()
    given = entries_of(rule)
    return all(prover.implies(given, entry) for entry in entries_of(above))


def _at_once(other: Rule, rule: Rule) -> bool:
    """Whether the other waits for nothing, or for the same."""
    waits = [(a, b) for a, b in ((other.hold_for, rule.hold_for), (other.after, rule.after)) if a is not None]
    return all(b is not None and same_meaning(a.text) == same_meaning(b.text) for a, b in waits)


def _binds(above: Rule, forbid: Forbid, rule: Rule, use: ActionUse) -> bool:
    if forbid.units is None:
        return above.each is None
    units = use.params.get("units")
    return above.each == rule.each and isinstance(units, Expression) and _meaning(units) == _meaning(forbid.units)


def _params(use: ActionUse) -> dict[str, str]:
    return {name: _meaning(value) for name, value in use.params.items()}


def _differ(use: ActionUse, theirs: ActionUse) -> bool:
    """Whether they differ whatever the facts are: in what is written out."""
    names = {*use.params, *theirs.params} - set(use.spec.subject)
    return any(
        _fixed(use.params.get(name)) != _fixed(theirs.params.get(name)) for name in names if _both_fixed(use, theirs, name)
    )


def _both_fixed(use: ActionUse, theirs: ActionUse, name: str) -> bool:
    return all(name in each.params and _fixed(each.params[name]) is not None for each in (use, theirs))


def _fixed(value: Expression | Template | None) -> str | None:
    if isinstance(value, Template):
        return "".join(map(str, value.parts)) if all(isinstance(part, str) for part in value.parts) else None
    return value.text if value is not None and value.constant else None


def _meaning(value: Expression | Template) -> str:
    if isinstance(value, Template):
        return "".join(part if isinstance(part, str) else f"{{{same_meaning(part.text)}}}" for part in value.parts)
    return same_meaning(value.text)
