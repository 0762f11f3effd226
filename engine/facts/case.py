"""A case: all that is known about one marketplace order, before anything is derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engine.facts.record import RecordState


@dataclass(frozen=True, slots=True)
class Case:
    """The records of one case, sorted by kind and key, and those of the client (`seller`) that every case shares.

    `id` is the node that opened it, `order:A-1` once the order is there.
    """

    id: str
    records: tuple[RecordState, ...]
    client: tuple[RecordState, ...]
    opened_at: datetime

    @property
    def order(self) -> RecordState | None:
        """The order the case is about; where more than one came along, the one that names the case."""
        orders = [r for r in self.records if r.kind == "order"]
        named = [r for r in orders if self.id in (r.key, f"order:{r.key}")]
        return next(iter((*named, *orders)), None)


def case_of(case_id: str, records: list[RecordState], client: list[RecordState], opened_at: datetime) -> Case:
    """A case with its records in the order everything else relies on."""
    return Case(case_id, _sorted(records), _sorted(client), opened_at)


def _sorted(records: list[RecordState]) -> tuple[RecordState, ...]:
    return tuple(sorted(records, key=lambda r: (r.kind, r.key)))
