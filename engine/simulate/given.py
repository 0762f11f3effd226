"""What a scenario says is known: records with their fields, as YAML, read against the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from engine.facts.codec import timestamp
from engine.facts.schema import FieldSpec, Kind, Type, Vocabulary
from engine.facts.values import Unreadable
from engine.language.durations import parse_duration
from engine.language.node import Node
from engine.language.params import read_setting
from engine.problems import Place, Problems, did_you_mean

SEEN_AT = "seen_at"


@dataclass(frozen=True, slots=True)
class Instants:
    """How instants are written: `start`, `now`, `+2h` and `-3d` from the start, or ISO 8601 with its zone."""

    start: datetime
    now: datetime

    def read(self, text: str) -> datetime:
        """Raises ValueError with a sentence for the author."""
        text = text.strip()
        if text == "start":
            return self.start
        if text == "now":
            return self.now
        if text[:1] in {"+", "-"}:
            length = parse_duration(text[1:])
            return self.start + length if text[0] == "+" else self.start - length
        try:
            return timestamp(text)
        except ValueError as fault:
            raise ValueError(f"{fault}; or from the start of the scenario, as +2h or -3d") from None


@dataclass(frozen=True, slots=True)
class ItemChanges:
    """Changes to the items of a list, by key: new or changed fields, or None for an item that is gone."""

    items: Mapping[str, Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class RecordChange:
    """What becomes known of one record: the fields that are new or changed."""

    kind: str
    key: str
    fields: Mapping[str, Any]
    place: Place
    seen_at: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.kind} {self.key}"


def record_kinds(vocabulary: Vocabulary) -> tuple[str, ...]:
    """The kinds of records a scenario can show."""
    return tuple(k.name for k in vocabulary.kinds.values() if k.scope != "item" and k.key and not _computed(k))


def _computed(kind: Kind) -> bool:
    return all(spec.computed for spec in kind.fields.values())


class Reader:
    """Reads records and values, collecting problems."""

    def __init__(self, vocabulary: Vocabulary, instants: Instants, problems: Problems) -> None:
        self.vocabulary = vocabulary
        self.instants = instants
        self.problems = problems

    def record(self, heading: str, place: Place, node: Node) -> RecordChange | None:
        """`rma 1001: {status: approved}`."""
        found = self.heading(heading, place)
        if found is None or not node.expect_map(self.problems, heading):
            return None
        kind, key = found
        seen = node.get(SEEN_AT)
        fields = self.fields(kind, node)
        key_field = self.vocabulary[kind].key
        if fields.setdefault(key_field, key) != key:
            said = f'{kind}.{key_field} is "{key}" by its heading; leave it out'
            self.problems.add((node.get(key_field) or node).place, "bad-value", said)
        return RecordChange(kind, key, fields, place, None if seen is None else self.instant(seen, SEEN_AT))

    def heading(self, heading: str, place: Place) -> tuple[str, str] | None:
        """Kind and key of `rma 1001`."""
        kind, _, key = heading.strip().partition(" ")
        kinds = record_kinds(self.vocabulary)
        if kind not in kinds:
            said = f'there is no kind of record "{kind}"{did_you_mean(kind, kinds)}'
            self.problems.add(place, "unknown-kind", said)
            return None
        if not key.strip():
            self.problems.add(place, "missing-key", f"say which {kind}: its {self.vocabulary[kind].key}, as in {kind} 1001")
            return None
        return kind, key.strip()

    def fields(self, kind: str, node: Node) -> dict[str, Any]:
        """The fields of a record or item; what is written as nothing (`~`) is missing."""
        found: dict[str, Any] = {}
        for name, place, below in node.items():
            if name == SEEN_AT and self.vocabulary[kind].scope != "item":
                continue
            spec = self._spec(kind, name, place)
            if spec is not None:
                value = self._value(f"{kind}.{name}", spec.type, below)
                if value is not _BAD:
                    found[name] = value
        return found

    def _spec(self, kind: str, name: str, place: Place) -> FieldSpec | None:
        declared = self.vocabulary[kind]
        spec = declared.fields.get(name)
        if spec is None:
            names = [f.name for f in declared.fields.values() if not f.computed]
            self.problems.add(place, "unknown-field", f"{kind} has no field {name}{did_you_mean(name, names)}")
        elif spec.computed:
            said = f"{kind}.{name} is worked out from other facts: give those instead"
            self.problems.add(place, "computed-field", said)
            return None
        return spec

    def _value(self, what: str, wanted: Type, node: Node) -> Any:
        if node.is_null:
            return None
        if node.kind == "map" and [key for key, _, _ in node.items()] == ["unreadable"]:
            raw = node.entries[0].node
            return Unreadable(raw.text) if raw.kind == "scalar" else self._wrong(raw, what, "text that could not be read")
        if wanted.name == "list" and wanted.of is not None:
            return self._list(what, wanted.of, node)
        return self.scalar(what, wanted, node)

    def scalar(self, what: str, wanted: Type, node: Node) -> Any:
        """One value of a declared type, or `_BAD` with a problem."""
        match wanted.name:
            case "text" if node.kind == "scalar":
                return node.text
            case "timestamp":
                found = self.instant(node, what)
                return _BAD if found is None else found
            case "date" if node.is_text:
                try:
                    return date.fromisoformat(node.text)
                except ValueError:
                    return self._wrong(node, what, "a date like 2026-11-01")
            case "money" if node.kind == "map":
                return self._amount(what, wanted, node)
        before = len(self.problems)
        value = read_setting(node, wanted, self.problems, what)
        return _BAD if len(self.problems) > before else value

    def _amount(self, what: str, wanted: Type, node: Node) -> Any:
        """Money as JSON has it: an amount and a currency."""
        amount, currency = node.get("amount"), node.get("currency")
        if amount is None or currency is None or len(node.entries) != 2:
            return self._wrong(node, what, "money like 12.50 EUR")
        text = f"{amount.text} {currency.text}"
        return read_setting(Node("scalar", node.place, text, text), wanted, self.problems, what)

    def instant(self, node: Node, what: str) -> datetime | None:
        if node.kind == "scalar" and not node.is_null:
            try:
                return self.instants.read(node.text)
            except ValueError as fault:
                self.problems.add(node.place, "bad-value", f"{what}: {fault}")
                return None
        self._wrong(node, what, "an instant like +2h or 2026-11-01T09:30:00Z")
        return None

    def _wrong(self, node: Node, what: str, wanted: str) -> Any:
        self.problems.add(node.place, "wrong-shape", f"{what} must be {wanted}, not {node.described()}")
        return _BAD

    def _list(self, what: str, element: Type, node: Node) -> Any:
        if element.name != "record":
            if node.kind != "list":
                return self._wrong(node, what, "a list")
            read = [self.scalar(f"an element of {what}", element, each) for each in node.elements]
            return tuple(value for value in read if value is not _BAD)
        if node.kind == "map":
            return ItemChanges({key: self._item(element.kind, key, below) for key, _, below in node.items()})
        if node.kind != "list":
            return self._wrong(node, what, f"its items by {self.vocabulary[element.kind].key}, or a list of them")
        return ItemsGiven(tuple(self._listed(element.kind, what, each) for each in node.elements))

    def _item(self, kind: str, key: str, node: Node) -> Mapping[str, Any] | None:
        if node.is_null:
            return None
        if not node.expect_map(self.problems, f"{kind} {key}"):
            return {}
        return {self.vocabulary[kind].key: key, **self.fields(kind, node)}

    def _listed(self, kind: str, what: str, node: Node) -> Mapping[str, Any]:
        key = self.vocabulary[kind].key
        if not node.expect_map(self.problems, f"an item of {what}"):
            return {}
        if node.get(key) is None:
            self.problems.add(node.place, "missing-key", f"an item of {what} needs its {key}")
        return self.fields(kind, node)


class _Bad:
    """Stands for a value that could not be read; a problem says why."""


_BAD = _Bad()


@dataclass(frozen=True, slots=True)
class ItemsGiven:
    """A list given whole, in place of what was there."""

    items: tuple[Mapping[str, Any], ...]


def applied(vocabulary: Vocabulary, kind: str, known: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record or item after a change: plain canonical values, lists as tuples of items."""
    fields = dict(known)
    for name, value in change.items():
        if isinstance(value, ItemChanges | ItemsGiven):
            element = vocabulary[kind].fields[name].type.of
            of = "" if element is None else element.kind
            fields[name] = tuple(_items(vocabulary, of, fields.get(name) or (), value))
        else:
            fields[name] = value
    return fields


def _items(
    vocabulary: Vocabulary, kind: str, known: tuple[Mapping[str, Any], ...], value: ItemChanges | ItemsGiven
) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, ItemsGiven):
        yield from (applied(vocabulary, kind, {}, item) for item in value.items)
        return
    key = vocabulary[kind].key
    changes = dict(value.items)
    for item in known:
        if item[key] not in changes:
            yield item
            continue
        change = changes.pop(item[key])
        if change is not None:
            yield applied(vocabulary, kind, item, change)
    yield from (applied(vocabulary, kind, {}, change) for change in changes.values() if change is not None)
