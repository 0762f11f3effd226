"""Whether a store is as it must be: its tables, and what cases remember against what rows and rule sets say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from zoneinfo import ZoneInfo

from engine.decide.memory import Memory
from engine.facts.codec import loads
from engine.language.files import Files
from engine.language.ruleset import RuleSet
from engine.problems import ProblemsFound
from engine.run.deciding.cadence import due_at
from engine.run.deciding.summary import effect_entry, exception_entry
from engine.run.deciding.worker import FAULT, opened_at
from engine.run.rules.candidate import candidate_of
from engine.store.audit import first_broken
from engine.store.findings import Finding
from engine.store.rows import CaseRow, EffectEntry, EffectRow, ExceptionRow, RuleSetRow
from engine.store.sqlite.store import SqliteStore
from engine.store.states import States

EVERY = 10_000_000
BY_ITSELF = frozenset({"due_at"})  # what the row alone knows of an effect
_COMPARED = tuple(field.name for field in fields(EffectEntry) if field.name not in BY_ITSELF)
_COMPARE = "If instep was not updated since, somebody changed them: compare with your files"
_TRAIL = "Somebody changed the trail: keep a copy of the file, find out who can write it, and compare with the last backup"
_ANEW = "Change any rule and back, which has every open case decided anew; if this comes back, report it"


def verify(store: SqliteStore) -> Iterator[Finding]:
    """Everything that is wrong, as it is found, at one moment of a store that may be in use. Where the file itself is damaged
    nothing else is looked at.
    """
    with store.one_moment():
        spoiled = list(store.damaged())
        yield from spoiled
        if not spoiled:
            yield from store.broken()
            yield from _told_twice(store)


def _told_twice(store: SqliteStore) -> Iterator[Finding]:
    """What cases remember, and rows and rule sets say too; and the trail of who did what."""
    torn = first_broken(store.audit)
    if torn is not None:
        yield Finding("audit trail", f"audit {torn.number}", torn.why, _TRAIL)
    current = store.rule_sets.current()
    if current is None:
        return
    rule_set, found = _rule_set(store, current)
    yield from found
    for row in store.cases.listed(only_open=False, limit=EVERY):
        yield from _case(store, row, rule_set)


def _rule_set(store: SqliteStore, current: RuleSetRow) -> tuple[RuleSet | None, list[Finding]]:
    """The active one, made anew from what is kept of it."""
    where = f"rule set {current.id} ({current.hash[:12]})"
    texts = store.rule_sets.files(current.id)
    if not texts:
        return None, []
    try:
        made = candidate_of(Files.of(texts), current.client).rule_set
    except ProblemsFound as no:
        said = f"its files, as they are kept, do not make a rule set: {next(iter(no.problems))}"
        return None, [Finding("rule sets", where, said, "Activate the files on disk: start the service with them")]
    if made.hash == current.hash:
        return made, []
    said = f"its files, as they are kept, make another rule set: {made.hash[:12]}"
    return None, [
        Finding("rule sets", where, said, "If instep was not updated since, somebody changed them: compare with your files")
    ]


def _case(store: SqliteStore, row: CaseRow, rule_set: RuleSet | None) -> Iterator[Finding]:
    where = f"case {row.name}"
    try:
        memory = Memory.from_json(json.loads(row.memory))
    except ValueError as fault:
        yield Finding("memory", where, f"what it remembers cannot be read: {fault}")
        return
    rows = {effect.entry.key: effect for effect in store.outbox.of_case(row.id)}
    yield from _effects(where, memory, rows)
    raised = store.exceptions.listed(case_id=row.id, only_open=False, limit=EVERY)
    yield from _exceptions(where, memory, [one for one in raised if one.closed_at is None])
    if rule_set is not None and memory.effects:
        yield from _due(store, row, rule_set, memory, rows)


def _effects(where: str, memory: Memory, rows: Mapping[str, EffectRow]) -> Iterator[Finding]:
    known = {effect.key: effect for effect in memory.effects}
    for key in sorted(known.keys() - rows.keys()):
        yield Finding("memory", where, f"it remembers the effect {key}, of which there is no row", _ANEW)
    for key, row in sorted(rows.items()):
        if key not in known:
            if row.entry.status != "withdrawn":
                yield Finding("memory", where, f"the effect {key} is {row.entry.status}, and it remembers nothing of it")
            continue
        kept = effect_entry(known[key], None)
        other = [name for name in _COMPARED if not _same(getattr(kept, name), getattr(row.entry, name))]
        if other:
            name = other[0]
            said = (
                f"of the effect {key} it remembers {name} {getattr(kept, name)!s}, and the row says {getattr(row.entry, name)!s}"
            )
            yield Finding("memory", where, said)


def _same(one: object, other: object) -> bool:
    if isinstance(one, str) and isinstance(other, str) and one != other and one[:1] in ("{", "["):
        return bool(loads(one) == loads(other)) if other[:1] in ("{", "[") else False
    return one == other


def _exceptions(where: str, memory: Memory, rows: list[ExceptionRow]) -> Iterator[Finding]:
    mine = {one.entry.key: one.entry for one in rows if one.entry.rule != FAULT}
    known = {key: exception_entry(one) for key, one in memory.exceptions.items()}
    for key in sorted(known.keys() - mine.keys()):
        yield Finding("memory", where, f"it remembers the exception {key}, and nobody is told of it", _ANEW)
    for key in sorted(mine.keys() - known.keys()):
        yield Finding("memory", where, f"the exception {key} is open, and it remembers nothing of it", _ANEW)
    for key in sorted(mine.keys() & known.keys()):
        if mine[key].state != known[key].state:
            said = f"the exception {key} is {mine[key].state}, and it remembers that it is {known[key].state}"
            yield Finding("memory", where, said, _ANEW)


def _due(store: SqliteStore, row: CaseRow, rule_set: RuleSet, memory: Memory, rows: Mapping[str, EffectRow]) -> Iterator[Finding]:
    """What is to be sent, or looked up again, must be due at some time."""
    states = States(rule_set.vocabulary)
    records = [states.decode(record) for record in store.records.of_case(row.id)]
    opened, zone = opened_at(records, row.opened_at), ZoneInfo(rule_set.time_zone)
    for effect in memory.effects:
        kept = rows.get(effect.key)
        if kept is not None and kept.entry.due_at is None and due_at(effect, rule_set, zone, opened) is not None:
            yield Finding("waking", f"case {row.name}", f"the effect {effect.key} is {effect.status}, and never looked at", _ANEW)
