"""A ShipBob on this machine: its returns API, the deeds of its warehouse, and its signed deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import count
from threading import RLock
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.admission import Admission
from connectors.deliveries import Delivery
from connectors.http import dumps, loads
from connectors.serving import Faults
from connectors.shipbob import shapes
from connectors.shipbob.shapes import ARRIVED, AWAITING, CANCELLED, COMPLETED, PROCESSING, Json, Piece, ReturnOrder
from connectors.signatures import standard_webhooks_signature
from engine.facts.outside import Clock

_ACTIONS = {"restock": "Restock", "quarantine": "Quarantine", "dispose": "Dispose"}


class ShipBobSandbox:
    """Serve `app`; do deeds; post what `drain` gives; make it fail with `faults`, limit calls with `admission.limits`.

    A return goes AwaitingArrival, Arrived, Processing, Completed, or from AwaitingArrival to Cancelled. Like the real one it
    takes the same `reference_id` as often as it is sent.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        inventory: Mapping[str, int],
        token: str = "sandbox-token",  # noqa: S107 - it opens nothing but this
        webhook_secret: str = "whsec_c2FuZGJveC1zaWduaW5nLXNlY3JldA==",  # noqa: S107 - as above
        channel_id: int = 100001,
        fulfillment_center: int = 8,
        hook_url: str = "",
    ) -> None:
        self.clock = clock
        self.inventory = dict(inventory)
        self.token = token
        self.webhook_secret = webhook_secret
        self.channel_id = channel_id
        self.fulfillment_center = fulfillment_center
        self.hook_url = hook_url
        self.admission = Admission(clock)
        self.returns: dict[int, ReturnOrder] = {}
        self.pending: list[Delivery] = []
        self._lock = RLock()
        self._ids = count(700001)
        self._messages = count(1)
        self.faults = Faults(
            Starlette(
                routes=[
                    Route("/{version}/return/{id:int}:cancel", self._cancel, methods=["POST"]),
                    Route("/{version}/return/{id:int}", self._get, methods=["GET"]),
                    Route("/{version}/return", self._list, methods=["GET"]),
                    Route("/{version}/return", self._create, methods=["POST"]),
                ]
            )
        )
        self.app = self.faults

    def settings(self, url: str) -> dict[str, Any]:
        """The connector settings for this warehouse, served at `url`."""
        return {
            "token": self.token,
            "webhook_secret": self.webhook_secret,
            "channel_id": self.channel_id,
            "fulfillment_center": self.fulfillment_center,
            "inventory": self.inventory,
            "url": url,
        }

    def expect(self, reference: str, pieces: Mapping[str, int], tracking_number: str | None = None) -> int:
        """Someone announces a return of pieces by SKU by hand. Gives its id."""
        with self._lock:
            expected = [Piece(self.inventory[sku], sku, quantity, "Restock") for sku, quantity in pieces.items()]
            return self._add(reference, tracking_number, self.fulfillment_center, expected).id

    def arrive(self, reference: str) -> None:
        """The box is at the dock."""
        with self._lock:
            self._reach(self._open(reference), ARRIVED)

    def process(self, reference: str) -> None:
        """Someone starts to inspect it."""
        with self._lock:
            order = self._open(reference)
            if order.status == AWAITING:
                self._reach(order, ARRIVED)
            self._reach(order, PROCESSING)

    def inspect(self, reference: str, found: Mapping[str, Mapping[str, int]], *, reason: str = "", complete: bool = True) -> None:
        """What was found, by SKU: `{"SHOE-42": {"restock": 1, "quarantine": 1, "dispose": 0}}`. A SKU nobody announced is
        put on the return, one that is left out was not in the box. Any other word than these three is sent as it is.
        """
        with self._lock:
            order = self._open(reference)
            if order.status != PROCESSING:
                self.process(reference)
            for sku, actions in found.items():
                piece = self._piece(order, sku)
                piece.taken += [(_ACTIONS.get(word, word), n, reason) for word, n in actions.items() if n]
            if complete:
                self._reach(order, COMPLETED)
            else:
                self._deliver("return.updated", order)

    def cancel(self, reference: str) -> None:
        """Someone cancels it by hand. Raises LookupError where nothing awaits its arrival."""
        with self._lock:
            order = self._open(reference)
            if order.status != AWAITING:
                raise LookupError(f"{reference} has arrived")
            self._reach(order, CANCELLED)

    def status_of(self, reference: str) -> str:
        """The status of the latest return of that reference; "" if there is none."""
        found = [order for order in self.returns.values() if order.reference_id == reference]
        return found[-1].status if found else ""

    def drain(self) -> list[Delivery]:
        """The deliveries not yet posted, oldest first; each is given once."""
        with self._lock:
            due, self.pending = self.pending, []
            return due

    def again(self, delivery: Delivery) -> Delivery:
        """A delivery tried once more: the same message, signed at this moment, as every attempt is."""
        message, stamp = delivery.headers["webhook-id"], str(int(self.clock().timestamp()))
        signature = standard_webhooks_signature(delivery.body, message, stamp, self.webhook_secret)
        signed = {"webhook-timestamp": stamp, "webhook-signature": signature}
        return Delivery(delivery.url, {**delivery.headers, **signed}, delivery.body)

    def _open(self, reference: str) -> ReturnOrder:
        for order in self.returns.values():
            if order.reference_id == reference and order.status not in {COMPLETED, CANCELLED}:
                return order
        raise LookupError(f"no open return {reference!r}")

    def _piece(self, order: ReturnOrder, sku: str) -> Piece:
        for piece in order.pieces:
            if piece.sku == sku:
                return piece
        order.pieces.append(Piece(self.inventory[sku], sku, 0, "Default"))
        return order.pieces[-1]

    def _add(self, reference: str, tracking: str | None, center: int, pieces: list[Piece]) -> ReturnOrder:
        order = ReturnOrder(next(self._ids), reference, tracking, center, self.clock(), pieces)
        self.returns[order.id] = order
        self._deliver("return.created", order)
        return order

    def _reach(self, order: ReturnOrder, status: str) -> None:
        order.status = status
        order.moments[status] = self.clock()
        self._deliver("return.completed" if status == COMPLETED else "return.updated", order)

    def _deliver(self, topic: str, order: ReturnOrder) -> None:
        body = dumps(shapes.listed(order, self.channel_id))
        headers = {
            "content-type": "application/json",
            "webhook-id": f"msg_{next(self._messages)}",
            "x-webhook-topic": topic,
        }
        self.pending.append(self.again(Delivery(self.hook_url, headers, body)))

    def _turned_away(self, request: Request) -> Response | None:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _json({"title": "Unauthorized", "status": 401}, 401)
        wait = self.admission.wait("")
        if wait is None:
            return None
        seconds = max(1, -(-wait // timedelta(seconds=1)))
        told = {"statusCode": 429, "message": f"Rate limit is exceeded. Try again in {seconds} seconds."}
        return _json(told, 429, {"x-retry-after": str(seconds), "x-remaining-calls": "0"})

    async def _list(self, request: Request) -> Response:
        if (no := self._turned_away(request)) is not None:
            return no
        asked = request.query_params
        number, limit = int(asked.get("Cursor", "1")), int(asked.get("Limit", "10"))
        with self._lock:
            fitting = [order for order in self.returns.values() if _fits(order, asked)]
            fitting.sort(key=lambda order: order.id, reverse=asked.get("SortOrder") != "Asc")
            page = fitting[(number - 1) * limit : number * limit]
            items = [shapes.listed(order, self.channel_id) for order in page]
        more = number * limit < len(fitting)
        following = str(request.url.include_query_params(Cursor=number + 1)) if more else None
        first = str(request.url.include_query_params(Cursor=1))
        return _json({"first": first, "prev": None, "next": following, "last": None, "items": items})

    async def _get(self, request: Request) -> Response:
        if (no := self._turned_away(request)) is not None:
            return no
        with self._lock:
            order = self.returns.get(request.path_params["id"])
            if order is None:
                return _json({"title": "Not Found", "status": 404}, 404)
            return _json(shapes.listed(order, self.channel_id))

    async def _create(self, request: Request) -> Response:
        if (no := self._turned_away(request)) is not None:
            return no
        if request.headers.get("shipbob_channel_id") != str(self.channel_id):
            return _json({"title": "Forbidden", "status": 403}, 403)
        body = loads(await request.body())
        with self._lock:
            fault = self._fault(body)
            if fault:
                return _json({"message": fault, "errors": [fault]}, 422)
            skus = {number: sku for sku, number in self.inventory.items()}
            pieces = [Piece(i["id"], skus[i["id"]], i["quantity"], i["requested_action"]) for i in body["inventory"]]
            center = body["fulfillment_center"]["id"]
            order = self._add(body["reference_id"], body.get("tracking_number"), center, pieces)
            return _json(shapes.created(order, self.channel_id), 201)

    async def _cancel(self, request: Request) -> Response:
        if (no := self._turned_away(request)) is not None:
            return no
        with self._lock:
            order = self.returns.get(request.path_params["id"])
            if order is None or order.status != AWAITING:
                return _json({"title": "Only returns awaiting arrival can be cancelled", "status": 400}, 400)
            self._reach(order, CANCELLED)
            return _json({})

    def _fault(self, body: Json) -> str:
        ids = [item["id"] for item in body["inventory"]]
        if len(body["reference_id"]) > 50:
            return "reference_id is longer than 50 characters"
        if len(ids) != len(set(ids)):
            return "an inventory id is there twice"
        unknown = [number for number in ids if number not in self.inventory.values()]
        return f"unknown inventory {unknown[0]}" if unknown else ""


def _fits(order: ReturnOrder, asked: Mapping[str, str]) -> bool:
    lists = {"Ids": str(order.id), "ReferenceIds": order.reference_id, "Status": order.status}
    if any(value not in asked[name].split(",") for name, value in lists.items() if name in asked):
        return False
    completed = order.moments.get(COMPLETED)
    if "CompletedStartDate" in asked and (completed is None or completed < datetime.fromisoformat(asked["CompletedStartDate"])):
        return False
    return "StartDate" not in asked or order.created_at >= datetime.fromisoformat(asked["StartDate"])


def _json(answer: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(dumps(answer), status, headers, "application/json")
