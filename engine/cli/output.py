"""How everything is printed: for people with rich, for programs as one JSON text."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Container, Iterable, MutableMapping
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar, cast

import structlog
import typer
from rich.text import Text

from engine.cli.visible import Plain, visible, visible_fields
from engine.facts.codec import dumps
from engine.problems import Problem, Problems
from engine.run.private import write_private

FINE, FOUND, MISUSED = 0, 1, 2
IN_PASSING = ("stamina.retry_scheduled",)  # a request tried again at once: where that was in vain, whoever asked says so
T = TypeVar("T")

console = Plain()
errors = Plain(stderr=True)


class _Stderr:
    """Wherever stderr goes now: a live screen takes its place for as long as it is there."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def log_to_stderr(shown: Container[str] = ()) -> None:
    """What is logged never mixes with what is printed. `shown` are events left out because they are printed."""

    def left_out(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event.get("event") in shown or event.get("event") in IN_PASSING:
            raise structlog.DropEvent
        return event

    structlog.configure(
        processors=[
            left_out,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            visible_fields,
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
    )


def print_json(value: Any) -> None:
    """One line for programs; indented on a terminal, where people read it."""
    text = dumps(value)
    sys.stdout.write(
        (visible(json.dumps(json.loads(text), indent=2, ensure_ascii=False)) if sys.stdout.isatty() else text) + "\n"
    )


def print_problems(problems: Problems) -> None:
    for problem in problems:
        console.print(problem_line(problem))


def problem_line(problem: Problem) -> Text:
    style = {"error": "red", "warning": "yellow", "info": "cyan"}[problem.severity]
    return Text.assemble((f"{problem.place}: ", "bold"), (f"{problem.severity} {problem.code}", style), f": {problem.message}")


def misused(message: str) -> NoReturn:
    """Say what was wrong with the call, and stop."""
    errors.print(Text(message, style="red"))
    raise typer.Exit(MISUSED)


def meant(count: int, what: str, *, yes: bool, json: bool) -> None:
    """Asks before many things are done at once; ends the program where it was not meant."""
    if yes or count <= 1:
        return
    if json:
        misused(f"{count} {what}: add --yes to do it to all of them")
    if not typer.confirm(f"{count} {what}. Do it to all of them?"):
        console.print("Nothing was done.")
        raise typer.Exit(FOUND)


def or_misused(verb: str, what: Callable[[], T], *also: type[Exception]) -> T:
    """What it answers; what was asked wrongly is said, and ends the program."""
    from engine.desk.stored import NotFound  # noqa: PLC0415 - with all it needs of the store

    wrong: tuple[type[Exception], ...] = (NotFound, *also)
    try:
        return what()
    except wrong as fault:
        misused(f"instep {verb}: {fault}")


def print_either(told: Any, lines: Callable[[], Iterable[Any]], *, json: bool) -> None:
    """For programs as JSON, for people line by line."""
    if json:
        print_json(told)
        return
    for line in lines():
        console.print(line)


def read_bytes(path: str) -> bytes:
    """A file's bytes, or standard input for `-`."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as fault:
        misused(f"cannot read {path}: {fault.strerror}")


def write_text(path: Path, text: str) -> None:
    """Write a file that was asked for, for whoever asked alone."""
    try:
        write_private(path, text)
    except OSError as fault:
        misused(f"cannot write {path}: {fault.strerror}")
