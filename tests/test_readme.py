"""Every command the README prints does what it says."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readme import README, after, commands

ROOT = README.parent
SET_UP = ("python3 -m venv",)  # run from a fresh clone by .ci/run


def test_the_first_commands_set_up_and_run_the_demo_and_the_tests() -> None:
    text = README.read_text(encoding="utf-8")
    assert "instep demo" in after(text, "Set up and run the demo")
    assert "pytest" in after(text, "Set up and run the tests")


def test_every_other_command_runs(tmp_path: Path) -> None:
    """In order, in a copy of the project's files, as one reader would."""
    for name in ("rules", "mappings"):
        (tmp_path / name).symlink_to(ROOT / name)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "instep").write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "from engine.cli import main; main()" "$@"\n'
    )
    (bin_folder / "instep").chmod(0o755)
    path = os.pathsep.join([str(bin_folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    text = README.read_text(encoding="utf-8")
    others = [line for line in commands(text) if not line.startswith(SET_UP)]
    assert others
    for line in others:
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240, check=False
        )
        if done.returncode != 0:
            pytest.fail(f"{line}\n{done.stdout}\n{done.stderr}")
