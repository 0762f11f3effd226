"""A table as facts: one field for each output, computed from the row that matches the record's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.facts.values import UNKNOWN, is_gap
from engine.language.compiled import DerivedFact, Env, Expression, Finding
from engine.language.operations import truth
from engine.language.show import show
from engine.language.tables.table import Decided, Output, Table, why_unsure


def facts_of(table: Table) -> tuple[DerivedFact, ...]:
    """The outputs of a table as derived facts of the kind that has its name."""
    return tuple(
        DerivedFact(table.id, output.name, table.type_of(output), _expression(table, n, output), table.doc, table.place)
        for n, output in enumerate(table.outputs)
    )


def _expression(table: Table, position: int, output: Output) -> Expression:
    reads = frozenset[str]().union(*(given.expression.reads for given in table.inputs))

    def value(env: Env) -> Any:
        decided: Decided = env[table.id]
        return decided.decided(env).values[position]

    def true(env: Env) -> bool:
        return truth(value(env)) is True

    def false(env: Env) -> bool:
        return truth(value(env)) is False

    def explain(env: Env) -> Finding:
        return explained(table, position, env)

    return Expression(f"{table.id}.{output.name}", table.place, table.type_of(output), reads, value, true, false, explain)


def explained(table: Table, position: int, env: Mapping[str, Any]) -> Finding:
    """The value of one output, the inputs with what they read, the rows it comes from, and what to blame where it is unknown."""
    table = table.under(env.get("params") or {})
    findings = [given.expression.explain(env) for given in table.inputs]
    inputs = tuple(finding.value for finding in findings)
    found = table.outcome(inputs)
    value = found.values[position]
    decided = Decided(table, "", None)
    decided.inputs, decided.outcome = inputs, found
    lacking, reason = why_unsure(table, inputs, found)
    blame = dict.fromkeys(fact for n in lacking for fact in findings[n].blame) if is_gap(value) or _is_doubtful(value) else {}
    values: dict[str, str] = {}
    for finding in findings:
        values.update(finding.values)
    values[f"{table.id}.{table.outputs[position].name}"] = f"{show(value)} {decided.origin()}"
    outcome = truth(value)
    return Finding(None if outcome is UNKNOWN else outcome, value, tuple(blame), tuple(values.items()), reason)


def _is_doubtful(value: Any) -> bool:
    return bool(getattr(value, "unsure", ()))
