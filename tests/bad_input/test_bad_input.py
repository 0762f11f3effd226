"""Whatever comes in is judged: a problem at its place, a refusal, a reason to set aside. Nothing breaks, nothing taken is lost.

The million is for `tests/bench/bad_input.py`; this is the same with a few hundred of each kind.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.targets import TARGETS, begun, tried

FEW = {"command_line": 25, "project": 60}


@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_bad_input_is_judged(name: str, tmp_path: Path) -> None:
    with begun(name, tmp_path) as one:
        found = tried(name, one, "ci", FEW.get(name, 300))
    assert not found.crashes, f"--replay {name}:ci:{found.crashes[0].number}\n{found.crashes[0].said}"


def test_shares_are_of_a_thousand() -> None:
    assert sum(target.share for target in TARGETS.values()) == 1000
