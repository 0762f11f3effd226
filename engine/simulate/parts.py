"""A history cut into parts that have nothing to do with each other, so that they can be replayed side by side.

The history is read once, however long it is. What goes into which part is known only at its end, so entries wait in a file of
their own meanwhile; what is held in memory grows with the number of records, not with the number of events.
"""

from __future__ import annotations

import pickle
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.decide.people import NotPossible
from engine.facts.outside import Event
from engine.language.ruleset import RuleSet
from engine.run.hearing.deeds import Deed
from engine.run.hearing.intake import corrected
from engine.simulate.history import Activated, Entry, Looked, Outcome, Stepped, TakenIn
from engine.simulate.replay import Telling, Told, ToldAt
from engine.store.rows import Node

Placed = ToldAt | Stepped | Looked
SHARED = -1  # the part of what is the same for every case of the client
COMMIT_EVERY = 5000
TABLES = """
create table entries (part integer, number integer, told blob);
create table roots (node integer primary key, root integer);
create table names (node integer primary key, name text);
"""


@dataclass(frozen=True, slots=True)
class Cut:
    """What was found while cutting. `spans` are ranges of parts of about equal work."""

    path: Path
    events: int
    set_aside: int
    parts: int
    spans: tuple[tuple[int, int], ...]
    ends: datetime | None  # the last instant of the history


class _Union:
    """Which nodes belong together."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self._parents = array("q")

    def number(self, name: str) -> int:
        known = self.numbers.get(name)
        if known is None:
            known = self.numbers[name] = len(self._parents)
            self._parents.append(known)
        return known

    def root(self, node: int) -> int:
        while self._parents[node] != node:
            self._parents[node] = self._parents[self._parents[node]]
            node = self._parents[node]
        return node

    def join(self, one: int, other: int) -> None:
        a, b = self.root(one), self.root(other)
        self._parents[max(a, b)] = min(a, b)


def cut(
    history: Iterable[Entry],
    rule_sets: Sequence[RuleSet],
    path: Path,
    spans: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Cut:
    """Writes the parts of a history to a new file. What belongs together under any of the rule sets is one part."""
    union = _Union()
    asides: dict[str, list[list[str] | None]] = {}  # what events that some rule set cannot read tell of, by mark
    telling = Telling(rule_sets)
    kinds = frozenset(kind for rule_set in rule_sets for kind in rule_set.vocabulary.client)
    events = aside = 0
    ends: datetime | None = None
    with closing(sqlite3.connect(path)) as db:
        db.executescript("pragma journal_mode = off; pragma synchronous = off;" + TABLES)
        for number, entry in enumerate(history):
            ends = ends if isinstance(entry, Outcome) else entry.at
            if isinstance(entry, TakenIn):
                events += len(entry.events)
                aside += _cut_events(db, union, telling.told(entry), number, kinds, asides)
            elif not isinstance(entry, Activated):  # a replay is told which rule sets to use
                node = union.number(entry.case)
                _write(db, node, number, entry)
            if number % COMMIT_EVERY == 0:
                db.commit()
                progress(events)
        db.executemany("insert into roots values (?, ?)", ((n, union.root(n)) for n in range(len(union.numbers))))
        db.execute("insert into roots values (?, ?)", (SHARED, SHARED))
        db.executemany("insert into names values (?, ?)", ((n, name) for name, n in union.numbers.items()))
        db.execute("create table work as select r.root as part, e.number, e.told from entries e join roots r on r.node = e.part"
                   " order by r.root, e.number, e.rowid")  # fmt: skip
        db.execute("create index work_by_part on work (part, number)")
        db.execute("create index roots_by_root on roots (root)")
        db.commit()
        progress(events)
        return Cut(path, events, aside, *_spans(db, spans), ends)


def _cut_events(
    db: sqlite3.Connection,
    union: _Union,
    entry: ToldAt,
    number: int,
    kinds: frozenset[str],
    asides: dict[str, list[list[str] | None]],
) -> int:
    """One entry for each part that some of the events belong to. Answers how many belong to none."""
    by_part: dict[int, list[Told]] = {}
    aside = 0
    for told in entry.events:
        nodes = _nodes(told, kinds, asides)
        if told.mark:
            asides[told.mark] = nodes
        parts = sorted({SHARED if names is None else _joined(union, names) for names in nodes})
        aside += not parts and told.person is None
        for part in parts:
            by_part.setdefault(part, []).append(told)
    for part, events in by_part.items():
        _write(db, part, number, ToldAt(entry.at, tuple(events)))
    return aside


def _joined(union: _Union, names: Sequence[str]) -> int:
    numbers = [union.number(name) for name in names]
    for other in numbers[1:]:
        union.join(numbers[0], other)
    return numbers[0]


def _nodes(told: Told, kinds: frozenset[str], asides: Mapping[str, list[list[str] | None]]) -> list[list[str] | None]:
    """For each record the event tells of, the names of all it is tied to; None for records of the client."""
    if told.person is not None:
        return _of_person(told.person, asides)
    every = dict.fromkeys((one.kind, one.key, one.links) for observed in told.observed.values() for one in observed)
    return [
        None if kind in kinds else [f"{kind}:{key}", *(f"{other}:{name}" for other, name in sorted(links))]
        for kind, key, links in every
    ]


def _of_person(event: Event, asides: Mapping[str, list[list[str] | None]]) -> list[list[str] | None]:
    try:
        deed = Deed.of(event)
        if deed.event_seq:
            return asides.get(deed.value, [])
        if deed.kind == "person.correct":
            kind, key, _, _ = corrected(deed)
            return [[f"{kind}:{key}"]]
    except (NotPossible, ValueError):
        return []
    return [[deed.case]]


def _write(db: sqlite3.Connection, part: int, number: int, entry: Placed | Outcome) -> None:
    db.execute("insert into entries values (?, ?, ?)", (part, number, pickle.dumps(entry, pickle.HIGHEST_PROTOCOL)))


def _spans(db: sqlite3.Connection, wanted: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """How many parts there are, and ranges of them with about as many entries each."""
    counted = "select part, count(*) from work where part <> ? group by part order by part"
    sizes = db.execute(counted, (SHARED,)).fetchall()
    most = max(1, sum(size for _, size in sizes) // max(1, wanted))
    spans: list[tuple[int, int]] = []
    first, held = None, 0
    for part, size in sizes:
        first = part if first is None else first
        held += size
        if held >= most:
            spans.append((first, part))
            first, held = None, 0
    if first is not None:
        spans.append((first, sizes[-1][0]))
    return len(sizes), tuple(spans)


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its entries in order, each with its place in the whole history, and the records it is about."""

    number: int
    entries: tuple[tuple[int, Placed], ...]
    outcomes: tuple[Outcome, ...]
    own: frozenset[Node]


