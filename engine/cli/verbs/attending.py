"""Verbs of people who decide: exceptions, answers, and the trail of who did what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from engine.cli.app import By, Database, Json, OfClient, app
from engine.cli.output import FOUND, console, misused, or_misused, print_either, print_json

Since = Annotated[str, typer.Option(help="Only since this instant, such as 2026-11-01.")]


exceptions = typer.Typer(help="What people have to look at, most severe first.", invoke_without_command=True)
app.add_typer(exceptions, name="exceptions")
Number = Annotated[int, typer.Argument(help="The exception's number in `instep exceptions`.")]


@exceptions.callback(epilog="Example: instep exceptions --database demo.sqlite")
def exceptions_(
    context: typer.Context,
    database: Database = None,
    client: OfClient = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are closed.")] = False,
    owner: Annotated[str, typer.Option(help="Only of this owner, or assigned to this person.")] = "",
    severity: Annotated[str, typer.Option(help="Only critical, high, medium or low ones.")] = "",
    case: Annotated[str, typer.Option(help="Only of this case, order or RMA.")] = "",
    json: Json = False,
) -> None:
    """What people have to look at, most severe first."""
    if context.invoked_subcommand is None:
        _exceptions(database, client, every, owner, severity, case, json)
    elif database or client or every or owner or severity or case or json:
        misused(f"instep exceptions: options come after {context.invoked_subcommand}")


def _exceptions(database: Path | None, client: str | None, every: bool, owner: str, severity: str, case: str, json: bool) -> None:
    from engine.desk import exceptions as asked  # noqa: PLC0415

    rows = or_misused(
        "exceptions",
        lambda: asked.listed(database, client, only_open=not every, owner=owner, severity=severity, case=case),
    )
    if json:
        print_json({"exceptions": rows})
    else:
        console.print(asked.table(rows))
        if rows:
            console.print(Text("What to do about one: instep exceptions show NUMBER", style="dim"))


@exceptions.command("list", epilog="Example: instep exceptions list --severity critical --database demo.sqlite")
def exceptions_list(
    database: Database = None,
    client: OfClient = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are closed.")] = False,
    owner: Annotated[str, typer.Option(help="Only of this owner, or assigned to this person.")] = "",
    severity: Annotated[str, typer.Option(help="Only critical, high, medium or low ones.")] = "",
    case: Annotated[str, typer.Option(help="Only of this case, order or RMA.")] = "",
    json: Json = False,
) -> None:
    """The same as without it: what people have to look at, most severe first."""
    _exceptions(database, client, every, owner, severity, case, json)


@exceptions.command("show", epilog="Example: instep exceptions show 12 --database demo.sqlite")
def exceptions_show(number: Number, database: Database = None, client: OfClient = None, json: Json = False) -> None:
    """One of them: its rule, what to do, and what people did about it."""
    from engine.desk import exceptions as asked  # noqa: PLC0415

    told = or_misused("exceptions show", lambda: asked.shown(database, client, number))
    print_either(told, lambda: asked.shown_lines(told), json=json)


@exceptions.command("assign", epilog='Example: instep exceptions assign 12 --to "Ben" --by "Ana" --database demo.sqlite')
def exceptions_assign(
    number: Number,
    to: Annotated[str, typer.Option(help="Whose it is from now on; empty for nobody's.")],
    by: By,
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Say whose it is."""
    from engine.desk import exceptions as asked  # noqa: PLC0415

    _said(or_misused("exceptions assign", lambda: asked.assigned(database, client, number, to, by)), json=json)


