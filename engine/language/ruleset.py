"""A compiled rule set: immutable and named by its content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from engine.facts.outside import Action
from engine.facts.schema import Vocabulary
from engine.language.batches import Cadence
from engine.language.compiled import DerivedFact, PromiseSpec, Rule
from engine.language.mapping import RecordMapping
from engine.language.readers import ReadersOf
from engine.language.tables.table import Table
from engine.language.unread import Unread


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything of one client. `hash` is over the meaning of its files, `rules` are sorted by id, `facts` by dependency.

    `tables` are the decision tables by name; their outputs are among the `facts`. `reading` lists for each fact (`rma.status`,
    or a bare kind) the rules that read it, straight or through derived facts; `readers` those that read it straight, found by
    value where they ask for one; `unread` tells of which records nothing does. `derived` are the derived facts by name.
    `renames` are the new ids of rules by their earlier ones. `mappings` are those of each kind of event; `mapping_hash` is over
    them and the words they write, "" where it is not known. Batches and days are in `time_zone`. `max_new_effects` is how many
    effects an activation may send by itself.
    """

    client: str
    hash: str
    vocabulary: Vocabulary
    precedence: tuple[str, ...]
    rules: tuple[Rule, ...]
    facts: tuple[DerivedFact, ...]
    params: Mapping[str, Any]
    actions: Mapping[str, Action]
    promises: tuple[PromiseSpec, ...]
    codes: Mapping[str, Mapping[str, str]]
    cadence: Mapping[str, Cadence]
    since: datetime | None
    mode: Literal["live", "shadow"]
    reading: Mapping[str, tuple[Rule, ...]] = field(default_factory=lambda: MappingProxyType({}))
    mappings: Mapping[str, tuple[RecordMapping, ...]] = field(default_factory=lambda: MappingProxyType({}))
    mapping_hash: str = ""
    tables: Mapping[str, Table] = field(default_factory=lambda: MappingProxyType({}))
    time_zone: str = "UTC"
    max_new_effects: int = 20
    readers: ReadersOf = field(init=False, repr=False, compare=False)
    unread: Unread = field(init=False, repr=False, compare=False)
    derived: Mapping[str, DerivedFact] = field(init=False, repr=False, compare=False)
    renames: Mapping[str, str] = field(init=False, repr=False, compare=False)
    _by_id: Mapping[str, Rule] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "readers", ReadersOf(self.rules, self.vocabulary))
        object.__setattr__(self, "unread", Unread(self.rules, self.facts, self.promises, self.vocabulary))
        object.__setattr__(self, "derived", MappingProxyType({f"{f.kind}.{f.name}": f for f in self.facts}))
        object.__setattr__(self, "renames", MappingProxyType({rule.was: rule.id for rule in self.rules if rule.was}))
        object.__setattr__(self, "_by_id", MappingProxyType({rule.id: rule for rule in self.rules}))

    def rule(self, rule_id: str) -> Rule | None:
        return self._by_id.get(rule_id)
