"""What a candidate came to beside the active set: as the result of a comparison like any other, and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.simulate.backtest import MOST_STORIES, Result, Story
from engine.simulate.candidates.figures import Figures
from engine.simulate.candidates.kept import seen
from engine.simulate.told import result_json
from engine.store.base import Store
from engine.store.candidates import BesideRow, CandidateRun

MOST_RUNS = 1000


class NoCandidate(ValueError):  # noqa: N818 - named for what it tells
    """There is no such run; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Report:
    """One run with all that came of it, and every run there was, the latest first. `since` is where its differences begin."""

    run: CandidateRun
    number: int
    result: Result
    runs: Sequence[CandidateRun]


def report_of(store: Store, number: int = 0, rule: str = "", since: datetime | None = None) -> Report:
    """The latest run, or the one of this number; of its differences only those by a rule, or from an instant on.

    Raises `NoCandidate`.
    """
    runs = store.candidates.runs(MOST_RUNS)
    if not runs:
        raise NoCandidate("no candidate ever ran beside this client's rules: instep shadow start REF --by NAME")
    run = next((one for one in runs if one.id == number), None) if number else runs[0]
    if run is None:
        raise NoCandidate(f"there is no run {number}: the runs are 1 to {runs[0].id}")
    figures = Figures.of_text(run.retired)
    result = Result(run.hash, run.against, figures.after, figures.before)
    for row in store.candidates.rows(run.id):
        _add(store, result, figures, row, run.started_at, rule, since)
    result.kinds, result.reactions, result.differing = figures.kinds, figures.reactions, figures.differing
    result.after.counts.update({"looks": run.looks, "missed_answers": run.missed})
    result.differences.sort(key=lambda d: (d.case, d.at))
    return Report(run, run.id, result, runs)


def _add(
    store: Store, result: Result, figures: Figures, row: BesideRow, begun: datetime, rule: str, since: datetime | None
) -> None:
    found = figures.add(row, begun)
    wanted = [d for d in found if rule in ("", d.rule) and (since is None or d.at >= since)]
    if wanted and len(result.stories) < MOST_STORIES:
        result.differences.extend(wanted)
        result.stories.append(Story(row.name, _observed(store, row.case_id), seen(row.was), seen(row.now)))


def _observed(store: Store, case_id: int) -> tuple[tuple[datetime, str], ...]:
    """The events that made the records of a case what they are."""
    seqs = sorted({seq for record in store.records.of_case(case_id) for seq in record.sources.values()})
    found = [entry for seq in seqs if (entry := store.journal.one(seq)) is not None]
    return tuple((entry.received_at, f"{entry.event.kind} {entry.event.about}".strip()) for entry in found)


def report_json(report: Report) -> dict[str, Any]:
    """Plain JSON values."""
    return {
        **_run_json(report.run),
        **result_json(report.result),
        "runs": [_run_json(run) for run in report.runs],
    }


def _run_json(run: CandidateRun) -> dict[str, Any]:
    return {
        "run": run.id,
        "ref": run.ref,
        "rule_set": run.hash,
        "against": run.against,
        "since": run.started_at.isoformat(),
        "started_by": run.started_by,
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "why_ended": run.why_ended,
        "looks": run.looks,
        "begun_anew": run.anew,
        "faults": run.faults,
        "fault": run.fault,
    }
