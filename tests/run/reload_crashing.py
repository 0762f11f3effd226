"""A child process that changes a rule under its own service, and ends itself where it is told to.

python -m tests.run.reload_crashing ROOT POINT
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.run.crashing import Killer
from tests.run.files_world import SLOW, opened


async def main(root: Path, point: str) -> None:
    world = opened(root)
    killer = Killer(point, 1)
    world.service._points = killer
    await world.cases(2, "Approved")
    world.write(more=SLOW.replace("slow:", "more:"))
    activate = world.service.activate

    def compiled(*given: object, **named: object) -> None:
        killer("compiled")
        activate(*given, **named)  # type: ignore[arg-type]

    world.service.activate = compiled  # type: ignore[method-assign, assignment]
    await world.reload.read()
    killer("told")
    await world.service.step()
    killer("caught_up")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
