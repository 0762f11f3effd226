"""What a store keeps of a rule set beside the active one: its runs, how each case stands with it, and what is asked for.

None of it is read where effects are sent: these tables are nobody's outbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CandidateRun:
    """One rule set beside one active rule set. `ref` is how it was named.

    `looks` counts the decisions followed, `anew` how often a case was begun anew because the candidate was too far behind,
    `missed` the answers to questions it did not ask, `faults` how often it could not decide, with the last one in `fault`.
    `retired` is JSON text: the figures of cases that are no longer kept one by one.
    """

    id: int
    ref: str
    hash: str
    against: str
    started_at: datetime
    started_by: str
    ended_at: datetime | None = None
    why_ended: str = ""
    looks: int = 0
    anew: int = 0
    missed: int = 0
    faults: int = 0
    fault: str = ""
    retired: str = ""


@dataclass(frozen=True, slots=True)
class BesideRow:
    """How one case stands with a candidate: `memory` as JSON text, "" once its run has ended. `was` and `now` are JSON texts too:
    what came of it really, and with the candidate. `next_at` is when the candidate acts by itself.
    """

    case_id: int
    name: str
    memory: str
    looked_at: datetime
    next_at: datetime | None
    was: str
    now: str
    differences: int


@dataclass(frozen=True, slots=True)
class CandidateRequest:
    """That somebody wants a candidate to begin, or with an empty `ref` to end, and what became of it."""

    id: int
    ref: str
    asked_by: str
    asked_at: datetime
    done_at: datetime | None = None
    fine: bool = False
    outcome: str = ""


class Candidates(Protocol):
    """Rule sets in shadow, one at a time."""

    def begin(self, ref: str, hash_: str, against: str, by: str, at: datetime) -> int: ...

    def running(self) -> CandidateRun | None: ...

    def run(self, run_id: int) -> CandidateRun | None: ...

    def runs(self, limit: int) -> list[CandidateRun]:
        """The latest first."""
        ...

    def end(self, run_id: int, at: datetime, why: str) -> None:
        """The report stays; what only going on would need goes."""
        ...

    def count(self, run_id: int, *, looks: int = 0, anew: int = 0, missed: int = 0, faults: int = 0, fault: str = "") -> None:
        """Adds to the figures of a run."""
        ...

    def get(self, run_id: int, case_id: int) -> BesideRow | None: ...

    def put(self, run_id: int, rows: Iterable[BesideRow]) -> None: ...

    def drop(self, run_id: int, case_ids: Iterable[int]) -> None: ...

    def retire(self, run_id: int, case_ids: Iterable[int], retired: str) -> None:
        """No longer keeps these cases; `retired` is the figures of all that went so."""
        ...

    def rows(self, run_id: int) -> Iterator[BesideRow]:
        """By the name of the case."""
        ...

    def differing(self, run_id: int) -> set[int]:
        """The cases in which something differs."""
        ...

    def kept(self, run_id: int) -> int:
        """How many cases are kept."""
        ...

    def oldest(self, run_id: int, limit: int) -> list[BesideRow]:
        """Those looked at the longest ago, cases without a difference first."""
        ...

    def due(self, run_id: int, until: datetime, now: datetime, limit: int) -> list[BesideRow]:
        """Those in which the candidate acts by itself up to an instant, and which the service is not about to look at."""
        ...

    def not_followed(self, run_id: int, limit: int) -> list[int]:
        """Open cases the candidate has not seen, and cases decided since it saw them: the latest first."""
        ...

    def forget_runs(self, keep: int) -> None:
        """Of all but the last few runs only the figures stay."""
        ...

    def request(self, ref: str, by: str, at: datetime) -> int:
        """Asks the service, which looks after it at once or at its next start. A visitor may."""
        ...

    def requested(self) -> list[CandidateRequest]: ...

    def request_of(self, request_id: int) -> CandidateRequest | None: ...

    def answer_request(self, request_id: int, at: datetime, outcome: str, *, fine: bool) -> None: ...
