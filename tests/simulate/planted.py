"""Faults planted in the engine or the rules, each with the scenario that gives it a chance and the promise it breaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from engine.decide import decision as deciding
from engine.decide import plan as planning
from engine.decide.memory import Memory
from engine.decide.plan import UNSENT
from engine.facts import relations
from engine.facts.merge import merge
from engine.facts.outside import installed_actions
from engine.facts.record import Observation, RecordState, Snapshot
from engine.facts.values import Items
from engine.language.ruleset import RuleSet
from engine.run.sending.lines import lines_of
from engine.run.sending.steps import Step
from engine.simulate import play as playing
from engine.simulate.races import protocol
from engine.simulate.races.state import Letter, Round
from engine.simulate.scenario import Scenario
from engine.simulate.suite import suites

ROOT = Path(__file__).parents[2]
TWICE = "no piece is refunded twice"
CLIENT = "client: {name}\nextends: [base]\n"
SCENARIOS = """
scenarios:
  A parcel is scanned:
    given: [return, {parcel T1: {status: label_created}}]
    when: {+1h: scanned}
    never: {raise: deadline_missed}
  A pair is rejected as its parcel is scanned:
    given: return
    when: {+1h: [scanned, {rma 1001: {status: validated, units: {P1: {inspected_at: now, verdict: rejected}}}}]}
    never: {raise: deadline_missed}
  A verdict nobody can read:
    given: [return, {rma 1001: {units: {P1: {verdict: {unreadable: Hmm}}}}}]
    when: {+1h: scanned}
    never: marketplace.refund
  A rejected pair:
    params: {refund_on: inspection}
    given: [return, scanned]
    when: {+10h: {rma 1001: {status: validated, units: {P1: {inspected_at: now, verdict: rejected}}}}}
    never: marketplace.refund
    until: +3d
  An order called off before it left:
    given:
      - order A: {state: shipping, currency: EUR, debited_at: -9d, can_cancel: true,
                  lines: {L1: {index: 1, state: shipping, sku: SHOE, quantity: 1, price: 50.00 EUR}}}
        sale 9: {order_ref: A, of_marketplace: true, currency: EUR}
    when: {+1h: {sale 9: {cancelled_at: now}}}
    then: {+2h: {not: marketplace.refund}}
  A return that is approved and then called off:
    given: [return, scanned, {rma 1001: {status: requested}}]
    when:
      +1h: {rma 1001: {status: approved}}
      +2h: {rma 1001: {status: cancelled}}
    then: {+2h: {not: marketplace.refund}}
  A return that is called off and opened again:
    given: [return of one, scanned]
    when:
      +1h: {rma 1001: {status: cancelled}}
      +2h: {rma 1001: {status: approved, requested_at: now}}
    then: {start: {marketplace.refund: L1#1}}
  A second return of the piece:
    given:
      - return
      - scanned
      - rma 1002:
          status: approved
          sale_id: "9"
          requested_at: -12h
          tracking_numbers: [T9]
          receipt_refs: [RG-S9]
          units: {Q1: {sku: SHOE, resolution: refund, method: ship, shipment_id: S9}}
          shipments: {S9: {status: label_created, tracking_number: T9, outbound: false, receipt_ref: RG-S9}}
        receipt RG-S9: {id: "79", status: awaiting, lines: {SHOE: {expected: 1}}}
    when: {+2h: {parcel T9: {status: in_transit, first_scan_at: now}}}
    then: {start: {marketplace.refund: L1#1}}
  A refund in the store of what comes back:
    given: [return, scanned]
    when:
      +2h:
        sale 9:
          refunds:
            SR1:
              created_at: now
              amount: 50.00 EUR
              lines: {"1": {line_item_id: "91", sku: SHOE, quantity: 1, restock: return, subtotal: 50.00 EUR, tax: 0.00 EUR}}
    then: {start: {marketplace.refund: L1#1}}
"""
WHOLE = """
rules:
  refund_on_receipt: {override: true, mode: "off"}
  refund_before_deadline: {override: true, mode: "off"}
  refund_when_all_came:
    title: Refund a return once every parcel of it is here
    group: refund
    each: rma
    when: [rma.approved, all(exists(p.delivered_at) for p in rma.parcels), rma.units_to_refund]
    then: [{marketplace.refund: {units: rma.units_to_refund}}]
promises:
  paid_when_all_came:
    doc: Nothing is paid before every parcel of the return is here
    each: rma
    never: >-
      any(exists(u.unit) and u.unit.refunded for u in rma.units)
      and len([p for p in rma.parcels if exists(p.delivered_at)]) < len(rma.tracking_numbers)
"""
TWO_PARCELS = """
scenarios:
  A return in two parcels:
    params: {refund_on: receipt}
    given:
      - return of both
      - rma 1001:
          tracking_numbers: [T1, T2]
          receipt_refs: [RG-S1, RG-S2]
          units: {P2: {shipment_id: S2}}
          shipments: {S2: {status: label_created, tracking_number: T2, outbound: false, receipt_ref: RG-S2}}
        receipt RG-S1: {lines: {SHOE: {expected: 1}}}
        receipt RG-S2: {id: "78", status: awaiting, created_at: start, lines: {SHOE: {expected: 1}}}
    when:
      +1h: {parcel T1: {status: delivered, delivered_at: now}}
      +2h: {parcel T2: {status: delivered, delivered_at: now}}
    then: {+1h: {not: marketplace.refund}}
"""
CARELESS = """
rules:
  refund_on_first_scan:
    override: true
    then: [{marketplace.refund: {units: "[u for u in rma.units if exists(u.unit)]"}}]
    when: [rma.approved, exists(rma.scanned_at)]
"""
HASTY = "rules:\n  refund_before_deadline: {override: true, group: permission}\n"


def project(root: Path) -> Path:
    """The base pack with clients: as it is, with rules of its own, with a careless rule, with a deadline above a verdict."""
    for name in ("acme", "whole", "careless", "hasty"):
        folder = root / "rules" / "clients" / name
        folder.mkdir(parents=True)
        (folder / "client.yaml").write_text(CLIENT.format(name=name))
        (folder / "races.test.yaml").write_text(TWO_PARCELS if name == "whole" else SCENARIOS)
    (root / "rules" / "clients" / "whole" / "rules.yaml").write_text(WHOLE)
    (root / "rules" / "clients" / "careless" / "rules.yaml").write_text(CARELESS)
    (root / "rules" / "clients" / "hasty" / "rules.yaml").write_text(HASTY)
    (root / "rules" / "base").symlink_to(ROOT / "rules" / "base")
    (root / "mappings").symlink_to(ROOT / "mappings")
    return root


def of_client(root: Path, client: str, title: str) -> tuple[RuleSet, Scenario]:
    (suite,) = suites(root, installed_actions(), client)
    scenario = next(s for s in suite.scenarios if s.title == title)
    return suite.rules_for(scenario), scenario


@dataclass(frozen=True)
class Fault:
    """`plant` changes a named function while the test runs, `change` the rule set. `moves` are the deviations it needs."""

    name: str
    title: str
    promise: str
    plant: Callable[[pytest.MonkeyPatch], None] = lambda _: None
    change: Callable[[RuleSet], RuleSet] = lambda rule_set: rule_set
    client: str = "acme"
    sound: str = "acme"  # the client whose rules hold in the same scenario
    moves: int = 1


def check_after_act(patch: pytest.MonkeyPatch) -> None:
    asked = protocol.answers
    patch.setattr(protocol, "answers", lambda *args: (asked(*args)[0], []))
    patch.setattr(protocol, "looked_up", lambda _: None)


def no_quiet_period(rule_set: RuleSet) -> RuleSet:
    actions = {name: replace(action, quiet=timedelta()) for name, action in rule_set.actions.items()}
    return replace(rule_set, actions=MappingProxyType(actions))


def keyed_by(patch: pytest.MonkeyPatch, mine: Callable[[Any, Any], bool], key: Callable[[Any], str]) -> None:
    """What was sent counts only for whom it was sent, and its key says so."""

    def freed(proposal: Any, memory: Memory, _: object) -> Any:
        sent = [e for e in memory.effects if e.status not in UNSENT]
        left = tuple(c for c in proposal.claims if not any(mine(e, (proposal, c)) for e in sent))
        if not proposal.claims:
            return proposal
        return replace(proposal, claims=left) if left else None

    patch.setattr(deciding, "_freed", freed)
    patch.setattr(deciding, "_done_by_others", lambda *_: False)
    plain = planning._Outbox._key
    patch.setattr(
        planning._Outbox,
        "_key",
        lambda self, one, subject: plain(self, one, f"{key(one)}/{subject}" if one.proposal.claims else subject),
    )


def key_from_rule(patch: pytest.MonkeyPatch) -> None:
    keyed_by(patch, lambda e, asked: e.rule == asked[0].standing.rule.id, lambda one: one.proposal.standing.rule.id)


def key_from_rma(patch: pytest.MonkeyPatch) -> None:
    keyed_by(patch, lambda e, asked: e.item == asked[0].standing.item, lambda one: one.proposal.standing.item)


def decided_before_the_answer(patch: pytest.MonkeyPatch) -> None:
    opened, asked = protocol.open_round, protocol.answers

    def early(engine: Any, state: Any, effects: Any) -> Any:
        found = asked(state.outside, effects, state.now)
        with pytest.MonkeyPatch.context() as meanwhile:
            meanwhile.setattr(protocol, "answers", lambda *_: (found[0], []))
            after, decision = opened(engine, state, effects)
        return replace(after, network=(*after.network, *(Letter(o, late=True) for o in found[1]))), decision

    patch.setattr(protocol, "open_round", early)


def veto_not_checked_again(patch: pytest.MonkeyPatch) -> None:
    def begin(engine: Any, state: Any) -> Any:
        effect, *rest = state.round.waiting
        decision, play = engine.look(state.play), state.play.fork()
        play.memory = Step("begun", effect.key).taken(decision.memory.with_effect(effect), state.now)
        begun = play.memory.effect(effect.key)
        left: Round = replace(state.round, waiting=tuple(rest), begun=begun, touched=state.round.touched | lines_of(effect))
        return replace(state, play=play, text=protocol.persisted(play.memory), round=left), decision, begun

    patch.setattr(protocol, "begin_next", begin)


def unknown_ends_a_veto(patch: pytest.MonkeyPatch) -> None:
    found = deciding.vetoes
    patch.setattr(deciding, "vetoes", lambda standing: [v for v in found(standing) if not v.unknown])


def only_parcels_that_came(patch: pytest.MonkeyPatch) -> None:
    by_keys = relations._by_keys

    def seen_only(relation: Any, keys: Any, there: Any) -> Any:
        found = by_keys(relation, keys, there)
        return Items(r for r in found if r["seen_at"] is not None) if isinstance(found, Items) else found

    patch.setattr(relations, "_by_keys", seen_only)


def clocks_lost(patch: pytest.MonkeyPatch) -> None:
    read = protocol.read_back
    patch.setattr(protocol, "read_back", lambda text: replace(read(text), clocks={}))


def last_come_wins(patch: pytest.MonkeyPatch) -> None:
    def overwritten(state: RecordState | None, seen: Observation) -> RecordState:
        after = merge(state, seen)
        last = Snapshot(seen.version, seen.digest, seen.fields, seen.links)
        return replace(after, snapshots={**after.snapshots, seen.mapping: last})

    patch.setattr(playing, "merge", overwritten)


def called_off_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Whoever cleans up after a return that was called off forgets which piece was paid for it."""
    decide = protocol.decide

    def cleaned(rule_set: RuleSet, case: Any, memory: Memory, now: Any, basis: Any = None) -> Any:
        gone = any(s.fields.get("status") == "cancelled" for r in case.records if r.kind == "rma" for s in r.snapshots.values())
        effects: Sequence[Any] = [replace(e, claims=()) for e in memory.effects] if gone else memory.effects
        return decide(rule_set, case, replace(memory, effects=tuple(effects)), now, basis)

    patch.setattr(protocol, "decide", cleaned)


SCANNED, REJECTED = "A parcel is scanned", "A pair is rejected as its parcel is scanned"
VETO = "nothing is sent under a veto"
FAULTS = (
    Fault("check after act", SCANNED, TWICE, check_after_act),
    Fault("missing quiet period", SCANNED, TWICE, change=no_quiet_period),
    Fault("key from the rule instead of the unit", "A refund in the store of what comes back", TWICE, key_from_rule, moves=0),
    Fault(
        "two RMAs for one piece",
        "A second return of the piece",
        TWICE,
        key_from_rma,
        client="careless",
        sound="careless",
        moves=0,
    ),
    Fault("decided before the look-up's answer", SCANNED, TWICE, decided_before_the_answer),
    Fault("veto not re-checked at dispatch", REJECTED, VETO, veto_not_checked_again, moves=0),
    Fault("unknown ends a veto", "A verdict nobody can read", VETO, unknown_ends_a_veto, moves=0),
    Fault(
        "all() true over parcels not yet seen",
        "A return in two parcels",
        "paid_when_all_came",
        only_parcels_that_came,
        client="whole",
        sound="whole",
        moves=0,
    ),
    Fault("a deadline above a verdict", "A rejected pair", VETO, client="hasty", moves=0),
    Fault("`for` clock lost on restart", "An order called off before it left", "a restart forgets nothing", clocks_lost),
    Fault(
        "stale snapshot overwrites",
        "A return that is approved and then called off",
        "the same observations end in the same effects",
        last_come_wins,
        moves=0,
    ),
    Fault("reopened RMA", "A return that is called off and opened again", TWICE, called_off_is_forgotten, moves=0),
)
BY_NAME: Mapping[str, Fault] = {fault.name: fault for fault in FAULTS}
