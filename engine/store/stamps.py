"""Instants as the store writes them: ISO 8601 in UTC with six decimals, so that text sorts as time does."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(instant: datetime) -> str:
    """`2026-11-01T09:30:00.000000Z`. The instant must be aware."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0") + "Z"


def stamp_or_none(instant: datetime | None) -> str | None:
    return None if instant is None else stamp(instant)


def instant(text: str) -> datetime:
    """The instant that `stamp` wrote."""
    return datetime.fromisoformat(text)


def instant_or_none(text: str | None) -> datetime | None:
    return None if text is None else instant(text)
