"""`instep correct`: the milestones of a case, and what a person says against one that is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from engine.decide.people import NotPossible
from engine.desk.doing import Wanted, asked_already, journalled, noted_only, person, reason
from engine.desk.stored import NotFound, active_rule_set, one_case, store_path, visited
from engine.facts.codec import timestamp
from engine.facts.merge import CORRECTION, fields_of, without_corrections
from engine.facts.record import RecordState
from engine.language.mapping import milestones
from engine.language.ruleset import RuleSet
from engine.language.show import show
from engine.problems import did_you_mean
from engine.run.hearing.deeds import Deed
from engine.run.hearing.intake import correction_of
from engine.store.base import Store
from engine.store.rows import CaseRow
from engine.store.states import States

Json = dict[str, Any]
NEVER = "none"  # it never happened
NAME = 40  # characters of a milestone's name that are kept together
SENT = ("settled", "performing", "unsure")
TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Milestone:
    """One of a record of a case: its value as rules read it, and as it was seen. Both are None for what has not happened."""

    kind: str
    key: str
    field: str
    type: str
    doc: str
    value: Any
    seen: Any
    corrected_by: str = ""
    corrected_at: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.key}.{self.field}"


def listed(database: Path | None, client: str | None, wanted: str) -> Json:
    """The milestones of a case, each with who corrected it and why. Raises `NotFound`."""
    with visited(database, client) as store:
        row = one_case(store, wanted)
        found = milestones_of(store, active_rule_set(store), row)
        return {"case": row.name, "milestones": [_json(store, one) for one in found]}


def milestones_of(store: Store, rule_set: RuleSet, row: CaseRow) -> list[Milestone]:
    """Those of every record of the case that was ever seen."""
    states = States(rule_set.vocabulary)
    return [one for record in store.records.of_case(row.id) for one in _of(rule_set, states.decode(record))]


def _of(rule_set: RuleSet, state: RecordState) -> Iterator[Milestone]:
    declared = rule_set.vocabulary[state.kind].fields
    now, seen = fields_of(state), fields_of(without_corrections(state))
    for field in milestones(rule_set.mappings, state.kind):
        spec, said = declared[field], state.snapshots.get(f"{CORRECTION}{field}")
        by, at = (said.digest, said.version) if said is not None else ("", "")
        yield Milestone(state.kind, state.key, field, spec.type.name, spec.doc, now.get(field), seen.get(field), by, at)


def _json(store: Store, one: Milestone) -> Json:
    why = next((e.reason for e in reversed(store.audit.about(one.name)) if e.did == "corrected" and e.at == one.corrected_at), "")
    return {
        "name": one.name,
        "type": one.type,
        "doc": one.doc,
        "value": _plain(one.value),
        "seen": _plain(one.seen),
        "corrected_by": one.corrected_by,
        "corrected_at": one.corrected_at,
        "reason": why,
    }


def _plain(value: Any) -> Any:
    return (
        value.isoformat() if isinstance(value, datetime) else value if isinstance(value, bool) or value is None else show(value)
    )


def table(told: Json) -> Table | Text:
    if not told["milestones"]:
        return Text(f"{told['case']} has no milestones: nothing that keeps one was seen of it yet.")
    widest = max(len(one["name"]) for one in told["milestones"])
    name, stands = Column("milestone", min_width=min(widest, NAME)), Column("stands", no_wrap=True)
    found = Table(name, stands, "", box=None, pad_edge=False, header_style="bold")
    for one in told["milestones"]:
        said = Text(one["doc"], style="dim")
        if one["corrected_by"]:
            because = f": {one['reason']}" if one["reason"] else ""
            said = Text(f"corrected by {one['corrected_by']}{because}; seen as {said_as(one['seen'])}", style="yellow")
        found.add_row(one["name"], said_as(one["value"]), said)
    return found


def said_as(value: Any) -> str:
    """A milestone's value for people."""
    if value is None:
        return "has not happened"
    return show(timestamp(value)) if isinstance(value, str) else ("yes" if value else "no")


def corrected(database: Path | None, client: str | None, wanted: str, name: str, value: str, by: str, why: str) -> str:
    """Says against what was seen, and what came of it. Raises `NotFound` where it cannot be said."""
    who, because = person(by), reason(why)
    with visited(database, client) as store:
        row = one_case(store, wanted)
        rule_set = active_rule_set(store)
        one = _named(row, milestones_of(store, rule_set, row), name)
        deed = Deed("person.correct", row.name, one.name, who, json.dumps(_value(one, value)), because)
        if said := asked_already(store).get(deed.key):
            raise NotFound(f"{one.name}: {said}")
        try:
            after = correction_of(rule_set, deed, datetime.now(UTC)).fields.get(one.field)
        except NotPossible as no:
            raise NotFound(f"{one.name}: {no}") from None
        if after == one.value:
            raise NotFound(f"{one.name} says so already: {said_as(_plain(after))}")
        path = store_path(database, client)
        told = f"{who} corrected {one.name} of {row.name}: {said_as(_plain(after))}, where it was {said_as(_plain(one.value))}"
        if not journalled(store, path, [Wanted(deed)]):
            return f"{told}. {noted_only(path)}"
        sent = sum(e.entry.status in SENT for e in store.outbox.of_case(row.id))
        stays = f" What was sent before stays sent: {sent} effect{'s' if sent > 1 else ''} of this case." if sent else ""
        return f"{told}. Taken in, and the case decided anew.{stays}"


def _named(row: CaseRow, found: Sequence[Milestone], name: str) -> Milestone:
    """By its whole name, or as rules call it where only one record of the case has it. Raises `NotFound`."""
    wanted = name.strip()
    fitting = [one for one in found if wanted in (one.name, f"{one.kind}.{one.field}")]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise NotFound(f"{row.name} has several: name one of {', '.join(one.name for one in fitting)}")
    names = [one.name for one in found] + sorted({f"{one.kind}.{one.field}" for one in found})
    raise NotFound(
        f"{row.name} has no milestone {wanted}{did_you_mean(wanted, names)}. Only milestones are corrected by hand: what else was"
        f" seen, money above all, is put right where it was seen. `instep correct {row.name.partition(':')[2]}` lists them"
    )


def _value(one: Milestone, text: str) -> str | bool | None:
    """Raises `NotFound`."""
    wanted = text.strip()
    if wanted.casefold() == NEVER:
        return None
    if one.type == "boolean":
        if wanted.casefold() not in TRUTH:
            raise NotFound(f'{one.name} is true, false or {NEVER}, not "{text}"{did_you_mean(wanted, [*TRUTH, NEVER])}')
        return TRUTH[wanted.casefold()]
    try:
        return timestamp(wanted).isoformat()
    except ValueError as no:
        raise NotFound(f"{one.name} is an instant, or {NEVER} where it never happened: {no}") from None
