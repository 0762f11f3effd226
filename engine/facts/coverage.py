"""Which pieces of a line every refund and cancellation is for, whoever made it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from engine.facts.account import ZERO, Account, amount_in, moved, with_proportional
from engine.facts.assemble import OrderLine
from engine.facts.effects import EffectState
from engine.facts.evidence import CANCEL, REFUND, SKEW, Bound, bind
from engine.facts.fitting import fitting, paying_again, reaching
from engine.facts.read_back import difference
from engine.facts.units import LAST, SOMETHING_ELSE, otherwise, pieces_of, time_of
from engine.facts.values import NONE, Items, Rec, is_gap, listed

What = Literal["refund", "cancel"]
VOID = frozenset({"cancelled", "refused"})


@dataclass(slots=True)
class Piece:
    """What is known of one unit so far. `asked` is when the first RMA it is in was requested, `otherwise` as in
    `engine.facts.units`.
    """

    rec: Rec
    number: int
    asked: datetime | None
    otherwise: int = 0
    claimed: EffectState | None = None  # an effect on it that someone else settled
    sent_at: datetime | None = None  # when we sent an effect on it that is not refused
    refunds: int = 0
    refunded_at: datetime | None = None
    cancelled: bool = False

    @property
    def settled(self) -> bool:
        return self.refunds > 0 or self.cancelled


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that took money from a line: a refund or cancellation that is seen, or an effect of ours that is not yet."""

    what: What
    at: datetime | None
    key: str
    rec: Rec | None = None
    effect: EffectState | None = None

    @property
    def turn(self) -> tuple[datetime, str, str]:
        return time_of(self.at), self.what, self.key


@dataclass(slots=True)
class Line:
    """One line while its refunds are told apart."""

    rec: OrderLine
    pieces: list[Piece]
    bound: Bound
    by_others: list[Rec] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Covered:
    """Unsure effects whose refund or cancellation is seen, with its id, and the refunds by others nobody has explained.

    `read_back` has each refund of ours that is seen, by the effect's key: in what it differs from what was sent, or nothing.
    """

    matches: Mapping[str, str]
    unexplained: Mapping[str, Rec]
    read_back: Mapping[str, str | None]


def cover(
    lines: Sequence[OrderLine],
    groups: Iterable[frozenset[str]],
    effects: Sequence[EffectState],
    answers: Mapping[str, str],
) -> Covered:
    """Settle the units of all lines: fills `refunded`, `cancelled`, `coverage` and their like on units, refunds and lines.

    `groups` are sets of line keys between which the returns platform does not tell: a refund by others on one of them is
    explained only by an answer, as long as a piece of them is open, and where it crossed a refund of ours on another. `answers`
    are those about refunds by others, by the refund's item.
    """
    by_line = _effects_by_line(lines, effects)
    vague: dict[str, frozenset[str]] = {}
    for group in groups:
        for key in group:
            vague[key] = vague.get(key, frozenset()) | group
    matches: dict[str, str] = {}
    unclear: set[str] = set()
    unexplained: dict[str, Rec] = {}
    told = [_line(rec, by_line.get(rec.key, ())) for rec in lines]
    for line in told:
        for entry in sorted(_entries(line), key=lambda e: e.turn):
            _settle(line, entry, answers)
    unsettled = {line.rec.key for line in told if not all(p.settled or p.claimed for p in line.pieces)}
    pieces = {line.rec.key: line.pieces for line in told}
    for line in told:
        key = line.rec.key
        group = vague.get(key, frozenset())
        ours = [piece for other in sorted(group - {key}) for piece in pieces.get(other, ())]
        for refund in line.by_others:
            clear = refund["explained"] and not group & unsettled
            if clear and not any(_crossed(piece, time_of(refund["created_at"])) for piece in ours):
                continue
            if answers.get(refund.item) not in ("apart", "covers"):
                refund["explained"] = False
                unexplained[refund.item] = refund
                unclear |= group | {key}
    read_back: dict[str, str | None] = {}
    for line in told:
        _close(line, unclear=line.rec.key in unclear)
        matches.update(line.bound.matches)
        read_back.update(_read_back(line))
    return Covered(matches, unexplained, read_back)


