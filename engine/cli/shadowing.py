"""`instep shadow report`: what rules in shadow would have done, beside what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from rich.text import Text

from engine.desk.stored import NotFound, visited
from engine.facts.codec import timestamp
from engine.language.show import show
from engine.problems import did_you_mean
from engine.simulate.history import activations, recorded
from engine.simulate.life import lives, rule_sets_of
from engine.simulate.shadow import Shadowed, shadowed

SHOWN = 10  # of each rule
VERBS = {"send": "would have sent", "raise": "would have raised", "withhold": "would have withheld"}


def shadow_report(database: Path | None, client: str, rule: str, since: str) -> list[Shadowed]:
    """Raises `NotFound` for what was asked wrongly, `ProblemsFound` for rule sets that are no longer taken."""
    first = _instant(since)
    with visited(database, client) as store:
        active = store.rule_sets.current()
        if active is None:
            raise NotFound("this store has not decided anything yet")
        if active.client != client:
            raise NotFound(f"this is the store of {active.client}, not of {client}")
        sets = rule_sets_of(activations(store))
        known = sorted({each.id for rule_set in sets.values() for each in rule_set.rules})
        if rule and rule not in known:
            raise NotFound(f"there is no rule {rule}{did_you_mean(rule, known)}")
        if not any(one.mode == "shadow" or any(r.mode == "shadow" for r in one.rules) for one in sets.values()):
            raise NotFound("no rule of this client was ever in shadow: write `mode: shadow` in a rule, or in client.yaml")
        found = list(shadowed(lives(recorded(store), sets)))
    return [one for one in found if rule in ("", one.rule) and (first is None or one.since >= first)]


def report_lines(found: Sequence[Shadowed]) -> Iterator[Text]:
    """By rule: how often, on which days, and each case with what was done beside it."""
    if not found:
        yield Text("Rules in shadow would have done nothing.", style="green")
    for rule in sorted({one.rule for one in found}):
        mine = sorted((one for one in found if one.rule == rule), key=lambda one: (one.since, one.case))
        counts = Counter(one.would for one in mine)
        said = ", ".join(f"{VERBS[would]} {count}" for would, count in sorted(counts.items()))
        yield Text.assemble((rule, "bold"), f"  {said}", (f"  {mine[-1].place}", "dim"))
        days = Counter(one.since.date().isoformat() for one in mine)
        yield Text("  " + ", ".join(f"{day}: {count}" for day, count in sorted(days.items())), style="dim")
        for one in mine[:SHOWN]:
            until = f" until {show(one.until)}" if one.until is not None else ""
            yield Text.assemble(
                f"  {one.case}  {VERBS[one.would]} {one.text}",
                (f"  from {show(one.since)}{until}", "dim"),
                (f"  really: {one.beside}", "green" if one.alike else "yellow"),
            )
        if len(mine) > SHOWN:
            yield Text(f"  and {len(mine) - SHOWN} more (--rule {rule} --json)", style="dim")


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return timestamp(text if "T" in text else f"{text}T00:00:00Z")
    except ValueError:
        raise NotFound(f'--since wants an instant like 2026-11-01 or 2026-11-01T09:00:00Z, not "{text}"') from None
