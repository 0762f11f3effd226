"""What a world came to as one page of HTML that needs nothing else: no network, no script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal

from engine.simulate.report import TONES, Chart, Lying, lying, standing, templates
from engine.simulate.worlds.season import Outcome
from engine.simulate.worlds.told import sections, sides

KINDS_SHOWN = 40
DAYS_SHOWN = 75  # of a chart: more would be bars too thin to see
Days = dict[str, Decimal]


def page(outcome: Outcome) -> str:
    """The whole page. Everything that came from a file is escaped."""
    ranked = sorted(outcome.kinds.items(), key=lambda one: (-one[1], one[0]))
    return (
        templates()
        .get_template("worlds/page.html.j2")
        .render(
            outcome=outcome,
            world=outcome.world,
            after=outcome.after,
            before=outcome.before,
            compared=outcome.before is not None,
            tiles=list(_tiles(outcome)),
            charts=list(_charts(outcome)),
            groups=list(_groups(outcome)),
            sections=[section for section in sections(outcome) if section.rows],
            kinds=[
                {"what": what, "rule": rule, "count": count, "tone": TONES.get(what, "")}  # type: ignore[call-overload]
                for (what, rule), count in ranked[:KINDS_SHOWN]
            ],
            more=max(0, len(ranked) - KINDS_SHOWN),
        )
    )


def _tiles(outcome: Outcome) -> Iterator[dict[str, str]]:
    both = sides(outcome)
    now = both[-1]
    yield {"name": "orders", "value": f"{now.orders:,}"}
    yield {"name": "returns", "value": f"{now.returns:,}"}
    money = sum(now.money.values(), Decimal())
    yield {"name": "refunded", "value": f"{money:,.2f} {outcome.world.currency}"}
    for name, counts in (
        ("refunded too late", [f.late for f in both]),
        ("refunded twice", [len(f.twice) for f in both]),
        ("exceptions", [f.exceptions for f in both]),
    ):
        change = f" ({counts[-1] - counts[0]:+,})" if counts[-1] != counts[0] else ""
        yield {"name": f"{name}{change}", "value": f"{counts[-1]:,}"}


def _charts(outcome: Outcome) -> Iterator[Chart]:
    both = sides(outcome)
    currency = outcome.world.currency
    yield from _by_day("Refunded by day", [f.money_by_day for f in both], "{:,.2f} " + currency)
    for owner in sorted({owner for f in both for owner in f.load}):
        days = [{day: Decimal(load.open) for day, load in f.load.get(owner, {}).items()} for f in both]
        yield from _by_day(f"Open for {owner} when the day ended", days, "{:,}")
    for role, limit in outcome.budgets.items():
        calls = [{day: Decimal(n) for day, n in f.calls.get(role, {}).items()} for f in both]
        yield from _by_day(f"Calls to {role} by day, of {limit:,}", calls, "{:,}")
    waiting = {day: Decimal(n) for day, n in outcome.backlog.items()}
    yield from _by_day("Parcels at the warehouse's gate when the day ended", [waiting], "{:,}")


def _by_day(title: str, days: list[Mapping[str, Decimal]] | list[Days], form: str) -> Iterator[Chart]:
    """With the days on which there was nothing; nothing at all where there is one day or none."""
    named = sorted({day for side in days for day in side})
    if len(named) < 2:
        return
    first, last = date.fromisoformat(named[0]), date.fromisoformat(named[-1])
    last = min(last, first + timedelta(days=DAYS_SHOWN - 1))
    shown = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    most = max(value for side in days for value in side.values())
    yield standing(
        f"{title} (at most {form.format(most)})", [{day: side.get(day, Decimal()) for day in shown} for side in days], form
    )


def _groups(outcome: Outcome) -> Iterator[Lying]:
    both = sides(outcome)
    currency = outcome.world.currency
    yield lying(f"Refunded by rule, {currency}", [f.money for f in both], "{:,.2f} " + currency)
    opened: list[Days] = []
    for f in both:
        by_rule: Days = {}
        for (rule, owner), count in f.seen.exceptions.items():
            by_rule[f"{rule} ({owner})"] = Decimal(count)
        opened.append(by_rule)
    if any(opened):
        yield lying("Exceptions by rule", opened, "{:,}")
