"""The JSON Schema of scenario files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.facts.outside import Action, Param
from engine.facts.schema import FieldSpec, Kind, Vocabulary
from engine.language import scenario_forms as forms
from engine.language.forms import Form, Key, Shape, list_of, map_of, one_of, refer, written
from engine.language.known import Known
from engine.language.scenario_forms import TEXTS
from engine.language.shown import described, form_schema

Json = dict[str, Any]
_TIME = "^(start$|[-+][0-9P]|[0-9]{4}-)"
_UNREADABLE = {
    "type": "object",
    "properties": {"unreadable": {"type": "string"}},
    "required": ["unreadable"],
    "additionalProperties": False,
}


def scenario_definitions(known: Known) -> Json:
    """All that scenarios refer to, but for `params` and `client ...`, which client files have."""
    vocabulary = known.vocabulary
    shown = [kind for kind in vocabulary.kinds.values() if kind.scope != "item" and kind.key and not _computed(kind)]
    items = [kind for kind in vocabulary.kinds.values() if kind.scope == "item" and not _computed(kind)]
    records = {f"^{kind.name} .": {**refer(f"shown {kind.name}"), "description": kind.doc} for kind in shown}
    plain = (forms.SCENARIO, forms.ASSUMED, forms.ANSWERED, forms.EXPECTED_EXCEPTION, forms.EXPECTED_VETO)
    return {
        **{form.name: form_schema(form) for form in plain},
        **{f"shown {kind.name}": _shown(kind, vocabulary) for kind in (*shown, *items)},
        "records": {"type": "object", "patternProperties": records, "additionalProperties": False},
        "given": {
            "anyOf": [
                {"type": "string"},
                list_of(refer("given")),
                {**form_schema(forms.GIVEN), "patternProperties": records},
            ]
        },
        "payloads": map_of({"type": ["string", "object"]}),
        "happens": _timed(form_schema(forms.HAPPENING), "happens", records),
        "matched": _chosen(_matched(forms.MATCHED, known.actions), "matched"),
        "expected": _timed(_matched(forms.EXPECTED, known.actions), "expected", {}),
        "effects": _chosen(_by_action(known.actions, {}, words=TEXTS), "effects", *known.actions, "everything"),
        "refused": _by_action(known.actions, forms.REFUSAL, words={"type": "string"}),
        "outcomes": _chosen(_by_action(known.actions, forms.OUTCOME, words=one_of(*forms.STATUSES)), "outcomes"),
        "vetoes": _chosen(
            {
                name: {"anyOf": [TEXTS, refer(forms.EXPECTED_VETO.name)], "description": a.doc}
                for name, a in known.actions.items()
            },
            "vetoes",
            *known.actions,
        ),
        "exceptions": {"anyOf": [TEXTS, list_of(refer("exceptions")), map_of(refer(forms.EXPECTED_EXCEPTION.name))]},
        "facts": _facts(vocabulary, known.tables),
    }


def _computed(kind: Kind) -> bool:
    return all(spec.computed for spec in kind.fields.values())


def _shown(kind: Kind, vocabulary: Vocabulary) -> Json:
    fields = [spec for spec in kind.fields.values() if not spec.computed]
    seen = {} if kind.scope == "item" else {"seen_at": {**forms.INSTANT, "description": "When it was first seen"}}
    properties = {spec.name: {**_value(spec, vocabulary), "description": f"{spec.doc} ({spec.type})"} for spec in fields}
    return {"type": ["object", "null"], "properties": {**properties, **seen}, "additionalProperties": False}


def _value(spec: FieldSpec, vocabulary: Vocabulary) -> Json:
    """A value as a scenario shows it: of its type, missing, or one that could not be read."""
    element = spec.type.of
    if element is not None and element.kind in vocabulary:
        item = refer(f"shown {element.kind}")
        return {"anyOf": [map_of(item), list_of(item), {"type": "null"}]}
    loose: Mapping[str, Shape] = {
        "text": {"type": ["string", "number", "boolean"]},
        "timestamp": forms.INSTANT,
        "date": {"type": "string"},
        "money": {"anyOf": [written(spec.type), map_of({"type": ["string", "number"]})]},
    }
    fitting = {"type": "array"} if element is not None else loose.get(spec.type.name, written(spec.type))
    return {"anyOf": [fitting, {"type": "null"}, _UNREADABLE]}


def _by_action(actions: Mapping[str, Action], beside: Mapping[str, Key], *, words: Shape) -> Json:
    """What is said of effects, by action: in a word, or with their parameters."""
    return {name: {"anyOf": [words, _effect(action, beside)], "description": action.doc} for name, action in actions.items()}


def _effect(action: Action, beside: Mapping[str, Key]) -> Json:
    params: dict[str, Param] = dict(action.params)
    taxes: dict[str, Key] = {}
    if action.subject == ("units",):
        params = {**forms.MADE_UP, **params}
        taxes = {"taxes": forms.TAXES}
    keys = {**forms.EFFECT.keys, **taxes, **beside}
    said = {name: described(key) for name, key in keys.items()}
    required = [name for name, key in keys.items() if key.required]
    properties = {**{name: {"description": param.doc} for name, param in params.items()}, **said}
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _matched(form: Form, actions: Mapping[str, Action]) -> Json:
    keys = {name: described(key) for name, key in form.keys.items()}
    return {**_by_action(actions, {}, words=TEXTS), **keys}


def _chosen(properties: Mapping[str, Any], name: str, *words: str) -> Json:
    """A word, several, or a mapping with these keys."""
    word = one_of(*words) if words else {"type": "string"}
    whole = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {"anyOf": [word, list_of(refer(name)), whole]}


def _timed(properties: Mapping[str, Any], name: str, records: Mapping[str, Any]) -> Json:
    """One block, or several by the instant they are for."""
    whole = properties["properties"] if properties.get("type") == "object" else properties
    times = {_TIME: {**refer(name), "description": "At this instant, counted from the start"}}
    block = {
        "type": "object",
        "properties": dict(whole),
        "patternProperties": {**records, **times},
        "additionalProperties": False,
    }
    return {"anyOf": [{"type": "string"}, list_of(refer(name)), block]}


def _facts(vocabulary: Vocabulary, tables: tuple[str, ...]) -> Json:
    docs = {kind.name: kind.doc for kind in vocabulary.kinds.values()} | dict.fromkeys(tables, "What a table says")
    return {
        "type": "object",
        "patternProperties": {f"^{name}( |$)": {"type": "object", "description": doc} for name, doc in docs.items()},
        "additionalProperties": False,
    }
