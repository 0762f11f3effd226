"""`instep demo`: the day as it happens, then what came of it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.cli.output import console, log_to_stderr
from engine.console import keeping
from engine.console.app import beside, console_app
from engine.demo.play import CLIENT, Emit, books_of, play
from engine.demo.summary import Summary
from engine.demo.telling import DemoLine
from engine.run.service import Service
from engine.run.web.listening import Listening
from engine.store.sqlite.lock import lock_file

TOLD = ("effect_unsure", "paused")  # in the log; the story says it better
VISITOR = "Ana"
GLANCE = 0.2  # seconds until a decision is taken in
TONES = {
    "outside": "",
    "sent": "green",
    "held": "yellow",
    "raised": "bold red",
    "closed": "dim",
    "refused": "red",
    "person": "magenta",
}


def play_demo(root: Path | None, database: Path, *, fast: bool, quiet: bool, port: int | None = None) -> dict[str, Any]:
    """Plays the demo into a fresh `database` and returns its summary as JSON values. With a `port` its console is open
    then, until somebody ends it. Raises `CannotListen`.
    """
    log_to_stderr(shown=TOLD)
    listening = _console_at(database, port) if port is not None else None
    for leftover in (database, Path(f"{database}-wal"), Path(f"{database}-shm"), lock_file(database)):
        leftover.unlink(missing_ok=True)
    rmtree(books_of(database), ignore_errors=True)

    async def stay(service: Service, summary: Summary) -> None:
        if listening is not None:
            _sum_up(summary, database)
            await _look_on(service, listening, database)

    emit: Emit = (lambda _: None) if quiet else _tell
    summary = play(fast=fast, root=root, database=database, emit=emit, stay=stay if listening is not None else None)
    if not quiet and listening is None:
        _sum_up(summary, database)
    return summary.to_json()


def _sum_up(summary: Summary, database: Path) -> None:
    console.print(_table(summary))
    console.print(Text(f"The store is in {database}. Ask it why: instep explain ORDER --database {database}", style="dim"))


def _console_at(database: Path, port: int) -> Listening:
    return Listening("127.0.0.1", port, lambda rest, status: beside(rest, console_app(database, CLIENT, status)))


async def _look_on(service: Service, listening: Listening, database: Path) -> None:
    """The console of the evening, until Ctrl-C. What people decide there is taken in and sent; time stands still."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    password = await asyncio.to_thread(keeping.added, database, None, VISITOR, "consultant", "the demo")
    listening.start()
    listening.open_to(service)
    url = f"http://127.0.0.1:{listening.port}/console/"
    console.print(Text(f"Console: {url}  name: {VISITOR}  password: {password}", style="bold"))
    console.print(Text("Answer, retry, correct, activate: it is done at once, by the stand-ins. Ctrl-C ends it.", style="dim"))
    while not stop.is_set():
        if service.store.journal.behind():
            await service.step()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), GLANCE)
    await listening.close_to(service)
    await listening.stop()


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
