"""`instep check`: what it found, for people, for programs and for GitHub, and what each code means."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill, indent
from typing import Any

from rich.text import Text

from engine.cli.output import console, misused, print_json, print_problems
from engine.facts.outside import installed_actions, installed_connectors
from engine.language.pack import check as check_files
from engine.language.pack import clients, plain_secrets, project_root
from engine.problems import Code, Problem, Problems, did_you_mean
from engine.problems.codes import CODES

_STYLES = {"error": "red", "warning": "yellow", "info": "cyan"}
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}  # of GitHub's workflow commands
_WIDTH = 100


def check(path: str | None, client: str | None, form: str, *, strict: bool, live: bool = False) -> bool:
    """Print all problems in the wanted form; whether there is nothing to mend. `live` asks the client's systems too."""
    root = _root(path)
    problems = check_files(root, installed_actions(), client)
    for each in clients(root) if client is None else {client} & {*clients(root)}:
        problems.extend(plain_secrets(root, each, installed_connectors()))
    notes: tuple[str, ...] = ()
    if live and client is not None and not problems.errors:
        found, notes = _asked(root, client)
        problems.extend(found)
    if form == "json":
        print_json({"problems": [problem.as_json() for problem in problems], "notes": list(notes)})
    elif form == "github":
        for problem in problems:
            sys.stdout.write(annotation(problem, root) + "\n")
    else:
        print_problems(problems)
        for note in notes:
            console.print(Text(note, style="dim"))
        console.print(_summary(problems))
    return not problems.errors and not (strict and any(problem.severity == "warning" for problem in problems))


def _asked(root: Path, client: str) -> tuple[Problems, tuple[str, ...]]:
    """Problems with the client's codes, from its own systems, and what could not be asked."""
    from engine.run.boot import check_codes  # noqa: PLC0415 - only this asks the outside
    from engine.run.clock import SystemClock  # noqa: PLC0415

    return asyncio.run(check_codes(root, client, SystemClock()))


def annotation(problem: Problem, root: Path) -> str:
    """GitHub's command that shows a problem beside the line it is in; paths are those of the working directory."""
    place = problem.place
    file = Path(os.path.relpath(root / place.file)).as_posix()
    values = {"file": file, "line": str(place.line), "col": str(place.column), "title": problem.code}
    listed = ",".join(f"{name}={_escaped(value, of_property=True)}" for name, value in values.items())
    return f"::{_COMMANDS[problem.severity]} {listed}::{_escaped(problem.message)}"


def explain(code: str | None, *, json: bool) -> None:
    """What one code means, or every code in one line each."""
    if code is None:
        if json:
            print_json({"codes": [{"code": c.name, "severity": c.severity, "summary": c.summary} for c in _sorted()]})
            return
        width = max(map(len, CODES))
        for each in _sorted():
            console.print(Text.assemble((f"{each.name:{width}}  ", _STYLES[each.severity]), f"{each.severity:7}  {each.summary}"))
        return
    declared = CODES.get(code)
    if declared is None:
        misused(f'instep check --explain: there is no code "{code}"{did_you_mean(code, CODES)}; --explain alone lists all')
    if json:
        print_json(_code_json(declared))
    else:
        for line in _explained(declared):
            console.print(line)


def _explained(code: Code) -> Iterator[Text | str]:
    wrong, right = code.examples
    yield Text.assemble((code.name, _STYLES[code.severity]), f" ({code.severity}): {code.summary}")
    yield ""
    yield Text(fill(code.why, _WIDTH))
    for word, example in (("Wrong", wrong), ("Right", right)):
        yield ""
        yield Text(f"{word}:", style="bold")
        yield Text(indent(_shortened(example), "    "))
    if code.severity != "error":
        yield ""
        yield Text(f'Meant so? Say why, on the rule: silence: {{{code.name}: "because ..."}}')


def _shortened(example: str) -> str:
    """Some mistakes are too long to be shown whole, or cannot be seen."""
    example = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in example)
    lines = (line if len(line) <= 2 * _WIDTH else f"{line[:_WIDTH]} ..." for line in example.splitlines())
    return "\n".join(lines)


def _code_json(code: Code) -> dict[str, Any]:
    wrong, right = code.examples
    return {
        "code": code.name,
        "severity": code.severity,
        "summary": code.summary,
        "why": code.why,
        "wrong": _shortened(wrong),
        "right": _shortened(right),
    }


def _sorted() -> list[Code]:
    return sorted(CODES.values(), key=lambda code: code.name)


def _summary(problems: Problems) -> Text:
    if not problems:
        return Text("No problems found", style="green")
    count = {severity: sum(problem.severity == severity for problem in problems) for severity in _STYLES}
    hints = f", {count['info']} hints" if count["info"] else ""
    style = "red" if count["error"] else "yellow" if count["warning"] else "green"
    said = f"{count['error']} errors, {count['warning']} warnings{hints}"
    return Text(f"{said}; instep check --explain CODE says what a code means", style=style)


def _root(path: str | None) -> Path:
    if path is not None and not Path(path).is_dir():
        said = f": to learn what the code means, instep check --explain {path}" if path in CODES else ""
        misused(f"instep check: there is no directory {path}{said}")
    try:
        root = project_root(None if path is None else Path(path))
    except FileNotFoundError as fault:
        misused(f"instep check: {fault}")
    if path is not None and root != Path(path).resolve():
        misused(f"instep check: {path} has neither a folder rules nor a folder mappings")
    return root


def _escaped(text: str, *, of_property: bool = False) -> str:
    """Escaped as actions/toolkit does it for workflow commands."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if of_property else text
