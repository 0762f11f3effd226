"""Mappings at work: what one event says about one record. `engine.language.mapping_file` reads them from YAML."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from engine.facts.codec import describe, loads
from engine.facts.outside import Event
from engine.facts.record import Observation
from engine.facts.schema import Keep, Type
from engine.facts.values import Gap, Items, Rec, Unknown
from engine.language.compiled import Env, Expression
from engine.language.reading import Misfit, Values, read_key, read_keys, read_value, read_version, version_of
from engine.problems import Place

LARGEST_PAYLOAD = 10_000_000  # bytes; the largest answers seen have some hundred thousand
DEEPEST_PAYLOAD = 64
_OPENERS = (b"[", b"{")


@dataclass(frozen=True, slots=True)
class SetAside:
    """An event that could not be mapped: kept, with the reason, never dropped. `path` is the field at fault."""

    reason: str
    place: Place
    path: str = ""


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """One field and the expression it comes from. With `keep` it is a milestone."""

    name: str
    type: Type
    source: Expression
    place: Place
    values: Values | None = None
    keep: Keep | None = None


@dataclass(frozen=True, slots=True)
class ListMapping:
    """A list of items told apart by their key. With `keep` an item once seen stays."""

    name: str
    items: Expression
    key: Expression
    key_field: str
    fields: tuple[FieldMapping | ListMapping, ...]
    place: Place
    keep: Keep | None = None

    @property
    def only_milestones(self) -> bool:
        """Whether all it brings is kept fields of items that another mapping lists."""
        return bool(self.fields) and all(each.keep is not None for each in self.fields)


Mapped = FieldMapping | ListMapping
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class RecordMapping:
    """How payloads of one kind of event become records of one kind.

    `key` and `version` are an expression, or what the event itself says: `about`, `observed_at`; a version is "" where
    there are only milestones. With `each`, the payload holds many records.
    """

    event: str
    kind: str
    key_field: str
    key: Expression | Literal["about"]
    version: Expression | Literal["observed_at", ""]
    fields: tuple[Mapped, ...]
    place: Place
    links: tuple[tuple[str, Expression], ...] = ()
    require: tuple[Expression, ...] = ()
    each: Expression | None = None
    zone: ZoneInfo | None = None
    pushed: bool = False

    @property
    def tells_time(self) -> bool:
        """Whether an expression reads when the payload was seen, so that the same payload can say another thing later."""
        sources = [self.key, self.version, self.each, *(source for _, source in self.links), *self.require]
        sources += [source for each in self.fields for source in _sources(each)]
        return any(isinstance(source, Expression) and "observed_at" in source.text for source in sources)

    def observe(self, event: Event) -> list[Observation] | SetAside:
        """What the event says. Never raises, whatever the payload holds."""
        try:
            return self.read(event, read_payload(event))
        except Misfit as misfit:
            return SetAside(str(misfit), self.place, misfit.path)

    def read(self, event: Event, payload: Any) -> list[Observation]:
        """The same of a payload already parsed. Raises `Misfit`."""
        if self.version == "observed_at" and not event.requested:
            raise Misfit("it was pushed, and when it was seen does not tell which state is the newer one")
        outer = _envelope(event, payload)
        env = {**payload, **outer} if isinstance(payload, dict) else outer
        if self.each is None:
            return [self._record(event, env)]
        found: list[Observation] = []
        for number, item in enumerate(_items(self.each, env)):
            try:
                found.append(self._record(event, {**item, **outer}))
            except Misfit as misfit:
                raise misfit.below(f"{self.each.text}[{number}]") from None
        return found

    def _record(self, event: Event, env: Env) -> Observation:
        key = read_key(event.about) if self.key == "about" else _at("key", read_key, evaluate(self.key, env))
        if key is None:
            raise Misfit(f"the key is missing ({'about' if self.key == 'about' else self.key.text})", self.key_field)
        for wanted in self.require:
            if _absent(evaluate(wanted, env)):
                raise Misfit("is required and missing", wanted.text)
        fields, milestones = self._fields(env)
        fields[self.key_field] = key
        return Observation(
            mapping=self.event,
            kind=self.kind,
            key=key,
            version=self._version(event, env),
            digest=hashlib.sha256(event.payload).hexdigest()[:32],
            observed_at=event.observed_at,
            fields=fields,
            milestones=milestones,
            keeps=_keeps(self.fields),
            item_keys={each.name: each.key_field for each in self.fields if isinstance(each, ListMapping)},
            links=frozenset(self._links(env)),
        )

    def _version(self, event: Event, env: Env) -> str:
        if self.version == "":
            return ""
        if self.version == "observed_at":
            return version_of(event.observed_at)
        return _at("version", lambda value: read_version(value, self.zone), evaluate(self.version, env))

    def _fields(self, env: Env) -> tuple[dict[str, Any], dict[str, Any]]:
        fields: dict[str, Any] = {}
        milestones: dict[str, Any] = {}
        for each in self.fields:
            if isinstance(each, FieldMapping):
                (milestones if each.keep else fields)[each.name] = _field(each, env, self.zone)
                continue
            items = _list(each, env, self.zone)
            if items is None or each.keep is not None:
                (milestones if each.keep else fields)[each.name] = items
                continue
            if not each.only_milestones:
                fields[each.name] = tuple(plain for plain, _ in _split(each, items))
            kept = {plain[each.key_field]: kept for plain, kept in _split(each, items) if kept}
            if kept:
                milestones[each.name] = kept
        return _known(fields), _known(milestones)

    def _links(self, env: Env) -> Iterator[tuple[str, str]]:
        for kind, source in self.links:
            for key in _at(f"links.{kind}", read_keys, evaluate(source, env)):
                yield kind, key


Reading = tuple[list[Observation], list[SetAside]]


def observe(mappings: Sequence[RecordMapping], event: Event) -> Reading:
    """What all mappings of its kind make of an event. A payload without a mapping is set aside too."""
    observed: list[Observation] = []
    aside: list[SetAside] = []
    if not mappings:
        aside.append(SetAside(f"no mapping reads {event.kind}", Place(f"mappings/{event.connector}")))
    for mapping in mappings:
        found = mapping.observe(event)
        if isinstance(found, SetAside):
            aside.append(found)
        else:
            observed.extend(found)
    return observed, aside


def milestones(mappings: Mapping[str, Sequence[RecordMapping]], kind: str) -> tuple[str, ...]:
    """The fields of records of a kind that some mapping, of those by event, keeps: times and booleans that once told stay."""
    fields = (each for found in mappings.values() for one in found if one.kind == kind for each in one.fields)
    return tuple(sorted({each.name for each in fields if isinstance(each, FieldMapping) and each.keep}))


class Reader:
    """Observes, and remembers the last payloads: most polls bring what is known, seen once more."""

    def __init__(self, size: int = 1000) -> None:
        self._size = size
        self._known: OrderedDict[tuple[str, str, bool, bytes], tuple[Sequence[RecordMapping], Reading]] = OrderedDict()
        self._steady: dict[str, tuple[Sequence[RecordMapping], bool]] = {}

    def observe(self, mappings: Sequence[RecordMapping], event: Event) -> Reading:
        """What `observe` finds."""
        if not self._is_steady(event.kind, mappings):
            return observe(mappings, event)
        key = (event.kind, event.about, event.requested, event.payload)
        known = self._known.get(key)
        if known is None or known[0] is not mappings:
            known = self._known[key] = (mappings, observe(mappings, event))
            if len(self._known) > self._size:
                self._known.popitem(last=False)
            return known[1]
        self._known.move_to_end(key)
        observed, aside = known[1]
        moved = {mapping.event: mapping.version == "observed_at" for mapping in mappings}
        return [_seen_at(one, event.observed_at, moved=moved[one.mapping]) for one in observed], aside

    def _is_steady(self, kind: str, mappings: Sequence[RecordMapping]) -> bool:
        """Whether the same payload always says the same."""
        known = self._steady.get(kind)
        if known is None or known[0] is not mappings:
            known = self._steady[kind] = (mappings, not any(mapping.tells_time for mapping in mappings))
        return known[1]


def _seen_at(one: Observation, at: datetime, *, moved: bool) -> Observation:
    return replace(one, observed_at=at, version=version_of(at) if moved else one.version)


def read_payload(event: Event) -> Any:
    """The payload's JSON with exact numbers. Raises `Misfit` for anything that is no JSON object or list we can keep."""
    if len(event.payload) > LARGEST_PAYLOAD:
        raise Misfit(f"the payload has {len(event.payload)} bytes; at most {LARGEST_PAYLOAD} are read")
    try:
        payload = loads(event.payload)
    except ValueError as error:
        raise Misfit(f"the payload is not JSON: {error}") from None
    if not isinstance(payload, dict | list):
        raise Misfit(f"the payload is {describe(payload)}, not an object")
    if sum(event.payload.count(opener) for opener in _OPENERS) > DEEPEST_PAYLOAD and _too_deep(payload):
        raise Misfit(f"the payload is nested more than {DEEPEST_PAYLOAD} deep")
    return payload


