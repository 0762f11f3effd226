"""Cells and outputs as they stand in YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from engine.facts.schema import BOOLEAN, DATE, DURATION, MONEY, NUMBER, TIMESTAMP, WORKING_DURATION, Type, Vocabulary, enum_of
from engine.language.node import Node
from engine.language.params import read_setting
from engine.language.source import scalar_value
from engine.language.tables.cells import ANY_CELL, Cell, Is, Test, Within
from engine.language.tables.index import WORDS
from engine.language.types import comparable, fits
from engine.problems import Problems, did_you_mean

_NOT = re.compile(r"\s*not\s*\((.*)\)\s*", re.DOTALL)
_OPERATOR = re.compile(r"\s*(<=|>=|!=|==|=|<|>)\s*(?=\S)")
_RANGE = re.compile(r"\s*([\[(\]])(.*?)\.\.(.*?)([\])\[])\s*", re.DOTALL)
_PARAM = re.compile(r"params(\.[A-Za-z_][A-Za-z0-9_]*)+")
_QUOTED = re.compile(r'"([^"]*)"|' + r"'([^']*)'")
_ELEMENT = re.compile(r"""\s*("[^"]*"|'[^']*'|[\[(\]][^,]*?\.\.[^,]*?[\])\[]|[^,]+)\s*(?:,|$)""")


class Mark(Enum):
    """What may turn up in the place of a test."""

    FAULT = 1  # told already
    UNSET = 2  # a parameter no client has set yet
    NEGATED = 3  # the tests are of what the cell excludes


@dataclass(frozen=True, slots=True)
class Settings:
    """The parameters of the client, whose values may stand in cells and outputs. `read` collects those that do."""

    vocabulary: Vocabulary
    types: Mapping[str, Type]
    values: Mapping[str, Any]
    read: set[str] = field(default_factory=set)

    def find(self, path: str, node: Node, problems: Problems) -> tuple[Type, Any] | None:
        """The type and value of `params.x`, or None with a problem."""
        of: Mapping[str, Type] = self.types
        found: Type | None = None
        for name in path.split(".")[1:]:
            if name not in of:
                problems.add(node.place, "unknown-param", f'there is no parameter "{name}"{did_you_mean(name, of)}')
                return None
            found = of[name]
            inner = self.vocabulary.kinds.get(found.kind)
            of = {} if inner is None else {field.name: field.type for field in inner.fields.values()}
        if found is None or found.name == "record":
            problems.add(node.place, "wrong-shape", f"{path} is a group of parameters, not one")
            return None
        self.read.add(path)
        return found, value_in(self.values, path)


def value_in(params: Mapping[str, Any], path: str) -> Any:
    """What `params.x.y` holds."""
    value: Any = params
    for name in path.split(".")[1:]:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


