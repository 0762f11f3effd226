"""Durations as authors write them: elapsed ones like `4h`, `30m`, `2d`, `PT4H`, and working ones like `2 working days`."""

from __future__ import annotations

import re
from datetime import timedelta

from engine.facts.values import WorkingDuration

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SHORT = re.compile(r"([0-9]{1,6})\s*([a-zA-Z]+)", re.ASCII)
_BETWEEN = re.compile(r"(?<=[a-zA-Z])\s+(?=[0-9])")  # `1d 4h` is what show_duration writes
_ISO = re.compile(r"P(?:([0-9]{1,4})W)?(?:([0-9]{1,6})D)?(?:T(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,6})S)?)?", re.ASCII)
PATTERN = (  # the same for editors, which read JSON Schema; see `parse_duration`
    r"^\s*([0-9]{1,6}\s*[dhms](\s+(?=[0-9])|\s*$))+$"
    r"|^\s*P(?=[0-9T])([0-9]{1,4}W)?([0-9]{1,6}D)?(T(?=[0-9])([0-9]{1,6}H)?([0-9]{1,6}M)?([0-9]{1,6}S)?)?\s*$"
)
_WRITTEN = "write it with a unit: 30m, 4h, 2d, 90s or PT4H"
_SPELLED_OUT = {"day": "d", "hour": "h", "hr": "h", "minute": "m", "min": "m", "second": "s", "sec": "s", "d": "d", "h": "h"}
_WORKING = re.compile(r"([0-9]{1,6})\s+working\s+([a-zA-Z]+)", re.ASCII)
WORKING_PATTERN = r"^\s*[0-9]{1,6}\s+working\s+(day|hour|minute)s?\s*$"  # for editors; see `parse_working`
_WORKING_UNITS = {"hour": timedelta(hours=1), "minute": timedelta(minutes=1)}
_WORKING_WRITTEN = "write 5 working days, 4 working hours or 30 working minutes"


def parse_duration(text: str) -> timedelta:
    """The elapsed duration `text` names. Raises `ValueError` with a sentence for the author."""
    text = text.strip()
    if _is_working(text):
        raise ValueError(f'"{text}" is a working duration, which only add_working counts; here time just passes: {_WRITTEN}')
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


def parse_working(text: str) -> WorkingDuration:
    """The working duration `text` names: whole days, hours or minutes. Raises `ValueError` with a sentence for the author."""
    text = text.strip()
    written = _WORKING.fullmatch(text)
    if written is None:
        raise ValueError(f'"{text}" {_about_working(text)}: {_WORKING_WRITTEN}')
    count, unit = int(written[1]), written[2].lower().removesuffix("s")
    if unit == "day":
        return WorkingDuration(count)
    if unit not in _WORKING_UNITS:
        raise ValueError(f'"{text}": working time is counted in days, hours and minutes, not in {written[2]}: {_WORKING_WRITTEN}')
    return WorkingDuration(count * _WORKING_UNITS[unit])


def _about_working(text: str) -> str:
    if len(_WORKING.findall(text)) > 1:
        return "counts in two units: how many hours a day has depends on the calendar"
    if _is_working(text):
        return "is not a whole number of one unit"
    try:
        parse_duration(text)
    except ValueError:
        return "has no unit" if re.fullmatch(r"[0-9.]+", text) else "is not a working duration"
    return "is an elapsed duration, not a working one"


def parse_period(text: str) -> timedelta | WorkingDuration:
    """The duration of either type that `text` names. Raises `ValueError` with a sentence for the author."""
    if _is_working(text):
        return parse_working(text)
    try:
        return parse_duration(text)
    except ValueError as fault:
        raise ValueError(f"{fault}, or 5 working days") from None


def _is_working(text: str) -> bool:
    return re.search(r"\bwork", text) is not None


def _about_unit(unit: str) -> str:
    if unit.lower() in ("y", "year", "years", "mo", "month", "months", "M"):
        return "months and years have no fixed length"
    word = unit.lower().removesuffix("s")
    near = _SPELLED_OUT.get(word)
    return f'there is no unit "{unit}"' + (f' (did you mean "{near}"?)' if near else "")


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
