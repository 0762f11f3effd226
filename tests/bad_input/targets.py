"""Every way in, how much of a run it gets, and the judging of one input."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import structlog

from tests.bad_input import doors, language
from tests.bad_input.language import Try

LONGEST = 20.0  # seconds of CPU for one input: past it, it is a bomb that went off


@dataclass(frozen=True)
class Target:
    """`share` of a thousand inputs of a run are for it."""

    begin: Callable[[Path], Iterator[Try]]
    share: int


TARGETS: Mapping[str, Target] = {
    "yaml": Target(language.yaml, 240),
    "expression": Target(language.expression, 190),
    "project": Target(language.project, 5),
    "client": Target(language.client, 40),
    "scenarios": Target(language.scenarios, 8),
    "codecs": Target(doors.codecs, 140),
    "signatures": Target(doors.signatures, 140),
    "mappings": Target(doors.mappings, 100),
    "intake": Target(doors.intake, 15),
    "webhooks": Target(doors.webhooks, 50),
    "documents": Target(doors.documents, 10),
    "histories": Target(doors.histories, 50),
    "answers": Target(doors.answers, 10),
    "command_line": Target(doors.command_line, 2),
}


@dataclass(frozen=True)
class Crash:
    """An input that was not judged but broke something, and how to see it again: `--replay target:seed:number`."""

    target: str
    seed: str
    number: int
    said: str


@dataclass(frozen=True)
class Tried:
    """What came of some inputs: how many, the crashes among them, and the most seconds of CPU one took."""

    inputs: int
    crashes: list[Crash]
    longest: float


@contextmanager
def begun(name: str, directory: Path) -> Iterator[Try]:
    """A target made ready, with files of its own below `directory`."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    folder = directory / name
    folder.mkdir(parents=True, exist_ok=True)
    ready = TARGETS[name].begin(folder)
    try:
        yield next(ready)
    finally:
        next(ready, None)
        logging.disable(logging.NOTSET)
        structlog.reset_defaults()


def tried(name: str, one: Try, seed: str, inputs: int, first: int = 0) -> Tried:
    """Inputs `first` and following of one seed. Each has a generator of its own, so that any of them can be made again."""
    crashes: list[Crash] = []
    longest = 0.0
    for number in range(first, first + inputs):
        began = time.process_time()
        try:
            one(Random(f"{name}:{seed}:{number}"))
        except Exception:
            crashes.append(Crash(name, seed, number, traceback.format_exc(limit=-6)))
        took = time.process_time() - began
        longest = max(longest, took)
        if took > LONGEST:
            crashes.append(Crash(name, seed, number, f"took {took:.1f} seconds of CPU"))
    return Tried(inputs, crashes, longest)
