"""`instep races`: every interleaving of what can happen in a scenario, and the shortest that breaks a promise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from engine.cli.testing import after, located
from engine.facts.outside import installed_actions
from engine.simulate.races.racing import Raced, race, why_not
from engine.simulate.races.search import Limits, Searched
from engine.simulate.races.written import scenario_file
from engine.simulate.suite import Suite, suites


class NothingToRace(ValueError):  # noqa: N818
    """There is no scenario that could be raced; the message says why."""


@dataclass(slots=True)
class Races:
    """What was raced so far, and what could not be, with the reason."""

    limits: Limits
    raced: list[tuple[Suite, Raced]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def broken(self) -> list[Raced]:
        return [one for _, one in self.raced if not one.fine]

    def run(self, path: Path | None, client: str | None, named: str) -> Iterator[Raced]:
        """Race each in turn. Raises `ProblemsFound` where rules or scenarios are not understood, `NothingToRace`."""
        root, below = located(path)
        for suite in suites(root, installed_actions(), client, below):
            for scenario in suite.scenarios:
                if named.lower() not in f"{scenario.file} {scenario.title}".lower():
                    continue
                reason = why_not(scenario)
                if reason:
                    self.left_out.append((scenario.title, reason))
                    continue
                found = race(suite.rules_for(scenario), scenario, self.limits)
                self.raced.append((suite, found))
                yield found
        if not self.raced:
            about = f' with "{named}" in its title' if named else ""
            why = "; ".join(f'"{title}": {reason}' for title, reason in self.left_out[:3])
            raise NothingToRace(f"there is no scenario{about} in {path or 'rules/'} to race{f' ({why})' if why else ''}")

    def written(self) -> str:
        """The first counterexample as a scenario file."""
        suite, first = next(each for each in self.raced if not each[1].fine)
        return scenario_file(first, suite.rules_for(first.scenario).vocabulary)


def raced_lines(one: Raced, limits: Limits) -> Iterator[Text]:
    """One scenario: a line where its promises hold, a timeline where one breaks."""
    scenario, found = one.scenario, one.searched
    if one.fine:
        yield Text.assemble(("held    ", "green"), scenario.title, (f"  {counted(found)}; {reached(found, limits)}", "dim"))
        return
    yield Text.assemble(("BROKEN  ", "bold red"), (scenario.title, "bold"), (f"  {scenario.place}", "dim"))
    for breach in one.breaches:
        yield Text.assemble(
            "  promise   ", (breach.promise, "bold red"), (f"  {', '.join(breach.places) or 'of the engine itself'}", "dim")
        )
        yield Text.assemble("            ", (breach.said, "red"))
    shown = None
    for at in one.timeline:
        if at.at != shown:
            yield Text.assemble("  ", (after(at.at, scenario.start), "bold cyan"))
            shown = at.at
        for told in at.told:
            style = {"goes wrong": "yellow", "sent": "magenta"}.get(told.what, "")
            yield Text.assemble(f"    {told.what:<12}", (told.text, style))
        for text in at.decided:
            yield Text(f"    {'decided':<12}{text}")
    yield Text(f"  {counted(found)}", style="dim")


def counted(found: Searched) -> str:
    """What was looked at."""
    return (
        f"{found.states:,} states, {found.transitions:,} transitions, {found.ends:,} ends, "
        f"{found.spared:,} orders spared, {found.seconds:.1f} s"
    )


def reached(found: Searched, limits: Limits) -> str:
    """How far the search came, plainly."""
    if found.exhausted:
        return "every interleaving"
    whole = (
        f"every interleaving with up to {found.complete} deviations" if found.complete >= 0 else "not even all without deviations"
    )
    if not found.bound:
        return whole
    limit = f"{limits.most:,} states" if found.bound == "states" else f"{limits.seconds:g} seconds"
    return f"{whole}; stopped at {limit} among those with {found.complete + 1}"


def sum_lines(races: Races) -> Iterator[Text]:
    """The sum of it."""
    states = sum(r.searched.states for _, r in races.raced)
    seconds = sum(r.searched.seconds for _, r in races.raced)
    stopped = sum(bool(r.searched.bound) for _, r in races.raced)
    if races.left_out:
        yield Text(f"{len(races.left_out)} scenarios left out: {_reasons(races)}", style="dim")
    if stopped:
        yield Text(f"{stopped} stopped at their bound: raise --most or --seconds to go on", style="yellow")
    count, broken = len(races.raced), len(races.broken)
    fine = "1 scenario, every promise held" if count == 1 else f"{count} scenarios, every promise held"
    said = f"{broken} of {count} scenario{'s' if count > 1 else ''} broke a promise" if broken else fine
    yield Text(f"{said} ({states:,} states, {seconds:.1f} s)", style="red" if broken else "green")


def _reasons(races: Races) -> str:
    reasons = dict.fromkeys(reason for _, reason in races.left_out)
    return "; ".join(f"{sum(r == reason for _, r in races.left_out)}: {reason}" for reason in reasons)


def races_json(races: Races) -> dict[str, Any]:
    """The same for programs."""
    return {
        "limits": {"moves": races.limits.moves, "most": races.limits.most, "seconds": f"{races.limits.seconds:g}"},
        "broken": len(races.broken),
        "left_out": [{"title": title, "reason": reason} for title, reason in races.left_out],
        "scenarios": [_raced_json(suite, one) for suite, one in races.raced],
    }


def _raced_json(suite: Suite, one: Raced) -> dict[str, Any]:
    found = one.searched
    return {
        "suite": suite.name,
        "title": one.scenario.title,
        "file": one.scenario.place.file,
        "line": one.scenario.place.line,
        "held": one.fine,
        "states": found.states,
        "transitions": found.transitions,
        "ends": found.ends,
        "orders_spared": found.spared,
        "orders_of_observations": one.orders,
        "seconds": f"{found.seconds:.3f}",
        "bound": found.bound or None,
        "complete_deviations": found.complete,
        "exhausted": found.exhausted,
        "broken": [{"promise": b.promise, "said": b.said, "places": list(b.places)} for b in one.breaches],
        "timeline": [
            {"at": at.at, "told": [{"what": t.what, "text": t.text} for t in at.told], "decided": list(at.decided)}
            for at in one.timeline
        ],
    }
