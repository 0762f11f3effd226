"""The hit policies of DMN 1.5, section 8.2.10, under the names they have there."""

from __future__ import annotations

from typing import Literal, get_args

Hit = Literal[
    "unique",
    "any",
    "first",
    "priority",
    "rule order",
    "output order",
    "collect",
    "collect sum",
    "collect min",
    "collect max",
    "collect count",
]
HITS: tuple[Hit, ...] = get_args(Hit)
SINGLE = frozenset({"unique", "any", "first", "priority"})
ORDERED_BY_OUTPUT = frozenset({"priority", "output order"})
AGGREGATES = frozenset({"collect sum", "collect min", "collect max", "collect count"})
