"""Which piece of an order line every RMA unit and every refund in the store means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import cycle
from typing import Any

from engine.facts.effects import EffectState
from engine.facts.relations import Related
from engine.facts.units import Ties, otherwise, pieces_of, something_else, time_of
from engine.facts.values import Items, Money, Rec, is_gap, listed


@dataclass(frozen=True, slots=True)
class Sent:
    """What effects that were ever sent say about numbers: which units a claimant was meant by, and which were named at all.

    `unowned` are units that were named for no RMA unit, by a refund in the store say, with the time they were sent.
    """

    claims: Mapping[str, Sequence[str]]
    units: frozenset[str]
    unowned: Mapping[str, datetime]

    @classmethod
    def of(cls, effects: Iterable[EffectState]) -> Sent:
        claims: dict[str, list[str]] = {}
        units: set[str] = set()
        owned: set[str] = set()
        sent_at: dict[str, datetime] = {}
        for effect in sorted((e for e in effects if e.ever_sent and e.mode == "live"), key=lambda e: (e.planned_at, e.key)):
            units.update(effect.units)
            sent_at |= dict.fromkeys(effect.units, effect.sent_at or effect.planned_at)
            for unit, claimant in effect.claims:
                claims.setdefault(claimant, []).append(unit)
                if claimant.startswith("rma_unit:"):
                    owned.add(unit)
        return cls(claims, frozenset(units), {unit: at for unit, at in sent_at.items() if unit not in owned})


@dataclass(frozen=True, slots=True)
class Claimant:
    """One piece that somebody returns or refunds, and the lines it may stand on. `names` are the units sent effects took for
    it, the first of them first.
    """

    rec: Rec
    lines: tuple[Rec, ...]
    asked: tuple[datetime, str, str]
    names: Sequence[str] = ()


def spread(claimants: Iterable[Claimant], turn: Callable[[Rec], Any]) -> list[tuple[Claimant, Rec]]:
    """A unit for every claimant.

    Those with a name keep it. The others take, in the order they were asked for, the units of their lines, sorted by how many
    claimants have them already and then by `turn`, and start over when there are no more: with fewer pieces than claims two of
    them mean the same piece. Claimants tied to one line come before those that may stand on several.
    """
    found: list[tuple[Claimant, Rec]] = []
    taken: dict[str, int] = {}
    rest: list[Claimant] = []

    def take(claimant: Claimant, unit: Rec) -> None:
        found.append((claimant, unit))
        taken[unit.key] = taken.get(unit.key, 0) + 1

    for claimant in sorted(claimants, key=lambda c: c.asked):
        unit = _named(claimant)
        if unit is None:
            rest.append(claimant)
        else:
            take(claimant, unit)
    queues: dict[tuple[str, bool], Iterator[Rec]] = {}
    for claimant in sorted(rest, key=lambda c: len(c.lines) > 1):
        at = claimant.lines[0].key, len(claimant.lines) > 1
        if at not in queues:
            units = [unit for line in claimant.lines for unit in line["units"]]
            queues[at] = cycle(sorted(units, key=lambda u: (taken.get(u.key, 0), turn(u))))
        unit = next(queues[at], None)
        if unit is not None:
            take(claimant, unit)
    return found


def _named(claimant: Claimant) -> Rec | None:
    if not claimant.names:
        return None
    named = {u.key: u for line in claimant.lines for u in line["units"]}
    return next((named[name] for name in claimant.names if name in named), None)


def rma_claimants(rmas: Iterable[Rec], ties: Ties, sent: Sent) -> list[Claimant]:
    """One for each unit of each RMA; the units of a cancelled RMA mean no piece."""
    claimants = [
        Claimant(
            unit,
            ties.lines(unit["sku"], unit["line_item_id"], rma["sale"]),
            (time_of(rma["requested_at"]), rma.key, unit.key),
            sent.claims.get(unit.item, ()),
        )
        for rma in rmas
        if rma["status"] != "cancelled"
        for unit in listed(rma["units"])
    ]
    return _adopting(claimants, sent)


def _adopting(claimants: list[Claimant], sent: Sent) -> list[Claimant]:
    """An RMA that was requested before a refund in the store was passed on, and is seen only afterwards, means the piece that was
    refunded: it would have, had it been seen in time. Pieces returned for money come before exchanges.
    """
    free = dict(sent.unowned)
    found: list[Claimant] = []
    for claimant in sorted(claimants, key=lambda c: (something_else(c.rec), c.asked)):
        names: Sequence[str] = claimant.names
        if not names:
            fits = (u.key for line in claimant.lines for u in line["units"])
            name = next((n for n in fits if n in free and claimant.asked[0] <= free[n]), None)
            if name is not None:
                del free[name]
                names = (name,)
        found.append(replace(claimant, names=names))
    return found


def vague_groups(claimants: Iterable[Claimant]) -> list[tuple[Rec, ...]]:
    """The lines between which claimants cannot be told apart."""
    return list({c.lines[0].key: c.lines for c in claimants if len(c.lines) > 1}.values())


def tie_rma_units(claimants: Iterable[Claimant], sent: Sent, answers: Mapping[str, str]) -> None:
    """Give every RMA unit its piece: numbers no sent effect has used, then those it has.

    Where a SKU is on several lines and the claimant on none of them for sure, pieces come first whose refund, as a person said,
    covers what came back.
    """
    fitting = [c for c in claimants if c.lines]
    paid = {line.key: _paid_pieces(line, answers) for lines in vague_groups(fitting) for line in lines}

    def turn(unit: Rec) -> tuple[bool, bool, Any, int]:
        line = unit["line"]
        return unit.key in sent.units, unit["number"] > paid.get(line.key, 0), _place(line), unit["number"]

    found: dict[str, tuple[Rec, list[Rec]]] = {}
    for claimant, unit in spread(fitting, turn):
        claimant.rec["unit"] = unit
        found.setdefault(unit.key, (unit, []))[1].append(claimant.rec)
    for unit, rma_units in found.values():
        unit["rma_units"] = Items(sorted(rma_units, key=lambda r: r.key))


def _place(line: Rec) -> tuple[bool, Any, str]:
    return is_gap(line["index"]), 0 if is_gap(line["index"]) else line["index"], line.key


def _paid_pieces(line: Rec, answers: Mapping[str, str]) -> int:
    """How many pieces of a line are covered by refunds of which a person said so."""
    said = [r for r in listed(line["refunds"]) if answers.get(r.item) == "covers"]
    pieces = 0
    for refund in said:
        price, amount = line["price"], refund["amount"]
        known = isinstance(price, Money) and isinstance(amount, Money) and price.amount and price.currency == amount.currency
        pieces += max(1, round(amount.amount * len(line["units"]) / price.amount)) if known else 1
    return pieces


def tie_store_refunds(records: Related, ties: Ties, sent: Sent) -> None:
    """Give every refund in the store its units: those its RMA transaction names, else already refunded ones first, then those in
    an RMA, those returned for money before exchanges, then others.
    """
    named = _named_by_transactions(records)
    claimants: list[Claimant] = []
    for sale in records.get("sale", {}).values():
        for refund in listed(sale["refunds"]):
            names = (*sent.claims.get(refund.item, ()), *named.get(str(refund["id"]), ()))
            claimants += _store_pieces(sale, refund, ties, sent, names)

    def turn(unit: Rec) -> tuple[bool, bool, int, bool, Any, int]:
        wanted = not unit["refunded"], not unit["rma_units"], otherwise(unit)
        return *wanted, unit["cancelled"], _place(unit["line"]), unit["number"]

    units_of: dict[str, tuple[Rec, dict[str, Rec]]] = {}
    refunds_of: dict[str, tuple[Rec, dict[str, Rec]]] = {}
    for claimant, unit in spread((c for c in claimants if c.lines), turn):
        refund = claimant.rec
        units_of.setdefault(refund.key, (refund, {}))[1][unit.key] = unit
        refunds_of.setdefault(unit.key, (unit, {}))[1][refund.key] = refund
    for refund, units in units_of.values():
        refund["units"] = Items(units.values())
    for unit, refunds in refunds_of.values():
        unit["store_refunds"] = Items(refunds[key] for key in sorted(refunds))


def _store_pieces(sale: Rec, refund: Rec, ties: Ties, sent: Sent, names: Sequence[str]) -> Iterator[Claimant]:
    """One claimant for each piece of each line of a refund; the names of the refund are dealt out among its pieces."""
    free = list(dict.fromkeys(names))
    for line in listed(refund["lines"]):
        lines = ties.lines(line["sku"], line["line_item_id"], sale)
        own = list(dict.fromkeys(sent.claims.get(line.item, ())))
        fits = {unit.key for found in lines for unit in found["units"]}
        for piece in range(pieces_of(line["quantity"])):
            name = next((n for n in (*own, *free) if n in fits), None)
            if name is not None:
                fits.discard(name)
                free = [n for n in free if n != name]
            asked = (time_of(refund["created_at"]), refund.key, f"{line.key}#{piece:06}")
            yield Claimant(refund, lines, asked, () if name is None else (name,))


def _named_by_transactions(records: Related) -> dict[str, list[str]]:
    """The units of refunds that the returns platform made in the store, by the store's id of them."""
    named: dict[str, list[str]] = {}
    for rma in records.get("rma", {}).values():
        units = {str(u["key"]): u["unit"] for u in listed(rma["units"]) if u["unit"] is not None}
        for transaction in listed(rma["transactions"]):
            if not is_gap(transaction["reference"]) and transaction["status"] == "success":
                keys = (units[key].key for key in listed(transaction["units"]) if key in units)
                named.setdefault(transaction["reference"], []).extend(keys)
    return named
