"""The process in which a candidate decides. It has the rule set and nothing else: no store, no connector, no secret.

Whatever a rule does to it, the service sees an answer that does not come.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Protocol

from engine.language.files import Files
from engine.run.rules.candidate import candidate_of
from engine.simulate.candidates.following import Following, State
from engine.simulate.candidates.kept import row_of, state_of
from engine.simulate.candidates.looks import Absorbed, Item, Look
from engine.store.candidates import BesideRow

NICE = 10  # whatever else runs on the machine comes first


@dataclass(frozen=True, slots=True)
class Asked:
    """What to do, in order, and how the cases stood before."""

    rows: Mapping[int, BesideRow]
    work: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Answered:
    """How the cases stand now and which live on in others, how many answers of people found no question, and which cases could
    not be decided and why.
    """

    rows: Mapping[int, BesideRow]
    gone: Sequence[int]
    missed: int
    faults: Sequence[str]


class CandidateGone(RuntimeError):  # noqa: N818 - said of the other process, not of this one
    """The process of the candidate has ended, or does not answer."""


class Deciding(Protocol):
    """Where the candidate decides."""

    async def answer(self, asked: Asked) -> Answered:
        """Raises `CandidateGone`."""
        ...

    def close(self) -> None: ...


def answered(following: Following, asked: Asked) -> Answered:
    """A case that cannot be decided stays as it was, and stops no other."""
    held = _Held(following, asked.rows)
    faults: list[str] = []
    missed = following.missed
    for one in asked.work:
        try:
            held.take(one)
        except Exception as fault:
            case = "" if isinstance(one, Absorbed) else f"{one.case.id}: "
            faults.append(f"{case}{type(fault).__name__}: {fault}")
    return Answered(held.rows(), sorted(held.gone), following.missed - missed, faults)


class _Held:
    """The cases of one question, while it is worked on."""

    def __init__(self, following: Following, rows: Mapping[int, BesideRow]) -> None:
        self._following = following
        self._before = rows
        self._states: dict[int, State] = {}
        self._names = {case_id: row.name for case_id, row in rows.items()}
        self.gone: set[int] = set()

    def take(self, one: Item) -> None:
        if isinstance(one, Absorbed):
            self._absorb(one)
            return
        state = self._state(one.case_id)
        if isinstance(one, Look):
            state = self._following.take(state, one)
        elif state is not None:
            state = self._following.turn(state, one)
        if state is not None:
            self._states[one.case_id], self._names[one.case_id] = state, one.case.id

    def rows(self) -> dict[int, BesideRow]:
        return {case_id: row_of(case_id, self._names[case_id], state) for case_id, state in self._states.items()}

    def _state(self, case_id: int) -> State | None:
        if case_id in self._states or case_id in self.gone or case_id not in self._before:
            return self._states.get(case_id)
        return state_of(self._before[case_id])

    def _absorb(self, one: Absorbed) -> None:
        gone, into = self._state(one.gone), self._state(one.into)
        self._states.pop(one.gone, None)
        self.gone.add(one.gone)
        if gone is not None:
            self._states[one.into] = gone if into is None else into.with_part(gone)
            self._names.setdefault(one.into, self._names[one.gone])


class Beyond:
    """A process of its own. It is started with the first question, and ends with `close` or with this process."""

    def __init__(self, files: Mapping[str, bytes], client: str, since: datetime, patience: float = 60.0) -> None:
        self._begin = (dict(files), client, since)
        self._patience = patience  # seconds for an answer; the first one waits for the rule set to be compiled
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    async def answer(self, asked: Asked) -> Answered:
        pipe = self._pipe or self._started()
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.to_thread(_answer_over, pipe, asked)
        except TimeoutError:
            self.close()
            raise CandidateGone(f"it gave no answer for {self._patience:g} s") from None
        except (EOFError, OSError):
            code = self._process.exitcode if self._process is not None else None
            self.close()
            raise CandidateGone(f"its process ended{'' if code is None else f' ({code})'}") from None

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()  # whoever waits for an answer sees the end of it
            self._process.join()
        self._process = self._pipe = None

    def _started(self) -> Connection:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, *self._begin), daemon=True)
        process.start()
        theirs.close()
        self._process = process
        return self._pipe


def _answer_over(pipe: Connection, asked: Asked) -> Answered:
    pipe.send(asked)
    found: Answered = pipe.recv()
    return found


def _serve(pipe: Connection, files: Mapping[str, bytes], client: str, since: datetime) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # typed for the service, which ends this process
    with suppress(OSError, AttributeError):
        os.nice(NICE)
    following = Following(candidate_of(Files(files), client).rule_set, since)
    with suppress(EOFError, OSError):
        while True:
            pipe.send(answered(following, pipe.recv()))
