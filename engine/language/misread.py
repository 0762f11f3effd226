"""Where a mapping stopped at a payload: the line of the field, what it reads, and how far that leads into the payload."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.language.compiled import Expression
from engine.language.mapping import ListMapping, Mapped, RecordMapping
from engine.problems import Place

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_NAMES = re.compile(r"(?<![\w.\"'])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d+\])*")
Spot = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Misread:
    """`source` is the expression that could not be read; `spot` leads to what it is about, as far as the payload goes."""

    place: Place
    source: str
    spot: Spot


def misread(mapping: RecordMapping, path: str, payload: Any) -> Misread:
    """What a `SetAside` with this path is about."""
    steps: list[str | int] = [int(n) if n else name for n, name in _STEP.findall(path)]
    spot: Spot = ()
    if mapping.each is not None and path.startswith(f"{mapping.each.text}["):
        steps = [int(n) if n else name for n, name in _STEP.findall(path[len(mapping.each.text) :])]
        spot = _follow(payload, (*_steps(mapping.each.text), steps.pop(0)))
    fields: Sequence[Mapped] = mapping.fields
    at, source = mapping.place, ""
    key: Expression | str = mapping.key
    while steps:
        step = steps.pop(0)
        if isinstance(step, int):
            spot = _follow(payload, (*spot, step))
            continue
        found = next((each for each in fields if each.name == step), None)
        if found is None:
            named = _named(mapping, step) or (key if step in ("key", mapping.key_field) or not steps else None)
            if isinstance(named, Expression):
                at, source, spot = named.place, named.text, _toward(payload, spot, named.text)
            break
        if isinstance(found, ListMapping):
            at, source, spot = found.place, found.items.text, _follow(payload, (*spot, *_steps(found.items.text)))
            fields, key = found.fields, found.key
        else:
            at, source, spot = found.place, found.source.text, _toward(payload, spot, found.source.text)
            break
    return Misread(at, source, spot)


def _named(mapping: RecordMapping, step: str) -> Expression | None:
    """What is no field: the version, a link, or something that is required."""
    if step == "version" and isinstance(mapping.version, Expression):
        return mapping.version
    return next((each for each in mapping.require if each.text.startswith(step)), None)


def _steps(text: str) -> Spot:
    name = _NAMES.match(text)
    return tuple(int(n) if n else part for n, part in _STEP.findall(name[0] if name else ""))


def _toward(payload: Any, spot: Spot, text: str) -> Spot:
    """As far as the names in an expression lead: the one that leads deepest."""
    ways = [_follow(payload, (*spot, *_steps(found[0]))) for found in _NAMES.finditer(text)]
    return max(ways, key=len, default=spot)


def _follow(payload: Any, spot: Spot) -> Spot:
    """The part of the way that is there."""
    if spot[:1] == ("payload",) and not (isinstance(payload, dict) and "payload" in payload):
        spot = spot[1:]
    here, gone = payload, 0
    for step in spot:
        below = _below(here, step)
        if below is None:
            break
        here = below[0]
        gone += 1
    return spot[:gone]


def _below(value: Any, step: str | int) -> tuple[Any] | None:
    if isinstance(step, int):
        return (value[step],) if isinstance(value, list) and step < len(value) else None
    return (value[step],) if isinstance(value, dict) and step in value else None


def pretty(value: Any, spot: Spot | None = None) -> Iterator[tuple[str, bool]]:
    """The lines of a JSON value, and whether a line is the one where `spot` is."""
    yield from _lines(value, "", "", (), spot, "")


def _lines(value: Any, before: str, indent: str, here: Spot, spot: Spot | None, end: str) -> Iterator[tuple[str, bool]]:
    below = [*value.items()] if isinstance(value, dict) else [*enumerate(value)] if isinstance(value, list) else []
    marked = here == spot
    if not below:
        yield f"{indent}{before}{json.dumps(value, ensure_ascii=False, default=str)}{end}", marked
        return
    opener, closer = "{}" if isinstance(value, dict) else "[]"
    yield f"{indent}{before}{opener}", marked
    for number, (key, inner) in enumerate(below, 1):
        name = f"{json.dumps(key, ensure_ascii=False)}: " if isinstance(value, dict) else ""
        yield from _lines(inner, name, indent + "  ", (*here, key), spot, "," if number < len(below) else "")
    yield f"{indent}{closer}{end}", False
