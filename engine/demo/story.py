"""What happens in the demo, as data: who bought what, who does what when.

An order's story is a list of deeds. Times are counted from the morning the shop switches instep on; what is negative has
happened before. A deed's name is a method of `engine.demo.outside.Outside`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

CATALOGUE: Mapping[str, str] = {
    "SNEAKER-42": "89.90",
    "SNEAKER-43": "89.90",
    "BOOT-38": "149.00",
    "SANDAL-40": "39.95",
    "SOCKS-3": "12.50",
    "LOAFER-41": "119.00",
    "CLOG-39": "54.00",
    "WELLIES-41": "32.50",
}
UNKNOWN_TO_WAREHOUSE = frozenset({"WELLIES-41"})  # a new article nobody has entered there


@dataclass(frozen=True, slots=True)
class Item:
    """A line of an order."""

    sku: str
    quantity: int = 1
    taxed: bool = False  # whether its tax has to be stated in a refund


@dataclass(frozen=True, slots=True)
class Back:
    """A piece in a return."""

    sku: str
    resolution: str = "RefundToPaymentMethod"
    keep: bool = False
    reason: str = "Does not fit"


@dataclass(frozen=True, slots=True, order=True)
class Deed:
    """One thing somebody does. `say` is what the demo prints; without it nothing is printed."""

    at: timedelta
    order: str
    what: str
    about: Mapping[str, Any] = field(default_factory=dict, compare=False)
    say: str = field(default="", compare=False)


@dataclass(slots=True)
class Tale:
    """Tells one order: each call adds a deed `hours` after the morning."""

    order: str
    deeds: list[Deed] = field(default_factory=list)

    def then(self, hours: float, what: str, say: str = "", **about: Any) -> Tale:
        self.deeds.append(Deed(timedelta(hours=round(hours, 3)), self.order, what, about, say))
        return self

    def sold(self, *items: Item, days: float = 8, **about: Any) -> Tale:
        """Bought, sent and received, days before."""
        start = -24 * days
        self.then(start, "sell", items=items, **about)
        self.then(start + 20, "ship")
        return self.then(start + 70, "receive")

    def asked(self, hours: float, *pieces: Back, parcels: int = 1, approved: bool = True, **about: Any) -> Tale:
        """The customer asks for a return; staff approve it, and the labels are made."""
        names = ", ".join(p.sku for p in pieces)
        self.then(hours, "ask", f"customer wants to return {names}", pieces=pieces, parcels=parcels, **about)
        if approved:
            self.then(hours + 0.2, "approve")
            if parcels:
                self.then(hours + 0.3, "label")
        return self

    def travels(self, scanned: float, arrived: float, *, parcel: int = 0, rma: int = 0) -> Tale:
        """A parcel from its first scan to the warehouse."""
        self.then(scanned, "scan", "carrier scans the parcel", parcel=parcel, rma=rma)
        self.then((scanned + arrived) / 2, "move", parcel=parcel, rma=rma)
        return self.then(arrived, "arrive", "parcel arrives at the warehouse", parcel=parcel, rma=rma)

    def inspected(self, hours: float, *verdicts: bool, rma: int = 0) -> Tale:
        """The warehouse looks at every piece, in order, and says so in both systems."""
        word = "all in order" if all(verdicts) else "not all in order"
        return self.then(hours, "inspect", f"warehouse inspects: {word}", verdicts=verdicts or (True,), rma=rma)

    def person(self, hours: float, rule: str, answer: str = "", say: str = "") -> Tale:
        """Somebody answers, or resolves, the exception of a rule."""
        told = say or f"somebody answers {rule}: {answer}"
        return self.then(hours, "person", told, rule=rule, answer=answer)


def story(seed: int = 7) -> list[Deed]:
    """All deeds in the order they happen."""
    draw = Random(seed)
    tales = [
        *_ordinary(draw), *_inspection(), *_hands(), *_cancelled(), *_refused(), *_parcels(), *_marketplace(), _operator(),
    ]  # fmt: skip
    return sorted(deed for tale in tales for deed in tale.deeds)


def _ordinary(draw: Random) -> Iterator[Tale]:
    """Returns as most of them are: asked for, sent, found in order, refunded."""
    articles = sorted(CATALOGUE.keys() - UNKNOWN_TO_WAREHOUSE)
    for number in range(1, 11):
        sku, start = draw.choice(articles), draw.uniform(-10, 4)
        tale = Tale(f"M-{1000 + number}").sold(Item(sku, taxed=number % 3 == 0), days=draw.uniform(4, 12))
        scanned = max(start + draw.uniform(1, 3), draw.uniform(0.2, 2.5))
        arrived = scanned + draw.uniform(2, 5)
        yield tale.asked(start, Back(sku)).travels(scanned, arrived).inspected(arrived + draw.uniform(1, 3))


def _inspection() -> Iterator[Tale]:
    """What the warehouse finds, or does not find in time."""
    late = Tale("M-1101").sold(Item("BOOT-38", taxed=True)).asked(-3, Back("BOOT-38")).travels(0.7, 5)
    yield late.inspected(20)
    never = Tale("M-1102").sold(Item("SNEAKER-42", 2)).asked(-2, Back("SNEAKER-42"), Back("SNEAKER-42")).travels(1.2, 6)
    yield never
    yield Tale("M-1103").sold(Item("LOAFER-41")).asked(-2, Back("LOAFER-41")).travels(0.9, 4).inspected(6, False)
    kind = Tale("M-1104").sold(Item("LOAFER-41")).asked(-1, Back("LOAFER-41")).travels(1.5, 5).inspected(7, False)
    yield kind.person(8, "rejected_at_inspection", "refund", "customer service looks at the photos: refund anyway")
    paid = Tale("M-1105").sold(Item("SANDAL-40")).asked(-3, Back("SANDAL-40")).travels(0.6, 9).inspected(14, False)
    yield paid.person(20, "paid_without_goods", "accepted", "finance writes the sandals off")
    two = Tale("M-1106").sold(Item("SOCKS-3", 3)).asked(-4, Back("SOCKS-3"), Back("SOCKS-3")).travels(0.8, 3)
    two.inspected(5, True, False)
    yield two.inspected(9, True, True)
    doubt = Tale("M-1107").sold(Item("CLOG-39", 2)).asked(-4, Back("CLOG-39"), Back("CLOG-39")).travels(0.8, 3)
    doubt.then(4, "count", "warehouse rejects one of two clogs, and does not say which", found={"CLOG-39": (1, 1)})
    yield doubt.inspected(8, True, False)
    short = Tale("M-1108").sold(Item("SOCKS-3", 2)).asked(-4, Back("SOCKS-3"), Back("SOCKS-3")).travels(0.9, 3.5)
    short.then(5, "count", "warehouse finds one pair of socks where two were announced", found={"SOCKS-3": (1, 0)})
    yield short.person(9, "which_was_rejected", "refund", "customer service believes the customer: refund both")
    other = Tale("M-1109").sold(Item("SNEAKER-43")).asked(-4, Back("SNEAKER-43")).travels(0.9, 3.5)
    yield other.then(5, "count", "warehouse finds sandals besides", found={"SNEAKER-43": (1, 0), "SANDAL-40": (1, 0)})


def _hands() -> Iterator[Tale]:
    """People who act by themselves, in one back office or the other."""
    first = Tale("M-1201").sold(Item("BOOT-38")).asked(-2, Back("BOOT-38")).travels(0.8, 4)
    yield first.then(3, "refund_in_market", "an agent refunds the boots in the marketplace back office").inspected(6)
    gesture = Tale("M-1202").sold(Item("LOAFER-41")).asked(-2, Back("LOAFER-41")).travels(0.9, 4)
    gesture.then(2, "refund_in_market", "an agent refunds 15.00 in the marketplace as a gesture", amount="15.00")
    yield gesture.person(5, "coverage_unclear", "apart", "customer service: the 15.00 were a gesture").inspected(6)
    meant = Tale("M-1203").sold(Item("CLOG-39")).asked(-2, Back("CLOG-39")).travels(1.1, 5)
    meant.then(2.5, "refund_in_market", "an agent refunds 50.00 of 54.00 in the marketplace", amount="50.00")
    yield meant.person(6, "coverage_unclear", "covers", "customer service: the 50.00 were the refund").inspected(7)
    store = Tale("M-1204").sold(Item("SNEAKER-42"), Item("SOCKS-3"))
    yield store.then(2, "refund_in_store", "an agent refunds the socks in the store", pieces=(("SOCKS-3", 1),))
    both = Tale("M-1205").sold(Item("SANDAL-40")).asked(-2, Back("SANDAL-40")).travels(1.3, 5)
    yield both.then(2, "refund_in_store", "an agent refunds the sandals in the store", pieces=(("SANDAL-40", 1),)).inspected(7)
    little = Tale("M-1206").sold(Item("BOOT-38"))
    little.then(3, "refund_in_store", "an agent pays 10.00 back in the store", pieces=(), amount="10.00")
    yield little.person(9, "store_refund_in_part", "accepted", "the 10.00 were the shop's own gesture")
    twice = Tale("M-1207").sold(Item("SNEAKER-43")).asked(-6, Back("SNEAKER-43")).asked(-2, Back("SNEAKER-43")).travels(1, 4)
    yield twice.inspected(6)
    swap = Tale("M-1208").sold(Item("SNEAKER-42")).asked(-3, Back("SNEAKER-42", "InstantVariantExchange")).travels(1, 5)
    swap.then(4, "refund_in_store", "an agent refunds sneakers that are being exchanged", pieces=(("SNEAKER-42", 1),))
    yield swap.person(10, "no_money_for_it", "keep", "the exchange stands").inspected(7)
    lines = Tale("M-1209").sold(Item("SOCKS-3"), Item("SOCKS-3")).asked(-2, Back("SOCKS-3")).travels(1, 4)
    lines.then(2, "refund_in_market", "an agent refunds the other pair of socks", line=2)
    yield lines.person(7, "coverage_unclear", "apart", "customer service: that was the other pair").inspected(5)


def _cancelled() -> Iterator[Tale]:
    """Orders and returns called off, in time and too late."""
    early = Tale("M-1301").then(-5, "sell", items=(Item("CLOG-39"),), state="WAITING_ACCEPTANCE", debited=False)
    yield early.then(1, "cancel_in_store", "customer calls off an order that was not accepted yet")
    paid = Tale("M-1302").then(-9, "sell", items=(Item("LOAFER-41", taxed=True),))
    yield paid.then(1.5, "cancel_in_store", "customer calls off an order that is paid for but not sent")
    race = Tale("M-1303").then(-9, "sell", items=(Item("BOOT-38"),)).then(2, "ship", "the boots leave the warehouse")
    race.then(2.05, "cancel_in_store", "an agent cancels the order of the boots that just left")
    race.person(5, "cancelled_while_fulfilled", "go_on", "the parcel cannot be stopped: go on as for any order")
    race.asked(6, Back("BOOT-38")).travels(7, 10)
    yield race.inspected(12)
    off = Tale("M-1304").sold(Item("SANDAL-40")).asked(-2, Back("SANDAL-40")).travels(1, 6)
    yield off.then(5, "cancel_rma", "the customer calls the return off while its parcel is on its way")
    no = Tale("M-1305").sold(Item("CLOG-39")).asked(-2, Back("CLOG-39")).then(1, "reject", "staff reject the return after all")
    yield no.then(2, "scan", "the rejected clogs are on their way all the same", parcel=0, rma=0)
    lost = Tale("M-1306").then(-30, "sell", items=(Item("SNEAKER-42"),), linked=False)
    lost.asked(-1, Back("SNEAKER-42")).then(3, "scan", "carrier scans a parcel of an order nobody can find", parcel=0, rma=0)
    new = Tale("M-1307").sold(Item("WELLIES-41")).asked(-1, Back("WELLIES-41")).travels(2, 7)
    yield new.then(9, "refund_in_store", "an agent refunds the wellies at the desk", pieces=(("WELLIES-41", 1),))
    yield lost.then(8, "link", "somebody writes the marketplace's number on the store's order")


def _refused() -> Iterator[Tale]:
    """What the marketplace does not do."""
    poor = Tale("M-1401").then(-90, "sell", items=(Item("BOOT-38", 4),)).then(-80, "ship")  # not received: pending money
    poor.asked(-2, *[Back("BOOT-38")] * 4).then(0.2, "balance", amount="150.00").travels(0.5, 3).inspected(4, *[True] * 4)
    yield poor.then(7, "balance", "finance tops the shop's balance up: the refund is tried again by itself", amount="5000.00")
    shut = Tale("M-1402").sold(Item("SNEAKER-43"), days=40).then(-200, "close")
    yield shut.asked(-2, Back("SNEAKER-43")).travels(21, 24).inspected(26)
    lost = Tale("M-1403").sold(Item("LOAFER-41")).asked(-2, Back("LOAFER-41")).travels(1, 4)
    lost.then(5.5, "lose_answer", "the marketplace's next answer gets lost on the way")
    yield lost.inspected(5.6)
    busy = Tale("M-1404").sold(Item("SOCKS-3", 2)).asked(-2, Back("SOCKS-3")).travels(1.1, 4)
    yield busy.then(6.5, "busy", "the marketplace is busy").inspected(6.6)


def _parcels() -> Iterator[Tale]:
    """Parcels that are not one, not scanned, or not expected."""
    parts = Tale("M-1501").sold(Item("SNEAKER-42"), Item("BOOT-38")).asked(-2, Back("SNEAKER-42"), Back("BOOT-38"), parcels=2)
    parts.travels(0.6, 3, parcel=0).travels(4, 8, parcel=1)
    yield parts.inspected(9, True, True)
    mixed = Tale("M-1502").sold(Item("SANDAL-40", 2), Item("SOCKS-3"))
    mixed.asked(-3, Back("SANDAL-40"), Back("SANDAL-40", "RefundToStoreCredit"), Back("SOCKS-3", keep=True))
    yield mixed.travels(1, 5).inspected(7, True, True, True)
    silent = Tale("M-1503").sold(Item("CLOG-39")).asked(-3, Back("CLOG-39"))
    yield silent.then(4, "arrive", "a parcel arrives that its carrier never scanned", parcel=0, rma=0).inspected(6)
    keep = Tale("M-1504").sold(Item("SOCKS-3", 2))
    yield keep.asked(3, Back("SOCKS-3", keep=True), parcels=0)
    gift = Tale("M-1505").sold(Item("SOCKS-3", 3))
    gift.asked(-3, Back("SOCKS-3"), Back("SOCKS-3"), Back("SOCKS-3", "DonateToCharity"))
    yield gift.travels(1, 4).inspected(6, True, True, True)
    out = Tale("M-1506").sold(Item("LOAFER-41"), days=50).asked(-3, Back("LOAFER-41"), out_of_policy=True).travels(1, 5)
    yield out.person(4, "out_of_policy", "refund", "customer service refunds it as a gesture").inspected(7)
    extra = Tale("M-1507").sold(Item("SNEAKER-43")).asked(-3, Back("SNEAKER-43"), Back("CLOG-39")).travels(1, 5)
    extra.inspected(7, True, True)
    yield extra.person(9, "not_ours", "accepted", "the clogs were a present: sent back to the customer")


def _marketplace() -> Iterator[Tale]:
    """Returns and incidents the customer opened in the marketplace."""
    for number, sku in ((1601, "SNEAKER-42"), (1602, "SANDAL-40")):
        tale = Tale(f"M-{number}").sold(Item(sku)).asked(-4, Back(sku))
        tale.then(-3, "market_return", "customer opens the return in the marketplace too")
        yield tale.travels(1, 4).inspected(6)
    alone = Tale("M-1603").sold(Item("BOOT-38"))
    yield alone.then(1, "market_return", "customer opens a return in the marketplace only")
    upset = Tale("M-1604").sold(Item("LOAFER-41")).then(-6, "incident").asked(-4, Back("LOAFER-41"))
    yield upset.travels(1, 4).inspected(6)


def _operator() -> Tale:
    """The operator's payments go one step on every few hours."""
    tale = Tale("")
    for hours in range(2, 30, 3):
        tale.then(hours, "pay_refunds")
    return tale
