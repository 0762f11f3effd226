"""`instep simulate --world`: a rule set in a world, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from engine.cli.asked import AskedOfWorld
from engine.cli.output import console, errors
from engine.cli.simulating import files_named
from engine.desk.stored import NotFound, visited
from engine.language.files import project_root, read_files
from engine.language.pack import clients
from engine.language.worlds.files import world_named
from engine.problems import did_you_mean
from engine.simulate.worlds.season import Outcome, Season, simulate_season
from engine.simulate.worlds.told import sections, sides

KINDS_SHOWN = 12


def played(root: Path | None, client: str, asked: AskedOfWorld) -> Outcome:
    """Plays it. Raises `NotFound`, `NoSuchWorld`, `NoSuchRuleSet` for what was asked wrongly, `ProblemsFound` for files"""
    place = project_root(root)
    files = read_files(place)
    there = clients(files)
    if client not in there:
        raise NotFound(f'there is no client "{client}"{did_you_mean(client, there)}')
    world = world_named(files, asked.world)
    candidate, against = (_files(ref, client, place, asked.database) for ref in (asked.rules, asked.against))
    season = Season(client, world, candidate or files.contents, against, asked.days, asked.seed)
    with _progress() as progress:
        return simulate_season(season, workers=asked.workers, progress=progress)


def _files(ref: str, client: str, root: Path, database: Path | None) -> dict[str, bytes] | None:
    if not ref:
        return None
    if database is None:
        return dict(files_named(ref, root, None))
    with visited(database, client) as store:
        return dict(files_named(ref, root, store))


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    if not errors.is_terminal:
        yield lambda *_: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("orders"))
    with Progress(*columns, TimeRemainingColumn(), console=errors, transient=True) as shown:
        task = shown.add_task("working out who orders what", total=None)
        yield lambda what, done, of: shown.update(task, description=what, completed=done, total=of)


def print_outcome(outcome: Outcome) -> None:
    """For people: what the world was like, and what came of it."""
    world, after = outcome.world, outcome.after
    console.print(Text(world.title or "A world", style="bold"))
    what = f"{outcome.days} days from {world.starts}, seed {outcome.seed}: {after.orders:,} orders, {after.returns:,} returns"
    console.print(f"{what}, {after.seen.counts['decisions']:,} decisions")
    console.print(f"Rule set {after.rule_set}" + (f" against {outcome.before.rule_set}" if outcome.before else ""))
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=outcome.before is not None)
    table.add_column("")
    for name in ("against", "with it")[2 - len(sides(outcome)) :]:
        table.add_column(name, justify="right")
    told = list(sections(outcome))
    for section in told:
        table.add_row(Text(f"\n{section.heading}", style="bold"))
        for row in section.rows:
            table.add_row(Text(row.name), *(Text(cell, style="red" if row.bad else "") for cell in row.cells))
    console.print(table)
    console.print(Text("\n" + "\n".join(f"{section.heading}: {section.note}" for section in told if section.note), style="dim"))
    if outcome.before is not None:
        _print_differences(outcome)


def _print_differences(outcome: Outcome) -> None:
    if not outcome.differing:
        console.print(Text("\nNo order came to anything else.", style="green"))
        return
    console.print(Text(f"\n{outcome.differing:,} orders came to something else", style="bold"))
    table = Table(box=None, pad_edge=False, show_header=False)
    ranked = sorted(outcome.kinds.items(), key=lambda one: (-one[1], one[0]))
    for (what, rule), number in ranked[:KINDS_SHOWN]:
        table.add_row(f"{number:,}", what, rule)
    console.print(table)
    if len(ranked) > KINDS_SHOWN:
        console.print(Text(f"and {len(ranked) - KINDS_SHOWN} more kinds; --json has every one, order by order", style="dim"))
