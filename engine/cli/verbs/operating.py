"""Verbs of the running service and of those who live with what it raises."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.app import Database, Json, OfClient, Root, app
from engine.cli.output import (
    FOUND,
    console,
    misused,
    or_misused,
    print_either,
    print_json,
    write_text,
)


@app.command(epilog="Example: instep run northwind")
def run(
    clients: Annotated[
        list[str],
        typer.Argument(
            metavar="CLIENT...",
            help="The client to serve; or several, each in a process of its own, such as northwind:8081 southwind:8082.",
        ),
    ],
    database: Annotated[
        Path | None, typer.Option(help="The client's store, or a folder for those of several (default: CLIENT.sqlite here).")
    ] = None,
    root: Root = None,
    host: Annotated[str, typer.Option(help="Where webhooks are received.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where webhooks are received: of the first client, then the next ones.")] = 8080,
    candidate: Annotated[
        str, typer.Option(help="A rule set in shadow beside it: a folder, a git commit, or a hash. It sends nothing.")
    ] = "",
) -> None:
    """The service: polls, webhooks, decisions and dispatch, until it is stopped.

    What ends with a fault among several is started again, and the others go on; Ctrl-C or SIGTERM stops them all in order.
    """
    from engine.cli.several import seats, serve_all  # noqa: PLC0415

    first, *rest = seats(root, clients, database, port)
    if not rest:
        from engine.cli.running import serve  # noqa: PLC0415

        asyncio.run(serve(root, first.client, first.database, host, first.port, candidate))
        return
    if candidate:
        misused("instep run: --candidate is for one client: use `instep shadow start CLIENT REF` while they run")
    raise typer.Exit(asyncio.run(serve_all(root, (first, *rest), host)))


@app.command(epilog="Example: instep explain M-1001 --database demo.sqlite --at 2026-11-03T12:00:00Z")
def explain(
    case: Annotated[str, typer.Argument(help="A case, order, RMA, tracking number, or anything else a record is known by.")],
    database: Database = None,
    client: Annotated[str | None, typer.Option(help="The client, where --database is not given.")] = None,
    root: Root = None,
    history: Annotated[
        Path | None, typer.Option(help="A history as `instep events export` writes it, instead of the store.")
    ] = None,
    at: Annotated[str, typer.Option(help="As it was at this instant, such as 2026-11-03T12:00:00Z.")] = "",
    timeline: Annotated[
        bool, typer.Option("--timeline", help="The whole life of the case: what was seen, decided, sent and answered.")
    ] = False,
    unit: Annotated[str, typer.Option(help="Only this piece of the order, such as M-1001-1#1.")] = "",
    rule: Annotated[str, typer.Option(help="Only what this rule has to do with.")] = "",
    every: Annotated[
        bool, typer.Option("--every", help="Each rule and item by itself, also rules that had nothing to look at.")
    ] = False,
    json: Json = False,
) -> None:
    """Why was it refunded, why is it held, what is waited for, who did it; and for every rule, the condition that decided."""
    from engine.cli.explaining import explanation  # noqa: PLC0415
    from engine.cli.explaining import timeline as told_in_time  # noqa: PLC0415
    from engine.desk.explained import Asked, explained, explained_json  # noqa: PLC0415
    from engine.desk.stored import NotFound  # noqa: PLC0415
    from engine.simulate.history import BadHistory  # noqa: PLC0415

    try:
        found = explained(Asked(case, database, client, root, history, at, unit, rule), life_wanted=timeline)
    except (NotFound, BadHistory) as fault:
        misused(f"instep explain: {fault}")
    if json:
        print_json(explained_json(found))
        return
    for line in told_in_time(found) if timeline else explanation(found, every=every):
        console.print(line)


@app.command(epilog="Example: instep budgets --database demo.sqlite")
def budgets(
    database: Database = None,
    client: Annotated[str | None, typer.Option(help="The client, where --database is not given.")] = None,
    json: Json = False,
) -> None:
    """How often each outside system may still be asked: what is spent and left of every limit, and when it comes back."""
    from engine.cli.budgets import budget_lines, budgets  # noqa: PLC0415
    from engine.desk.stored import NotFound  # noqa: PLC0415

    try:
        found = budgets(database, client)
    except NotFound as fault:
        misused(f"instep budgets: {fault}")
    if json:
        print_json(found)
    else:
        for line in budget_lines(found):
            console.print(line)


rules = typer.Typer(
    help="The rule sets of a client: which decides, which did before, and activating one by hand.", no_args_is_help=True
)
app.add_typer(rules, name="rules")


@rules.command("status", epilog="Example: instep rules status --database demo.sqlite")
def rules_status(database: Database = None, client: OfClient = None, json: Json = False) -> None:
    """The active rule set, problems in the files, and what waits for somebody to look."""
    from engine.cli import rules as told  # noqa: PLC0415
    from engine.desk import rules as sets  # noqa: PLC0415

    status = or_misused("rules status", lambda: sets.rules_status(database, client))
    print_either(status, lambda: told.status_lines(status), json=json)
    if status["waiting"] or (status["last_read"] and not status["last_read"]["ok"]):
        raise typer.Exit(FOUND)


@rules.command("history", epilog="Example: instep rules history --database demo.sqlite")
def rules_history(
    database: Database = None,
    client: OfClient = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the latest first.")] = 20,
    json: Json = False,
) -> None:
    """Every activation: which rule set, when, by whom and why."""
    from engine.cli import rules as told  # noqa: PLC0415
    from engine.desk import rules as sets  # noqa: PLC0415

    rows = or_misused("rules history", lambda: sets.rules_history(database, client, limit))
    if json:
        print_json({"activations": rows})
    else:
        console.print(told.history_table(rows))


@rules.command("show", epilog="Example: instep rules show 3f9a --database demo.sqlite --file rules/base/sla.yaml")
def rules_show(
    rule_set: Annotated[str, typer.Argument(metavar="HASH", help="A hash of `instep rules history`, or its beginning.")],
    database: Database = None,
    client: OfClient = None,
    file: Annotated[str | None, typer.Option(help="Print this file as it was.")] = None,
    to: Annotated[Path | None, typer.Option(help="Write all files below this new folder.")] = None,
    json: Json = False,
) -> None:
    """A rule set that was active: when, and its files as they were."""
    from engine.cli import rules as told  # noqa: PLC0415
    from engine.desk import rules as sets  # noqa: PLC0415
    from engine.desk.stored import NotFound  # noqa: PLC0415

    try:
        shown = sets.rules_shown(database, client, rule_set)
        text = sets.file_of(shown, file) if file is not None else ""
        written = sets.lay_out(shown, to) if to is not None else 0
    except NotFound as fault:
        misused(f"instep rules show: {fault}")
    if json:
        print_json(shown)
    elif file is not None:
        typer.echo(text, nl=False)
    elif to is not None:
        typer.echo(f"{written} files written below {to}")
    else:
        for line in told.shown_lines(shown):
            console.print(line)


@rules.command("activate", epilog='Example: instep rules activate 3f9a --by "Ana" --database demo.sqlite')
def rules_activate(
    by: Annotated[str, typer.Option(help="Who decides.")],
    rule_set: Annotated[
        str, typer.Argument(metavar="[HASH]", help="An older set to go back to; without it, what waits or what the files say.")
    ] = "",
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Activate what waits, or go back to an older rule set. The running service does it; without one, the next start."""
    from engine.desk import rules as sets  # noqa: PLC0415
    from engine.desk.stored import NotFound  # noqa: PLC0415

    try:
        outcome, fine = sets.activate(database, client, rule_set, by)
    except NotFound as fault:
        misused(f"instep rules activate: {fault}")
    if json:
        print_json({"outcome": outcome, "fine": fine})
    else:
        console.print(outcome)
    if not fine:
        raise typer.Exit(FOUND)


