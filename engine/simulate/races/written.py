"""A counterexample as a scenario file that `instep test` can run: what was seen and what became of each effect, in that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import yaml

from engine.facts.record import Fields
from engine.facts.schema import Vocabulary
from engine.facts.values import Money, Unreadable
from engine.language.durations import show_duration
from engine.simulate.given import RecordChange, applied
from engine.simulate.races.judging import BROKEN
from engine.simulate.races.racing import Raced
from engine.simulate.scenario import Scenario

HEAD = """# A counterexample of `instep races`: {promise}
# {said}
{notes}"""
IN_SENDING = "# It says what the rules must come to. Where that holds, the fault is in how effects are sent, not in them.\n"


def scenario_file(raced: Raced, vocabulary: Vocabulary) -> str:
    """YAML text. What no scenario can say (a restart, a lost answer) stands in comments at its instant."""
    scenario, breach = raced.scenario, raced.breaches[0]
    known: dict[str, Mapping[str, Any]] = {}
    given: dict[str, Any] = {}
    for one in scenario.given:
        if isinstance(one, RecordChange):
            known[one.name] = applied(vocabulary, one.kind, known.get(one.name, {}), one.fields)
            seen_at = {"seen_at": _plain(one.seen_at)} if one.seen_at is not None else {}
            given[one.name] = {**_fields(vocabulary, one.kind, known[one.name]), **seen_at}
    when: dict[str, list[Any]] = {}
    happened = raced.timeline[:-1] if breach.action else raced.timeline  # what must not be sent is not said to have been
    for at in happened:
        for told in at.told:
            for happening in _each(told.happening):
                said = _happening(vocabulary, happening, known)
                if said:
                    when.setdefault(_after(at.at, scenario), []).append(said)
    last = max((at.at for at in raced.timeline), default=scenario.start)
    body: dict[str, Any] = {"start": _plain(scenario.start), "given": given}
    if scenario.assuming is not None:
        assumed = dict(scenario.assuming.plain())
        body |= {"params": params} if (params := assumed.pop("params", None)) else {}
        body |= {"client": assumed} if assumed else {}
    if when:
        body["when"] = {instant: each[0] if len(each) == 1 else each for instant, each in when.items()}
    if breach.action:
        unwanted = {breach.action: {"units": list(breach.units)} if breach.units else {}}
        body["then"] = {_after(last, scenario): {"not": unwanted}}
    body |= {"never": {"raise": BROKEN}, "until": f"+{show_duration(max(last - scenario.start, timedelta(minutes=1)))}"}
    notes = IN_SENDING if breach.action else ""
    notes += "".join(f"# {_after(at.at, scenario)}  {told.text}\n" for at in raced.timeline for told in at.told)
    text: str = yaml.dump(
        {"scenarios": {f"Race of: {scenario.title}": body}}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120
    )
    return HEAD.format(promise=breach.promise, said=" ".join(breach.said.split()), notes=notes) + text


def _each(happening: Any) -> Sequence[Any]:
    return happening if isinstance(happening, list) else [] if happening is None else [happening]


def _after(at: datetime, scenario: Scenario) -> str:
    return "start" if at == scenario.start else f"+{show_duration(at - scenario.start)}"


def _happening(
    vocabulary: Vocabulary, happening: Mapping[str, Any], known: dict[str, Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """A record as what is new of it; anything else as it is."""
    ((heading, told),) = happening.items()
    kind = heading.partition(" ")[0]
    if kind not in vocabulary:
        return {heading: _corrected(vocabulary, told)} if heading == "correct" else {heading: told}
    was = known.get(heading, {})
    changed = {name: value for name, value in told.items() if _slim(was.get(name)) != _slim(value)}
    known[heading] = {**was, **told}
    return {heading: _fields(vocabulary, kind, changed)} if changed else None


def _corrected(vocabulary: Vocabulary, told: Mapping[str, Fields]) -> dict[str, Any]:
    return {heading: _fields(vocabulary, heading.partition(" ")[0], fields) for heading, fields in told.items()}


def _fields(vocabulary: Vocabulary, kind: str, fields: Fields) -> dict[str, Any]:
    """Fields as a scenario writes them; the key of a record stands in its heading."""
    declared = vocabulary[kind]
    return {name: _value(_slim(value)) for name, value in fields.items() if declared.scope == "item" or name != declared.key}


def _slim(value: Any) -> Any:
    """Without lists of nothing in items: one that is not mentioned is empty."""
    if isinstance(value, tuple | list):
        return tuple(_slim(each) for each in value) or None
    if isinstance(value, Mapping):
        return {name: slim for name, each in value.items() if (slim := _slim(each)) is not None}
    return value


def _value(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_value(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _value(each) for name, each in value.items()}
    return _plain(value)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Money():
            return f"{value.amount:f} {value.currency}"
        case Unreadable():
            return {"unreadable": str(value.raw)}
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
    return value


class _Dumper(yaml.SafeDumper):
    """Block style, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True
