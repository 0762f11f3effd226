"""What is doubtful in one rule set of a project, and what is left to tell of it once all of them have been looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.language.sections import Sections
from engine.language.silence import Silence, silences_in
from engine.problems import Place, Problem, Problems


@dataclass(slots=True)
class Doubts:
    """Of one compile: what its entries silence, and of what it declares, whether anything reads it."""

    silences: tuple[Silence, ...] = ()
    used: set[Place] = field(default_factory=set)
    declared: dict[Place, Problem | None] = field(default_factory=dict)

    def hear(self, sections: Sections, problems: Problems) -> None:
        """Take note of what the entries of these files silence."""
        self.silences = silences_in(sections, problems)

    def declare(self, place: Place, unread: Problem | None) -> None:
        """Something declared at `place`, with a problem if nothing reads it. Another client's rules may still do."""
        silenced = unread is not None and self._silenced(unread)
        self.declared[place] = None if silenced else unread

    def unsilenced(self, problems: Problems) -> Problems:
        """The problems nobody silenced."""
        heard = Problems()
        heard.extend(problem for problem in problems if not self._silenced(problem))
        return heard

    def _silenced(self, problem: Problem) -> bool:
        if problem.severity == "error":
            return False
        covering = [silence.place for silence in self.silences if silence.covers(problem)]
        self.used.update(covering)
        return bool(covering)


def unread_by_all(looked_at: Sequence[Doubts]) -> list[Problem]:
    """What nothing reads in any rule set that declares it."""
    times = Counter(place for doubts in looked_at for place in doubts.declared)
    unread = Counter(problem for doubts in looked_at for problem in doubts.declared.values() if problem is not None)
    return [problem for problem, count in unread.items() if count == times[problem.place]]


def idle_silences(looked_at: Sequence[Doubts]) -> list[Problem]:
    """The silences that silenced nothing in any rule set."""
    used = {place for doubts in looked_at for place in doubts.used}
    idle = {silence.place: silence for doubts in looked_at for silence in doubts.silences if silence.place not in used}
    return [
        Problem(place, "unused-silence", f'nothing in "{silence.entry}" raises {silence.code} any more: take the silence out')
        for place, silence in idle.items()
    ]
