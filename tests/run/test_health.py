"""The service says that it is not ready, and why, while deliveries cannot be kept or the engine does not keep up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from engine.run.web.health import LONGEST_BUSY, LONGEST_WAIT, health_of
from tests.run.small import NOON

FINE: dict[str, Any] = {"now": NOON.isoformat(), "behind": 3, "waiting_since": NOON.isoformat(), "failing": []}


def test_a_service_that_keeps_up_is_ready() -> None:
    told = health_of(FINE)
    assert (told["live"], told["ready"], told["why_not"]) == (True, True, [])


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"trouble": "the store is full"}, "deliveries cannot be written down: the store is full"),
        ({"busy_seconds": LONGEST_BUSY + 1}, "the engine has not answered for 61 seconds"),
        (
            {"waiting_since": (NOON - LONGEST_WAIT - timedelta(minutes=2)).isoformat()},
            "3 events wait to be taken in, the oldest for 17 minutes",
        ),
    ],
)
def test_one_that_does_not_says_why(found: dict[str, Any], why: str) -> None:
    told = health_of({**FINE, **found})
    assert (told["live"], told["ready"], told["why_not"]) == (True, False, [why])
