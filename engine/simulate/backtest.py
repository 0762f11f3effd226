"""A recorded history under one rule set, or under two side by side, part by part over a pool of processes.

What comes out does not depend on how many processes there are: the parts and the order in which they are put together again are
those of the history.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import sqlite3
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Self

from engine.facts.merge import merge
from engine.facts.outside import installed_actions
from engine.facts.record import Observation, RecordState
from engine.language.files import Files
from engine.language.pack import load
from engine.language.ruleset import RuleSet
from engine.simulate import parts
from engine.simulate.difference import Difference, differences
from engine.simulate.history import Entry, Looked, Stepped
from engine.simulate.oracle import Difference as Disagreement
from engine.simulate.oracle import SecondOpinion
from engine.simulate.replay import Mode, Replay, Seen, Told, ToldAt, mappings_of, past_of
from engine.simulate.seen import CaseSeen, Recorder, Totals

SPANS = 128  # ranges of parts that are worked off one at a time
MOST_STORIES = 2000  # cases that differ and are told in full
MOST_DISAGREEMENTS = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a history to replay: cases that began since an instant, the parts with these records, a share of all parts."""

    since: datetime | None = None
    cases: frozenset[str] = frozenset()
    share: Decimal = Decimal(1)

    def takes(self, one: parts.Part) -> bool:
        if self.cases and not any(key in self.cases or f"{kind}:{key}" in self.cases for kind, key in one.own):
            return False
        if self.since is not None and one.entries[0][1].at < self.since:
            return False
        return self.share >= 1 or _point(one) < self.share


@dataclass(frozen=True, slots=True)
class Plan:
    """Which rule sets, from which files by name, on which parts. `exact` also replays what was recorded, step by step."""

    client: str
    candidate: Mapping[str, bytes]
    against: Mapping[str, bytes] | None = None
    exact: bool = False
    wanted: Wanted = field(default_factory=Wanted)
    keep_cases: bool = False  # the outcome of every case in the result, to be kept or held against what was kept
    second_opinion: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """A case that differs, told in full: what was observed, and what came of it with each rule set."""

    case: str
    observed: tuple[tuple[datetime, str], ...]
    before: CaseSeen | None
    after: CaseSeen | None


@dataclass(slots=True)
class Result:
    """What came of it. `before` and `differences` are there where two rule sets were compared, `recorded` and `unlike` where
    the recorded decisions were: how many there are, and the cases that came out otherwise.
    """

    rule_set: str
    against: str = ""
    after: Totals = field(default_factory=Totals)
    before: Totals = field(default_factory=Totals)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)  # what differs, and the rule it is by
    reactions: int = 0
    differing: int = 0  # cases
    differences: list[Difference] = field(default_factory=list)
    stories: list[Story] = field(default_factory=list)
    cases: dict[str, CaseSeen] = field(default_factory=dict)
    recorded: int = 0
    same: int = 0
    unlike: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)  # decisions that were recorded under other rule sets
    digest: str = ""  # over every case, its effects, exceptions and decisions
    opinions: int = 0
    disagreements: list[Disagreement] = field(default_factory=list)
    note: str = ""  # what the history does not tell any more

    def merge(self, other: Result) -> None:
        """Adds the next range of parts."""
        self.after.merge(other.after)
        self.before.merge(other.before)
        self.kinds.update(other.kinds)
        self.reactions += other.reactions
        self.differing += other.differing
        room = MOST_STORIES - len(self.stories)
        told = {story.case for story in other.stories[:room]}
        self.stories.extend(other.stories[:room])
        self.differences.extend(d for d in other.differences if d.case in told)
        self.cases.update(other.cases)
        self.recorded += other.recorded
        self.same += other.same
        self.unlike.extend(other.unlike)
        self.others.update(other.others)
        self.digest = _digest(self.digest, other.digest)
        self.opinions += other.opinions
        self.disagreements = [*self.disagreements, *other.disagreements][:MOST_DISAGREEMENTS]


