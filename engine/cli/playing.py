"""`instep demo`: the day as it happens, then what came of it."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.cli.output import console
from engine.demo.play import books_of, play
from engine.demo.summary import Summary
from engine.demo.telling import DemoLine
from engine.store.sqlite.lock import lock_file

TONES = {
    "outside": "",
    "sent": "green",
    "held": "yellow",
    "raised": "bold red",
    "closed": "dim",
    "refused": "red",
    "person": "magenta",
}


def play_demo(root: Path | None, database: Path, *, fast: bool, quiet: bool) -> dict[str, Any]:
    """Plays the demo into a fresh `database` and returns its summary as JSON values."""
    for leftover in (database, Path(f"{database}-wal"), Path(f"{database}-shm"), lock_file(database)):
        leftover.unlink(missing_ok=True)
    rmtree(books_of(database), ignore_errors=True)
    summary = play(fast=fast, root=root, database=database, emit=(lambda _: None) if quiet else _tell)
    if not quiet:
        console.print(_table(summary))
        console.print(Text(f"The store is in {database}. Ask it why: instep explain ORDER --database {database}", style="dim"))
    return summary.to_json()


def _tell(line: DemoLine) -> None:
    tone = TONES.get(line.tone, "")
    told = Text.assemble((f"{line.at:%a %H:%M} ", "dim"), (f"{line.case:<12} ", "cyan"), (line.text, tone))
    if line.why:
        told.append(f"  {line.why}", "dim")
    console.print(told)


def _table(summary: Summary) -> Table:
    table = Table(title="What came of the day", title_justify="left", box=None, show_header=False, pad_edge=False)
    refunds = ", ".join(f"{amount} {currency}" for currency, amount in sorted(summary.refunds["amounts"].items()))
    table.add_row("Cases", f"{summary.cases}, from {summary.events} events")
    table.add_row("Refunds sent", f"{summary.refunds['count']}: {refunds}")
    for reason, count in sorted(summary.withheld.items(), key=lambda r: (-r[1], r[0])):
        table.add_row("  withheld", f"{count}: {reason}")
    table.add_row("Expected returns", str(summary.expected_returns))
    for state in ("open", "closed"):
        owners = ", ".join(f"{owner} {n}" for owner, n in sorted(summary.exceptions[state].items()))
        table.add_row(f"Exceptions {state}", owners or "none")
    table.add_row("Refunded twice", _verdict(summary.refunded_twice))
    table.add_row("Deadlines missed", _verdict(summary.deadlines_missed))
    table.add_row("Payloads set aside", str(summary.set_aside))
    table.add_row("Rule set", summary.rule_set)
    table.add_row("Played in", f"{summary.seconds:.1f} s")
    return table


def _verdict(count: int) -> Text:
    return Text(str(count), style="bold green" if count == 0 else "bold red")
