"""Whether the service lives and is ready, from what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

LONGEST_BUSY = 60.0  # seconds the engine may be at one thing
LONGEST_WAIT = timedelta(minutes=15)  # for the oldest event that waits to be taken in


def health_of(status: Mapping[str, Any]) -> dict[str, Any]:
    """The status with `live`, `ready` and, in words, why it is not ready.

    Who gets any answer knows that the process lives. It is ready while deliveries can be written down and the engine keeps up.
    """
    why = []
    if trouble := status.get("trouble"):
        why.append(f"deliveries cannot be written down: {trouble}")
    if (busy := status.get("busy_seconds", 0)) > LONGEST_BUSY:
        why.append(f"the engine has not answered for {busy:.0f} seconds")
    if since := status.get("waiting_since"):
        waited = datetime.fromisoformat(status["now"]) - datetime.fromisoformat(since)
        if waited > LONGEST_WAIT:
            why.append(f"{status['behind']} events wait to be taken in, the oldest for {waited // timedelta(minutes=1)} minutes")
    failing = [f"{feed['connector']}.{feed['feed']}" for feed in status.get("failing", ())]
    return {**status, "failing": failing, "live": True, "ready": not why, "why_not": why}
