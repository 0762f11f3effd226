"""The command line's application and the options that many verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from engine.cli.output import FOUND, errors, log_to_stderr, print_problems
from engine.problems import ProblemsFound
from engine.store.trouble import StoreTrouble

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
    Path | None,
    typer.Option(
        "--root", exists=True, file_okay=False, help="Directory with rules/ and mappings/ (default: here, else the shipped ones)."
    ),
]
Database = Annotated[Path | None, typer.Option("--database", help="The client's store (default: CLIENT.sqlite here).")]
OfClient = Annotated[str | None, typer.Option("--client", help="The client, where --database is not given.")]
By = Annotated[str, typer.Option(help="Who decides: a person's name.")]


def main() -> None:
    """Entry point: faults of authors are printed with their places, trouble with a store with what to do, never a traceback."""
    log_to_stderr()
    try:
        app()
    except ProblemsFound as found:
        print_problems(found.problems)
        raise SystemExit(FOUND) from None
    except StoreTrouble as trouble:
        errors.print(Text(f"{trouble.what}.", style="red"))
        errors.print(Text(f"{trouble.remedy}."))
        raise SystemExit(FOUND) from None
