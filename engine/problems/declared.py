"""What declaring a problem code takes. The codes themselves are in `engine.problems.codes`."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of problem: its stable name, how much it matters, and what to do about it.

    `wrong` and `right` are YAML: some keys of a rule, or a whole file, which then starts with its path as a comment. Tests check
    that the first raises the code and the second raises nothing.
    """

    name: str
    severity: Severity
    summary: str
    why: str
    wrong: str
    right: str

    @property
    def examples(self) -> tuple[str, str]:
        """The wrong one and the right one, without the indentation they have in the source."""
        return dedent(self.wrong).strip("\n"), dedent(self.right).strip("\n")
