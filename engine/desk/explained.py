"""What `instep explain` tells of: a case now, at a moment of its past, or through its whole life, from a store or a history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.decide.decision import Decision
from engine.decide.document import decision_to_json
from engine.desk.doing import instant
from engine.desk.stored import NotFound, one_case, stored_decision, visited
from engine.language.ruleset import RuleSet
from engine.language.show import show
from engine.problems import ProblemsFound, did_you_mean
from engine.run.kept.story import NOTHING, Known, Told, story, story_to_json
from engine.simulate.chronicle import Line, chronicle, corrections, known_by, line_to_json
from engine.simulate.history import read
from engine.simulate.life import Life, NoLife, life_in, life_in_store
from engine.store.safekeeping import Lateness, late_by


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed. `history` is a file of JSON lines instead of the store; `unit` and `rule` narrow what is told."""

    case: str
    database: Path | None = None
    client: str | None = None
    root: Path | None = None
    history: Path | None = None
    at: str = ""
    unit: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """One decision, what is known of those before it, and the life it belongs to; `note` says where the past cannot be told
    exactly.
    """

    rule_set: RuleSet
    decision: Decision
    at: datetime | None
    known: Known = NOTHING
    life: Life | None = None
    note: str = ""
    unit: str = ""
    rule: str = ""
    late: Lateness = field(default_factory=dict)

    @property
    def story(self) -> tuple[Told, ...]:
        """The pieces asked for, with what is to be said of each."""
        told = story(self.rule_set, self.decision, self.known)
        return tuple(one for one in told if self.unit in ("", one.unit))

    @property
    def corrected(self) -> list[Line]:
        """What people said against milestones that were seen wrongly, up to the moment asked for."""
        return corrections(self.life, self.at) if self.life is not None else []

    @property
    def timeline(self) -> Iterator[Line]:
        """Everything up to the moment asked for."""
        for line in chronicle(self.life, self.at) if self.life is not None else ():
            if self.rule in ("", line.rule):
                yield line


def explained(asked: Asked, *, life_wanted: bool = False) -> Explained:
    """Raises `NotFound` for what was asked wrongly, `BadHistory` and OSError for a file, `ProblemsFound` for rule sets."""
    at = instant("--at", asked.at)
    found = _from_file(asked, at) if asked.history is not None else _from_store(asked, at, life_wanted=life_wanted)
    units = [unit.key for unit in found.decision.view.facts.records.get("unit", ())]
    if asked.unit and asked.unit not in units:
        raise NotFound(f"{found.decision.case} has no unit {asked.unit}{did_you_mean(asked.unit, units)}: {_listed(units)}")
    rules = [rule.id for rule in found.rule_set.rules]
    if asked.rule and asked.rule not in rules:
        raise NotFound(f"there is no rule {asked.rule}{did_you_mean(asked.rule, rules)}")
    return found


def explained_json(found: Explained) -> dict[str, Any]:
    """Everything: the decision with its trace, the answers for each piece, and the timeline."""
    told = decision_to_json(found.rule_set, found.decision)
    if found.rule:
        told["trace"] = [entry for entry in told["trace"] if entry["rule"] == found.rule]
    told["story"] = story_to_json(found.story)
    told["late"] = [
        {"what": one.what, "key": one.key, "due_at": one.due_at.isoformat(), "at": one.at.isoformat(), "late_by": late_by(one)}
        for one in found.late.values()
    ]
    told["corrected"] = [line_to_json(line) for line in found.corrected]
    told["timeline"] = [line_to_json(line) for line in found.timeline]
    return told | ({"at": found.at.isoformat()} if found.at else {}) | ({"note": found.note} if found.note else {})


def _from_file(asked: Asked, at: datetime | None) -> Explained:
    path = asked.history
    if path is None or not path.is_file():
        raise NotFound(f"there is no file {path}")
    try:
        life = life_in(lambda: read(path), asked.case)
    except NoLife as no:
        raise NotFound(str(no)) from None
    if at is not None and at > life.ends:
        raise NotFound(f"{path.name} ends at {show(life.ends)}: nothing is known of {show(at)}")
    return _at(life, at, asked)


def _from_store(asked: Asked, at: datetime | None, *, life_wanted: bool) -> Explained:
    rule_set, decision = stored_decision(asked.root, asked.database, asked.client, asked.case)
    try:
        with visited(asked.database, asked.client) as store:
            row = one_case(store, asked.case)
            late = store.safekeeping.late(row.id)
            life = life_in_store(store, row)
    except (NoLife, ProblemsFound) as no:
        why = next(iter(no.problems)).message if isinstance(no, ProblemsFound) else str(no)
        if at is not None or life_wanted:
            raise NotFound(f"the past of {decision.case} cannot be told: {why}") from None
        return Explained(rule_set, decision, None, note=f"Its past cannot be told: {why}.", unit=asked.unit, rule=asked.rule)
    if at is not None:
        now = max(datetime.now(UTC), life.ends)
        if at > now:
            raise NotFound(f"{show(at)} is still to come: it is {show(now)}, and nobody knows what will have been seen by then")
        return replace(_at(life, at, asked), late=late)
    known = known_by(life, life.decided[-1])
    return Explained(rule_set, decision, None, known, life, _inexact(life), asked.unit, asked.rule, late)


def _at(life: Life, at: datetime | None, asked: Asked) -> Explained:
    moment = life.decided[-1] if at is None else life.at(at)
    if moment is None:
        first = life.decided[0].at
        raise NotFound(f"{life.case} was first seen {show(first)}: nothing was known of it at {show(at)}")
    known = known_by(life, moment)
    return Explained(moment.rule_set, moment.decision, at, known, life, _inexact(life), asked.unit, asked.rule)


def _inexact(life: Life) -> str:
    if life.exact:
        return ""
    return (
        f"Of {life.recorded} recorded decisions about it {life.same} come out the same when its history is lived again: take"
        " what is said of its past with care."
    )


def _listed(names: list[str]) -> str:
    return f"it has {', '.join(names)}" if names else "its order has not come"
