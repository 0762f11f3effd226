"""With which rule set a service starts: what lies in the files, under the same rule as a later change; else the last one."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from engine.language.files import Files
from engine.language.ruleset import RuleSet
from engine.problems import ProblemsFound
from engine.run.clock import Clock
from engine.run.deciding.worker import Worker
from engine.run.rules.candidate import Candidate, OnDisk, candidate_of, other_connectors, other_settings
from engine.run.rules.comparison import Comparing, Comparison
from engine.run.rules.past import NoSuchRuleSet, find_rule_set
from engine.run.rules.reload import RulesState
from engine.run.rules.status import Attempt, Waiting
from engine.run.service import maps_alike
from engine.store.base import Store
from engine.store.rows import ActivationRequest, RuleSetRow


class CannotStart(Exception):  # noqa: N818 - named for what it tells
    """Nobody can tell what the files would change; the message says what to do."""


@dataclass(slots=True)
class Start:
    """The rule set to begin with, the last active one where it is another, why, and what was asked for and is answered so."""

    begin: Candidate
    state: RulesState
    why: str
    by: str = "instep"
    before: RuleSet | None = None
    answers: tuple[tuple[int, str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    request: ActivationRequest
    candidate: Candidate | None
    outcome: str


def choose(store: Store, clock: Clock, client: str, disk: OnDisk, made: Candidate | ProblemsFound) -> Start:
    """Raises `ProblemsFound` where neither the files nor the last active set will do, and `CannotStart`."""
    last = store.rule_sets.current()
    if last is None or last.client != client:  # the store of another client is refused when the rule set is activated
        return Start(or_raise(made), _state(clock, disk, made), "first start")
    return _Choice(store, clock, disk, made, last).start()


class _Choice:
    def __init__(self, store: Store, clock: Clock, disk: OnDisk, made: Candidate | ProblemsFound, last: RuleSetRow) -> None:
        self._store = store
        self._clock = clock
        self._disk = disk
        self._made = made
        self._last = last
        self._log = structlog.get_logger("instep.reload").bind(client=last.client)

    def start(self) -> Start:
        asked = self._asked()
        chosen = asked[-1] if asked else None
        answers = tuple((one.request.id, one.outcome, one.candidate is not None and one is chosen) for one in asked)
        begun = self._begun(chosen)
        return Start(begun.begin, begun.state, begun.why, begun.by, begun.before, answers)

    def _begun(self, chosen: _Asked | None) -> Start:
        last, made, disk = self._last, self._made, self._disk
        if chosen is not None and chosen.candidate is not None:
            return self._by_hand(chosen.candidate, chosen.request)
        if isinstance(made, Candidate) and made.rule_set.hash == last.hash:
            return Start(made, _state(self._clock, disk, made), "start")
        old = self._old()
        if isinstance(made, ProblemsFound):
            if old is None:
                raise made
            for problem in made.problems:
                self._log.warning("rules_not_taken", place=str(problem.place), code=problem.code, message=problem.message)
            return Start(old, _state(self._clock, disk, made, old), "start")
        if old is None:
            raise CannotStart(
                f"this version of instep does not take the files of the last active rule set {last.hash}, so nobody can tell what"
                " the files here would change. To say that they may be used:"
                f" instep rules activate --client {last.client} --by NAME"
            )
        state = _state(self._clock, disk, made, old)
        if last.passed_over and last.passed_over == disk.digest:
            state.passed_over = last.passed_over
            return Start(old, state, "start")
        found = self._compared(old, made)
        if reasons := found.reasons():
            state.waiting = Waiting(
                made, tuple(reasons), self._clock(), found, restart=bool(other_connectors(old.config, made.config))
            )
            self._log.warning("rules_wait", rule_set=made.rule_set.hash, reasons=reasons, activate="instep rules activate")
            return Start(old, state, "start")
        return Start(made, _state(self._clock, disk, made), "files changed before the start", before=old.rule_set)

    def _by_hand(self, candidate: Candidate, request: ActivationRequest) -> Start:
        state = _state(self._clock, self._disk, self._made, candidate)
        if candidate.rule_set.hash != state.on_disk:
            state.passed_over = self._disk.digest
        old = self._old()
        before = old.rule_set if old else None
        return Start(candidate, state, "chosen by hand", request.asked_by, before)

    def _asked(self) -> list[_Asked]:
        requests = self._store.rule_sets.requested()
        return [
            *(_Asked(request, None, "another one was asked for after it") for request in requests[:-1]),
            *(self._wanted(request) for request in requests[-1:]),
        ]

    def _wanted(self, request: ActivationRequest) -> _Asked:
        made = self._made
        if isinstance(made, Candidate) and made.rule_set.hash.startswith(request.hash):
            return _Asked(request, made, f"{made.rule_set.hash} is active")
        if not request.hash:
            return _Asked(request, None, "the files do not make a rule set: `instep check` says why")
        try:
            row = find_rule_set(self._store, request.hash)
            candidate = candidate_of(Files.of(self._store.rule_sets.files(row.id)), row.client)
        except NoSuchRuleSet as no:
            return _Asked(request, None, str(no))
        except ProblemsFound as found:
            return _Asked(request, None, f"this version of instep does not take its files: {next(iter(found.problems))}")
        return _Asked(request, candidate, f"{candidate.rule_set.hash} is active; the files are left alone until they change")

    def _old(self) -> Candidate | None:
        try:
            return candidate_of(Files.of(self._store.rule_sets.files(self._last.id)), self._last.client)
        except ProblemsFound as found:
            self._log.warning("last_rules_not_taken", rule_set=self._last.hash, problem=str(next(iter(found.problems))))
            return None

    def _compared(self, old: Candidate, made: Candidate) -> Comparison:
        worker = Worker(self._store, self._clock)
        worker.use(old.rule_set, self._last.id)
        alike = maps_alike(old.rule_set, made.rule_set)
        comparing = Comparing(self._store, worker, made.rule_set, self._clock, alike=alike)
        for _ in comparing.steps():
            pass
        return comparing.finish()


def _state(clock: Clock, disk: OnDisk, made: Candidate | ProblemsFound, begin: Candidate | None = None) -> RulesState:
    if isinstance(made, ProblemsFound):
        attempt, on_disk = Attempt(clock(), problems=tuple(made.problems)), ""
    else:
        attempt, on_disk = Attempt(clock(), made.rule_set.hash), made.rule_set.hash
    config = or_raise(made).config if begin is None else begin.config
    settings = () if isinstance(made, ProblemsFound) else tuple(other_settings(config, made.config))
    return RulesState(attempt, config, disk.digest, on_disk, disk.own, settings=settings)


def or_raise(made: Candidate | ProblemsFound) -> Candidate:
    if isinstance(made, ProblemsFound):
        raise made
    return made
