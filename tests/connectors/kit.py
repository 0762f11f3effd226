"""What a connector brings to the contract tests: a world to connect to, and one sound order for each of its actions.

A connector takes part by a module `contract_<name>.py` beside this one, with a function `kit() -> Kit`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from connectors.serving import Faults
from engine.facts.outside import Clock, Codes, Connector, Event, Order, Page, WebhookRequest

T = TypeVar("T")
MAIN = Path(__file__).parents[2]


@dataclass(frozen=True)
class World:
    """One sandbox being served, with something in it, and how to reach it."""

    settings: Mapping[str, Any]
    orders: Mapping[str, Order] = field(default_factory=dict)  # by action name: each can be performed once
    webhooks: Sequence[WebhookRequest] = ()  # genuine deliveries
    faults: Faults | None = None  # how to make it fail, where it is served over HTTP
    secrets: Sequence[str] = ()  # what must never be shown


@dataclass(frozen=True)
class Kit:
    """`world` serves a fresh sandbox on a clock; `unreachable` are settings that lead nowhere."""

    connector: type[Connector]
    world: Callable[[Clock], AbstractContextManager[World]]
    codes: Codes = field(default_factory=dict)
    unreachable: Mapping[str, Any] = field(default_factory=dict)
    project: Path = MAIN  # whose pyproject.toml names its entry point


class TestClock:
    """A clock that stands still until it is told to go on."""

    __test__ = False

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **delta: float) -> None:
        self.now += timedelta(**delta)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def pages(connector: Connector, feed: str, cursor: str = "") -> list[Page]:
    return [page async for page in connector.observe(feed, cursor)]


async def events(connector: Connector, feed: str, cursor: str = "") -> list[Event]:
    return [event for page in await pages(connector, feed, cursor) for event in page.events]


def shared(path: str) -> Path:
    """Reference data that is not part of the project; the test is skipped where it is absent."""
    root = Path(os.environ.get("INSTEP_SHARED", MAIN.parent / "shared"))
    found = root / "data" / path
    if not found.exists():
        pytest.skip(f"reference data {path} is not here (INSTEP_SHARED, or ../shared)")
    return found
