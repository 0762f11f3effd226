"""ShipBob's part in the contract tests."""

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.serving import Served
from connectors.shipbob.connector import ShipBobConnector
from connectors.shipbob.sandbox import ShipBobSandbox
from engine.facts.outside import Clock, Order
from tests.connectors.kit import Kit, World


@contextmanager
def world(clock: Clock) -> Iterator[World]:
    sandbox = ShipBobSandbox(clock, inventory={"SHOE-41": 11, "SHIRT-M": 12})
    sandbox.expect("RG-1-1", {"SHOE-41": 1})
    sandbox.expect("RG-2-1", {"SHIRT-M": 2})
    sandbox.inspect("RG-2-1", {"SHIRT-M": {"restock": 1, "dispose": 1}})
    lines = ({"sku": "SHOE-41", "quantity": 2}, {"sku": "SHIRT-M", "quantity": 1})
    shipment = {"id": "31", "key": "3/31", "receipt_ref": "RG-3-31", "tracking_number": "1Z3", "lines": lines}
    params = {"create_asn": {"shipment": shipment}, "cancel_asn": {"receipt": {"ref": "RG-1-1", "key": "RG-1-1"}}}
    with Served(sandbox.app) as url:
        yield World(
            settings=sandbox.settings(url),
            orders={name: Order(f"{name}:x", f"warehouse.{name}", "x", (), p, 1, clock()) for name, p in params.items()},
            webhooks=[delivery.request(clock) for delivery in sandbox.drain()],
            faults=sandbox.faults,
            secrets=[sandbox.token, sandbox.webhook_secret],
        )


def kit() -> Kit:
    return Kit(ShipBobConnector, world, unreachable={"url": "http://127.0.0.1:9"})
