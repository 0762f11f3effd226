"""Reads a chunk of a history: what its events tell of, written down for the replays, and what belongs together.

Which events belong to one case shows only at the end, when all links have been seen. Until then each is known by one of the
records it is about, and all such records by a number.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from engine.decide.people import NotPossible
from engine.facts.outside import Event
from engine.language.ruleset import RuleSet
from engine.run.hearing.deeds import Deed
from engine.run.hearing.intake import corrected
from engine.simulate import packed
from engine.simulate.chunks import Chunk, Edges
from engine.simulate.history import Activated, BadHistory, Looked, Outcome, Stepped, TakenIn
from engine.simulate.replay import Telling, Told

SHARED = -1  # the number of what is the same for every case of the client
MOST_KNOWN = 20_000  # records whose ties are remembered as told of
ROW = 5  # numbers
Names = tuple[str, ...]  # of a record, and of all it is tied to
Groups = tuple[Names | None, ...]  # of each record; None of what is the same for every case
Written = tuple[datetime | None, Told | Stepped | Looked | Outcome, Groups]


@dataclass(frozen=True, slots=True)
class Aside:
    """An event that some rule set cannot read, by its mark; or a person's deed about one. `row` is the row it stands before."""

    row: int
    mark: str
    nodes: tuple[int, ...] = ()  # the records the event tells of all the same
    deed: tuple[int, int, int] | None = None  # its entry, and where it is written


@dataclass(slots=True)
class Found:
    """What a chunk holds. `piece` is the file in which it is written down.

    A row is five numbers: the record an event or step is about, the number of its entry in the chunk, where it begins in the
    file, its length, and which of the records that the event tells of. `ties` are records that belong together: how many, and
    which, over and over.
    """

    piece: str
    edges: Edges
    entries: int = 0
    events: int = 0
    set_aside: int = 0
    rows: array[int] = field(default_factory=lambda: array("q"))
    ties: array[int] = field(default_factory=lambda: array("q"))
    asides: list[Aside] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)  # of records
    first_at: datetime | None = None  # when the first entry was, and the last
    last_at: datetime | None = None
    ends: datetime | None = None  # the last instant of all
    fault: str = ""  # of the line after the last entry

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.rows) // ROW


def node_of(name: str) -> int:
    """The number of a record, `rma:1001`. Should two ever have the same, their cases are replayed beside each other: no harm."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


class Cutter:
    """Reads chunks of one history, in their order. Writes a file of its own into the folder."""

    def __init__(self, rule_sets: Sequence[RuleSet], folder: Path) -> None:
        self._telling = Telling(rule_sets)
        self._client = frozenset(kind for rule_set in rule_sets for kind in rule_set.vocabulary.client)
        self._path = folder / f"{os.getpid()}.piece"
        self._known: dict[Names, int] = {}
        self._written: list[bytes] = []
        self._end = 0

    def cut(self, chunk: Chunk) -> Found:
        """What the chunk holds, up to its first fault. Raises OSError."""
        found = Found(self._path.name, Edges())
        with self._path.open("ab") as file:
            self._end = file.tell()
            try:
                for entry in chunk.read(found.edges):
                    found.last_at = getattr(entry, "at", None)
                    found.first_at = found.first_at if found.entries else found.last_at
                    found.ends = found.last_at or found.ends
                    if isinstance(entry, TakenIn):
                        found.events += len(entry.events)
                        for told in self._telling.told(entry).events:
                            self._event(told, entry.at, found)
                    elif not isinstance(entry, Activated):  # a replay is told which rule sets to use
                        names = (entry.case,)
                        at = self._write((found.last_at, entry, (names,)))
                        found.rows.extend((self._node(names, found), found.entries, *at, 0))
                    found.entries += 1
            except BadHistory as fault:
                found.fault = str(fault)
            file.writelines(self._written)
            self._written.clear()
        return found

    def _event(self, told: Told, at: datetime, found: Found) -> None:
        groups, mark = ((), _aside_meant(told.person)) if told.person is not None else (_records(told, self._client), "")
        if mark:
            found.asides.append(Aside(found.count, mark, deed=(found.entries, *self._write((at, told, ())))))
            return
        if told.person is not None:
            groups = _of_person(told.person)
        nodes = tuple(SHARED if names is None else self._node(names, found) for names in groups)
        if told.mark:
            found.asides.append(Aside(found.count, told.mark, nodes))
        if not nodes:
            found.set_aside += told.person is None
            return
        start, length = self._write((at, told, groups))
        for which, node in enumerate(nodes):
            found.rows.extend((node, found.entries, start, length, which))

    def _node(self, names: Names, found: Found) -> int:
        """The number of the first, and once in a while that all of them belong together."""
        known = self._known.get(names)
        if known is None:
            nodes = [node_of(name) for name in names]
            found.ties.extend((len(nodes), *nodes))
            found.kinds.update(name.partition(":")[0] for name in names)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            known = self._known[names] = nodes[0]
        return known

    def _write(self, told: Written) -> tuple[int, int]:
        """Where it stands in the file, and its length."""
        written = packed.dumps(told)
        start = self._end
        self._written.append(written)
        self._end += len(written)
        return start, len(written)


def _records(told: Told, client: frozenset[str]) -> Groups:
    """For each record the event tells of, the names of all it is tied to; None for records of the client."""
    every = dict.fromkeys((one.kind, one.key, one.links) for observed in told.observed.values() for one in observed)
    return tuple(
        None if kind in client else (f"{kind}:{key}", *(f"{other}:{name}" for other, name in sorted(links)))
        for kind, key, links in every
    )


def _aside_meant(event: Event) -> str:
    """The mark of the event that was set aside and that a person's deed is about."""
    try:
        deed = Deed.of(event)
    except NotPossible:
        return ""
    return deed.value if deed.event_seq else ""


def _of_person(event: Event) -> Groups:
    try:
        deed = Deed.of(event)
        if deed.kind == "person.correct":
            kind, key, _, _ = corrected(deed)
            return ((f"{kind}:{key}",),)
    except (NotPossible, ValueError):
        return ()
    return ((deed.case,),)
