"""Whenever the process ends around a swap: it comes up with a rule set that is in the journal, and every case catches up."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.store.sqlite import SqliteStore
from tests.run.files_world import MAIN, opened, project


@pytest.mark.parametrize(
    ("point", "swapped"),
    [("compiled", False), ("journalled", False), ("committed", True), ("swapped", True), ("told", True), ("caught_up", True)],
)
def test_killed_around_a_swap(tmp_path: Path, point: str, *, swapped: bool) -> None:
    root = project(tmp_path)
    command = [sys.executable, "-m", "tests.run.reload_crashing", str(root), point]
    killed = subprocess.run(command, cwd=MAIN, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = SqliteStore.open(root / "acme.sqlite", as_="visitor")
    assert len(left.rule_sets.history(9)) == (2 if swapped else 1)
    left.close()

    async def again() -> None:
        world = opened(root)
        current = world.store.rule_sets.current()
        assert current is not None
        assert current.hash == world.service.rule_set.hash
        assert world.service.rule_set.rule("more") is not None  # what lies in the files, compared and swapped in at the start
        await world.service.step()
        assert len(world.store.rule_sets.history(9)) == 2
        assert world.service.worker.behind == 0
        decided = world.store._connection.execute(
            "select count(*) from decisions where rule_set_id = ?", (current.id,)
        ).fetchone()
        assert decided == (2,)
        await world.service.close()

    asyncio.run(again())
