"""`instep simulate`: what a history would have come to, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from engine.cli.output import console, errors, misused, print_json
from engine.desk.stored import NotFound, visited
from engine.facts.codec import timestamp
from engine.language.files import project_root, read_files
from engine.run.kept.retention import what_left
from engine.run.private import write_private
from engine.run.rules.past import NoSuchRuleSet
from engine.run.rules.refs import files_at
from engine.simulate.backtest import Plan, Result, Wanted, backtest
from engine.simulate.difference import Difference
from engine.simulate.history import BadHistory, Entry, read, recorded
from engine.simulate.oracle import OracleGone
from engine.simulate.report import page
from engine.simulate.seen import Totals
from engine.simulate.told import BadBaseline, Unexpected, difference_json, read_baseline, result_json, unexpected, write_baseline
from engine.store.base import Store

CASES_SHOWN = 20
LINES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed, besides the client."""

    database: Path | None
    history: Path | None
    rules: str
    against: str
    workers: int
    since: str
    cases: tuple[str, ...]
    rule: str
    sample: str
    record: Path | None
    expect: Path | None
    html: Path | None
    second_opinion: bool


def simulate_history(root: Path | None, client: str, asked: Asked, *, json: bool) -> bool:
    """Replays, writes what was asked for, and prints. True where nothing is otherwise than kept or than the second opinion."""
    try:
        baseline = read_baseline(asked.expect) if asked.expect is not None else None
        result = simulated(root, client, asked)
        if asked.record is not None:
            write_baseline(asked.record, result)
        if asked.html is not None:
            write_private(asked.html, page(client, result))
    except (NotFound, NoSuchRuleSet, BadHistory, BadBaseline, OracleGone) as fault:
        misused(f"instep simulate: {fault}")
    except OSError as fault:
        misused(f"instep simulate: {fault.filename}: {fault.strerror}")
    found = Unexpected() if baseline is None else unexpected(baseline, result.cases)
    if json:
        told = result_json(result)
        if baseline is not None:
            told |= {"unexpected_cases": found.cases, "unexpected": [difference_json(d) for d in found.differences]}
        print_json(told)
    else:
        print_result(result, asked.rule)
        if baseline is not None:
            _print_unexpected(found)
    return not found.count and not result.disagreements


def _print_unexpected(found: Unexpected) -> None:
    kept = Text("As kept: no case differs.", style="green")
    console.print(Text(f"\n{found.count:,} differences to what was kept", style="red") if found.count else kept)
    print_differences(found.differences, found.cases)


def simulated(root: Path | None, client: str, asked: Asked) -> Result:
    """Replays the history. Raises `NotFound` for what was asked wrongly, `ProblemsFound` for rule sets, `BadHistory`."""
    wanted = Wanted(_instant(asked.since), frozenset(asked.cases), share_of(asked.sample))
    with _source(asked, client) as (store, entries):
        place = project_root(root)
        candidate = read_files(place).contents if not asked.rules else files_named(asked.rules, place, store)
        against = files_named(asked.against, place, store) if asked.against else None
        plan = Plan(
            client,
            candidate=dict(candidate),
            against=None if against is None else dict(against),
            exact=against is None,
            wanted=wanted,
            keep_cases=asked.record is not None or asked.expect is not None,
            second_opinion=asked.second_opinion,
        )
        with _progress() as (cutting, replaying):
            result = backtest(plan, entries, workers=asked.workers, cutting=cutting, replaying=replaying)
        if store is not None and asked.history is None:
            result.note = what_left(store)
        return result


@contextmanager
def _source(asked: Asked, client: str) -> Iterator[tuple[Store | None, Iterable[Entry]]]:
    if asked.history is None:
        with visited(asked.database, client) as store:
            yield store, recorded(store)
    elif not asked.history.is_file():
        raise NotFound(f"there is no file {asked.history}")
    elif asked.database is not None:
        with visited(asked.database, client) as store:
            yield store, read(asked.history)
    else:
        yield None, read(asked.history)


def files_named(ref: str, root: Path, store: Store | None) -> Mapping[str, bytes]:
    """The files of a rule set by a folder, a commit, a hash or `live`. Raises `NotFound`."""
    try:
        return files_at(ref, root, store).contents
    except NoSuchRuleSet as no:
        raise NotFound(str(no)) from None


def _instant(text: str) -> Any:
    if not text:
        return None
    try:
        return timestamp(text if "T" in text else f"{text}T00:00:00Z")
    except ValueError:
        raise NotFound(f'--since wants an instant like 2026-11-01 or 2026-11-01T09:00:00Z, not "{text}"') from None


