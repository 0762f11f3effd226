"""What must hold at every moment of a race: the promises of the rule set, those of the engine, and what the world's books say."""

from __future__ import annotations

from collections.abc import Iterator

from engine.decide.decision import Decision
from engine.decide.memory import Memory
from engine.decide.propose import Veto, vetoes
from engine.facts.effects import EffectState
from engine.facts.links import ORDER
from engine.language.ruleset import RuleSet
from engine.simulate.races.breaches import Breach
from engine.simulate.races.state import State

BROKEN = "promise_broken"
VERDICT = "verdict"
VETOED = "nothing is sent under a veto"
ASKED = "nothing is sent that the case does not ask for"
AT_ONCE = "what nobody could prevent is told at once"
AT_REST = "nothing is left pending that has no owner"
REMEMBERED = "a restart forgets nothing"


def of_moment(rule_set: RuleSet, before: State, state: State) -> Iterator[Breach]:
    """What broke with the last move."""
    yield from state.outside.breaches[len(before.outside.breaches) :]
    for key, one in state.play.memory.exceptions.items():
        if one.rule != BROKEN or key in before.play.memory.exceptions:
            continue
        promise = next((p for p in rule_set.promises if p.id == one.about), None)
        if not (state.outside.excused and promise is not None and promise.never is not None):
            yield Breach(one.about, one.title, one.places)
    if state.outside.twice and _all_seen(state) and not _told(state.play.memory):
        yield Breach(AT_ONCE, "a piece is paid twice by no fault of ours, the order shows it, and no exception is open")


def _all_seen(state: State) -> bool:
    """Whether the engine knows the orders as they are, and decided on it."""
    for node, (number, digest) in state.outside.versions.items():
        if node[0] != ORDER:
            continue
        held = state.play.records.get(node)
        if held is None or all((s.version, s.digest) != (f"{number:06}", digest) for s in held.snapshots.values()):
            return False
    return True


def _told(memory: Memory) -> bool:
    return bool(memory.answers) or any(e.rule != BROKEN and e.mode == "live" for e in memory.exceptions.values())


def of_sending(rule_set: RuleSet, decision: Decision, effect: EffectState) -> Iterator[Breach]:
    """Whether what is begun may be: asked for by a decision on all that is known, and forbidden by nothing, known or unknown."""
    asked = any(e.key == effect.key and e.units == effect.units and e.params == effect.params for e in decision.effects)
    binding = [v for v in _all_vetoes(decision) if _binds(rule_set, v, effect)]
    for veto in binding:
        rule = veto.standing.rule
        why = "is not known not to hold" if veto.unknown else "holds"
        yield Breach(
            VETOED, f"{effect.key} is sent though {rule.id} {why}: {veto.because}", rule.places, effect.action, effect.units
        )
    if not asked and not binding:
        said = f"{effect.key} is sent though no rule asks for it any more"
        yield Breach(ASKED, said, (), effect.action, effect.units)


def _all_vetoes(decision: Decision) -> Iterator[Veto]:
    for standing in decision.standings:
        if standing.truth is not False and standing.rule.mode == "live":
            yield from vetoes(standing)


def _binds(rule_set: RuleSet, veto: Veto, effect: EffectState) -> bool:
    """A verdict binds everything: waiting may end with a deadline, a known reason not to pay does not."""
    rule, rank = veto.standing.rule, rule_set.precedence.index(effect.group)
    above = rule.rank < rank or rule.group == VERDICT
    if veto.forbid.partial or effect.action not in veto.forbid.actions or not above or not effect.units:
        return False
    if veto.units is None and veto.items is None:
        return True
    claimed = {claimant for _, claimant in effect.claims}
    return bool((veto.units or frozenset()) & set(effect.units) or (veto.items or frozenset()) & claimed)


def of_rest(state: State) -> Iterator[Breach]:
    """When nothing more can happen: what waits or was refused has somebody who was told."""
    memory = state.play.memory
    for effect in memory.effects:
        if effect.mode != "live" or effect.status not in {"planned", "performing", "unsure", "refused"}:
            continue
        if not memory.exceptions and not memory.answers:
            yield Breach(AT_REST, f"{effect.key} is {effect.status} at the end, and nobody was told")
