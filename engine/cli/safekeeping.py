"""`instep backup`, `verify` and `restore`: a store kept safe, checked, and put back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from engine.cli.output import errors
from engine.problems import ProblemsFound
from engine.run.kept.verify import verify
from engine.simulate.history import activations, recorded
from engine.simulate.life import lives, rule_sets_of
from engine.store.findings import Finding
from engine.store.sqlite.backup import Copied, backup, restore
from engine.store.sqlite.lock import left_at
from engine.store.sqlite.store import SqliteStore
from engine.store.trouble import StoreTrouble

DECIDED_OTHERWISE = (
    "If instep was updated since, decisions may rightly come out otherwise: `instep explain CASE --timeline` shows them. If not,"
    " report this with `instep events export`"
)


def verified(path: Path, *, replay: bool) -> tuple[list[Finding], Mapping[str, int]]:
    """Everything that is wrong with a store, and how much of it was looked at. With `replay` every recorded decision is made
    anew. Raises FileNotFoundError and `NewerStore`.
    """
    try:
        with closing(SqliteStore.open(path, as_="visitor")) as store:
            findings = [*_as_it_was_left(path, store), *verify(store)]
            if replay and not findings:
                findings = list(_decided_anew(store))
            return findings, {} if _spoiled(findings) else store.counts()
    except StoreTrouble as trouble:
        return [Finding("integrity", "the file", trouble.what, trouble.remedy)], {}


def _spoiled(findings: Iterable[Finding]) -> bool:
    return any(found.check == "integrity" for found in findings)


def _as_it_was_left(path: Path, store: SqliteStore) -> Iterator[Finding]:
    left = left_at(path)
    if left is not None and store.older_than(left):
        yield Finding(
            "as it was left",
            "the file",
            f"its last owner had committed {left.journal} events and {left.steps} steps of effects, and it holds fewer",
            f"If {path.name}-wal was moved or deleted, put it back. If this is an older copy on purpose: `instep restore {path}`",
        )


def _decided_anew(store: SqliteStore) -> Iterator[Finding]:
    """Every case lived again from the journal, under the rule sets of its time."""
    try:
        rule_sets = rule_sets_of(activations(store))
    except ProblemsFound as no:
        said = f"a rule set that decided is no longer taken by this version: {next(iter(no.problems))}"
        yield Finding("replay", "rule sets", said, DECIDED_OTHERWISE)
        return
    if not rule_sets:
        return
    gone = store.retention.cases()  # their payloads have left the store on purpose
    for life in lives(recorded(store), rule_sets):
        if not life.exact and life.case not in gone:
            said = f"of {life.recorded} recorded decisions {life.same} come out the same from what was heard"
            yield Finding("replay", f"case {life.case}", said, DECIDED_OTHERWISE)


def finding_lines(findings: Iterable[Finding]) -> Iterator[Text]:
    """Findings of which the same is to be done stand together."""
    for remedy, together in groupby(sorted(findings, key=lambda f: (f.remedy, f.check)), key=lambda f: f.remedy):
        for found in together:
            yield Text.assemble((f"{found.check}: ", "red"), (found.where, "bold"), f" {found.what}")
        yield Text(f"  What to do: {remedy}.")


def said_counts(counts: Mapping[str, int]) -> str:
    """How much there is of everything, as a person would say it."""
    names = {"journal": "events", "set_aside": "set aside"}
    told = [(count, names.get(name, name)) for name, count in counts.items()]
    return ", ".join(f"{count} {name.removesuffix('s') if count == 1 else name}" for count, name in told)


def findings_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [asdict(found) for found in findings]


def backed_up(path: Path, to: Path) -> Copied:
    """Raises FileNotFoundError, `NotCopied` and `StoreTrouble`."""
    columns = (TextColumn("copying"), BarColumn(), TextColumn("{task.percentage:.0f}%"))
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as shown:
        task = shown.add_task("copying", total=None)
        return backup(path, to, verify, lambda done, of: shown.update(task, completed=done, total=of))


def put_back(path: Path, source: Path | None, by: str) -> list[str]:
    """Raises `StoreInUse`, `NewerStore`, FileNotFoundError, `NotCopied` and `StoreTrouble`."""
    events, before = restore(path, source, verify, datetime.now(UTC), by)
    told = [f"{path} is {f'what {source} was' if source else 'taken as it is'}: {events} events."]
    if before is not None:
        told.append(f"The store before is kept as {before.name}, with its -wal if it had one.")
    told.append(
        "Start the service: it polls what came since, looks up everything it would send, and sends nothing until whatever was"
        " sent before has had the time to show. Webhooks acknowledged since the copy was made are not in it: have sent again what"
        " cannot be polled."
    )
    return told