def evaluate(source: Expression, env: Env) -> Any:
    """The value of a payload expression. Raises `Misfit` where it cannot be computed from what is there."""
    value = source.value(env)
    if isinstance(value, Unknown):
        finding = source.explain(env)
        if finding.reason:
            raise Misfit(finding.reason)
    return value


def _envelope(event: Event, payload: Any) -> dict[str, Any]:
    told = {"about": event.about, "observed_at": event.observed_at}
    return {"payload": payload, "event": Rec("event", "", told)}


def _too_deep(payload: Any) -> bool:
    level: list[Any] = [payload]
    for _ in range(DEEPEST_PAYLOAD):
        level = [below for each in level for below in _below(each)]
        if not level:
            return False
    return True


def _below(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _field(mapped: FieldMapping, env: Env, zone: ZoneInfo | None) -> Any:
    def read(value: Any) -> Any:
        return read_value(value, mapped.type, values=mapped.values, zone=zone)

    try:
        return read(evaluate(mapped.source, env))
    except Misfit as misfit:
        raise misfit.below(mapped.name) from None


def _list(mapped: ListMapping, env: Env, zone: ZoneInfo | None) -> tuple[dict[str, Any], ...] | None:
    try:
        found = evaluate(mapped.items, env)
        if _absent(found):
            return None
        items: list[dict[str, Any]] = []
        seen: set[str] = set()
        outer = {name: env[name] for name in ("payload", "event")}
        for number, item in enumerate(_each_of(found)):
            try:
                items.append(_item(mapped, {**item, **outer}, zone, seen))
            except Misfit as misfit:
                raise misfit.below(f"[{number}]") from None
    except Misfit as misfit:
        raise misfit.below(mapped.name) from None
    return tuple(items)


def _item(mapped: ListMapping, env: Env, zone: ZoneInfo | None, seen: set[str]) -> dict[str, Any]:
    key = _at("key", read_key, evaluate(mapped.key, env))
    if key is None:
        raise Misfit(f"the key of the item is missing ({mapped.key.text})", mapped.key_field)
    if key in seen:
        raise Misfit(f'the key "{key}" is there twice', mapped.key_field)
    seen.add(key)
    item: dict[str, Any] = {mapped.key_field: key}
    for each in mapped.fields:
        value = _field(each, env, zone) if isinstance(each, FieldMapping) else _list(each, env, zone)
        if value is not None:
            item[each.name] = value
    return item


def _items(source: Expression, env: Env) -> list[dict[str, Any]]:
    found = evaluate(source, env)
    return [] if _absent(found) else _each_of(found)


def _each_of(found: Any) -> list[dict[str, Any]]:
    if not isinstance(found, list | tuple):
        raise Misfit(f"a list is wanted, not {describe(found)}")
    if isinstance(found, Items) and found.unsure:
        raise Misfit("it cannot be told which items belong to the list: a value its filter reads is missing")
    for number, item in enumerate(found):
        if not isinstance(item, dict):
            raise Misfit(f"an object is wanted, not {describe(item)}", f"[{number}]")
    return list(found)


def _sources(mapped: Mapped) -> Iterator[Expression]:
    if isinstance(mapped, FieldMapping):
        yield mapped.source
        return
    yield from (mapped.items, mapped.key)
    for inner in mapped.fields:
        yield from _sources(inner)


def _split(mapped: ListMapping, items: tuple[dict[str, Any], ...]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each item without its milestones, and these."""
    kept_names = {each.name for each in mapped.fields if each.keep is not None}
    for item in items:
        yield (
            {name: value for name, value in item.items() if name not in kept_names},
            {name: value for name, value in item.items() if name in kept_names},
        )


def _keeps(fields: tuple[Mapped, ...]) -> dict[str, str]:
    keeps: dict[str, str] = {each.name: each.keep for each in fields if each.keep is not None}
    for each in fields:
        if isinstance(each, ListMapping):
            keeps.update({f"{each.name}.{inner.name}": inner.keep for inner in each.fields if inner.keep is not None})
    return keeps


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _absent(value: Any) -> bool:
    return value is None or isinstance(value, Gap)


def _at(path: str, read: Callable[[Any], Read], value: Any) -> Read:
    try:
        return read(value)
    except Misfit as misfit:
        raise misfit.below(path) from None
