"""The verbs."""

from __future__ import annotations

import asyncio
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from engine.cli.output import (
    FOUND,
    console,
    errors,
    installed_actions,
    log_to_stderr,
    misused,
    print_json,
    print_problems,
    problem_json,
    read_bytes,
)
from engine.problems import ProblemsFound

app = typer.Typer(
    name="instep",
    help="Keeps a returns platform, a marketplace, a store, carriers and a warehouse in step.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Root = Annotated[
    Path | None, typer.Option("--root", help="Directory with rules/ and mappings/ (default: here, else the shipped ones).")
]
Database = Annotated[Path | None, typer.Option("--database", help="The client's store (default: CLIENT.sqlite here).")]


def main() -> None:
    """Entry point: faults of authors are printed with their places, not as tracebacks."""
    log_to_stderr()
    try:
        app()
    except ProblemsFound as found:
        print_problems(found.problems)
        raise SystemExit(FOUND) from None


@app.command(epilog="Example: instep check")
def check(
    path: Annotated[Path | None, typer.Argument(help="Directory with rules/ and mappings/.")] = None,
    client: Annotated[str | None, typer.Option(help="Only this client and what it extends.")] = None,
    json: Json = False,
) -> None:
    """Every problem of every file at once, as file:line:col."""
    from engine.language.pack import check as check_files  # noqa: PLC0415 - each verb loads only its own floor
    from engine.language.pack import project_root  # noqa: PLC0415

    problems = check_files(project_root(path), installed_actions(), client)
    if json:
        print_json({"problems": [problem_json(p) for p in problems]})
    else:
        print_problems(problems)
        warnings = len(problems) - len(problems.errors)
        summary = f"{len(problems.errors)} errors, {warnings} warnings" if problems else "No problems found"
        console.print(Text(summary, style="red" if problems.errors else "green"))
    if problems.errors:
        raise typer.Exit(FOUND)


@app.command("map", epilog="Example: instep map returngo.rma payload.json")
def map_payload(
    kind: Annotated[str, typer.Argument(help="Kind of event, such as returngo.rma.")],
    payload: Annotated[str, typer.Argument(help="File with the payload, or - for standard input.")],
    client: Annotated[str, typer.Option(help="Whose mappings.")] = "demo",
    about: Annotated[str, typer.Option(help="What it is about, where the payload does not say (event.about).")] = "",
    root: Root = None,
) -> None:
    """The record a mapping makes of a payload, or why it is set aside."""
    from engine.cli.mapping import mapped  # noqa: PLC0415

    result = mapped(root, client, kind, read_bytes(payload), about)
    print_json(result)
    if "set_aside" in result:
        raise typer.Exit(FOUND)


@app.command(epilog="Example: instep decide demo < case.json")
def decide(
    client: Annotated[str, typer.Argument(help="Whose rules.")],
    case: Annotated[str, typer.Argument(help="File with the case, or - for standard input.")] = "-",
    root: Root = None,
) -> None:
    """One pure decision: a case as JSON in, effects, vetoes, exceptions, wake-up, memory and trace as JSON out."""
    from engine.cli.deciding import BadDocument, decided  # noqa: PLC0415

    try:
        print_json(decided(root, client, read_bytes(case)))
    except BadDocument as fault:
        misused(f"instep decide: {fault}")


@app.command(epilog="Example: instep explain 1001 --database demo.sqlite")
def explain(
    case: Annotated[str, typer.Argument(help="A case, order, RMA, tracking number, or anything else a record is known by.")],
    database: Database = None,
    client: Annotated[str | None, typer.Option(help="The client, where --database is not given.")] = None,
    root: Root = None,
    every: Annotated[bool, typer.Option("--every", help="Also name rules that had nothing to look at.")] = False,
    json: Json = False,
) -> None:
    """Why, and why not: for every rule and item, the condition that decided, its values and its place in the YAML."""
    from engine.cli.explaining import explanation, explanation_json  # noqa: PLC0415
    from engine.cli.stored import NotFound, stored_decision  # noqa: PLC0415

    try:
        rule_set, decision = stored_decision(root, database, client, case)
    except NotFound as fault:
        misused(f"instep explain: {fault}")
    if json:
        print_json(explanation_json(rule_set, decision))
    else:
        for line in explanation(rule_set, decision, every=every):
            console.print(line)


@app.command(epilog="Example: instep exceptions --database demo.sqlite")
def exceptions(
    database: Database = None,
    client: Annotated[str | None, typer.Option(help="The client, where --database is not given.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are closed.")] = False,
    json: Json = False,
) -> None:
    """What people have to look at, most severe first."""
    from engine.cli.stored import NotFound, exception_rows, exception_table  # noqa: PLC0415

    try:
        rows = exception_rows(database, client, only_open=not every)
    except NotFound as fault:
        misused(f"instep exceptions: {fault}")
    if json:
        print_json({"exceptions": rows})
    else:
        console.print(exception_table(rows))


@app.command(epilog='Example: instep answer 12 refund --by "Ana" --database demo.sqlite')
def answer(
    number: Annotated[int, typer.Argument(help="The exception's number in `instep exceptions`.")],
    what: Annotated[str, typer.Argument(help="One of its answers; `resolve` where it has none.")],
    by: Annotated[str, typer.Option(help="Who decides.")],
    database: Database = None,
    client: Annotated[str | None, typer.Option(help="The client, where --database is not given.")] = None,
) -> None:
    """Decide about an exception. The running service picks it up; without one it waits in the journal."""
    from engine.cli.stored import NotFound, record_answer  # noqa: PLC0415

    try:
        console.print(record_answer(database, client, number, what, by))
    except NotFound as fault:
        misused(f"instep answer: {fault}")


@app.command(epilog="Example: instep run northwind")
def run(
    client: Annotated[str, typer.Argument(help="The client to serve.")],
    database: Database = None,
    root: Root = None,
    host: Annotated[str, typer.Option(help="Where webhooks are received.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where webhooks are received.")] = 8080,
) -> None:
    """The service: polls, webhooks, decisions and dispatch, until it is stopped."""
    from engine.cli.running import serve  # noqa: PLC0415

    asyncio.run(serve(root, client, database or Path(f"{client}.sqlite"), host, port))


@app.command(epilog="Example: instep demo --fast")
def demo(
    fast: Annotated[bool, typer.Option("--fast", help="As fast as it goes, instead of a pace one can read.")] = False,
    database: Annotated[Path, typer.Option(help="Left behind for `instep explain`; an older one is replaced.")] = Path(
        "demo.sqlite"
    ),
    root: Root = None,
    json: Json = False,
) -> None:
    """A day of returns against sandboxes of all six systems on this machine, with the engine keeping them in step."""
    from engine.cli.playing import play_demo  # noqa: PLC0415

    summary: dict[str, Any] = play_demo(root, database, fast=fast, quiet=json)
    if json:
        typer.echo(dumps(summary, sort_keys=True))
    if summary["refunded_twice"] or summary["deadlines_missed"]:
        errors.print(Text("The demo found a broken promise; that is a fault of instep.", style="red"))
        raise typer.Exit(FOUND)
