"""What a service lived through, as one stream in order: from its store, or from JSON lines written out of one.

A line is one of

    {"event": {"connector", "kind", "payload", "observed_at", "requested", "about", "delivery"}, "at": ..., "batch": n}
    {"step": {"what": "settled", "key": ..., ...}, "case": "order:A", "at": ...}
    {"looked": "<digest>", "case": "order:A", "at": ..., "rule_set": "<hash>"}
    {"outcome": "settled", "key": ..., "case": "order:A", "reason": ..., "receipt": {...}}
    {"activated": "<hash>", "client": ..., "at": ..., "by": ..., "why": ..., "files": {"rules/...": "..."}}

`at` is when it was taken in, taken, decided or activated. Events of one batch were taken in together; without `batch`, those of
one `at`.
A payload is its text, its bytes as `{"base64": ...}`, or plain JSON. Only events are needed: a history gathered elsewhere has
no other lines.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from engine.decide.memory import plain, revived
from engine.facts.codec import dumps, loads, timestamp
from engine.facts.outside import Event
from engine.problems import did_you_mean
from engine.run.sending.steps import Step
from engine.store.base import Store
from engine.store.rows import Journalled, LookedRow, StepRow
from engine.store.stamps import stamp

PAGE = 1000
MOST_ACTIVATIONS = 100_000
LONGEST_LINE = 40_000_000  # characters; a payload has at most a quarter of it


class BadHistory(ValueError):  # noqa: N818 - named for what it tells
    """A line is not what a history holds; the message says which, and what was wanted."""


@dataclass(frozen=True, slots=True)
class TakenIn:
    """Events that were taken in together."""

    at: datetime
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step of an effect."""

    at: datetime
    case: str
    step: Step


@dataclass(frozen=True, slots=True)
class Looked:
    """That a case was decided and came out differently than before; `digest` tells the outcome from others."""

    at: datetime
    case: str
    rule_set: str
    digest: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an effect in the end."""

    case: str
    key: str
    status: str
    reason: str
    receipt: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Activated:
    """That a rule set was active from now on, by whose doing and why, with the files it was made from."""

    at: datetime
    rule_set: str
    client: str
    by: str
    why: str
    files: Mapping[str, str]


Entry = TakenIn | Stepped | Looked | Outcome | Activated


def recorded(store: Store, wanted: Callable[[Event], bool] = lambda _: True) -> Iterator[Entry]:
    """The history a store holds, from its beginning. Of events only those that are `wanted`.

    Cases whose payloads have left the store are not told of: nobody could decide about them again.
    """
    gone = store.retention.cases()
    return recorded_of(store, lambda entry: wanted(entry.event), lambda case: case not in gone)


def recorded_of(store: Store, wanted: Callable[[Journalled], bool], of: Callable[[str], bool]) -> Iterator[Entry]:
    """The part of the history with these events, and what was decided and done about these cases."""
    return _with_activations(_recorded(store, wanted, of), activations(store))


def _recorded(store: Store, wanted: Callable[[Journalled], bool], of: Callable[[str], bool]) -> Iterator[Entry]:
    steps = _Peekable(row for row in _steps(store) if of(row.case))
    looks = _Peekable(row for row in _looks(store) if of(row.case))
    upto = 0
    yield from _between(steps, looks, upto)
    for intake, events in _intakes(store):
        yield TakenIn(intake, tuple(one.event for one in events if wanted(one)))
        upto = events[-1].seq if events else upto
        yield from _between(steps, looks, upto)
    yield from _between(steps, looks, None)
    yield from (outcome for outcome in _outcomes(store) if of(outcome.case))


def activations(store: Store) -> list[Activated]:
    """Every activation of a rule set, the first one first."""
    rows = reversed(store.rule_sets.history(MOST_ACTIVATIONS))
    files = store.rule_sets.files
    return [Activated(r.activated_at, r.hash, r.client, r.activated_by, r.why, files(r.id)) for r in rows]


def _with_activations(entries: Iterable[Entry], rule_sets: Iterable[Activated]) -> Iterator[Entry]:
    """Each before what came after it. Where other things happened at its very instant, those come first that were still decided
    with the rule set before it.
    """
    waiting = deque(rule_sets)
    active = ""
    for at, found in groupby(entries, key=lambda one: getattr(one, "at", None)):
        while waiting and (at is None or waiting[0].at < at):
            yield waiting[0]
            active = waiting.popleft().rule_set
        together = list(found)
        while waiting and waiting[0].at == at:
            before = _last_decided_with(active, together)
            yield from together[:before]
            together = together[before:]
            yield waiting[0]
            active = waiting.popleft().rule_set
        yield from together
    yield from waiting


def _last_decided_with(rule_set: str, entries: list[Entry]) -> int:
    """How many entries there are up to the last decision with this rule set."""
    return max((n for n, one in enumerate(entries, 1) if isinstance(one, Looked) and one.rule_set == rule_set), default=0)


def _between(steps: _Peekable, looks: _Peekable, upto: int | None) -> Iterator[Entry]:
    """Steps and looks after the events up to this one, in the order of time; a look at the instant of a step is its outcome."""
    found: list[Stepped | Looked] = [Stepped(row.at, row.case, Step.from_json(row.step)) for row in steps.upto(upto)]
    found += [Looked(row.now, row.case, row.rule_set, row.digest.hex()) for row in looks.upto(upto)]
    yield from sorted(found, key=lambda entry: entry.at)  # stable: steps come first


class _Peekable:
    """Rows in order, read up to a place in the journal."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def upto(self, seq: int | None) -> Iterator[Any]:
        while self._next is not None and (seq is None or self._next.journal_seq <= seq):
            yield self._next
            self._next = next(self._rows, None)


