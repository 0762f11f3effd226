"""Changed files become the active rule set while everything goes on; or wait for somebody; or say what is wrong with them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from engine.language.client import ClientConfig
from engine.language.files import Files
from engine.problems import ProblemsFound
from engine.run.logs import where
from engine.run.rules.candidate import Candidate, OnDisk, candidate_of, other_connectors, other_settings, read_disk
from engine.run.rules.comparison import Comparing, Comparison
from engine.run.rules.past import NoSuchRuleSet, find_rule_set
from engine.run.rules.status import Attempt, Waiting, restart_reason
from engine.run.rules.watching import QUIET, Watch
from engine.run.service import Service, maps_alike
from engine.store.rows import ActivationRequest

GLANCE = 1.0  # seconds between looks for what somebody asked for


@dataclass(slots=True)
class RulesState:
    """What is known of the files and of the set made from them. `passed_over` is the digest of files that a set chosen by hand
    took the place of: they are left alone until they change.
    """

    attempt: Attempt
    in_use: ClientConfig
    seen: str = ""
    on_disk: str = ""
    own: frozenset[str] = frozenset()
    passed_over: str = ""
    waiting: Waiting | None = None
    settings: tuple[str, ...] = ()  # of connectors, changed in the files since the service started


class Reload:
    """Keeps the rule set of a service with its files. `run` it beside the service, on the same loop."""

    def __init__(self, service: Service, root: Path, state: RulesState, quiet: float = QUIET) -> None:
        self._service = service
        self._root = root
        self._client = service.rule_set.client
        self._state = state
        self._quiet = quiet
        self._unreadable = False
        self._log = structlog.get_logger("instep.reload").bind(client=self._client)
        self._told = asyncio.Event()
        self.watching = False
        self._tell()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`. No fault in here ends the service."""
        async with Watch(self._root, self._quiet) as watch:
            self.watching = changed = True
            self._tell()
            await watch.changed(self._quiet)  # what is being saved as it starts is read when that is over, too
            while not stop.is_set():
                try:
                    if changed or self._unreadable:
                        await self.read()
                    await self.grant()
                except Exception as fault:
                    self._log.error("reload_failed", **where(fault))
                    self._state.attempt = Attempt(self._service.clock(), fault=f"{type(fault).__name__}: {fault}")
                    self._tell()
                changed = await watch.changed(GLANCE)

    async def read(self) -> None:
        """Makes what it can of the files as they lie now."""
        disk = await asyncio.to_thread(read_disk, self._root, self._client)
        self._unreadable = bool(disk.files.unreadable)
        if disk.digest == self._state.seen:
            return
        self._state.seen = disk.digest
        if disk.digest != self._state.passed_over:
            await self._consider(disk)
        self._tell()

    async def told(self) -> None:
        """Returns when there is something new in `status`."""
        await self._told.wait()

    async def grant(self) -> None:
        """Looks after what was asked for: `instep rules activate`."""
        for request in self._service.store.rule_sets.requested():
            granted = await self._grant(request)
            if granted is not None:
                outcome, fine = granted
                self._service.store.rule_sets.answer_request(request.id, self._service.clock(), outcome, fine=fine)
                self._tell()

    def status(self) -> dict[str, Any]:
        """The active set, the last reading of the files, and what waits for whom."""
        row = self._service.store.rule_sets.current()
        state = self._state
        return {
            "active": self._service.rule_set.hash,
            "activated_at": row.activated_at.isoformat() if row else None,
            "activated_by": row.activated_by if row else "",
            "why": row.why if row else "",
            "catching_up": self._service.worker.behind,
            "last_read": state.attempt.to_json(),
            "waiting": state.waiting.to_json() if state.waiting else None,
            "passed_over": bool(state.passed_over),
            "needs_restart": list(state.settings),
        }

    async def _consider(self, disk: OnDisk) -> None:
        state = self._state
        try:
            candidate = await asyncio.to_thread(candidate_of, disk.files, self._client, disk.digest)
        except ProblemsFound as found:
            state.waiting, state.on_disk = None, ""
            state.attempt = Attempt(self._service.clock(), problems=tuple(found.problems))
            for problem in found.problems:
                self._log.warning("rules_not_taken", place=str(problem.place), code=problem.code, message=problem.message)
            return
        state.on_disk = candidate.rule_set.hash
        state.attempt = Attempt(self._service.clock(), candidate.rule_set.hash)
        gone = sorted(name for name in state.own - disk.own if name in {*candidate.texts} or _holds(candidate, name))
        await self._weigh(candidate, [f"{name} is gone from the project: the shipped one would take its place" for name in gone])
        if state.waiting is None:
            state.own = disk.own

    async def _weigh(self, candidate: Candidate, reasons: list[str]) -> None:
        """Swapped in, or left waiting with the reasons."""
        state, active = self._state, self._service.rule_set
        if candidate.rule_set.hash == active.hash:
            reasons = []  # wherever its files lie: it means the same
        state.settings = tuple(other_settings(state.in_use, candidate.config))
        found: Comparison | None = None
        roles = other_connectors(state.in_use, candidate.config)
        if not roles and candidate.rule_set.hash != active.hash:
            found = await self._compared(candidate)
            reasons = [*found.reasons(), *reasons]
        if roles:
            reasons = [restart_reason(roles), *reasons]
        if reasons:
            state.waiting = Waiting(candidate, tuple(reasons), self._service.clock(), found, restart=bool(roles))
            self._log.warning("rules_wait", rule_set=candidate.rule_set.hash, reasons=reasons, activate="instep rules activate")
        else:
            self._swap(candidate, by="instep", why="files changed")

    async def _compared(self, candidate: Candidate) -> Comparison:
        service = self._service
        alike = maps_alike(service.rule_set, candidate.rule_set)
        comparing = Comparing(service.store, service.worker, candidate.rule_set, service.clock, alike=alike)
        for _ in comparing.steps():
            await asyncio.sleep(0)
        return comparing.finish()

    def _swap(self, candidate: Candidate, *, by: str, why: str, passed_over: str = "", held_back: tuple[str, ...] = ()) -> None:
        self._service.activate(candidate.rule_set, candidate.texts, by=by, why=why, passed_over=passed_over, held_back=held_back)
        self._state.passed_over = passed_over
        self._state.waiting = None

    async def _grant(self, request: ActivationRequest) -> tuple[str, bool] | None:
        """What became of it, and whether that is what was wanted; None where it has to wait for the next start."""
        state, active, wanted = self._state, self._service.rule_set.hash, request.hash
        waiting = state.waiting
        if waiting is not None and waiting.candidate.rule_set.hash.startswith(wanted):
            if waiting.restart:
                return None
            self._swap(waiting.candidate, by=request.asked_by, why="activated by hand", held_back=waiting.reasons)
            return f"{self._service.rule_set.hash} is active", True
        if not wanted:
            return await self._grant_disk(request)
        if active.startswith(wanted):
            return f"{active} is active already", True
        try:
            row = find_rule_set(self._service.store, wanted)
            texts = self._service.store.rule_sets.files(row.id)
            candidate = await asyncio.to_thread(candidate_of, Files.of(texts), self._client)
        except NoSuchRuleSet as no:
            return str(no), False
        except ProblemsFound as found:
            return f"this version of instep does not take its files: {next(iter(found.problems))}", False
        if other_connectors(state.in_use, candidate.config):
            return None
        passed_over = "" if candidate.rule_set.hash == state.on_disk else state.seen
        self._swap(candidate, by=request.asked_by, why="chosen by hand", passed_over=passed_over)
        return f"{candidate.rule_set.hash} is active" + (
            "; the files are left alone until they change" if passed_over else ""
        ), True

    async def _grant_disk(self, request: ActivationRequest) -> tuple[str, bool] | None:
        """Nothing waits, and the files are what is asked for: those that were passed over, or the active ones."""
        state = self._state
        if not state.passed_over:
            if state.attempt.ok:
                return f"{self._service.rule_set.hash} is active already, and nothing waits", True
            return "the files do not make a rule set: `instep check` says why", False
        disk = await asyncio.to_thread(read_disk, self._root, self._client)
        try:
            candidate = await asyncio.to_thread(candidate_of, disk.files, self._client, disk.digest)
        except ProblemsFound as found:
            return f"the files do not make a rule set: {next(iter(found.problems))}", False
        if other_connectors(state.in_use, candidate.config):
            return None
        state.seen, state.own, state.on_disk = disk.digest, disk.own, candidate.rule_set.hash
        self._swap(candidate, by=request.asked_by, why="activated by hand")
        return f"{candidate.rule_set.hash} is active", True

    def _tell(self) -> None:
        self._service.rules_status = self.status
        self._service.store.rule_sets.save_status(json.dumps(self.status(), sort_keys=True))
        told, self._told = self._told, asyncio.Event()
        told.set()


def _holds(candidate: Candidate, folder: str) -> bool:
    return any(name.startswith(f"{folder}/") for name in candidate.texts)
