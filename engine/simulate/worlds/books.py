"""The world's own books of one order: what was owed when, what was paid when and by whom. The engine is judged by these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from engine.simulate.claims import Claims
from engine.simulate.worlds.plot import Order, Piece, Return

BY_HAND = frozenset({"by hand", "goodwill"})


@dataclass(frozen=True, slots=True)
class Paid:
    """One refund in the marketplace. `by` is the rule that asked for it, or how somebody made it; `pieces` are whole ones."""

    at: datetime
    sku: str
    pieces: int
    amount: Decimal
    by: str


@dataclass(frozen=True, slots=True)
class Owed:
    """A piece that came back for its money: first scanned then, with whatever of these has happened, and refunded then."""

    scanned_at: datetime
    received_at: datetime | None
    refunded_at: datetime | None
    came: bool  # the warehouse found it, and took it


@dataclass(slots=True)
class Books:
    """Written by the outside as things happen."""

    order: Order
    claims: Claims = field(init=False)
    payments: list[Paid] = field(default_factory=list)
    too_much: list[str] = field(default_factory=list)  # our refunds of more than was left of their line
    unfounded: list[str] = field(
        default_factory=list
    )  # our refunds of pieces nobody gave a reason to refund, or already refunded
    raced: bool = False  # somebody refunded between our look-up and our refund
    cancelled: bool = False
    _scanned: dict[str, datetime] = field(default_factory=dict)
    _received: dict[str, datetime] = field(default_factory=dict)
    _inspected: dict[str, datetime] = field(default_factory=dict)
    _off: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        ordered: dict[str, int] = {}
        for line in self.order.lines:
            ordered[line.sku] = ordered.get(line.sku, 0) + line.pieces
        self.claims = Claims(ordered)

    def paid(self, sku: str, pieces: int, amount: Decimal, by: str, at: datetime) -> None:
        self.payments.append(Paid(at, sku, pieces, amount, by))
        self.claims.refunded(sku, pieces)

    def scanned(self, one: Return, at: datetime) -> None:
        self._scanned.setdefault(one.id, at)

    def received(self, one: Return, at: datetime) -> None:
        self._received[one.id] = at

    def inspected(self, one: Return, at: datetime) -> None:
        self._inspected[one.id] = at

    def called_off(self, one: Return) -> None:
        self._off.add(one.id)

    def unpaid(self, now: datetime, within: timedelta) -> list[str]:
        """Articles of which fewer pieces are refunded than were scanned so long ago and not turned down.

        Any other claim may be to one of the pieces, so only what is owed beyond doubt counts.
        """
        found = []
        for line in self.order.lines:
            back = [(one, p) for one in self.order.returns if self._counts(one) for p in one.pieces if self._sku(p) == line.sku]
            owed = sum(self._is_owed(one, piece, now, within) for one, piece in back)
            if self.claims.paid(line.sku) < min(owed, line.pieces - (len(back) - owed)):
                found.append(line.sku)
        return found

    def _counts(self, one: Return) -> bool:
        return one.id not in self._off

    def _sku(self, piece: Piece) -> str:
        return self.order.lines[piece.line].sku

    def _is_owed(self, one: Return, piece: Piece, now: datetime, within: timedelta) -> bool:
        scanned = self._scanned.get(one.id)
        if scanned is None or scanned > now - within or piece.exchange:
            return False
        looked = self._inspected.get(one.id)
        return not (piece.rejected or piece.missing) or looked is None or looked > now

    def owed(self) -> Iterator[Owed]:
        """Every piece that came back for its money, with when it was refunded: the earliest refund to the piece scanned first."""
        for line in self.order.lines:
            refunds = sorted(p.at for p in self.payments if p.sku == line.sku for _ in range(p.pieces))
            back = sorted(
                (self._scanned[one.id], one.id, piece.key, one, piece)
                for one in self.order.returns
                if self._counts(one) and one.id in self._scanned
                for piece in one.pieces
                if self._sku(piece) == line.sku and not piece.exchange
            )
            for number, (scanned, _, _, one, piece) in enumerate(back):
                paid = refunds[number] if number < len(refunds) else None
                came = one.id in self._inspected and not piece.missing and not piece.rejected
                yield Owed(scanned, self._received.get(one.id), paid, came)
