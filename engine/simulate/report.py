"""What came of a replay as one page of HTML that needs nothing else: no network, no script."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from engine.simulate.backtest import Result, Story
from engine.simulate.difference import Difference, What
from engine.simulate.seen import CaseSeen, Totals

MOST_CASES = 300  # told in full; more would make a page no one opens
WIDTH = 900
BAR_SPACE = 28  # the least for one label
HEIGHT = 220
LABEL = 36  # half of a label: closer to the edge it would be cut
FOOT, TOP, LEFT = 26, 16, 8
Side = Literal["was", "now"]
TONES: dict[What, str] = {
    "promise broken": "bad",
    "exception added": "bad",
    "promise kept": "good",
    "exception gone": "good",
    "withheld added": "wait",
}


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    side: Side
    said: str


@dataclass(frozen=True, slots=True)
class Label:
    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars that stand, one group for each day."""

    title: str
    bars: tuple[Bar, ...]
    labels: tuple[Label, ...]
    width: int = WIDTH
    height: int = HEIGHT
    least: int = 360


@dataclass(frozen=True, slots=True)
class Stretch:
    """A bar that lies: its share of the longest in per cent, and what stands behind it."""

    side: Side
    share: float
    said: str


@dataclass(frozen=True, slots=True)
class Lying:
    """Named groups of bars that lie, for names that are long."""

    title: str
    groups: tuple[tuple[str, tuple[Stretch, ...]], ...]


def templates() -> Environment:
    """The templates of pages. Everything that is put into them is escaped."""
    return Environment(
        loader=PackageLoader("engine.simulate", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(client: str, result: Result, beside: str = "") -> str:
    """The whole page. Everything that came from outside is escaped. `beside` says of a candidate since when and how it ran."""
    compared = bool(result.against)
    told = result.stories[:MOST_CASES]
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            client=client,
            result=result,
            beside=beside,
            after=result.after,
            compared=compared,
            span=_span(result),
            tiles=list(_tiles(result)),
            charts=list(_charts(result)),
            groups=list(_groups(result)),
            rows=list(_rows(_sides(result))),
            kinds=[
                {"what": what, "rule": rule, "count": count, "tone": TONES.get(what, "")}  # type: ignore[call-overload]
                for (what, rule), count in sorted(result.kinds.items(), key=lambda one: (-one[1], one[0]))
            ],
            cases=[_case(story, [d for d in result.differences if d.case == story.case]) for story in told],
            more=result.differing - len(told),
        )
    )


def _sides(result: Result) -> tuple[Totals, ...]:
    return (result.before, result.after) if result.against else (result.after,)


def _span(result: Result) -> str:
    days = sorted({key[0] for side in _sides(result) for key in side.money})
    return f"money moved from {days[0]} to {days[-1]}" if len(days) > 1 else f"money moved on {days[0]}" if days else ""


def _tiles(result: Result) -> Iterator[dict[str, str]]:
    yield {"name": "cases", "value": f"{result.after.counts['cases']:,}"}
    if result.against:
        yield {"name": "cases differ", "value": f"{result.differing:,}"}
    for currency, sums in _money(_sides(result)).items():
        moved = sums[-1] - sums[0]
        said = f"{sums[-1]:,.2f} {currency}"
        name = f"refunded ({moved:+,.2f})" if result.against and moved else "refunded"
        yield {"name": name, "value": said}
    opened = [sum(side.exceptions.values()) for side in _sides(result)]
    yield {"name": f"exceptions{_change(opened)}", "value": f"{opened[-1]:,}"}
    broken = [sum(side.promises.values()) for side in _sides(result)]
    yield {"name": f"promises broken{_change(broken)}", "value": f"{broken[-1]:,}"}


def _change(counts: Sequence[int]) -> str:
    return f" ({counts[-1] - counts[0]:+,})" if counts[-1] != counts[0] else ""


def _money(sides: Sequence[Totals]) -> dict[str, list[Decimal]]:
    currencies = sorted({key[2] for side in sides for key in side.money})
    return {c: [sum((a for key, a in side.money.items() if key[2] == c), Decimal()) for side in sides] for c in currencies}


def _charts(result: Result) -> Iterator[Chart]:
    sides = _sides(result)
    for currency in _money(sides):
        by_day = [_by_day(side, currency) for side in sides]
        if len({day for side in by_day for day in side}) > 1:
            yield standing(f"Refunded by day, {currency}", by_day, "{:,.2f} " + currency)


def _groups(result: Result) -> Iterator[Lying]:
    sides = _sides(result)
    for currency in _money(sides):
        yield lying(f"Refunded by rule, {currency}", [_by_rule(side, currency) for side in sides], "{:,.2f} " + currency)
    by_owner = [_by_owner(side) for side in sides]
    if any(by_owner):
        yield lying("Exceptions by owner", by_owner, "{:,}")


def _by_day(side: Totals, currency: str) -> dict[str, Decimal]:
    days: dict[str, Decimal] = {}
    for (day, _, of), amount in side.money.items():
        if of == currency:
            days[day] = days.get(day, Decimal()) + amount
    return days


def _by_rule(side: Totals, currency: str) -> dict[str, Decimal]:
    rules: dict[str, Decimal] = {}
    for (_, rule, of), amount in side.money.items():
        if of == currency:
            rules[rule] = rules.get(rule, Decimal()) + amount
    return rules


