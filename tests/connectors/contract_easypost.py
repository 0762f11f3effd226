"""EasyPost's part in the contract tests."""

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.easypost.connector import EasyPostConnector
from connectors.easypost.sandbox import EasyPostSandbox
from connectors.serving import Served
from engine.facts.outside import Clock
from tests.connectors.kit import Kit, World


@contextmanager
def world(clock: Clock) -> Iterator[World]:
    sandbox = EasyPostSandbox(clock)
    sandbox.create_tracker("TRK-1")
    sandbox.pick_up("TRK-1")
    with Served(sandbox.app) as url:
        yield World(
            settings=sandbox.settings(url),
            webhooks=[delivery.request(clock) for delivery in sandbox.drain()],
            faults=sandbox.faults,
            secrets=[sandbox.api_key, sandbox.webhook_secret],
        )


def kit() -> Kit:
    return Kit(EasyPostConnector, world)
