"""What a candidate has to do next, and keeping what it did: all of a run that touches the store."""

from __future__ import annotations

from engine.run.service import Service
from engine.simulate.candidates.figures import Figures
from engine.simulate.candidates.following import NEAR
from engine.simulate.candidates.looks import Absorbed, Item, Look, Real, Turn
from engine.simulate.candidates.process import Answered, Asked
from engine.simulate.candidates.waiting import Waiting
from engine.store.candidates import BesideRow, CandidateRun

AT_ONCE = 20  # looks; what is made ready for the other process in one go keeps the service waiting for some milliseconds
TAKEN_UP = 5  # cases that are looked at only for the candidate, each of which costs a decision
MOST_KEPT = 20_000  # cases one by one; of those beyond, the figures
RETIRED = 50  # at once


class Work:
    """The cases of one run."""

    def __init__(self, service: Service, run: CandidateRun, most_kept: int = MOST_KEPT) -> None:
        self._service = service
        self._store = service.store
        self._kept_of = service.store.candidates
        self._run = run
        self._most_kept = most_kept
        self._taking_up = True
        self._cannot: set[int] = set()  # cases that cannot be decided now: that is somebody's already
        self.differing = self._kept_of.differing(run.id)
        self.faults = 0
        self.fault = ""

    def take_up_again(self) -> None:
        """Looks were lost: whatever was decided since a case was followed last is looked at as it is now."""
        self._taking_up = True

    def next(self, waiting: Waiting) -> Asked:
        """What waits; cases the candidate has not seen; and what it does by itself."""
        items = [item for case in waiting.take(AT_ONCE) for item in case]
        self._begin_anew(waiting)
        rows = self._rows(items)
        if len(items) < AT_ONCE:
            items += self._not_followed(waiting, rows)
            items += self._turns(waiting, rows)
        return Asked(rows, items)

    def waiting(self, waiting: Waiting) -> Asked:
        """Only of what waits."""
        items = [item for case in waiting.take(AT_ONCE) for item in case]
        self._begin_anew(waiting)
        return Asked(self._rows(items), items)

    def keep(self, asked: Asked, answered: Answered) -> None:
        """In a transaction of the caller's."""
        looks = sum(isinstance(one, Look) for one in asked.work) - len(answered.faults)
        self._kept_of.put(self._run.id, answered.rows.values())
        self._kept_of.drop(self._run.id, answered.gone)
        self._kept_of.count(self._run.id, looks=max(looks, 0), missed=answered.missed)
        for fault in answered.faults:
            self.count_fault(fault)
        self.differing.difference_update(answered.gone, (i for i, row in answered.rows.items() if not row.differences))
        self.differing.update(i for i, row in answered.rows.items() if row.differences)
        self._retire()

    def count_fault(self, fault: str) -> None:
        """In a transaction of the caller's."""
        self.faults += 1
        self.fault = fault
        self._kept_of.count(self._run.id, faults=1, fault=fault)

    def _rows(self, items: list[Item]) -> dict[int, BesideRow]:
        rows: dict[int, BesideRow] = {}
        for item in items:
            for case_id in (item.gone, item.into) if isinstance(item, Absorbed) else (item.case_id,):
                row = self._kept_of.get(self._run.id, case_id)
                if row is not None:
                    rows[case_id] = row
        return rows

    def _begin_anew(self, waiting: Waiting) -> None:
        if waiting.lost:
            with self._store.transaction():
                self._kept_of.drop(self._run.id, waiting.lost)
                self._kept_of.count(self._run.id, anew=len(waiting.lost))
            waiting.lost.clear()

    def _not_followed(self, waiting: Waiting, rows: dict[int, BesideRow]) -> list[Item]:
        if not self._taking_up or self._kept_of.kept(self._run.id) >= self._most_kept:
            return []
        found = self._kept_of.not_followed(self._run.id, TAKEN_UP + len(self._cannot) + len(waiting) + len(rows))
        wanted = [i for i in found if i not in waiting and i not in rows and i not in self._cannot][:TAKEN_UP]
        self._taking_up = bool(wanted)
        looks: list[Item] = []
        for case_id in wanted:
            look = self._look(case_id)
            if look is None:
                self._cannot.add(case_id)
                continue
            looks.append(look)
            row = self._kept_of.get(self._run.id, case_id)
            if row is not None:
                rows[case_id] = row
        return looks

    def _look(self, case_id: int) -> Look | None:
        worker = self._service.worker
        row = self._store.cases.get(case_id)
        try:
            return None if row is None else Look.now(row, worker.case(row), worker.memory(row), worker.look(row), worker.rule_set)
        except Exception:
            return None  # the active set cannot decide it either

    def _turns(self, waiting: Waiting, rows: dict[int, BesideRow]) -> list[Item]:
        worker, now = self._service.worker, self._service.clock()
        until = now - NEAR
        turns: list[Item] = []
        for row in self._kept_of.due(self._run.id, until, now, AT_ONCE):
            live = self._store.cases.get(row.case_id)
            if live is None or row.case_id in waiting or row.case_id in rows:
                continue
            case = worker.case(live)
            real = Real.of(worker.memory(live), worker.rule_set, case.opened_at)
            turns.append(Turn(row.case_id, case, real, until))
            rows[row.case_id] = row
        return turns

    def _retire(self) -> None:
        """The oldest details go, their figures stay."""
        if self._kept_of.kept(self._run.id) <= self._most_kept:
            return
        run = self._kept_of.run(self._run.id)
        figures = Figures.of_text(run.retired if run is not None else "")
        rows = self._kept_of.oldest(self._run.id, RETIRED)
        for row in rows:
            figures.add(row, self._run.started_at)
        self._kept_of.retire(self._run.id, [row.case_id for row in rows], figures.to_text())
        self.differing.difference_update(row.case_id for row in rows)
