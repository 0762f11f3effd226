"""Parameters, derived facts and tables that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from engine.language.lints.whole import Read, Whole
from engine.language.terms import Field, Setting, every, path_of
from engine.problems import Place, Problem


def unused_params(whole: Whole) -> Iterator[tuple[Place, Problem | None]]:
    """For each declared parameter its place, and a problem if nothing reads it."""
    read = {path for each in _everything(whole) for term in every(each.term) if (path := _setting(term)) is not None}
    read |= {path for table in whole.tables for path, _ in table.settings}
    for name, entry in whole.sections.params.items():
        said = f'nothing reads the parameter "{name}", so setting it changes nothing: take it out, or read params.{name}'
        yield entry.place, None if f"params.{name}" in read else Problem(entry.place, "unused-param", said)


def unused_facts(whole: Whole) -> Iterator[tuple[Place, Problem | None]]:
    """For each derived fact its place, and a problem if no rule and no promise reads it, not even through other facts."""
    read = _read_in_the_end(whole)
    for fact in whole.facts:
        if fact.kind in whole.sections.tables:
            continue
        name = f"{fact.kind}.{fact.name}"
        said = f"no rule and no promise reads {name}: take it out, or say what it is for"
        yield fact.place, None if name in read else Problem(fact.place, "unused-fact", said)


def unused_tables(whole: Whole) -> Iterator[tuple[Place, Problem | None]]:
    """For each table its place, and a problem if no rule and no promise reads one of its outputs or looks something up in it."""
    read = {name.partition(".")[0] for name in _read_in_the_end(whole)}
    for table in whole.tables:
        said = f'no rule and no promise reads the table "{table.id}": take it out, or read {table.id}.{table.outputs[0].name}'
        yield table.place, None if table.id in read else Problem(table.place, "unused-table", said)


def _read_in_the_end(whole: Whole) -> set[str]:
    """All facts rules and promises read, straight or through others."""
    read = {name for rule in whole.rules for name in rule.reads}
    read |= {name for each in whole.promised for name in each.expression.reads}
    waiting = list(read)
    while waiting:
        found = whole.derived.get(waiting.pop())
        new = set() if found is None else found.expression.reads - read
        read |= new
        waiting.extend(new)
    return read


def _everything(whole: Whole) -> Iterator[Read]:
    for rule in whole.rules:
        yield from whole.reads(rule)
    yield from whole.derived.values()
    yield from whole.promised
    yield from whole.given_to_tables


def _setting(term: object) -> str | None:
    path = path_of(term) if isinstance(term, Field | Setting) else None
    return path if path is not None and path.startswith("params.") else None
