"""Verbs that try things out without the outside world."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from engine.cli.app import Json, Root, app
from engine.cli.output import (
    FOUND,
    errors,
)


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
