"""A compiled table: what it is given, its rows, and what it gives for one set of inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.facts.schema import NUMBER, Type, list_of
from engine.facts.values import UNKNOWN, Money, Rec, WorkingDuration, is_gap
from engine.language.compiled import Expression
from engine.language.show import show
from engine.language.tables.cells import Cell, line_of
from engine.language.tables.hit import Given, Outcome, Values, outcome, zero_for
from engine.language.tables.index import Column, column
from engine.language.tables.policies import SINGLE, Hit
from engine.language.tables.reading import value_in
from engine.problems import Place, did_you_mean


class BadInputs(ValueError):  # noqa: N818
    """What was given to a table is not what it takes; the message names the input, what is wanted and what is there."""


@dataclass(frozen=True, slots=True)
class Input:
    """One entry of `given`."""

    name: str
    expression: Expression

    @property
    def type(self) -> Type:
        return self.expression.type


@dataclass(frozen=True, slots=True)
class Output:
    """One key of `then`. `type` is that of a row's value; `order` its values from `outputs:`, the highest first."""

    name: str
    type: Type
    order: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One row, its cells in the order of the inputs, its values in that of the outputs. `number` counts from 1."""

    number: int
    cells: tuple[Cell, ...]
    values: Values
    place: Place


@dataclass(frozen=True, slots=True)
class Table:
    """One decision table, a fact of every record of `kind`.

    `outcome` works from values, `evaluate` from inputs by name. `settings` are the parameters whose values stand in its cells
    and outputs, and `again` compiles it with other ones.
    """

    id: str
    kind: str
    hit: Hit
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    rows: tuple[Row, ...]
    otherwise: Values | None
    otherwise_place: Place
    place: Place
    doc: str = ""
    settings: tuple[tuple[str, Any], ...] = ()
    again: Callable[[Mapping[str, Any]], Table] | None = field(default=None, repr=False, compare=False)
    columns: tuple[Column, ...] = field(init=False, repr=False, compare=False)
    _given: Given = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        columns = tuple(column([row.cells[n] for row in self.rows], given.type.name) for n, given in enumerate(self.inputs))
        object.__setattr__(self, "columns", columns)
        values = [row.values for row in self.rows]
        zero = zero_for([each[0] for each in values], self.outputs[0].type) if self.hit == "collect sum" else 0
        ranks = [self.rank(each) for each in values]
        named = Given(values, self.otherwise, ranks, self.name_of, len(self.outputs), zero)
        object.__setattr__(self, "_given", named)

    def under(self, params: Mapping[str, Any]) -> Table:
        """The same table where the parameters have these values."""
        if self.again is None or all(value_in(params, path) == value for path, value in self.settings):
            return self
        return self.again(params)

    def type_of(self, output: Output) -> Type:
        """The type of a field of the fact."""
        if self.hit == "collect count":
            return NUMBER
        return output.type if self.hit in SINGLE or self.hit.startswith("collect ") else list_of(output.type)

    def name_of(self, row: int) -> str:
        """How a row is called: by its number and its place."""
        place = self.rows[row].place
        return f"row {row + 1} ({place.file}:{place.line})"

    def outcome(self, values: tuple[Any, ...]) -> Outcome:
        """What it gives for these values of its inputs, in their order, any of which may be a gap. Never raises."""
        sure = possible = (1 << len(self.rows)) - 1
        for index, value in zip(self.columns, values, strict=True):
            masks = index.masks(value)
            sure &= masks.sure
            possible &= masks.possible
        return outcome(self.hit, self._given, sure, possible & ~sure)

    def evaluate(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Each output by name, for inputs by the names in `given`.

        Values are those rules see: `str`, `int` or `Decimal`, `bool`, `Money`, aware `datetime`, `date`, `timedelta`. An input
        that is left out or None is missing. An output is None where no row matches, UNKNOWN where it depends on what is
        missing or the hit policy is violated, an `Items` tuple where every matching row counts. Raises `BadInputs`.
        """
        for name in inputs:
            if name not in (names := [each.name for each in self.inputs]):
                raise BadInputs(f'the table "{self.id}" has no input "{name}"{did_you_mean(name, names)}')
        values = tuple(self._fitting(each, inputs.get(each.name)) for each in self.inputs)
        return self.named(self.outcome(values).values)

    def record(self, values: tuple[Any, ...]) -> Decided:
        """What `lookup` gives for values of the inputs: a record with a field for each output."""
        made = Decided(self, "lookup", None)
        made.inputs, made.outcome = values, self.outcome(values)
        made.update(self.named(made.outcome.values))
        return made

    def named(self, values: Values) -> dict[str, Any]:
        return {output.name: value for output, value in zip(self.outputs, values, strict=True)}

    def _fitting(self, given: Input, value: Any) -> Any:
        if is_gap(value):
            return value
        wanted = _CLASSES.get(given.type.name, (object,))
        wrong = not isinstance(value, wanted) or (isinstance(value, bool) and given.type.name != "boolean")
        if wrong or (isinstance(value, datetime) and (given.type.name == "date" or value.tzinfo is None)):
            said = "a number without float's rounding: Decimal or int" if isinstance(value, float) else f"a {given.type}"
            raise BadInputs(f'the input "{given.name}" of the table "{self.id}" must be {said}, not {value!r}')
        if given.type.name == "enum" and value not in given.type.values:
            near = did_you_mean(value, given.type.values)
            raise BadInputs(f'the input "{given.name}" of the table "{self.id}" cannot be "{value}"{near}')
        return value

    def rank(self, values: Values) -> tuple[int, ...]:
        """The place of each value in the order declared for its output; the left-most output counts most."""
        ordered = [(output.order, value) for output, value in zip(self.outputs, values, strict=True) if output.order]
        return tuple(order.index(value) if value in order else len(order) for order, value in ordered)

    def meaning(self) -> tuple[Any, ...]:
        """What makes one table another one, for the name of a rule set: no places and no layout."""
        return (
            self.id,
            self.hit,
            [(each.name, each.expression) for each in self.inputs],
            [(each.name, str(each.type), each.type.values, each.order) for each in self.outputs],
            [([(cell.tests, cell.negated, cell.unset) for cell in row.cells], row.values) for row in self.rows],
            self.otherwise,
        )


