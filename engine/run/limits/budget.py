"""Every request to the outside is counted here before it leaves, against what the outside allows, and spent by priority.

What is spent is in the store before the request is sent, so a crash can only make us think that more was sent than was.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.facts.budget import ALL, Limit, Limited, OverBudget, Purpose, Quota, allowed
from engine.facts.outside import Connector
from engine.language.durations import show_duration
from engine.run.clock import Clock
from engine.run.limits.forecast import instants
from engine.run.limits.ledger import KEPT_BACK, LONGEST_REST, Ledger, Level, Room, Spent, Standing, sized
from engine.store.base import Store
from engine.store.budgets import MarkRow

__all__ = ["KEPT_BACK", "Budget", "Forecast", "Purpose", "quota_of", "read_ledger", "told"]

PATIENCE = timedelta(seconds=2)  # what comes back within it is waited for on the spot
ON_THE_WAY = timedelta(minutes=1)  # how long before a crash what was sent may still have been on its way
FORGET_EVERY = 200
LOOK_UP_AND_SEND: Mapping[str, int] = {"": 2}  # what an effect takes where the connector does not say


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the limits of one connector leave to effects, as of `now`, if nothing else is sent."""

    ledger: Ledger
    costs: Mapping[str, Mapping[str, int]]
    now: datetime

    def instants(self, actions: Sequence[str], until: datetime | None = None) -> tuple[datetime | None, ...]:
        """When effects of these actions (`marketplace.refund`), the most urgent first, can be sent beside each other; None where
        not by `until`. Nothing that is told here is spent.
        """
        return instants(self.ledger, [self._cost(action) for action in actions], self.now, until)

    def _cost(self, action: str) -> Mapping[str, int]:
        return self.costs.get(action.rpartition(".")[2], LOOK_UP_AND_SEND)


