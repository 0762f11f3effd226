"""Verbs of the running service and of those who live with what it raises."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.app import Database, Json, Root, app
from engine.cli.output import (
    console,
    misused,
    print_json,
)


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
