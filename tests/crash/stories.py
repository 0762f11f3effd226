"""Orders and what becomes of them, each with the books that are right for it at the end.

What is right is worked out here, from what people, carriers and the warehouse did, and from nothing the engine says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random

from engine.demo.story import CATALOGUE, UNKNOWN_TO_WAREHOUSE, Back, Deed, Item, Tale

ARTICLES = tuple(sorted(CATALOGUE.keys() - UNKNOWN_TO_WAREHOUSE))
EXCHANGE = "InstantVariantExchange"


@dataclass(slots=True)
class Right:
    """What must be in everybody's books when all is over.

    `paid` is what each line has refunded in all, whoever did it; where an agent refunded in the moment between our look-up and
    our refund, `twice` is what may have been paid on top, and then `refunded_twice` must have been told. `cancelled` are lines
    called off. `expected` has the status of the one return the warehouse expects for each (RMA, parcel), `rmas` the status of
    each RMA, `noted` the RMAs that carry our note. `told` are the rules whose exceptions must have been opened, `may` those
    that may have been.
    """

    kind: str
    deeds: list[Deed] = field(default_factory=list)
    paid: dict[int, Decimal] = field(default_factory=dict)
    twice: dict[int, Decimal] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    expected: dict[tuple[int, int], str] = field(default_factory=dict)
    rmas: list[str] = field(default_factory=list)
    noted: set[int] = field(default_factory=set)
    market_return: str = ""
    told: set[str] = field(default_factory=set)
    may: set[str] = field(default_factory=set)


def price(sku: str, pieces: int = 1) -> Decimal:
    return Decimal(CATALOGUE[sku]) * pieces


@dataclass(slots=True)
class Draw:
    """One order's tale, told from the hour it is bought."""

    order: str
    start: float
    random: Random

    def tale(self, *items: Item) -> Tale:
        """Bought, sent and received within four hours."""
        return Tale(self.order).then(self.start, "sell", items=items).then(self.start + 2, "ship").then(self.start + 4, "receive")

    def after(self, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def sku(self) -> str:
        return self.random.choice(ARTICLES)

    def two(self) -> tuple[str, str]:
        one, other = self.random.sample(ARTICLES, 2)
        return one, other


def back(draw: Draw, tale: Tale, at: float, *pieces: Back, parcels: int = 1) -> float:
    """A return that is asked for, scanned and arrives. When its last parcel is there."""
    tale.asked(at, *pieces, parcels=parcels)
    arrived = at
    for parcel in range(parcels):
        scanned = at + draw.after(1, 4)
        there = scanned + draw.after(2, 8)
        tale.travels(scanned, there, parcel=parcel)
        arrived = max(arrived, there)
    return arrived


def plain(draw: Draw) -> Right:
    sku = draw.sku()
    tale = draw.tale(Item(sku, taxed=draw.random.random() < 0.4))
    there = back(draw, tale, draw.start + 6, Back(sku))
    tale.inspected(there + draw.after(0.5, 6))
    return Right("plain", tale.deeds, {1: price(sku)}, expected={(0, 0): "Completed"}, rmas=["Done"], noted={0})


def several(draw: Draw) -> Right:
    one, other = draw.two()
    tale = draw.tale(Item(one, 2, taxed=True), Item(other))
    there = back(draw, tale, draw.start + 6, Back(one), Back(one), Back(other))
    tale.inspected(there + draw.after(0.5, 6))
    paid = {1: price(one, 2), 2: price(other)}
    return Right("several", tale.deeds, paid, expected={(0, 0): "Completed"}, rmas=["Done"], noted={0})


def part(draw: Draw) -> Right:
    sku = draw.sku()
    tale = draw.tale(Item(sku, 3))
    there = back(draw, tale, draw.start + 6, Back(sku), Back(sku))
    tale.inspected(there + draw.after(0.5, 6), True, True)
    return Right("part", tale.deeds, {1: price(sku, 2)}, expected={(0, 0): "Completed"}, rmas=["Done"], noted={0})


def parcels(draw: Draw) -> Right:
    one, other = draw.two()
    tale = draw.tale(Item(one), Item(other))
    there = back(draw, tale, draw.start + 6, Back(one), Back(other), parcels=2)
    tale.inspected(there + draw.after(0.5, 6), True, True)
    expected = {(0, 0): "Completed", (0, 1): "Completed"}
    return Right("parcels", tale.deeds, {1: price(one), 2: price(other)}, expected=expected, rmas=["Done"], noted={0})


def late(draw: Draw) -> Right:
    """Nobody looks at it before the marketplace's deadline."""
    sku = draw.sku()
    tale = draw.tale(Item(sku))
    back(draw, tale, draw.start + 6, Back(sku))
    return Right("late", tale.deeds, {1: price(sku)}, expected={(0, 0): "Arrived"}, rmas=["Done"], noted={0})


def rejected(draw: Draw) -> Right:
    sku = draw.sku()
    tale = draw.tale(Item(sku))
    there = back(draw, tale, draw.start + 6, Back(sku)) + draw.after(0.5, 6)
    tale.inspected(there, False)
    tale.person(there + draw.after(0.5, 3), "rejected_at_inspection", "keep")
    return Right(
        "rejected", tale.deeds, {1: Decimal(0)}, expected={(0, 0): "Completed"}, rmas=["Validated"],
        told={"rejected_at_inspection"}, may={"decided_not_to_refund"},
    )  # fmt: skip


def forgiven(draw: Draw) -> Right:
    sku = draw.sku()
    tale = draw.tale(Item(sku))
    there = back(draw, tale, draw.start + 6, Back(sku)) + draw.after(0.5, 6)
    tale.inspected(there, False)
    tale.person(there + draw.after(0.5, 3), "rejected_at_inspection", "refund")
    return Right(
        "forgiven", tale.deeds, {1: price(sku)}, expected={(0, 0): "Completed"}, rmas=["Done"], noted={0},
        told={"rejected_at_inspection"}, may={"paid_without_goods"},
    )  # fmt: skip


def by_hand(draw: Draw) -> Right:
    """An agent refunds the whole line in the marketplace, at any moment: before us, after us, or just between."""
    sku = draw.sku()
    tale = draw.tale(Item(sku, taxed=draw.random.random() < 0.4))
    there = back(draw, tale, draw.start + 6, Back(sku)) + draw.after(0.5, 6)
    tale.inspected(there)
    tale.then(draw.after(draw.start + 6, there + 1), "by_hand", line=1)
    return Right(
        "by_hand", tale.deeds, {1: price(sku)}, expected={(0, 0): "Completed"}, rmas=["Done"], noted={0},
        may={"less_left_than_asked"},
    )  # fmt: skip


def race(draw: Draw) -> Right:
    """An agent refunds one of two pieces in the moment between our look-up and our refund."""
    sku = draw.sku()
    tale = draw.tale(Item(sku, 2))
    there = back(draw, tale, draw.start + 6, Back(sku)) + draw.after(0.5, 6)
    tale.inspected(there - 0.02, True)
    tale.then(there - 0.03, "lie_in_wait", line=1, amount=str(price(sku)))
    return Right(
        "race", tale.deeds, {1: price(sku)}, twice={1: price(sku)}, expected={(0, 0): "Completed"}, rmas=["Done"], noted={0},
        may={"refunded_twice", "promise_broken", "coverage_unclear"},
    )  # fmt: skip


def gesture(draw: Draw) -> Right:
    sku = draw.sku()
    tale = draw.tale(Item(sku))
    tale.then(draw.start + 5, "refund_in_market", amount="5.00")
    there = back(draw, tale, draw.start + 6, Back(sku)) + draw.after(0.5, 6)
    tale.person(draw.start + 7 + draw.after(0.5, 3), "coverage_unclear", "apart").inspected(there)
    return Right(
        "gesture", tale.deeds, {1: price(sku)}, expected={(0, 0): "Completed"}, rmas=["Done"], noted={0},
        told={"coverage_unclear"},
    )  # fmt: skip


def in_store(draw: Draw) -> Right:
    """Refunded in the store only; the other line is kept."""
    one, other = draw.two()
    tale = draw.tale(Item(one), Item(other))
    tale.then(draw.start + draw.after(5, 12), "refund_in_store", pieces=((other, 1),))
    return Right("in_store", tale.deeds, {1: Decimal(0), 2: price(other)})


def both(draw: Draw) -> Right:
    """Refunded in the store at any moment, and returned."""
    sku = draw.sku()
    tale = draw.tale(Item(sku))
    there = back(draw, tale, draw.start + 6, Back(sku)) + draw.after(0.5, 6)
    tale.then(draw.after(draw.start + 7, there + 2), "refund_in_store", pieces=((sku, 1),)).inspected(there)
    return Right("both", tale.deeds, {1: price(sku)}, expected={(0, 0): "Completed"}, rmas=["Done"], noted={0})


def early_off(draw: Draw) -> Right:
    """Called off before the marketplace has debited the customer."""
    sku = draw.sku()
    tale = Tale(draw.order).then(draw.start, "sell", items=(Item(sku),), state="WAITING_ACCEPTANCE", debited=False)
    tale.then(draw.start + draw.after(1, 4), "cancel_in_store")
    return Right("early_off", tale.deeds, {1: Decimal(0)}, cancelled={1})


def paid_off(draw: Draw) -> Right:
    """Called off when it was paid for, before it left."""
    sku = draw.sku()
    tale = Tale(draw.order).then(draw.start, "sell", items=(Item(sku, taxed=True),))
    tale.then(draw.start + draw.after(1, 4), "cancel_in_store")
    return Right("paid_off", tale.deeds, {1: price(sku)})


def keep(draw: Draw) -> Right:
    sku = draw.sku()
    tale = draw.tale(Item(sku)).asked(draw.start + 6, Back(sku, keep=True), parcels=0)
    return Right("keep", tale.deeds, {1: price(sku)}, rmas=["Approved"], noted={0})


def exchange(draw: Draw) -> Right:
    sku = draw.sku()
    tale = draw.tale(Item(sku))
    there = back(draw, tale, draw.start + 6, Back(sku, EXCHANGE))
    tale.inspected(there + draw.after(0.5, 6))
    return Right("exchange", tale.deeds, {1: Decimal(0)}, expected={(0, 0): "Completed"}, rmas=["Validated"])


def given_up(draw: Draw) -> Right:
    """The customer calls the return off before anything is sent; the announcement is called off, too."""
    sku = draw.sku()
    tale = draw.tale(Item(sku)).asked(draw.start + 6, Back(sku)).then(draw.start + 6 + draw.after(2, 6), "cancel_rma")
    return Right("given_up", tale.deeds, {1: Decimal(0)}, expected={(0, 0): "Cancelled"}, rmas=["Canceled"])


def two_sides(draw: Draw) -> Right:
    """The customer opens the return in the marketplace, too."""
    sku = draw.sku()
    tale = draw.tale(Item(sku))
    there = back(draw, tale, draw.start + 6, Back(sku)) + draw.after(0.5, 6)
    tale.then(draw.start + 6.1, "market_return").inspected(there)
    return Right(
        "two_sides", tale.deeds, {1: price(sku)}, expected={(0, 0): "Completed"}, rmas=["Done"], noted={0}, market_return="CLOSED"
    )


KINDS: Mapping[Callable[[Draw], Right], int] = {
    plain: 24, several: 8, part: 8, parcels: 8, late: 6, rejected: 4, forgiven: 4, gesture: 4, in_store: 5, both: 6,
    early_off: 4, paid_off: 4, keep: 4, exchange: 3, given_up: 4, two_sides: 6,
}  # fmt: skip
HANDS: Mapping[Callable[[Draw], Right], int] = {by_hand: 10, race: 6}
PAY_EVERY = timedelta(minutes=30)


def told(seed: int, orders: int, hours: float, *, agents: bool) -> dict[str, Right]:
    """So many orders, by their number, bought within so many hours. With `agents` some refund by hand at any moment."""
    random = Random(f"stories {seed}")
    kinds = {**KINDS, **(HANDS if agents else {})}
    chosen = random.choices(list(kinds), list(kinds.values()), k=orders)
    return {
        f"M-{number}": kind(Draw(f"M-{number}", random.uniform(0, hours), random)) for number, kind in enumerate(chosen, 10_001)
    }


def deeds_of(rights: Mapping[str, Right]) -> list[Deed]:
    """All of them in the order they happen, and the operator's payments beside them."""
    deeds = [deed for right in rights.values() for deed in right.deeds]
    return sorted([*deeds, *_payments(max(deed.at for deed in deeds) + timedelta(days=2))])


def _payments(until: timedelta) -> Iterator[Deed]:
    at = PAY_EVERY
    while at < until:
        yield Deed(at, "", "pay_refunds")
        at += PAY_EVERY