shadow = typer.Typer(help="Rules and whole rule sets that decide and show, and send nothing.", no_args_is_help=True)
app.add_typer(shadow, name="shadow")


def _asked_of_shadow(verb: str, database: Path | None, client: str, ref: str, by: str) -> None:
    from engine.cli.candidates import asked_for  # noqa: PLC0415
    from engine.desk.stored import NotFound  # noqa: PLC0415

    try:
        outcome, fine = asked_for(database, client, ref, by)
    except NotFound as fault:
        misused(f"instep shadow {verb}: {fault}")
    console.print(outcome)
    if not fine:
        raise typer.Exit(FOUND)


@shadow.command("start", epilog='Example: instep shadow start northwind ../spring-rules --by "Ana"')
def shadow_start(
    client: Annotated[str, typer.Argument(help="The client.")],
    ref: Annotated[str, typer.Argument(metavar="REF", help="The rule set: a folder, a git commit, or a hash.")],
    by: Annotated[str, typer.Option(help="Who wants it.")],
    database: Database = None,
) -> None:
    """Let a candidate decide beside the active rules, on live traffic. It sends nothing. Without a service, the next one does."""
    _asked_of_shadow("start", database, client, ref, by)


@shadow.command("stop", epilog='Example: instep shadow stop northwind --by "Ana"')
def shadow_stop(
    client: Annotated[str, typer.Argument(help="The client.")],
    by: Annotated[str, typer.Option(help="Who wants it.")],
    database: Database = None,
) -> None:
    """End the candidate that runs. What it came to can still be read."""
    _asked_of_shadow("stop", database, client, "", by)


@shadow.command("report", epilog="Example: instep shadow report northwind --since 2026-11-01")
def shadow_report(
    client: Annotated[str, typer.Argument(help="The client.")],
    database: Database = None,
    rule: Annotated[str, typer.Option(help="Only of this rule.")] = "",
    since: Annotated[str, typer.Option(help="Only what began since then.")] = "",
    run: Annotated[int, typer.Option(min=0, help="Of an earlier run of a candidate, by its number.")] = 0,
    html: Annotated[Path | None, typer.Option(help="Also write what the candidate came to as one page of HTML.")] = None,
    json: Json = False,
) -> None:
    """What a candidate, or rules in shadow, would have sent, raised and withheld, beside what was done."""
    from engine.cli import shadowing  # noqa: PLC0415
    from engine.desk.stored import NotFound  # noqa: PLC0415

    try:
        report = shadowing.whole_report(database, client, rule, since, run)
        if html is not None:
            write_text(html, shadowing.page_of(report, client))
    except NotFound as fault:
        misused(f"instep shadow report: {fault}")
    if json:
        print_json(shadowing.whole_json(report))
    else:
        shadowing.print_whole(report, client, database, rule)
