"""Reads `mappings/facts.yaml`: the records, items, fields and relations rules can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from engine.facts.schema import (
    BOOLEAN,
    TEXT,
    TIMESTAMP,
    FieldSpec,
    Kind,
    Relation,
    Type,
    Vocabulary,
    list_of,
    record_of,
)
from engine.language.forms import FIELD, ITEM, RECORD, RELATION, TYPE_FORMS, VOCABULARY
from engine.language.node import Node
from engine.language.types import read_type
from engine.problems import Place, Problems, did_you_mean

Scope = Literal["case", "client", "item"]

CASE = Kind(
    name="case",
    key="id",
    fields={
        "id": FieldSpec("id", TEXT, "The case's own id", computed=True),
        "anchored": FieldSpec("anchored", BOOLEAN, "Whether its order is known", computed=True),
        "out_of_scope": FieldSpec(
            "out_of_scope", BOOLEAN, "Whether its sale is known not to be of the marketplace", computed=True
        ),
        "opened_at": FieldSpec("opened_at", TIMESTAMP, "When its first record was seen", computed=True),
    },
    doc="The case itself.",
)
SEEN_AT = FieldSpec("seen_at", TIMESTAMP, "When it was first seen", computed=True)


def read_vocabulary(node: Node, problems: Problems) -> Vocabulary:
    """The vocabulary a file declares. What is at fault goes to `problems` and is left out.

    Added to what the file says: the kind `case`, `seen_at` of every record that comes from outside, and in every item kind
    with a `parent` a field of that name, the record or item it stands in.
    """
    if not node.expect_form(problems, "the vocabulary", VOCABULARY):
        return Vocabulary({CASE.name: CASE})
    declared: dict[str, tuple[Node, bool]] = {CASE.name: (node, False)}
    for section in ("records", "items"):
        inner = node.get(section)
        if inner is None or not inner.expect_map(problems, f'"{section}"'):
            continue
        for name, place, kind in inner.items():
            if name in declared:
                problems.add(place, "duplicate-kind", f'the kind "{name}" is declared twice')
            elif not name.isidentifier():
                problems.add(place, "bad-name", f'"{name}" cannot be the name of a kind')
            else:
                declared[name] = (kind, section == "items")
    kinds = {CASE.name: CASE}
    for name, (kind_node, is_item) in declared.items():
        if name != CASE.name:
            kinds[name] = _Reader(name, kind_node, dict.fromkeys(declared), problems).read(is_item=is_item)
    _check_plurals(kinds, declared, problems)
    _check_relations(kinds, declared, problems)
    return Vocabulary(_with_parents(kinds, declared, problems))


def with_field(vocabulary: Vocabulary, kind: str, spec: FieldSpec) -> Vocabulary:
    """The same vocabulary with one more field of `kind`, such as a derived fact."""
    old = vocabulary[kind]
    return Vocabulary({**vocabulary.kinds, kind: replace(old, fields={**old.fields, spec.name: spec})})


class _Reader:
    """Reads one kind."""

    def __init__(self, name: str, node: Node, kinds: Mapping[str, None], problems: Problems) -> None:
        self.name = name
        self.node = node
        self.kinds = kinds
        self.problems = problems

    def read(self, *, is_item: bool) -> Kind:
        self.node.expect_form(self.problems, f'the kind "{self.name}"', ITEM if is_item else RECORD)
        fields = self._fields()
        key = self._word("key")
        if key and fields and key not in fields:
            said = f'the key of "{self.name}" must be one of its fields, not "{key}"{did_you_mean(key, fields)}'
            self.problems.add(self._place("key"), "unknown-field", said)
        computed = self._flag(self.node, "computed")
        scope: Scope = "item" if is_item else self._scope()
        if scope != "item" and not computed:
            fields.setdefault(SEEN_AT.name, SEEN_AT)
        return Kind(
            self.name,
            key,
            fields,
            self._relations(fields),
            scope,
            self._word("parent"),
            self._word("plural"),
            self._word("doc"),
        )

    def _place_node(self, key: str) -> Node:
        return self.node.get(key) or self.node

    def _place(self, key: str) -> Place:
        return self._place_node(key).place

    def _word(self, key: str) -> str:
        node = self.node.get(key)
        return "" if node is None else node.expect_text(self.problems, f'"{key}" of "{self.name}"') or ""

    def _flag(self, node: Node, key: str) -> bool:
        flag = node.get(key)
        return flag is not None and bool(flag.expect_boolean(self.problems, f'"{key}"'))

    def _scope(self) -> Scope:
        node = self.node.get("scope")
        word = None if node is None else node.expect_one_of(self.problems, f'"scope" of "{self.name}"', ("case", "client"))
        return "client" if word == "client" else "case"

    def _fields(self) -> dict[str, FieldSpec]:
        node = self.node.get("fields")
        fields: dict[str, FieldSpec] = {}
        if node is None or not node.expect_map(self.problems, f'the fields of "{self.name}"'):
            return fields
        for name, place, spec in node.items():
            what = f"{self.name}.{name}"
            if not name.isidentifier() or name.startswith("__"):
                self.problems.add(place, "bad-name", f'"{name}" cannot be the name of a field')
                continue
            if not spec.expect_form(self.problems, what, FIELD):
                continue
            kind = self._type(spec, what)
            if kind is not None:
                doc = spec.get("doc")
                said = "" if doc is None else doc.expect_text(self.problems, f"the doc of {what}") or ""
                fields[name] = FieldSpec(name, kind, said, self._flag(spec, "computed"))
        return fields

    def _type(self, spec: Node, what: str) -> Type | None:
        forms = [entry for entry in spec.entries if entry.key in TYPE_FORMS]
        if len(forms) != 1:
            self.problems.add(spec.place, "unknown-type", f"{what} needs exactly one of: {', '.join(TYPE_FORMS)}")
            return None
        form = forms[0]
        if form.key == "type":
            return read_type(form.node, self.kinds, self.problems, what)
        return read_type(Node("map", spec.place, entries=(form,)), self.kinds, self.problems, what)

    def _relations(self, fields: Mapping[str, FieldSpec]) -> dict[str, Relation]:
        node = self.node.get("relations")
        relations: dict[str, Relation] = {}
        if node is None or not node.expect_map(self.problems, f'the relations of "{self.name}"'):
            return relations
        for name, place, spec in node.items():
            what = f"{self.name}.{name}"
            if not spec.expect_form(self.problems, what, RELATION):
                continue
            words = {k: n.expect_text(self.problems, f'"{k}" of {what}') or "" for k, _, n in spec.items() if k != "many"}
            keys, back = words.get("keys", ""), words.get("back", "")
            if name in fields:
                self.problems.add(place, "duplicate-field", f"{what} is declared as a field too")
            elif bool(keys) == bool(back):
                self.problems.add(place, "bad-relation", f'{what} needs either "keys" or "back"')
            else:
                many = self._flag(spec, "many")
                relations[name] = Relation(name, words.get("to", ""), keys, back, many, words.get("doc", ""))
        return relations


def _check_plurals(kinds: Mapping[str, Kind], declared: Mapping[str, tuple[Node, bool]], problems: Problems) -> None:
    taken: dict[str, str] = dict.fromkeys(kinds, "a kind")
    for kind in kinds.values():
        if not kind.plural:
            continue
        if kind.plural in taken:
            place = declared[kind.name][0].key_place("plural")
            problems.add(place, "duplicate-kind", f'the plural "{kind.plural}" is already {taken[kind.plural]}')
        taken[kind.plural] = f'the plural of "{kind.name}"'


def _check_relations(kinds: Mapping[str, Kind], declared: Mapping[str, tuple[Node, bool]], problems: Problems) -> None:
    for kind in kinds.values():
        for relation in kind.relations.values():
            node = (declared[kind.name][0].get("relations") or declared[kind.name][0]).get(relation.name)
            what = f"{kind.name}.{relation.name}"
            if node is None:
                continue
            there = kinds.get(relation.to)
            if there is None or there.scope == "item":
                records = [k.name for k in kinds.values() if k.scope != "item"]
                said = f'{what}: there is no record kind "{relation.to}"{did_you_mean(relation.to, records)}'
                problems.add((node.get("to") or node).place, "unknown-kind", said)
                continue
            side, owner = (relation.back, there) if relation.open else (relation.keys, kind)
            held = owner.fields.get(side)
            place = (node.get("back" if relation.open else "keys") or node).place
            if held is None:
                said = f'{what}: "{owner.name}" has no field "{side}"{did_you_mean(side, owner.fields)}'
                problems.add(place, "unknown-field", said)
            elif held.type not in (TEXT, list_of(TEXT)):
                problems.add(
                    place, "type-mismatch", f"{what}: {owner.name}.{side} is {held.type}; keys are text or a list of text"
                )


def _with_parents(kinds: Mapping[str, Kind], declared: Mapping[str, tuple[Node, bool]], problems: Problems) -> dict[str, Kind]:
    """Each item kind with a `parent` gets a field of that name, of the one kind that holds it."""
    finished = dict(kinds)
    for kind in kinds.values():
        if not kind.parent:
            continue
        place = declared[kind.name][0].key_place("parent")
        holders = [holder.name for holder in kinds.values() if _holds(holder, kind.name)]
        if len(holders) != 1:
            found = ", ".join(holders) or "none"
            said = f'"{kind.name}" has a parent, so exactly one kind must list it: {found}'
            problems.add(place, "bad-parent", said)
        elif kind.type_of(kind.parent) is not None:
            problems.add(place, "duplicate-field", f"{kind.name}.{kind.parent} is declared as a field too")
        else:
            spec = FieldSpec(kind.parent, record_of(holders[0]), f"The {holders[0]} it stands in", computed=True)
            finished[kind.name] = replace(kind, fields={**kind.fields, spec.name: spec})
    return finished


def _holds(holder: Kind, item: str) -> bool:
    wanted = list_of(record_of(item))
    return any(spec.type == wanted and not spec.computed for spec in holder.fields.values())
