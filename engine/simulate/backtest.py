"""A recorded history under one rule set, or under two side by side, part by part over a pool of processes.

What comes out does not depend on how many processes there are, nor on which is done first: figures are added up, and what is told
in full is of the first parts of the history.
"""

from __future__ import annotations

import errno
import hashlib
import sqlite3
import tempfile
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
from engine.simulate import packed, parts
from engine.simulate.chunks import Chunk
from engine.simulate.crew import Crew
from engine.simulate.cutting import Cutter, Found
from engine.simulate.difference import Difference, differences
from engine.simulate.every_case import EveryCase
from engine.simulate.history import Entry, Looked, Stepped
from engine.simulate.oracle import Difference as Disagreement
from engine.simulate.oracle import SecondOpinion
from engine.simulate.parts import Parts, Range
from engine.simulate.replay import Mode, Replay, Seen, Told, ToldAt, mappings_of, past_of
from engine.simulate.seen import CaseSeen, Recorder, Totals

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
    cases: EveryCase = field(default_factory=EveryCase)  # where they are kept
    recorded: int = 0
    same: int = 0
    unlike: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)  # decisions that were recorded under other rule sets
    digest: str = ""  # over every case, its effects, exceptions and decisions
    opinions: int = 0
    disagreements: list[Disagreement] = field(default_factory=list)
    note: str = ""  # what the history does not tell any more

    def add(self, other: Result) -> None:
        """The figures of other parts."""
        self.after.merge(other.after)
        self.before.merge(other.before)
        self.kinds.update(other.kinds)
        self.reactions += other.reactions
        self.differing += other.differing
        self.recorded += other.recorded
        self.same += other.same
        self.unlike.extend(other.unlike)
        self.others.update(other.others)
        self.digest = _sum(self.digest, other.digest)
        self.opinions += other.opinions


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a range of parts. `cases` are packed, by name."""

    result: Result
    cases: list[tuple[str, bytes]]


def backtest(
    plan: Plan,
    history: Iterable[Entry],
    *,
    workers: int = 1,
    cutting: parts.Cutting = lambda *_: None,
    replaying: Callable[[int, int], None] = lambda *_: None,
) -> Result:
    """Replays a history. `cutting` is told how many events were read, and of how many about, 0 where that is not known;
    `replaying` how many entries of how many are replayed. Raises `ProblemsFound` for rule sets, `BadHistory` for the history,
    and OSError where there is no room for what was read.
    """
    sets = _rule_sets(plan)
    result = Result(sets[0].hash, sets[1].hash if len(sets) > 1 else "")
    first = _First()
    with (
        tempfile.TemporaryDirectory(prefix="instep-") as folder,
        _in_room(folder),
        _Work(plan, sets) as here,
        Crew(workers, here, partial(_Work, plan)) as crew,
    ):
        place = Path(folder)
        cut = parts.cut(history, sets, place, lambda chunks: _cut(crew, place, chunks), cutting)
        result.after.counts.update({"events": cut.events, "outside": cut.set_aside})
        with Parts(cut) as found:
            ranges = found.ranges()
        done, of = 0, sum(some.entries for some in ranges)
        replaying(done, of)
        ranges.sort(key=lambda some: -some.entries)  # what takes longest first: nobody waits for it at the end
        for (_, some), replayed in crew.as_done(_Work.replay, ((cut, some) for some in ranges)):
            result.add(replayed.result)
            result.cases.add(replayed.cases)
            first.add(some.first, replayed.result)
            done += some.entries
            replaying(done, of)
    first.put_into(result)
    return result


@contextmanager
def _in_room(folder: str) -> Iterator[None]:
    """Says of a full disk which one, and what to do."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as fault:
        if "disk is full" not in str(fault) and getattr(fault, "errno", 0) != errno.ENOSPC:
            raise
        said = "no room for what was read of the history, about as much as it holds: TMPDIR names another place"
        raise OSError(errno.ENOSPC, said, folder) from None


def _cut(crew: Crew[_Work], folder: Path, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Found]]:
    return ((chunk, found) for (_, chunk), found in crew.in_order(_Work.cut, ((folder, chunk) for chunk in chunks)))


