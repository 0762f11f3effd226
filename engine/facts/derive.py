"""From the records of a case to the facts rules read: records tied together, units numbered, refunds told apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any, Self

from engine.facts.account import open_account
from engine.facts.allocate import exact
from engine.facts.assemble import Builder, OrderLine
from engine.facts.case import Case
from engine.facts.coverage import Covered, cover
from engine.facts.effects import UNSENT, EffectState
from engine.facts.numbering import Sent, rma_claimants, tie_rma_units, tie_store_refunds, vague_groups
from engine.facts.outcomes import effect_records
from engine.facts.relations import Related, relate
from engine.facts.schema import Vocabulary
from engine.facts.units import Ties, make_units
from engine.facts.values import NONE, Items, Rec, listed

COVERAGE_RULE = "coverage_unclear"  # the rule whose answers say what a refund by others was for
READ_BY_DERIVATION = frozenset({"order", "rma", "sale", "seller"})  # other records are only tied to these and to each other


@dataclass(frozen=True, slots=True)
class Given:
    """All that facts are derived from: the case, the effects that tell something, and what people said of refunds by others."""

    case: Case
    effects: tuple[EffectState, ...]
    said: Mapping[str, str]

    @classmethod
    def of(cls, case: Case, effects: Iterable[EffectState], answers: Mapping[tuple[str, str], str]) -> Self:
        """An effect that was never sent and only waits tells nothing."""
        telling = (e for e in effects if e.ever_sent or e.status not in UNSENT or e.reason or e.receipt)
        return cls(case, tuple(telling), {item: answer for (rule, item), answer in answers.items() if rule == COVERAGE_RULE})

    def is_that_of(self, other: Given) -> bool:
        """Whether the same facts come of both: the very same records, equal effects and answers."""
        return _identical(self.case.records, other.case.records) and self.but_for_records(other)

    def but_for_records(self, other: Given) -> bool:
        """Whether both are the same but for the records of the case."""
        mine, theirs = self.case, other.case
        return (
            mine.id == theirs.id
            and mine.opened_at == theirs.opened_at
            and _identical(mine.client, theirs.client)
            and self.effects == other.effects
            and self.said == other.said
        )


def _identical(some: Sequence[object], others: Sequence[object]) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a case, derived.

    `records` holds every kind that has a plural; `plurals` tells the names. `matches` are unsure effects whose refund or
    cancellation is seen, with its id. `unfit` are RMA units that are no piece of this order. `claimants` tells for each unit
    which RMA units and store refunds mean it. `given` is all they were derived from.
    """

    given: Given
    case: Rec
    order: Rec | None
    records: Mapping[str, Items]
    plurals: Mapping[str, str]
    client: Mapping[str, Rec | None]
    matches: Mapping[str, str]
    unfit: tuple[str, ...]
    claimants: Mapping[str, tuple[str, ...]]

    def env(self) -> dict[str, Any]:
        """The names every expression sees: `case`, `order`, `seller` and the plurals."""
        names: dict[str, Any] = {plural: self.records[kind] for plural, kind in self.plurals.items()}
        return {**names, **self.client, "case": self.case, "order": self.order}


def derive(
    vocabulary: Vocabulary,
    case: Case,
    effects: Iterable[EffectState],
    answers: Mapping[tuple[str, str], str],
) -> Facts:
    """The facts of a case, given what became of its effects and what people answered. Pure, and the same for any order of
    records, effects and answers.

    An RMA or sale that belongs to several orders shows only the parts whose order line is here.
    """
    return derived(vocabulary, Given.of(case, effects, answers))


def derived(vocabulary: Vocabulary, given: Given) -> Facts:
    """The same of what was gathered already."""
    with exact():
        return _derive(Builder(vocabulary), vocabulary, given)


