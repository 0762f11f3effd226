"""`budget:` of a connector in client.yaml: limits of the client's own, in the place of those its connector knows.

budget:
  per_day: 2000                    # all requests together
  OR11: [60 per 1h, 1 per 1m]      # one operation, several limits
  all: {bucket: 4000, refill: 200 per 1s}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from engine.facts.budget import ALL, Limit, Limited
from engine.facts.codec import describe
from engine.facts.outside import installed_connectors
from engine.language.durations import parse_duration
from engine.language.node import Node
from engine.problems import Problems, did_you_mean

PER_DAY = "per_day"
BUCKET, REFILL = "bucket", "refill"
LIMIT_PATTERN = r"^\s*[1-9][0-9]{0,8}\s+per\s+\S.*$"
_WRITTEN = re.compile(r"\s*([1-9][0-9]{0,8})\s+per\s+(\S.*)", re.ASCII)
_LONGEST = timedelta(days=31)


def limits_of(budget: Mapping[str, Any]) -> tuple[Limit, ...]:
    """The limits a budget sets. Raises `ValueError` with a sentence for the author."""
    return tuple(limit for key, value in budget.items() for limit in _limits(key, value))


def check_budget(node: Node, use: str, where: str, problems: Problems) -> None:
    """Everything that is wrong with it, at its place; operations are those the connector says it has."""
    if not node.expect_map(problems, f"{where}.budget"):
        return
    connector = installed_connectors().get(use)
    known = list(connector.quota.operations) if isinstance(connector, Limited) else None
    for key, place, below in node.items():
        if known is not None and key not in {PER_DAY, ALL, *known}:
            said = f'{use} has no operation "{key}" to set a budget for{did_you_mean(key, [PER_DAY, ALL, *known])}'
            there = ", ".join(known) or "none"
            problems.add(place, "unknown-word", f"{said}; it has {there}, and all of them together are {ALL}")
            continue
        try:
            _limits(key, below.plain())
        except ValueError as fault:
            problems.add(below.place, "bad-limit", f"{where}.budget.{key}: {fault}")


def _limits(key: str, value: Any) -> list[Limit]:
    if key == PER_DAY:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"the requests of a day are a whole number of at least 1, not {describe(value)}")
        return [Limit(value, timedelta(days=1))]
    operation = "" if key == ALL else key
    match value:
        case str():
            return [_window(operation, value)]
        case [_, *_]:
            return [_window(operation, each) for each in value]
        case {"bucket": size, "refill": str(refill), **rest} if not rest and type(size) is int and size > 0:
            gained = _window(operation, refill)
            return [Limit(size, gained.per * size / gained.units, operation, refills=True, unit="points")]
    wanted = "60 per 1h, several as [60 per 1h, 1 per 1m], or as {bucket: 2000, refill: 100 per 1s}"
    raise ValueError(f"write it like {wanted}, not {describe(value)}")


def _window(operation: str, text: Any) -> Limit:
    match = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"a limit is written like 60 per 1h, not {describe(text)}")
    per = parse_duration(match[2])
    if not timedelta(0) < per <= _LONGEST:
        raise ValueError(f'"{text}": a limit is counted within a second at least and 31d at most')
    return Limit(int(match[1]), per, operation)
