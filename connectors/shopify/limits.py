"""How much Shopify may be asked: points by the cost of each query, from a bucket that fills again.

The figures are those of a standard plan. Every answer says how the bucket of this shop really stands.
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from engine.facts.budget import Limit, Quota

QUOTA = Quota(
    operations=MappingProxyType(
        {
            "OrdersUpdated": "Orders by their last update",
            "OrderById": "One order",
            "MoreLines": "Further lines of an order",
            "MoreRefundLines": "Further lines of a refund",
            "MoreTransactions": "Further transactions of a refund",
        }
    ),
    limits=(Limit(2000, timedelta(seconds=20), refills=True, unit="points"),),
)
