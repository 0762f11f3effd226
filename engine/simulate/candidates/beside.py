"""A candidate beside a running service: started, fed with what the service decides, kept up to date, and ended.

The service never waits for it. What it decided is put into a queue when it was kept; all else is done between its steps, in
transactions of their own. A fault in here ends the candidate, never the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from engine.language.files import Files
from engine.problems import ProblemsFound
from engine.run.audit import INSTEP
from engine.run.deciding.worker import Decided
from engine.run.logs import where
from engine.run.rules.candidate import Candidate, candidate_of
from engine.run.rules.past import NoSuchRuleSet
from engine.run.rules.refs import files_at
from engine.run.rules.watching import stamp_of
from engine.run.service import Service, maps_alike
from engine.simulate.candidates.looks import Look
from engine.simulate.candidates.process import Asked, Beyond, CandidateGone, Deciding
from engine.simulate.candidates.waiting import Waiting
from engine.simulate.candidates.work import Work
from engine.store.candidates import CandidateRequest, CandidateRun
from engine.store.sqlite import SqliteStore
from engine.store.trouble import StoreTrouble

PAUSE = 0.25  # seconds between rounds in which there is nothing to do
BREATH = 0.05  # and between others, so that the service has its turn
GLANCE = 1.0  # seconds between looks at the files
MOST_FAULTS = 5  # cases that could not be decided, before it is stopped
MOST_DEATHS = 3  # of its process
KEPT_RUNS = 3  # whose cases are kept one by one
SHADOWED, UNSHADOWED = "put in shadow", "took out of shadow"  # in the audit trail
ACTIVE = "it is the active rule set now"

Begin = Callable[[Mapping[str, bytes], str, datetime], Deciding]


class Refused(ValueError):  # noqa: N818
    """It cannot run beside the active set; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Made:
    ref: str
    files: Mapping[str, bytes]
    candidate: Candidate
    stamp: object  # of a folder, from before it was read; None of what does not change


