"""From syntax to typed terms: every name, field, value and type is checked against the scope, all faults at once."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import re2

from engine.facts.schema import (
    ANY,
    BOOLEAN,
    CALENDAR,
    DURATION,
    NUMBER,
    TEXT,
    WORKING_DURATION,
    Type,
    enum_of,
    list_of,
    record_of,
)
from engine.language import guards
from engine.language.calendars import calendar_named
from engine.language.durations import parse_period
from engine.language.functions import FUNCTIONS, Function, Mistyped, zero_of
from engine.language.node import Locate
from engine.language.parse import Fault, Syntax, literal
from engine.language.scope import Scope
from engine.language.terms import (
    DEEPEST_LOOP,
    Arithmetic,
    Call,
    Choice,
    Compare,
    Comprehension,
    Field,
    ListOf,
    Literal,
    Logic,
    Negative,
    Not,
    Root,
    Setting,
    Term,
    path_of,
)
from engine.language.types import CONDITION, NONE, ORDERED, arithmetic, comparable, fits, join
from engine.problems import Problems, did_you_mean

_WORDS: Mapping[str, tuple[Any, Type]] = {"true": (True, BOOLEAN), "false": (False, BOOLEAN), "none": (None, NONE)}
_COMPARE: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_ARITHMETIC: Mapping[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_OVER_ALL = frozenset({"all", "count", "len", "missing"})  # what one more item could turn round
_PATTERN = re2.Options()
_PATTERN.log_errors = False


class Checker:
    """Checks one expression. What it learns beside the term is in `reads` and `constant`."""

    def __init__(self, syntax: Syntax, scope: Scope, problems: Problems, locate: Locate) -> None:
        self.syntax = syntax
        self.scope = scope
        self.problems = problems
        self.locate = locate
        self.guards = frozenset(scope.guards)
        self.local: dict[str, tuple[Type, bool]] = {}
        self.loops = 0
        self.reads: set[str] = set()
        self.constant = True

    def report(self, at: ast.AST | int, code: str, message: str) -> None:
        offset = at if isinstance(at, int) else self.syntax.offset(at)
        self.problems.add(self.locate(offset), code, message)

    def check(self, node: ast.expr) -> Term | None:
        """The term of a syntax tree, or None once its faults are reported."""
        try:
            return _CHECKS[type(node)](self, node)
        except Fault as fault:
            self.report(fault.offset, fault.code, fault.message)
            return None

    def checks(self, nodes: list[ast.expr]) -> list[Term] | None:
        """The terms of all, or None; the faults of every one are reported."""
        terms = [self.check(node) for node in nodes]
        found = [term for term in terms if term is not None]
        return found if len(found) == len(terms) else None

    # --- names and fields ---

    def name(self, node: ast.Name) -> Term | None:
        name, offset = node.id, self.syntax.offset(node)
        if name in _WORDS:
            value, kind = _WORDS[name]
            return Literal(kind, offset, value)
        if name in self.local:
            kind, sure = self.local[name]
            return Root(kind, offset, name, local=True, sure=sure)
        self.constant = False
        if name in self.scope.names:
            kind = self.scope.names[name]
            read = kind if kind.of is None else kind.of
            if read.kind:
                self.reads.add(read.kind)
            return Root(kind, offset, name, sure=kind.name == "record" and (name in self.scope.guards or name == "case"))
        if self.scope.payload:
            return Root(ANY, offset, name, payload=True)
        if name in self.scope.table_kinds:
            return self._table(node)
        self._unknown_name(node)
        return None

    def _table(self, node: ast.Name) -> Term | None:
        """A table by its bare name is that of the record it is a fact of, which has to be at hand."""
        kind, holder = self.scope.table_kinds[node.id], self.scope.holder_of(node.id)
        if holder is None:
            said = f"{node.id} is decided for each {kind}, and here is none: read it as x.{node.id} of one, or add each: ..."
            self.report(node, "unknown-name", said)
            return None
        base = self.name(ast.copy_location(ast.Name(holder), node))
        if base is None:
            return None
        self.reads.add(f"{kind}.{node.id}")
        return Field(record_of(node.id), self.syntax.offset(node), base, node.id, sure=_is_sure(base))

    def _unknown_name(self, node: ast.Name) -> None:
        name = node.id
        if name in FUNCTIONS:
            said = f"{name} is a function: write {FUNCTIONS[name].signature}"
        elif name in ("now", "today"):
            said = f'there is no "{name}" in expressions: time enters through `for` and `after`'
        elif name in ("params", "answer"):
            said = f'"{name}" is read as {name}.<name>'
        else:
            settings = [*(("params",) if self.scope.params else ()), *(("answer",) if self.scope.answers else ())]
            valid = (*self.scope.names, *self.scope.table_kinds, *self.local, *settings)
            said = f'there is no "{name}" here{did_you_mean(name, valid)}'
        self.report(node, "unknown-name", said)

    def attribute(self, node: ast.Attribute) -> Term | None:
        name, base = node.attr, node.value
        at = self.syntax.end(node) - len(name)
        if isinstance(base, ast.Name) and base.id in ("params", "answer") and not self._is_name(base.id):
            return self._setting(node, base.id, at)
        of = self.check(base)
        if of is None:
            return None
        if of.type == ANY:
            return Field(ANY, self.syntax.offset(node), of, name)
        if of.type.name != "record" or of.type.kind not in self.scope.vocabulary:
            self._no_fields(of, name, at)
            return None
        kind = self.scope.vocabulary[of.type.kind]
        found = kind.type_of(name)
        if found is None:
            valid = (*kind.fields, *kind.relations)
            self.report(at, "unknown-field", f'{kind.name} has no field "{name}"{did_you_mean(name, valid)}')
            return None
        self.reads.add(f"{kind.name}.{name}")
        always = name == kind.parent or self.scope.table_kinds.get(name) == kind.name
        return Field(found, self.syntax.offset(node), of, name, sure=_is_sure(of) and always)

    def _is_name(self, name: str) -> bool:
        return name in self.local or name in self.scope.names

    def _setting(self, node: ast.Attribute, group: str, at: int) -> Term | None:
        declared = self.scope.params if group == "params" else self.scope.answers
        self.constant = False
        if node.attr not in declared:
            what, code = ("parameter", "unknown-param") if group == "params" else ("rule with answers", "unknown-answer")
            self.report(at, code, f'there is no {what} "{node.attr}"{did_you_mean(node.attr, declared)}')
            return None
        if group == "answer":
            self.reads.add(f"answer.{node.attr}")
        return Setting(declared[node.attr], self.syntax.offset(node), group, node.attr)

    def _no_fields(self, of: Term, name: str, at: int) -> None:
        if of.type.of is not None:
            path = path_of(of) or "the list"
            said = f"{path} is a list and has no fields: use a comprehension, as in [x.{name} for x in {path}]"
        else:
            said = f'{_named(of)} has no field "{name}"'
        self.report(at, "unknown-field", said)

    def subscript(self, node: ast.Subscript) -> Term | None:
        of = self.check(node.value)
        if of is None:
            return None
        index = node.slice
        if of.type != ANY or not isinstance(index, ast.Constant) or not isinstance(index.value, str):
            self.report(node, "expression-syntax", "there are no indexes; use first(list), last(list) or a comprehension")
            return None
        return Field(ANY, self.syntax.offset(node), of, index.value)

    # --- literals ---

    def literal(self, node: ast.Constant) -> Term:
        value = literal(node, self.syntax)
        return Literal(enum_of(value) if isinstance(value, str) else NUMBER, self.syntax.offset(node), value)

    def list_of(self, node: ast.List) -> Term | None:
        terms = self.checks(node.elts)
        if terms is None:
            return None
        element = NONE
        for term in terms:
            joined = join(element, term.type)
            if joined is None:
                self.report(term.offset, "type-mismatch", f"the items of a list are of one type: {_named(term)} is not {element}")
                return None
            element = joined
        return ListOf(list_of(element), self.syntax.offset(node), tuple(terms))

    # --- logic and comparison ---

    def condition(self, node: ast.expr) -> Term | None:
        """A term that can be a condition: a boolean or a list."""
        term = self.check(node)
        if term is None or self.fits_condition(term):
            return term
        return None

    def fits_condition(self, term: Term) -> bool:
        if fits(term.type, CONDITION) and term.type != NONE:
            return True
        hint = "use exists(...)" if term.type.name in ("record", "none") else "compare it, or use exists(...)"
        self.report(term.offset, "type-mismatch", f"{_named(term)} is not a condition: {hint}")
        return False

    def logic(self, node: ast.BoolOp) -> Term | None:
        joined = isinstance(node.op, ast.And)
        terms: list[Term | None] = []
        before = self.guards
        for part in node.values:
            terms.append(self.condition(part))
            if joined:  # what stands before an `and` guards what follows
                self.guards |= guards.implied(part)
        self.guards = before
        found = tuple(term for term in terms if term is not None)
        return Logic(BOOLEAN, self.syntax.offset(node), "and" if joined else "or", found) if len(found) == len(terms) else None

    def unary(self, node: ast.UnaryOp) -> Term | None:
        if isinstance(node.op, ast.Not):
            of = self.condition(node.operand)
            if of is not None and isinstance(of, Call) and of.function.name in ("any", "exists"):
                self._check_open(of.arguments[0], f"not {of.function.name}", of.offset)
            elif of is not None and of.type.of is not None:
                self._check_open(of, "not", of.offset)
            return None if of is None else Not(BOOLEAN, self.syntax.offset(node), of)
        of = self.check(node.operand)
        if of is None:
            return None
        if isinstance(node.op, ast.Invert) or of.type.name not in (
            "number",
            "money",
            "duration",
            "working_duration",
            "period",
            "any",
        ):
            self.report(node, "type-mismatch", f"{_named(of)} has no negative; `not` negates a condition")
            return None
        if isinstance(of, Literal):
            return Literal(of.type, self.syntax.offset(node), -of.value if isinstance(node.op, ast.USub) else of.value)
        return Negative(of.type, self.syntax.offset(node), of) if isinstance(node.op, ast.USub) else of

    def compare(self, node: ast.Compare) -> Term | None:
        for middle in node.comparators[:-1]:
            if any(isinstance(part, ast.Compare | ast.Call | ast.ListComp) for part in ast.walk(middle)):
                raise Fault(self.syntax.offset(middle), "expression-syntax", "write it as two comparisons joined by `and`")
        terms = self.checks([node.left, *node.comparators])
        if terms is None:
            return None
        found = [
            self._compare(_COMPARE.get(type(operator), "is"), left, right)
            for operator, left, right in zip(node.ops, terms, terms[1:], strict=False)
        ]
        compared = tuple(term for term in found if term is not None)
        if len(compared) < len(found):
            return None
        return compared[0] if len(compared) == 1 else Logic(BOOLEAN, self.syntax.offset(node), "and", compared)

    def _compare(self, operator: str, left: Term, right: Term) -> Term | None:
        if operator == "is":
            self.report(left.offset, "expression-syntax", "`is` has no meaning here: use ==, exists(...) or missing(...)")
            return None
        for side in (left, right):
            if side.type == NONE:
                self.report(side.offset, "type-mismatch", "nothing equals none: use missing(...) or exists(...)")
                return None
        if operator in ("in", "not in"):
            fine = self._is_member(left, right)
        elif operator in ("==", "!="):
            fine = self._comparable(left, right)
        else:
            fine = self._comparable(left, right) and self._ordered(left) and self._ordered(right)
        return Compare(BOOLEAN, left.offset, operator, left, right) if fine else None

    def _comparable(self, left: Term, right: Term) -> bool:
        written = [side for side in (left, right) if isinstance(side, Literal) and isinstance(side.value, str)]
        if comparable(left.type, right.type) or len(written) == 2:
            return True
        for listed, given in ((left, right), (right, left)):
            if listed.type.name == "enum" and isinstance(given, Literal) and isinstance(given.value, str):
                what = path_of(listed) or "it"
                said = f'{what} is never "{given.value}"{did_you_mean(given.value, listed.type.values)}'
                self.report(given.offset, "unknown-value", said)
                return False
        kinds = {left.type.name, right.type.name}
        hint = ': an amount is written money(12.50, "EUR")' if kinds == {"money", "number"} else ""
        self.report(right.offset, "type-mismatch", f"{_named(left)} does not compare with {_named(right)}{hint}")
        return False

    def _ordered(self, term: Term) -> bool:
        if term.type.name in ORDERED or isinstance(term, Literal):
            return True
        self.report(term.offset, "type-mismatch", f"{_named(term)} has no order")
        return False

    def _all_comparable(self, item: Term, container: ListOf) -> bool:
        """The faults of every element are reported, not just those of the first."""
        found = [self._comparable(item, part) for part in container.terms]
        return all(found)

    def _is_member(self, item: Term, container: Term) -> bool:
        if container.type == ANY:
            return True
        element = container.type.of
        if element is None:
            hint = ": use contains(text, part)" if container.type.name in ("text", "enum") else ""
            self.report(container.offset, "type-mismatch", f"`in` needs a list, not {_named(container)}{hint}")
            return False
        if isinstance(container, ListOf):
            return self._all_comparable(item, container)
        if element == NONE or comparable(item.type, element):
            return True
        if element.name == "enum" and isinstance(item, Literal) and isinstance(item.value, str):
            said = f'{path_of(container) or "the list"} never holds "{item.value}"{did_you_mean(item.value, element.values)}'
            self.report(item.offset, "unknown-value", said)
        else:
            self.report(item.offset, "type-mismatch", f"{_named(item)} cannot be in {_named(container)}")
        return False

    # --- arithmetic and choice ---

    def arithmetic(self, node: ast.BinOp) -> Term | None:
        operator = _ARITHMETIC.get(type(node.op))
        if operator is None:
            raise Fault(self.syntax.offset(node), "expression-syntax", "the operators of numbers are + - * and /")
        terms = self.checks([node.left, node.right])
        if terms is None:
            return None
        left, right = terms
        result = arithmetic(operator, left.type, right.type)
        if result is None:
            self.report(node, "type-mismatch", f"{_named(left)} {operator} {_named(right)} has no meaning")
            return None
        return Arithmetic(result, left.offset, operator, left, right)

    def choice(self, node: ast.IfExp) -> Term | None:
        condition = self.condition(node.test)
        before = self.guards
        self.guards |= guards.implied(node.test)
        yes = self.check(node.body)
        self.guards = before
        no = self.check(node.orelse)
        if condition is None or yes is None or no is None:
            return None
        joined = join(yes.type, no.type)
        if joined is None:
            self.report(no.offset, "type-mismatch", f"both branches are of one type: {_named(yes)} and {_named(no)}")
            return None
        return Choice(joined, self.syntax.offset(node), condition, yes, no)

    # --- comprehensions ---

    def comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> Term | None:
        clause = node.generators[0]
        if len(node.generators) > 1 or clause.is_async:
            raise Fault(self.syntax.offset(node), "expression-syntax", "a comprehension has one `for`; put another inside it")
        if not isinstance(clause.target, ast.Name):
            raise Fault(self.syntax.offset(clause.target), "expression-syntax", "a comprehension binds one name")
        variable = clause.target.id
        if self._is_name(variable) or variable in _WORDS or variable in ("params", "answer"):
            raise Fault(self.syntax.offset(clause.target), "name-taken", f'"{variable}" already means something here')
        source = self.check(clause.iter)
        if source is not None and source.type.of is None and source.type != ANY:
            self.report(source.offset, "type-mismatch", f"only a list can be gone through, not {_named(source)}")
            source = None
        if source is None:
            return None
        element = ANY if source.type.of is None else source.type.of
        with self._binding(variable, element, sure=_has_sure_elements(source), at=self.syntax.offset(node)):
            condition = self._conditions(clause.ifs)
            result = self.check(node.elt)
        if result is None or (clause.ifs and condition is None):
            return None
        return Comprehension(list_of(result.type), self.syntax.offset(node), variable, source, condition, result)

    @contextmanager
    def _binding(self, name: str, kind: Type, *, sure: bool, at: int) -> Iterator[None]:
        before = self.guards
        self.local[name] = (kind, sure)
        self.loops += 1
        if self.loops > DEEPEST_LOOP:
            self.report(at, "expression-too-deep", f"comprehensions nest at most {DEEPEST_LOOP} deep")
        try:
            yield
        finally:
            self.loops -= 1
            del self.local[name]
            self.guards = before

    def _conditions(self, nodes: list[ast.expr]) -> Term | None:
        terms = []
        for node in nodes:
            terms.append(self.condition(node))
            self.guards |= guards.implied(node)
        found = tuple(term for term in terms if term is not None)
        if len(found) < len(terms) or not found:
            return None
        return found[0] if len(found) == 1 else Logic(BOOLEAN, found[0].offset, "and", found)

    def stray_generator(self, node: ast.GeneratorExp) -> Term | None:
        raise Fault(self.syntax.offset(node), "expression-syntax", "write a list with square brackets: [... for x in ...]")

    # --- calls ---

    def call(self, node: ast.Call) -> Term | None:
        function = self._function(node)
        if node.keywords:
            raise Fault(self.syntax.offset(node), "expression-syntax", f"arguments have no names: {function.signature}")
        if not function.least <= len(node.args) <= function.most:
            raise Fault(self.syntax.offset(node), "wrong-arguments", f"{function.name} is called as {function.signature}")
        if function.special == "code":
            return self._mapped(node, function)
        if function.special == "table":
            return self._lookup(node, function)
        terms = [self.comprehension(a) if isinstance(a, ast.GeneratorExp) else self.check(a) for a in node.args]
        arguments = [term for term in terms if term is not None]
        if len(arguments) < len(terms):
            return None
        if function.special == "calendar":
            read = [self._written_out(argument, position, function) for position, argument in enumerate(arguments)]
            arguments = [term for term in read if term is not None]
            if len(arguments) < len(read):
                return None
        try:
            result = function.typed([term.type for term in arguments])
        except Mistyped as wrong:
            given = arguments[wrong.position]
            said = f"{function.name}() takes {wrong.wanted}, not {_named(given)}"
            if fits(given.type, TEXT) and isinstance(given, Literal) and given.value == wrong.wanted:
                said = f"{function.name}() cannot take this"
            self.report(given.offset, "type-mismatch", said)
            return None
        if function.name in _OVER_ALL:
            self._check_open(arguments[0], function.name, self.syntax.offset(node))
        if function.name == "missing":
            self._check_record_there(arguments[0])
        settled = self._settled(function, arguments)
        return None if settled is None else Call(result, self.syntax.offset(node), function, settled)

    def _function(self, node: ast.Call) -> Function:
        if isinstance(node.func, ast.Name):
            name = node.func.id
            if name in FUNCTIONS:
                return FUNCTIONS[name]
            hint = ": time enters through `for` and `after`" if name in ("now", "today") else did_you_mean(name, FUNCTIONS)
            raise Fault(self.syntax.offset(node), "unknown-function", f'there is no function "{name}"{hint}')
        if isinstance(node.func, ast.Attribute):
            name = node.func.attr
            hint = f": write {FUNCTIONS[name].signature}" if name in FUNCTIONS else did_you_mean(name, FUNCTIONS)
            at = self.syntax.end(node.func) - len(name)
            raise Fault(at, "unknown-function", f'values have no method "{name}"{hint}')
        raise Fault(self.syntax.offset(node), "expression-syntax", "only functions can be called")

    def _written_out(self, term: Term, position: int, function: Function) -> Term | None:
        """The calendar or the duration that a text in the place of one names."""
        if not isinstance(term, Literal) or not isinstance(term.value, str):
            return term
        if position == function.most - 1:
            return self._calendar(term, term.value, function)
        if function.name != "add_working" or position != 1:
            return term
        try:
            duration = parse_period(term.value)
        except ValueError as fault:
            self.report(term.offset, "bad-duration", f"{function.name}(): {fault}")
            return None
        return Literal(DURATION if isinstance(duration, timedelta) else WORKING_DURATION, term.offset, duration)

    def _calendar(self, term: Term, name: str, function: Function) -> Term | None:
        if self.scope.payload:
            said = f"{function.name}(): calendars are a client's, and mappings are for all clients: count in a fact or rule"
            self.report(term.offset, "unknown-calendar", said)
            return None
        place = self.locate(term.offset)
        found = calendar_named(name, place, self.scope.calendars, self.problems, f"{function.name}()")
        return None if found is None else Literal(CALENDAR, term.offset, found)

    def _settled(self, function: Function, arguments: list[Term]) -> tuple[Term, ...] | None:
        """The arguments, with those settled now in their place."""
        if function.special == "zone":
            return (*arguments, Literal(ANY, arguments[0].offset, self.scope.time_zone))
        if function.special == "zero":
            element = arguments[0].type.of or ANY
            return (*arguments, Literal(ANY, arguments[0].offset, zero_of(element)))
        if function.special == "pattern":
            pattern = arguments[1]
            if not isinstance(pattern, Literal):
                self.report(pattern.offset, "bad-pattern", "the pattern must be written out, as text in quotes")
                return None
            try:
                return arguments[0], Literal(ANY, pattern.offset, re2.compile(pattern.value, _PATTERN))
            except (re2.error, ValueError) as fault:
                reason = fault.args[0] if fault.args else fault
                said = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
                self.report(pattern.offset, "bad-pattern", f"not a pattern of RE2: {said}")
                return None
        return tuple(arguments)

    def _mapped(self, node: ast.Call, function: Function) -> Term | None:
        path = guards.dotted(node.args[0])
        value = self.check(node.args[1])
        if path is None or path not in self.scope.codes:
            said = f'there is no parameter "{path}" to map' if path else "name a parameter: role.action.parameter"
            self.report(node.args[0], "unknown-parameter", f"{said}{did_you_mean(path or '', self.scope.codes)}")
            return None
        if value is None:
            return None
        if not fits(value.type, TEXT):
            self.report(value.offset, "type-mismatch", f"mapped() takes text, not {_named(value)}")
            return None
        codes = Literal(ANY, self.syntax.offset(node.args[0]), self.scope.codes[path])
        return Call(TEXT, self.syntax.offset(node), function, (codes, value))

    def _lookup(self, node: ast.Call, function: Function) -> Term | None:
        named, *given = node.args
        name = named.id if isinstance(named, ast.Name) else ""
        if name not in self.scope.tables:
            said = f'there is no table "{name}"' if name else "name a table: lookup(table, input, ...)"
            self.report(named, "unknown-table", f"{said}{did_you_mean(name, self.scope.tables)}")
            return None
        terms = self.checks(given)
        table = self.scope.tables[name]
        if terms is None or table is None:
            return None
        names = [each.name for each in table.inputs]
        if len(terms) != len(names):
            said = f"{name} is given {len(names)}: lookup({', '.join((name, *names))})"
            self.report(node, "wrong-arguments", said)
            return None
        wrong = [
            (each, term)
            for each, term in zip(table.inputs, terms, strict=True)
            if term.type == NONE or not comparable(term.type, each.type)
        ]
        for each, term in wrong:
            what = f'"{each.name}" of the table {name}'
            if each.type.name == "enum" and isinstance(term, Literal) and isinstance(term.value, str):
                said = f'{what} is never "{term.value}"{did_you_mean(term.value, each.type.values)}'
                self.report(term.offset, "unknown-value", said)
            else:
                self.report(term.offset, "type-mismatch", f"{what} is of type {each.type}, not {_named(term)}")
        self.reads.add(name)
        self.constant = False
        settings = Root(ANY, self.syntax.offset(node), "params")  # the values of those that stand in the table
        offset = self.syntax.offset(node)
        return None if wrong else Call(record_of(name), offset, function, (Literal(ANY, offset, table), settings, *terms))

    # --- what may still come ---

    def _check_open(self, term: Term, how: str, offset: int) -> None:
        """An error where one more record could turn the outcome round and nothing says that they have come."""
        over = _source_of(term)
        path = path_of(over)
        if path is None or path in self.guards or not self._is_open(over):
            return
        said = f"more of {path} may still come, so `{how}` over it is a guess: guard it, as in exists({path}) and ..."
        self.report(offset, "open-relation", said)

    def _is_open(self, term: Term) -> bool:
        vocabulary = self.scope.vocabulary
        if isinstance(term, Field) and term.of.type.kind in vocabulary:
            relation = vocabulary[term.of.type.kind].relations.get(term.name)
            return relation is not None and relation.open
        if isinstance(term, Root) and not term.local and term.type.of is not None and term.type.of.kind in vocabulary:
            kind = vocabulary[term.type.of.kind]
            return kind.plural == term.name and not all(spec.computed for spec in kind.fields.values())
        return False

    def _check_record_there(self, term: Term) -> None:
        base = term
        while isinstance(base, Field):
            base = base.of
        if base is term or not isinstance(base, Root) or base.local or base.sure or base.type.name != "record":
            return
        if base.name not in self.guards:
            said = f"{base.name} itself may not have come, and all of it is missing then: guard it with exists({base.name})"
            self.report(term.offset, "missing-record", said)


def _source_of(term: Term) -> Term:
    """The list or path a condition looks at, through comprehensions and functions that keep to it."""
    while True:
        if isinstance(term, Comprehension):
            term = term.source
        elif isinstance(term, Call) and term.function.name in ("known", "unique"):
            term = term.arguments[0]
        else:
            return term


def _is_sure(term: Term) -> bool:
    """Whether it is a record that is there, so that its fields can be read without asking."""
    return isinstance(term, Root | Field) and term.sure


def _has_sure_elements(source: Term) -> bool:
    element = source.type.of
    if element is None or element.name != "record":
        return False
    if isinstance(source, Root | Field):
        return True
    if isinstance(source, Comprehension):
        return _is_sure(source.element)
    if isinstance(source, Call):
        return source.function.name == "known" or (source.function.name == "unique" and _has_sure_elements(source.arguments[0]))
    return isinstance(source, ListOf) and all(_is_sure(term) for term in source.terms)


def _named(term: Term) -> str:
    """A term's type, for a message."""
    if isinstance(term, Literal):
        return f'"{term.value}"' if isinstance(term.value, str) else str(term.type)
    path = path_of(term)
    kind = f"a record ({term.type})" if term.type.name == "record" else str(term.type)
    return f"{path} ({kind})" if path else kind


_CHECKS: Mapping[type[ast.expr], Callable[[Checker, Any], Term | None]] = {
    ast.Name: Checker.name,
    ast.Attribute: Checker.attribute,
    ast.Subscript: Checker.subscript,
    ast.Constant: Checker.literal,
    ast.List: Checker.list_of,
    ast.BoolOp: Checker.logic,
    ast.UnaryOp: Checker.unary,
    ast.Compare: Checker.compare,
    ast.BinOp: Checker.arithmetic,
    ast.IfExp: Checker.choice,
    ast.ListComp: Checker.comprehension,
    ast.GeneratorExp: Checker.stray_generator,
    ast.Call: Checker.call,
}
