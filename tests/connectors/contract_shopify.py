"""Shopify's part in the contract tests."""

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.serving import Served
from connectors.shopify.connector import ShopifyConnector
from connectors.shopify.sandbox import ShopifySandbox
from engine.facts.outside import Clock
from tests.connectors.kit import Kit, World


@contextmanager
def world(clock: Clock) -> Iterator[World]:
    sandbox = ShopifySandbox(clock)
    first = sandbox.create_order([("SHOE-41", 2, "50.00")], order_ref="A-1")
    sandbox.fulfil(first, "1Z1")
    sandbox.refund(first, [("SHOE-41", 1)])
    sandbox.cancel(sandbox.create_order([("SHOE-41", 1, "50.00")]))
    with Served(sandbox.app) as url:
        yield World(
            settings=sandbox.settings(url),
            webhooks=[delivery.request(clock) for delivery in sandbox.drain()],
            faults=sandbox.faults,
            secrets=[sandbox.access_token, sandbox.webhook_secret],
        )


def kit() -> Kit:
    return Kit(ShopifyConnector, world, unreachable={"url": "http://127.0.0.1:9"})
