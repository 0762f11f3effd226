"""A world: how its customers, agents, carriers, warehouse, systems and people are, all of it by chance and in plain words.

What a file leaves out is kind: nothing is late, lost, refused or done by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar, get_args

from engine.facts.outside import Role
from engine.language.node import Node
from engine.language.worlds.chances import (
    AMOUNT,
    COUNTS,
    CURRENCY,
    DAY,
    DAYS,
    DELAY,
    HOURS,
    PERIOD,
    RATE,
    SHARE,
    TIMES,
    WHOLE,
    WORDS,
    Spread,
    Weights,
)
from engine.language.worlds.declared import read, said, section, sections
from engine.problems import Problems

HOUR, DAY_LONG = 3600.0, 86400.0
ONE = Weights((1,), (1.0,))
ROUND_THE_CLOCK = Weights(((0, 24),), (1.0,))
AT_ONCE = Spread(0.0, 0.0)


def lasting(low: float, high: float | None = None) -> Spread:
    return Spread(low * HOUR, (low if high is None else high) * HOUR)


@dataclass(frozen=True, slots=True)
class Peak:
    """Days on which so many times as much is ordered."""

    first: date = said("The first day", DAY, name="from")
    last: date = said("The last day", DAY, name="to")
    times: float = said("How many times as much as on other days", TIMES, example="times: 2.5")


@dataclass(frozen=True, slots=True)
class Customers:
    """Who orders, what, and what comes back."""

    INNER: ClassVar = (Peak,)
    orders: float = said("How many orders on an ordinary day", RATE, example="orders: 40 per day")
    week: Mapping[str, float] = said("Days of the week that are not ordinary", DAYS, {}, example="week: {sat: 130%, sun: 150%}")
    hours: Weights = said(
        "When in the day they order, in the client's time zone", HOURS, ROUND_THE_CLOCK, example="hours: {07-18: 60%, 18-24: 40%}"
    )
    peaks: Mapping[str, Peak] = said("Times at which more is ordered", sections(Peak), {})
    lines: Weights = said(
        "How many different articles an order has", COUNTS, ONE, example="lines: {one: 75%, two: 20%, three: 5%}"
    )
    pieces: Weights = said("How many pieces of each", COUNTS, ONE, example="pieces: {one: 85%, two: 15%}")
    price: Spread = said("The price of a piece", AMOUNT, Spread(40.0, 120.0), example="price: {median: 40, p90: 120}")
    delivered_after: Spread = said("From the order to the customer's door", DELAY, lasting(72))
    returns: float = said("The share of orders of which something comes back", SHARE, 0.0, example="returns: 28%")
    asks_after: Spread = said("From the door to asking for a return", DELAY, lasting(72))
    partial_returns: float = said("The share of returns that leave pieces with the customer, where there are several", SHARE, 0.0)
    exchanges: float = said("The share of pieces that come back for another", SHARE, 0.0)
    second_returns: float = said("The share of returns followed by another, of the pieces left", SHARE, 0.0)
    asks_again: float = said("The share of returns asked for once more, for the same pieces", SHARE, 0.0)
    calls_off: float = said("The share of returns the customer calls off, and sends nothing", SHARE, 0.0)
    never_sends: float = said("The share of returns of which nothing is ever sent, though nobody calls them off", SHARE, 0.0)
    hands_in_after: Spread = said("From the approval to handing the parcel in", DELAY, lasting(24))


@dataclass(frozen=True, slots=True)
class Agents:
    """What staff do by hand, in the systems they have open."""

    approves_after: Spread = said("From the request to its approval", DELAY, lasting(1))
    acts_after: Spread = said("From the request, or the order, to what they do by hand", DELAY, lasting(24))
    refunds_by_hand: float = said("The share of returns of which they refund a piece in the marketplace", SHARE, 0.0)
    goodwill: float = said("The share of orders on which they give back a little", SHARE, 0.0)
    refunds_in_store: float = said("The share of returns of which they refund a piece in the store", SHARE, 0.0)
    cancels: float = said("The share of orders they cancel in the store", SHARE, 0.0)
    while_we_send: float = said(
        "The share of our refunds during which somebody refunds a piece of the order by hand: no look-up can see that", SHARE, 0.0
    )
    closes_after: Spread = said("From the inspection to closing the return", DELAY, lasting(12))


@dataclass(frozen=True, slots=True)
class Carrier:
    """What becomes of parcels."""

    first_scan: Spread = said(
        "From handing in to the first scan", DELAY, lasting(6), example="first_scan: {median: 6h, p90: 20h}"
    )
    transit: Spread = said("From the first scan to the warehouse", DELAY, lasting(48))
    never_scanned: float = said("The share of parcels that arrive without a scan on the way", SHARE, 0.0)
    lost: float = said("The share of parcels that are scanned and never arrive", SHARE, 0.0)


@dataclass(frozen=True, slots=True)
class Warehouse:
    """What happens to parcels that have arrived."""

    receives: float | None = said(
        "How many parcels it receives in a day; without it, all", RATE, None, example="receives: 300 per day"
    )
    receives_after: Spread = said("From the gate to being received, where nothing waits before it", DELAY, lasting(2))
    inspects_after: Spread = said("From being received to the verdict", DELAY, lasting(12))
    rejects: float = said("The share of pieces it turns down", SHARE, 0.0)
    short: float = said("The share of pieces that are not in their parcel", SHARE, 0.0)
    over: float = said("The share of parcels with a piece too many", SHARE, 0.0)


@dataclass(frozen=True, slots=True)
class Platform:
    """How an outside system tells what happens in it, and how it takes what is sent to it."""

    polled: float | None = said("How often it is asked what changed; each time costs a call", PERIOD, None, example="polled: 15m")
    tells_after: Spread | None = said("From a change to its telling us by itself", DELAY, None)
    repeats: float = said("The share of what it tells that it tells again later", SHARE, 0.0)
    loses: float = said("The share of what it should tell that never comes", SHARE, 0.0)
    refuses: float = said("The share of what is sent to it that it refuses", SHARE, 0.0)
    times_out: float = said("The share of what is sent to it that ends in a time-out", SHARE, 0.0)
    worked: float = said("The share of those that had worked all the same", SHARE, 0.5)
    busy: float = said("The share of calls it puts off because there are too many", SHARE, 0.0)
    busy_for: Spread = said("For how long", DELAY, lasting(0.1))
    budget: int | None = said("How many calls a day it allows", WHOLE, None, example="budget: 2000")


@dataclass(frozen=True, slots=True)
class Platforms:
    """Each of the outside systems."""

    INNER: ClassVar = (Platform,)
    marketplace: Platform = said("The marketplace", section(Platform), Platform())
    returns: Platform = said("The returns platform", section(Platform), Platform())
    store: Platform = said("The store", section(Platform), Platform())
    carrier: Platform = said("The carrier's tracking", section(Platform), Platform())
    warehouse: Platform = said("The warehouse's system", section(Platform), Platform())
    finance: Platform = said("The books", section(Platform), Platform())

    def of(self, role: str) -> Platform:
        found: Platform = getattr(self, role)
        return found


@dataclass(frozen=True, slots=True)
class Owner:
    """How one owner sees to exceptions."""

    answers: float = said("The share of exceptions they see to at all", SHARE, 1.0)
    answers_after: Spread = said(
        "From being told to seeing to it", DELAY, lasting(4), example="answers_after: {median: 4h, p90: 1d}"
    )


@dataclass(frozen=True, slots=True)
class People:
    """Those who are told of exceptions: what holds for all, and for some owners otherwise."""

    INNER: ClassVar = (Owner,)
    answers: float = said("The share of exceptions they see to at all", SHARE, 1.0)
    answers_after: Spread = said("From being told to seeing to it", DELAY, lasting(4))
    owners: Mapping[str, Owner] = said("Owners for whom something else holds", sections(Owner), {})

    def of(self, owner: str) -> Owner:
        return self.owners.get(owner, Owner(self.answers, self.answers_after))


@dataclass(frozen=True, slots=True)
class World:
    """Customers, agents, carriers, a warehouse, systems and people, for `instep simulate --world`."""

    INNER: ClassVar = (Customers, Agents, Carrier, Warehouse, Platforms, People)
    customers: Customers = said("Who orders, what, and what comes back", section(Customers))
    title: str = said("What it is like, in one line", WORDS, "")
    doc: str = said("Where its figures come from, and what to know about it", WORDS, "")
    starts: date = said("Its first day", DAY, date(2026, 11, 2))
    currency: str = said("Of every price", CURRENCY, "EUR")
    refund_within: float = said("How long after the first scan the marketplace wants a return refunded", PERIOD, 48 * HOUR)
    agents: Agents = said("What staff do by hand", section(Agents), Agents())
    carrier: Carrier = said("What becomes of parcels", section(Carrier), Carrier())
    warehouse: Warehouse = said("What happens to parcels that have arrived", section(Warehouse), Warehouse())
    platforms: Platforms = said("The outside systems", section(Platforms), Platforms())
    people: People = said("Those who are told of exceptions", section(People), People())

    @property
    def deadline(self) -> timedelta:
        return timedelta(seconds=self.refund_within)


def read_world(node: Node, problems: Problems) -> World | None:
    """The world a file declares; None after problems."""
    world = read(World, node, problems, "a world file")
    _check_peaks(node, problems)
    for role in get_args(Role):
        _check_platform(role, (node.get("platforms") or node).get(role), problems)
    if world is None or problems.errors:
        return None
    return world


def _check_peaks(node: Node, problems: Problems) -> None:
    peaks = (node.get("customers") or node).get("peaks")
    for name, _, peak in peaks.items() if peaks is not None else ():
        first, last = peak.get("from"), peak.get("to")
        if first is not None and last is not None and last.text < first.text:
            problems.add(last.place, "bad-value", f'the peak "{name}" ends on {last.text}, before it begins on {first.text}')


def _check_platform(role: str, node: Node | None, problems: Problems) -> None:
    """What is lost and never asked for again would make a world that only seems to go well."""
    if node is None or node.kind != "map":
        return
    loses, polled, tells = node.get("loses"), node.get("polled"), node.get("tells_after")
    if loses is not None and tells is None:
        problems.add(node.key_place("loses"), "bad-value", f"{role} tells nothing by itself that it could lose: say tells_after")
    elif loses is not None and polled is None and loses.text != "0%":
        said = f"what {role} loses is never seen unless it is asked as well: say how often it is polled"
        problems.add(node.key_place("loses"), "bad-value", said)
    seconds = polled.expect_duration(Problems(), "polled") if polled is not None else None
    if polled is not None and seconds is not None and seconds < timedelta(minutes=1):
        problems.add(polled.place, "bad-value", f"{role} is polled every {polled.text}: once a minute is the most")
