"""A client in real files: three rules, plain payloads and a marketplace in this process, beside a watched folder."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from engine.facts.outside import Connector, Event
from engine.run.boot import Served, open_client
from engine.run.clock import Clock, VirtualClock
from engine.run.rules.reload import Reload
from engine.run.service import Service
from engine.store.sqlite import SqliteStore
from tests.run.small import NOON, Shop, order_fields

MAIN = Path(__file__).parents[2]
CLIENT = "acme"

CLIENT_YAML = """\
client: acme
connectors:
  marketplace: {use: mirakl, url: "http://127.0.0.1:1", api_key: {secret: ACME_KEY}, shop_id: 1}
  returns: {use: returngo, url: "http://127.0.0.1:2", shop: acme.myshopify.com, api_key: {secret: ACME_KEY}}
"""
REFUND = """\
rules:
  refund_when_done:
    group: refund
    each: rma
    when: ['rma.status == "done"', rma.units]
    then: [{marketplace.refund: {units: rma.units}}]
"""
HOLD = """\
rules:
  hold_while_approved:
    group: hold
    each: rma
    when: ['rma.status == "approved"']
    then: [{forbid: marketplace.refund, because: it is not done}]
"""
SLOW = """\
rules:
  slow:
    group: sync
    each: rma
    when: ['rma.status == "approved"']
    for: 2d
    then: [{raise: {owner: operations, severity: low, title: "{rma.id} is slow", runbook: look}}]
"""
MONEY = "money({0}.amount, {0}.currency)"
FILES: Mapping[str, str] = {
    "rules/base/order.yaml": "precedence: [hold, refund, sync]\n",
    "rules/base/refund.yaml": REFUND,
    "rules/base/hold.yaml": HOLD,
    "rules/base/slow.yaml": SLOW,
    "rules/clients/acme/client.yaml": CLIENT_YAML,
    "mappings/mirakl/order.yaml": f"""\
from: mirakl.order
to: order
key: id
version: observed_at
fields:
  state: {{from: state, values: {{shipped: shipped}}}}
  currency: currency
  tax_mode: {{from: tax_mode, values: {{included: included}}}}
  created_at: created_at
  lines:
    each: lines
    key: id
    fields:
      index: index
      sku: sku
      quantity: quantity
      price: {MONEY.format("price")}
      shipping_price: {MONEY.format("shipping_price")}
      refunds:
        each: refunds
        key: id
        fields:
          amount: {MONEY.format("amount")}
          shipping_amount: {MONEY.format("shipping_amount")}
          created_at: created_at
          quantity: quantity
""",
    "mappings/returngo/rma.yaml": """\
from: returngo.rma
to: rma
key: id
version: observed_at
links: {order: order}
fields:
  status: {from: status, values: {Approved: approved, Done: done, Canceled: cancelled}}
  requested_at: requested_at
  units:
    each: units
    key: key
    fields: {sku: sku}
""",
}


class FakeMirakl(Shop):
    name: ClassVar[str] = "mirakl"

    def _shown(self, order_id: str, now: datetime) -> Event:
        return told("mirakl.order", self.books.shown(order_id, now), now)


class FakeReturns(Shop):
    name: ClassVar[str] = "returngo"
    role: ClassVar[Any] = "returns"
    actions: ClassVar[Mapping[str, Any]] = MappingProxyType({})


def told(kind: str, body: Any, at: datetime, delivery: str = "") -> Event:
    return Event(kind.partition(".")[0], kind, json.dumps(body).encode(), at, requested=True, delivery=delivery)


def an_order(order_id: str, at: datetime = NOON, **more: Any) -> Event:
    return told("mirakl.order", order_fields(order_id, **more), at)


def an_rma(rma_id: str, order_id: str, status: str, at: datetime = NOON) -> Event:
    units = [{"key": f"{rma_id}-1", "sku": "SHOE"}]
    body = {"id": rma_id, "order": order_id, "status": status, "requested_at": NOON.isoformat(), "units": units}
    return told("returngo.rma", body, at)


def project(root: Path, files: Mapping[str, str] = FILES) -> Path:
    write(root, files)
    shutil.copyfile(MAIN / "mappings/facts.yaml", root / "mappings/facts.yaml")
    return root


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def params(**changes: Any) -> str:
    """client.yaml with more keys."""
    return CLIENT_YAML + "".join(f"{name}: {value}\n" for name, value in changes.items())


@dataclass
class World:
    root: Path
    served: Served
    clock: VirtualClock
    shop: FakeMirakl

    @property
    def service(self) -> Service:
        return self.served.service

    @property
    def reload(self) -> Reload:
        return self.served.reload

    @property
    def store(self) -> SqliteStore:
        store = self.service.store
        assert isinstance(store, SqliteStore)
        return store

    @property
    def rules(self) -> dict[str, Any]:
        return self.reload.status()

    def write(self, **files: str) -> None:
        """`refund=...` is rules/base/refund.yaml."""
        for name, text in files.items():
            where = "rules/clients/acme/client.yaml" if name == "client" else f"rules/base/{name}.yaml"
            write(self.root, {where: text})

    async def hear(self, *events: Event) -> None:
        self.service.hear(events)
        await self.service.step()

    async def cases(self, count: int, status: str = "Done") -> None:
        for n in range(count):
            self.shop.books.orders[f"O{n}"] = {}
            await self.hear(an_order(f"O{n}", self.clock()), an_rma(f"{1000 + n}", f"O{n}", status, self.clock()))

    def passed(self, **time: float) -> None:
        self.clock.move(self.clock() + timedelta(**time))


def opened(root: Path, clock: Clock | None = None, shop: FakeMirakl | None = None) -> World:
    clock = clock or VirtualClock(NOON)
    assert isinstance(clock, VirtualClock)
    shop = shop or FakeMirakl(clock)
    shop.clock = clock
    overrides: Mapping[str, Connector] = {"marketplace": shop, "returns": FakeReturns(clock)}
    served = open_client(root, CLIENT, root / "acme.sqlite", clock, overrides)
    return World(root, served, clock, shop)


@asynccontextmanager
async def watched(root: Path, quiet: float = 0.1) -> AsyncIterator[World]:
    """Opened, and its files watched until the end of the block."""
    world = opened(root)
    world.reload._quiet = quiet
    stop = asyncio.Event()
    watching = asyncio.create_task(world.reload.run(stop))
    await until(world, lambda: world.reload.watching)
    try:
        yield world
    finally:
        stop.set()
        await watching
        await world.service.close()


async def until(world: World, what: Callable[[], bool], seconds: float = 20) -> None:
    """Returns as soon as the reload has told of something after which `what` holds."""
    async with asyncio.timeout(seconds):
        while not what():
            await world.reload.told()
