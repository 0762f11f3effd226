"""A client in real files with a candidate beside it, which decides here: everything it is asked and answers goes over a wire."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from engine.facts.outside import Event
from engine.language.files import Files
from engine.run.rules.candidate import candidate_of
from engine.simulate.candidates.beside import Beside
from engine.simulate.candidates.following import Following
from engine.simulate.candidates.process import Answered, Asked, answered
from engine.simulate.candidates.told import Report, report_of
from tests.run.files_world import FILES, World, opened, project, write

AT_ONCE = """\
rules:
  refund_at_once:
    group: refund
    each: rma
    when: ['rma.status in ["approved", "done"]', rma.units]
    then: [{marketplace.refund: {units: rma.units}}]
"""


class Here:
    """Where the candidate decides, without a process of its own."""

    def __init__(self, files: Mapping[str, bytes], client: str, since: datetime) -> None:
        self._following = Following(candidate_of(Files(files), client).rule_set, since)

    async def answer(self, asked: Asked) -> Answered:
        found: Answered = pickle.loads(pickle.dumps(answered(self._following, pickle.loads(pickle.dumps(asked)))))
        return found

    def close(self) -> None:
        pass


@dataclass
class Watched:
    """A world, and the candidate beside it."""

    world: World
    beside: Beside
    folder: Path

    async def hear(self, *events: Event) -> None:
        await self.world.hear(*events)
        await self.beside.all_done()

    async def passes(self, **time: float) -> None:
        """Whatever falls due on the way is done when it is due."""
        clock, service = self.world.clock, self.world.service
        end = clock() + timedelta(**time)
        while (due := await service.step()) is not None and due <= end:
            clock.move(max(due, clock()))
            await self.beside.all_done()
        clock.move(end)
        await service.step()
        await self.beside.all_done()

    async def closed(self) -> None:
        self.beside.close()
        await self.world.service.close()

    def report(self, number: int = 0) -> Report:
        return report_of(self.world.store, number)


def beside_of(world: World) -> Beside:
    return Beside(world.service, world.root, world.root / "acme.sqlite", Here)


def candidate_folder(root: Path, changes: Mapping[str, str]) -> Path:
    """The same project in another folder, with these files otherwise."""
    folder = project(root / "candidate", FILES)
    write(folder, changes)
    return folder


def watched(root: Path, changes: Mapping[str, str]) -> Watched:
    """Not started yet."""
    world = opened(project(root))
    return Watched(world, beside_of(world), candidate_folder(root, changes))
