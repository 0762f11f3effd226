"""The vocabulary of facts: kinds of records, their fields, types and relations, as declared in `mappings/facts.yaml`.

This module holds the declarations only; `engine.language.vocabulary` reads the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.facts.values import Items

Keep = Literal["earliest", "ever"]


@dataclass(frozen=True, slots=True)
class Type:
    """A static type. `of` is the element of a list, `kind` the record kind, `values` the members of an enum."""

    name: str
    of: Type | None = None
    kind: str = ""
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.name == "list":
            return f"list of {self.of}"
        if self.name == "record":
            return self.kind
        return self.name


TEXT = Type("text")
NUMBER = Type("number")
MONEY = Type("money")
BOOLEAN = Type("boolean")
TIMESTAMP = Type("timestamp")
DATE = Type("date")
DURATION = Type("duration")  # elapsed
WORKING_DURATION = Type("working_duration")
PERIOD = Type("period")  # an elapsed or a working duration: only `add_working` counts it
CALENDAR = Type("calendar")  # one of the client's, by name
ANY = Type("any")  # payloads of mappings, before they are read into a field

SCALARS: Mapping[str, Type] = {t.name: t for t in (TEXT, NUMBER, MONEY, BOOLEAN, TIMESTAMP, DATE, DURATION)}
SETTINGS: Mapping[str, Type] = {**SCALARS, **{t.name: t for t in (WORKING_DURATION, PERIOD, CALENDAR)}}  # of params and tables


def enum_of(*values: str) -> Type:
    return Type("enum", values=tuple(values))


def list_of(element: Type) -> Type:
    return Type("list", of=element)


def record_of(kind: str) -> Type:
    return Type("record", kind=kind)


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field. `computed` fields are worked out by derivation and cannot be mapped.

    A list of items has type `list of record(kind)` where that kind has `scope == "item"`.
    """

    name: str
    type: Type
    doc: str = ""
    computed: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """Ties records of one case. With `keys`, a field of the owner holds the key (or keys) of the others: the relation is
    closed, with a stub for each key whose record has not come. With `back`, a field of the other side holds the owner's key:
    the relation is open, more may come.
    """

    name: str
    to: str
    keys: str = ""
    back: str = ""
    many: bool = False
    doc: str = ""

    @property
    def open(self) -> bool:
        return bool(self.back)


@dataclass(frozen=True, slots=True)
class Shape:
    """What building a record of a kind starts from: every name missing, or `empty` with its computed lists empty, and which
    mapped fields are lists of which kind of item ("" for plain values).
    """

    missing: Mapping[str, None]
    empty: Mapping[str, Any]
    lists: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record (`scope` case or client) or of list item (`scope` item).

    `key` is the field that tells one from another. `parent` names the field under which an item sees what holds it.
    `plural` is the name under which rules see all records of the kind in a case.
    """

    name: str
    key: str
    fields: Mapping[str, FieldSpec]
    relations: Mapping[str, Relation] = field(default_factory=dict)
    scope: Literal["case", "client", "item"] = "case"
    parent: str = ""
    plural: str = ""
    doc: str = ""
    shape: Shape = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = (*self.fields, *self.relations, *((self.parent,) if self.parent else ()))
        listed = [(f.name, f.computed, f.type.of.kind) for f in self.fields.values() if f.type.of is not None]
        missing = dict.fromkeys(names)
        empty = {**missing, **dict.fromkeys((name for name, computed, _ in listed if computed), Items())}
        lists = tuple((name, of) for name, computed, of in listed if not computed)
        object.__setattr__(self, "shape", Shape(missing, empty, lists))

    def type_of(self, name: str) -> Type | None:
        """The type of a field or relation, or None if there is none of that name."""
        if name in self.fields:
            return self.fields[name].type
        if name in self.relations:
            relation = self.relations[name]
            there = record_of(relation.to)
            return list_of(there) if relation.many else there
        return None


Way = tuple[bool, tuple[tuple[str, Any], ...]]  # whether a record has relations itself; its lists that hold some, and their ways
NO_WAY: Way = (False, ())


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All kinds by name; also by plural, where they have one, and which of them are the same for every case of a client. `ways`
    lead from a record of each kind to the relations in and below it.
    """

    kinds: Mapping[str, Kind]
    ways: Mapping[str, Way] = field(init=False, repr=False, compare=False)
    plurals: Mapping[str, str] = field(init=False, repr=False, compare=False)
    client: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ways: dict[str, Way] = {}
        for name in self.kinds:
            _find_way(self.kinds, name, ways)
        object.__setattr__(self, "ways", ways)
        object.__setattr__(self, "plurals", {k.plural: k.name for k in self.kinds.values() if k.plural})
        object.__setattr__(self, "client", tuple(k.name for k in self.kinds.values() if k.scope == "client"))

    def __getitem__(self, name: str) -> Kind:
        return self.kinds[name]

    def __contains__(self, name: str) -> bool:
        return name in self.kinds


def _find_way(kinds: Mapping[str, Kind], name: str, ways: dict[str, Way]) -> Way:
    if name not in ways:
        declared = kinds[name]
        ways[name] = bool(declared.relations), ()  # for a kind that lists itself
        below = ((of_list, _find_way(kinds, of, ways)) for of_list, of in declared.shape.lists if of in kinds)
        ways[name] = bool(declared.relations), tuple(step for step in below if step[1] != NO_WAY)
    return ways[name]
