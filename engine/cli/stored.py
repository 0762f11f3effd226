"""What a client's store holds, for people: cases explained, exceptions listed and answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.decide.decision import Decision, decide
from engine.decide.memory import Memory
from engine.decide.people import NotPossible
from engine.facts.case import case_of
from engine.facts.codec import loads
from engine.facts.outside import installed_actions
from engine.language.files import Files
from engine.language.pack import load, project_root
from engine.language.ruleset import RuleSet
from engine.run.deeds import Deed
from engine.run.worker import opened_at
from engine.store.base import CaseRow, ExceptionRow, NewerStore, Store
from engine.store.sqlite.store import SqliteStore
from engine.store.states import States

SEVERITIES = ("critical", "high", "medium", "low")


class NotFound(ValueError):  # noqa: N818
    """There is no such store, case or exception; the message says what there is."""


def store_path(database: Path | None, client: str | None) -> Path:
    path = database or (Path(f"{client}.sqlite") if client else None)
    if path is None:
        raise NotFound("name the store with --database FILE, or the client with --client NAME")
    return path


@contextmanager
def visited(database: Path | None, client: str | None) -> Iterator[Store]:
    """The client's store, beside the service that may be running on it."""
    path = store_path(database, client)
    try:
        store = SqliteStore.open(path, as_="visitor")
    except FileNotFoundError:
        raise NotFound(f"there is no store {path}; `instep run` or `instep demo` makes one") from None
    except NewerStore as fault:
        raise NotFound(str(fault)) from None
    try:
        yield store
    finally:
        store.close()


def stored_decision(root: Path | None, database: Path | None, client: str | None, wanted: str) -> tuple[RuleSet, Decision]:
    """The last decision about a case, worked out again from what the store holds."""
    with visited(database, client) as store:
        active = store.rule_sets.current()
        if active is None:
            raise NotFound("this store has not decided anything yet")
        texts = store.rule_sets.files(active.id)  # what decided, whatever the files say now
        rule_set = load(Files.of(texts) if texts else project_root(root), active.client, installed_actions())
        row = one_case(store, wanted)
        states = States(rule_set.vocabulary)
        records = [states.decode(r) for r in store.records.of_case(row.id)]
        kinds = sorted(k.name for k in rule_set.vocabulary.kinds.values() if k.scope == "client")
        shared = [states.decode(r) for kind in kinds for r in store.records.of_kind(kind)]
        last = store.cases.last_decision(row.id)
        case = case_of(row.name, records, shared, opened_at(records, row.opened_at))
        now = last.last_now if last is not None else row.opened_at
        return rule_set, decide(rule_set, case, Memory.from_json(loads(row.memory)), now)


def one_case(store: Store, wanted: str) -> CaseRow:
    """The case that is called so, or holds what is called so. Raises `NotFound`."""
    found = store.cases.find(wanted)
    if not found:
        raise NotFound(f"no case, order, RMA, parcel or other record is called {wanted!r}")
    if len(found) > 1:
        raise NotFound(f"{wanted!r} is in several cases: {', '.join(r.name for r in found)}; name one of them")
    return found[0]


def exception_rows(database: Path | None, client: str | None, *, only_open: bool) -> list[dict[str, Any]]:
    """Exceptions as plain rows, the most severe and oldest first."""
    with visited(database, client) as store:
        rows = store.exceptions.listed(only_open=only_open)
    return [_row(r) for r in sorted(rows, key=lambda r: (SEVERITIES.index(r.entry.severity), r.entry.opened_at, r.id))]


def _row(row: ExceptionRow) -> dict[str, Any]:
    entry = row.entry
    return {
        "number": row.id,
        "case": row.case,
        "rule": entry.rule,
        "item": entry.item,
        "owner": entry.owner,
        "severity": entry.severity,
        "title": entry.title,
        "runbook": entry.runbook,
        "answers": json.loads(entry.answers),
        "state": "closed" if row.closed_at else entry.state,
        "opened_at": entry.opened_at.isoformat(),
        "why_closed": row.why_closed,
    }


def exception_table(rows: list[dict[str, Any]]) -> Table | Text:
    if not rows:
        return Text("Nobody has to look at anything.", style="green")
    table = Table("", "owner", "severity", "what", "answers", "state", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        what = Text.assemble(row["title"], (f"\n{row['case'] or 'the client'}  {row['rule']}", "dim"))
        state = f"{row['state']}\n{row['why_closed']}" if row["why_closed"] else row["state"]
        table.add_row(str(row["number"]), row["owner"], row["severity"], what, ", ".join(row["answers"]) or "resolve", state)
    return table


def record_answer(database: Path | None, client: str | None, number: int, what: str, by: str) -> str:
    """Journal what a person decided. Raises `NotFound` where it cannot be decided that way."""
    now = datetime.now(UTC)
    with visited(database, client) as store:
        row = next((r for r in store.exceptions.listed() if r.id == number), None)
        if row is None:
            raise NotFound(f"there is no open exception {number}; `instep exceptions` lists them")
        case = store.cases.named(row.case)
        if case is None:
            raise NotFound(f"exception {number} is about the whole client: mend its cause, it closes by itself")
        if what == "resolve" and "resolve" not in json.loads(row.entry.answers):
            deed = Deed("person.resolve", row.case, row.entry.key, by)
        else:
            deed = Deed("person.answer", row.case, row.entry.key, by, what)
        try:
            deed.done_to(Memory.from_json(loads(case.memory)), now)
        except NotPossible as fault:
            raise NotFound(str(fault)) from None
        with store.transaction():
            store.journal.append([deed.event(now)], now)
    return f"Noted: {by} decided {what!r} about {row.entry.title}"
