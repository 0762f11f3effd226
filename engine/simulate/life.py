"""The life of one case, lived again from the history: every decision about it as it was made, under the rule sets of its time."""

from __future__ import annotations

import re
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from engine.decide.decision import Decision
from engine.facts.outside import Event
from engine.language.files import Files
from engine.language.ruleset import RuleSet
from engine.run.hearing.deeds import OF_EVENTS, PERSON
from engine.run.rules.candidate import candidate_of
from engine.simulate import parts
from engine.simulate.backtest import client_changes
from engine.simulate.history import Activated, Entry, Looked, Stepped, activations, recorded
from engine.simulate.parts import Part, Parts
from engine.simulate.replay import Past, Replay, Seen, ToldAt
from engine.store.base import Store
from engine.store.rows import CaseRow

PAGE = 1000
Cause = ToldAt | Stepped | Looked | Activated


class NoLife(ValueError):  # noqa: N818 - named for what it tells
    """The history does not tell of such a case, or not how it was decided; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, and the decisions about the case that it brought, in order. `rule_set` is what decided."""

    at: datetime
    cause: Cause
    rule_set: RuleSet
    seen: tuple[Seen, ...] = ()

    @property
    def decision(self) -> Decision:
        """The last of its decisions, with the memory it left."""
        return replace(self.seen[-1].decision, memory=self.seen[-1].memory)


@dataclass(frozen=True, slots=True)
class Life:
    """All moments of a case in order. `recorded` is how many decisions the history tells of, `same` how many of them came out
    the same again.
    """

    case: str
    moments: tuple[Moment, ...]
    ends: datetime
    recorded: int
    same: int

    @property
    def exact(self) -> bool:
        return self.same == self.recorded

    @property
    def decided(self) -> tuple[Moment, ...]:
        """Those with a decision."""
        return tuple(moment for moment in self.moments if moment.seen)

    def at(self, instant: datetime) -> Moment | None:
        """The last decided moment at or before an instant; None before the case was."""
        decided = self.decided
        before = bisect_right(decided, instant, key=lambda moment: moment.at)
        return decided[before - 1] if before else None


def life_in_store(store: Store, row: CaseRow) -> Life:
    """The life of a case of a store. Raises `NoLife`, and `ProblemsFound` for a rule set that is no longer taken.

    Only events that name something of the case are read at first; where its decisions do not come out as recorded, all are.
    """
    gone = store.retention.of_case(row.id)
    if gone is not None:
        raise NoLife(
            f"its payloads left the store on {gone.at:%Y-%m-%d}, into {gone.file} (SHA-256 {gone.sha256[:12]}):"
            f" `instep explain {row.name.partition(':')[2]} --history {gone.file}` tells it"
        )
    names = _names(store, row)
    deciding = _deciding(store, names)
    sets = rule_sets_of([one for one in activations(store) if one.rule_set in deciding])
    kinds = _client_events(sets.values())
    spelled = re.compile(b"|".join(re.escape(key.encode()) for key in sorted({n.partition(":")[2] for n in names})))

    def wanted(event: Event) -> bool:
        named = spelled.search(event.payload) or spelled.search(event.about.encode())
        return bool(named) or event.kind in kinds or event.connector == PERSON

    life = life_of(recorded(store, wanted), sets, row.name)
    return life if life.exact else life_of(recorded(store), sets, row.name)


def life_in(history: Callable[[], Iterable[Entry]], wanted: str) -> Life:
    """The life of what is called so in a history that can be read twice. Raises `NoLife`, `BadHistory` and `ProblemsFound`."""
    deciding: set[str] = set()
    activated: list[Activated] = []
    for entry in history():
        if isinstance(entry, Looked):
            deciding.add(entry.rule_set)
        elif isinstance(entry, Activated):
            activated.append(entry)
    if not activated:
        raise NoLife(
            "this history does not tell which rule sets decided: `instep events export` writes one that does, and"
            " `instep simulate --history` shows what a rule set would have made of it"
        )
    return life_of(history(), rule_sets_of([one for one in activated if one.rule_set in deciding]), wanted)


