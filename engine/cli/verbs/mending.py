"""Verbs for what cannot go on by itself: events that were set aside, effects that were refused, are unsure or put off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from engine.cli.app import By, Database, Json, OfClient, Root, app
from engine.cli.output import FOUND, console, meant, misused, or_misused, print_either, print_json

W = TypeVar("W")
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before doing it to many.")]
Numbers = Annotated[list[int] | None, typer.Argument(metavar="[NUMBER]...", help="Numbers of `instep events list`.")]
Kind = Annotated[str, typer.Option(help="Only events of this kind, such as mirakl.order.")]
OfConnector = Annotated[str, typer.Option(help="Only events of this connector.")]
Why = Annotated[str, typer.Option("--why", "--reason", help="Only those with this in the reason they cannot go on.")]
WhyOnly = Annotated[str, typer.Option("--why", help="Only those with this in the reason they cannot go on.")]
Speaking = Annotated[str, typer.Option(help="Only events that speak of this order, RMA or whatever it is.")]
Since = Annotated[str, typer.Option(help="Only since this instant, such as 2026-11-01.")]
EventStatus = Annotated[str, typer.Option(help="waiting, read, discarded or all.")]
AllEvents = Annotated[bool, typer.Option("--all", help="All that wait.")]
Keys = Annotated[list[str] | None, typer.Argument(metavar="[EFFECT]...", help="Keys or numbers of `instep effects list`.")]
Action = Annotated[str, typer.Option(help="Only effects of this action, such as marketplace.refund.")]
OfRole = Annotated[str, typer.Option("--connector", help="Only effects through this role, such as marketplace.")]
OfCase = Annotated[str, typer.Option(help="Only effects of this case, order or RMA.")]
EffectStatus = Annotated[
    str, typer.Option(help="planned, performing, unsure, settled, settled_elsewhere, refused, acknowledged, withdrawn or all.")
]
AllEffects = Annotated[bool, typer.Option("--all", help="All that cannot go on by themselves.")]


def _told(json: bool, name: str, rows: Sequence[dict[str, Any]], lines: Callable[[Any], Sequence[Any]]) -> None:
    """Prints what came of each; the program ends with 1 where something could not be done."""
    print_either({name: rows}, lambda: lines(rows), json=json)
    if not all(row["fine"] for row in rows):
        raise typer.Exit(FOUND)


def _meant(
    verb: str,
    count_of: Callable[[Path | None, str | None, W], int],
    database: Path | None,
    client: str | None,
    which: W,
    *,
    yes: bool,
    json: bool,
) -> None:
    """Those that were not named one by one are counted, and asked about."""
    meant(or_misused(verb, lambda: count_of(database, client, which)), verb.partition(" ")[0], yes=yes, json=json)


events = typer.Typer(
    help="What a client's service was told: what was set aside and why, trying a mapping on it, and the whole history.",
    no_args_is_help=True,
)
app.add_typer(events, name="events")


@events.command("list", epilog="Example: instep events list --kind returngo.rma --database demo.sqlite")
def events_list(
    kind: Kind = "",
    connector: OfConnector = "",
    why: Why = "",
    case: Speaking = "",
    since: Since = "",
    status: EventStatus = "waiting",
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Events that could not be taken in. They are kept whole, and read again by themselves when mappings change."""
    from engine.desk import asides  # noqa: PLC0415

    which = asides.Which((), kind, connector, why, case, since, status, every=True)
    rows = or_misused("events list", lambda: asides.listed(database, client, which))
    if json:
        print_json({"events": rows})
    else:
        console.print(asides.table(rows))


