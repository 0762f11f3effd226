"""The names an author can use at one spot, with their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo

from engine.facts.calendars import Calendar
from engine.facts.schema import Type, Vocabulary, list_of, record_of
from engine.language.tables.table import Table


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression is checked against.

    `names` are the roots of the environment (`order`, `rma`, `parcels`). `params` and `answers` are read as `params.x` and
    `answer.x`, and looked up in the mappings `env["params"]` and `env["answer"]`, where an absent one is missing. `codes` has a
    key for every parameter that can be mapped outwards, though its table may be empty. `guards` are paths known to exist,
    as text (`rma`, `order.returns`); see `engine.language.guards`. With `payload` every other
    name is a key of an untyped payload.
    `time_zone` is the one days are counted in, `calendars` those that working time can be counted by. `tables` are the decision
    tables by name (None for one that cannot be compiled) and `table_kinds` the records they are facts of; where such a record has
    a name, so has its table.
    """

    vocabulary: Vocabulary
    names: Mapping[str, Type] = field(default_factory=dict)
    params: Mapping[str, Type] = field(default_factory=dict)
    answers: Mapping[str, Type] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    guards: frozenset[str] = frozenset()
    payload: bool = False
    time_zone: tzinfo = UTC
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    tables: Mapping[str, Table | None] = field(default_factory=dict)
    table_kinds: Mapping[str, str] = field(default_factory=dict)

    def bound(self, name: str, kind: str) -> Scope:
        """The same with `name` bound to a record of `kind` that is there, as by `each`."""
        return replace(self, names={**self.names, name: record_of(kind)}, guards=self.guards | {name})

    def holder_of(self, table: str) -> str | None:
        """The name bound to the record a table is a fact of, if there is one."""
        wanted = record_of(self.table_kinds[table])
        held = [name for name, kind in self.names.items() if kind == wanted]
        return wanted.kind if wanted.kind in held else held[-1] if held else None

    def guarded(self, guards: frozenset[str]) -> Scope:
        """The same where `guards` are known to exist too."""
        return replace(self, guards=self.guards | guards)


def case_names(vocabulary: Vocabulary) -> dict[str, Type]:
    """The names every expression over a case can use: `order`, `case`, client-level records, and all plurals."""
    names = {name: record_of(name) for name in ("order", "case") if name in vocabulary}
    for kind in vocabulary.kinds.values():
        if kind.scope == "client":
            names[kind.name] = record_of(kind.name)
        if kind.plural:
            names[kind.plural] = list_of(record_of(kind.name))
    return names
