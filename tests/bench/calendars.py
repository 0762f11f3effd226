"""What counting working time costs beside adding elapsed time.

    python tests/bench/calendars.py

Prints medians in microseconds, all measured in one run, and what the first use of a year costs; ratios count more than figures.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from engine.facts.calendars import Calendar
from engine.facts.values import WorkingDuration

OFFICE = ((540, 720), (780, 1050))
STARTS = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=997 * n) for n in range(500)]
DURATIONS = {
    "48h": timedelta(hours=48),
    "2 working days": WorkingDuration(2),
    "250 working days": WorkingDuration(250),
    "4 working hours": WorkingDuration(timedelta(hours=4)),
    "2000 working hours": WorkingDuration(timedelta(hours=2000)),
}


def calendar() -> Calendar:
    return Calendar("uk", ZoneInfo("Europe/London"), (*(OFFICE,) * 5, (), ()), "GB", "ENG")


def micros(act: Callable[[], Any], times: int) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) / times * 1e6


def main() -> None:
    warm = calendar()
    elapsed = 0.0
    for name, duration in DURATIONS.items():
        for _ in range(2):  # the first time builds the years
            [warm.add(start, duration) for start in STARTS]
        found = statistics.median(micros(lambda: [warm.add(s, duration) for s in STARTS], len(STARTS)) for _ in range(9))  # noqa: B023 - at once
        elapsed = elapsed or found
        print(f"add {name:<20} {found:7.2f} us   {found / elapsed:5.1f} x elapsed")
    between = statistics.median(
        micros(lambda: [warm.working_days_between(STARTS[0], s) for s in STARTS], len(STARTS)) for _ in range(9)
    )
    print(f"working_days_between     {between:7.2f} us   {between / elapsed:5.1f} x elapsed")
    for name in ("2 working days", "4 working hours"):
        first = statistics.median(micros(lambda: calendar().add(STARTS[9], DURATIONS[name]), 1) for _ in range(9))  # noqa: B023 - at once
        print(f"first use: {name:<17} {first / 1000:5.2f} ms")


if __name__ == "__main__":
    main()
