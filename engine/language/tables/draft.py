"""One entry of `tables:`, from its YAML to a compiled table and the facts it stands for."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.facts.schema import ANY, BOOLEAN, DURATION, MONEY, NUMBER, SETTINGS, FieldSpec, Kind, Type, Vocabulary, record_of
from engine.facts.values import Money
from engine.language.compiled import DerivedFact
from engine.language.forms import OUTPUT_TYPES, TABLE
from engine.language.functions import FUNCTIONS
from engine.language.node import Node
from engine.language.parse import Fault, parse
from engine.language.scope import Scope, case_names
from engine.language.tables.cells import ANY_CELL, Cell
from engine.language.tables.fact import facts_of
from engine.language.tables.hit import Values
from engine.language.tables.policies import AGGREGATES, HITS, ORDERED_BY_OUTPUT
from engine.language.tables.reading import CellReader, Settings, declared, guessed, value_in
from engine.language.tables.table import Input, Output, Row, Table
from engine.language.types import join
from engine.language.vocabulary import with_field
from engine.language.written import expression_in
from engine.problems import Place, Problems, did_you_mean

_WORDS = ("any", "params", "answer", "case", "true", "false", "none", "and", "or", "not", "in", "if", "else", "for", "is")
_INPUTS = frozenset({"text", "enum", "boolean", "number", "money", "timestamp", "date", "duration", "working_duration", "any"})
_SUMMED = (NUMBER, MONEY, DURATION)


@dataclass(frozen=True, slots=True)
class TableDraft:
    """A table whose inputs are not compiled yet: what they read decides which record it is a fact of."""

    id: str
    kind: str
    node: Node
    doc: str
    place: Place
    settings: Settings

    @property
    def names(self) -> tuple[str, ...]:
        """What other facts may read of it."""
        return (self.id, f"{self.kind}.{self.id}")

    def settle(self, scope: Scope, problems: Problems) -> tuple[Scope, tuple[DerivedFact, ...]] | None:
        """The scope with the table in it, and its outputs as facts; None with problems."""
        table = self.table(scope, problems)
        return None if table is None else (self._in_scope(scope, table, _kind_of(table)), facts_of(table))

    def stand_in(self, scope: Scope) -> Scope:
        """The scope with outputs of any type, so that what reads a table that cannot be compiled is still checked."""
        names = dict.fromkeys(name for then in _thens(self.node) for name, _, _ in then.items())
        return self._in_scope(scope, None, Kind(self.id, "", {name: FieldSpec(name, ANY, computed=True) for name in names}))

    def _in_scope(self, scope: Scope, table: Table | None, kind: Kind) -> Scope:
        vocabulary = with_field(scope.vocabulary, self.kind, FieldSpec(self.id, record_of(self.id), self.doc, computed=True))
        return replace(
            scope,
            vocabulary=Vocabulary({**vocabulary.kinds, self.id: kind}),
            tables={**scope.tables, self.id: table},
            table_kinds={**scope.table_kinds, self.id: self.kind},
        )

    def table(self, scope: Scope, problems: Problems) -> Table | None:
        """The compiled table. All its faults are told at once."""
        inputs = self._inputs(scope, problems)
        hit = self._hit(problems)
        settings = replace(self.settings, read=set())
        read = _Rows(self, inputs, settings, problems).read(hit)
        given = self.node.get("given")
        if hit is None or read is None or given is None or len(inputs) < len(given.entries):
            return None
        place = self.node.key_place("otherwise")
        used = tuple((path, value_in(settings.values, path)) for path in sorted(settings.read))
        table = Table(self.id, self.kind, hit, inputs, *read, place, self.place, self.doc, used)
        return replace(table, again=_Again(self, table).under) if used else table

    def _hit(self, problems: Problems) -> Any:
        node = self.node.get("hit")
        return "unique" if node is None else node.expect_one_of(problems, f'the hit policy of "{self.id}"', HITS)

    def _inputs(self, scope: Scope, problems: Problems) -> tuple[Input, ...]:
        """The inputs that are in order."""
        scope = scope_within(self.kind, scope)
        found: list[Input] = []
        node = self.node.get("given")
        for name, _, inner in node.items() if node is not None else ():
            what = f'the input "{name}" of "{self.id}"'
            expression = expression_in(inner, scope, problems, what)
            if expression is not None and expression.type.name not in _INPUTS:
                said = f"{what} must be one value, not {_a(expression.type)}: use count(...), any(...) or one of its fields"
                problems.add(inner.place, "type-mismatch", said)
            elif expression is not None:
                found.append(Input(name, expression))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Again:
    """Compiles a table with other values of its parameters, as scenarios set them. `held` are those compiled already."""

    draft: TableDraft
    table: Table
    held: dict[str, Table] = field(default_factory=dict)

    def under(self, params: Mapping[str, Any]) -> Table:
        used = tuple((path, value_in(params, path)) for path, _ in self.table.settings)
        name = repr(used)
        if name not in self.held:
            problems = Problems()
            settings = replace(self.draft.settings, values=params)
            read = _Rows(self.draft, self.table.inputs, settings, problems).read(self.table.hit)
            made = replace(self.table, settings=used, again=self.under)
            if read is not None and not problems.errors:
                outputs, rows, otherwise = read
                made = replace(made, outputs=outputs, rows=rows, otherwise=otherwise)
            else:  # with these values the rows mean nothing, such as a range that ends before it begins
                never = tuple(replace(row, cells=tuple(Cell(unset=True) for _ in row.cells)) for row in made.rows)
                made = replace(made, rows=never)
            self.held[name] = made
        return self.held[name]


def read_table(
    name: str, place: Place, node: Node, vocabulary: Vocabulary, settings: Settings, problems: Problems
) -> TableDraft | None:
    """One entry of `tables:`; None with problems where it cannot be understood at all."""
    plurals = {kind.plural for kind in vocabulary.kinds.values() if kind.plural}
    if not name.isidentifier() or name.startswith("__") or name.lower() != name:
        problems.add(place, "bad-name", f'"{name}" cannot be the name of a table: lower-case letters, digits and _')
        return None
    if name in (*vocabulary.kinds, *plurals, *_WORDS, *FUNCTIONS):
        problems.add(place, "bad-name", f'"{name}" already means something in expressions: give the table another name')
        return None
    if not node.expect_form(problems, f'the table "{name}"', TABLE):
        return None
    given, doc = node.get("given"), node.get("doc")
    if given is None or not given.expect_map(problems, f'"given" of "{name}"'):
        return None
    if not given.entries:
        problems.add(given.place, "empty-list", f'"given" of "{name}" names no input')
        return None
    for key, at, _ in given.items():
        if not key.isidentifier() or key == "then":
            problems.add(at, "bad-name", f'"{key}" cannot be the name of an input: one word, and not "then"')
    said = "" if doc is None else doc.expect_text(problems, f'the doc of "{name}"') or ""
    kind = narrowest(name, given, vocabulary, problems)
    if kind is None:
        return None
    if vocabulary[kind].type_of(name) is not None:
        problems.add(place, "duplicate-field", f'"{kind}" already has a field "{name}": give the table another name')
        return None
    return TableDraft(name, kind, node, said, place, settings)


# --- whose fact it is -----------------------------------------------------------------------------------------------


def narrowest(name: str, given: Node, vocabulary: Vocabulary, problems: Problems) -> str | None:
    """The one record that holds, or is held by, all others the inputs read: `rma_unit` for `rma.status` and `rma_unit.sku`."""
    plurals = {kind.plural for kind in vocabulary.kinds.values() if kind.plural}
    roots: dict[str, Place] = {}
    lists = False
    for _, _, node in given.items():
        for root in _roots(node):
            lists = lists or root in plurals or root == "case"
            if root in vocabulary and root != "case":
                roots.setdefault(root, node.place)
    narrow = [kind for kind in roots if kind != "order" and vocabulary[kind].scope != "client"]
    if not narrow:
        return "order" if "order" in roots else "case" if lists or not roots else next(iter(roots))
    deepest = max(narrow, key=lambda kind: len(_chain(kind, vocabulary)))
    for kind in narrow:
        if kind not in _chain(deepest, vocabulary):
            said = (
                f'the inputs of "{name}" read {deepest} and {kind}, and neither stands in the other: '
                f"reach one through the other, as in a field or relation of {deepest}"
            )
            problems.add(roots[kind], "two-records", said)
            return None
    return deepest


def _roots(node: Node) -> Iterable[str]:
    """The names an expression starts paths from, but for those of its own comprehensions."""
    if node.kind != "scalar" or node.is_null:
        return ()
    try:
        body = parse(node.text).body
    except Fault:  # told when it is compiled
        return ()
    parts = list(ast.walk(body))
    own = {part.target.id for part in parts if isinstance(part, ast.comprehension) and isinstance(part.target, ast.Name)}
    return dict.fromkeys(part.id for part in parts if isinstance(part, ast.Name) and part.id not in own)


def _chain(kind: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """A kind and those it stands in, from the inside out."""
    found = [kind]
    while True:
        parent = vocabulary[found[-1]].parent
        holder = vocabulary[found[-1]].type_of(parent) if parent else None
        if holder is None or holder.kind in found:
            return tuple(found)
        found.append(holder.kind)


def scope_within(kind: str, scope: Scope) -> Scope:
    """What an expression about a record of that kind can use: the record and what it stands in."""
    scope = replace(scope, names=case_names(scope.vocabulary))
    if kind in ("case", "order") or scope.vocabulary[kind].scope == "client":
        return replace(scope, guards=scope.guards | {kind})
    for each in reversed(_chain(kind, scope.vocabulary)):
        scope = scope.bound(each, each)
    return scope


# --- rows and outputs -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rows:
    """Reads the rows of one table."""

    draft: TableDraft
    inputs: tuple[Input, ...]
    settings: Settings
    problems: Problems

    def read(self, hit: Any) -> tuple[tuple[Output, ...], tuple[Row, ...], Values | None] | None:
        """Outputs, rows and `otherwise`; None with problems."""
        node, name = self.draft.node, self.draft.id
        listed, last = node.get("rows"), node.get("otherwise")
        if listed is not None and not listed.expect_list(self.problems, f'"rows" of "{name}"'):
            return None
        elements = () if listed is None else listed.elements
        if not elements and last is None:
            self.problems.add(self.draft.place, "empty-list", f'the table "{name}" has neither rows nor "otherwise"')
            return None
        if last is not None and hit == "collect count":
            said = f'"{name}" counts the rows that match, which is 0 where none does: "otherwise" has no meaning'
            self.problems.add(node.key_place("otherwise"), "wrong-shape", said)
        cells = [self._row(n, element) for n, element in enumerate(elements, 1)]
        thens, fine = self._thens(elements, last)
        outputs = self._outputs(hit, thens) if thens else ()
        values = [self._given(outputs, then, what) for what, then in thens]
        if not fine or not all(output.name for output in outputs) or any(row is None for row in cells):
            return None
        self._check_currencies(hit, outputs, values)
        rows = tuple(
            Row(n, row, values[n - 1], element.place)
            for n, (row, element) in enumerate(zip(cells, elements, strict=True), 1)
            if row is not None
        )
        return outputs, rows, None if last is None else values[-1]

    def _row(self, number: int, node: Node) -> tuple[Cell, ...] | None:
        what = f'row {number} of "{self.draft.id}"'
        named = self.draft.node.get("given")
        names = [] if named is None else [entry.key for entry in named.entries]
        fine = node.expect_keys(self.problems, what, ["then"], names)
        found: list[Cell | None] = []
        for given in self.inputs:
            cell = None if given.type == ANY else node.get(given.name)  # of any type only where another fault is told
            reader = CellReader(given.type, self.settings, self.problems)
            found.append(ANY_CELL if cell is None else reader.read(cell, f'"{given.name}" in {what}'))
        cells = tuple(cell for cell in found if cell is not None)
        return cells if fine and len(cells) == len(found) else None

    def _thens(self, elements: tuple[Node, ...], last: Node | None) -> tuple[list[tuple[str, Node]], bool]:
        """What every row and `otherwise` give, with how they are called, and whether all of it is in order."""
        name = self.draft.id
        found = [(f'row {n} of "{name}"', element.get("then")) for n, element in enumerate(elements, 1)]
        if last is not None:
            found.append((f'"otherwise" of "{name}"', last))
        there = [(what, then) for what, then in found if then is not None]
        thens = [(what, then) for what, then in there if then.expect_map(self.problems, f"what {what} gives")]
        names = [entry.key for _, then in thens[:1] for entry in then.entries]
        listed = self.draft.node.get("outputs")
        valid = names if listed is None else [entry.key for entry in listed.entries]
        keys = [then.expect_keys(self.problems, f"what {what} gives", valid) for what, then in thens]
        for what, then in thens if not names else ():
            self.problems.add(then.place, "empty-list", f"{what} gives nothing")
        return thens, len(thens) == len(found) and all(keys) and bool(names)

    def _outputs(self, hit: Any, thens: list[tuple[str, Node]]) -> tuple[Output, ...]:
        """The outputs with their types; one with a fault has no name."""
        node = self.draft.node.get("outputs")
        if node is not None and not node.expect_map(self.problems, f'"outputs" of "{self.draft.id}"'):
            return (Output("", ANY),)
        names = [entry.key for entry in (thens[0][1] if node is None else node).entries]
        found = tuple(self._output(name, None if node is None else node.get(name), thens) for name in names)
        self._check_hit(hit, found)
        return found

    def _output(self, name: str, said: Node | None, thens: list[tuple[str, Node]]) -> Output:
        if not name.isidentifier():
            self.problems.add(thens[0][1].key_place(name), "bad-name", f'"{name}" cannot be the name of an output: one word')
            return Output("", ANY)
        what = f'the output "{name}" of "{self.draft.id}"'
        if said is not None and said.kind == "list":
            order = self._united([(f"{what}", element) for element in said.elements], what, said)
            return Output("", ANY) if order is None else Output(name, order[0], order[1])
        if said is not None:
            word = said.expect_one_of(self.problems, f"the type of {what}", OUTPUT_TYPES)
            return Output("", ANY) if word is None else Output(name, SETTINGS[word])
        nodes = [(f'"{name}" in {which}', node) for which, then in thens if (node := then.get(name)) is not None]
        united = self._united(nodes, what, nodes[0][1])
        return Output("", ANY) if united is None else Output(name, united[0])

    def _united(self, nodes: list[tuple[str, Node]], what: str, at: Node) -> tuple[Type, Values] | None:
        """One type for values that no declaration gives a type, and the values."""
        if not nodes:
            self.problems.add(at.place, "empty-list", f"{what} lists no value")
            return None
        read = [(where, node, guessed(node, self.settings, self.problems, where)) for where, node in nodes]
        united: Type | None = None
        values: list[Any] = []
        for where, node, found in read:
            if found is None:
                return None
            joined = found[0] if united is None else join(united, found[0])
            if joined is None or joined == ANY:
                said = (
                    f'{where} is {_a(found[0])}, "{node.text}", and before it stands {_a(united or ANY)}: '
                    f"an output is of one type; to say which, declare it under outputs"
                )
                self.problems.add(node.place, "type-mismatch", said)
                return None
            united = joined
            values.append(found[1])
        return (united or ANY), tuple(values)

    def _given(self, outputs: tuple[Output, ...], then: Node, what: str) -> Values:
        """The values of a row. Faults are told here where types are declared, else they have been."""
        values: list[Any] = []
        for output in outputs:
            node = then.get(output.name)
            if node is None:
                values.append(None)
                continue
            value = declared(node, output.type, self.settings, self.problems, f'"{output.name}" in {what}')
            if output.order and value is not None and value not in output.order:
                known = [str(each) for each in output.order]
                said = f'"{output.name}" in {what}: its outputs do not list {node.text}{did_you_mean(node.text, known)}'
                self.problems.add(node.place, "unknown-value", said)
            values.append(value)
        return tuple(values)

    def _check_hit(self, hit: Any, outputs: tuple[Output, ...]) -> None:
        place = self.draft.node.key_place("hit")
        name = self.draft.id
        if hit in AGGREGATES and len(outputs) != 1:
            said = f'"{hit}" is about one output; "{name}" has {len(outputs)}: collect them, or make a table for each'
            self.problems.add(place, "wrong-shape", said)
        elif hit in AGGREGATES and hit != "collect count" and outputs[0].name:
            self._check_aggregate(hit, outputs[0], place)
        if hit in ORDERED_BY_OUTPUT and not any(output.order for output in outputs):
            said = (
                f'"{hit}" goes by the order of the values, which "outputs" gives, the highest first: '
                f"outputs: {{{outputs[0].name}: [...]}}"
            )
            self.problems.add(place, "missing-key", said)

    def _check_currencies(self, hit: Any, outputs: tuple[Output, ...], values: list[Values]) -> None:
        currencies = sorted({value.currency for each in values for value in each if isinstance(value, Money)})
        if hit in AGGREGATES and hit != "collect count" and len(currencies) > 1 and outputs:
            said = f'"{hit}" of {" and ".join(currencies)}: amounts of two currencies neither add nor compare'
            self.problems.add(self.draft.node.key_place("hit"), "mixed-currencies", said)

    def _check_aggregate(self, hit: str, output: Output, place: Place) -> None:
        fine = output.type in _SUMMED if hit == "collect sum" else output.type.name in _INPUTS - {"enum", "text", "boolean"}
        if not fine:
            said = f'"{hit}" is of numbers, money or durations, not of {_a(output.type)} as "{output.name}" is'
            self.problems.add(place, "type-mismatch", said)


def _thens(node: Node) -> list[Node]:
    rows, last = node.get("rows"), node.get("otherwise")
    found = [element.get("then") for element in (() if rows is None else rows.elements)]
    return [then for then in (*found, last) if then is not None]


def _kind_of(table: Table) -> Kind:
    fields = {output.name: FieldSpec(output.name, table.type_of(output), "", computed=True) for output in table.outputs}
    return Kind(table.id, "", fields, scope="item", doc=table.doc)


def _a(of: Type) -> str:
    if of.name in ("enum", "text"):
        return "text"
    return "true or false" if of == BOOLEAN else f"a {of if of.of else of.name.replace('_', ' ')}"