def _read_back(line: Line) -> Iterable[tuple[str, str | None]]:
    account = line.rec.account
    for refund in listed(line.rec["refunds"]):
        effect = line.bound.effects.get(refund.key)
        if effect is not None and effect.action == REFUND and account is not None:
            yield effect.key, difference(account, effect, refund)


def _effects_by_line(lines: Sequence[OrderLine], effects: Sequence[EffectState]) -> dict[str, list[EffectState]]:
    line_of = {unit.key: line.key for line in lines for unit in line["units"]}
    found: dict[str, list[EffectState]] = {}
    for effect in effects:
        if effect.action in (REFUND, CANCEL) and effect.units and effect.mode == "live" and effect.units[0] in line_of:
            found.setdefault(line_of[effect.units[0]], []).append(effect)
    for same_line in found.values():
        same_line.sort(key=lambda e: (e.planned_at, e.key))
    return found


def _line(rec: OrderLine, effects: Sequence[EffectState]) -> Line:
    elsewhere = {unit: e for e in reversed(effects) if e.status == "settled_elsewhere" for unit in e.units}
    sent = {
        unit: e.sent_at or e.planned_at
        for e in reversed(effects)
        if e.status in ("settled", "performing", "unsure")
        for unit in e.units
    }
    pieces = [
        Piece(
            unit,
            unit["number"],
            min((time_of(r["rma"]["requested_at"]) for r in unit["rma_units"]), default=None),
            otherwise=otherwise(unit),
            claimed=elsewhere.get(unit.key),
            sent_at=sent.get(unit.key),
        )
        for unit in rec["units"]
    ]
    return Line(rec, pieces, bind(rec, effects))


def _entries(line: Line) -> Iterable[Entry]:
    for refund in listed(line.rec["refunds"]):
        yield Entry("refund", refund["created_at"], refund.key, refund, line.bound.effects.get(refund.key))
    for cancelation in listed(line.rec["cancelations"]):
        key = cancelation.key
        yield Entry("cancel", cancelation["created_at"], key, cancelation, line.bound.effects.get(key))
    for effect in line.bound.unseen:
        what: What = "refund" if effect.action == REFUND else "cancel"
        yield Entry(what, effect.settled_at or effect.sent_at or effect.planned_at, effect.key, None, effect)


def _settle(line: Line, entry: Entry, answers: Mapping[str, str]) -> None:
    account = line.rec.account
    if entry.effect is not None:
        chosen = [p for p in line.pieces if p.rec.key in entry.effect.units]
        explained = True
    else:
        chosen, explained = _by_others(line, entry, answers)
    if account is not None:
        account.take(_taken(account, entry))
    for piece in chosen:
        if entry.what == "refund":
            piece.refunds += 1
            piece.refunded_at = piece.refunded_at or entry.at
        else:
            piece.cancelled = True
    if entry.rec is not None and entry.what == "refund":
        _describe(line, entry, chosen, explained=explained)


def _taken(account: Account, entry: Entry) -> Mapping[tuple[str, str], Decimal]:
    if entry.rec is not None:
        return moved(entry.rec, account.currency)
    assert entry.effect is not None
    return with_proportional(account, moved(entry.effect.params, account.currency))


def _describe(line: Line, entry: Entry, chosen: Sequence[Piece], *, explained: bool) -> None:
    refund = entry.rec
    assert refund is not None
    ours = entry.effect is not None and entry.effect.status != "settled_elsewhere"
    refund.update(ours=ours, explained=explained, units=Items(p.rec for p in chosen) if chosen else NONE)
    if entry.effect is None:
        line.by_others.append(refund)


def _by_others(line: Line, entry: Entry, answers: Mapping[str, str]) -> tuple[list[Piece], bool]:
    """The pieces someone else's refund or cancellation covers, and whether that is clear."""
    rec, account = entry.rec, line.rec.account
    assert rec is not None
    answer = answers.get(rec.item, "")
    if answer == "apart":
        return [], True
    price = None if account is None else account.price
    if account is None or price is None or _foreign(rec, account):
        return [], False
    amount = amount_in(rec["amount"], account.currency)
    candidates = _in_turn(line.pieces, entry.at)
    again = not candidates and entry.what == "refund"
    if again:
        candidates = _refunded_first(line.pieces)
    numbers = [p.number for p in candidates]
    count = (paying_again if again else fitting)(account, price, numbers, amount)
    if not count and entry.what == "cancel":
        count = pieces_of(rec["quantity"])
    if not count and answer == "covers":
        count = max(1, reaching(account, price, numbers, amount))
    return candidates[:count], bool(count)


