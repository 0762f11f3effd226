"""Parameters and derived facts that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from engine.language.lints.whole import Read, Whole
from engine.language.terms import Field, Setting, every, path_of
from engine.problems import Place, Problem


def unused_params(whole: Whole) -> Iterator[tuple[Place, Problem | None]]:
    """For each declared parameter its place, and a problem if nothing reads it."""
    read = {path for each in _everything(whole) for term in every(each.term) if (path := _setting(term)) is not None}
    for name, entry in whole.sections.params.items():
        said = f'nothing reads the parameter "{name}", so setting it changes nothing: take it out, or read params.{name}'
        yield entry.place, None if f"params.{name}" in read else Problem(entry.place, "unused-param", said)


def unused_facts(whole: Whole) -> Iterator[tuple[Place, Problem | None]]:
    """For each derived fact its place, and a problem if no rule and no promise reads it, not even through other facts."""
    read = {name for rule in whole.rules for name in rule.reads}
    read |= {name for each in whole.promised for name in each.expression.reads}
    waiting = list(read)
    while waiting:
        found = whole.derived.get(waiting.pop())
        new = set() if found is None else found.expression.reads - read
        read |= new
        waiting.extend(new)
    for fact in whole.facts:
        if fact.kind in whole.sections.tables:
            continue
        name = f"{fact.kind}.{fact.name}"
        said = f"no rule and no promise reads {name}: take it out, or say what it is for"
        yield fact.place, None if name in read else Problem(fact.place, "unused-fact", said)


def _everything(whole: Whole) -> Iterator[Read]:
    for rule in whole.rules:
        yield from whole.reads(rule)
    yield from whole.derived.values()
    yield from whole.promised


def _setting(term: object) -> str | None:
    path = path_of(term) if isinstance(term, Field | Setting) else None
    return path if path is not None and path.startswith("params.") else None