def _steps(store: Store) -> Iterator[StepRow]:
    last = 0
    while page := store.outbox.steps(last, PAGE):
        yield from page
        last = page[-1].id


def _looks(store: Store) -> Iterator[LookedRow]:
    last = 0
    while page := store.cases.decisions(last, PAGE):
        yield from page
        last = page[-1].id


def _intakes(store: Store) -> Iterator[tuple[datetime, list[Journalled]]]:
    waiting = _journal(store)
    one = next(waiting, None)
    last = 0
    while page := store.journal.intakes(last, PAGE):
        for row in page:
            events: list[Journalled] = []
            while one is not None and one.seq <= row.upto_seq:
                events.append(one)
                one = next(waiting, None)
            yield row.at, events
        last = page[-1].upto_seq


def _journal(store: Store) -> Iterator[Journalled]:
    last = 0
    while page := store.journal.after(last, PAGE):
        yield from page
        last = page[-1].seq


def _outcomes(store: Store) -> Iterator[Outcome]:
    last = 0
    while page := store.outbox.every(last, PAGE):
        for row in page:
            entry = row.entry
            yield Outcome(row.case, entry.key, entry.status, entry.reason, revived(loads(entry.receipt)))
        last = page[-1].id


def written(entries: Iterable[Entry]) -> Iterator[str]:
    """The entries as JSON lines."""
    for number, entry in enumerate(entries):
        for told in _told(entry, number):
            yield json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


def _told(entry: Entry, number: int) -> Iterator[dict[str, Any]]:
    match entry:
        case TakenIn():
            for event in entry.events:
                yield {"event": _event_json(event), "at": stamp(entry.at), "batch": number}
        case Stepped():
            yield {"step": json.loads(entry.step.to_json()), "case": entry.case, "at": stamp(entry.at)}
        case Looked():
            yield {"looked": entry.digest, "case": entry.case, "at": stamp(entry.at), "rule_set": entry.rule_set}
        case Outcome():
            told = {"outcome": entry.status, "case": entry.case, "key": entry.key, "reason": entry.reason}
            yield {**told, "receipt": plain(entry.receipt)}
        case Activated():
            told = {"activated": entry.rule_set, "client": entry.client, "by": entry.by, "why": entry.why}
            yield {**told, "files": dict(entry.files), "at": stamp(entry.at)}


def _event_json(event: Event) -> dict[str, Any]:
    try:
        payload: Any = event.payload.decode()
    except UnicodeDecodeError:
        payload = {"base64": base64.b64encode(event.payload).decode()}
    told = {
        "connector": event.connector,
        "kind": event.kind,
        "payload": payload,
        "observed_at": stamp(event.observed_at),
        "requested": event.requested,
    }
    return told | ({"about": event.about} if event.about else {}) | ({"delivery": event.delivery} if event.delivery else {})


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """The entries of a file of JSON lines, one after another, whatever its size. Reading raises `BadHistory` and OSError."""

    path: Path

    def __iter__(self) -> Iterator[Entry]:
        with self.path.open("rb") as lines:
            yield from (entry for _, entry in together(Lines(self.path.name).read(line.decode() for line in lines)))


def read(path: Path) -> HistoryFile:
    """The history in a file."""
    return HistoryFile(path)


def parsed(lines: Iterable[str], name: str) -> Iterator[Entry]:
    """The entries of JSON lines, with those events together that were taken in together. Raises `BadHistory`."""
    return (entry for _, entry in together(Lines(name).read(lines)))


Batch = tuple[Any] | None  # what events that were taken in together share; None for anything else


def together(entries: Iterable[tuple[Batch, Entry]]) -> Iterator[tuple[Batch, Entry]]:
    """Those of one batch that follow each other as one."""
    for batch, found in groupby(entries, key=lambda one: one[0]):
        if batch is None:
            yield from found
        else:
            taken = [entry for _, entry in found if isinstance(entry, TakenIn)]
            yield batch, TakenIn(taken[0].at, tuple(event for one in taken for event in one.events))


