"""`silence: {code: "because ..."}` on a rule, fact, parameter or promise: a doubt that was looked at and is meant so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.language.node import Node
from engine.language.override import Definition
from engine.language.sections import Sections
from engine.problems import Place, Problem, Problems, did_you_mean
from engine.problems.codes import CODES


@dataclass(frozen=True, slots=True)
class Silence:
    """One code silenced for one entry. `lines` are the first and last line the entry has in each file it is written in."""

    code: str
    place: Place
    entry: str
    lines: Mapping[str, tuple[int, int]]

    def covers(self, problem: Problem) -> bool:
        first, last = self.lines.get(problem.place.file, (1, 0))
        return problem.code == self.code and first <= problem.place.line <= last


def silences_in(sections: Sections, problems: Problems) -> tuple[Silence, ...]:
    """All that entries silence. Errors cannot be, and every silence gives its reason."""
    return tuple(found for entry in sections.entries() for found in _of(entry, problems))


def _of(entry: Definition, problems: Problems) -> Iterator[Silence]:
    node = entry.node.get("silence")
    if node is None or not node.expect_map(problems, f'"silence" of "{entry.key}"'):
        return
    lines = _lines(entry)
    for code, place, why in node.items():
        declared = CODES.get(code)
        if declared is None:
            valid = [known.name for known in CODES.values() if known.severity != "error"]
            problems.add(place, "unknown-word", f'"silence" names a code; there is none "{code}"{did_you_mean(code, valid)}')
        elif declared.severity == "error":
            problems.add(place, "silenced-error", f"{code} is an error and cannot be silenced: mend what it tells of")
        else:
            reason = why.expect_text(problems, f"the reason to silence {code}")
            if reason is not None and not reason.strip():
                problems.add(why.place, "empty-reason", f'say why {code} is meant so here, as in {code}: "because ..."')
            elif reason is not None:
                yield Silence(code, place, entry.key, lines)


def _lines(entry: Definition) -> dict[str, tuple[int, int]]:
    found = {entry.place.file: (entry.place.line, entry.place.line)}
    for place in _places(entry.node):
        first, last = found.get(place.file, (place.line, place.line))
        found[place.file] = (min(first, place.line), max(last, place.line))
    return found


def _places(node: Node) -> Iterator[Place]:
    """Every place in it; of text over several lines the last one too."""
    yield node.place
    if node.kind == "scalar" and "\n" in node.raw:
        yield Place(node.place.file, node.place.line + node.raw.rstrip().count("\n"), 1)
    for element in node.elements:
        yield from _places(element)
    for _, place, inner in node.items():
        yield place
        yield from _places(inner)
