"""What cannot be met is told before it is missed, with the reason, and what can be met is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.run.sending.foreseen import Standing, foreseen
from engine.store.queue import Ahead
from tests.run.small import NOON

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
REFUND = "marketplace.refund"


def due(*deadlines: timedelta, action: str = REFUND, due_at: datetime = NOON) -> list[Ahead]:
    return [Ahead(action, f"order:{n}", f"k{n}", NOON + by, due_at) for n, by in enumerate(deadlines)]


def told(ahead: Sequence[Ahead], **standing: Any) -> Mapping[str, int]:
    return {unmet.why: len(unmet.effects) for unmet in foreseen(ahead, Standing(**standing), NOON)}


def every(span: timedelta, count: int) -> list[datetime]:
    return [NOON + span * n for n in range(1, count + 1)]


@pytest.mark.parametrize(
    ("ahead", "standing", "said"),
    [
        (due(MINUTE, HOUR), {}, {}),
        (due(59 * MINUTE, 61 * MINUTE), {"down": True}, {"down": 1}),
        (due(HOUR, 3 * HOUR), {"resting": {REFUND: NOON + 2 * HOUR}}, {"resting": 1}),
        (due(HOUR, action="marketplace.cancel"), {"resting": {REFUND: NOON + 2 * HOUR}}, {}),
        (due(5 * MINUTE, 10 * MINUTE, 11 * MINUTE), {"budget": every(5 * MINUTE, 3)}, {"budget": 1}),
        (due(HOUR, HOUR, HOUR), {"budget": [*every(MINUTE, 2), None]}, {"budget": 1}),
        (due(HOUR, HOUR, HOUR), {"budget": [None] * 3}, {"budget": 3}),
        (due(*[10 * MINUTE] * 30), {"pace": MINUTE, "side_by_side": 2}, {"too_many": 10}),
        (due(HOUR, due_at=NOON + 2 * HOUR), {}, {"put_off": 1}),
        (due(MINUTE), {"down": True, "budget": [None]}, {"down": 1}),
    ],
)
def test_each_reason_counts_what_it_makes_late(ahead: list[Ahead], standing: dict[str, Any], said: dict[str, int]) -> None:
    assert told(ahead, **standing) == said


minutes = st.lists(st.integers(1, 60), max_size=20).map(sorted)


@given(minutes, minutes, st.integers(0, 9), st.integers(1, 4))
def test_more_budget_more_hands_and_more_speed_never_make_more_late(
    deadlines: list[int], instants: list[int], pace: int, hands: int
) -> None:
    ahead = due(*[n * MINUTE for n in deadlines])

    def late(budget: Sequence[int], pace: int, hands: int) -> int:
        at = [*(NOON + n * MINUTE for n in budget), *[None] * len(ahead)][: len(ahead)]
        standing = {"budget": at, "pace": pace * MINUTE, "side_by_side": hands}
        return sum(told(ahead, **standing).values())

    known = late(instants, pace, hands)
    assert late([0, *instants], pace, hands) <= known
    assert late(instants, max(pace - 1, 0), hands) <= known
    assert late(instants, pace, hands + 1) <= known
    assert known <= len(ahead)
