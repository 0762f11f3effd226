"""However many deliveries are rejected, the log stays small and tells how many there were."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from structlog.testing import capture_logs

from engine.run.web.turned_down import EVERY, MOST, OTHERS, Kind, TurnedDown

FORGED = Kind("mirakl", "signature", 401, "203.0.113.7")
LARGE = Kind("mirakl", "too_large", 413, "203.0.113.7")


class Minutes:
    """Calls back when told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, seconds: float, then: Callable[[], None]) -> None:
        assert seconds == EVERY
        self.waiting.append(then)

    def over(self) -> None:
        (then,) = self.waiting
        self.waiting.clear()
        then()


def test_the_first_of_a_kind_is_told_at_once_and_the_rest_as_a_number_at_the_end_of_the_minute() -> None:
    minutes = Minutes()
    with capture_logs() as lines:
        turned_down = TurnedDown(structlog.get_logger(), minutes)
        for _ in range(1000):
            turned_down.one(FORGED)
        turned_down.one(LARGE)
        assert [(line["event"], line["kind"]) for line in lines] == [
            ("delivery_rejected", "signature"), ("delivery_rejected", "too_large"),
        ]  # fmt: skip
        minutes.over()
        (rest,) = lines[2:]
        assert (rest["event"], rest["kind"], rest["remote"], rest["more"]) == (
            "deliveries_rejected", "signature", "203.0.113.7", 999,
        )  # fmt: skip
        turned_down.one(FORGED)
        assert lines[-1]["event"] == "delivery_rejected"
        assert len(minutes.waiting) == 1


def test_senders_that_change_their_address_every_time_fill_no_log_either() -> None:
    minutes = Minutes()
    with capture_logs() as lines:
        turned_down = TurnedDown(structlog.get_logger(), minutes)
        for number in range(10_000):
            turned_down.one(Kind("mirakl", "signature", 401, f"198.51.100.{number}"))
        assert len(lines) == MOST + 1
        minutes.over()
        assert len(lines) == MOST + 2
        assert (lines[-1]["kind"], lines[-1]["more"]) == (OTHERS.kind, 10_000 - MOST - 1)
