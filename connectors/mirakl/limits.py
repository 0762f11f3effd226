"""How often Mirakl may be asked: the "maximum usage" of each operation in its documents.

A listing counts once, however many pages it has: the documents give how often to list, and for some operations say "plus
pages". Orders by their ids are what is allowed "at each page display". An operator that counts more answers 429 and says for
how long, and `budget:` in client.yaml can say so beforehand.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

from engine.facts.budget import Limit, Quota

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PARTNER_EVERY = timedelta(minutes=15)

QUOTA = Quota(
    operations=MappingProxyType(
        {
            "OR11": "Orders, listed by their last update or with an open incident",
            "OR11 by id": "Orders by their ids, a hundred at a time",
            "OR28": "Refunds",
            "OR29": "Cancelling an order",
            "OR30": "Cancelling lines",
            "OR64": "Resolving an incident",
            "RT11": "Returns, listed by their last update or by their ids",
            "RT21": "Accepting or refusing a return",
            "RT25": "Receiving a return",
            "RT26": "Reporting what came back",
            "RT27": "Closing a return",
            "RE01": "Reason codes",
            "PC01": "What the platform allows",
            "A01": "Our shop and its balances",
            "TL02": "The log of transactions",
        }
    ),
    limits=(
        Limit(1, 5 * _MINUTE, "OR11"),
        Limit(1, 5 * _MINUTE, "RT11"),
        Limit(1, _DAY, "A01"),
        Limit(20, _DAY, "TL02"),
        Limit(60, _HOUR, "TL02"),
        Limit(20, _MINUTE, "TL02"),
    ),
    costs=MappingProxyType(
        {  # look-ups are for many at once; afterwards each is read again
            "refund": MappingProxyType({"OR28": 1, "OR11 by id": 1}),
            "cancel": MappingProxyType({"OR30": 1, "OR11 by id": 1}),
            "resolve_incident": MappingProxyType({"OR64": 1, "OR11 by id": 1}),
            "set_return": MappingProxyType({"RT21": 1}),
            "report_compliance": MappingProxyType({"RT26": 1}),
        }
    ),
)


def of_partner(quota: Quota) -> Quota:
    """With a key of the persona "External Partner", orders may be listed every 15 minutes only."""
    limits = (replace(limit, per=PARTNER_EVERY) if limit.operation == "OR11" else limit for limit in quota.limits)
    return replace(quota, limits=tuple(limits))
