"""Drawn cases are the same in every run, so that a red run can be repeated; `HYPOTHESIS_PROFILE=search` draws new ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from engine.demo import DemoLine, Summary, play

settings.register_profile("steady", derandomize=True, deadline=None)  # a busy machine is no fault of the code
settings.register_profile("search", derandomize=False, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="the long runs (-m long) at their full size, not at that of CI")


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Whether the long runs are to be as long as they can be."""
    return bool(pytestconfig.getoption("--full"))


Played = tuple[Summary, list[DemoLine], Path]


@pytest.fixture(scope="session")
def demo_day(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The demo, played once for all who look at it: its summary, what it told, and the store it left."""
    database = tmp_path_factory.mktemp("demo") / "demo.db"
    lines: list[DemoLine] = []
    return play(fast=True, root=None, database=database, emit=lines.append), lines, database
