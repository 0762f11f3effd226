"""A child process that runs the small client against a marketplace in another process, and ends itself where it is told to.

python -m tests.run.crashing STORE URL POINT NTH
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from engine.facts.outside import Event, Evidence, Feed, Order, Receipt, Ref, Unsure
from engine.run.clock import VirtualClock
from engine.run.service import Service
from engine.store.sqlite import SqliteStore
from tests.run.small import NOON, Shop, a_sale, an_order, an_rma, plain, small_rules

NO_POINT = "none"


class Killer:
    """Ends the process, without a word to anyone, at the nth passing of a point."""

    def __init__(self, point: str, nth: int) -> None:
        self._point = point
        self._left = nth

    def __call__(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class RemoteShop(Shop):
    """The small marketplace, over real HTTP."""

    def __init__(self, url: str, clock: Callable[[], datetime], points: Callable[[str], None]) -> None:
        super().__init__(clock)
        self._url = url
        self._points = points
        self.feeds: Mapping[str, Feed] = {}

    async def fetch(self, ref: Ref) -> Sequence[Event]:
        return [self._order(ref.key)]

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        return [Evidence(o.key, None, None, (self._order(o.params["order"]),)) for o in orders]

    async def perform(self, order: Order) -> Receipt:
        body = {
            "order": order.params["order"], "line": order.params["line"], "at": self.clock().isoformat(),
            "amount": f"{order.params['amount'].amount:f}", "pid": os.getpid(),
        }  # fmt: skip
        self._points("before_send")
        try:
            made = self._call("POST", "/refunds", body)
        except OSError as fault:
            raise Unsure(str(fault)) from None
        self._points("after_send")
        return Receipt(made["id"], {"refund_id": made["id"]})

    def _order(self, order_id: str) -> Event:
        return plain("order", order_id, at=self.clock(), **self._call("GET", f"/orders/{order_id}/{self.clock().timestamp()}"))

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self._url + path, data, method=method), timeout=10) as answer:
            return json.loads(answer.read())


def main(store: str, url: str, point: str, nth: str) -> None:
    points = Killer(point, int(nth))
    clock = VirtualClock(NOON + timedelta(minutes=int(os.environ.get("MINUTES", "0"))))
    opened = WatchedStore.open(Path(store))
    opened.points = points
    service = Service(opened, small_rules(), {"marketplace": RemoteShop(url, clock, points)}, clock, points=points)
    events = [an_order(quantity=2, price="100.00"), a_sale(), an_rma(units=2)]
    for n, event in enumerate(events):
        service.hear([Event(**{**as_dict(event), "delivery": f"d{n}"})])
        asyncio.run(service.step())
    asyncio.run(service.play(clock, clock() + timedelta(hours=3)))
    rows = opened.outbox.listed(["planned", "performing", "unsure", "settled", "settled_elsewhere", "refused"], 100)
    sys.stdout.write(json.dumps({row.entry.key: row.entry.status for row in rows}))


def as_dict(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in Event.__dataclass_fields__}


class WatchedStore(SqliteStore):
    """Tells of every outermost commit, before and after."""

    points: Callable[[str], None] = staticmethod(lambda _: None)

    def _end(self, commit: str) -> None:
        self.points("before_commit")
        super()._end(commit)
        self.points("after_commit")


if __name__ == "__main__":
    main(*sys.argv[1:])
