"""The service as it really runs, under load, in CI's size. The full sizes: `tests/bench/burst.py` and `tests/bench/soak.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.bench.burst import burst
from tests.bench.soak import soaked


@pytest.mark.long
def test_a_burst_is_acknowledged_and_all_of_it_is_in_the_journal(tmp_path: Path) -> None:
    outcome = burst(tmp_path, deliveries=600, seconds=2)
    assert outcome.acknowledged == outcome.sent == 600
    assert outcome.lost == []
    assert outcome.set_aside == 0


@pytest.mark.long
def test_nothing_that_was_acknowledged_is_lost_when_it_is_killed_in_mid_burst(tmp_path: Path) -> None:
    outcome = burst(tmp_path, deliveries=400, seconds=4, kills=2)
    assert outcome.kills == 2
    assert outcome.acknowledged == outcome.sent == 400
    assert outcome.lost == []


@pytest.mark.long
def test_a_steady_stream_is_followed(tmp_path: Path) -> None:
    soak = asyncio.run(soaked(tmp_path, seconds=6, rate=20, every=1))
    assert (len(soak.waits), soak.refused, soak.lost) == (120, 0, 0)
    assert soak.samples[-1].behind == 0
    assert soak.decisions
