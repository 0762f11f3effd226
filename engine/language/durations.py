"""Elapsed durations as authors write them: `4h`, `30m`, `2d`, `PT4H`."""

from __future__ import annotations

import re
from datetime import timedelta

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SHORT = re.compile(r"([0-9]{1,6})\s*([a-zA-Z]+)", re.ASCII)
_BETWEEN = re.compile(r"(?<=[a-zA-Z])\s+(?=[0-9])")  # `1d 4h` is what show_duration writes
_ISO = re.compile(r"P(?:([0-9]{1,4})W)?(?:([0-9]{1,6})D)?(?:T(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,6})S)?)?", re.ASCII)
_WRITTEN = "write it with a unit: 30m, 4h, 2d, 90s or PT4H"


def parse_duration(text: str) -> timedelta:
    """The duration `text` names. Raises `ValueError` with a sentence for the author."""
    text = text.strip()
    if text.startswith("P"):
        return _iso(text)
    written = [_SHORT.fullmatch(part) for part in _BETWEEN.split(text)]
    if None in written:
        if re.fullmatch(r"[0-9.]+", text):
            raise ValueError(f'"{text}" has no unit: {_WRITTEN}')
        raise ValueError(f'"{text}" is not a duration: {_WRITTEN}')
    amounts = {match[2]: int(match[1]) for match in written if match is not None}
    for unit in amounts:
        if unit not in _SECONDS:
            raise ValueError(f'"{text}": {_about_unit(unit)}: {_WRITTEN}')
    if len(amounts) < len(written):
        raise ValueError(f'"{text}" names a unit twice: {_WRITTEN}')
    return timedelta(seconds=sum(amount * _SECONDS[unit] for unit, amount in amounts.items()))


def _about_unit(unit: str) -> str:
    if unit.lower() in ("y", "year", "years", "mo", "month", "months", "M"):
        return "months and years have no fixed length"
    return f'there is no unit "{unit}"'


def _iso(text: str) -> timedelta:
    match = _ISO.fullmatch(text)
    if match is None or text.endswith("T") or not any(match.groups()):
        about = (
            "months and years have no fixed length"
            if re.search(r"[YM]", text.split("T", maxsplit=1)[0])
            else "it is not an ISO 8601 duration"
        )
        raise ValueError(f'"{text}": {about}: {_WRITTEN}')
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def show_duration(duration: timedelta) -> str:
    """The shortest way an author would write it: `2d`, `4h`, `1d 4h 30m`. Parts of a second are shown as decimals."""
    micros = duration // timedelta(microseconds=1)
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    seconds, fraction = divmod(micros, 1_000_000)
    parts = []
    for unit, size in _SECONDS.items():
        count, seconds = divmod(seconds, size)
        if unit == "s" and fraction:
            parts.append(f"{count}.{fraction:06d}".rstrip("0") + "s")
        elif count:
            parts.append(f"{count}{unit}")
    return sign + " ".join(parts) if parts else "0s"