def rule_sets_of(activations: Iterable[Activated]) -> dict[str, RuleSet]:
    """The rule sets that were activated, by hash. Raises `ProblemsFound` for one that is no longer taken."""
    found: dict[str, RuleSet] = {}
    for one in activations:
        if one.rule_set not in found and one.files:
            found[one.rule_set] = candidate_of(Files.of(one.files), one.client).rule_set
    return found


def life_of(history: Iterable[Entry], rule_sets: Mapping[str, RuleSet], wanted: str) -> Life:
    """The life of what is called `wanted`, under these rule sets by hash. Raises `NoLife`."""
    if not rule_sets:
        raise NoLife("this history does not tell which rule sets decided")
    activated: list[tuple[int, Activated]] = []
    with tempfile.TemporaryDirectory(prefix="instep-") as folder:
        cut = parts.cut(_noting(history, activated), list(rule_sets.values()), Path(folder))
        with Parts(cut) as every:
            found = every.named(wanted)
            if len(found) != 1:
                raise NoLife(_none_or_several(every, wanted, found))
            part = every.one(found[0])
            entries: list[tuple[int, Cause]] = [*part.entries, *every.shared(), *activated]
    return _lived(part, sorted(entries, key=lambda placed: placed[0]), rule_sets, wanted, cut.ends)


def _noting(history: Iterable[Entry], activated: list[tuple[int, Activated]]) -> Iterator[Entry]:
    for number, entry in enumerate(history):
        if isinstance(entry, Activated):
            activated.append((number, entry))
        yield entry


def _none_or_several(every: Parts, wanted: str, found: Sequence[int]) -> str:
    if not found:
        return f"no case, order, RMA, parcel or other record is called {wanted!r} in this history"
    names = sorted(f"{kind}:{key}" for number in found for kind, key in every.one(number).own if key == wanted)
    return f"{wanted!r} is several things: {', '.join(names)}; name one of them"


def lives(history: Iterable[Entry], rule_sets: Mapping[str, RuleSet]) -> Iterator[Life]:
    """The life of every case, one after another, under these rule sets by hash."""
    activated: list[tuple[int, Activated]] = []
    with tempfile.TemporaryDirectory(prefix="instep-") as folder:
        cut = parts.cut(_noting(history, activated), list(rule_sets.values()), Path(folder))
        with Parts(cut) as every:
            shared = list(every.shared())
            changes = {change.place: change.entry for one in rule_sets.values() for change in client_changes(shared, one)}
            for part in every.every():
                entries = sorted([*part.entries, *changes.items(), *activated], key=lambda placed: placed[0])
                replay, lived = _replayed(part, entries, rule_sets)
                ids = sorted({seen.case_id for _, _, found in lived for seen in found} - replay.absorbed.keys())
                rows = [row for row in map(replay.case, ids) if row is not None]
                yield from (_life(replay, lived, row, entries, cut.ends) for row in rows)


_Lived = list[tuple[Cause, RuleSet, list[Seen]]]


def _lived(
    part: Part, entries: Sequence[tuple[int, Cause]], rule_sets: Mapping[str, RuleSet], wanted: str, ends: datetime | None
) -> Life:
    replay, lived = _replayed(part, entries, rule_sets)
    case = _case(replay, part, wanted)
    if not any(seen.case_id == case.id for _, _, found in lived for seen in found):
        raise NoLife(f"this history tells of no decision about {case.name}")
    return _life(replay, lived, case, entries, ends)


