"""The outside of a run: the demo's six sandboxes, agents who act at the worst moment, and a client that is turned to them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.mirakl.amounts import No
from engine.demo.outside import Outside, Post
from engine.facts.outside import Clock

CLIENT = "crash"
ROLES = {
    "mirakl": "marketplace", "returngo": "returns", "shopify": "store", "easypost": "carrier", "shipbob": "warehouse",
    "ledger": "finance",
}  # fmt: skip
BUDGETS = {  # of what is counted by the second and minute: time stands still here while the service is at work
    "mirakl": {"OR11": "100000 per 5m", "RT11": "100000 per 5m"}, "returngo": {"all": "100000 per 1s"},
    "shopify": {"all": {"bucket": 10_000_000, "refill": "100000 per 1s"}}, "easypost": {"GET trackers": "100000 per 1s"},
    "shipbob": {"all": "100000 per 1m"},
}  # fmt: skip
_SECRET = {"api_key", "webhook_token", "access_token", "webhook_secret", "token"}


class Stage(Outside):
    """The demo's outside with money and calls enough. `raced` are lines an agent refunded between our look-up and our send.

    A parcel nobody announced stays at the warehouse's dock, and is booked in, with what was found in it, once it is announced.
    """

    def __init__(self, clock: Clock, books: Path) -> None:
        super().__init__(clock, books)
        self.market.world.pending = self.market.world.payable = Decimal(10**9)
        self.returns.calls_per_day = 10**9
        self.raced: set[str] = set()
        self._waiting: dict[str, tuple[str, str]] = {}
        self._dock: dict[tuple[str, int, int], Mapping[str, Mapping[str, int]]] = {}  # what was found in a parcel
        self.market.app = self._watched(self.market.app)  # type: ignore[assignment]

    def _watched(self, app: ASGIApp) -> ASGIApp:
        """An agent who waits for our look-up of an order refunds right after it was answered."""

        async def watching(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)
            if scope["type"] == "http" and scope["method"] == "GET" and self._waiting:
                asked = bytes(scope.get("query_string", b"")).decode()
                for order in [order for order in self._waiting if order in asked]:
                    line, amount = self._waiting.pop(order)
                    if self._refunded_by_hand(order, line, amount):
                        self.raced.add(line)

        return watching

    def posted(self) -> list[Post]:
        for parcel, found in list(self._dock.items()):
            if reference := self._expected(*parcel):
                del self._dock[parcel]
                self.warehouse.arrive(reference)
                if found:
                    self.warehouse.inspect(reference, found)
        return super().posted()

    def _arrive(self, order: str, parcel: int, rma: int) -> None:
        super()._arrive(order, parcel, rma)
        if not self._expected(order, parcel, rma):
            self._dock[order, parcel, rma] = {}

    def _looked_into(self, order: str, parcel: int, rma: int, found: Mapping[str, Mapping[str, int]]) -> None:
        super()._looked_into(order, parcel, rma, found)
        if (order, parcel, rma) in self._dock:
            self._dock[order, parcel, rma] = found

    def _pay_refunds(self, order: str) -> None:
        self.market.world.pay_refunds(order)

    def _lie_in_wait(self, order: str, line: int, amount: str) -> None:
        self._waiting[order] = f"{order}-{line}", amount

    def _by_hand(self, order: str, line: int) -> None:
        self._refunded_by_hand(order, f"{order}-{line}", None)

    def _refunded_by_hand(self, order: str, line: str, amount: str | None) -> bool:
        """False where the back office finds that nothing is left to refund."""
        found = next(one for one in self.market.world.orders[order]["order_lines"] if one["order_line_id"] == line)
        if amount is None and sum((r["amount"] for r in found["refunds"]), Decimal(0)) >= found["price"]:
            return False
        try:
            self.market.world.refund_by_hand(order, line, amount)
        except No:
            return False
        return True


def write_client(root: Path, settings: Mapping[str, Mapping[str, Any]], **params: Any) -> None:
    """`rules/clients/crash/client.yaml` and its secrets, as a consultant would write them."""
    folder = root / "rules" / "clients" / CLIENT
    folder.mkdir(parents=True, exist_ok=True)
    secrets: dict[str, str] = {}
    connectors: dict[str, Any] = {}
    for name, given in settings.items():
        use: dict[str, Any] = {"use": name}
        for key, value in given.items():
            if key in _SECRET:
                secret = f"{name}_{key}".upper()
                secrets[secret] = str(value)
                use[key] = {"secret": secret}
            else:
                use[key] = str(value) if isinstance(value, Path) else value
        if name in BUDGETS:
            use["budget"] = BUDGETS[name]
        connectors[ROLES[name]] = use
    client = {
        "client": CLIENT,
        "extends": ["base"],
        "time_zone": "Europe/London",
        "connectors": connectors,
        "params": {"refund_on": "inspection", "refund_within": "24h", "sla_margin": "6h", "sla_alarm": "1h", "close_after": "2h"}
        | params,
        "codes": {"marketplace.resolve_incident.reason": {"default": "11"}},
        "cadence": {"finance.post": {"batch": "daily 20:00"}},
        "mode": "live",
    }
    draft = folder / "client.draft"
    draft.write_text(yaml.safe_dump(client, sort_keys=False, allow_unicode=True), encoding="utf-8")
    (folder / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in secrets.items()), encoding="utf-8")
    draft.replace(folder / "client.yaml")
