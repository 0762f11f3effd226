"""What came of the cases of a replay: effects, exceptions and what was withheld, with their instants."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from engine.decide.memory import ExceptionState
from engine.decide.resolve import Blocked
from engine.facts.effects import EffectState
from engine.facts.values import Money
from engine.simulate.replay import ASSUMED, Seen

PROMISE = "promise_broken"
MONEY_ACTIONS = ("marketplace.refund",)  # what moves money out


@dataclass(frozen=True, slots=True)
class EffectSeen:
    """One effect. `amount` is all that it moves, where it moves money; `assumed` that only we say it went well."""

    key: str
    action: str
    rule: str
    item: str
    units: tuple[str, ...]
    status: str
    reason: str
    planned_at: datetime
    sent_at: datetime | None
    amount: Money | None
    mode: str
    assumed: bool


@dataclass(frozen=True, slots=True)
class ExceptionSeen:
    """One occurrence of an exception."""

    key: str
    rule: str
    item: str
    owner: str
    severity: str
    title: str
    opened_at: datetime
    closed_at: datetime | None
    why: str
    mode: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """What a rule asked for and did not get, because of which other rule, from when to when."""

    action: str
    rule: str
    item: str
    why: str
    by: str
    because: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class CaseSeen:
    """All of one case. `digest` is over every decision that came out differently from the one before it."""

    case: str
    effects: tuple[EffectSeen, ...]
    exceptions: tuple[ExceptionSeen, ...]
    withheld: tuple[Withheld, ...]
    decisions: int
    digest: str


@dataclass(frozen=True, slots=True)
class Came:
    """What one decision about a case came to: what its log is told."""

    now: datetime
    effects: tuple[EffectState, ...]
    exceptions: Mapping[str, ExceptionState]
    closed: tuple[tuple[ExceptionState, str], ...]
    blocked: tuple[Blocked, ...]
    digest: str = ""


@dataclass(slots=True)
class _Log:
    name: str
    effects: tuple[EffectState, ...] = ()
    open: dict[str, ExceptionSeen] = field(default_factory=dict)
    closed: list[ExceptionSeen] = field(default_factory=list)
    blocked: dict[tuple[str, ...], Withheld] = field(default_factory=dict)
    freed: list[Withheld] = field(default_factory=list)
    decisions: int = 0
    last: str = ""
    digests: list[str] = field(default_factory=list)

    def take(self, came: Came) -> None:
        self.effects = came.effects
        if came.digest != self.last or not came.digest:
            self.decisions += 1
            self.last = came.digest
            self.digests.append(came.digest)
        self._take_exceptions(came)
        self._take_withheld(came)

    def _take_exceptions(self, came: Came) -> None:
        why = {e.key: said for e, said in came.closed}
        for key in [k for k in self.open if k not in came.exceptions]:
            one = self.open.pop(key)
            self.closed.append(replace(one, closed_at=came.now, why=why.get(key, "decided by a person")))
        for key, state in came.exceptions.items():
            if key not in self.open:
                self.open[key] = ExceptionSeen(
                    key, state.rule, state.item, state.owner, state.severity, state.title, state.opened_at, None, "", state.mode
                )

    def _take_withheld(self, came: Came) -> None:
        current = {(b.action, b.rule, b.item, b.why, b.by): b.because for b in came.blocked}
        for key in [k for k in self.blocked if k not in current]:
            self.freed.append(replace(self.blocked.pop(key), until=came.now))
        for key, because in current.items():
            if key not in self.blocked:
                action, rule, item, why, by = key
                self.blocked[key] = Withheld(action, rule, item, why, by, because, came.now, None)


def gone_on(before: CaseSeen | None, case: str, came: Came) -> CaseSeen:
    """What came of a case so far, and of one more decision about it."""
    log = _Log(case)
    if before is not None:
        log.decisions, log.digests = before.decisions, [before.digest]
        log.open = {e.key: e for e in before.exceptions if e.closed_at is None}
        log.closed = [e for e in before.exceptions if e.closed_at is not None]
        log.blocked = {(w.action, w.rule, w.item, w.why, w.by): w for w in before.withheld if w.until is None}
        log.freed = [w for w in before.withheld if w.until is not None]
    log.take(came)
    return _case(log)


class Recorder:
    """Told of every decision of a replay, it knows in the end what came of each case."""

    def __init__(self) -> None:
        self._logs: dict[int, _Log] = {}
        self.passes = 0

    def __call__(self, seen: Seen) -> None:
        self.passes += 1
        log = self._logs.setdefault(seen.case_id, _Log(seen.case))
        log.name = seen.case
        decision = seen.decision
        left = seen.memory
        log.take(Came(decision.now, left.effects, left.exceptions, decision.closed, decision.blocked, seen.digest))

    def cases(self, absorbed: Container[int] = ()) -> list[CaseSeen]:
        """By name, without those that live on in another: what came of them is found there."""
        found = [_case(log) for case_id, log in self._logs.items() if case_id not in absorbed]
        return sorted((c for c in found if c.decisions), key=lambda c: c.case)

    def digests(self) -> dict[str, list[str]]:
        """By case, those of an exact replay in order."""
        return {log.name: log.digests for log in self._logs.values()}


def _case(log: _Log) -> CaseSeen:
    exceptions = sorted([*log.closed, *log.open.values()], key=lambda e: (e.opened_at, e.key))
    withheld = sorted([*log.freed, *log.blocked.values()], key=lambda w: (w.since, w.action, w.rule, w.item, w.by))
    digest = hashlib.blake2b("".join(log.digests).encode(), digest_size=16).hexdigest()
    effects = tuple(_effect(e) for e in log.effects if e.status != "withdrawn")
    return CaseSeen(log.name, effects, tuple(exceptions), tuple(withheld), log.decisions, digest)


def _effect(effect: EffectState) -> EffectSeen:
    return EffectSeen(
        effect.key,
        effect.action,
        effect.rule,
        effect.item,
        effect.units,
        effect.status,
        effect.reason,
        effect.planned_at,
        effect.sent_at,
        moved(effect),
        effect.mode,
        effect.receipt.get("reference") == ASSUMED,
    )


def moved(effect: EffectState) -> Money | None:
    """All that an effect moves: price and shipping, and the taxes where they come on top."""
    params = effect.params
    amounts = [params.get("amount"), params.get("shipping_amount")]
    if params.get("tax_mode") == "excluded":
        amounts += [tax.get("amount") for name in ("taxes", "shipping_taxes") for tax in params.get(name, ())]
    found = [amount for amount in amounts if isinstance(amount, Money)]
    return sum(found[1:], found[0]) if found else None


@dataclass(slots=True)
class Totals:
    """Figures over many cases. Adding is all that is done with them, so that the order of cases does not matter."""

    counts: Counter[str] = field(default_factory=Counter)  # cases, events, decisions, set_aside, missed_answers
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)  # action, status
    money: dict[tuple[str, str, str], Decimal] = field(default_factory=dict)  # day, rule, currency
    exceptions: Counter[tuple[str, str]] = field(default_factory=Counter)  # rule, owner
    promises: Counter[str] = field(default_factory=Counter)  # broken ones
    withheld: Counter[tuple[str, str]] = field(default_factory=Counter)  # action, because of which rule

    def add(self, cases: Sequence[CaseSeen], counts: Mapping[str, int]) -> None:
        self.counts.update(counts)
        for case in cases:
            self.counts["cases"] += 1
            for effect in case.effects:
                if effect.mode == "live":
                    self._add_effect(effect)
            for one in case.exceptions:
                if one.rule == PROMISE:
                    self.promises[one.key.rpartition("|")[2]] += 1
                elif one.mode == "live":
                    self.exceptions[one.rule, one.owner] += 1
            for kept in case.withheld:
                self.withheld[kept.action, kept.by] += 1

    def _add_effect(self, effect: EffectSeen) -> None:
        self.effects[effect.action, effect.status] += 1
        if effect.action in MONEY_ACTIONS and effect.status == "settled" and effect.amount is not None:
            day = (effect.sent_at or effect.planned_at).date().isoformat()
            key = (day, effect.rule, effect.amount.currency)
            self.money[key] = self.money.get(key, Decimal()) + effect.amount.amount

    def merge(self, other: Totals) -> None:
        self.counts.update(other.counts)
        self.effects.update(other.effects)
        self.exceptions.update(other.exceptions)
        self.promises.update(other.promises)
        self.withheld.update(other.withheld)
        for key, amount in other.money.items():
            self.money[key] = self.money.get(key, Decimal()) + amount