class _First:
    """What is told in full: the first cases of the history, in whatever order its parts come."""

    def __init__(self) -> None:
        self._found: list[tuple[int, Result]] = []

    def add(self, place: int, result: Result) -> None:
        if result.stories or result.disagreements:
            insort(self._found, (place, result), key=lambda one: one[0])
            before = disagree = 0
            for _, one in self._found:
                if before >= MOST_STORIES:
                    one.stories, one.differences = [], []
                if disagree >= MOST_DISAGREEMENTS:
                    one.disagreements = []
                before, disagree = before + len(one.stories), disagree + len(one.disagreements)
            self._found = [one for one in self._found if one[1].stories or one[1].disagreements]

    def put_into(self, result: Result) -> None:
        for _, one in self._found:
            stories = one.stories[: MOST_STORIES - len(result.stories)]
            told = {story.case for story in stories}
            result.stories.extend(stories)
            result.differences.extend(d for d in one.differences if d.case in told)
            result.disagreements.extend(one.disagreements[: MOST_DISAGREEMENTS - len(result.disagreements)])
        result.differences.sort(key=lambda d: (d.case, d.at))
        result.stories.sort(key=lambda story: story.case)
        result.unlike.sort()


def _rule_sets(plan: Plan) -> list[RuleSet]:
    given = (plan.candidate, plan.against)
    return [load(Files(contents), plan.client, installed_actions()) for contents in given if contents is not None]


@dataclass(frozen=True, slots=True)
class ClientChange:
    """A change of what is the same for every case: the observations, and all such records after it."""

    place: int
    entry: ToldAt
    states: tuple[RecordState, ...]


class _Work:
    """What one process does."""

    def __init__(self, plan: Plan, sets: list[RuleSet] | None = None) -> None:
        self._plan = plan
        self._stack = ExitStack()
        self._sets = _rule_sets(plan) if sets is None else sets
        self._cutter: Cutter | None = None
        self._parts: Parts | None = None
        self._ends: datetime | None = None
        self._changes: dict[str, tuple[ClientChange, ...]] = {}
        self._second: SecondOpinion | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def cut(self, told: tuple[Path, Chunk]) -> Found:
        """Reads a chunk of the history."""
        folder, chunk = told
        if self._cutter is None:
            self._cutter = Cutter(self._sets, folder)
        return self._cutter.cut(chunk)

    def replay(self, asked: tuple[parts.Cut, Range]) -> Replayed:
        """Replays a range of parts."""
        cut, some = asked
        if self._parts is None:
            self._cutter = None  # all is read, and it remembers much
            self._ends = cut.ends
            self._parts = self._stack.enter_context(Parts(cut))
            if self._plan.second_opinion:
                self._second = self._stack.enter_context(SecondOpinion(self._sets[0]))
        replayed = Replayed(Result(""), [])
        for one in self._parts.of(some):
            if one.entries and self._plan.wanted.takes(one):
                self._part(one, replayed)
        return replayed

    def _part(self, one: parts.Part, replayed: Replayed) -> None:
        result = replayed.result
        if self._plan.exact:
            self._compare_with_recorded(one, result)
        after = self._run(one, self._sets[0], "what_if", result.after, result)
        result.digest = _sum(result.digest, *(_digest(f"{c.case} {c!r}") for c in after.values()))
        if self._plan.keep_cases:
            replayed.cases.extend((name, packed.dumps(case)) for name, case in after.items())
        if len(self._sets) < 2:
            return
        before = self._run(one, self._sets[1], "what_if", result.before)
        for case in sorted(before.keys() | after.keys()):
            found = differences(case, before.get(case), after.get(case))
            if found:
                result.differing += 1
                result.kinds.update((d.what, d.rule) for d in found)
                result.reactions += sum(d.reaction for d in found)
                if len(result.stories) < MOST_STORIES:
                    result.differences.extend(found)
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
            replay.run_until(self._ends or replay.clock(), inclusive=True)
        return replay

    def _compare_with_recorded(self, one: parts.Part, result: Result) -> None:
        looks = [entry for _, entry in one.entries if isinstance(entry, Looked)]
        others = [entry.rule_set for entry in looks if entry.rule_set != self._sets[0].hash]
        result.others.update(others)
        if others:
            return
        recorder = Recorder()
        self._replay(one, self._sets[0], "exact", recorder)
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
        if rule_set.hash not in self._changes and self._parts is not None:
            self._changes[rule_set.hash] = tuple(client_changes(self._parts.shared(), rule_set))
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


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _sum(*digests: str) -> str:
    """One for many, in whatever order they come."""
    return f"{sum(int(one, 16) for one in digests if one) % 2**128:032x}"
