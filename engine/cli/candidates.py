"""A candidate beside the active rules: asking the service for it, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from rich.table import Table
from rich.text import Text

from engine.cli.output import console
from engine.cli.simulating import print_compared, print_totals
from engine.desk.rules import PATIENCE, outcome_of
from engine.desk.stored import NotFound, store_path, visited
from engine.run.rules.comparison import many
from engine.simulate.backtest import Result
from engine.simulate.candidates.told import NoCandidate, Report, report_of
from engine.simulate.seen import Totals
from engine.store.base import Store
from engine.store.candidates import CandidateRun
from engine.store.sqlite.lock import is_held

RUNS_SHOWN = 5


def asked_for(database: Path | None, client: str, ref: str, by: str) -> tuple[str, bool]:
    """Asks for a candidate, or with an empty `ref` for its end: what became of it, and whether that is what was wanted.

    A running service is waited for; without one the request stays in the store for the next start. Raises `NotFound`.
    """
    with visited(database, client) as store:
        _of(store, client)
        if not ref and store.candidates.running() is None and not store.candidates.requested():
            return "No candidate runs.", False
        asked = store.candidates.request(found_from_anywhere(ref), by, datetime.now(UTC))
        if not is_held(store_path(database, client)):
            return "Noted. No service is running: it is done at the next start.", True
        return outcome_of(lambda: store.candidates.request_of(asked), PATIENCE)


def found_from_anywhere(ref: str) -> str:
    """A folder by its whole path: the service may run in another one."""
    return str(Path(ref).resolve()) if ref and Path(ref).is_dir() else ref


def candidate_report(database: Path | None, client: str, number: int, rule: str, since: datetime | None) -> Report | None:
    """None where none ever ran. Raises `NotFound`."""
    with visited(database, client) as store:
        _of(store, client)
        if not number and not store.candidates.runs(1):
            return None
        try:
            return report_of(store, number, rule, since)
        except NoCandidate as no:
            raise NotFound(str(no)) from None


def print_report(report: Report, client: str, database: Path | None, rule: str) -> None:
    """For people."""
    for line in _head(report):
        console.print(line)
    print_totals(report.result)
    _print_money(report.result)
    print_compared(report.result, rule)
    for line in _hints(report, client, database):
        console.print(line)


def _print_money(result: Result) -> None:
    """By rule, where it is not the same with both."""
    sides = [_by_rule(side) for side in (result.before, result.after)]
    table = Table("refunded by rule", box=None, pad_edge=False, header_style="bold")
    for name in ("against", "with it"):
        table.add_column(name, justify="right")
    for key in sorted({key for side in sides for key in side}):
        amounts = [side.get(key, Decimal()) for side in sides]
        if amounts[0] != amounts[1]:
            table.add_row(f"{key[0]}, {key[1]}", *(f"{amount:,.2f}" for amount in amounts))
    if table.row_count:
        console.print("", table)


def _by_rule(side: Totals) -> dict[tuple[str, str], Decimal]:
    found: dict[tuple[str, str], Decimal] = {}
    for (_, rule, currency), amount in side.money.items():
        found[rule, currency] = found.get((rule, currency), Decimal()) + amount
    return found


def said_of(report: Report) -> str:
    """In a sentence, for a page."""
    run = report.run
    until = f" to {_when(run.ended_at)}" if run.ended_at else ""
    return f"{many(run.looks, 'decision')} followed from {_when(run.started_at)}{until}"


def _head(report: Report) -> Iterator[Text]:
    run = report.run
    yield Text(f"Candidate {run.hash} beside {run.against}", style="bold")
    yield Text(f"  since {_when(run.started_at)}, started by {run.started_by}: {run.ref}", style="dim")
    if run.ended_at is not None:
        yield Text(f"  ended {_when(run.ended_at)}: {run.why_ended}", style="yellow")
    seen = f"{many(run.looks, 'decision')} followed, {many(report.result.after.counts['cases'], 'case')} looked at"
    yield Text(f"  {seen}")
    if run.faults:
        yield Text(f"  {many(run.faults, 'fault')}, last: {run.fault}", style="red")
    if run.missed:
        yield Text(f"  {many(run.missed, 'answer')} to questions it did not ask", style="yellow")
    if run.anew:
        yield Text(f"  {many(run.anew, 'case')} begun anew, because more was decided than it could follow", style="yellow")
    others = [one for one in report.runs if one.id != run.id]
    for one in others[:RUNS_SHOWN]:
        yield Text(f"  run {one.id}: {_run_line(one)} (--run {one.id})", style="dim")
    if len(others) > RUNS_SHOWN:
        yield Text(f"  and {len(others) - RUNS_SHOWN} earlier runs (--json)", style="dim")


def _run_line(run: CandidateRun) -> str:
    ended = f"{_when(run.ended_at)}, {run.why_ended}" if run.ended_at else "running"
    return f"{run.hash} beside {run.against} from {_when(run.started_at)} to {ended}"


def _hints(report: Report, client: str, database: Path | None) -> Iterator[Text]:
    if not report.result.stories:
        return
    case = report.result.stories[0].case
    where = f" --database {database}" if database is not None else f" --client {client}"
    yield Text(f"\nWhy it was so: instep explain {case}{where}", style="dim")
    of = f" --database {database}" if database is not None else ""
    yield Text(
        f"From its beginning with both: instep simulate {client}{of} --rules {report.run.ref} --against {report.run.against}"
        f" --case {case}",
        style="dim",
    )


def _of(store: Store, client: str) -> None:
    active = store.rule_sets.current()
    if active is None:
        raise NotFound("this store has not decided anything yet")
    if active.client != client:
        raise NotFound(f"this is the store of {active.client}, not of {client}")


def _when(at: datetime | None) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M %Z}" if at is not None else ""
