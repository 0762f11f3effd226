"""The ledger's part in the contract tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from connectors.ledger.connector import LedgerConnector
from connectors.ledger.sandbox import LedgerSandbox
from engine.facts.outside import Clock, Order
from engine.facts.values import Money
from tests.connectors.kit import Kit, World

REFUND = {
    "id": "7",
    "key": "A-1/A-1-1/7",
    "parent": {"id": "A-1-1", "key": "A-1/A-1-1"},
    "amount": Money.of("50.00", "USD"),
    "taxes": ({"code": "VAT", "amount": Money.of("8.33", "USD")},),
    "commission": Money.of("10.00", "USD"),
    "total": Money.of("50.00", "USD"),
}


@contextmanager
def world(clock: Clock) -> Iterator[World]:
    params = {"post": {"refund": REFUND}, "adjust": {"refund": REFUND, "commission": Money.of("9.00", "USD")}}
    with TemporaryDirectory() as directory:
        yield World(
            settings=LedgerSandbox(Path(directory)).settings(),
            orders={name: Order(f"{name}:7", f"finance.{name}", "x", (), p, 1, clock()) for name, p in params.items()},
        )


def kit() -> Kit:
    return Kit(LedgerConnector, world)
