"""What differs in many cases, in figures that can be added up and kept."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from engine.simulate.candidates.kept import otherwise, seen
from engine.simulate.difference import Difference
from engine.simulate.seen import CaseSeen, Totals
from engine.store.candidates import BesideRow

_PAIRS = ("effects", "exceptions", "withheld")


@dataclass(slots=True)
class Figures:
    """`before` is what really came of the cases, `after` what would have with the candidate."""

    before: Totals = field(default_factory=Totals)
    after: Totals = field(default_factory=Totals)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    reactions: int = 0
    differing: int = 0

    def add(self, row: BesideRow, since: datetime) -> list[Difference]:
        """Counts a case in: what came of it since an instant, and all that differs. Answers what differs in it."""
        was, now = seen(row.was), seen(row.now)
        self.before.add([] if was is None else [_since(was, now, since)], {})
        self.after.add([] if now is None else [_since(now, was, since)], {})
        found = otherwise(row.name, was, now)
        self.kinds.update((d.what, d.rule) for d in found)
        self.reactions += sum(d.reaction for d in found)
        self.differing += bool(found)
        return found

    def to_text(self) -> str:
        """JSON text."""
        kinds = [[*key, count] for key, count in sorted(self.kinds.items())]
        told = {"before": _totals(self.before), "after": _totals(self.after), "kinds": kinds}
        return json.dumps({**told, "reactions": self.reactions, "differing": self.differing}, separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str) -> Self:
        """What `to_text` wrote; nothing for the empty text."""
        if not text:
            return cls()
        told = json.loads(text)
        kinds = Counter({(what, rule): count for what, rule, count in told["kinds"]})
        return cls(_totals_of(told["before"]), _totals_of(told["after"]), kinds, told["reactions"], told["differing"])


def _since(case: CaseSeen, other: CaseSeen | None, since: datetime) -> CaseSeen:
    """Without what is older and the same on the other side."""
    if other is None:
        return case
    effects = tuple(e for e in case.effects if (e.sent_at or e.planned_at) >= since or e not in other.effects)
    exceptions = tuple(x for x in case.exceptions if x.opened_at >= since or x not in other.exceptions)
    return replace(case, effects=effects, exceptions=exceptions)


def _totals(totals: Totals) -> dict[str, Any]:
    pairs = {name: [[*key, count] for key, count in sorted(getattr(totals, name).items())] for name in _PAIRS}
    money = [[*key, f"{amount:f}"] for key, amount in sorted(totals.money.items())]
    return {**pairs, "counts": dict(totals.counts), "promises": dict(totals.promises), "money": money}


def _totals_of(told: dict[str, Any]) -> Totals:
    pairs = {name: Counter({(one, other): count for one, other, count in told[name]}) for name in _PAIRS}
    money = {(day, rule, currency): Decimal(amount) for day, rule, currency, amount in told["money"]}
    return Totals(Counter(told["counts"]), money=money, promises=Counter(told["promises"]), **pairs)
