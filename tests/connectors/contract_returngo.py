"""ReturnGO's part in the contract tests."""

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.returngo.connector import ReturnGoConnector
from connectors.returngo.sandbox import ReturnGoSandbox
from connectors.returngo.shapes import Piece
from connectors.serving import Served
from engine.facts.outside import Clock, Order
from tests.connectors.kit import Kit, World


@contextmanager
def world(clock: Clock) -> Iterator[World]:
    sandbox = ReturnGoSandbox(clock)
    sandbox.listen("http://127.0.0.1/hooks/returngo")
    rma_id = sandbox.world.create_rma("5001", "#1001", [Piece("11", "SHOE-41", "100.00"), Piece("11", "SHOE-41", "100.00")])
    sandbox.world.approve(rma_id)
    (shipment,) = sandbox.world.shipments(rma_id)
    orders = {
        "set_status": {"rma": {"id": rma_id}, "status": "done"},
        "comment": {"rma": {"id": rma_id}, "text": "Refunded in the marketplace"},
        "set_shipment": {"shipment": {"id": shipment, "parent": {"id": rma_id}}, "status": "received"},
    }
    with Served(sandbox.app) as url:
        yield World(
            settings=sandbox.settings(url),
            orders={name: Order(name, f"returns.{name}", "x", (), params, 1, clock()) for name, params in orders.items()},
            webhooks=[delivery.request(clock) for delivery in sandbox.world.drain()],
            faults=sandbox.faults,
            secrets=[sandbox.api_key, sandbox.webhook_token],
        )


def kit() -> Kit:
    return Kit(ReturnGoConnector, world, unreachable={"url": "http://127.0.0.1:9"})
