"""What happens in a world whatever the rules do: who orders what, what comes back and when, what staff do by hand.

Every choice is drawn from a stream of its own, named by whose it is and what it is about, so that two rule sets meet the same
customers, and one more choice of somebody changes nobody else's.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from random import Random
from zoneinfo import ZoneInfo

from engine.language.worlds.chances import WEEK, Spread
from engine.language.worlds.world import World

CENT = Decimal("0.01")


def stream(seed: int, *about: object) -> Random:
    """The choices of one actor about one thing: the same for the same seed, independent of every other stream."""
    text = "\0".join(str(each) for each in (seed, *about))
    return Random(int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big"))


def lasting(spread: Spread, random: Random) -> timedelta:
    """A time drawn from a spread, in whole seconds."""
    return timedelta(seconds=round(spread.draw(random)))


@dataclass(frozen=True, slots=True)
class Line:
    """An article of an order. `price` is that of one piece."""

    id: str
    sku: str
    pieces: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece that somebody wants to return. What the warehouse finds of it shows when it looks."""

    key: str
    line: int
    exchange: bool
    rejected: bool
    missing: bool


@dataclass(frozen=True, slots=True)
class Return:
    """One return and its parcel. What does not happen has no instant. `received_at` is when the warehouse gets to it."""

    id: str
    pieces: tuple[Piece, ...]
    requested_at: datetime
    approved_at: datetime
    called_off_at: datetime | None = None
    scanned_at: datetime | None = None
    arrived_at: datetime | None = None
    received_at: datetime | None = None
    inspected_at: datetime | None = None
    closed_at: datetime | None = None
    over: bool = False


@dataclass(frozen=True, slots=True)
class ByHand:
    """What somebody does in the marketplace or the store: refund a piece of a line, give back `amount`, or cancel the order."""

    what: str
    at: datetime
    line: int = 0
    amount: Decimal = Decimal()


@dataclass(frozen=True, slots=True)
class Order:
    """One order from beginning to end, as far as it does not depend on us."""

    id: str
    lines: tuple[Line, ...]
    created_at: datetime
    shipped_at: datetime | None
    delivered_at: datetime | None
    returns: tuple[Return, ...] = ()
    by_hand: tuple[ByHand, ...] = ()


def orders(world: World, seed: int, days: int, zone: ZoneInfo) -> list[Order]:
    """Everything ordered in so many days, in the order of time, with the queue at the warehouse's gate worked out."""
    placed = [order for day in range(days) for order in _of_day(world, seed, world.starts + timedelta(days=day), zone)]
    return _received(world, seed, sorted(placed, key=lambda o: (o.created_at, o.id)), zone)


def expected(world: World, day: date) -> float:
    """How many orders a day brings on average."""
    customers = world.customers
    many = customers.orders * customers.week.get(WEEK[day.weekday()], 1.0)
    for peak in customers.peaks.values():
        if peak.first <= day <= peak.last:
            many *= peak.times
    return many


def _of_day(world: World, seed: int, day: date, zone: ZoneInfo) -> Iterator[Order]:
    for number in range(_poisson(expected(world, day), stream(seed, "orders", day))):
        order_id = f"{day:%y%m%d}-{number + 1:04}"
        random = stream(seed, "order", order_id)
        begins, ends = world.customers.hours.draw(random)
        seconds = round(3600 * (begins + random.random() * (ends - begins)))
        created = datetime.combine(day, time(), zone) + timedelta(seconds=min(seconds, 86399))
        yield _order(world, seed, order_id, created.astimezone(UTC))


def _poisson(mean: float, random: Random) -> int:
    if mean > 60:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    left, number = math.exp(-mean), 0
    point = random.random()
    while point > left:
        point *= random.random()
        number += 1
    return number


def _order(world: World, seed: int, order_id: str, created: datetime) -> Order:
    customers = world.customers
    random = stream(seed, "basket", order_id)
    lines = tuple(
        Line(
            f"{order_id}-{n}",
            f"SKU-{n}",
            customers.pieces.draw(random),
            Decimal(customers.price.draw(random)).quantize(CENT),
        )
        for n in range(1, customers.lines.draw(random) + 1)
    )
    delivered = created + lasting(customers.delivered_after, stream(seed, "delivery", order_id))
    shipped = created + (delivered - created) * 2 / 5
    cancel = stream(seed, "cancel", order_id)
    by_hand: list[ByHand] = []
    if cancel.random() < world.agents.cancels:
        by_hand.append(ByHand("cancel", created + lasting(world.agents.acts_after, cancel)))
    if by_hand and by_hand[0].at < shipped:
        return Order(order_id, lines, created, None, None, (), tuple(by_hand))
    gesture = stream(seed, "goodwill", order_id)
    if gesture.random() < world.agents.goodwill:
        line = gesture.randrange(len(lines))
        amount = (lines[line].price * Decimal(gesture.uniform(0.02, 0.15))).quantize(CENT)
        by_hand.append(ByHand("goodwill", delivered + lasting(world.agents.acts_after, gesture), line, max(amount, CENT)))
    returns = tuple(_returns(world, seed, order_id, lines, delivered))
    by_hand += [deed for one in returns for deed in _by_hand(world, seed, one)]
    return Order(order_id, lines, created, shipped, delivered, returns, tuple(by_hand))


