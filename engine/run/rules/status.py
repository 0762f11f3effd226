"""How reading the files went last, and what waits: as values, and as JSON for whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from engine.language.show import show
from engine.problems import Problem
from engine.run.rules.candidate import Candidate
from engine.run.rules.comparison import Comparison

SHOWN = 50  # effects and vetoes in a status; all of them are counted
RESTART = "needs a restart: "


@dataclass(frozen=True, slots=True)
class Attempt:
    """One reading of the files. `hash` is empty where they made no rule set; `fault` is a fault of ours."""

    at: datetime
    hash: str = ""
    problems: tuple[Problem, ...] = ()
    fault: str = ""

    @property
    def ok(self) -> bool:
        return bool(self.hash)

    def to_json(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "ok": self.ok,
            "hash": self.hash,
            "fault": self.fault,
            "problems": [problem.as_json() for problem in self.problems],
        }


@dataclass(frozen=True, slots=True)
class Waiting:
    """A rule set that somebody has to look at before it is activated, and why. With `restart` it also needs other connectors."""

    candidate: Candidate
    reasons: tuple[str, ...]
    since: datetime
    comparison: Comparison | None = None
    restart: bool = False

    def to_json(self) -> dict[str, Any]:
        effects = self.comparison.new_effects() if self.comparison else []
        vetoes = self.comparison.ended_vetoes() if self.comparison else []
        return {
            "hash": self.candidate.rule_set.hash,
            "since": self.since.isoformat(),
            "reasons": list(self.reasons),
            "restart": self.restart,
            "new_effects": len(effects),
            "money": [show(one) for one in self.comparison.money()] if self.comparison else [],
            "effects": [
                {**asdict(one), "due_at": one.due_at.isoformat(), "amount": show(one.amount) if one.amount is not None else ""}
                for one in effects[:SHOWN]
            ],
            "ended_vetoes": len(vetoes),
            "vetoes": [asdict(one) for one in vetoes[:SHOWN]],
        }


def restart_reason(roles: Sequence[str]) -> str:
    return f"{RESTART}another connector for {', '.join(roles)}"