class Lines:
    """Lines read in order, the first of them with this number. `begins` is the first instant they tell of, and where; `latest`
    the last one so far.
    """

    def __init__(self, name: str, first: int = 1) -> None:
        self._name = name
        self._first = first
        self.begins: tuple[datetime, str] | None = None
        self.latest: datetime | None = None

    def read(self, lines: Iterable[str]) -> Iterator[tuple[Batch, Entry]]:
        """The entry of each line, and for an event its batch. Raises `BadHistory`."""
        number = self._first - 1
        try:
            for number, line in enumerate(lines, self._first):
                if line.strip():
                    where = f"{self._name}:{number}"
                    batch, entry = _line(line, where)
                    self._moves_on(getattr(entry, "at", None), where)
                    yield batch, entry
        except UnicodeDecodeError as fault:
            raise BadHistory(f"{self._name}:{number + 1}: not UTF-8 text: {fault.reason}") from None

    def _moves_on(self, at: datetime | None, where: str) -> None:
        if at is not None:
            in_order(self.latest, at, where)
            self.begins = self.begins or (at, where)
            self.latest = at


def in_order(before: datetime | None, at: datetime, where: str) -> None:
    """Raises `BadHistory` where an instant is before the one of the line before it."""
    if before is not None and at < before:
        raise BadHistory(f"{where}: {stamp(at)} is before {stamp(before)}, the line before it: a history is in the order of time")


_KINDS = ("event", "step", "looked", "outcome", "activated")
_EVENT_KEYS = ("connector", "kind", "payload", "observed_at", "requested", "about", "delivery")


def _line(line: str, where: str) -> tuple[Batch, Entry]:
    """What one line holds, and for an event which batch it belongs to."""
    if len(line) > LONGEST_LINE:
        raise BadHistory(f"{where}: a line of {len(line)} characters; at most {LONGEST_LINE} are read")
    try:
        told = loads(line)
    except ValueError as fault:
        raise BadHistory(f"{where}: not JSON: {fault}") from None
    kind = next((k for k in _KINDS if isinstance(told, dict) and k in told), None)
    if kind is None:
        near = did_you_mean(next(iter(told), ""), _KINDS) if isinstance(told, dict) else ""
        raise BadHistory(f"{where}: a line holds one of {', '.join(_KINDS)}{near}")
    try:
        if kind == "event":
            event = _event(told["event"])
            at = timestamp(told["at"]) if "at" in told else event.observed_at
            return (told["batch"] if "batch" in told else stamp(at),), TakenIn(at, (event,))
        return None, _other(kind, told)
    except KeyError as missing:
        raise BadHistory(f"{where}: {kind}: {missing.args[0]} is missing") from None
    except (ValueError, TypeError, AttributeError) as fault:
        raise BadHistory(f"{where}: {kind}: {fault}") from None


def _event(told: Any) -> Event:
    if not isinstance(told, dict):
        raise ValueError("an object is wanted")  # noqa: TRY004 - one kind of fault for a line
    unknown = next((key for key in told if key not in _EVENT_KEYS), None)
    if unknown is not None:
        raise ValueError(f'an event has no key "{unknown}"{did_you_mean(unknown, _EVENT_KEYS)}')
    return Event(
        connector=_text(told, "connector"),
        kind=_text(told, "kind"),
        payload=_payload(told["payload"]),
        observed_at=timestamp(_text(told, "observed_at")),
        requested=told.get("requested") is True,
        about=str(told.get("about", "")),
        delivery=str(told.get("delivery", "")),
    )


def _text(told: dict[str, Any], key: str) -> str:
    value = told[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} must be text, not {value!r}")  # noqa: TRY004 - one kind of fault for a line
    return value


def _payload(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and value.keys() == {"base64"}:
        return base64.b64decode(value["base64"], validate=True)
    return dumps(value).encode()


def _other(kind: str, told: dict[str, Any]) -> Entry:
    if kind == "step":
        return Stepped(timestamp(told["at"]), _text(told, "case"), Step.from_json(json.dumps(told["step"], default=str)))
    if kind == "looked":
        return Looked(timestamp(told["at"]), _text(told, "case"), _text(told, "rule_set"), _text(told, "looked"))
    if kind == "activated":
        if not isinstance(told["files"], dict):
            raise ValueError("files must be an object of texts by their names")
        files = {str(path): _text(told["files"], path) for path in told["files"]}
        who = (str(told.get("client", "")), str(told.get("by", "")), str(told.get("why", "")))
        return Activated(timestamp(told["at"]), _text(told, "activated"), *who, files)
    receipt = revived(told.get("receipt", {}))
    return Outcome(_text(told, "case"), _text(told, "key"), _text(told, "outcome"), str(told.get("reason", "")), receipt)