class Budget:
    """The limits of every connector of a client, by the connector's name. One service owns it, as it owns its store."""

    def __init__(self, store: Store, clock: Clock, quotas: Mapping[str, Quota]) -> None:
        self._store = store
        self._clock = clock
        self._quotas = dict(quotas)
        self._ledgers = {name: _loaded(store, name, quota.limits, clock()) for name, quota in quotas.items()}
        self._since_forgotten: Counter[str] = Counter()
        self.sent: Counter[tuple[str, str, Purpose]] = Counter()  # requests by connector, operation and purpose, since the start
        with store.transaction():
            for name, ledger in self._ledgers.items():
                self._forget(name, ledger)
            for name in {*store.budgets.declared(), *quotas}:
                store.budgets.declare(name, _written(quotas[name].limits) if name in quotas else "")

    @contextmanager
    def spending(self, connector: Connector, purpose: Purpose) -> Iterator[None]:
        """What is sent to it within is counted, as being for this."""
        with allowed(_Account(self, connector.name, purpose)):
            yield

    def forecast(self, connector: Connector) -> Forecast:
        quota = self._quotas.get(connector.name, Quota({}))
        return Forecast(self._ledger(connector.name), quota.costs, self._clock())

    def standings(self) -> dict[str, list[Standing]]:
        """How it stands with every limit, by connector."""
        now = self._clock()
        return {name: ledger.standings(now) for name, ledger in sorted(self._ledgers.items()) if ledger.limits}

    def told(self) -> list[dict[str, Any]]:
        """The same as plain values, for status pages."""
        return told(self._ledgers, self._clock())

    def requests(self) -> list[dict[str, Any]]:
        """What was sent since the start, as plain values."""
        return [
            {"connector": connector, "operation": operation, "purpose": purpose, "count": count}
            for (connector, operation, purpose), count in sorted(self.sent.items())
        ]

    async def spend(self, connector: str, operation: str, units: int, purpose: Purpose) -> _Spending:
        ledger = self._ledger(connector)
        while True:
            now = self._clock()
            ledger.put_right(now)
            room = ledger.room(operation, units, purpose, now)
            if room.at <= now:
                return self._spend(connector, ledger, operation, units, purpose, now)
            if room.limit is not None and room.pace is None:
                ledger.claim(room.limit, purpose, room.at)
            if room.at - now > PATIENCE:
                raise OverBudget(_why(connector, ledger, room, purpose), room.at - now)
            await self._clock.wait(room.at, asyncio.Event())

    def _spend(self, connector: str, ledger: Ledger, operation: str, units: int, purpose: Purpose, now: datetime) -> _Spending:
        self.sent[connector, operation, purpose] += 1
        limits = list(ledger.of(operation))
        spent = ledger.spend(operation, units, purpose, now)
        with self._store.transaction():
            if any(not limit.refills for limit in limits):
                self._keep(connector, spent)
            self._keep_levels(connector, ledger, limits)
            self._since_forgotten[connector] += 1
            if self._since_forgotten[connector] >= FORGET_EVERY:
                self._since_forgotten[connector] = 0
                self._forget(connector, ledger)
        return _Spending(self, connector, ledger, spent, units)

    def _forget(self, connector: str, ledger: Ledger) -> None:
        for operation, since in ledger.forget(self._clock()).items():
            self._store.budgets.forget(connector, operation, since - ON_THE_WAY)

    def _keep(self, connector: str, spent: Spent) -> None:
        if spent.id:
            self._store.budgets.change(spent.id, spent.at, spent.units)
        else:
            spent.id = self._store.budgets.spend(connector, spent.operation, spent.purpose, spent.at, spent.units)

    def _keep_levels(self, connector: str, ledger: Ledger, limits: Iterable[Limit]) -> None:
        for limit in limits:
            level = ledger.levels.get(limit.operation)
            if limit.refills and level is not None:
                self._store.budgets.mark(connector, MarkRow("level", limit.operation, level.at, level.used))

    def give_back(self, connector: str, ledger: Ledger, spent: Spent, units: int) -> None:
        spent.units -= units
        now = self._clock()
        limits = list(ledger.of(spent.operation))
        for limit in limits:
            level = ledger.levels.get(limit.operation)
            if limit.refills and level is not None:
                level.used = max(0.0, level.used - units)
        with self._store.transaction():
            if spent.id:
                self._store.budgets.change(spent.id, min(spent.at, now), spent.units)
            self._keep_levels(connector, ledger, limits)

    def over(self, ledger: Ledger, spent: Spent, units: int) -> None:
        ledger.under_way -= units
        spent.at = max(spent.at, self._clock())

    def rest(self, connector: str, ledger: Ledger, operation: str, wait: timedelta) -> None:
        """All of it, where it is the account as a whole that is limited; else the operation."""
        whole = any(not limit.operation for limit in ledger.of(operation))
        name = "" if whole else operation
        until = self._clock() + min(wait, LONGEST_REST)
        if ledger.rests.get(name, until) <= until:
            ledger.rests[name] = until
            self._store.budgets.mark(connector, MarkRow("rest", name, until))

    def left(self, connector: str, ledger: Ledger, operation: str, units: int, most: int | None, per: timedelta | None) -> None:
        now = self._clock()
        for limit in list(ledger.of(operation)):
            if limit.refills:
                size = sized(limit, Level(0.0, now, most, per))
                used = max(size.units - units, 0) + ledger.under_way  # which the outside may not have seen yet
                ledger.levels[limit.operation] = Level(float(used), now, most, per)
                self._keep_levels(connector, ledger, [limit])
            elif not limit.operation:
                ours = limit.units - sum(n for _, n in ledger.lasting(limit, now))
                if units < ours:
                    others = Spent("", "perform", now, now, ours - units)
                    ledger.spent.append(others)
                    self._keep(connector, others)

    def _ledger(self, connector: str) -> Ledger:
        return self._ledgers.setdefault(connector, Ledger(()))


@dataclass(frozen=True, slots=True)
class _Account:
    """The allowance of one call to a connector."""

    budget: Budget
    connector: str
    purpose: Purpose

    async def spend(self, operation: str, units: int = 1) -> _Spending:
        return await self.budget.spend(self.connector, operation, units, self.purpose)


@dataclass(slots=True)
class _Spending:
    _budget: Budget
    _connector: str
    _ledger: Ledger
    _spent: Spent
    _units: int
    _given_back: bool = False
    _over: bool = False

    def give_back(self) -> None:
        if not self._given_back:
            self._given_back = True
            self._budget.give_back(self._connector, self._ledger, self._spent, self._units)

    def over(self) -> None:
        if not self._over:
            self._over = True
            self._budget.over(self._ledger, self._spent, self._units)

    def rest(self, wait: timedelta) -> None:
        self._budget.rest(self._connector, self._ledger, self._spent.operation, wait)

    def left(self, units: int, most: int | None = None, per: timedelta | None = None) -> None:
        self.over()  # it tells of this request, too
        self._budget.left(self._connector, self._ledger, self._spent.operation, units, most, per)


