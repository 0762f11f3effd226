"""How often ReturnGO may be asked: 2000 requests a day unless it grants more, and 5 a second as integrators found.

Its own page says 100 a second; nobody needs more than 5.
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from engine.facts.budget import Limit, Quota

CALLS_PER_DAY = 2000


def quota(calls_per_day: int) -> Quota:
    return Quota(
        operations=MappingProxyType(
            {
                "GET /rmas": "RMAs, listed",
                "GET /rma": "One RMA in full",
                "GET /transactions": "Refunds and payments, listed",
                "PUT /rma/status": "Setting the status of an RMA",
                "POST /rma/comment": "Commenting on an RMA",
                "PUT /shipment": "Changing a parcel",
            }
        ),
        limits=(Limit(calls_per_day, timedelta(days=1)), Limit(5, timedelta(seconds=1))),
        costs=MappingProxyType(
            {
                "set_status": MappingProxyType({"GET /rma": 1, "PUT /rma/status": 1}),
                "comment": MappingProxyType({"GET /rma": 1, "POST /rma/comment": 1}),
                "set_shipment": MappingProxyType({"GET /rma": 1, "PUT /shipment": 1}),
            }
        ),
    )
