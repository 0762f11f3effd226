"""What a world comes to under one rule set, as figures: of refunds, of people, of calls, of the warehouse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from engine.language.worlds.world import World
from engine.simulate.seen import PROMISE, Totals
from engine.simulate.worlds.books import BY_HAND
from engine.simulate.worlds.budgets import Call, counted
from engine.simulate.worlds.case import Played
from engine.simulate.worlds.plot import Order

PER_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took: of so many, half at most `median`, nine in ten `p90`, 99 in a hundred `p99`. In seconds."""

    count: int
    median: int
    p90: int
    p99: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        ranked = sorted(seconds)
        return cls(len(ranked), *(_at(ranked, share) for share in (50, 90, 99)))


def _at(ranked: Sequence[float], hundredths: int) -> int:
    return round(ranked[max(0, -(-len(ranked) * hundredths // 100) - 1)]) if ranked else 0


@dataclass(frozen=True, slots=True)
class Load:
    """Exceptions of one owner on one day: those opened, and those open or put off when it ends."""

    opened: int
    open: int


@dataclass(slots=True)
class Figures:
    """Of one rule set. `late` are refunds after the marketplace's limit, `unpaid` articles that were owed and nobody was told of,
    `twice` our refunds of pieces that nobody gave a reason to refund; `raced` counts orders in which somebody refunded between
    our look-up and our refund, which no client of an API without idempotency keys can see.
    """

    rule_set: str
    orders: int = 0
    returns: int = 0
    owed: int = 0
    from_scan: Times = field(default_factory=lambda: Times.of(()))
    from_receipt: Times = field(default_factory=lambda: Times.of(()))
    before_goods: int = 0
    without_goods: int = 0
    never: int = 0
    late: int = 0
    unpaid: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    twice_in_race: list[str] = field(default_factory=list)
    too_much: list[str] = field(default_factory=list)
    promises: Counter[str] = field(default_factory=Counter)  # those of the rules that were broken
    promises_in_race: Counter[str] = field(default_factory=Counter)
    raced: int = 0
    left_alone: list[str] = field(default_factory=list)
    refunds: Counter[str] = field(default_factory=Counter)  # by rule, or how it was made by hand
    money: dict[str, Decimal] = field(default_factory=dict)
    money_by_day: dict[str, Decimal] = field(default_factory=dict)
    load: dict[str, dict[str, Load]] = field(default_factory=dict)  # owner, day
    calls: dict[str, dict[str, int]] = field(default_factory=dict)  # role, day (UTC)
    seen: Totals = field(default_factory=Totals)

    @property
    def exceptions(self) -> int:
        return sum(self.seen.exceptions.values())


def figures(
    rule_set: str, world: World, orders: Sequence[Order], played: Sequence[Played], polls: Iterable[Call], zone: ZoneInfo
) -> Figures:
    """Over all orders. `played` are in the order of `orders`."""
    made = Figures(rule_set, len(orders), sum(len(order.returns) for order in orders))
    _refunds(made, world, played)
    for order, one in zip(orders, played, strict=True):
        made.unpaid += [f"{order.id} {sku}" for sku in one.unpaid]
        (made.twice_in_race if one.raced else made.twice).extend(one.unfounded)
        made.too_much += () if one.raced else one.too_much
        kept = made.promises_in_race if one.raced else made.promises
        kept.update(each.key.rpartition("|")[2] for each in one.case.exceptions if each.rule == PROMISE)
        made.raced += one.raced
        made.left_alone += one.left_alone
        for payment in one.paid:
            made.refunds[payment.by] += 1
            made.money[payment.by] = made.money.get(payment.by, Decimal()) + payment.amount
            day = payment.at.astimezone(zone).date().isoformat()
            made.money_by_day[day] = made.money_by_day.get(day, Decimal()) + payment.amount
    made.seen.add([one.case for one in played], {"decisions": sum(one.case.decisions for one in played)})
    made.load = _load(played, zone)
    for call in counted([*polls, *(call for one in played for call in one.calls)]):
        days = made.calls.setdefault(call.role, {})
        days[call.day] = days.get(call.day, 0) + 1
    return made


def _refunds(made: Figures, world: World, played: Sequence[Played]) -> None:
    scan, receipt = [], []
    for owed in (each for one in played for each in one.owed):
        made.owed += 1
        if owed.refunded_at is None:
            made.never += owed.came
            continue
        scan.append(max(0.0, (owed.refunded_at - owed.scanned_at).total_seconds()))
        made.late += owed.refunded_at > owed.scanned_at + world.deadline
        made.without_goods += not owed.came
        if owed.received_at is None or owed.refunded_at < owed.received_at:
            made.before_goods += 1
        else:
            receipt.append((owed.refunded_at - owed.received_at).total_seconds())
    made.from_scan, made.from_receipt = Times.of(scan), Times.of(receipt)


def _load(played: Sequence[Played], zone: ZoneInfo) -> dict[str, dict[str, Load]]:
    opened: dict[str, Counter[date]] = {}
    standing: dict[str, Counter[date]] = {}
    for one in played:
        for each in one.case.exceptions:
            if each.mode != "live" or each.rule == PROMISE:
                continue
            first = each.opened_at.astimezone(zone).date()
            last = (each.closed_at or one.ended_at).astimezone(zone).date()
            opened.setdefault(each.owner, Counter())[first] += 1
            days = standing.setdefault(each.owner, Counter())
            for number in range((last - first).days):
                days[first + timedelta(days=number)] += 1
    return {
        owner: {
            day.isoformat(): Load(opened[owner][day], standing[owner][day]) for day in sorted(opened[owner] | standing[owner])
        }
        for owner in sorted(opened)
    }


def backlog(orders: Sequence[Order], zone: ZoneInfo) -> Mapping[str, int]:
    """Parcels at the warehouse's gate when each day ends, by day. No rule changes it."""
    waiting: Counter[date] = Counter()
    for one in (each for order in orders for each in order.returns):
        if one.arrived_at is not None and one.received_at is not None:
            first, last = (at.astimezone(zone).date() for at in (one.arrived_at, one.received_at))
            waiting.update(first + timedelta(days=number) for number in range((last - first).days))
    if not waiting:
        return {}
    first = min(waiting)
    return {(first + PER_DAY * n).isoformat(): waiting[first + PER_DAY * n] for n in range((max(waiting) - first).days + 1)}


def by_hand(by: str) -> bool:
    return by in BY_HAND


def midnight(day: date) -> datetime:
    """The first instant of a day, UTC."""
    return datetime.combine(day, time(), UTC)