class Beside:
    """`run` it beside the service, on the same loop. `database` is the store's file, `root` the project. Whatever uses the store
    may raise `StoreTrouble`, which is the service's as well.
    """

    def __init__(self, service: Service, root: Path, database: Path, begin: Begin = Beyond) -> None:
        self._service = service
        self._store = service.store
        self._root = root
        self._database = database
        self._begin = begin
        self._client = service.rule_set.client
        self._run: CandidateRun | None = None
        self._made: _Made | None = None
        self._deciding: Deciding | None = None
        self._waiting = Waiting()
        self._work: Work | None = None
        self._deaths = 0
        self._problem = ""
        self._stamp: object = None
        self._unsettled: object = None
        self._log = structlog.get_logger("instep.candidate").bind(client=self._client)
        service.candidate_status = self.status

    # --- from outside ---

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, whatever the candidate is at. No fault in here ends the service."""
        stopping, working = asyncio.create_task(stop.wait()), asyncio.create_task(self._go_on())
        try:
            await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopping, working):
                task.cancel()
            self.close()
        with suppress(asyncio.CancelledError):
            await working

    async def _go_on(self) -> None:
        await self.resume()
        looked = 0.0
        while True:
            busy = False
            try:
                clock = asyncio.get_running_loop().time()
                if clock - looked >= GLANCE:
                    looked = clock
                    await self.grant()
                    await self.read_again()
                busy = await self.round()
            except StoreTrouble:
                raise
            except Exception as fault:
                self._log.error("candidate_failed", **where(fault))
                self._end(f"a fault of instep: {type(fault).__name__}: {fault}")
            await asyncio.sleep(BREATH if busy and not self._store.journal.behind() else PAUSE)

    async def start(self, ref: str, by: str) -> str:
        """Begins with this candidate, or goes on with it. Answers what is so now. Raises `Refused`."""
        made = await self._make(ref)
        run, active = self._run, self._service.rule_set.hash
        new = made.candidate.rule_set.hash
        if run is not None and (run.hash, run.against) == (new, active):
            return f"the candidate {new} runs beside {active} already"
        self._end(f"{new} was started by {by}", by)
        self._go(made, None, by)
        return f"the candidate {new} runs beside {active}"

    async def resume(self) -> None:
        """Goes on with what ran when the process ended."""
        run = self._store.candidates.running()
        if run is None or self._run is not None:
            return
        if run.hash == self._service.rule_set.hash:
            self._run = run
            self._end(ACTIVE)
            return
        try:
            made = await self._make(run.ref)
        except Refused as no:
            self._run = run
            self._end(str(no))
            return
        if (made.candidate.rule_set.hash, self._service.rule_set.hash) == (run.hash, run.against):
            self._go(made, run, run.started_by)
        else:
            self._run = run
            self._end("other rules were found at the start")
            self._go(made, None, INSTEP)

    async def grant(self) -> None:
        """Looks after what was asked for: `instep shadow start` and `instep shadow stop`."""
        for request in self._store.candidates.requested():
            outcome, fine = await self._granted(request)
            self._store.candidates.answer_request(request.id, self._service.clock(), outcome, fine=fine)

    async def read_again(self) -> None:
        """A candidate that is a folder is read again when its files were changed, and then left alone between two looks."""
        made = self._made
        if made is None or made.stamp is None:
            return
        stamp = await asyncio.to_thread(stamp_of, Path(made.ref))
        if stamp == self._stamp:
            return
        if stamp != self._unsettled:
            self._unsettled = stamp
            return
        self._stamp = stamp
        try:
            new = await self._make(made.ref)
        except Refused as no:
            self._problem = str(no)
            self._log.warning("candidate_not_taken", ref=made.ref, why=self._problem)
            return
        self._problem = ""
        if new.candidate.rule_set.hash != made.candidate.rule_set.hash:
            self._end("its files changed")
            self._go(new, None, INSTEP)

    async def round(self) -> bool:
        """A little of what waits. True if there was anything."""
        if self._run is not None and self._run.against != self._service.rule_set.hash:
            await self._active_changed()
        work = self._work
        if work is None:
            return False
        asked = work.next(self._waiting)
        if asked.work:
            await self._ask(work, asked)
        return bool(asked.work)

    async def all_done(self) -> None:
        """Everything that waits now, and what the candidate does by itself up to now."""
        while await self.round():
            pass

    def status(self) -> dict[str, Any] | None:
        """For a status page; None where nothing runs and nothing went wrong."""
        run = self._run
        if run is None:
            return None
        now = self._store.candidates.run(run.id) or run
        return {
            "ref": run.ref,
            "hash": run.hash,
            "against": run.against,
            "since": run.started_at.isoformat(),
            "by": run.started_by,
            "looks": now.looks,
            "waiting": len(self._waiting),
            "differing": len(self._work.differing) if self._work is not None else 0,
            "faults": now.faults,
            "fault": now.fault,
            "problem": self._problem,
        }

    def close(self) -> None:
        """The process that decides ends; the run goes on with the next start."""
        self._listen(None)
        if self._deciding is not None:
            self._deciding.close()
        self._deciding = None

    # --- beginning and ending ---

    async def _make(self, ref: str) -> _Made:
        """Raises `Refused`."""
        try:
            files, stamp = await asyncio.to_thread(self._files, ref)
            candidate = await asyncio.to_thread(candidate_of, files, self._client)
        except NoSuchRuleSet as no:
            raise Refused(str(no)) from None
        except ProblemsFound as found:
            first = next(iter(found.problems))
            more = f", and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
            raise Refused(f"{ref} makes no rule set: {first}{more} (instep check {ref})") from None
        active = self._service.rule_set
        if candidate.rule_set.hash == active.hash:
            raise Refused(f"{ref} means the same as the active rule set {active.hash}")
        if not maps_alike(active, candidate.rule_set):
            raise Refused(
                f"{ref} maps payloads otherwise than the active rule set, so beside it, it would decide on facts that are not"
                " its own: try it with `instep simulate --against live`, or change the mappings first and then the rules"
            )
        return _Made(ref, files.contents, candidate, stamp)

    def _files(self, ref: str) -> tuple[Files, object]:
        stamp = stamp_of(Path(ref)) if Path(ref).is_dir() else None
        store = SqliteStore.open(self._database, as_="visitor")
        try:
            return files_at(ref, self._root, store), stamp
        finally:
            store.close()

    def _go(self, made: _Made, run: CandidateRun | None, by: str) -> None:
        now, candidates = self._service.clock(), self._store.candidates
        if run is None:
            with self._store.transaction():
                hash_, against = made.candidate.rule_set.hash, self._service.rule_set.hash
                id_ = candidates.begin(made.ref, hash_, against, by, now)
                self._store.audit.append(now, by, SHADOWED, hash_, details={"ref": made.ref, "against": against})
                candidates.forget_runs(KEPT_RUNS)
            run = candidates.run(id_)
        if run is None:
            raise LookupError("the run of the candidate is not there")
        self._run, self._made, self._deaths, self._problem = run, made, 0, ""
        self._stamp = self._unsettled = made.stamp
        self._waiting.clear()
        self._work = Work(self._service, run)
        self._deciding = self._begin(made.files, self._client, now)
        self._listen(self._waiting)
        self._log.info("candidate_runs", rule_set=run.hash, against=run.against, ref=run.ref, by=run.started_by)

    def _end(self, why: str, by: str = INSTEP) -> None:
        run = self._run
        self.close()
        self._run = self._made = self._work = None
        self._waiting.clear()
        if run is not None:
            with self._store.transaction():
                now = self._service.clock()
                self._store.candidates.end(run.id, now, why)
                self._store.audit.append(now, by, UNSHADOWED, run.hash, reason=why)
            self._log.info("candidate_ended", rule_set=run.hash, why=why)

    def _listen(self, waiting: Waiting | None) -> None:
        worker = self._service.worker
        worker.told = None if waiting is None else self._hear
        worker.told_absorbed = None if waiting is None else waiting.absorbed

    def _hear(self, decided: Decided) -> None:
        """Called by the service while it works: nothing that goes wrong here is its concern."""
        try:
            self._waiting.add(Look.of(decided, self._service.rule_set))
        except Exception as fault:
            self._waiting.lost.add(decided.row.id)
            self._log.error("candidate_failed", **where(fault))

    async def _active_changed(self) -> None:
        """Another rule set is active: what was decided with the one before is still followed, then it ends or begins anew."""
        run, made, active = self._run, self._made, self._service.rule_set
        if run is None or made is None:
            return
        self._waiting.only(run.against)
        while self._work is not None and self._waiting:
            await self._ask(self._work, self._work.waiting(self._waiting))
        if self._run is None:
            return
        if active.hash == run.hash:
            self._end(ACTIVE)
        elif maps_alike(active, made.candidate.rule_set):
            self._end(f"{active.hash} is active now")
            self._go(made, None, INSTEP)
        else:
            self._end(f"{active.hash} is active now, and maps payloads otherwise")

    async def _granted(self, request: CandidateRequest) -> tuple[str, bool]:
        if not request.ref:
            run = self._run
            if run is None:
                return "no candidate runs", False
            self._end(f"stopped by {request.asked_by}", request.asked_by)
            return f"the candidate {run.hash} no longer runs beside the active rule set", True
        try:
            return await self.start(request.ref, request.asked_by), True
        except Refused as no:
            return str(no), False

    # --- at work ---

    async def _ask(self, work: Work, asked: Asked) -> None:
        if self._deciding is None:
            return
        try:
            answered = await self._deciding.answer(asked)
        except CandidateGone as gone:
            self._deaths += 1
            with self._store.transaction():
                work.count_fault(str(gone))
            if self._run is not None and self._deaths >= MOST_DEATHS:
                self._end(f"stopped: {gone}, {self._deaths} times")
            else:
                work.take_up_again()
            return
        if self._work is not work:  # it was ended meanwhile
            return
        with self._store.transaction():
            work.keep(asked, answered)
        if work.faults >= MOST_FAULTS:
            self._end(f"stopped: it could not decide {work.faults} times, last {work.fault}")