def backtest(
    plan: Plan,
    history: Iterable[Entry],
    *,
    workers: int = 1,
    cutting: Callable[[int], None] = lambda _: None,
    replaying: Callable[[int, int, int], None] = lambda *_: None,
) -> Result:
    """Replays a history. `cutting` is told how many events were read, `replaying` how many ranges of how many are done and how
    many events that were. Raises `ProblemsFound` for rule sets, `BadHistory` for the history.
    """
    sets = _rule_sets(plan)
    result = Result(sets[0].hash, sets[1].hash if len(sets) > 1 else "")
    with tempfile.TemporaryDirectory(prefix="instep-") as folder:
        cut = parts.cut(history, sets, Path(folder) / "parts.sqlite", SPANS, cutting)
        result.after.counts.update({"events": cut.events, "outside": cut.set_aside})
        work = partial(_Work, plan, cut)
        for done, found in enumerate(_mapped(work, sets, cut.spans, workers), 1):
            result.merge(found)
            replaying(done, len(cut.spans), cut.events)
    result.differences.sort(key=lambda d: (d.case, d.at))
    result.stories.sort(key=lambda story: story.case)
    return result


def _rule_sets(plan: Plan) -> list[RuleSet]:
    given = (plan.candidate, plan.against)
    return [load(Files(contents), plan.client, installed_actions()) for contents in given if contents is not None]


def _mapped(work: Callable[[], _Work], sets: list[RuleSet], spans: tuple[tuple[int, int], ...], workers: int) -> Iterator[Result]:
    if workers <= 1 or len(spans) <= 1:
        with work() as here:
            here.sets = sets
            for span in spans:
                yield here.span(span)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(spans)), mp_context=context, initializer=_begin, initargs=(work,)) as pool:
        yield from pool.map(_span, spans)


_here: list[_Work] = []  # of a process of the pool: what it was started with


def _begin(work: Callable[[], _Work]) -> None:
    _here.append(work().__enter__())


def _span(span: tuple[int, int]) -> Result:
    return _here[0].span(span)


@dataclass(frozen=True, slots=True)
class ClientChange:
    """A change of what is the same for every case: the observations, and all such records after it."""

    place: int
    entry: ToldAt
    states: tuple[RecordState, ...]


