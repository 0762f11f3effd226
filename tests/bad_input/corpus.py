"""What bad inputs are bent from: the shipped files, what sandboxes say and deliver, and the reference data where it is there."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from engine.facts.outside import Connector, Event, Order, WebhookRequest
from tests.connectors.kit import MAIN, TestClock, pages

CONNECTORS = ("mirakl", "returngo", "shopify", "easypost", "shipbob", "ledger")
_SHARED = {  # reference data by the kind of event it looks like
    "returngo.rma": ("returngo", "rma_"),
    "shopify.order": ("shopify", "2024-10.orders."),
    "shopify.refund": ("shopify", "2024-10.refunds"),
    "shopify.fulfillment": ("shopify", "2024-10.fulfillments"),
    "easypost.tracker": ("easypost", "event-body"),
    "mirakl.platform": ("mirakl/examples", "PC01"),
    "mirakl.reasons": ("mirakl/examples", "RE01"),
    "mirakl.account": ("mirakl/examples", "A01"),
}


@dataclass(frozen=True)
class Spoken:
    """What one outside system says: events of its polls and deliveries as they come, and an order for each of its actions."""

    made: type[Connector]
    settings: Mapping[str, Any]
    codes: Mapping[str, Mapping[str, str]]
    events: Sequence[Event]
    deliveries: Sequence[WebhookRequest]
    orders: Mapping[str, Order]


@cache
def spoken(name: str) -> Spoken:
    """One day at a sandbox, served over loopback."""
    kit = importlib.import_module(f"tests.connectors.contract_{name}").kit()
    clock = TestClock()
    with kit.world(clock) as world:
        connector = kit.connector(kit.connector.Settings.model_validate(world.settings), clock, kit.codes)

        async def everything() -> list[Event]:
            found: list[Event] = []
            for feed in connector.feeds:
                for page in await pages(connector, feed):
                    found += page.events
                    for hint in page.hints:
                        found += await connector.fetch(hint.ref)
            for delivery in world.webhooks:
                for heard in connector.receive(delivery):
                    found += [heard] if isinstance(heard, Event) else await connector.fetch(heard.ref)
            for order in world.orders.values():
                found += (await connector.perform(order)).events
            await connector.close()
            return found

        events = asyncio.run(everything())
        return Spoken(kit.connector, dict(world.settings), kit.codes, events, list(world.webhooks), dict(world.orders))


@cache
def payloads() -> Mapping[str, tuple[str, ...]]:
    """JSON texts of every kind of event there is a mapping for."""
    found: dict[str, list[str]] = {}
    for name in CONNECTORS:
        for event in spoken(name).events:
            found.setdefault(event.kind, []).append(event.payload.decode())
    shared = MAIN.parent / "shared"
    root = (
        (shared if shared.is_dir() else MAIN) if "INSTEP_SHARED" not in os.environ else type(shared)(os.environ["INSTEP_SHARED"])
    )
    for kind, (folder, start) in _SHARED.items():
        for path in sorted((root / "data" / folder).glob(f"{start}*.json")):
            found.setdefault(kind, []).append(path.read_text(encoding="utf-8"))
    return {kind: tuple(dict.fromkeys(texts)) for kind, texts in sorted(found.items())}


@cache
def yaml_files(*tops: str) -> Mapping[str, str]:
    """The shipped YAML files below these folders, by name."""
    paths = (path for top in tops for path in sorted((MAIN / top).rglob("*.yaml")))
    return {path.relative_to(MAIN).as_posix(): path.read_text(encoding="utf-8") for path in paths}


@cache
def expressions() -> tuple[str, ...]:
    """Every expression of the shipped rules: what follows a key or a dash and speaks of a fact."""
    found: dict[str, None] = {}
    for text in yaml_files("rules/base", "mappings").values():
        for line in text.splitlines():
            said = line.split("#")[0].strip().removeprefix("- ").strip()
            value = said.partition(": ")[2].strip() or said
            if any(mark in value for mark in (".", "(", "==")) and len(value) < 300:
                found[value.strip("'\"[]{}")] = None
    return tuple(found)
