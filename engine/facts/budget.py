"""How often an outside system may be asked, as data, and how each request is counted before it leaves.

A connector declares a `Quota`. The runtime says with `allowed` on whose account a call to a connector is made, and whoever
sends a request asks that `Allowance` first. Where none is said, nothing is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Literal, Protocol, runtime_checkable

from engine.facts.outside import TryLater

Purpose = Literal["perform", "look_up", "fetch", "poll"]
PURPOSES: tuple[Purpose, ...] = ("perform", "look_up", "fetch", "poll")
ALL = "all"  # how client.yaml and people name every operation together


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `units` in any span of `per`, of one operation or, where it names none, of all of them together.

    A bucket (`refills`) holds `units`, all of which may be spent at once, and is filled again evenly within `per`.
    """

    units: int
    per: timedelta
    operation: str = ""
    refills: bool = False
    unit: str = "requests"

    def covers(self, operation: str) -> bool:
        return self.operation in {"", operation}


@dataclass(frozen=True, slots=True)
class Quota:
    """What an outside system allows. `operations` names what can be asked of it, `costs` says which of these one effect of an
    action takes, as units by operation: its look-up, the request itself, and reading it again.
    """

    operations: Mapping[str, str]
    limits: tuple[Limit, ...] = ()
    costs: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: MappingProxyType({}))


@runtime_checkable
class Limited(Protocol):
    """A connector that knows how often it may ask."""

    @property
    def quota(self) -> Quota: ...


class OverBudget(TryLater):
    """Not sent: the budget is used up. `after` is when enough of it comes back."""

    after: timedelta

    def __init__(self, reason: str, after: timedelta) -> None:
        super().__init__(reason, after)


class Spending(Protocol):
    """What one request was counted as."""

    def give_back(self) -> None:
        """Nothing of it reached the outside."""
        ...

    def over(self) -> None:
        """It was answered or given up: what it spent comes back a whole period after this instant, whenever it arrived."""
        ...

    def rest(self, wait: timedelta) -> None:
        """The outside wants to be left alone for so long."""
        ...

    def left(self, units: int, most: int | None = None, per: timedelta | None = None) -> None:
        """The outside says how much is left. Of a bucket it is taken as said, with its size and the time it takes to fill;
        of any other limit only what is less than we thought, because others may ask on the same account.
        """
        ...


class Allowance(Protocol):
    """Whose account requests are on."""

    async def spend(self, operation: str, units: int = 1) -> Spending:
        """Counted for good when this returns. Waits where that takes seconds; raises `OverBudget` where it takes longer."""
        ...


class Free:
    """Of what is asked outside a service: nobody counts it."""

    async def spend(self, operation: str, units: int = 1) -> Spending:  # noqa: ARG002 - as the protocol has it
        return self

    def give_back(self) -> None: ...

    def over(self) -> None: ...

    def rest(self, wait: timedelta) -> None: ...

    def left(self, units: int, most: int | None = None, per: timedelta | None = None) -> None: ...


_ALLOWANCE: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


def allowance() -> Allowance:
    """The one that requests made here are on."""
    return _ALLOWANCE.get() or Free()


@contextmanager
def allowed(by: Allowance) -> Iterator[None]:
    """Requests made within are on this account."""
    token = _ALLOWANCE.set(by)
    try:
        yield
    finally:
        _ALLOWANCE.reset(token)