@events.command("show", epilog="Example: instep events show 1 --database demo.sqlite")
def events_show(
    number: Annotated[int, typer.Argument(help="Its number.")],
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """One event with its payload, and the place in it and in the mapping where reading stopped."""
    from engine.desk import asides  # noqa: PLC0415

    told = or_misused("events show", lambda: asides.shown(database, client, number))
    print_either(told, lambda: asides.shown_lines(told), json=json)


@events.command("mend", epilog="Example: instep events mend --kind returngo.rma --mapping rma.yaml --database demo.sqlite")
def events_mend(
    numbers: Numbers = None,
    kind: Kind = "",
    connector: OfConnector = "",
    why: Why = "",
    case: Speaking = "",
    since: Since = "",
    every: AllEvents = False,
    mapping: Annotated[Path | None, typer.Option(help="Try this mapping in place of the one in the files.")] = None,
    root: Root = None,
    apply: Annotated[bool, typer.Option("--apply", help="Take in again what the active rule set can read.")] = False,
    by: Annotated[str, typer.Option(help="Who decides, with --apply.")] = "",
    yes: Yes = False,
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Try the files as they lie, or a changed mapping, on what was set aside: the records it makes, or why not.

    A running service takes changed files in by itself, and then reads again what was set aside: --apply is for what the active
    rule set can read already.
    """
    from engine.cli import mending  # noqa: PLC0415
    from engine.desk import asides, doing  # noqa: PLC0415

    which = asides.Which(tuple(numbers or ()), kind, connector, why, case, since, "waiting", every)
    if apply:
        or_misused("events mend", lambda: doing.person(by))
        _meant("events mend", asides.count_of, database, client, which, yes=yes or bool(numbers), json=json)
    rows = or_misused("events mend", lambda: mending.mended(database, client, root, mapping, which, by if apply else None))
    _told(json, "events", rows, mending.mended_lines)


@events.command("retry", epilog='Example: instep events retry 17 --by "Ana" --database demo.sqlite')
def events_retry(
    by: By,
    numbers: Numbers = None,
    kind: Kind = "",
    connector: OfConnector = "",
    why: WhyOnly = "",
    case: Speaking = "",
    since: Since = "",
    status: EventStatus = "waiting",
    every: AllEvents = False,
    yes: Yes = False,
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Have events read again with the active rule set; also those that were discarded."""
    from engine.desk import asides, doing  # noqa: PLC0415

    which = asides.Which(tuple(numbers or ()), kind, connector, why, case, since, status, every)
    or_misused("events retry", lambda: doing.person(by))
    _meant("events retry", asides.count_of, database, client, which, yes=yes or bool(numbers), json=json)
    _told(json, "events", or_misused("events retry", lambda: asides.retried(database, client, which, by, "")), asides.done_lines)


@events.command("discard", epilog='Example: instep events discard 17 --reason "their test" --by "Ana" --database demo.sqlite')
def events_discard(
    by: By,
    reason: Annotated[str, typer.Option(help="Why nothing of it is to be read.")],
    numbers: Numbers = None,
    kind: Kind = "",
    connector: OfConnector = "",
    why: WhyOnly = "",
    case: Speaking = "",
    since: Since = "",
    every: AllEvents = False,
    yes: Yes = False,
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Mark events as nothing to be read. They stay in the journal, whole, and `instep events retry` takes that back."""
    from engine.desk import asides, doing  # noqa: PLC0415

    which = asides.Which(tuple(numbers or ()), kind, connector, why, case, since, "waiting", every)
    or_misused("events discard", lambda: (doing.person(by), doing.reason(reason)))
    _meant("events discard", asides.count_of, database, client, which, yes=yes or bool(numbers), json=json)
    rows = or_misused("events discard", lambda: asides.discarded(database, client, which, by, reason))
    _told(json, "events", rows, asides.done_lines)


@events.command("export", epilog="Example: instep events export --database demo.sqlite > history.jsonl")
def events_export(database: Database = None, client: OfClient = None) -> None:
    """The whole history as JSON lines, for `instep simulate --history` anywhere. It holds payloads: treat it as such."""
    import sys  # noqa: PLC0415

    from engine.desk.stored import NotFound, visited  # noqa: PLC0415
    from engine.simulate.history import recorded, written  # noqa: PLC0415

    try:
        with visited(database, client) as store:
            sys.stdout.writelines(written(recorded(store)))
    except NotFound as fault:
        misused(f"instep events export: {fault}")


@events.command("prune", epilog='Example: instep events prune --client northwind --to 2026.jsonl --by "Ana"')
def events_prune(
    by: By = "",
    to: Annotated[Path | None, typer.Option(help="A new file for what leaves; without it, what would is told.")] = None,
    root: Root = None,
    yes: Yes = False,
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Payloads of closed cases older than the client's `retention` leave the store, into a file first.

    The file is a history for --history. Open cases, decisions, effects, receipts, exceptions and the audit trail stay.
    """
    from engine.desk import doing, pruning  # noqa: PLC0415

    told = or_misused("events prune", lambda: pruning.planned(database, client, root).to_json())
    if to is not None:
        who, file = or_misused("events prune", lambda: doing.person(by)), to
        meant(told["events"], "payloads leave the store", yes=yes, json=json)
        try:
            told = or_misused("events prune", lambda: pruning.pruned(database, client, root, file, who))
        except OSError as fault:
            misused(f"instep events prune: {fault.filename or file}: {fault.strerror}. Nothing has left the store")
    print_either(told, lambda: pruning.lines(told), json=json)


effects = typer.Typer(
    help="What the client's service sends: what was refused, is unsure or was put off, and what can be done about it.",
    no_args_is_help=True,
)
app.add_typer(effects, name="effects")


@effects.command("list", epilog="Example: instep effects list --status settled --database demo.sqlite")
def effects_list(
    action: Action = "",
    connector: OfRole = "",
    why: Why = "",
    case: OfCase = "",
    since: Since = "",
    status: EffectStatus = "",
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Effects that cannot go on by themselves: refused, unsure, cut off or put off. With --status, those of that status."""
    from engine.desk import effects as outbox  # noqa: PLC0415

    which = outbox.Which((), action, connector, why, case, since, status, every=True)
    rows = or_misused("effects list", lambda: outbox.listed(database, client, which))
    if json:
        print_json({"effects": rows})
    else:
        console.print(outbox.table(rows, everything=which.narrowed))


@effects.command("show", epilog="Example: instep effects show 1 --database demo.sqlite")
def effects_show(
    effect: Annotated[str, typer.Argument(help="Its key or number.")],
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """The whole life of an effect: its rule, each step, receipts, what people did, and what happens next."""
    from engine.desk import effects as outbox  # noqa: PLC0415

    told = or_misused("effects show", lambda: outbox.shown(database, client, effect))
    print_either(told, lambda: outbox.shown_lines(told), json=json)


@effects.command("retry", epilog='Example: instep effects retry refund:M-1001-1#1 --by "Ana" --database demo.sqlite')
def effects_retry(
    by: By,
    names: Keys = None,
    action: Action = "",
    connector: OfRole = "",
    why: WhyOnly = "",
    case: OfCase = "",
    since: Since = "",
    status: EffectStatus = "",
    every: AllEffects = False,
    reason: Annotated[str, typer.Option(help="What has changed.")] = "",
    yes: Yes = False,
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Ask again for what was refused, look up now what is unsure, try now what was put off.

    Nothing goes around the rules: it is looked up first, and sent only if rules, vetoes and claims ask for it then. What is
    unsure is never simply sent again.
    """
    from engine.desk import doing  # noqa: PLC0415
    from engine.desk import effects as outbox  # noqa: PLC0415

    which = outbox.Which(tuple(names or ()), action, connector, why, case, since, status, every)
    or_misused("effects retry", lambda: doing.person(by))
    _meant("effects retry", outbox.count_of, database, client, which, yes=yes or bool(names), json=json)
    rows = or_misused("effects retry", lambda: outbox.retried(database, client, which, by, reason))
    _told(json, "effects", rows, outbox.done_lines)


@effects.command(
    "discard",
    epilog='Example: instep effects discard refund:M-1001-1#1 --reason "paid by hand" --by "Ana" --database demo.sqlite',
)
def effects_discard(
    by: By,
    reason: Annotated[str, typer.Option(help="Why nothing is to be sent any more.")],
    names: Keys = None,
    action: Action = "",
    connector: OfRole = "",
    why: WhyOnly = "",
    case: OfCase = "",
    since: Since = "",
    status: EffectStatus = "",
    every: AllEffects = False,
    yes: Yes = False,
    database: Database = None,
    client: OfClient = None,
    json: Json = False,
) -> None:
    """Be done with what was refused: it stays refused, and nobody is asked about it any more.

    What is still asked for, unsure or done cannot be discarded; what can be done instead is said.
    """
    from engine.desk import doing  # noqa: PLC0415
    from engine.desk import effects as outbox  # noqa: PLC0415

    which = outbox.Which(tuple(names or ()), action, connector, why, case, since, status, every)
    or_misused("effects discard", lambda: (doing.person(by), doing.reason(reason)))
    _meant("effects discard", outbox.count_of, database, client, which, yes=yes or bool(names), json=json)
    rows = or_misused("effects discard", lambda: outbox.discarded(database, client, which, by, reason))
    _told(json, "effects", rows, outbox.done_lines)
