"""The outside of the demo: six systems on this machine, and what people, carriers and the warehouse do in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from connectors.deliveries import Delivery
from connectors.easypost.sandbox import EasyPostSandbox
from connectors.ledger.sandbox import LedgerSandbox
from connectors.mirakl.sandbox import MiraklSandbox
from connectors.mirakl.shapes import NewLine, NewTax
from connectors.returngo.sandbox import ReturnGoSandbox
from connectors.returngo.shapes import NO_SHIPMENT, SHIPPED, Piece
from connectors.serving import Served
from connectors.shipbob.sandbox import ShipBobSandbox
from connectors.shopify.sandbox import ShopifySandbox
from engine.demo.story import CATALOGUE, UNKNOWN_TO_WAREHOUSE, Back, Deed, Item
from engine.facts.outside import Clock

COMMISSION, VAT = Decimal("0.12"), Decimal("0.20")
CENT = Decimal("0.01")
Found = Mapping[str, tuple[int, int]]  # SKU -> pieces in order, pieces turned down


@dataclass(frozen=True, slots=True)
class Post:
    """A webhook on its way to us."""

    connector: str
    headers: Mapping[str, str]
    query: str
    body: bytes


@dataclass(slots=True)
class Sold:
    """What the story remembers of one order: its number and name in the store, and its RMAs."""

    store_id: str
    name: str
    items: Sequence[Item]
    rmas: list[str] = field(default_factory=list)


class Outside:
    """Serves the sandboxes over loopback HTTP while `served`, and does the story's deeds with `do`."""

    def __init__(self, clock: Clock, books: Path) -> None:
        self.market = MiraklSandbox(clock, currency="EUR", time_zone="Europe/London")
        self.returns = ReturnGoSandbox(clock, currency="EUR")
        self.store = ShopifySandbox(clock)
        self.carrier = EasyPostSandbox(clock)
        articles = sorted(CATALOGUE.keys() - UNKNOWN_TO_WAREHOUSE)
        self.warehouse = ShipBobSandbox(clock, inventory={sku: number for number, sku in enumerate(articles, 501)})
        self.books = LedgerSandbox(books)
        self.sold: dict[str, Sold] = {}
        self.market.world.pending = self.market.world.payable = Decimal("5000.00")
        self.returns.listen("http://127.0.0.1/webhooks/returngo")

    @contextmanager
    def served(self) -> Iterator[Mapping[str, Mapping[str, Any]]]:
        """While they are up: the settings to reach them with, by connector."""
        with ExitStack() as stack:

            def at(app: Any) -> str:
                return str(stack.enter_context(Served(app)))

            yield {
                "mirakl": self.market.settings(at(self.market.app)),
                "returngo": self.returns.settings(at(self.returns.app)),
                "shopify": self.store.settings(at(self.store.app)),
                "easypost": self.carrier.settings(at(self.carrier.app)),
                "shipbob": self.warehouse.settings(at(self.warehouse.app)),
                "ledger": self.books.settings(),
            }

    def posted(self) -> list[Post]:
        """The webhooks sent since last asked."""
        found = [
            Post(name, delivery.headers, "", delivery.body)
            for name, sandbox in (("shopify", self.store), ("easypost", self.carrier), ("shipbob", self.warehouse))
            for delivery in sandbox.drain()
        ]
        plain = {"content-type": "application/json"}  # ReturnGO signs nothing: what proves it is in its URL
        return found + [Post("returngo", plain, t.url.partition("?")[2], t.body) for t in self.returns.world.drain()]

    def signed_now(self, post: Post) -> Post:
        """The same webhook as its sender sends it at this moment: ShipBob signs the time of each attempt."""
        if post.connector != "shipbob":
            return post
        again = self.warehouse.again(Delivery("", post.headers, post.body))
        return Post(post.connector, again.headers, post.query, again.body)

    def do(self, deed: Deed) -> None:
        """One deed of the story. `person` and `retry` are done to us, not here."""
        getattr(self, f"_{deed.what}")(deed.order, **deed.about)

    # The marketplace and the shop

    def _sell(
        self, order: str, items: Sequence[Item], state: str = "SHIPPING", *, debited: bool = True, linked: bool = True
    ) -> None:
        lines = tuple(_new_line(item) for item in items)
        self.market.world.add_order(order, *lines, state=state, debited=debited, commercial_id=order, channel="UK")
        self.market.world.orders[order]["can_cancel"] = not debited
        articles = [(item.sku, item.quantity, CATALOGUE[item.sku]) for item in items]
        store_id = self.store.create_order(articles, order_ref=order if linked else f"{order}-MISTYPED")
        self.sold[order] = Sold(store_id, self.store.orders[store_id].name, items)

    def _link(self, order: str) -> None:
        """The store's order is told apart from the shop's own at last."""
        self.store.annotate(self.sold[order].store_id, "mirakl_order_id", order)

    def _ship(self, order: str) -> None:
        self.market.world.ship(order)
        self.store.fulfil(self.sold[order].store_id)

    def _receive(self, order: str) -> None:
        self.market.world.receive(order)

    def _close(self, order: str) -> None:
        self.market.world.close(order)

    def _cancel_in_store(self, order: str) -> None:
        self.store.cancel(self.sold[order].store_id)

    def _refund_in_store(self, order: str, pieces: Sequence[tuple[str, int]], amount: str | None = None) -> None:
        self.store.refund(self.sold[order].store_id, pieces, amount=amount)

    def _refund_in_market(self, order: str, amount: str | None = None, line: int = 1) -> None:
        self.market.world.refund_by_hand(order, f"{order}-{line}", amount)

    def _balance(self, order: str, amount: str) -> None:
        """What covers refunds of orders the customer has not received yet."""
        del order
        self.market.world.pending = Decimal(amount)

    def _lose_answer(self, order: str) -> None:
        del order
        self.market.faults.add("cut_after", "PUT", "/orders/refund")

    def _busy(self, order: str) -> None:
        del order
        self.market.faults.add("too_many", "PUT", "/orders/refund", retry_after=300)

    def _incident(self, order: str) -> None:
        self.market.world.open_incident(order, f"{order}-1")

    def _market_return(self, order: str) -> None:
        sold = self.sold[order]
        self.market.world.open_return(order, {f"{order}-1": 1}, rma=sold.rmas[-1] if sold.rmas else "")

    def _pay_refunds(self, order: str) -> None:
        del order
        self.market.world.advance_refunds()

    # Returns

    def _ask(self, order: str, pieces: Sequence[Back], parcels: int, *, out_of_policy: bool = False) -> None:
        sold = self.sold[order]
        lines = {line.sku: str(line.id) for line in self.store.orders[sold.store_id].lines}
        asked = [
            Piece(
                lines.get(piece.sku, "0"),
                piece.sku,
                CATALOGUE[piece.sku],
                resolution=piece.resolution,
                reason=piece.reason,
                method=NO_SHIPMENT if piece.keep else SHIPPED,
            )
            for piece in pieces
        ]
        rma = self.returns.world.create_rma(sold.store_id, sold.name, asked, parcels=parcels, out_of_policy=out_of_policy)
        sold.rmas.append(rma)

    def _approve(self, order: str) -> None:
        self.returns.world.approve(self.sold[order].rmas[-1])

    def _reject(self, order: str) -> None:
        self.returns.world.reject(self.sold[order].rmas[-1])

    def _cancel_rma(self, order: str) -> None:
        self.returns.world.cancel(self.sold[order].rmas[-1])

    def _label(self, order: str) -> None:
        for shipment in self.returns.world.shipments(self.sold[order].rmas[-1]):
            self.returns.world.create_label(shipment, tracking_of(shipment))
            self.carrier.create_tracker(tracking_of(shipment))

    # Carriers and the warehouse

    def _scan(self, order: str, parcel: int, rma: int) -> None:
        shipment = self._shipment(order, parcel, rma)
        self.carrier.pick_up(tracking_of(shipment))
        self.returns.world.ship(shipment)

    def _move(self, order: str, parcel: int, rma: int) -> None:
        self.carrier.move(tracking_of(self._shipment(order, parcel, rma)))

    def _arrive(self, order: str, parcel: int, rma: int) -> None:
        shipment = self._shipment(order, parcel, rma)
        if self.carrier.trackers[tracking_of(shipment)]["status"] == "in_transit":
            self.carrier.deliver(tracking_of(shipment))
        self.returns.world.receive(shipment)
        reference = self._expected(order, parcel, rma)
        if reference:
            self.warehouse.arrive(reference)

    def _count(self, order: str, found: Found) -> None:
        """The warehouse counts by article, and the returns platform hears nothing of it."""
        reference = self._expected(order, 0, 0)
        if reference:
            self.warehouse.inspect(reference, {sku: {"restock": good, "quarantine": bad} for sku, (good, bad) in found.items()})

    def _inspect(self, order: str, verdicts: Sequence[bool], rma: int) -> None:
        """Every piece is looked at: the warehouse counts them, the returns platform has the verdicts."""
        number = self.sold[order].rmas[rma]
        pieces = self.returns.world.pieces(number)
        given = dict(zip(pieces, verdicts if len(verdicts) == len(pieces) else [verdicts[0]] * len(pieces), strict=True))
        items = self.returns.world.rma(number)["items"]
        for parcel, shipment in enumerate(self.returns.world.shipments(number)):
            inside = [item for item in items if item.get("shipmentId") == shipment]
            self._looked_into(order, parcel, rma, _counted(inside, given))
        self.returns.world.inspect(number, given)

    def _looked_into(self, order: str, parcel: int, rma: int, found: Mapping[str, Mapping[str, int]]) -> None:
        reference = self._expected(order, parcel, rma)
        if reference:
            self.warehouse.inspect(reference, found)

    def _shipment(self, order: str, parcel: int, rma: int) -> str:
        return self.returns.world.shipments(self.sold[order].rmas[rma])[parcel]

    def _expected(self, order: str, parcel: int, rma: int) -> str:
        """The reference of the expected return that is open for a parcel; "" where nobody announced it."""
        number = self.sold[order].rmas[rma]
        wanted = self._shipment(order, parcel, rma)
        for one in self.warehouse.returns.values():
            if number in one.reference_id and wanted in one.reference_id and one.status not in {"Completed", "Cancelled"}:
                return one.reference_id
        return ""


def tracking_of(shipment: str) -> str:
    return f"CX{shipment}GB"


def _new_line(item: Item) -> NewLine:
    price = Decimal(CATALOGUE[item.sku])
    whole = price * item.quantity
    commission = (whole * COMMISSION).quantize(CENT)
    taxes = (NewTax("VAT", str((whole * VAT / (1 + VAT)).quantize(CENT))),) if item.taxed else ()
    return NewLine(
        item.sku,
        item.quantity,
        str(price),
        taxes=taxes,
        commission=str(commission),
        commission_tax=str((commission * VAT).quantize(CENT)),
    )


def _counted(items: Sequence[Mapping[str, Any]], verdicts: Mapping[str, bool]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for item in items:
        counts = found.setdefault(item["sku"], {"restock": 0, "quarantine": 0})
        counts["restock" if verdicts[item["returnedItemId"]] else "quarantine"] += 1
    return found
