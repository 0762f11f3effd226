"""Verbs for those who write rules."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from engine.cli.app import Database, Json, Root, app
from engine.cli.output import (
    FOUND,
    console,
    errors,
    misused,
    print_json,
    read_bytes,
    write_text,
)


class Format(StrEnum):
    """How problems are printed."""

    text = "text"
    json = "json"
    github = "github"


@app.command(epilog="Example: instep check --strict")
def check(
    path: Annotated[str | None, typer.Argument(help="Directory with rules/ and mappings/; with --explain, a code.")] = None,
    client: Annotated[str | None, typer.Option(help="Only this client and what it extends.")] = None,
    live: Annotated[
        str | None, typer.Option(metavar="CLIENT", help="Only this client, and ask its systems whether they take its codes.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as found problems too.")] = False,
    form: Annotated[Format, typer.Option("--format", help="github prints workflow annotations.")] = Format.text,
    explain: Annotated[bool, typer.Option("--explain", help="What a code means, with an example; alone, all codes.")] = False,
    json: Json = False,
) -> None:
    """Every problem of every file at once, as file:line:col."""
    from engine.cli import checking  # noqa: PLC0415 - each verb loads only its own floor

    form = Format.json if json else form
    if explain:
        checking.explain(path, json=form == Format.json)
        return
    if not checking.check(path, live or client, form, strict=strict, live=live is not None):
        raise typer.Exit(FOUND)


@app.command("test", epilog="Example: instep test --client base --coverage")
def try_scenarios(
    path: Annotated[Path | None, typer.Argument(help="A project, or a file or folder of scenarios in one.")] = None,
    client: Annotated[str | None, typer.Option(help="Only the scenarios of this client, or of this pack.")] = None,
    named: Annotated[str, typer.Option("-k", "--named", help="Only those with this text in their title or file.")] = "",
    coverage: Annotated[bool, typer.Option("--coverage", help="Which rules and conditions were reached, and which not.")] = False,
    threshold: Annotated[float | None, typer.Option(help="Fail where less than this percentage is covered.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report to this file.")] = None,
    json: Json = False,
) -> None:
    """Try the scenarios beside the rules. A failing one is shown as a timeline, with why the rule in question did not hold."""
    from engine.cli import testing  # noqa: PLC0415

    try:
        report = testing.tried(path, client, named=named, coverage=coverage or threshold is not None)
    except testing.NothingToTest as fault:
        misused(f"instep test: {fault}")
    if junit is not None:
        write_text(junit, testing.junit(report))
    if json:
        print_json(testing.report_json(report))
    else:
        for line in testing.report_lines(report):
            console.print(line)
    below = threshold is not None and report.percent < threshold
    if below:
        errors.print(Text(f"{report.percent:.1f} % is covered, {threshold:g} % is wanted", style="red"))
    if report.failed or below:
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


@app.command(epilog="Example: instep schema")
def schema(
    out: Annotated[Path | None, typer.Option("--out", help="Directory to write to (default: .instep/schemas).")] = None,
    root: Root = None,
    json: Json = False,
) -> None:
    """JSON Schemas of every kind of file, for editors. Run it again when packs, params, facts or connectors have changed."""
    from engine.cli.schemas import write_schemas  # noqa: PLC0415
    from engine.language.files import project_root  # noqa: PLC0415

    try:
        written = write_schemas(project_root(root), out)
    except OSError as fault:
        misused(f"cannot write {fault.filename}: {fault.strerror}")
    if json:
        print_json({"written": [str(path) for path in written]})
    else:
        for path in written:
            console.print(Text(str(path)))
        console.print(Text("An editor with a YAML language server finds them by the first line of each file.", style="dim"))


@app.command(epilog="Example: instep diff main --client demo")
def diff(
    before: Annotated[str, typer.Argument(help="A folder, a git commit, branch or tag, a hash of an activated set, or live.")],
    after: Annotated[str | None, typer.Argument(help="The same; the working files unless said.")] = None,
    client: Annotated[str | None, typer.Option(help="Only this client.")] = None,
    root: Root = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """What changed in meaning between two sets of files. Exit code 0: nothing; 1: something; 2: used wrongly."""
    from engine.cli.differing import as_json, differences, told  # noqa: PLC0415
    from engine.desk.stored import NotFound  # noqa: PLC0415
    from engine.run.rules.past import NoSuchRuleSet  # noqa: PLC0415

    try:
        changes = differences(before, after, client, root, database)
    except (NoSuchRuleSet, NotFound) as fault:
        misused(f"instep diff: {fault}")
    if json:
        print_json(as_json(changes))
    else:
        for line in told(changes):
            console.print(line)
        if not any(changes.values()):
            console.print(Text("Nothing changed in meaning", style="green"))
    if any(changes.values()):
        raise typer.Exit(FOUND)


new = typer.Typer(name="new", help="A client, a rule or a connector to start from.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(new)
Here = Annotated[Path | None, typer.Option("--root", help="Directory of the project (default: here).")]


@new.command("client", epilog="Example: instep new client northwind")
def new_client(name: Annotated[str, typer.Argument(help="Its name, which is its folder's too.")], root: Here = None) -> None:
    """A client: its client.yaml and a first scenario."""
    from engine.cli.scaffolds import Refusal, new_client  # noqa: PLC0415

    try:
        _made(new_client((root or Path.cwd()).resolve(), name), f"instep check, then instep test --client {name}")
    except Refusal as fault:
        misused(f"instep new client: {fault}")


@new.command("rule", epilog="Example: instep new rule unanswered_return --client northwind")
def new_rule(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="Its id: lower-case letters, digits and _.")],
    client: Annotated[
        str | None, typer.Option(help="Whose rule it is (default: the only client, or rules/base of your own).")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Its place in the precedence (default: sync).")] = None,
    root: Here = None,
) -> None:
    """A rule, with comments that tell what each key means, and its scenarios."""
    from engine.cli.scaffolds import Refusal, new_rule  # noqa: PLC0415

    try:
        _made(new_rule((root or Path.cwd()).resolve(), rule_id, client, group), "instep check, then instep test")
    except Refusal as fault:
        misused(f"instep new rule: {fault}")


@new.command("connector", epilog="Example: instep new connector depot --role warehouse")
def new_connector(
    name: Annotated[str, typer.Argument(help="Its name: lower-case letters and digits.")],
    role: Annotated[str, typer.Option(help="What it is to a client, such as warehouse or carrier.")],
    root: Here = None,
) -> None:
    """A connector as a package of its own, with a sandbox and a mapping, that polls and reads at once."""
    from engine.cli.connector_scaffold import new_connector  # noqa: PLC0415
    from engine.cli.scaffolds import Refusal  # noqa: PLC0415

    try:
        made = new_connector((root or Path.cwd()).resolve(), name, role)
        _made(made, f"pip install -e instep_{name}, instep schema, then {role}: {{use: {name}, ...}} in a client.yaml")
    except Refusal as fault:
        misused(f"instep new connector: {fault}")


def _made(paths: list[Path], following: str) -> None:
    for path in paths:
        console.print(Text(str(path)))
    console.print(Text(f"Next: {following}", style="dim"))
