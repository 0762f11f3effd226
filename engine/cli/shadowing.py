"""`instep shadow`: a candidate beside the active rules, and what rules in shadow would have done, beside what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from engine.cli.candidates import candidate_report, print_report, said_of
from engine.cli.output import console
from engine.desk.stored import NotFound, visited
from engine.facts.codec import timestamp
from engine.language.show import show
from engine.problems import did_you_mean
from engine.simulate.candidates.told import Report, report_json
from engine.simulate.history import activations, recorded
from engine.simulate.life import lives, rule_sets_of
from engine.simulate.report import page
from engine.simulate.shadow import Shadowed, shadow_json, shadowed

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
            raise NotFound(
                "no rule of this client was ever in shadow: write `mode: shadow` in a rule, or in client.yaml; nor was a whole"
                f" rule set: instep shadow start {client} REF --by NAME"
            )
        found = list(shadowed(lives(recorded(store), sets)))
    return [one for one in found if rule in ("", one.rule) and (first is None or one.since >= first)]


@dataclass(frozen=True, slots=True)
class Whole:
    """What is known of shadows: the candidate, and rules in shadow; None where there was never any."""

    candidate: Report | None
    rules: list[Shadowed] | None


def whole_report(database: Path | None, client: str, rule: str, since: str, run: int) -> Whole:
    """Raises as `shadow_report`, and `NotFound` where nothing was ever in shadow, or no such run was."""
    candidate = candidate_report(database, client, run, rule, _instant(since))
    try:
        return Whole(candidate, None if run else shadow_report(database, client, "" if candidate else rule, since))
    except NotFound:
        if candidate is None:
            raise
        return Whole(candidate, None)


def print_whole(whole: Whole, client: str, database: Path | None, rule: str) -> None:
    """For people: the candidate first."""
    if whole.candidate is not None:
        print_report(whole.candidate, client, database, rule)
    if whole.candidate is not None and whole.rules is not None:
        console.print(Text("\nRules in shadow", style="bold"))
    if whole.rules is not None:
        for line in report_lines([one for one in whole.rules if rule in ("", one.rule)]):
            console.print(line)


def whole_json(whole: Whole) -> dict[str, Any]:
    """Plain JSON values."""
    rules = shadow_json(whole.rules or [])
    return rules if whole.candidate is None else {**rules, "candidate": report_json(whole.candidate)}


def page_of(whole: Whole, client: str) -> str:
    """One page of HTML. Raises `NotFound`."""
    if whole.candidate is None:
        raise NotFound("--html shows a candidate, and none ever ran beside this client's rules")
    return page(client, whole.candidate.result, said_of(whole.candidate))


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