def _foreign(rec: Rec, account: Account) -> bool:
    amount = rec["amount"]
    return amount is not None and (is_gap(amount) or amount.currency != account.currency)


def _in_turn(pieces: Sequence[Piece], at: datetime | None) -> list[Piece]:
    """Pieces in the order a refund of that time goes to them. First those somebody settled without our seeing the refund, then
    those in an RMA, unless the customer gets something else for them. Then those we refunded while it came about: our look-up
    could not show it, so it is for what came back until somebody says otherwise. Then those in an RMA for something else, then
    the others, then those whose RMA was requested only later. Last come those we sent something for when the refund was there
    already: it was looked up before sending, and found to be for another piece.
    """
    when = time_of(at)

    def rank(piece: Piece) -> float:
        if piece.claimed is not None:
            return 0
        if piece.sent_at is not None and when < piece.sent_at - SKEW:
            return 4
        if piece.asked is None:
            return 2
        if at is not None and piece.asked != LAST and piece.asked > when:
            return 3
        if piece.sent_at is not None:
            return 1.5
        return 1 if piece.otherwise < SOMETHING_ELSE else 1.7

    return sorted(
        (p for p in pieces if not p.settled or (p.refunds == 1 and _crossed(p, when))),
        key=lambda p: (rank(p), p.otherwise, p.number),
    )


def _crossed(piece: Piece, when: datetime) -> bool:
    """Whether what happened then came about while we refunded the piece: the look-up before could not show it."""
    if piece.sent_at is None or piece.refunded_at is None or piece.asked is None:
        return False
    return piece.asked <= when and piece.sent_at - SKEW <= when <= piece.refunded_at


def _refunded_first(pieces: Sequence[Piece]) -> list[Piece]:
    return sorted((p for p in pieces if p.refunds), key=lambda p: (p.refunds, p.asked is None, p.number))


def _close(line: Line, *, unclear: bool) -> None:
    """Write down what came out for the line and its units."""
    rec, account = line.rec, line.rec.account
    order = rec["order"] or {}
    void = rec["state"] in VOID or order.get("state") in VOID
    under_way = {unit for effect in line.bound.under_way for unit in effect.units}
    for effect in line.bound.under_way:
        if void and effect.action == CANCEL:
            line.bound.matches[effect.key] = rec["id"]
        elif account is not None:
            account.reserve(with_proportional(account, moved(effect.params, account.currency)))
    for piece in line.pieces:
        cancelled = piece.cancelled or void
        claimed = None if cancelled or piece.refunds else piece.claimed
        refunds = piece.refunds if claimed is None else 1
        settled = cancelled or refunds > 0
        piece.rec.update(
            refunded=refunds > 0,
            refunded_at=piece.refunded_at if claimed is None else claimed.settled_at,
            cancelled=cancelled,
            settled=settled,
            in_flight=not settled and piece.rec.key in under_way,
            times_refunded=refunds,
            coverage="unclear" if unclear and not settled else "clear",
        )
    if account is not None:
        account.void = void
        _price(line, account)


def _price(line: Line, account: Account) -> None:
    rec, price = line.rec, account.price
    assert price is not None
    made = (*listed(rec["refunds"]), *(e.params for e in line.bound.unseen if e.action == REFUND))
    rec["refunded"] = account.money(sum((amount_in(r.get("amount"), account.currency) for r in made), ZERO))
    rec["left"] = account.left
    still_open = [p.number for p in line.pieces if not p.rec["settled"] and not p.rec["in_flight"]]
    for piece in line.pieces:
        unit, number = piece.rec, (piece.number,)
        unit["price"] = account.money(price.shares[piece.number - 1])
        unit["costs_nothing"] = account.empty
        if unit["settled"]:
            unit["due"] = account.money(ZERO)
        else:
            last = still_open == [piece.number]
            unit["due"] = account.sum(account.due(number, last=last, reserved=not unit["in_flight"]))
    for refund in listed(rec["refunds"]):
        refund["total"] = account.sum(moved(refund, account.currency))
