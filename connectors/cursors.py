"""Cursors that are instants."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def moment_of(text: Any) -> datetime | None:
    """The instant a text names, with its zone; None where it names none, so that a poll with a strange cursor begins anew."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None
