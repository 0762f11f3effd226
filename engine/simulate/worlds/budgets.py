"""Calls to each system against its budget, though every order is played by itself.

Orders share nothing but the budgets. They are played without any, and every call is counted in the order of time; the first
call of a day that finds its budget spent shuts the gate from that instant to midnight, and the orders that called after it are
played again. What came before the gate cannot have been changed by it, so each round settles one more gate for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from engine.facts.outside import TryLater
from engine.run.limits.budget import KEPT_BACK, Purpose

Gate = tuple[str, str, Purpose]  # role, day (UTC), purpose
Gates = Mapping[Gate, datetime]


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """One call to an outside system."""

    at: datetime
    role: str
    purpose: Purpose

    @property
    def day(self) -> str:
        return self.at.date().isoformat()


@dataclass(slots=True)
class Calls:
    """The calls of one order, under the gates known so far."""

    gates: Gates
    made: list[Call] = field(default_factory=list)

    def spend(self, role: str, purpose: Purpose, now: datetime) -> None:
        """One more call. Raises `TryLater` until midnight (UTC) behind a gate."""
        if not self.open(role, purpose, now):
            raise TryLater(f"the day's calls to {role} are used up", _midnight(now) - now)
        self.made.append(Call(now.astimezone(UTC), role, purpose))

    def open(self, role: str, purpose: Purpose, now: datetime) -> bool:
        gate = self.gates.get((role, now.astimezone(UTC).date().isoformat(), purpose))
        return gate is None or now < gate


def polls(role: str, every: timedelta, begins: datetime, ends: datetime, gates: Gates) -> list[Call]:
    """The polls of a system that take place."""
    calls = Calls(gates)
    number = (ends - begins) // every
    instants = (begins + every * n for n in range(number + 1))
    return [Call(at, role, "poll") for at in instants if calls.open(role, "poll", at)]


def next_poll(role: str, every: timedelta, begins: datetime, after: datetime, gates: Gates) -> datetime:
    """The first poll after an instant that takes place."""
    calls = Calls(gates)
    at = begins + every * ((after - begins) // every + 1)
    while not calls.open(role, "poll", at):
        at = begins + every * -((begins - _midnight(at)) // every)
    return at


def counted(calls: Iterable[Call]) -> Iterable[Call]:
    """In the order of time, as the budget counts them: what is looked up at one instant is asked for in one call."""
    seen: set[Call] = set()
    for call in sorted(calls):
        if call.purpose == "look_up" and call in seen:
            continue
        seen.add(call)
        yield call


def overdrawn(calls: Iterable[Call], budgets: Mapping[str, int]) -> tuple[Call, tuple[Gate, ...]] | None:
    """The first call that finds its budget spent, and the gates that are shut from then on: its own, and those of all purposes
    that leave at least as much of a budget to others.
    """
    spent: Counter[tuple[str, str]] = Counter()
    for call in counted(each for each in calls if each.role in budgets):
        if spent[call.role, call.day] >= budgets[call.role] * (1 - KEPT_BACK[call.purpose]):
            shut = [purpose for purpose, kept in KEPT_BACK.items() if kept >= KEPT_BACK[call.purpose]]
            return call, tuple((call.role, call.day, purpose) for purpose in shut)
        spent[call.role, call.day] += 1
    return None


def shut(gates: Gates, found: tuple[Call, tuple[Gate, ...]]) -> dict[Gate, datetime]:
    """The gates with these ones shut from that call on, where they were not shut before."""
    call, new = found
    return {**gates, **{gate: min(call.at, gates.get(gate, call.at)) for gate in new}}


def _midnight(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