def quota_of(connector: Connector, overrides: Iterable[Limit] = ()) -> Quota:
    """What the connector says is allowed; limits of client.yaml take the place of all there are for the same operation."""
    quota = connector.quota if isinstance(connector, Limited) else Quota({})
    units = {limit.operation: limit.unit for limit in quota.limits}  # a request may count as several points
    own = tuple(replace(limit, unit=units.get(limit.operation, units.get("", limit.unit))) for limit in overrides)
    replaced = {limit.operation for limit in own}
    return replace(quota, limits=(*(one for one in quota.limits if one.operation not in replaced), *own))


def read_ledger(store: Store, connector: str, limits: str, now: datetime) -> Ledger:
    """As `Budget.declare`d by the service, for somebody who only looks."""
    return _loaded(store, connector, _read(limits), now, on_the_way=timedelta(0))


def told(ledgers: Mapping[str, Ledger], now: datetime) -> list[dict[str, Any]]:
    """How it stands with each limit, as plain values."""
    return [
        {
            "connector": name,
            "operation": standing.limit.operation or ALL,
            "limit": said(standing.limit),
            "unit": standing.limit.unit,
            "most": standing.limit.units,
            "per": show_duration(standing.limit.per),
            "spent": standing.spent,
            "left": standing.left,
            "back_at": _iso(standing.back_at),
            "resting_until": _iso(standing.resting_until),
            "by_purpose": ledger.by_purpose(standing.limit, now),
        }
        for name, ledger in sorted(ledgers.items())
        for standing in ledger.standings(now)
    ]


def said(limit: Limit) -> str:
    """`2000 requests per 1d`; of a bucket `2000 points refilled in 20s`."""
    per, unit = show_duration(limit.per), limit.unit.removesuffix("s") if limit.units == 1 else limit.unit
    return f"{limit.units} {unit} refilled in {per}" if limit.refills else f"{limit.units} {unit} per {per}"


def _why(connector: str, ledger: Ledger, room: Room, purpose: Purpose) -> str:
    until = f"{room.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if room.limit is None:
        return f"{connector} asked to be left alone until {until}"
    what = f"{connector} {room.limit.operation}".rstrip()
    if room.pace is not None:
        return f"of the budget of {what}, {said(room.limit)}, polls and fetches get {said(room.pace)}: used up until {until}"
    kept = int(sized(room.limit, ledger.levels.get(room.limit.operation)).units * KEPT_BACK[purpose])
    rest = f" ({kept} of them are kept for what is more urgent)" if kept else ""
    return f"the budget of {what}, {said(room.limit)}, is used up until {until}{rest}"


def _loaded(store: Store, connector: str, limits: tuple[Limit, ...], now: datetime, on_the_way: timedelta = ON_THE_WAY) -> Ledger:
    """As it was left. What was sent last may have arrived any time until the process had ended."""
    ledger = Ledger(limits)
    for row in store.budgets.spent(connector):
        at = min(row.at + on_the_way, max(now, row.at))
        ledger.spent.append(Spent(row.operation, _purpose(row.purpose), row.at, at, row.units, row.id))
    for mark in store.budgets.marks(connector):
        if mark.kind == "rest":
            ledger.rests[mark.operation] = mark.at
        elif mark.kind == "level":
            ledger.levels[mark.operation] = Level(mark.units, min(mark.at + on_the_way, max(now, mark.at)))
    ledger.put_right(now)
    return ledger


def _purpose(text: str) -> Purpose:
    return next((purpose for purpose in KEPT_BACK if purpose == text), "perform")


def _written(limits: Iterable[Limit]) -> str:
    return json.dumps(
        [
            {
                "units": limit.units,
                "per": limit.per.total_seconds(),
                "operation": limit.operation,
                "refills": limit.refills,
                "unit": limit.unit,
            }
            for limit in limits
        ]
    )


def _read(text: str) -> tuple[Limit, ...]:
    return tuple(Limit(**{**one, "per": timedelta(seconds=one["per"])}) for one in json.loads(text or "[]"))


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
