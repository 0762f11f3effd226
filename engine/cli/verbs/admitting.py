"""Verbs that let people and programs in to the console and the API."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from engine.cli.app import By, Database, Json, OfClient, app
from engine.cli.output import console, misused, or_misused, print_json

T = TypeVar("T")
Name = Annotated[str, typer.Argument(help="The name they log in with.")]
Role = Annotated[str, typer.Option(help="viewer looks, operator also decides and retries, consultant also activates rule sets.")]

accounts = typer.Typer(help="Who may use the console and the API.", no_args_is_help=True)
app.add_typer(accounts, name="accounts")


def _asked(verb: str, what: Callable[[], T]) -> T:
    from engine.console.accounts import NotAllowed  # noqa: PLC0415

    return or_misused(f"accounts {verb}", what, NotAllowed)


@accounts.command("list", epilog="Example: instep accounts list --database demo.sqlite")
def accounts_list(database: Database = None, client: OfClient = None, json: Json = False) -> None:
    """Every account, with its role and when it was used last."""
    from engine.console import keeping  # noqa: PLC0415

    rows = _asked("list", lambda: keeping.listed(database, client))
    if json:
        print_json({"accounts": rows})
        return
    if not rows:
        console.print("Nobody has an account: `instep accounts add NAME --role consultant` makes the first.")
        return
    table = Table("name", "role", "last used", "sessions", "tokens", "", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        used, gone = (row["last_used"] or "")[:16], f"closed {row['closed_at'][:16]}" if row["closed_at"] else ""
        table.add_row(row["name"], row["role"], used, str(row["sessions"]), ", ".join(row["tokens"]), gone)
    console.print(table)


@accounts.command("add", epilog="Example: instep accounts add Ana --role operator --by Kim --database demo.sqlite")
def accounts_add(name: Name, role: Role, by: By, database: Database = None, client: OfClient = None) -> None:
    """A new account. Its password is asked for on a terminal; where none is typed, one is drawn and shown once."""
    from engine.console import keeping  # noqa: PLC0415

    typed = _typed()
    password = _asked("add", lambda: keeping.added(database, client, name, role, by, typed))
    if not typed:
        console.print(Text(f"The password of {name}, which is shown only now: {password}"))


@accounts.command("change", epilog="Example: instep accounts change Ana --role viewer --by Kim --database demo.sqlite")
def accounts_change(
    name: Name,
    by: By,
    role: Annotated[str, typer.Option(help="Another role: viewer, operator or consultant.")] = "",
    password: Annotated[bool, typer.Option("--password", help="Another password; ends every session and token.")] = False,
    database: Database = None,
    client: OfClient = None,
) -> None:
    """Give an account another role or password."""
    from engine.console import keeping  # noqa: PLC0415

    if not (role or password):
        misused("instep accounts change: say --role ROLE or --password")
    typed = _typed() if password else ""
    new = (typed or keeping.drawn()) if password else ""
    _asked("change", lambda: keeping.changed(database, client, name, by, role=role, password=new))
    if new and not typed:
        console.print(Text(f"The password of {name}, which is shown only now: {new}"))


@accounts.command("close", epilog="Example: instep accounts close Ana --by Kim --database demo.sqlite")
def accounts_close(name: Name, by: By, database: Database = None, client: OfClient = None) -> None:
    """End an account with all its sessions and tokens, from this moment."""
    from engine.console import keeping  # noqa: PLC0415

    _asked("close", lambda: keeping.closed(database, client, name, by))
    console.print(Text(f"{name} is let in no more."))


@accounts.command("token", epilog='Example: instep accounts token Ana --label "nightly report" --by Kim --database demo.sqlite')
def accounts_token(
    name: Name,
    label: Annotated[str, typer.Option(help="What it is for.")],
    by: By,
    days: Annotated[int, typer.Option(help="How long it lasts, at most a year.")] = 90,
    database: Database = None,
    client: OfClient = None,
) -> None:
    """A token for a program, which may then do over the API what this account may. Shown once."""
    from engine.console import keeping  # noqa: PLC0415

    held = _asked("token", lambda: keeping.token(database, client, name, label, days, by))
    typer.echo(held)


def _typed() -> str:
    """A password typed twice on a terminal; nothing elsewhere."""
    if not sys.stdin.isatty():
        return ""
    return str(
        typer.prompt("Password (empty: one is drawn)", default="", hide_input=True, confirmation_prompt=True, show_default=False)
    )