def _by_owner(side: Totals) -> dict[str, Decimal]:
    owners: dict[str, Decimal] = {}
    for (_, owner), count in side.exceptions.items():
        owners[owner] = owners.get(owner, Decimal()) + count
    return owners


def standing(title: str, sides: Sequence[dict[str, Decimal]], form: str) -> Chart:
    """Bars by day, of each side in turn; `form` says a value."""
    names = sorted({name for side in sides for name in side})
    most = _most(sides)
    slot = (WIDTH - 2 * LEFT) / max(1, len(names))
    width = min(36.0, slot * 0.8 / len(sides))
    every = max(1, -(-len(names) * 74 // WIDTH))  # so many labels fit
    bars, labels = [], []
    for place, name in enumerate(names):
        middle = LEFT + slot * (place + 0.5)
        for number, side in enumerate(sides):
            height = float(side.get(name, Decimal()) / most) * (HEIGHT - FOOT - TOP)
            left, top = middle + (number - len(sides) / 2) * width, HEIGHT - FOOT - height
            said = f"{name}: {form.format(side.get(name, Decimal()))}"
            bars.append(Bar(round(left, 1), round(top, 1), round(width - 2, 1), round(height, 1), _side(sides, number), said))
        if place % every == 0:
            labels.append(Label(round(min(max(middle, LABEL), WIDTH - LABEL), 1), HEIGHT - 8, name))
    return Chart(title, tuple(bars), tuple(labels), least=max(640, len(names) * BAR_SPACE))


def lying(title: str, sides: Sequence[dict[str, Decimal]], form: str) -> Lying:
    """Bars by name, the longest first."""
    names = sorted({name for side in sides for name in side}, key=lambda n: (-max(s.get(n, Decimal()) for s in sides), n))
    most = _most(sides)

    def stretch(number: int, name: str) -> Stretch:
        value = sides[number].get(name, Decimal())
        return Stretch(_side(sides, number), round(float(value / most) * 100, 1), form.format(value))

    return Lying(title, tuple((name, tuple(stretch(n, name) for n in range(len(sides)))) for name in names))


def _most(sides: Sequence[dict[str, Decimal]]) -> Decimal:
    return max((value for side in sides for value in side.values()), default=Decimal()) or Decimal(1)


def _side(sides: Sequence[object], number: int) -> Side:
    return "now" if number == len(sides) - 1 else "was"


def _rows(sides: Sequence[Totals]) -> Iterator[dict[str, Any]]:
    for key in sorted({key for side in sides for key in side.effects}):
        yield {"name": f"{key[0]}, {key[1].replace('_', ' ')}", "cells": [f"{side.effects[key]:,}" for side in sides]}
    for currency, sums in _money(sides).items():
        yield {"name": f"money refunded, {currency}", "cells": [f"{amount:,.2f}" for amount in sums]}
    for key in sorted({key for side in sides for key in side.exceptions}):
        yield {"name": f"exception {key[0]} for {key[1]}", "cells": [f"{side.exceptions[key]:,}" for side in sides]}
    for promise in sorted({key for side in sides for key in side.promises}):
        yield {"name": f"promise {promise} broken", "cells": [f"{side.promises[promise]:,}" for side in sides]}
    for key in sorted({key for side in sides for key in side.withheld}):
        yield {"name": f"{key[0]} withheld by {key[1]}", "cells": [f"{side.withheld[key]:,}" for side in sides]}


def _case(story: Story, found: Sequence[Difference]) -> dict[str, Any]:
    first = found[0].what if found else ""
    return {
        "name": story.case,
        "anchor": re.sub(r"[^A-Za-z0-9_-]", "-", story.case),
        "told": f"{len(found)} differences, first: {first}" if len(found) > 1 else first,
        "differences": [
            {
                "at": _when(d.at),
                "what": d.what,
                "tone": TONES.get(d.what, ""),
                "key": d.key,
                "was": d.was,
                "now": d.now,
                "reaction": d.reaction,
            }
            for d in found
        ],
        "before": list(_lines(story.before)),
        "after": list(_lines(story.after)),
        "observed": [{"at": _when(at), "text": what} for at, what in story.observed],
    }


def _lines(case: CaseSeen | None) -> Iterator[dict[str, str]]:
    """What came of a case, in the order of time."""
    if case is None:
        return
    lines: list[tuple[datetime, str]] = []
    for effect in case.effects:
        amount = f" of {effect.amount}" if effect.amount is not None else ""
        ended = f"{effect.status.replace('_', ' ')}{f': {effect.reason}' if effect.reason else ''}"
        lines.append((effect.sent_at or effect.planned_at, f"{effect.action}{amount} by {effect.rule}, {ended}"))
    for one in case.exceptions:
        lines.append((one.opened_at, f"{one.owner} is told: {one.title}"))
        if one.closed_at is not None:
            lines.append((one.closed_at, f"closed: {one.title} ({one.why})"))
    for kept in case.withheld:
        lines.append((kept.since, f"{kept.action} withheld by {kept.by}: {kept.because or kept.why}"))
        if kept.until is not None:
            lines.append((kept.until, f"{kept.action} no longer withheld by {kept.by}"))
    for at, text in sorted(lines):
        yield {"at": _when(at), "text": text}


def _when(at: datetime) -> str:
    return f"{at:%d %b %H:%M}"
