"""`at_most: 1 per 24h` - how often the repeatable actions of a rule may take place."""

from __future__ import annotations

import re

from engine.language.compiled import AtMost
from engine.language.consequences import Consequences
from engine.language.durations import parse_duration
from engine.language.node import Node
from engine.problems import Problems

_WRITTEN = re.compile(r"\s*([1-9][0-9]{0,3})\s+per\s+(\S.*)", re.ASCII)


def read_at_most(node: Node, then: Consequences, acting: int, problems: Problems) -> AtMost | None:
    """The limit a rule sets itself. `acting` is how many actions it writes down, also those that are not understood."""
    if not any(not use.spec.once for use in then.actions) and acting == len(then.actions):
        once = ", ".join(sorted({use.action for use in then.actions}))
        said = f"{once} is done once for what it is about" if once else "this rule does none"
        problems.add(node.place, "idle-limit", f'"at_most" limits actions that may come again; {said}')
    text = node.expect_text(problems, '"at_most"')
    if text is None:
        return None
    match = _WRITTEN.fullmatch(text)
    if match is None:
        problems.add(node.place, "bad-limit", f'"at_most" is written like 1 per 24h, not "{text}"')
        return None
    try:
        per = parse_duration(match[2])
    except ValueError as error:
        problems.add(node.at(match.start(2)), "bad-duration", f'"at_most": {error}')
        return None
    if not per:
        problems.add(node.at(match.start(2)), "bad-limit", '"at_most" counts within a stretch of time, and 0 is none')
        return None
    return AtMost(int(match[1]), per)
