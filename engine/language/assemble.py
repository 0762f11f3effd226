"""From what the files say to one rule set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar
from zoneinfo import ZoneInfo

from engine.facts.calendars import Calendar
from engine.facts.schema import Vocabulary
from engine.language.batches import Cadence, parse_batch
from engine.language.calendars import BUILT_IN, calendar_named, read_calendars
from engine.language.client import ClientConfig, node_at
from engine.language.codes import mappable
from engine.language.coherence import check_whole
from engine.language.compiled import DerivedFact, PromiseSpec, Rule
from engine.language.derived import Draft, read_draft, reading_closure, resolve
from engine.language.doubts import Doubts
from engine.language.fingerprint import fingerprint
from engine.language.ingredients import Ingredients
from engine.language.lints import look_for_doubts
from engine.language.lints.whole import Whole
from engine.language.mapping import RecordMapping
from engine.language.node import Node
from engine.language.override import Definition
from engine.language.params import Params, ParamSpec, read_param, settle, unset
from engine.language.promises import read_promise
from engine.language.rules import Ground, Question, question_of, read_rule
from engine.language.ruleset import RuleSet
from engine.language.scope import Scope, case_names
from engine.language.sections import Sections
from engine.language.tables.check import check_tables
from engine.language.tables.draft import TableDraft, read_table
from engine.language.tables.reading import Settings
from engine.problems import Place, Problems


def assemble(given: Ingredients, problems: Problems, doubts: Doubts | None = None) -> RuleSet:
    """The compiled rule set. It is only fit for use if `problems` holds no error. With `doubts`, also what is
    only doubtful.
    """
    zone = ZoneInfo(given.client.time_zone if given.client else "UTC")
    listed = None if given.client_node is None else given.client_node.get("calendars")
    calendars = read_calendars(listed, zone, problems)
    params = _params(given, calendars, problems)
    scope = Scope(
        params.vocabulary,
        case_names(params.vocabulary),
        params.types,
        codes={name: given.codes.get(name, {}) for name in sorted(mappable(given.actions))},
        time_zone=zone,
        calendars=calendars,
    )
    scope, resolved = resolve((*_drafts(given, problems), *_tables(given, params, problems)), scope, problems)
    vocabulary = scope.vocabulary
    sections = {**given.sections.facts, **given.sections.tables}
    facts = tuple(_placed(fact, sections[fact.kind if fact.kind in scope.tables else fact.id]) for fact in resolved)
    check_tables([table for table in scope.tables.values() if table is not None], problems, warn=doubts is not None)
    ground = Ground(scope, given.sections.precedence, given.actions, _questions(given.sections, vocabulary))
    rules = _rules(given.sections, ground, problems)
    promises = _promises(given.sections, ground, problems)
    check_whole(given.sections, rules, problems)
    if doubts is not None:
        doubts.hear(given.sections, problems)
        look_for_doubts(Whole(rules, facts, promises, given, ground, params.values), problems, doubts)
    return _rule_set(given, params, calendars, scope, rules, facts, promises, problems)


_Compiled = TypeVar("_Compiled", Rule, DerivedFact, PromiseSpec)


def _placed(compiled: _Compiled, definition: Definition) -> _Compiled:
    """With every place it came from."""
    return replace(compiled, place=definition.place, origins=definition.origins)


def with_params(rule_set: RuleSet, given: Ingredients, node: Node, problems: Problems) -> RuleSet:
    """The same rules with other parameters: `node` is a whole `client.yaml`. Compiles nothing anew."""
    calendars = read_calendars(node.get("calendars"), ZoneInfo(rule_set.time_zone), problems)
    params = _params(replace(given, client_node=node), calendars, problems)
    name = f"{rule_set.hash}+{hashlib.sha256(repr(node.plain()).encode()).hexdigest()[:12]}"
    return replace(rule_set, params=params.values, hash=name)


def _params(given: Ingredients, calendars: Mapping[str, Calendar], problems: Problems) -> Params:
    specs: dict[str, ParamSpec] = {}
    for name, entry in sorted(given.sections.params.items()):
        spec = read_param(name, entry.latest, entry.node, calendars, problems)
        if spec is not None:
            specs[name] = spec
    for name, spec in list(specs.items()):
        if any(other.startswith(f"{name}.") for other in specs):
            problems.add(spec.place, "bad-name", f'"{name}" is a group of parameters and cannot be one itself')
            del specs[name]
    node = None if given.client_node is None else given.client_node.get("params")
    if node is None and given.client_node is not None:
        unset(specs, given.client_node.place, problems)
    return settle(specs, node, given.vocabulary, calendars, problems)


def _drafts(given: Ingredients, problems: Problems) -> Iterator[Draft]:
    for name, entry in given.sections.facts.items():
        draft = read_draft(name, entry.latest, entry.node, given.vocabulary, problems)
        if draft is not None:
            yield draft


def _tables(given: Ingredients, params: Params, problems: Problems) -> Iterator[TableDraft]:
    settings = Settings(params.vocabulary, params.types, params.values)
    facts = given.sections.facts
    for name, entry in given.sections.tables.items():
        draft = read_table(name, entry.latest, entry.node, given.vocabulary, settings, problems)
        if draft is None:
            continue
        if f"{draft.kind}.{name}" in facts:
            where = facts[f"{draft.kind}.{name}"].place
            said = f"there is a fact {draft.kind}.{name} already ({where.file}:{where.line}): give the table another name"
            problems.add(entry.latest, "already-defined", said)
        else:
            yield draft


def _questions(sections: Sections, vocabulary: Vocabulary) -> dict[str, Question]:
    asked = {rule_id: question_of(entry.node, vocabulary) for rule_id, entry in sections.rules.items()}
    return {rule_id: question for rule_id, question in asked.items() if question is not None}


def _rules(sections: Sections, ground: Ground, problems: Problems) -> tuple[Rule, ...]:
    if sections.rules and sections.precedence_place is None:
        first = min(entry.place for entry in sections.rules.values())
        problems.add(first, "missing-key", "no file says in which order groups win: write precedence: [hold, refund, ...]")
    rules = (read_rule(rule_id, e.latest, e.node, ground, problems) for rule_id, e in sorted(sections.rules.items()))
    found = tuple(_placed(rule, sections.rules[rule.id]) for rule in rules if rule is not None)
    _check_earlier_ids(sections, found, problems)
    return found


def _check_earlier_ids(sections: Sections, rules: tuple[Rule, ...], problems: Problems) -> None:
    """Each `was` names a rule that is gone, and only one rule takes over what it remembers."""
    taken: dict[str, Rule] = {}
    for rule in rules:
        node = sections.rules[rule.id].node.get("was")
        if not rule.was or node is None:
            continue
        first = taken.setdefault(rule.was, rule)
        if rule.was == rule.id:
            problems.add(node.place, "bad-name", f'"was" names the earlier id of a renamed rule; "{rule.was}" is its id now')
        elif rule.was in sections.rules:
            said = f'"was" names the earlier id of a renamed rule; "{rule.was}" is still there'
            problems.add(node.place, "bad-name", said)
        elif first is not rule:
            where = f"{first.place.file}:{first.place.line}"
            said = f'"{first.id}" ({where}) is already what "{rule.was}" is called now: one rule keeps the memory of another'
            problems.add(node.place, "already-defined", said)


def _promises(sections: Sections, ground: Ground, problems: Problems) -> tuple[PromiseSpec, ...]:
    found = (read_promise(name, e.latest, e.node, ground, problems) for name, e in sorted(sections.promises.items()))
    return tuple(_placed(promise, sections.promises[promise.id]) for promise in found if promise is not None)


def _rule_set(
    given: Ingredients,
    params: Params,
    calendars: Mapping[str, Calendar],
    scope: Scope,
    rules: tuple[Rule, ...],
    facts: tuple[DerivedFact, ...],
    promises: tuple[PromiseSpec, ...],
    problems: Problems,
) -> RuleSet:
    client = given.client or ClientConfig(client="base")
    kinds = {name: kind for name, kind in scope.vocabulary.kinds.items() if not name.startswith("params.")}
    tables = {name: table for name, table in sorted(scope.tables.items()) if table is not None}
    cadence = _cadence(client, given.client_node, calendars, problems)
    by_event: dict[str, tuple[RecordMapping, ...]] = {}
    for mapping in sorted(given.mappings, key=lambda each: (each.event, each.kind)):
        by_event[mapping.event] = (*by_event.get(mapping.event, ()), mapping)
    sending = (client.mode, client.since, cadence, client.max_new_effects)
    behaviour = (client.client, client.time_zone, *sending, given.codes, params.values, calendars)
    mapping_hash = fingerprint(given.vocabulary.kinds, by_event)
    ordered = sorted(facts, key=lambda fact: (fact.kind, fact.name))
    decided = [table.meaning() for table in tables.values()]
    return RuleSet(
        client=client.client,
        hash=fingerprint(behaviour, given.sections.precedence, kinds, ordered, decided, rules, promises, mapping_hash),
        mapping_hash=mapping_hash,
        vocabulary=Vocabulary(MappingProxyType(kinds)),
        precedence=given.sections.precedence,
        rules=rules,
        facts=facts,
        tables=MappingProxyType(tables),
        params=params.values,
        actions=given.actions,
        promises=promises,
        codes=given.codes,
        cadence=MappingProxyType(cadence),
        since=client.decided_since,
        mode=client.mode,
        reading=_reading(rules, facts),
        mappings=MappingProxyType(by_event),
        time_zone=client.time_zone,
        max_new_effects=client.max_new_effects,
    )


def _cadence(
    client: ClientConfig, node: Node | None, calendars: Mapping[str, Calendar], problems: Problems
) -> dict[str, Cadence]:
    """When each action's effects leave, with the calendar of those that leave on working days."""
    found: dict[str, Cadence] = {}
    for action, each in sorted(client.cadence.items()):
        times = parse_batch(each.batch)
        place = Place("client.yaml") if node is None else node_at(node, ("cadence", action, "calendar")).place
        if each.calendar and not times.working:
            said = f'the calendar of {action} says which days are working days, but "{each.batch}" does not ask for them'
            problems.add(place, "idle-calendar", said)
        named = calendar_named(each.calendar or BUILT_IN, place, calendars, problems, f"the cadence of {action}")
        found[action] = Cadence(times, each.not_later, named if times.working else None)
    return found


def _reading(rules: tuple[Rule, ...], facts: tuple[DerivedFact, ...]) -> Mapping[str, tuple[Rule, ...]]:
    closure = reading_closure(facts)
    index: dict[str, list[Rule]] = {}
    for rule in rules:
        for read in rule.reads.union(*(closure.get(read, frozenset()) for read in rule.reads)):
            index.setdefault(read, []).append(rule)
    return MappingProxyType({read: tuple(found) for read, found in sorted(index.items())})
