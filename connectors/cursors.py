"""Cursors that are instants."""

from __future__ import annotations

from datetime import datetime
from typing import Any

YEARS = range(1970, 9000)  # within them there is always a day before and after, in every zone


def moment_of(text: Any) -> datetime | None:
    """The instant a text names, with its zone; None where it names none, or one of no year anything happens in, so that a poll
    with a strange cursor begins anew.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo and moment.year in YEARS else None