def _replayed(part: Part, entries: Sequence[tuple[int, Cause]], rule_sets: Mapping[str, RuleSet]) -> tuple[Replay, _Lived]:
    """The part lived again, and what was seen at each entry."""
    seen: list[Seen] = []
    begun = next((rule_sets[e.rule_set] for _, e in entries if isinstance(e, Activated) and e.rule_set in rule_sets), None)
    first = begun or next(iter(rule_sets.values()))
    replay = Replay(first, "exact", Past({}, {}), seen.append, entries[0][1].at, own=part.own, changes_rules=True)
    lived: _Lived = []
    for _, entry in entries:
        if isinstance(entry, Activated) and entry.rule_set in rule_sets:
            replay.use(rule_sets[entry.rule_set])
        replay.take(entry)
        lived.append((entry, replay.rule_set, list(seen)))
        seen.clear()
    return replay, lived


def _life(replay: Replay, lived: _Lived, case: CaseRow, entries: Sequence[tuple[int, Cause]], ends: datetime | None) -> Life:
    ours = {case.id} | {gone for gone in replay.absorbed if _lives_on_in(replay.absorbed, gone) == case.id}
    moments = [Moment(e.at, e, by, tuple(s for s in found if s.case_id in ours)) for e, by, found in lived]
    told = [m for m in moments if m.seen or isinstance(m.cause, Activated) or _about_what_was_set_aside(m.cause)]
    first_decided = next(n for n, m in enumerate(told) if m.seen)
    wanted = [e.digest for _, e in entries if isinstance(e, Looked) and e.case == case.name]
    same = _same(wanted, [s.digest for m in told for s in m.seen if s.case_id == case.id])
    kept = told[first_decided:]
    return Life(case.name, tuple(kept), ends or kept[-1].at, len(wanted), same)


def _about_what_was_set_aside(cause: Cause) -> bool:
    return isinstance(cause, ToldAt) and any(one.person is not None and one.person.kind in OF_EVENTS for one in cause.events)


def _case(replay: Replay, part: Part, wanted: str) -> CaseRow:
    """The one case that is called so, or holds what is called so."""
    named = {row.id: row for row in [replay.case_named(wanted)] if row is not None}
    held = {row.id: row for node in part.own if node[1] == wanted for row in replay.cases_holding(node)}
    orders = {n: row for n, row in held.items() if row.name.partition(":")[2] == wanted}
    found = list((named or orders or held).values())
    if not found:
        raise NoLife(f"this history names {wanted!r}, but nothing was ever seen of it")
    if len(found) > 1:
        raise NoLife(f"{wanted!r} is in several cases: {', '.join(sorted(row.name for row in found))}; name one of them")
    return found[0]


def _lives_on_in(absorbed: Mapping[int, int], case_id: int) -> int:
    while case_id in absorbed:
        case_id = absorbed[case_id]
    return case_id


def _same(wanted: Sequence[str], found: Sequence[str]) -> int:
    """How many of the recorded decisions came out the same; a decision that says what the one before it said is not recorded."""
    changed = [digest for n, digest in enumerate(found) if n == 0 or digest != found[n - 1]]
    if changed == list(wanted):
        return len(wanted)
    return next((n for n, (a, b) in enumerate(zip(wanted, changed, strict=False)) if a != b), min(len(wanted), len(changed)))


def _names(store: Store, row: CaseRow) -> frozenset[str]:
    """Everything the case is known by: its records, and what they name."""
    nodes = [(record.kind, record.key) for record in store.records.of_case(row.id)]
    named = [near for node in nodes for near in store.records.neighbours(node)]
    return frozenset({row.name, *(f"{kind}:{key}" for kind, key in (*nodes, *named) if key)})


def _deciding(store: Store, names: frozenset[str]) -> frozenset[str]:
    """The rule sets that decided these cases."""
    found: set[str] = set()
    last = 0
    while page := store.cases.decisions(last, PAGE):
        found |= {looked.rule_set for looked in page if looked.case in names}
        last = page[-1].id
    return frozenset(found)


def _client_events(rule_sets: Iterable[RuleSet]) -> frozenset[str]:
    """Kinds of events that tell of what is the same for every case of the client."""
    return frozenset(
        mapping.event
        for rule_set in rule_sets
        for mappings in rule_set.mappings.values()
        for mapping in mappings
        if mapping.kind in rule_set.vocabulary.client
    )
