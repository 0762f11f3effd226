"""Mirakl's part in the contract tests."""

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.mirakl.connector import MiraklConnector
from connectors.mirakl.sandbox import MiraklSandbox
from connectors.mirakl.shapes import NewLine, NewTax
from connectors.serving import Served
from engine.facts.outside import Clock, Order
from engine.facts.values import Money
from tests.connectors.kit import Kit, World

CODES = {
    "marketplace.refund.reason": {"default": "17", "out_of_stock": "15", "not_ours": "14"},
    "marketplace.cancel.reason": {"default": "34"},
    "marketplace.resolve_incident.reason": {"default": "11"},
    "marketplace.set_return.reason": {"default": "RETURN_REJECTION_NOT_ELIGIBLE"},
    "marketplace.report_compliance.reason": {"default": "RETURN_NON_COMPLIANT_OTHER"},
}


def payload(line: str = "A-1-1", amount: str = "100.00", shipping: str = "2.50", **more: object) -> dict[str, object]:
    """One unit of a line of two, as `engine.facts.refunds.payload` gives it."""
    return {
        "line": line,
        "order": line.rsplit("-", 1)[0],
        "currency": "USD",
        "tax_mode": "included",
        "reason": None,
        "quantity": 1,
        "amount": Money.of(amount, "USD"),
        "shipping_amount": Money.of(shipping, "USD"),
        "taxes": ({"code": "VAT", "amount": Money.of("16.67", "USD")},),
        "shipping_taxes": (),
        **more,
    }


def order(clock: Clock, action: str, params: dict[str, object], key: str = "") -> Order:
    return Order(key or f"{action}:x", f"marketplace.{action}", "x", (), params, 1, clock())


def fill(sandbox: MiraklSandbox) -> dict[str, str]:
    """Orders in the states the actions need; the ids of two returns."""
    vat = NewTax("VAT", "33.34")
    line = NewLine("SHOE-41", 2, "100.00", "5.00", taxes=(vat,), commission="20.00", commission_tax="4.00")
    world = sandbox.world
    world.add_order("A-1", line)
    world.ship("A-1")
    world.add_order("B-1", line, state="WAITING_DEBIT", debited=False)
    world.add_order("C-1", line)
    world.receive("C-1")
    world.open_incident("C-1", "C-1-1")
    asked, received = world.open_return("A-1", {"A-1-1": 1}), world.open_return("C-1", {"C-1-1": 1})
    world.set_return_state(received, "RECEIVED")
    return {"asked": asked, "received": received}


@contextmanager
def world(clock: Clock) -> Iterator[World]:
    sandbox = MiraklSandbox(clock)
    returns = fill(sandbox)
    line = {"id": "C-1-1", "key": "C-1/C-1-1", "parent": {"id": "C-1"}}
    orders = {
        "refund": payload(),
        "cancel": payload("B-1-1"),
        "resolve_incident": {"line": line, "reason": None},
        "set_return": {"market_return": {"id": returns["asked"]}, "state": "accepted"},
        "report_compliance": {"market_return": {"id": returns["received"]}, "compliant": True},
    }
    with Served(sandbox.app) as url:
        yield World(
            settings=sandbox.settings(url),
            orders={name: order(clock, name, params) for name, params in orders.items()},
            faults=sandbox.faults,
            secrets=[sandbox.api_key],
        )


def kit() -> Kit:
    return Kit(MiraklConnector, world, CODES, unreachable={"url": "http://127.0.0.1:9"})