def _derive(builder: Builder, vocabulary: Vocabulary, given: Given) -> Facts:
    case, effects, said = given.case, given.effects, given.said
    records: Related = {}
    for state in (*case.records, *case.client):
        records.setdefault(state.kind, {})[state.key] = builder.record(state)
    order = records["order"][case.order.key] if case.order is not None else None
    relate(builder, records)
    lines = _open_lines(builder, order, records)
    ties = Ties.of(lines)
    _show_only_ours(case, records, ties)
    sent = Sent.of(effects)
    claimants = rma_claimants(records.get("rma", {}).values(), ties, sent)
    tie_rma_units(claimants, sent, said)
    groups = [frozenset(line.key for line in lines) for lines in vague_groups(claimants)]
    covered = cover(lines, groups, effects, said)
    if order is not None:
        _sum_up(order, lines, covered)
    tie_store_refunds(records, ties, sent)
    _put_in_shipments(records)
    units = {unit.key: unit for line in lines for unit in line["units"]}
    return Facts(
        given=given,
        case=_case_record(case, order, records),
        order=order,
        records=_by_kind(vocabulary, records, units, effect_records(builder, effects, units, covered.read_back)),
        plurals=vocabulary.plurals,
        client={kind: _only(records.get(kind, {})) for kind in vocabulary.client},
        matches=covered.matches,
        unfit=tuple(sorted(c.rec.item for c in claimants if not c.lines)),
        claimants={key: _claimants(unit) for key, unit in units.items()},
    )


def _open_lines(builder: Builder, order: Rec | None, records: Related) -> list[OrderLine]:
    """The lines of the order with their units and their money as it was before any refund."""
    lines = [] if order is None else [line for line in listed(order["lines"]) if isinstance(line, OrderLine)]
    on_top = order is not None and _tax_mode(order, _only(records.get("seller", {}))) == "excluded"
    for line in lines:
        line["units"] = Items(make_units(builder, line))
        line.account = open_account(line, on_top=on_top)
    return lines


def _tax_mode(order: Rec, seller: Rec | None) -> Any:
    """The order's own, else the platform's default."""
    return order["tax_mode"] if order["tax_mode"] is not None or seller is None else seller["tax_mode"]


def _show_only_ours(case: Case, records: Related, ties: Ties) -> None:
    """What belongs to several orders keeps, of its units and lines, those that fit a line of this one."""
    several = {(s.kind, s.key) for s in case.records if sum(kind == "order" for kind, _ in s.links) > 1}
    if not several or not ties.by_sku:
        return
    for sale in records.get("sale", {}).values():
        if ("sale", sale.key) in several:
            for refund in listed(sale["refunds"]):
                _keep(refund, "lines", ties, sale)
            _keep(sale, "lines", ties, None)
    for rma in records.get("rma", {}).values():
        sale = rma["sale"]
        if ("rma", rma.key) in several or (isinstance(sale, Rec) and ("sale", sale.key) in several):
            _keep(rma, "units", ties, sale)


def _keep(rec: Rec, name: str, ties: Ties, sale: Rec | None) -> None:
    if listed(rec[name]):
        rec[name] = Items(item for item in rec[name] if ties.lines(item["sku"], item.get("line_item_id"), sale))


def _sum_up(order: Rec, lines: Sequence[OrderLine], covered: Covered) -> None:
    refunds = [refund for line in lines for refund in listed(line["refunds"])]
    order["units"] = Items(unit for line in lines for unit in line["units"])
    order["refunds"] = Items(refunds)
    order["unexplained_refunds"] = Items(r for r in refunds if r.item in covered.unexplained)


def _put_in_shipments(records: Related) -> None:
    for rma in records.get("rma", {}).values():
        by_shipment: dict[Any, list[Rec]] = {}
        for unit in listed(rma["units"]):
            by_shipment.setdefault(unit["shipment_id"], []).append(unit)
        for shipment in listed(rma["shipments"]):
            shipment["units"] = Items(by_shipment.get(shipment["id"], ()))


def _case_record(case: Case, order: Rec | None, records: Related) -> Rec:
    elsewhere = any(sale["of_marketplace"] is False for sale in records.get("sale", {}).values())
    fields = {
        "id": case.id,
        "anchored": order is not None,
        "out_of_scope": order is None and elsewhere,
        "opened_at": case.opened_at,
    }
    return Rec("case", case.id, fields)


def _by_kind(vocabulary: Vocabulary, records: Related, units: Mapping[str, Rec], effects: Items) -> dict[str, Items]:
    found = {kind: _sorted(records.get(kind, {})) for kind in vocabulary.plurals.values()}
    return {**found, "unit": Items(units.values()), "effect": effects}


def _sorted(records: Mapping[str, Rec]) -> Items:
    return Items(records[key] for key in sorted(records)) if records else NONE


def _only(records: Mapping[str, Rec]) -> Rec | None:
    return records[min(records)] if records else None


def _claimants(unit: Rec) -> tuple[str, ...]:
    return tuple(rec.item for rec in (*unit["rma_units"], *unit["store_refunds"]))
