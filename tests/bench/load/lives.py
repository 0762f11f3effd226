"""Orders as they live in the six systems, and the deliveries their systems send of it, signed as they sign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.demo.outside import Outside
from engine.demo.story import CATALOGUE, UNKNOWN_TO_WAREHOUSE, Back, Item, Tale
from engine.facts.outside import WebhookRequest

SKUS = sorted(CATALOGUE.keys() - UNKNOWN_TO_WAREHOUSE)
KINDS = ("shopify", "easypost", "returngo")

Posted = tuple[str, dict[str, str], bytes]  # path, headers, body


@dataclass(frozen=True, slots=True)
class Life:
    """What has been delivered of an order by a step of its life."""

    order: str
    posted: list[Posted]


def life(outside: Outside, n: int, *, ends_early: bool = False) -> Iterator[Life]:
    """One order, a deed at a time: from sale to inspected return, unless it ends early. Every tenth is cancelled in the store."""
    order, sku = f"L-{n:06}", SKUS[n % len(SKUS)]
    tale = Tale(order).sold(Item(sku, 1 + n % 2, taxed=n % 3 == 0))
    if not ends_early:
        tale = tale.then(0, "cancel_in_store") if n % 10 == 9 else tale.asked(0, Back(sku)).travels(1, 2).inspected(3)
    for deed in tale.deeds:
        outside.do(deed)
        yield Life(order, posted(outside))


def posted(outside: Outside) -> list[Posted]:
    """The deliveries of the three that sign, or not, in their own ways; the warehouse's are signed for one moment only."""
    return [
        (f"/webhooks/{post.connector}" + (f"?{post.query}" if post.query else ""), dict(post.headers), post.body)
        for post in outside.posted()
        if post.connector in KINDS
    ]


def as_received(post: Posted, clock) -> tuple[str, WebhookRequest]:
    """The connector's name and the request it is asked to believe."""
    path, headers, body = post
    name, _, query = path.removeprefix("/webhooks/").partition("?")
    pairs = dict(part.split("=", 1) for part in query.split("&") if part)
    return name, WebhookRequest(body, {key.lower(): value for key, value in headers.items()}, pairs, clock())
