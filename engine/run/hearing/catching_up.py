"""What an activation leaves to be done, a little at a time, so that nothing else waits for it.

Open cases are woken; before anything is done for one of them its latest payloads are mapped anew and it is decided anew. What
was set aside is tried again.
"""

from __future__ import annotations

from collections import deque

from engine.run.clock import Clock
from engine.run.deciding.worker import Worker
from engine.run.hearing.intake import BATCH, Intake
from engine.store.base import Store


class CatchUp:
    """Ends with a mark in the store; a process that ended before it begins anew."""

    def __init__(self, store: Store, worker: Worker, intake: Intake, clock: Clock) -> None:
        self._store = store
        self._worker = worker
        self._intake = intake
        self._clock = clock
        self._rule_set_id = 0
        self._mapping = False
        self._aside: deque[int] = deque()
        self._done = True
        worker.map_anew = self._map_anew

    def begin(self, rule_set_id: int, *, mapping: bool) -> None:
        """All open cases are behind from now on. `mapping` says whether payloads become other records than before."""
        now = self._clock()
        cases = self._store.cases.all_open()
        self._mapping = mapping or (self._mapping and not self._done)
        self._rule_set_id, self._done = rule_set_id, False
        self._worker.fall_behind(cases)
        self._store.cases.wake(cases, now)
        if mapping:
            self._aside = deque(row.seq for row in self._store.journal.waiting_aside())
            for exception in self._store.exceptions.of_client():
                if exception.entry.rule == "set_aside":
                    self._store.exceptions.close_one(None, exception.entry.key, now, "read again with changed mappings")

    def some(self) -> bool:
        """A few of what was set aside. True if there was anything to do."""
        if self._done:
            return False
        if self._aside:
            self._intake.take_again([self._aside.popleft() for _ in range(min(BATCH, len(self._aside)))])
            return True
        if not self._worker.behind:
            self._done = True
            self._store.rule_sets.caught_up(self._rule_set_id, self._clock())
        return False

    def _map_anew(self, case_id: int) -> None:
        if self._mapping:
            rows = self._store.records.of_case(case_id)
            others = self._intake.map_again(seq for row in rows for seq in row.sources.values()) - {case_id}
            self._store.cases.wake(sorted(others), self._clock())