def _returns(world: World, seed: int, order_id: str, lines: Sequence[Line], delivered: datetime) -> Iterator[Return]:
    customers = world.customers
    random = stream(seed, "returns", order_id)
    if random.random() >= customers.returns:
        return
    bought = [number for number, line in enumerate(lines) for _ in range(line.pieces)]
    back = bought
    if len(bought) > 1 and random.random() < customers.partial_returns:
        back = sorted(random.sample(bought, random.randint(1, len(bought) - 1)))
    first = _return(world, seed, f"{order_id}-R1", back, delivered)
    yield first
    left = list(bought)
    for each in back:
        left.remove(each)
    if left and random.random() < customers.second_returns:
        yield _return(world, seed, f"{order_id}-R2", left, first.requested_at)
    if random.random() < customers.asks_again:
        again = _return(world, seed, f"{order_id}-R3", back, first.requested_at)
        yield replace(again, called_off_at=None, scanned_at=None, arrived_at=None)


def _return(world: World, seed: int, rma: str, lines: Sequence[int], after: datetime) -> Return:
    customers, carrier = world.customers, world.carrier
    random = stream(seed, "return", rma)
    requested = after + lasting(customers.asks_after, random)
    approved = requested + lasting(world.agents.approves_after, stream(seed, "approval", rma))
    handed_in = approved + lasting(customers.hands_in_after, random)
    look = stream(seed, "inspection", rma)
    pieces = tuple(
        Piece(
            f"{rma}-{n}",
            line,
            exchange=random.random() < customers.exchanges,
            rejected=look.random() < world.warehouse.rejects,
            missing=look.random() < world.warehouse.short,
        )
        for n, line in enumerate(lines, 1)
    )
    calls_off, never_sends = random.random() < customers.calls_off, random.random() < customers.never_sends
    if calls_off:
        return Return(rma, pieces, requested, approved, called_off_at=approved + (handed_in - approved) / 2)
    if never_sends:
        return Return(rma, pieces, requested, approved)
    way = stream(seed, "parcel", rma)
    scanned = handed_in + lasting(carrier.first_scan, way)
    arrived = scanned + lasting(carrier.transit, way)
    unseen, lost = way.random() < carrier.never_scanned, way.random() < carrier.lost
    return Return(
        rma,
        pieces,
        requested,
        approved,
        scanned_at=None if unseen else scanned,
        arrived_at=None if lost and not unseen else arrived,
        over=look.random() < world.warehouse.over,
    )


def _by_hand(world: World, seed: int, one: Return) -> Iterator[ByHand]:
    for what, share in (("refund", world.agents.refunds_by_hand), ("store_refund", world.agents.refunds_in_store)):
        random = stream(seed, what, one.id)
        if random.random() < share:
            at = one.requested_at + lasting(world.agents.acts_after, random)
            yield ByHand(what, at, random.choice(one.pieces).line)


def _received(world: World, seed: int, placed: Sequence[Order], zone: ZoneInfo) -> list[Order]:
    """With the instants at which the warehouse gets to each parcel: first come, first served, so many a day."""
    gate = [(one.arrived_at, one.id) for order in placed for one in order.returns if one.arrived_at is not None]
    opened = dict(_through_the_gate(world, seed, sorted(gate), zone))
    return [
        replace(o, returns=tuple(_handled(world, seed, one, opened) for one in o.returns)) if o.returns else o for o in placed
    ]


def _through_the_gate(
    world: World, seed: int, gate: Sequence[tuple[datetime, str]], zone: ZoneInfo
) -> Iterator[tuple[str, datetime]]:
    most = world.warehouse.receives
    ready = [(at + lasting(world.warehouse.receives_after, stream(seed, "gate", rma)), rma) for at, rma in gate]
    if most is None:
        yield from ((rma, at) for at, rma in ready)
        return
    heapq.heapify(ready)
    taken: deque[datetime] = deque()  # of the last full day's worth of parcels
    full = max(1, round(most))
    while ready:
        at, rma = heapq.heappop(ready)
        if len(taken) == full:
            day_later = _midnight_after(taken.popleft(), zone)
            at = max(at, day_later)
        at = max(at, taken[-1]) if taken else at
        taken.append(at)
        yield rma, at


def _midnight_after(at: datetime, zone: ZoneInfo) -> datetime:
    """The first moment of the next day at the warehouse."""
    return datetime.combine(at.astimezone(zone).date() + timedelta(days=1), time(), zone).astimezone(UTC)


def _handled(world: World, seed: int, one: Return, opened: dict[str, datetime]) -> Return:
    received = opened.get(one.id)
    if received is None:
        return one
    inspected = received + lasting(world.warehouse.inspects_after, stream(seed, "inspector", one.id))
    closed = inspected + lasting(world.agents.closes_after, stream(seed, "closing", one.id))
    return replace(one, received_at=received, inspected_at=inspected, closed_at=closed)