@exceptions.command(
    "resolve", epilog='Example: instep exceptions resolve 12 --reason "asked the carrier" --by "Ana" --database demo.sqlite'
)
def exceptions_resolve(
    number: Number,
    reason: Annotated[str, typer.Option(help="What was done about it.")],
    by: By,
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Put one off that has no answers, with the reason: while its rule still holds it comes back after its snooze."""
    from engine.desk import exceptions as asked  # noqa: PLC0415
    from engine.desk.doing import reason as said  # noqa: PLC0415

    done = or_misused("exceptions resolve", lambda: asked.decided(database, client, number, "resolve", by, said(reason)))
    _said(done, json=json)


@app.command(epilog='Example: instep answer 12 refund --by "Ana" --database demo.sqlite')
def answer(
    number: Number,
    what: Annotated[str, typer.Argument(help="One of its answers; `resolve` where it has none.")],
    by: By,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Decide about an exception. The running service picks it up; without one it waits in the journal."""
    from engine.desk import exceptions as asked  # noqa: PLC0415

    _said(or_misused("answer", lambda: asked.decided(database, client, number, what, by, reason)), json=json)


@app.command(
    epilog='Example: instep correct M-1101 parcel.first_scan_at 2026-11-03T09:30Z --reason "the first scan was of another parcel"'
    ' --by "Ana" --database demo.sqlite'
)
def correct(
    case: Annotated[str, typer.Argument(help="The case, by its order, RMA, parcel or any other name.")],
    what: Annotated[
        str, typer.Argument(help="The milestone, such as rma:1001.received_at; rma.received_at where only one has it.")
    ] = "",
    value: Annotated[
        str, typer.Argument(help="What is right: an instant with its zone, true or false; none if it never was.")
    ] = "",
    reason: Annotated[str, typer.Option(help="How you know.")] = "",
    by: Annotated[str, typer.Option(help="Who decides: a person's name.")] = "",
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Put a wrong milestone right, such as a scan of another parcel; with a case alone, list its milestones. The case is decided
    anew. What was sent stays sent.
    """
    from engine.desk import corrections  # noqa: PLC0415

    if not what:
        told = or_misused("correct", lambda: corrections.listed(database, client, case))
        print_either(told, lambda: [corrections.table(told)], json=json)
        return
    if not value:
        misused(f"instep correct: say what is right: instep correct {case} {what} VALUE --reason WHY --by NAME")
    done = or_misused("correct", lambda: corrections.corrected(database, client, case, what, value, by, reason))
    _said(done, json=json)


def _said(outcome: str, *, json: bool) -> None:
    if json:
        print_json({"outcome": outcome, "fine": True})
    else:
        console.print(outcome)


audit = typer.Typer(help="Who did what, when: a trail that only grows.", invoke_without_command=True)
app.add_typer(audit, name="audit")


@audit.callback(epilog="Example: instep audit --since 2026-11-01 --database demo.sqlite")
def audit_(
    context: typer.Context,
    since: Since = "",
    by: Annotated[str, typer.Option(help="Only what this person did; instep is the service itself.")] = "",
    did: Annotated[str, typer.Option(help="Only this, such as answered, retried, discarded, activated, started.")] = "",
    about: Annotated[str, typer.Option(help="Only what names this effect, event, exception or rule set.")] = "",
    case: Annotated[str, typer.Option(help="Only what is about this case.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many, the latest ones.")] = 50,
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Who activated, answered, resolved, assigned, retried, mended, discarded, corrected, overrode and pruned what, and why; and
    when the service began and ended, with which version and settings.
    """
    if context.invoked_subcommand is not None:
        if database or client or json:
            misused(f"instep audit: options come after {context.invoked_subcommand}")
        return
    from engine.desk import trail  # noqa: PLC0415

    asked = trail.Asked(since, by, did, about, case, limit)
    rows = or_misused("audit", lambda: trail.listed(database, client, asked))
    if json:
        print_json({"audit": rows})
    else:
        console.print(trail.table(rows))


@audit.command("verify", epilog="Example: instep audit verify --database demo.sqlite")
def audit_verify(
    expect: Annotated[str, typer.Option(help="An anchor that was kept elsewhere; it must be in the trail.")] = "",
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Check that no entry was changed, taken out or put in, and print the anchor to keep elsewhere."""
    from engine.desk import trail  # noqa: PLC0415

    told = or_misused("audit verify", lambda: trail.verified(database, client, expect))
    print_either(told, lambda: trail.verified_lines(told, expect), json=json)
    if not told["whole"]:
        raise typer.Exit(FOUND)