@dataclass(frozen=True, slots=True)
class CellReader:
    """Reads the cells of one input."""

    type: Type
    settings: Settings
    problems: Problems

    def read(self, node: Node, what: str) -> Cell | None:
        """The cell, or None with its faults."""
        if node.kind == "list":
            return self._listed(node, what)
        if node.kind != "scalar" or node.is_null:
            said = f'{what} must be a value, a list, a comparison, a range or "any", not {node.described()}'
            self.problems.add(node.place, "wrong-shape", said)
            return None
        if node.text == "any":
            return ANY_CELL
        excluded = _NOT.fullmatch(node.text) if node.is_text else None
        if excluded is None:
            return self._joined(list(self._tests(node, what)), node, what)
        parts = [self._piece(node, m.group(1), excluded.start(1) + m.start(1)) for m in _ELEMENT.finditer(excluded.group(1))]
        inner = self._joined([test for part in parts for test in self._tests(part, what, alone=False)], node, what)
        return None if inner is None else Cell(inner.tests, negated=not inner.negated, unset=inner.unset)

    def _listed(self, node: Node, what: str) -> Cell | None:
        found: list[Test | Mark] = []
        for element in node.elements:
            if element.kind != "scalar" or element.is_null or element.text == "any":
                said = f"{what} lists values, comparisons and ranges, not {element.described()}"
                self.problems.add(element.place, "wrong-shape", said)
                found.append(Mark.FAULT)
            elif ".." in element.text and not _RANGE.fullmatch(element.text) and self.type.name not in WORDS:
                said = f'{what}: a range is written in quotes, "[{element.text}]"'
                self.problems.add(node.place, "bad-range", said)
                found.append(Mark.FAULT)
            else:
                found.extend(self._tests(element, what, alone=False))
        return self._joined(found, node, what)

    def _joined(self, found: list[Test | Mark], node: Node, what: str) -> Cell | None:
        if Mark.FAULT in found:
            return None
        tests = tuple(test for test in found if not isinstance(test, Mark))
        if len({test.line for test in tests}) > 1:
            said = f"{what} mixes currencies: write a row for each, with an input for the currency"
            self.problems.add(node.place, "mixed-currencies", said)
            return None
        if Mark.UNSET in found:
            return Cell(unset=True)
        if not tests:
            self.problems.add(node.place, "empty-list", f'{what} lists no value: write "any" if it does not matter')
            return None
        return Cell(tests, negated=Mark.NEGATED in found)

    def _tests(self, node: Node, what: str, *, alone: bool = True) -> Iterator[Test | Mark]:
        """The tests a scalar holds; `alone` if it is the whole cell."""
        operator = _OPERATOR.match(node.text) if node.is_text else None
        span = _RANGE.fullmatch(node.text) if node.is_text and self.type.name not in WORDS else None
        if operator is not None:
            yield from self._compared(node, operator, what, alone=alone)
        elif span is not None:
            yield self._range(node, span, what)
        else:
            yield from (value if isinstance(value, Mark) else Is(value) for value in self._values(node, what))

    def _compared(self, node: Node, operator: re.Match[str], what: str, *, alone: bool) -> Iterator[Test | Mark]:
        sign = operator.group(1)
        if sign not in ("=", "==", "!=") and self.type.name in WORDS:
            said = f"{what}: {_kind(self.type)} has no order, so {sign} cannot be asked; list the values instead"
            self.problems.add(node.place, "type-mismatch", said)
            yield Mark.FAULT
            return
        if sign == "!=" and not alone:
            self.problems.add(node.place, "wrong-shape", f'{what}: != stands alone; to exclude several, write "not(a, b)"')
            yield Mark.FAULT
            return
        for value in self._values(self._piece(node, node.text[operator.end() :], operator.end()), what):
            if isinstance(value, Mark):
                yield value
            elif sign in ("=", "==", "!="):
                yield Is(value)
            elif sign.startswith("<"):
                yield Within(high=value, high_closed=sign == "<=")
            else:
                yield Within(low=value, low_closed=sign == ">=")
        if sign == "!=":
            yield Mark.NEGATED

    def _range(self, node: Node, span: re.Match[str], what: str) -> Test | Mark:
        ends = [v for group in (2, 3) for v in self._values(self._piece(node, span.group(group), span.start(group)), what)]
        if any(isinstance(end, Mark) for end in ends):
            return Mark.FAULT if Mark.FAULT in ends else Mark.UNSET
        if len(ends) == 2 and Is(ends[0]).line != Is(ends[1]).line:
            self.problems.add(node.place, "mixed-currencies", f"{what}: a range is in one currency")
            return Mark.FAULT
        found = Within(ends[0], ends[-1], span.group(1) == "[", span.group(4) == "]")
        if len(ends) != 2 or found.is_empty:
            self.problems.add(node.place, "bad-range", f"{what}: nothing is in the range {node.text.strip()}")
            return Mark.FAULT
        return found

    def _piece(self, node: Node, text: str, offset: int) -> Node:
        """Part of a scalar, at its own place."""
        start = offset + len(text) - len(text.lstrip())
        text = text.strip()
        value = text if self.type.name in ("text", "enum") else scalar_value(text)
        return Node("scalar", node.at(start), text, value, raw=text)

    def _values(self, node: Node, what: str) -> list[Any]:
        """The value a scalar stands for, or the values of the parameter it names."""
        if not _PARAM.fullmatch(node.text):
            value = self._value(node, what)
            return [Mark.FAULT if value is None else value]
        found = self.settings.find(node.text, node, self.problems)
        if found is None:
            return [Mark.FAULT]
        of, value = found
        element = of if of.of is None else of.of
        if not comparable(element, self.type):
            self.problems.add(node.place, "type-mismatch", f"{what} must be {_kind(self.type)}; {node.text} is {_kind(of)}")
            return [Mark.FAULT]
        if value is None:
            return [Mark.UNSET]
        return list(value) if isinstance(value, tuple) else [value]

    def _value(self, node: Node, what: str) -> Any:
        quoted = _QUOTED.fullmatch(node.text) if self.type.name in ("text", "enum") else None
        if quoted is not None:
            text = quoted.group(1) or quoted.group(2) or ""
            node = Node("scalar", node.place, text, text, node.style, node.raw)
        return read_setting(node, self.type, self.problems, what)


def _kind(of: Type) -> str:
    return {"enum": "text", "number": "a number", "boolean": "true or false"}.get(
        of.name, f"a {of}" if of.of is None else str(of)
    )


# --- outputs --------------------------------------------------------------------------------------------------------

_FORMS: tuple[Type, ...] = (DURATION, WORKING_DURATION, MONEY, DATE, TIMESTAMP)


def guessed(node: Node, settings: Settings, problems: Problems, what: str) -> tuple[Type, Any] | None:
    """The type and value of an output that no `outputs:` declares; None with a problem."""
    if node.kind != "scalar" or node.is_null:
        problems.add(node.place, "wrong-shape", f"{what} must be a value, not {node.described()}")
        return None
    if _PARAM.fullmatch(node.text):
        return settings.find(node.text, node, problems)
    if isinstance(node.value, bool):
        return BOOLEAN, node.value
    if not node.is_text:
        return NUMBER, node.value
    for form in _FORMS:
        attempt = Problems()
        value = read_setting(node, form, attempt, what)
        if value is not None and not attempt.errors:
            return form, value
    return enum_of(node.text), node.text


def declared(node: Node, of: Type, settings: Settings, problems: Problems, what: str) -> Any:
    """The value of an output of a declared type; None with a problem, or for a parameter that is not set."""
    if node.kind == "scalar" and _PARAM.fullmatch(node.text):
        found = settings.find(node.text, node, problems)
        if found is None:
            return None
        actual, value = found
        if actual.name == "enum" and of.name == "enum" and not set(actual.values) <= set(of.values):
            extra = sorted(set(actual.values) - set(of.values))
            problems.add(node.place, "type-mismatch", f'{what}: {node.text} can be "{extra[0]}", which its outputs do not list')
        elif not fits(actual, of) and not comparable(actual, of):
            problems.add(node.place, "type-mismatch", f"{what} must be {_kind(of)}; {node.text} is {_kind(actual)}")
        return value
    return read_setting(node, of, problems, what)
