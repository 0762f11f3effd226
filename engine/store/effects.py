"""Single effects: found by key or number, with the receipts that prove them and the steps they took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from engine.store.rows import EffectRow, StepRow


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """`details` is JSON text."""

    at: datetime
    reference: str
    details: str


class Effects(Protocol):
    def named(self, name: str) -> list[EffectRow]:
        """Those with this key or number."""
        ...

    def receipts(self, effect_id: int) -> list[ReceiptRow]:
        """In the order they came."""
        ...

    def steps(self, effect_id: int) -> list[StepRow]:
        """In the order they were taken, also those of every effect of its case at once."""
        ...
