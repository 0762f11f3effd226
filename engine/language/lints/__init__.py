"""What compiles but is probably not meant. Each lint is one small function in the list below.

A lint looks at one rule set as a whole and yields problems; it claims only what can be proved from what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.language.doubts import Doubts
from engine.language.lints.claims import always_forbidden, rival_claims
from engine.language.lints.conditions import settled_conditions
from engine.language.lints.offers import missing_offers
from engine.language.lints.texts import missing_runbooks, unfilled_placeholders
from engine.language.lints.unguarded import unguarded_vetoes
from engine.language.lints.unused import unused_facts, unused_params, unused_tables
from engine.language.lints.waiting import endless_holds, long_clocks
from engine.language.lints.whole import Whole
from engine.problems import Place, Problem, Problems

LINTS: tuple[Callable[[Whole], Iterator[Problem]], ...] = (
    unguarded_vetoes,
    missing_runbooks,
    unfilled_placeholders,
    long_clocks,
    endless_holds,
    missing_offers,
    settled_conditions,
    rival_claims,
    always_forbidden,
)
UNUSED: tuple[Callable[[Whole], Iterator[tuple[Place, Problem | None]]], ...] = (unused_params, unused_facts, unused_tables)


def look_for_doubts(whole: Whole, problems: Problems, doubts: Doubts) -> None:
    """Everything doubtful in one rule set. Only where it has no errors is it known what nothing reads."""
    sound = not problems.errors
    for lint in LINTS:
        problems.extend(lint(whole))
    for unused in UNUSED if sound else ():
        for place, problem in unused(whole):
            doubts.declare(place, problem)
