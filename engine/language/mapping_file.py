"""Reads `mappings/<connector>/*.yaml`: how payloads of one kind of event become records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from zoneinfo import ZoneInfo

from engine.facts.schema import ANY, TEXT, TIMESTAMP, FieldSpec, Keep, Kind, Type, Vocabulary, record_of
from engine.language.compiled import Expression
from engine.language.forms import MAPPED_FIELD, MAPPED_LIST, MAPPING
from engine.language.mapping import FieldMapping, ListMapping, Mapped, RecordMapping
from engine.language.node import Node
from engine.language.scope import Scope
from engine.language.written import expression_in
from engine.problems import Place, Problems, did_you_mean

_EVENT = Kind("event", "", {"about": FieldSpec("about", TEXT), "observed_at": FieldSpec("observed_at", TIMESTAMP)})
_FITTING: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text", "enum", "number"}),
    "number": frozenset({"number", "text"}),
    "boolean": frozenset({"boolean", "number"}),
    "money": frozenset({"money"}),
    "timestamp": frozenset({"timestamp", "text"}),
    "date": frozenset({"date", "text"}),
    "enum": frozenset({"text", "enum"}),
    "list": frozenset({"list"}),
}
_WORDS = frozenset({"text", "enum", "number", "boolean", "any"})


def payload_scope(vocabulary: Vocabulary) -> Scope:
    """What expressions of a mapping can use: every key of the payload, `payload` as a whole, and `event`."""
    names = {"payload": ANY, "event": record_of("event")}
    return Scope(replace(vocabulary, kinds={**vocabulary.kinds, "event": _EVENT}), names, payload=True)


def read_mapping(node: Node, connector: str, vocabulary: Vocabulary, problems: Problems) -> RecordMapping | None:
    """The mapping a file declares; None where it cannot be understood, with problems."""
    if not node.expect_form(problems, "a mapping", MAPPING):
        return None
    return _Reader(node, connector, vocabulary, problems).read()


def check_owners(mappings: Iterable[RecordMapping], problems: Problems) -> None:
    """A field that is no milestone belongs to one mapping, and a kind of event becomes a kind of record in one file."""
    owners: dict[tuple[str, str], RecordMapping] = {}
    seen: dict[tuple[str, str], RecordMapping] = {}
    for mapping in sorted(mappings, key=lambda each: each.place):
        twin = seen.setdefault((mapping.event, mapping.kind), mapping)
        if twin is not mapping:
            said = f"{mapping.event} is already mapped to {mapping.kind} at {twin.place}: put both into one file"
            problems.add(mapping.place, "duplicate-mapping", said)
            continue
        for each in mapping.fields:
            if each.keep is not None or (isinstance(each, ListMapping) and each.only_milestones):
                continue
            owner = owners.setdefault((mapping.kind, each.name), mapping)
            if owner is not mapping:
                said = (
                    f"{mapping.kind}.{each.name} belongs to the mapping of {owner.event} ({owner.place.file}): "
                    "only milestones, with keep, come from several"
                )
                problems.add(each.place, "field-owner", said)


@dataclass(frozen=True, slots=True)
class _Reader:
    node: Node
    connector: str
    vocabulary: Vocabulary
    problems: Problems

    def read(self) -> RecordMapping | None:
        kind = self._kind(self._node("to"), '"to"')
        event = self._event(self._node("from"))
        scope = payload_scope(self.vocabulary)
        key = self._key(self._node("key"), scope)
        fields = self._fields(self._node("fields"), kind, scope) if kind is not None else ()
        version = self._version(scope, fields)
        each = self._optional("each", scope)
        zone, pushed = self._zone(), self._flag("pushed")
        if kind is None or event is None or key is None:
            return None
        return RecordMapping(
            event=event,
            kind=kind.name,
            key_field=kind.key,
            key=key,
            version=version,
            fields=fields,
            place=self.node.place,
            links=self._links(scope),
            require=self._require(scope),
            each=each,
            zone=zone,
            pushed=pushed,
        )

    def _node(self, key: str) -> Node:
        return self.node.get(key) or self.node

    def _flag(self, key: str) -> bool:
        node = self.node.get(key)
        return node is not None and bool(node.expect_boolean(self.problems, f'"{key}"'))

    def _optional(self, key: str, scope: Scope) -> Expression | None:
        node = self.node.get(key)
        return None if node is None else expression_in(node, scope, self.problems, f'"{key}"')

    def _kind(self, node: Node, what: str) -> Kind | None:
        records = [k.name for k in self.vocabulary.kinds.values() if k.plural and not _computed(k)]
        name = node.expect_text(self.problems, what)
        if name is None or name in records:
            return None if name is None else self.vocabulary[name]
        if name in self.vocabulary and self.vocabulary[name].plural:
            said = f"{name} is worked out by the engine: no mapping writes it"
        else:
            said = f'{what}: there is no record "{name}"{did_you_mean(name, records)}'
        self.problems.add(node.place, "unknown-kind", said)
        return None

    def _event(self, node: Node) -> str | None:
        name = node.expect_text(self.problems, '"from"')
        if name is not None and not name.startswith(f"{self.connector}."):
            said = f'"from" is a kind of event of the connector this folder is named for, like {self.connector}.{name}'
            self.problems.add(node.place, "bad-name", said)
            return None
        return name

    def _key(self, node: Node, scope: Scope) -> Expression | Literal["about"] | None:
        if node.is_text and node.text == "about":
            return "about"
        return expression_in(node, scope, self.problems, '"key"')

    def _version(self, scope: Scope, fields: tuple[Mapped, ...]) -> Expression | Literal["observed_at", ""]:
        """Which of two payloads is the newer must not depend on which arrived first."""
        node, pushed = self.node.get("version"), self._flag("pushed")
        lasting = all(each.keep is not None or (isinstance(each, ListMapping) and each.only_milestones) for each in fields)
        if node is None:
            if not lasting:
                said = "a version tells which payload is the newer: name a field that moves with every change"
                also = "" if pushed else ", or observed_at for what we asked for"
                self.problems.add(self.node.place, "missing-version", f"{said}{also}")
            return ""
        if node.is_text and node.text == "observed_at":
            if pushed and not lasting:
                said = (
                    "observed_at says nothing of a pushed payload, which may be late or repeated: name a field of its own "
                    "that moves with every change, keep only milestones, or let the connector make it a hint to fetch"
                )
                self.problems.add(node.place, "pushed-version", said)
            return "observed_at" if not pushed else ""
        return expression_in(node, scope, self.problems, '"version"') or ""

    def _zone(self) -> ZoneInfo | None:
        node = self.node.get("zone")
        name = None if node is None else node.expect_text(self.problems, '"zone"')
        if node is None or name is None:
            return None
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            self.problems.add(node.place, "bad-value", f'"{name}" is not a time zone like Europe/London')
            return None

    def _links(self, scope: Scope) -> tuple[tuple[str, Expression], ...]:
        node = self.node.get("links")
        links: list[tuple[str, Expression]] = []
        if node is None or not node.expect_map(self.problems, '"links"'):
            return ()
        records = [k.name for k in self.vocabulary.kinds.values() if k.plural and k.scope == "case" and not _computed(k)]
        for name, place, inner in node.items():
            if name not in records:
                said = f'a link names a record; there is no "{name}"{did_you_mean(name, records)}'
                self.problems.add(place, "unknown-kind", said)
                continue
            source = expression_in(inner, scope, self.problems, f"the link to {name}")
            links.extend([(name, source)] if source is not None else [])
        return tuple(links)

    def _require(self, scope: Scope) -> tuple[Expression, ...]:
        node = self.node.get("require")
        if node is None or not node.expect_list(self.problems, '"require"'):
            return ()
        found = [expression_in(each, scope, self.problems, "what is required") for each in node.elements]
        return tuple(each for each in found if each is not None)

    def _fields(self, node: Node, kind: Kind, scope: Scope, depth: int = 0) -> tuple[Mapped, ...]:
        if not node.expect_map(self.problems, f"the fields of {kind.name}"):
            return ()
        mapped: list[Mapped] = []
        valid = [spec.name for spec in kind.fields.values() if not spec.computed]
        for name, place, inner in node.items():
            spec = kind.fields.get(name)
            if spec is None or spec.computed:
                why = "is worked out by the engine and cannot be mapped" if spec else "is no field"
                said = f"{kind.name}.{name} {why}{'' if spec else did_you_mean(name, valid)}"
                self.problems.add(place, "unknown-field", said)
            elif name == kind.key:
                self.problems.add(place, "duplicate-key", f"{kind.name}.{name} is the key: it is set by key")
            else:
                one = self._field(f"{kind.name}.{name}", place, inner, spec, scope, depth)
                mapped.extend([one] if one is not None else [])
        return tuple(mapped)

    def _field(self, what: str, place: Place, node: Node, spec: FieldSpec, scope: Scope, depth: int) -> Mapped | None:
        element = spec.type.of
        if element is not None and element.kind:
            return self._list(what, place, node, spec.name, self.vocabulary[element.kind], scope, depth)
        values: dict[str, Any] | None = None
        keep: Keep | None = None
        if node.kind == "map":
            if node.get("each") is not None:
                self.problems.add(node.key_place("each"), "type-mismatch", f"{what} is {spec.type}, no list of items")
                return None
            if not node.expect_form(self.problems, what, MAPPED_FIELD):
                return None
            values = self._values(what, node.get("values"), element or spec.type)
            keep = self._keep(what, node.get("keep"), spec.type, depth)
            source_node = node.get("from") or node.get("value")
            if source_node is None or (node.get("from") and node.get("value")):
                self.problems.add(node.place, "missing-key", f'{what} needs either "from" or "value"')
                return None
            node = source_node
        source = expression_in(node, scope, self.problems, what)
        if source is None or not self._fits(what, node, source.type, spec.type, translated=values is not None):
            return None
        return FieldMapping(spec.name, spec.type, source, place, values, keep)

    def _fits(self, what: str, node: Node, given: Type, wanted: Type, *, translated: bool) -> bool:
        """Whether a payload's value can be read as the field; most are of any type until they come."""
        if translated:
            fine = given.name in _WORDS or given.of is not None
        elif wanted.name == "money":
            fine = given.name == "money"
        else:
            fine = given.name in ("any", "none") or given.name in _FITTING.get(wanted.name, frozenset())
        if not fine:
            hint = ": write money(amount, currency)" if wanted.name == "money" else ""
            self.problems.add(node.place, "type-mismatch", f"{what} is {wanted}, which {given} cannot give{hint}")
        return fine

    def _values(self, what: str, node: Node | None, wanted: Type) -> dict[str, Any] | None:
        if node is None or not node.expect_map(self.problems, f"the values of {what}"):
            return None
        found: dict[str, Any] = {}
        for theirs, _, ours in node.items():
            match wanted.name:
                case "enum":
                    found[theirs] = ours.expect_one_of(self.problems, what, wanted.values)
                case "boolean":
                    found[theirs] = ours.expect_boolean(self.problems, what)
                case "text":
                    found[theirs] = ours.expect_text(self.problems, what)
                case _:
                    self.problems.add(node.place, "type-mismatch", f"{what} is {wanted}: only words have values")
                    return None
        return found

    def _keep(self, what: str, node: Node | None, of: Type, depth: int) -> Keep | None:
        if node is None:
            return None
        word = node.expect_one_of(self.problems, f'"keep" of {what}', ("earliest", "ever"))
        fitting: dict[str, Keep] = {"timestamp": "earliest", "boolean": "ever"}
        if word is not None and fitting.get(of.name) != word:
            said = f'{what} is {of}: a timestamp is kept "earliest", a boolean "ever"'
            self.problems.add(node.place, "bad-keep", said)
        elif depth > 1:
            self.problems.add(node.place, "bad-keep", f"{what} stands two lists deep, where nothing can be kept")
        return fitting.get(of.name)

    def _list(self, what: str, place: Place, node: Node, name: str, kind: Kind, scope: Scope, depth: int) -> ListMapping | None:
        if not node.expect_form(self.problems, f"{what}, a list of {kind.name},", MAPPED_LIST):
            return None
        each, key, fields, kept = node.get("each"), node.get("key"), node.get("fields"), node.get("keep")
        if each is None or key is None or fields is None:
            return None
        items = expression_in(each, scope, self.problems, f"each of {what}")
        identity = expression_in(key, scope, self.problems, f"the key of {what}")
        inner = self._fields(fields, kind, scope, depth + 1)
        keep: Keep | None = None
        if kept is not None and kept.expect_one_of(self.problems, f'"keep" of {what}', ("ever",)) is not None:
            keep = "ever"
            if depth:
                self.problems.add(kept.place, "bad-keep", f"{what} stands in a list itself: only a record keeps its items")
            elif any(one.keep is not None for one in inner):
                self.problems.add(kept.place, "bad-keep", f"{what} keeps its items: their fields need no keep")
        if items is None or identity is None:
            return None
        if items.type.name != "any" and items.type.of is None:
            said = f"each of {what} must be a list, not {items.type}"
            self.problems.add(each.place, "type-mismatch", said)
            return None
        return ListMapping(name, items, identity, kind.key, inner, place, keep)


def _computed(kind: Kind) -> bool:
    return bool(kind.fields) and all(spec.computed for spec in kind.fields.values())
