"""Verbs that keep a client's store safe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.app import Json, app
from engine.cli.output import FOUND, console, misused, print_json

Store = Annotated[Path, typer.Argument(help="The store's file, such as northwind.sqlite.")]


@app.command(epilog="Example: instep backup demo.sqlite --to demo-backup.sqlite")
def backup(
    store: Store,
    to: Annotated[Path, typer.Option(help="Where the copy is written. A backup there is replaced once the new one is whole.")],
    json: Json = False,
) -> None:
    """Copy a store while the service runs on it: one file, checked as by `instep verify` before it gets its name."""
    from engine.cli import safekeeping  # noqa: PLC0415
    from engine.store.rows import NewerStore  # noqa: PLC0415
    from engine.store.sqlite.backup import NotCopied  # noqa: PLC0415

    try:
        copied = safekeeping.backed_up(store, to)
    except NotCopied as no:
        for line in safekeeping.finding_lines(no.findings):
            console.print(line)
        if no.findings:
            console.print(f"instep backup: {no}")
            raise typer.Exit(FOUND) from None
        misused(f"instep backup: {no}")
    except (FileNotFoundError, NewerStore) as no:
        misused(f"instep backup: {no}")
    if json:
        print_json({"file": str(copied.path), "bytes": copied.size, "events": copied.events})
    else:
        console.print(f"{copied.path}: {copied.events} events, {copied.size / 1e6:.1f} MB, checked.")


@app.command(epilog="Example: instep verify demo.sqlite --replay")
def verify(
    store: Store,
    replay: Annotated[
        bool, typer.Option("--replay", help="Also make every recorded decision anew from the journal, and compare.")
    ] = False,
    json: Json = False,
) -> None:
    """Check everything that must be true of a store, in use or not: file, journal, effects, memory, wake-ups, rule sets."""
    from engine.cli import safekeeping  # noqa: PLC0415
    from engine.store.rows import NewerStore  # noqa: PLC0415

    try:
        findings, counts = safekeeping.verified(store, replay=replay)
    except (FileNotFoundError, NewerStore) as no:
        misused(f"instep verify: {no}")
    if json:
        print_json({"findings": safekeeping.findings_json(findings), "looked_at": dict(counts)})
    else:
        for line in safekeeping.finding_lines(findings):
            console.print(line)
        if not findings:
            same = "; every decision comes out the same" if replay else ""
            console.print(f"All is as it must be: {safekeeping.said_counts(counts)}{same}.")
    if findings:
        raise typer.Exit(FOUND)


@app.command(epilog='Example: instep restore demo.sqlite --from demo-backup.sqlite --by "Ana"')
def restore(
    store: Store,
    by: Annotated[str, typer.Option(help="Who decides.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="The backup to put in its place; without it, the store is taken as it is.")
    ] = None,
    json: Json = False,
) -> None:
    """Go on with an older copy of a store, while no service runs on it. What may have been sent since is looked up first."""
    from engine.cli import safekeeping  # noqa: PLC0415
    from engine.store.rows import NewerStore, StoreInUse  # noqa: PLC0415
    from engine.store.sqlite.backup import NotCopied  # noqa: PLC0415

    try:
        told = safekeeping.put_back(store, source, by)
    except NotCopied as no:
        for line in safekeeping.finding_lines(no.findings):
            console.print(line)
        misused(f"instep restore: {no}")
    except (FileNotFoundError, NewerStore, StoreInUse) as no:
        misused(f"instep restore: {no}")
    if json:
        print_json({"said": told})
    else:
        console.print("\n".join(told))
