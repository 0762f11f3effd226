"""One pure decision as JSON in and JSON out: the form of `instep decide`, of golden files and of other programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from itertools import chain
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from engine.decide.decision import Decision
from engine.decide.memory import Answer, ExceptionState, HoldClock, Memory, Occurrence, effect_to_json
from engine.decide.resolve import Blocked
from engine.decide.trace import Because, Entry, trace
from engine.facts.case import Case, case_of
from engine.facts.codec import decode_fields, timestamp
from engine.facts.effects import EffectState
from engine.facts.merge import given
from engine.facts.record import RecordState
from engine.language.compiled import Mode
from engine.language.ruleset import RuleSet
from engine.problems import did_you_mean


def _shape(held: type) -> type[BaseModel]:
    """What the fields of a dataclass have to be, as a model that checks it."""
    wanted: dict[str, Any] = {name: (type_, ...) for name, type_ in get_type_hints(held).items()}
    return create_model(held.__name__, __config__=ConfigDict(strict=True), **wanted)


_SHAPES = {held: _shape(held) for held in (HoldClock, ExceptionState, Answer, Occurrence, EffectState)}


class BadDocument(ValueError):  # noqa: N818
    """The input is not a case; the message says where and what was wanted."""


def read_case(rule_set: RuleSet, document: Any) -> tuple[Case, Memory, datetime]:
    """A case from `{"now": ..., "records": {"order": [{...}], ...}, "memory": {...}}`. Raises `BadDocument`."""
    if not isinstance(document, Mapping):
        raise BadDocument('the input is not a JSON object with "now" and "records"')
    unknown = set(document) - {"now", "records", "memory", "case", "opened_at"}
    if unknown:
        name = min(unknown)
        raise BadDocument(f"unknown key {name!r}{did_you_mean(name, ['now', 'records', 'memory', 'case', 'opened_at'])}")
    now = _instant(document.get("now"), "now")
    records = _records(rule_set, document.get("records"), now)
    local = [r for r in records if rule_set.vocabulary[r.kind].scope == "case"]
    client = [r for r in records if rule_set.vocabulary[r.kind].scope == "client"]
    order = next((r for r in local if r.kind == "order"), None)
    case_id = str(document.get("case") or (f"order:{order.key}" if order else "given"))
    opened_at = _instant(document["opened_at"], "opened_at") if "opened_at" in document else now
    return case_of(case_id, local, client, opened_at), _memory(document.get("memory") or {}), now


def _memory(given_memory: Any) -> Memory:
    """Written by `to_json` and given back by anyone: what it holds is looked at as closely as a record is."""
    try:
        memory = Memory.from_json(given_memory)
    except ValueError as fault:
        raise BadDocument(str(fault)) from fault
    held: Iterator[Any] = chain(
        memory.clocks.values(), memory.exceptions.values(), memory.answers.values(), memory.occurrences.values(), memory.effects
    )
    for one in held:
        try:
            _SHAPES[type(one)].model_validate({f.name: getattr(one, f.name) for f in fields(one)})
        except ValidationError as faults:
            wrong = faults.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in wrong["loc"])
            raise BadDocument(f"memory: {where} of {getattr(one, 'key', 'an entry')!s:.80}: {wrong['msg']}") from None
    return memory


def _instant(value: Any, name: str) -> datetime:
    if not isinstance(value, str):
        raise BadDocument(f'"{name}" is missing: an instant such as "2026-03-01T09:00:00Z"')
    try:
        return timestamp(value)
    except ValueError as fault:
        raise BadDocument(f'"{name}": {fault}') from fault


def _records(rule_set: RuleSet, given_records: Any, now: datetime) -> list[RecordState]:
    if not isinstance(given_records, Mapping):
        raise BadDocument('"records" is missing: an object such as {"order": [{"id": "A"}]}')
    kinds = [k.name for k in rule_set.vocabulary.kinds.values() if k.scope != "item" and k.name not in {"unit", "effect"}]
    records: list[RecordState] = []
    for kind, listed in given_records.items():
        if kind not in kinds:
            raise BadDocument(f"records: there is no kind {kind!r}{did_you_mean(kind, kinds)}")
        for position, one in enumerate(listed if isinstance(listed, list) else [listed]):
            records.append(_record(rule_set, kind, one, f"records.{kind}[{position}]", now))
    return records


def _record(rule_set: RuleSet, kind: str, one: Any, path: str, now: datetime) -> RecordState:
    if not isinstance(one, Mapping):
        raise BadDocument(f"{path}: not an object")
    seen = _instant(one["seen_at"], f"{path}.seen_at") if "seen_at" in one else now
    try:
        fields = decode_fields(rule_set.vocabulary, kind, {k: v for k, v in one.items() if k != "seen_at"})
    except ValueError as fault:
        raise BadDocument(f"{path}: {fault}") from fault
    if fields.get(rule_set.vocabulary[kind].key) is None:
        raise BadDocument(f'{path}: its key "{rule_set.vocabulary[kind].key}" is missing')
    return given(rule_set.vocabulary, kind, fields, seen)


def decision_to_json(rule_set: RuleSet, decision: Decision, *, with_trace: bool = True) -> dict[str, Any]:
    """The decision as plain JSON. Equal decisions are equal text."""
    found: dict[str, Any] = {
        "case": decision.case,
        "rule_set": decision.rule_set,
        "now": decision.now.isoformat(),
        "effects": [_effect(e) for e in decision.effects],
        "blocked": [_blocked(b) for b in decision.blocked],
        "vetoes": [_veto(v) for v in decision.vetoes],
        "exceptions": [
            {
                "key": e.key,
                "rule": e.rule,
                "item": e.item,
                "owner": e.owner,
                "severity": e.severity,
                "title": e.title,
                "state": "shadow" if e.mode == "shadow" else e.state,
            }
            | {"runbook": e.runbook, "answers": dict(e.answers), "opened_at": e.opened_at.isoformat()}
            for e in decision.exceptions
        ],
        "closed": [{"key": e.key, "rule": e.rule, "item": e.item, "why": why} for e, why in decision.closed],
        "wake_at": decision.wake_at.isoformat() if decision.wake_at else None,
        "memory": decision.memory.to_json(),
    }
    if with_trace:
        found["trace"] = [entry_to_json(e) for e in trace(rule_set, decision)]
    return found


def _effect(effect: EffectState) -> dict[str, Any]:
    plain = effect_to_json(effect)
    return {k: plain[k] for k in ("action", "subject", "key", "units", "params", "rule", "item", "group", "mode", "planned_at")}


def _blocked(blocked: Blocked) -> dict[str, Any]:
    return {
        "action": blocked.action,
        "rule": blocked.rule,
        "item": blocked.item,
        "subject": blocked.subject,
        "units": list(blocked.units),
        "why": blocked.why,
        "by": blocked.by,
        "because": blocked.because,
        **_marked(blocked.mode),
    }


def _marked(mode: Mode) -> dict[str, Any]:
    """Only what counts among shadow rules alone is marked."""
    return {"mode": mode} if mode == "shadow" else {}


def _veto(veto: Any) -> dict[str, Any]:
    return {
        "rule": veto.standing.rule.id,
        "item": veto.standing.item,
        "actions": list(veto.forbid.actions),
        "units": sorted(veto.units) if veto.units is not None else None,
        "because": veto.because,
        "unknown": veto.unknown,
        **_marked(veto.standing.rule.mode),
    }


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """One line of the trace."""
    found: dict[str, Any] = {"rule": entry.rule, "item": entry.item, "outcome": entry.outcome, "place": entry.place}
    found |= _marked(entry.mode)
    if entry.overrides:
        found["overrides"] = list(entry.overrides)
    if entry.because:
        found["because"] = [because_to_json(b) for b in entry.because]
    if entry.until is not None:
        found["until"] = entry.until.isoformat()
    if entry.blocked:
        found["blocked"] = [_blocked(b) for b in entry.blocked]
    if entry.planned:
        found["planned"] = list(entry.planned)
    if entry.done:
        found["done"] = list(entry.done)
    return found


def because_to_json(because: Because) -> dict[str, Any]:
    """A condition that decided."""
    found: dict[str, Any] = {"path": because.path, "place": because.place, "text": because.text, "truth": because.truth}
    if because.values:
        found["values"] = dict(because.values)
    if because.missing:
        found["missing"] = list(because.missing)
    if because.reason:
        found["reason"] = because.reason
    return found
