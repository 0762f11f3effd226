"""Parameters: what the packs declare and what a client sets.

A parameter `permissions.partial_refund` is read as `params.permissions.partial_refund`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from engine.facts.calendars import Calendar
from engine.facts.codec import timestamp
from engine.facts.schema import SETTINGS, FieldSpec, Kind, Type, Vocabulary, record_of
from engine.facts.values import Money, Rec
from engine.language.calendars import calendar_named
from engine.language.forms import PARAM
from engine.language.node import Node
from engine.language.types import read_type
from engine.problems import Place, Problems, did_you_mean


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One declared parameter; a client has to set a `required` one."""

    name: str
    type: Type
    default: Any
    required: bool
    doc: str
    place: Place


@dataclass(frozen=True, slots=True)
class Params:
    """All parameters with their values, as expressions read them. Dotted names are groups: records within `values`."""

    vocabulary: Vocabulary  # with a kind for each group
    types: Mapping[str, Type]
    values: Mapping[str, Any]


def read_param(name: str, place: Place, node: Node, calendars: Mapping[str, Calendar], problems: Problems) -> ParamSpec | None:
    """One entry of `params:` in a rule file."""
    what = f'the parameter "{name}"'
    if not all(part.isidentifier() for part in name.split(".")):
        problems.add(place, "bad-name", f'"{name}" cannot be the name of a parameter')
        return None
    if not node.expect_form(problems, what, PARAM):
        return None
    typed, default, doc = node.get("type"), node.get("default"), node.get("doc")
    found = None if typed is None else read_type(typed, (), problems, what, SETTINGS)
    if found is None:
        return None
    value = None if default is None else read_setting(default, found, problems, f"the default of {what}", calendars)
    said = "" if doc is None else doc.expect_text(problems, f"the doc of {what}") or ""
    return ParamSpec(name, found, value, default is None, said, place)


def settle(
    specs: Mapping[str, ParamSpec],
    given: Node | None,
    vocabulary: Vocabulary,
    calendars: Mapping[str, Calendar],
    problems: Problems,
) -> Params:
    """The values of all parameters: the client's where it sets one, else the default."""
    values = {name: spec.default for name, spec in specs.items()}
    if given is not None and given.expect_map(problems, '"params"'):
        for name, node in _settings(given, "", specs, problems):
            values[name] = read_setting(node, specs[name].type, problems, f"the parameter {name}", calendars)
        named = {name for name, _ in _settings(given, "", specs, Problems())}
        unset({name: spec for name, spec in specs.items() if name not in named}, given.place, problems)
    return _grouped(specs, values, vocabulary)


def unset(specs: Mapping[str, ParamSpec], place: Place, problems: Problems) -> None:
    """Problems for the parameters among these that a client has to set."""
    for name, spec in specs.items():
        if spec.required:
            problems.add(place, "missing-param", f'the parameter "{name}" has no default ({spec.place}): set it under params')


def _settings(node: Node, prefix: str, specs: Mapping[str, ParamSpec], problems: Problems) -> Iterator[tuple[str, Node]]:
    """The settings of a client by full name; groups may be written nested or with dots."""
    for key, place, value in node.items():
        name = f"{prefix}{key}"
        if name in specs:
            yield name, value
        elif value.kind == "map" and any(full.startswith(f"{name}.") for full in specs):
            yield from _settings(value, f"{name}.", specs, problems)
        else:
            problems.add(place, "unknown-param", f'there is no parameter "{name}"{did_you_mean(name, specs)}')


def read_setting(
    node: Node, wanted: Type, problems: Problems, what: str, calendars: Mapping[str, Calendar] = MappingProxyType({})
) -> Any:
    """The value of type `wanted` that a node stands for; None with a problem where it is of another type.

    `calendars` are those a calendar can be.
    """
    match wanted.name:
        case "text":
            return node.expect_text(problems, what)
        case "enum":
            return node.expect_one_of(problems, what, wanted.values)
        case "boolean":
            return node.expect_boolean(problems, what)
        case "duration":
            return node.expect_duration(problems, what)
        case "working_duration":
            return node.expect_working(problems, what)
        case "period":
            return node.expect_period(problems, what)
        case "calendar" if node.is_text:
            return calendar_named(node.text, node.place, calendars, problems, what)
        case "number" if isinstance(node.value, int | Decimal) and not isinstance(node.value, bool):
            return node.value
        case "money" | "timestamp" | "date" if node.is_text:
            return _spelled(node, wanted, problems, what)
        case "list" if node.kind == "list" and wanted.of is not None:
            read = [read_setting(element, wanted.of, problems, f"an element of {what}", calendars) for element in node.elements]
            return tuple(value for value in read if value is not None)
    example = _EXAMPLES.get(wanted.name, "")
    problems.add(node.place, "wrong-shape", f"{what} must be a {wanted}{example}, not {node.described()}")
    return None


_EXAMPLES = {
    "money": ' like "12.50 EUR"',
    "timestamp": " like 2026-11-01T09:30:00Z",
    "date": " like 2026-11-01",
    "calendar": ": its name",
}


def _spelled(node: Node, wanted: Type, problems: Problems, what: str) -> Any:
    try:
        return _SPELLINGS[wanted.name](node.text)
    except ValueError as error:
        problems.add(node.place, "bad-value", f"{what}: {error}")
        return None


def _date(text: str) -> date:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        raise ValueError(f'"{text}" is not a date like 2026-11-01')
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"{text}" is no day of the calendar') from None


def _money(text: str) -> Money:
    amount, _, currency = text.partition(" ")
    try:
        exact = Decimal(amount)
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or len(currency) != 3 or not (currency.isascii() and currency.isupper()):
        raise ValueError(f'"{text}" is not money like "12.50 EUR"')
    return Money(exact, currency)


_SPELLINGS: Mapping[str, Callable[[str], Any]] = {"timestamp": timestamp, "date": _date, "money": _money}


def _grouped(specs: Mapping[str, ParamSpec], values: Mapping[str, Any], vocabulary: Vocabulary) -> Params:
    types: dict[str, Type] = {}
    settled: dict[str, Any] = {}
    groups: dict[str, dict[str, str]] = {}
    for name in sorted(specs):
        head, dot, rest = name.partition(".")
        if dot:
            groups.setdefault(head, {})[rest] = name
        else:
            types[name], settled[name] = specs[name].type, values[name]
    kinds = dict(vocabulary.kinds)
    for head, members in groups.items():
        types[head], settled[head] = _group(f"params.{head}", members, specs, values, kinds)
    return Params(replace(vocabulary, kinds=MappingProxyType(kinds)), types, MappingProxyType(settled))


def _group(
    kind: str, members: Mapping[str, str], specs: Mapping[str, ParamSpec], values: Mapping[str, Any], kinds: dict[str, Kind]
) -> tuple[Type, Rec]:
    fields: dict[str, FieldSpec] = {}
    held: dict[str, Any] = {}
    deeper: dict[str, dict[str, str]] = {}
    for name, full in members.items():
        head, dot, rest = name.partition(".")
        if dot:
            deeper.setdefault(head, {})[rest] = full
        else:
            fields[name] = FieldSpec(name, specs[full].type, specs[full].doc, computed=True)
            held[name] = values[full]
    for head, below in deeper.items():
        inner, held[head] = _group(f"{kind}.{head}", below, specs, values, kinds)
        fields[head] = FieldSpec(head, inner, computed=True)
    kinds[kind] = Kind(kind, "", fields)
    return record_of(kind), Rec(kind, "", held)
