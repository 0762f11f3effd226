"""An EasyPost on this machine: trackers, what carriers scan, and the signed events about it.

sandbox = EasyPostSandbox(clock, hook_url="http://127.0.0.1:8000/hooks/easypost")
sandbox.create_tracker("1Z999")
sandbox.pick_up("1Z999")
for delivery in sandbox.drain(): ...        # to be posted
"""

from __future__ import annotations

import base64
from collections import deque
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import RLock
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.admission import Admission
from connectors.deliveries import Delivery
from connectors.http import dumps
from connectors.serving import Faults
from connectors.signatures import easypost_signature
from engine.facts.outside import Clock

Json = dict[str, Any]
_NOWHERE = {"object": "TrackingLocation", "city": None, "state": None, "country": None, "zip": None}


class EasyPostSandbox:
    """Every scan sends `tracker.updated`, whether or not the status changed by it; the details in an event are all so far."""

    def __init__(
        self,
        clock: Clock,
        *,
        api_key: str = "easypost-sandbox-key",
        webhook_secret: str = "sandbox signing sécret",  # noqa: S107 - it opens nothing but this
        hook_url: str = "http://127.0.0.1/hooks/easypost",
    ) -> None:
        self.clock = clock
        self.api_key = api_key
        self.webhook_secret = webhook_secret
        self.hook_url = hook_url
        self.admission = Admission(clock)
        self.trackers: dict[str, Json] = {}
        self.pending: deque[Delivery] = deque()
        routes = [Route("/v2/trackers", self._list), Route("/v2/trackers/{tracker_id}", self._one)]
        self.faults = Faults(Starlette(routes=routes))
        self.app = self.faults
        self._lock = RLock()
        self._ids = count(1)
        self._events = count(1)

    def settings(self, url: str) -> dict[str, Any]:
        """The connector's settings for this sandbox, served at `url`."""
        return {"webhook_secret": self.webhook_secret, "api_key": self.api_key, "url": url}

    def create_tracker(self, tracking_code: str, carrier: str = "FedEx", *, is_return: bool = True) -> str:
        """A label was made and its tracker with it. Returns the tracker's id; its deeds go by the tracking code."""
        with self._lock:
            now = self._now()
            tracker: Json = {
                "id": f"trk_{next(self._ids)}",
                "object": "Tracker",
                "mode": "test",
                "tracking_code": tracking_code,
                "status": "unknown",
                "status_detail": "unknown",
                "created_at": now,
                "updated_at": now,
                "signed_by": None,
                "weight": None,
                "est_delivery_date": None,
                "shipment_id": None,
                "carrier": carrier,
                "tracking_details": [],
                "carrier_detail": None,
                "finalized": False,
                "is_return": is_return,
                "public_url": "",
            }
            self.trackers[tracking_code] = tracker
            self._add(tracker, "pre_transit", "label_created", "Shipment information sent", self.clock())
            self._send(tracker, "tracker.created", None)
            return str(tracker["id"])

    def pick_up(self, tracking_code: str) -> None:
        """The first scan: the carrier has it."""
        self.scan(tracking_code, "in_transit", "arrived_at_facility", "Picked up")

    def move(self, tracking_code: str) -> None:
        """One more scan on its way: same status, one more event."""
        self.scan(tracking_code, "in_transit", "departed_facility", "Departed carrier location")

    def out_for_delivery(self, tracking_code: str) -> None:
        self.scan(tracking_code, "out_for_delivery", "out_for_delivery", "On vehicle for delivery")

    def deliver(self, tracking_code: str) -> None:
        """It is where it was sent."""
        self.scan(tracking_code, "delivered", "arrived_at_destination", "Delivered")

    def return_to_sender(self, tracking_code: str) -> None:
        """It could not be delivered and goes back: not a return by the customer."""
        self.scan(tracking_code, "return_to_sender", "return", "Return to sender")

    def lose(self, tracking_code: str) -> None:
        self.scan(tracking_code, "failure", "lost", "Lost by the carrier")

    def scan(self, tracking_code: str, status: str, status_detail: str, message: str, at: datetime | None = None) -> None:
        """One more detail. `at` is when the carrier saw it, which can be long before it tells."""
        with self._lock:
            tracker = self.trackers[tracking_code]
            before = tracker["status"]
            self._add(tracker, status, status_detail, message, at or self.clock())
            self._send(tracker, "tracker.updated", before)

    def drain(self) -> list[Delivery]:
        """The deliveries due, for the caller to post."""
        due = []
        while self.pending:
            due.append(self.pending.popleft())
        return due

    def _add(self, tracker: Json, status: str, status_detail: str, message: str, at: datetime) -> None:
        tracker["tracking_details"].append(
            {
                "object": "TrackingDetail",
                "message": message,
                "description": message,
                "status": status,
                "status_detail": status_detail,
                "datetime": _stamp(at),
                "source": tracker["carrier"],
                "carrier_code": None,
                "tracking_location": _NOWHERE,
            }
        )
        later = datetime.fromisoformat(tracker["updated_at"]) + timedelta(seconds=1)  # whichever tells more must win
        tracker.update(
            status=status,
            status_detail=status_detail,
            updated_at=_stamp(max(self.clock(), later)),
            finalized=status in {"delivered", "return_to_sender", "failure"},
        )

    def _send(self, tracker: Json, description: str, before: str | None) -> None:
        event = {
            "id": f"evt_{next(self._events)}",
            "object": "Event",
            "description": description,
            "mode": "test",
            "status": "pending",
            "created_at": tracker["updated_at"],
            "updated_at": tracker["updated_at"],
            "previous_attributes": {} if before is None else {"status": before},
            "pending_urls": [self.hook_url],
            "completed_urls": [],
            "result": tracker,
        }
        body = dumps(event)
        signature = easypost_signature(body, self.webhook_secret)
        self.pending.append(Delivery(self.hook_url, {"content-type": "application/json", "x-hmac-signature": signature}, body))

    async def _list(self, request: Request) -> Response:
        """GET /v2/trackers, the latest first."""
        if not self._known(request):
            return _json(401, {"error": {"code": "APIKEY.INACTIVE", "message": "This api key is not active."}})
        if self.admission.wait("GET trackers") is not None:
            return _json(429, {"error": {"code": "RATE_LIMITED", "message": "Too many requests."}})
        code = request.query_params.get("tracking_code")
        found = [deepcopy(t) for t in list(self.trackers.values()) if code in {None, t["tracking_code"]}]
        return _json(200, {"trackers": found[::-1], "has_more": False})

    async def _one(self, request: Request) -> Response:
        if not self._known(request):
            return _json(401, {"error": {"code": "APIKEY.INACTIVE", "message": "This api key is not active."}})
        wanted = request.path_params["tracker_id"]
        found = next((t for t in list(self.trackers.values()) if t["id"] == wanted), None)
        return _json(200, found) if found else _json(404, {"error": {"code": "NOT_FOUND", "message": "not found"}})

    def _known(self, request: Request) -> bool:
        login = base64.b64encode(f"{self.api_key}:".encode()).decode("ascii")
        return request.headers.get("authorization") == f"Basic {login}"

    def _now(self) -> str:
        return _stamp(self.clock())


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(status: int, value: Any) -> Response:
    return Response(dumps(value), status, media_type="application/json")