def parts(db: sqlite3.Connection, span: tuple[int, int]) -> Iterator[Part]:
    """The parts of a range, one at a time."""
    for (number,) in db.execute("select distinct part from work where part between ? and ? order by part", span).fetchall():
        yield part(db, number)


def part(db: sqlite3.Connection, number: int) -> Part:
    entries: list[tuple[int, Placed]] = []
    outcomes: list[Outcome] = []
    for place, told in db.execute("select number, told from work where part = ? order by number, rowid", (number,)):
        entry: Placed | Outcome = pickle.loads(told)  # noqa: S301 - written by `cut` a moment ago, in a folder of our own
        if isinstance(entry, Outcome):
            outcomes.append(entry)
        elif isinstance(entry, ToldAt) and entries and entries[-1][0] == place and isinstance(entries[-1][1], ToldAt):
            entries[-1] = (place, ToldAt(entry.at, (*entries[-1][1].events, *entry.events)))
        else:
            entries.append((place, entry))
    names = db.execute("select n.name from roots r join names n on n.node = r.node where r.root = ?", (number,))
    own = frozenset((kind, key) for kind, _, key in (name.partition(":") for (name,) in names))
    return Part(number, tuple(entries), tuple(outcomes), own)


def parts_of(db: sqlite3.Connection, name: str) -> list[int]:
    """The parts in which something has this name: `rma:1001`, or just `1001`."""
    wanted = (
        "select distinct r.root from roots r join names n on n.node = r.node"
        " where n.name = :name or substr(n.name, instr(n.name, ':') + 1) = :name"
    )
    return [root for (root,) in db.execute(wanted, {"name": name})]


def shared(db: sqlite3.Connection) -> tuple[tuple[int, ToldAt], ...]:
    """What is the same for every case, each with its place in the whole history."""
    return tuple((place, entry) for place, entry in part(db, SHARED).entries if isinstance(entry, ToldAt))
