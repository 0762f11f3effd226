"""What a world comes to, as plain JSON and as rows for people: one list of rows for every way they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from engine.language.durations import show_duration
from engine.simulate.told import difference_json
from engine.simulate.worlds.figures import Figures, Times, by_hand
from engine.simulate.worlds.season import Outcome

TIMES = "median / p90 / p99, from receipt where the goods came first. Without goods: they never came, or were turned down."
BOOKS = "by the world's own books. In a race somebody refunded after our look-up, before our refund: no look-up can see that."


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of each side. `bad` where it must be nothing and is not."""

    name: str
    cells: tuple[str, ...]
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under a heading. `note` says how their cells are read."""

    heading: str
    rows: tuple[Row, ...]
    note: str = ""


def sides(outcome: Outcome) -> tuple[Figures, ...]:
    """What it is compared with first, if anything."""
    return (outcome.after,) if outcome.before is None else (outcome.before, outcome.after)


def sections(outcome: Outcome) -> Iterator[Section]:
    """All there is to tell."""
    both = sides(outcome)
    yield Section(
        "Refunds",
        tuple(_refunds(outcome, both)),
        TIMES,
    )
    yield Section("Promises", tuple(_promises(both)), BOOKS)
    yield Section("Money", tuple(_money(outcome, both)), "beside each sum, in how many refunds.")
    said = "of each owner, opened on a median / the worst day; most open when a day ended."
    yield Section("Exceptions", tuple(_people(both)), said)
    yield Section("Calls on the busiest day", tuple(_calls(outcome, both)))
    if outcome.backlog:
        day, most = max(outcome.backlog.items(), key=lambda one: (one[1], one[0]))
        cells = (f"{most:,} on {day}",) * len(both)
        yield Section("Warehouse", (Row("most parcels at the gate", cells),))


def _row(
    name: str, both: Sequence[Figures], say: Callable[[Figures], str], *, bad: Callable[[Figures], bool] | None = None
) -> Row:
    return Row(name, tuple(say(side) for side in both), bad is not None and bad(both[-1]))


def _refunds(outcome: Outcome, both: Sequence[Figures]) -> Iterator[Row]:
    yield _row("first scan to refund", both, lambda f: said_times(f.from_scan))
    yield _row("receipt to refund", both, lambda f: said_times(f.from_receipt))
    yield _row("pieces to refund", both, lambda f: f"{f.owed:,}")
    yield _row("refunded before they came", both, lambda f: f"{f.before_goods:,}")
    yield _row("refunded without goods", both, lambda f: f"{f.without_goods:,}")
    limit = show_duration(outcome.world.deadline)
    yield _row(f"refunded after {limit}", both, lambda f: f"{f.late:,}")
    yield _row("never refunded", both, lambda f: f"{f.never:,}")


def _promises(both: Sequence[Figures]) -> Iterator[Row]:
    yield _row("refunded twice", both, lambda f: f"{len(f.twice):,}", bad=lambda f: bool(f.twice))
    if any(f.raced for f in both):
        yield _row("refunded twice in a race", both, lambda f: f"{len(f.twice_in_race):,} of {f.raced:,} races")
    yield _row("more than was left", both, lambda f: f"{len(f.too_much):,}", bad=lambda f: bool(f.too_much))
    yield _row("owed, nobody told", both, lambda f: f"{len(f.unpaid):,}", bad=lambda f: bool(f.unpaid))
    yield _row("still on the way", both, lambda f: f"{len(f.left_alone):,}", bad=lambda f: bool(f.left_alone))
    for promise in sorted({name for f in both for name in (*f.promises, *f.promises_in_race)}):
        yield Row(f"{promise} broken", tuple(_broken(f, promise) for f in both), bool(both[-1].promises[promise]))


def _broken(f: Figures, promise: str) -> str:
    raced = f.promises_in_race[promise]
    return f"{f.promises[promise]:,}" + (f", {raced:,} in a race" if raced else "")


def _money(outcome: Outcome, both: Sequence[Figures]) -> Iterator[Row]:
    currency = outcome.world.currency
    whole = (sum(f.money.values(), Decimal()) for f in both)
    yield Row("refunded in all", tuple(f"{amount:,.2f} {currency}" for amount in whole))
    for by in sorted({by for f in both for by in f.money}, key=lambda by: (by_hand(by), by)):
        name = f"{by} (an agent)" if by_hand(by) else by
        cells = tuple(f"{f.money.get(by, Decimal()):,.2f} in {f.refunds[by]:,}" for f in both)
        yield Row(f"  {name}", cells)


def _people(both: Sequence[Figures]) -> Iterator[Row]:
    yield _row("in all", both, lambda f: f"{f.exceptions:,}")
    for owner in sorted({owner for f in both for owner in f.load}):
        yield _row(f"  {owner}", both, lambda f, o=owner: _load(f, o))  # type: ignore[misc]
        for rule in sorted({rule for f in both for rule, whose in f.seen.exceptions if whose == owner}):
            yield _row(f"    {rule}", both, lambda f, k=(rule, owner): f"{f.seen.exceptions[k]:,}")  # type: ignore[misc]


def _load(f: Figures, owner: str) -> str:
    days = f.load.get(owner, {})
    opened = sorted(load.opened for load in days.values() if load.opened)
    most = max((load.open for load in days.values()), default=0)
    return f"{opened[len(opened) // 2]:,} / {opened[-1]:,}; {most:,}" if opened else "none"


def _calls(outcome: Outcome, both: Sequence[Figures]) -> Iterator[Row]:
    for role in sorted({role for f in both for role in f.calls}):
        limit = outcome.budgets.get(role)
        of = f" (of {limit:,})" if limit is not None else ""
        yield _row(f"{role}{of}", both, lambda f, r=role: f"{max(f.calls.get(r, {}).values(), default=0):,}")  # type: ignore[misc]


def said_times(times: Times) -> str:
    if not times.count:
        return "none"
    return " / ".join(show_duration(_rounded(seconds)) for seconds in (times.median, times.p90, times.p99))


def _rounded(seconds: int) -> timedelta:
    """To the minute, from a day on to the hour."""
    step = 60 if seconds < 86400 else 3600
    return timedelta(seconds=round(seconds / step) * step)


def world_json(outcome: Outcome) -> dict[str, Any]:
    """Everything, by side and by day. Times are in seconds."""
    world = outcome.world
    told: dict[str, Any] = {
        "client": outcome.client,
        "world": {"title": world.title, "starts": world.starts.isoformat(), "days": outcome.days, "seed": outcome.seed},
        "currency": world.currency,
        "budgets": dict(outcome.budgets),
        "backlog": dict(outcome.backlog),
        "with_it": _side_json(outcome.after),
    }
    if outcome.before is not None:
        told["against"] = _side_json(outcome.before)
        told["differing"] = outcome.differing
        told["kinds"] = [{"what": w, "rule": r, "count": n} for (w, r), n in sorted(outcome.kinds.items())]
        told["differences"] = [difference_json(d) for d in outcome.differences]
    return told


def _side_json(f: Figures) -> dict[str, Any]:
    return {
        "rule_set": f.rule_set,
        "orders": f.orders,
        "returns": f.returns,
        "pieces": f.owed,
        "from_scan": asdict(f.from_scan),
        "from_receipt": asdict(f.from_receipt),
        "before_goods": f.before_goods,
        "without_goods": f.without_goods,
        "never_refunded": f.never,
        "late": f.late,
        "unpaid": f.unpaid,
        "refunded_twice": f.twice,
        "refunded_twice_in_race": f.twice_in_race,
        "races": f.raced,
        "too_much": f.too_much,
        "left_alone": f.left_alone,
        "promises_broken": dict(sorted(f.promises.items())),
        "promises_broken_in_race": dict(sorted(f.promises_in_race.items())),
        "refunds": dict(sorted(f.refunds.items())),
        "money": {by: str(amount) for by, amount in sorted(f.money.items())},
        "money_by_day": {day: str(amount) for day, amount in sorted(f.money_by_day.items())},
        "exceptions": [{"rule": r, "owner": o, "count": n} for (r, o), n in sorted(f.seen.exceptions.items())],
        "load": {owner: {day: asdict(load) for day, load in days.items()} for owner, days in f.load.items()},
        "calls": {role: dict(sorted(days.items())) for role, days in sorted(f.calls.items())},
        "decisions": f.seen.counts["decisions"],
    }


def broken(outcome: Outcome) -> bool:
    """Whether the rule set broke what no rule set may: money sent twice or beyond what was left, or something owed in silence."""
    f = outcome.after
    return bool(f.twice or f.too_much or f.unpaid or f.left_alone or f.promises)
