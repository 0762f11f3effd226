"""A candidate that means the same decides the same, byte for byte, whatever the outside does."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.decide.decision import Decision
from engine.run.deciding.summary import summary_text
from engine.run.deciding.worker import Decided
from engine.run.service import Service
from engine.simulate.candidates.following import Following, State
from engine.simulate.candidates.kept import otherwise, row_of, state_of
from engine.simulate.candidates.looks import Look
from tests.run import test_chaos


@dataclass
class Twin:
    """The active rule set of a service, following itself at once."""

    service: Service
    states: dict[int, State] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    looks: int = 0

    def __post_init__(self) -> None:
        self._last: list[Decision] = []
        self._following = Following(self.service.rule_set, self.service.clock(), self._last.append)
        self.service.worker.told = self.follow
        self.service.worker.told_absorbed = self.absorb

    def follow(self, decided: Decided) -> None:
        look = Look.of(decided, self.service.rule_set)
        state = self._following.take(self.states.get(look.case_id), look)
        kept = row_of(look.case_id, look.case.id, state)
        assert row_of(look.case_id, look.case.id, state_of(kept)) == kept
        self.states[look.case_id], self.names[look.case_id] = state_of(kept), look.case.id
        assert len(self._last) == 1, f"{look.case.id}: it acted by itself"
        assert summary_text(self._last.pop())[1] == summary_text(decided.decision)[1], look.case.id
        assert state.memory == decided.left, look.case.id
        self.looks += 1

    def absorb(self, gone: int, into: int) -> None:
        part = self.states.pop(gone, None)
        if part is not None:
            self.states[into] = self.states[into].with_part(part) if into in self.states else part

    def differences(self) -> list[Any]:
        return [d for case_id, state in self.states.items() for d in otherwise(self.names[case_id], state.was, state.now)]


@pytest.mark.parametrize("seed", range(3))
def test_through_a_bad_week(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    twins: list[Twin] = []
    plain = test_chaos.client

    def with_twin(*args: Any, **more: Any) -> Any:
        world = plain(*args, **more)
        twins.append(Twin(world.service))
        return world

    monkeypatch.setattr(test_chaos, "client", with_twin)
    test_chaos.week(tmp_path / "a.db", seed, orders=8)
    assert sum(twin.looks for twin in twins) > 60
    assert [d for twin in twins for d in twin.differences()] == []


@pytest.mark.long
def test_through_the_day_of_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = importlib.import_module("engine.demo.play")
    twins: list[Twin] = []
    plain = demo.open_client

    def with_twin(*args: Any, **more: Any) -> Any:
        served = plain(*args, **more)
        twins.append(Twin(served.service))
        return served

    monkeypatch.setattr(demo, "open_client", with_twin)
    demo.play(fast=True, root=None, database=tmp_path / "demo.db", emit=lambda _: None)
    (twin,) = twins
    assert twin.looks > 500
    assert twin.differences() == []