_CLASSES: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "enum": (str,),
    "boolean": (bool,),
    "number": (int, Decimal),
    "money": (Money,),
    "timestamp": (datetime,),
    "date": (date,),
    "duration": (timedelta,),
    "working_duration": (WorkingDuration,),
}


class Decided(Rec):
    """What a table gives for one record, as rules see it: a field for each output, worked out when the first is asked for."""

    __slots__ = ("inputs", "outcome", "table")

    def __init__(self, table: Table, key: str, parent: Rec | None) -> None:
        super().__init__(table.id, key, dict.fromkeys((output.name for output in table.outputs), None), parent)
        self.table = table
        self.inputs: tuple[Any, ...] = ()
        self.outcome: Outcome | None = None

    def decided(self, env: Mapping[str, Any]) -> Outcome:
        """The outcome for the inputs in `env`, the same for as long as this record lives."""
        if self.outcome is None:
            self.inputs = tuple(each.expression.value(env) for each in self.table.inputs)
            self.outcome = self.table.outcome(self.inputs)
        return self.outcome

    def reason(self) -> str:
        """Why an output is missing or unknown, where no fact is to blame."""
        if self.outcome is None or self.outcome.unsure:
            return ""
        if self.outcome.fell_through and not self.outcome.reason:
            return f"no row of the table {self.table.id} matches"
        return self.outcome.reason

    def origin(self) -> str:
        """Which rows its values come from, for people: `by row 2 (rules/clients/acme/tables.yaml:9) for value 12.00 EUR`."""
        if self.outcome is None:
            return ""
        said = [self.table.name_of(row) for row in self.outcome.rows]
        if self.outcome.fell_through and self.table.otherwise is not None:
            place = self.table.otherwise_place
            said.append(f"otherwise ({place.file}:{place.line})")
        elif self.outcome.fell_through:
            said.append("no row")
        doubtful = [self.table.name_of(row) for row in self.outcome.unsure]
        given = [f"{each.name} {show(value)}" for each, value in zip(self.table.inputs, self.inputs, strict=True)]
        may = f", though {' and '.join(doubtful)} may match" if doubtful else ""
        return f"by {', '.join(said)}{may}, for {', '.join(given)}"


def why_unsure(table: Table, values: tuple[Any, ...], found: Outcome) -> tuple[tuple[int, ...], str]:
    """The inputs for want of which rows are unsure, and the reason where one of them is there but does not compare."""
    lacking: dict[int, None] = {}
    reason = found.reason
    for row in found.unsure:
        for n, (cell, value) in enumerate(zip(table.rows[row].cells, values, strict=True)):
            if cell.test(value) is not UNKNOWN:
                continue
            if is_gap(value):
                lacking.setdefault(n)
            elif not cell.unset:
                asked = f"{table.name_of(row)} asks for {cell}"
                reason = reason or f"{table.inputs[n].name} is {show(value)}, {asked}: {line_of(value)} does not compare"
    return tuple(lacking), reason
