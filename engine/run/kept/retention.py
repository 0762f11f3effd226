"""Which payloads are no longer needed: those of cases that are closed and long quiet, with nothing else in them.

Cases that one payload speaks of stay or leave together, so that whatever is left in the store is whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from engine.language.mapping import Reader
from engine.language.ruleset import RuleSet
from engine.run.hearing.deeds import PERSON
from engine.store.base import Store
from engine.store.rows import Journalled

PAGE = 1000
STAYS = 0  # no case has this id: what belongs to it never leaves


@dataclass(frozen=True, slots=True)
class Leaving:
    """Events by their place in the journal, and the cases they are of, by id with the name."""

    seqs: frozenset[int]
    cases: dict[int, str]
    size: int


class _Groups:
    """Cases that belong together."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def root(self, case: int) -> int:
        while (above := self._parent.get(case, case)) != case:
            self._parent[case] = case = self._parent.get(above, above)
        return case

    def join(self, one: int, other: int) -> None:
        """The smaller id stands for both, so that what stays stands for all that stay."""
        a, b = sorted((self.root(one), self.root(other)))
        if a != b:
            self._parent[b] = a


def leaving(store: Store, rule_set: RuleSet, before: datetime) -> Leaving:
    """What may leave, as things are now. Payloads are read with the active rule set; what it cannot read stays, unless a person
    has discarded it.
    """
    quiet = store.retention.quiet_cases(before)
    discarded = {one.seq for one in store.asides.listed() if one.discarded_at is not None and one.discarded_at < before}
    groups, reader = _Groups(), Reader()
    places, owners, alone = array("q"), array("q"), set[int]()
    for entry in _taken_in(store):
        if entry.event.connector == PERSON:
            continue
        recent = entry.received_at >= before
        cases = _cases(store, reader, rule_set, entry)
        if cases is None and entry.seq in discarded and not recent:
            alone.add(entry.seq)
            continue
        found = cases or [STAYS]
        for other in found[1:]:
            groups.join(found[0], other)
        if recent or any(case not in quiet for case in found):
            groups.join(found[0], STAYS)
        places.append(entry.seq)
        owners.append(found[0])
    stays = groups.root(STAYS)
    seqs = {seq for seq, owner in zip(places, owners, strict=True) if groups.root(owner) != stays}
    of = {case: name for case, name in quiet.items() if groups.root(case) != stays}
    told = set(owners)  # a case of which no payload is there has none to lose
    return Leaving(frozenset(seqs | alone), {c: n for c, n in of.items() if _tells(groups, told, c)}, _size(store, seqs | alone))


def _tells(groups: _Groups, told: set[int], case: int) -> bool:
    return case in told or groups.root(case) in told


def _taken_in(store: Store) -> Iterator[Journalled]:
    last, upto = 0, store.journal.position()
    while page := store.journal.after(last, PAGE):
        yield from (entry for entry in page if entry.seq <= upto)
        last = page[-1].seq


def _cases(store: Store, reader: Reader, rule_set: RuleSet, entry: Journalled) -> list[int] | None:
    """The cases an event speaks of; none known where it is about what is the same for every case, or its record is in none.
    None where nothing can be read.
    """
    observed, aside = reader.observe(rule_set.mappings.get(entry.event.kind, ()), entry.event)
    if not observed:
        return None if aside else []
    nodes = {(one.kind, one.key) for one in observed}
    if any(kind in rule_set.vocabulary.client for kind, _ in nodes):
        return []
    ids = store.records.ids(nodes)
    found = [case.id for record in ids.values() for case in store.cases.holding(record)]
    return sorted(set(found)) if len(ids) == len(nodes) and not aside else [STAYS, *sorted(set(found))]


def _size(store: Store, seqs: set[int]) -> int:
    entries = (store.journal.one(seq) for seq in sorted(seqs))
    return sum(len(entry.event.payload) for entry in entries if entry is not None)


def what_left(store: Store) -> str:
    """What nobody can tell from this store any more; nothing where all is there."""
    prunings = store.retention.prunings()
    if not prunings:
        return ""
    events, cases = sum(one.events for one in prunings), len(store.retention.cases())
    said = (
        f"{events:,} payloads of {cases:,} closed cases have left the store, the last on {prunings[-1].at:%Y-%m-%d}: these cases"
        f" are not in what follows. They are in {', '.join(one.file for one in prunings)}, for --history."
    )
    reopened = store.retention.reopened()
    if reopened:
        said += f" {len(reopened)} of them were opened again since and lack their beginning: {', '.join(reopened[:5])}."
    return said
