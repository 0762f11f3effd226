"""Steps of an effect once it leaves the rules' hands, as values: taken in the service, and again where history is replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from engine.decide import outcomes
from engine.decide.memory import Memory, plain, revived

What = Literal["begun", "settled", "settled_elsewhere", "refused", "unsure", "later", "again", "anew", "interrupted"]


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one effect. `wait` is how long it is put off from the instant of the step; `nothing_sent` says that the
    outside is known not to have acted. `interrupted` is about every effect of the case that was being sent.
    """

    what: What
    key: str = ""
    reason: str = ""
    detail: str = ""
    wait: timedelta = timedelta()
    nothing_sent: bool = False
    receipt: Mapping[str, Any] = field(default_factory=dict)

    def taken(self, memory: Memory, at: datetime) -> Memory:
        """The memory after it. Raises `outcomes.WrongState` where the effect is not in a state it can start from."""
        match self.what:
            case "begun":
                return outcomes.begin(memory, self.key, at)
            case "settled":
                return outcomes.settled(memory, self.key, self.receipt, at)
            case "settled_elsewhere":
                return outcomes.settled_elsewhere(memory, self.key, self.receipt, at)
            case "refused":
                return outcomes.refused(memory, self.key, self.reason, self.detail, at)
            case "unsure":
                return outcomes.unsure(memory, self.key, self.detail)
            case "later":
                return outcomes.later(memory, self.key, at + self.wait, self.detail, nothing_sent=self.nothing_sent)
            case "again":
                return outcomes.again(memory, self.key)
            case "anew":
                return outcomes.anew(memory, self.key)
            case "interrupted":
                return outcomes.interrupted(memory)

    def to_json(self) -> str:
        """JSON text without what is empty."""
        told = {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}
        return json.dumps({name: value for name, value in told.items() if value}, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The step that `to_json` wrote. Raises ValueError for anything else."""
        try:
            told = json.loads(text)
            wait = timedelta(microseconds=told.pop("wait", 0))
            return cls(**{**told, "wait": wait, "receipt": revived(told.get("receipt", {}))})
        except (TypeError, AttributeError) as fault:
            raise ValueError(f"not a step of an effect: {fault}") from None
