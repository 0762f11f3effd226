"""Verbs that try things out without the outside world."""

from __future__ import annotations

from json import dumps
from os import cpu_count
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from engine.cli.app import Database, Json, Root, app
from engine.cli.asked import AskedOfWorld
from engine.cli.output import FOUND, console, errors, misused, print_json, write_text


@app.command(epilog="Example: instep demo --fast")
def demo(
    fast: Annotated[bool, typer.Option("--fast", help="As fast as it goes, instead of a pace one can read.")] = False,
    database: Annotated[Path, typer.Option(help="Left behind for `instep explain`; an older one is replaced.")] = Path(
        "demo.sqlite"
    ),
    look: Annotated[bool, typer.Option("--console", help="Then open its console, to look on and decide, until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(help="Where the console is.")] = 8080,
    root: Root = None,
    json: Json = False,
) -> None:
    """A day of returns against sandboxes of all six systems on this machine, with the engine keeping them in step."""
    from engine.cli.playing import play_demo  # noqa: PLC0415
    from engine.run.web.listening import CannotListen  # noqa: PLC0415

    if look and json:
        misused("instep demo: --console is for people, and --json for programs: leave out one of them")
    try:
        summary: dict[str, Any] = play_demo(root, database, fast=fast, quiet=json, port=port if look else None)
    except CannotListen as no:
        misused(f"instep demo: {no}")
    if json:
        typer.echo(dumps(summary, sort_keys=True))
    if summary["refunded_twice"] or summary["deadlines_missed"]:
        errors.print(Text("The demo found a broken promise; that is a fault of instep.", style="red"))
        raise typer.Exit(FOUND)


def _only_of_history(given: dict[str, object]) -> None:
    for option, value in given.items():
        if value:
            misused(f"instep simulate: {option} is about a recorded history, and --world plays none: leave out one of them")


def _in_world(client: str, asked: AskedOfWorld, root: Path | None, html: Path | None, *, json: bool) -> None:
    from engine.cli.worlds import played, print_outcome  # noqa: PLC0415
    from engine.desk.stored import NotFound  # noqa: PLC0415
    from engine.language.worlds.files import NoSuchWorld  # noqa: PLC0415
    from engine.run.rules.past import NoSuchRuleSet  # noqa: PLC0415
    from engine.simulate.worlds.told import broken, world_json  # noqa: PLC0415

    try:
        outcome = played(root, client, asked)
        if html is not None:
            from engine.run.private import write_private  # noqa: PLC0415
            from engine.simulate.worlds.page import page  # noqa: PLC0415

            write_private(html, page(outcome))
    except (NotFound, NoSuchRuleSet, NoSuchWorld) as fault:
        misused(f"instep simulate: {fault}")
    except OSError as fault:
        misused(f"instep simulate: {fault.filename}: {fault.strerror}")
    if json:
        print_json(world_json(outcome))
    else:
        print_outcome(outcome)
    if broken(outcome):
        raise typer.Exit(FOUND)


@app.command(
    epilog="Example: instep simulate demo --database demo.sqlite --against live, or instep simulate demo --world calm --days 3"
)
def simulate(
    client: Annotated[str, typer.Argument(help="Whose rules and history.")],
    database: Database = None,
    history: Annotated[Path | None, typer.Option(help="A history as JSON lines, instead of the store's.")] = None,
    rules: Annotated[str, typer.Option(help="The rule set to try: a folder, a git commit, a hash, or live.")] = "",
    against: Annotated[str, typer.Option(help="The rule set to compare it with: a folder, a git commit, a hash, or live.")] = "",
    since: Annotated[str, typer.Option(help="Only cases that began since then.")] = "",
    case: Annotated[list[str] | None, typer.Option(help="Only this case, and what is tied to it. May be repeated.")] = None,
    rule: Annotated[str, typer.Option(help="Show only differences by this rule.")] = "",
    sample: Annotated[str, typer.Option(help="A share of all cases, such as 10%: the same ones every time.")] = "100%",
    workers: Annotated[int, typer.Option(min=1, help="Processes to use. The result is the same for any number.")] = cpu_count()
    or 1,
    record: Annotated[Path | None, typer.Option(help="Keep what came of every case in this file.")] = None,
    expect: Annotated[Path | None, typer.Option(help="Fail with the differences to what was kept in this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write it as one page of HTML that opens anywhere.")] = None,
    second_opinion: Annotated[
        bool, typer.Option("--second-opinion", help="Check matching against durable-rules, where it can judge.")
    ] = False,
    world: Annotated[str, typer.Option(help="Play this world instead: a file, or a name in rules/worlds, such as peak.")] = "",
    days: Annotated[int, typer.Option(min=1, max=400, help="With --world: for how many days customers order.")] = 30,
    seed: Annotated[int, typer.Option(help="With --world: another seed is another such world, the same seed the same.")] = 1,
    root: Root = None,
    json: Json = False,
) -> None:
    """What a recorded history would have come to with a rule set, or with one rule set and with another. Sends nothing.

    With --world, no history but customers, agents, carriers, a warehouse and people by chance, who go on with what the rules do.
    """
    if world:
        taken = {"--history": history, "--since": since, "--case": case, "--rule": rule, "--record": record, "--expect": expect}
        _only_of_history({**taken, "--second-opinion": second_opinion, "--sample": sample.removesuffix("100%")})
        _in_world(client, AskedOfWorld(world, days, seed, rules, against, workers, database), root, html, json=json)
        return
    from engine.cli.simulating import Asked, simulate_history  # noqa: PLC0415

    cases = tuple(case or ())
    asked = Asked(database, history, rules, against, workers, since, cases, rule, sample, record, expect, html, second_opinion)
    if not simulate_history(root, client, asked, json=json):
        raise typer.Exit(FOUND)


@app.command(epilog="Example: instep races rules/base/refund.test.yaml --named whole --moves 1")
def races(
    path: Annotated[Path | None, typer.Argument(metavar="SCENARIO", help="A file or folder of scenarios, or a project.")] = None,
    client: Annotated[str | None, typer.Option(help="Only the scenarios of this client, or of this pack.")] = None,
    named: Annotated[str, typer.Option("-k", "--named", help="Only those with this text in their title or file.")] = "",
    moves: Annotated[int, typer.Option(min=0, help="How many things may go wrong in one interleaving.")] = 2,
    most: Annotated[int, typer.Option(min=1, help="States to look at in each scenario.")] = 20_000,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds to spend on each scenario.")] = 120.0,
    write: Annotated[Path | None, typer.Option(help="Write the first counterexample as a scenario file.")] = None,
    json: Json = False,
) -> None:
    """Every order in which things can happen around a scenario: late, twice, by hand, lost, cut off. Prints the shortest that
    breaks a promise.
    """
    from engine.cli import racing  # noqa: PLC0415
    from engine.cli.testing import NothingToTest  # noqa: PLC0415
    from engine.simulate.races.search import Limits  # noqa: PLC0415

    found = racing.Races(Limits(moves, most, seconds))
    try:
        for one in found.run(path, client, named):
            for line in () if json else racing.raced_lines(one, found.limits):
                console.print(line)
    except (racing.NothingToRace, NothingToTest) as fault:
        misused(f"instep races: {fault}")
    if json:
        print_json(racing.races_json(found))
    else:
        for line in racing.sum_lines(found):
            console.print(line)
    if found.broken and write is not None:
        write_text(write, found.written())
    if found.broken:
        raise typer.Exit(FOUND)