def share_of(text: str) -> Decimal:
    """`10%` or `0.1` as a share. Raises `NotFound`."""
    try:
        share = Decimal(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except InvalidOperation:
        share = Decimal(-1)
    if not 0 < share <= 1:
        raise NotFound(f'--sample wants a share like 10%, not "{text}"')
    return share


Shown = Callable[[int, int], None]


@contextmanager
def _progress() -> Iterator[tuple[Shown, Shown]]:
    """What to tell of reading and of replaying: how much is done, and of how much, 0 where that is not known."""
    if not errors.is_terminal:
        yield (lambda *_: None), (lambda *_: None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=errors, transient=True) as shown:
        reading = shown.add_task("reading the history", total=None, rate="")
        replays = shown.add_task("replaying", total=None, rate="", visible=False, start=False)

        def cutting(events: int, of: int) -> None:
            rate = _rate(shown.tasks[0], events, "events")
            if of:  # in per cent: how many there will be is known better as it goes, and a new total would forget the speed
                shown.update(reading, completed=100 * events // of, total=100, rate=f"{events:,} events, {rate}")
            else:
                shown.update(reading, completed=events, rate=rate)

        def replaying(done: int, of: int) -> None:
            if not shown.tasks[1].started:
                shown.update(reading, visible=False)
                shown.start_task(replays)
            shown.update(replays, completed=done, total=of, visible=True, rate=_rate(shown.tasks[1], done, "entries"))

        yield cutting, replaying


def _rate(task: Task, done: int, of: str) -> str:
    return f"{done / task.elapsed:,.0f} {of}/s" if task.elapsed else ""


def print_result(result: Result, rule: str = "") -> None:
    """For people: what was replayed, what it came to, and what differs."""
    counts = result.after.counts
    told = f"{counts['events']:,} events, {counts['cases']:,} cases, {counts['decisions']:,} decisions"
    console.print(Text(told, style="bold"))
    if result.note:
        console.print(Text(result.note, style="yellow"))
    console.print(f"Rule set {result.rule_set}" + (f" against {result.against}" if result.against else ""))
    if result.recorded:
        _recorded(result)
    if result.others:
        sets = ", ".join(sorted(result.others))
        told = f"{sum(result.others.values()):,} decisions were recorded with another rule set ({sets})"
        console.print(Text(f"{told}: --against it shows what differs", style="dim"))
    print_totals(result)
    for what, name in (("outside", "events no mapping reads"), ("missed_answers", "answers to questions that were not asked")):
        if counts[what]:
            console.print(Text(f"{counts[what]:,} {name}", style="yellow"))
    if result.opinions:
        _second_opinion(result)
    if result.against:
        print_compared(result, rule)


def _recorded(result: Result) -> None:
    if result.same == result.recorded:
        console.print(Text(f"Decides as recorded: all {result.recorded:,} decisions, byte for byte.", style="green"))
        return
    console.print(
        Text(f"{result.recorded - result.same:,} of {result.recorded:,} decisions are not as recorded:", style="yellow"),
        Text(f"{', '.join(sorted(result.unlike)[:5])}{' ...' if len(result.unlike) > 5 else ''}"),
    )


def _second_opinion(result: Result) -> None:
    if not result.disagreements:
        console.print(Text(f"The second opinion agrees on all {result.opinions:,} decisions.", style="green"))
    for one in result.disagreements:
        console.print(Text(str(one), style="red"))


def print_totals(result: Result) -> None:
    """What it came to, with each rule set."""
    compared = bool(result.against)
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=compared)
    table.add_column("")
    if compared:
        table.add_column("against", justify="right")
    table.add_column("with it", justify="right")
    sides = (result.before, result.after) if compared else (result.after,)
    for name, cells in _rows(sides):
        table.add_row(name, *cells)
    console.print(table)


def _rows(sides: tuple[Totals, ...]) -> Iterator[tuple[str, list[str]]]:
    for key in sorted({key for side in sides for key in side.effects}):
        yield f"{key[0]} {key[1]}", [f"{side.effects[key]:,}" for side in sides]
    for currency in sorted({key[2] for side in sides for key in side.money}):
        sums = [sum((a for k, a in side.money.items() if k[2] == currency), Decimal()) for side in sides]
        yield f"money refunded, {currency}", [f"{amount:,.2f}" for amount in sums]
    for owner in sorted({key[1] for side in sides for key in side.exceptions}):
        yield f"exceptions for {owner}", [f"{sum(n for k, n in s.exceptions.items() if k[1] == owner):,}" for s in sides]
    for promise in sorted({key for side in sides for key in side.promises}):
        yield f"promise {promise} broken", [f"{side.promises[promise]:,}" for side in sides]


def print_compared(result: Result, rule: str = "") -> None:
    """What differs: in figures, then the first cases."""
    if not result.differing:
        console.print(Text("No case differs.", style="green"))
        return
    console.print(Text(f"\n{result.differing:,} cases differ", style="bold"))
    table = Table(box=None, pad_edge=False, show_header=False)
    for (what, by), count in sorted(result.kinds.items(), key=lambda one: (-one[1], one[0])):
        if rule in ("", by):
            table.add_row(f"{count:,}", what, by)
    console.print(table)
    shown = [d for d in result.differences if rule in ("", d.rule)]
    print_differences(shown, 0 if rule else result.differing)
    if result.reactions:
        console.print(
            Text(
                f"\n{result.reactions:,} of these come after an earlier difference of their case, marked ~. A history shows how"
                " the world went on with what was really sent; had something else been sent, customers, agents and systems"
                " might have gone on otherwise.",
                style="dim",
            )
        )


def print_differences(found: list[Difference], cases: int = 0) -> None:
    """The first cases, each with its first differences. `cases` is how many differ, where that are more than these are of."""
    by_case: dict[str, list[Difference]] = {}
    for one in found:
        by_case.setdefault(one.case, []).append(one)
    for case, lines in list(by_case.items())[:CASES_SHOWN]:
        console.print(Text(f"\n{case}", style="cyan"))
        for one in lines[:LINES_SHOWN]:
            mark = "~" if one.reaction else " "
            text = " -> ".join(part for part in (one.was, one.now) if part)
            console.print(Text.assemble((f" {mark}{one.at:%m-%d %H:%M} ", "dim"), f"{one.what:<22} {one.key}  ", (text, "dim")))
        if len(lines) > LINES_SHOWN:
            console.print(Text(f"  and {len(lines) - LINES_SHOWN} more", style="dim"))
    more = max(cases, len(by_case)) - CASES_SHOWN
    if more > 0:
        has = "all" if more + CASES_SHOWN <= len(by_case) else f"{len(by_case):,} of them"
        console.print(Text(f"\nand {more:,} more cases; --json has {has}, --case shows one", style="dim"))
