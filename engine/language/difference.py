"""What changed in meaning between two sets of files of one client; layout, comments and the order of files make no difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from typing import Any, Literal

from engine.facts.values import Rec
from engine.language.client import ClientConfig
from engine.language.compiled import ActionUse, Condition, Each, Expression, Forbid, Raise, Rule, Template
from engine.language.conditions import meaning_of
from engine.language.durations import show_duration
from engine.language.fingerprint import canonical
from engine.language.ruleset import RuleSet
from engine.language.show import show
from engine.problems import Place

How = Literal["added", "removed", "renamed", "changed"]
NOT_THERE = "nothing"


@dataclass(frozen=True, slots=True)
class Part:
    """One key that means something else now, as people write it."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is new, gone, called otherwise, or means something else. `place` is where it stands, or stood."""

    what: str  # a rule, fact, parameter, table, promise, mapping, record, or a setting of the client
    name: str
    how: How
    place: Place | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two sets compared."""

    rules: RuleSet
    client: ClientConfig


def difference(before: Side, after: Side) -> tuple[Change, ...]:
    """Every change, rules first, each kind sorted by name."""
    old, new = before.rules, after.rules
    return (
        *_rules(old, new),
        *_each("fact", old.derived, new.derived, lambda fact: {"value": fact.expression, "doc": fact.doc}),
        *_each("table", old.tables, new.tables, lambda table: {"meaning": table.meaning()}),
        *_each("promise", {p.id: p for p in old.promises}, {p.id: p for p in new.promises}, _fields),
        *_each("parameter", _flat(old.params), _flat(new.params), lambda value: {"value": value}),
        *_each("mapping", _mappings(old), _mappings(new), _fields),
        *_each("record", old.vocabulary.kinds, new.vocabulary.kinds, lambda kind: _kind(kind, old, new)),
        *_settings(before, after),
    )


def _rules(old: RuleSet, new: RuleSet) -> Iterator[Change]:
    renamed = {new_id: was for was, new_id in new.renames.items() if old.rule(was) is not None and old.rule(new_id) is None}
    for rule_id in sorted({r.id for r in old.rules} | {r.id for r in new.rules}):
        now, then = new.rule(rule_id), old.rule(renamed.get(rule_id, rule_id))
        if now is not None and then is not None:
            parts = _parts(_rule(then), _rule(now))
            if rule_id in renamed:
                yield Change("rule", rule_id, "renamed", now.place, (Part("id", renamed[rule_id], rule_id), *parts))
            elif parts:
                yield Change("rule", rule_id, "changed", now.place, parts)
        elif now is not None:
            yield Change("rule", rule_id, "added", now.place)
        elif then is not None and rule_id not in renamed.values():
            yield Change("rule", rule_id, "removed", then.place)


def _rule(rule: Rule) -> dict[str, Any]:
    """What a rule says, by the keys of its YAML."""
    return {
        "title": rule.title,
        "doc": rule.doc,
        "owner": rule.owner,
        "runbook": rule.runbook,
        "group": rule.group,
        "each": rule.each,
        "when": rule.when,
        "for": rule.hold_for,
        "after": rule.after,
        "then": (*rule.actions, *rule.forbids, *rule.raises),
        "undecided_after": rule.undecided_after,
        "mode": rule.mode,
        "at_most": rule.at_most,
    }


def _each(
    what: str, old: Mapping[str, Any], new: Mapping[str, Any], parts_of: Callable[[Any], Mapping[str, Any]]
) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield Change(what, name, "added", getattr(new[name], "place", None))
        elif name not in new:
            yield Change(what, name, "removed", getattr(old[name], "place", None))
        elif parts := _parts(parts_of(old[name]), parts_of(new[name])):
            yield Change(what, name, "changed", getattr(new[name], "place", None), parts)


def _parts(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Part, ...]:
    changed = [name for name in {**old, **new} if _meaning(old.get(name)) != _meaning(new.get(name))]
    return tuple(Part(name, said(old.get(name)), said(new.get(name))) for name in changed)


def _meaning(value: Any) -> Any:
    return meaning_of(value, "") if isinstance(value, Condition) else canonical(value)


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value) if each.name != "place"}


def _kind(kind: Any, old: RuleSet, new: RuleSet) -> dict[str, Any]:
    """A record without its derived facts, which are told by themselves."""
    derived = {*old.derived, *new.derived}
    own = {name: spec for name, spec in kind.fields.items() if f"{kind.name}.{name}" not in derived}
    return {"fields": own, "relations": kind.relations, "key": kind.key, "scope": kind.scope, "plural": kind.plural}


def _mappings(rules: RuleSet) -> dict[str, Any]:
    return {f"{event} to {each.kind}": each for event, found in rules.mappings.items() for each in found}


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in params.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Rec | Mapping) else {f"{prefix}{name}": value}
    return found


def _settings(before: Side, after: Side) -> Iterator[Change]:
    """Keys of client.yaml, but for its parameters; the precedence; and the codes of client and connectors together."""
    plain_old, plain_new = before.client.model_dump(), after.client.model_dump()
    for name in ("params", "codes", "client"):
        plain_old.pop(name, None)
        plain_new.pop(name, None)
    old = {**plain_old, "precedence": before.rules.precedence, "codes": before.rules.codes}
    new = {**plain_new, "precedence": after.rules.precedence, "codes": after.rules.codes}
    for part in _parts(old, new):
        yield Change("setting", part.name, "changed", None, (part,))


def said(value: Any) -> str:
    """A value as an author would write it, in one line."""
    match value:
        case None | "":
            return NOT_THERE
        case Expression():
            return " ".join(value.text.split())
        case Template():
            return "".join(part if isinstance(part, str) else f"{{{said(part)}}}" for part in value.parts)
        case Condition():
            return _condition(value)
        case Each():
            return value.kind if not value.path else f"{value.name}: {'.'.join((value.kind, *value.path))}"
        case ActionUse():
            return f"{value.action} {_listed(value.params)}"
        case Forbid():
            units = "" if value.units is None else f" of {said(value.units)}"
            return f"forbid {', '.join(value.actions)}{units}: {said(value.because)}"
        case Raise():
            return f"raise {_listed({name: each for name, each in _fields(value).items() if each not in (None, False, {})})}"
        case timedelta():
            return show_duration(value)
        case Rec() | Mapping():
            return _listed(value)
        case list() | tuple():
            return "; ".join(said(each) for each in value) or NOT_THERE
    if is_dataclass(value) and not isinstance(value, type) and not value.__class__.__module__.startswith("engine.facts"):
        return _listed(_fields(value))
    return show(value)


def _listed(values: Mapping[str, Any]) -> str:
    return f"{{{', '.join(f'{name}: {said(each)}' for name, each in values.items())}}}"


def _condition(condition: Condition) -> str:
    if condition.expression is not None:
        return said(condition.expression)
    inner = "; ".join(_condition(part) for part in condition.parts)
    return inner if condition.path == "when" else f"{condition.kind}({inner})"
