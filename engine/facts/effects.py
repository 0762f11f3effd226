"""One planned outside change and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

EffectStatus = Literal["planned", "performing", "unsure", "settled", "settled_elsewhere", "refused", "withdrawn"]
UNSENT = frozenset({"planned", "withdrawn"})  # what waits, and what nobody asks for any more


@dataclass(frozen=True, slots=True)
class EffectState:
    """An effect of a case.

    `key` derives from the subject and is unique per client. `units` are order-line units; `claims` tells which claimant
    (`rma_unit:1001/47`, `store_refund:...`) each unit was taken for, and in which RMA it was then. `params` hold canonical
    values. `ever_sent` stays true once anything went out, whatever came of it: its units keep their numbers, and it is remembered
    as `withdrawn` even when nobody asks for it any more. `not_before` is when it is tried again, `turn_at` when its rule's
    `at_most` lets it go. `attempts` are the times it was sent, `cut_off` those of them during which the process ended.
    `acknowledged` says which person is done with its refusal, and why.
    """

    key: str
    action: str
    subject: str
    units: tuple[str, ...]
    claims: tuple[tuple[str, str], ...]
    params: Mapping[str, Any]
    rule: str
    item: str
    group: str
    status: EffectStatus
    planned_at: datetime
    mode: Literal["live", "shadow"] = "live"
    ever_sent: bool = False
    sent_at: datetime | None = None
    settled_at: datetime | None = None
    not_before: datetime | None = None
    turn_at: datetime | None = None
    reason: str = ""
    detail: str = ""
    receipt: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    cut_off: int = 0
    acknowledged: str = ""

    @property
    def tries(self) -> int:
        """The sends that the outside could have answered."""
        return self.attempts - self.cut_off
