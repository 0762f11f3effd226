"""What a client's store holds, for people: cases explained, exceptions listed and answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from engine.decide.decision import Decision, decide
from engine.decide.memory import Memory
from engine.facts.case import Case, case_of
from engine.facts.codec import loads
from engine.facts.outside import installed_actions
from engine.language.files import Files
from engine.language.pack import load, project_root
from engine.language.ruleset import RuleSet
from engine.run.deciding.worker import opened_at
from engine.store.base import Store
from engine.store.rows import CaseRow, NewerStore
from engine.store.sqlite.store import SqliteStore
from engine.store.states import States


class NotFound(ValueError):  # noqa: N818
    """There is no such store, case or exception; the message says what there is."""


def minute(text: str) -> str:
    """An instant as it is kept, on the clock of the machine a person sits at, with the zone of that."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M %Z}"


def second(text: str) -> str:
    """The same, where a minute is too coarse."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S %Z}"


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
        rule_set = active_rule_set(store, root)
        row = one_case(store, wanted)
        last = store.cases.last_decision(row.id)
        now = last.last_now if last is not None else row.opened_at
        return rule_set, decide(rule_set, stored_case(store, rule_set, row), memory_of(row), now)


def active_rule_set(store: Store, root: Path | None = None) -> RuleSet:
    """What decides, whatever the files say now. Raises `NotFound`, and `ProblemsFound` where it is no longer taken."""
    active = store.rule_sets.current()
    if active is None:
        raise NotFound("this store has not decided anything yet")
    texts = store.rule_sets.files(active.id)
    return load(Files.of(texts) if texts else project_root(root), active.client, installed_actions())


def stored_case(store: Store, rule_set: RuleSet, row: CaseRow) -> Case:
    """The case as deciding sees it."""
    states = States(rule_set.vocabulary)
    records = [states.decode(r) for r in store.records.of_case(row.id)]
    kinds = sorted(k.name for k in rule_set.vocabulary.kinds.values() if k.scope == "client")
    shared = [states.decode(r) for kind in kinds for r in store.records.of_kind(kind)]
    return case_of(row.name, records, shared, opened_at(records, row.opened_at))


def memory_of(row: CaseRow) -> Memory:
    return Memory.from_json(loads(row.memory))


def one_case(store: Store, wanted: str) -> CaseRow:
    """The case that is called so, or holds what is called so. Raises `NotFound`."""
    found = store.cases.find(wanted)
    if not found:
        raise NotFound(f"no case, order, RMA, parcel or other record is called {wanted!r}")
    if len(found) > 1:
        raise NotFound(f"{wanted!r} is in several cases: {', '.join(r.name for r in found)}; name one of them")
    return found[0]
