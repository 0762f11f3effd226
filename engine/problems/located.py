"""Located faults: what an author has to mend, where, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from engine.problems.codes import CODES
from engine.problems.declared import Severity


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file. Lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def moved(self, columns: int, lines: int = 0) -> Place:
        """The place `columns` to the right, for a fault inside an expression."""
        return Place(self.file, self.line + lines, self.column + columns)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault. `code` is one of `engine.problems.codes`, `message` names the wanted and the actual."""

    place: Place
    code: str
    message: str

    @property
    def severity(self) -> Severity:
        """As the code declares; what is not declared is an error."""
        declared = CODES.get(self.code)
        return "error" if declared is None else declared.severity

    def as_json(self) -> dict[str, str | int]:
        """For programs."""
        place = self.place
        return {
            "file": place.file,
            "line": place.line,
            "column": place.column,
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
        }

    def __str__(self) -> str:
        return f"{self.place}: {self.severity} {self.code}: {self.message}"


@dataclass(slots=True)
class Problems:
    """A growing collection of faults; read back sorted and without repeats."""

    _found: set[Problem] = field(default_factory=set)

    def add(self, place: Place, code: str, message: str) -> None:
        self._found.add(Problem(place, code, message))

    def extend(self, problems: Iterable[Problem]) -> None:
        self._found.update(problems)

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(p for p in self if p.severity == "error")

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted(self._found))

    def __len__(self) -> int:
        return len(self._found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __str__(self) -> str:
        return "\n".join(str(p) for p in self)


class ProblemsFound(Exception):  # noqa: N818 - it carries faults of the author, not of the program
    """Raised where files do not compile; carries every problem of every file at once."""

    def __init__(self, problems: Problems) -> None:
        super().__init__(str(problems))
        self.problems = problems


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """` (did you mean "x"?)` for the nearest valid name, else a short list of the valid ones, else nothing."""
    names = sorted(set(valid))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f' (did you mean "{near[0]}"?)'
    if 0 < len(names) <= 8:
        return f" (one of: {', '.join(names)})"
    return ""