class _Work:
    """Replays parts in one process."""

    def __init__(self, plan: Plan, cut: parts.Cut) -> None:
        self._plan = plan
        self._cut = cut
        self._stack = ExitStack()
        self.sets: list[RuleSet] = []

    def __enter__(self) -> Self:
        self._db = self._stack.enter_context(closing(sqlite3.connect(self._cut.path)))
        self._shared = parts.shared(self._db)
        self._changes: dict[str, tuple[ClientChange, ...]] = {}
        self._second: SecondOpinion | None = None
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def span(self, span: tuple[int, int]) -> Result:
        if not self.sets:
            self.sets = _rule_sets(self._plan)
        if self._plan.second_opinion and self._second is None:
            self._second = self._stack.enter_context(SecondOpinion(self.sets[0]))
        result = Result("")
        for one in parts.parts(self._db, span):
            if one.entries and self._plan.wanted.takes(one):
                self._part(one, result)
        return result

    def _part(self, one: parts.Part, result: Result) -> None:
        if self._plan.exact:
            self._compare_with_recorded(one, result)
        after = self._run(one, self.sets[0], "what_if", result.after, result)
        result.digest = _digest(result.digest, *(f"{c.case} {c!r}" for c in after.values()))
        if self._plan.keep_cases:
            result.cases.update(after)
        if len(self.sets) < 2:
            return
        before = self._run(one, self.sets[1], "what_if", result.before)
        for case in sorted(before.keys() | after.keys()):
            found = differences(case, before.get(case), after.get(case))
            if found:
                result.differing += 1
                result.differences.extend(found)
                result.kinds.update((d.what, d.rule) for d in found)
                result.reactions += sum(d.reaction for d in found)
                result.stories.append(Story(case, _observed(one), before.get(case), after.get(case)))

    def _run(
        self, one: parts.Part, rule_set: RuleSet, mode: Mode, totals: Totals, judged: Result | None = None
    ) -> Mapping[str, CaseSeen]:
        recorder = Recorder()

        def seen(decision: Seen) -> None:
            recorder(decision)
            if self._second is not None and judged is not None:
                judged.opinions += 1
                judged.disagreements += self._second.differences(decision.decision)[
                    : MOST_DISAGREEMENTS - len(judged.disagreements)
                ]

        replay = self._replay(one, rule_set, mode, seen)
        cases = recorder.cases(replay.absorbed)
        counted = {"decisions": recorder.passes, "set_aside": replay.set_aside, "missed_answers": replay.missed_answers}
        totals.add(cases, counted)
        return {case.case: case for case in cases}

    def _replay(self, one: parts.Part, rule_set: RuleSet, mode: Mode, record: Callable[[Seen], None]) -> Replay:
        past = past_of((e for _, e in one.entries if isinstance(e, Stepped)), one.outcomes)
        replay = Replay(rule_set, mode, past, record, one.entries[0][1].at, own=one.own)
        changes = self._changes_under(rule_set)
        begun = bisect_right(changes, one.entries[0][0], key=lambda c: c.place)
        if begun:
            replay.preset(changes[begun - 1].states)
        later = [(c.place, c.entry) for c in changes[begun:]]
        for _, entry in sorted([*later, *one.entries], key=lambda placed: placed[0]):
            replay.take(entry)
        if mode == "what_if":
            replay.run_until(self._cut.ends or replay.clock(), inclusive=True)
        return replay

    def _compare_with_recorded(self, one: parts.Part, result: Result) -> None:
        looks = [entry for _, entry in one.entries if isinstance(entry, Looked)]
        others = [entry.rule_set for entry in looks if entry.rule_set != self.sets[0].hash]
        result.others.update(others)
        if others:
            return
        recorder = Recorder()
        self._replay(one, self.sets[0], "exact", recorder)
        wanted: dict[str, list[str]] = {}
        for entry in looks:
            wanted.setdefault(entry.case, []).append(entry.digest)
        found = recorder.digests()
        for case, digests in sorted(wanted.items()):
            result.recorded += len(digests)
            alike = found.get(case) == digests
            result.same += len(digests) if alike else _common(found.get(case, []), digests)
            if not alike:
                result.unlike.append(case)

    def _changes_under(self, rule_set: RuleSet) -> tuple[ClientChange, ...]:
        """Only what changes something is of interest to a part: most polls of a shop's account say what was known."""
        if rule_set.hash not in self._changes:
            self._changes[rule_set.hash] = tuple(client_changes(self._shared, rule_set))
        return self._changes[rule_set.hash]


def client_changes(shared: Iterable[tuple[int, ToldAt]], rule_set: RuleSet) -> Iterator[ClientChange]:
    """What really changed of the records that are the same for every case, as this rule set maps them."""
    states: dict[tuple[str, str], RecordState] = {}
    mappings, kinds = mappings_of(rule_set), rule_set.vocabulary.client
    for place, entry in shared:
        changed: list[Told] = []
        for told in entry.events:
            news = [_merged(states, one) for one in told.observed.get(mappings, ()) if one.kind in kinds]
            if any(news):
                changed.append(told)
        if changed:
            yield ClientChange(place, ToldAt(entry.at, tuple(changed)), tuple(states[node] for node in sorted(states)))


def _merged(states: dict[tuple[str, str], RecordState], one: Observation) -> bool:
    node = (one.kind, one.key)
    before = states.get(node)
    states[node] = merge(before, one)
    return states[node] != before


def _observed(one: parts.Part) -> tuple[tuple[datetime, str], ...]:
    taken = [entry for _, entry in one.entries if isinstance(entry, ToldAt)]
    return tuple((entry.at, told.what) for entry in taken for told in entry.events)


def _common(one: list[str], other: list[str]) -> int:
    """How many decisions at the start are the same."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _point(one: parts.Part) -> Decimal:
    """Where in [0, 1) a part falls, by what it is about, the same in every run."""
    first = min(f"{kind}:{key}" for kind, key in one.own)
    return Decimal(int.from_bytes(hashlib.blake2b(first.encode(), digest_size=6).digest(), "big")) / 2**48


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=16).hexdigest()
