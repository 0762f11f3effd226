"""JSON Schemas (draft 7) of every kind of file, for editors: made from the declarations the checker reads by.

What a project says (its groups, records, parameters, mappings' fields) and what its connectors offer (actions, settings) is
filled in, so that an editor can complete them. A schema never refuses what the checker takes; the checker knows more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.facts.budget import ALL, Limited
from engine.facts.outside import ROLES, Action, Connector
from engine.facts.schema import SETTINGS, FieldSpec, Kind, Vocabulary
from engine.language import forms
from engine.language.budgets import LIMIT_PATTERN, PER_DAY
from engine.language.client import CONNECTOR_KEYS, SIDE_BY_SIDE, Cadence, ClientConfig
from engine.language.codes import mappable
from engine.language.files import WORLDS
from engine.language.forms import EXPRESSION, TEXT, Form, Shape, list_of, map_of, one_of, refer, written
from engine.language.known import Known
from engine.language.params import ParamSpec
from engine.language.scenario_forms import SCENARIO_FILE
from engine.language.scenario_schema import scenario_definitions
from engine.language.shown import described, form_schema, said_of
from engine.language.worlds.declared import form_of, forms_below
from engine.language.worlds.world import World

DRAFT = "http://json-schema.org/draft-07/schema#"
Json = dict[str, Any]
_NAME: Shape = {"type": "string", "pattern": "^[^\\W\\d]\\w*$"}
_UNITS = ("units",)
_CLOSED: Shape = {"additionalProperties": False}


def schemas(known: Known) -> dict[str, Json]:
    """A schema for each kind of file: `rules`, `client`, `scenario`, `mapping`, `facts`, `codes`, `world`."""
    return {
        "rules": _schema(forms.RULE_FILE, _rules(known)),
        "client": _client(known),
        "mapping": _mapping(known),
        "facts": _schema(forms.VOCABULARY, _facts(known)),
        "scenario": _scenario(known),
        "world": _schema(form_of(World), {form.name: form_schema(form) for form in forms_below(World)}),
        "codes": _schema(forms.CODES_FILE, {"codes": _codes(known), "connector": one_of(*known.sources)}),
    }


def kind_of(name: str) -> str | None:
    """Which schema is for a file of this name, such as `rules/base/refund.yaml`."""
    folders, _, file = name.rpartition("/")
    if file.endswith(".test.yaml"):
        return "scenario"
    if folders == "mappings":
        return "facts" if file == "facts.yaml" else None
    if folders.startswith("mappings/"):
        return "codes" if file == "codes.yaml" else "mapping"
    if folders == WORLDS:
        return "world"
    if folders.startswith("rules/"):
        return "client" if file == "client.yaml" else "rules"
    return None


def _schema(form: Form, definitions: Mapping[str, Any]) -> Json:
    whole = form_schema(form)
    kind = ["object", "null"] if not form.required else "object"  # an empty file says nothing
    return {"$schema": DRAFT, **whole, "type": kind, "definitions": dict(definitions)}


def _rules(known: Known) -> Json:
    plain = (forms.FORBID_UNITS, forms.RAISE, forms.CONDITIONS)
    overridable = (forms.RULE, forms.PARAM, forms.FACT, forms.TABLE, forms.PROMISE)
    return {
        **{form.name: form_schema(form) for form in plain},
        **{name: value for form in overridable for name, value in _overridable(form).items()},
        "condition": {"anyOf": [EXPRESSION, refer("conditions")]},
        "group": one_of(*known.groups) if known.groups else TEXT,
        "each": _each(known.vocabulary),
        "type": _type(one_of(*SETTINGS)),
        "action": one_of(*known.actions),
        "forbidden": _forbidden(known.actions),
        "consequence": _consequence(known.actions),
        **{f"action {name}": _action(name, action) for name, action in sorted(known.actions.items())},
    }


def _overridable(form: Form) -> Json:
    """A definition, or with `override: true` some of its keys, of which `null` takes one away."""
    whole = form_schema(form)
    whole["properties"][forms.OVERRIDE] = described(forms.OVERRIDING)
    changes = {name: {"anyOf": [key.shape, {"type": "null"}], **said_of(key)} for name, key in form.keys.items()}
    over = {
        "type": "object",
        "description": form.doc,
        "properties": {**changes, forms.OVERRIDE: described(forms.OVERRIDING)},
        "additionalProperties": False,
        "minProperties": 2,
    }
    return {
        form.name: {
            "if": {"type": "object", "required": [forms.OVERRIDE]},
            "then": refer(f"{form.name} override"),
            "else": refer(f"{form.name} whole"),
        },
        f"{form.name} whole": whole,
        f"{form.name} override": over,
    }


def _each(vocabulary: Vocabulary) -> Json:
    records = [kind.name for kind in vocabulary.kinds.values() if kind.plural]
    lists = sorted(path for name in records for path in _lists(vocabulary, vocabulary[name], name))
    path = {"anyOf": [one_of(*lists), {"type": "string", "pattern": "^[a-z_]\\w*(\\.\\w+)+$"}]}
    item = {**map_of(path, _NAME), "minProperties": 1, "maxProperties": 1}
    return {"anyOf": [one_of(*records), item]}


def _lists(vocabulary: Vocabulary, kind: Kind, path: str, depth: int = 3) -> Iterator[str]:
    """The lists of items a record holds, as `order.lines`; of lists in lists at most three deep."""
    for spec in kind.fields.values():
        if depth and spec.type.of is not None and spec.type.of.kind in vocabulary:
            yield f"{path}.{spec.name}"
            yield from _lists(vocabulary, vocabulary[spec.type.of.kind], f"{path}.{spec.name}", depth - 1)


def _type(named: Shape) -> Json:
    compound = {
        "type": "object",
        "properties": {
            "enum": {**list_of(TEXT), "minItems": 1, "uniqueItems": True, "description": "One of these words"},
            "list": {**refer("type"), "description": "A list of these"},
            "record": {**TEXT, "description": "A record or item of this kind"},
        },
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [named, compound]}


def _action(name: str, action: Action) -> Json:
    form = forms.form_of(name, action)
    return {**form_schema(form), "type": "object" if form.required else ["object", "null"]}


def _forbidden(actions: Mapping[str, Action]) -> Json:
    by_units = {
        name: {**refer(forms.FORBID_UNITS.name), "description": action.doc}
        for name, action in sorted(actions.items())
        if action.subject == _UNITS
    }
    scoped = {"type": "object", "properties": by_units, "additionalProperties": False, "minProperties": 1}
    return {"anyOf": [refer("action"), {**list_of(refer("action")), "minItems": 1}, scoped]}


def _consequence(actions: Mapping[str, Action]) -> Json:
    """Which key is present says what it is."""
    asked = {name: {**refer(f"action {name}"), "description": action.doc} for name, action in sorted(actions.items())}
    veto = {name: described(key) for name, key in forms.FORBID.keys.items()}
    raising = {**refer(forms.RAISE.name), "description": forms.RAISE.doc}
    return {
        "type": "object",
        "description": "An action with its parameters, `forbid` with `because`, or `raise`",
        "properties": {**asked, **veto, "raise": raising},
        "additionalProperties": False,
        "minProperties": 1,
        "if": {"required": ["forbid"]},
        "then": {"required": ["because"], "propertyNames": one_of(*forms.FORBID.keys)},
        "else": {"maxProperties": 1, "propertyNames": {"not": {"const": "because"}}},
    }


def _codes(known: Known) -> Json:
    tables = {name: {**map_of(TEXT), "description": _param_doc(known, name)} for name in sorted(mappable(known.actions))}
    return {"type": "object", "properties": tables, "additionalProperties": False}


def _param_doc(known: Known, name: str) -> str:
    action, _, coded = name.rpartition(".")
    return known.actions[action].coded[coded]


def _client(known: Known) -> Json:
    made: Json = ClientConfig.model_json_schema(ref_template="#/definitions/{model}")
    definitions: Json = made.pop("$defs", {})
    made.pop("title")  # a name of the code
    for shape in (
        *made["properties"].values(),
        *(each for model in definitions.values() for each in model["properties"].values()),
    ):
        shape.pop("title", None)
    settings = {use: _settings(use, connector, definitions) for use, connector in sorted(known.connectors.items())}
    params = _params(known.params)
    filled: dict[str, Shape] = {
        "extends": {**list_of(one_of(*known.packs)), "uniqueItems": True},
        "connectors": {
            "type": "object",
            "properties": {role: _role(role, known) for role in ROLES},
            "additionalProperties": False,
        },
        "params": params,
        "cadence": {
            "type": "object",
            "properties": {name: {**refer(Cadence.__name__), "description": a.doc} for name, a in sorted(known.actions.items())},
            "additionalProperties": False,
        },
        "codes": _codes(known),
        "calendars": map_of(refer(forms.CALENDAR.name), {"pattern": "^[a-z][a-z0-9_-]*$"}),
    }
    for name, shape in filled.items():
        made["properties"][name] = {"description": made["properties"][name].get("description", ""), **shape}
    secret = {
        "type": "object",
        "description": "The name of a secret, looked up in the environment, a .env file, or the file that NAME_FILE names",
        "properties": {"secret": {"type": "string", "description": "Its name; the secret itself never stands in a file"}},
        "required": ["secret"],
        "additionalProperties": False,
    }
    definitions[forms.CALENDAR.name] = form_schema(forms.CALENDAR)
    definitions |= {f"settings {use}": schema for use, schema in settings.items()} | {"secret": secret}
    return {"$schema": DRAFT, **made, "definitions": definitions}


def _role(role: str, known: Known) -> Json:
    uses = sorted(use for use, connector in known.connectors.items() if connector.role == role)
    named = {use: {"properties": {"use": {"const": use}}, "required": ["use"]} for use in uses}
    foreign = [use for use in known.mapped if use not in known.connectors]  # not installed here
    docs = {"use": {**one_of(*uses, *foreign), "description": CONNECTOR_KEYS["use"]}}
    chosen = [{"if": which, "then": refer(f"settings {use}")} for use, which in named.items()]
    return {
        "type": "object",
        "description": f"Which connector is the client's {role}, with its settings",
        "properties": docs,
        "required": ["use"],
        **({"allOf": chosen} if chosen else {}),
    }


def _settings(use: str, connector: type[Connector], definitions: Json) -> Json:
    """The settings of a connector; each that is text may name a secret instead."""
    made: Json = connector.Settings.model_json_schema(ref_template=f"#/definitions/{use} {{model}}")
    definitions |= {f"{use} {name}": each for name, each in made.pop("$defs", {}).items()}
    properties: Json = {}
    for name, shape in made["properties"].items():
        said = {word: shape.pop(word) for word in ("description", "default") if word in shape}
        shape.pop("title", None)
        properties[name] = {"anyOf": [shape, refer("secret")], **said} if shape.get("type") == "string" else {**shape, **said}
    said_of_it = CONNECTOR_KEYS["side_by_side"]
    side_by_side = {"type": "integer", "minimum": 1, "maximum": 100, "default": SIDE_BY_SIDE, "description": said_of_it}
    return {
        "type": "object",
        "description": (connector.__doc__ or use).strip().splitlines()[0],
        "properties": {
            "use": {"const": use, "description": CONNECTOR_KEYS["use"]},
            "budget": _budget(connector),
            "side_by_side": side_by_side,
            **properties,
        },
        "required": ["use", *made.get("required", ())],
        "additionalProperties": False,
    }


def _budget(connector: type[Connector]) -> Json:
    """Limits by operation, of those the connector says it has."""
    limit = {"type": "string", "pattern": LIMIT_PATTERN}
    bucket = {
        "type": "object",
        "properties": {
            "bucket": {"type": "integer", "minimum": 1, "description": "How many units may be spent at once"},
            "refill": {**limit, "description": "How they come back, such as 100 per 1s"},
        },
        "required": ["bucket", "refill"],
        "additionalProperties": False,
    }
    limits = {"anyOf": [limit, {"type": "array", "items": limit, "minItems": 1}, bucket]}
    operations: Mapping[str, str] = connector.quota.operations if isinstance(connector, Limited) else {}
    return {
        "type": "object",
        "description": CONNECTOR_KEYS["budget"],
        "properties": {
            PER_DAY: {"type": "integer", "minimum": 1, "description": "Requests a day, of all operations together"},
            ALL: {**limits, "description": "All operations together, such as 60 per 1h"},
            **{name: {**limits, "description": said} for name, said in operations.items()},
        },
        "additionalProperties": False if isinstance(connector, Limited) else limits,
    }


def _params(specs: Mapping[str, ParamSpec]) -> Json:
    """Every parameter by name; groups may be written nested or with dots."""
    properties: Json = {}
    for name, spec in sorted(specs.items()):
        shape = {**written(spec.type), "description": f"{spec.doc} ({spec.type}; {_default(spec)})"}
        properties[name] = shape
        holder, *rest = properties, *name.split(".")
        for group in rest[:-1]:
            if "properties" not in holder.get(group, {}):
                holder[group] = {"type": "object", "description": "A group of parameters", "properties": {}, **_CLOSED}
            holder = holder[group]["properties"]
        holder[rest[-1]] = shape
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _default(spec: ParamSpec) -> str:
    from engine.language.show import show  # noqa: PLC0415 - as people read it

    return "must be set" if spec.required else f"{show(spec.default)} unless set"


def _scenario(known: Known) -> Json:
    client = _client(known)
    assumed = {f"client {name}": shape for name, shape in client["properties"].items()}
    definitions = {**client["definitions"], **assumed, "params": client["properties"]["params"], **scenario_definitions(known)}
    return _schema(SCENARIO_FILE, definitions)


def _mapping(known: Known) -> Json:
    kinds = known.vocabulary.kinds.values()
    records = [kind for kind in kinds if kind.plural and any(not spec.computed for spec in kind.fields.values())]
    items = [kind for kind in kinds if kind.scope == "item"]
    linked = {kind.name: {**EXPRESSION, "description": kind.doc} for kind in records if kind.scope == "case"}
    event = f"^({'|'.join(known.sources)})\\.[a-z_.]+$"
    definitions: Json = {
        "event": {"type": "string", "pattern": event},
        "mapped_record": one_of(*(kind.name for kind in records)),
        "links": {"type": "object", "properties": linked, "additionalProperties": False},
        **{f"fields {kind.name}": _fields(kind, known.vocabulary) for kind in (*records, *items)},
    }
    chosen = [
        {
            "if": {"properties": {"to": {"const": kind.name}}, "required": ["to"]},
            "then": {"properties": {"fields": refer(f"fields {kind.name}")}},
        }
        for kind in records
    ]
    return {**_schema(forms.MAPPING, definitions), **({"allOf": chosen} if chosen else {})}


def _fields(kind: Kind, vocabulary: Vocabulary) -> Json:
    """Every field a mapping may write; the key stands elsewhere."""
    mapped = [spec for spec in kind.fields.values() if not spec.computed and spec.name != kind.key]
    properties = {spec.name: {**_field(spec, vocabulary), "description": f"{spec.doc} ({spec.type})"} for spec in mapped}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _field(spec: FieldSpec, vocabulary: Vocabulary) -> Json:
    element = spec.type.of
    if element is not None and element.kind in vocabulary:
        listed = form_schema(forms.MAPPED_LIST)
        listed["properties"]["fields"] |= refer(f"fields {element.kind}")
        return listed
    mapped = form_schema(forms.MAPPED_FIELD)
    ours = element or spec.type
    if ours.name in ("enum", "boolean", "text"):
        mapped["properties"]["values"] |= map_of(written(ours))
    else:
        del mapped["properties"]["values"]
    keeps = {"timestamp": "earliest", "boolean": "ever"}
    if spec.type.name in keeps:
        mapped["properties"]["keep"] |= one_of(keeps[spec.type.name])
    else:
        del mapped["properties"]["keep"]
    return {"anyOf": [EXPRESSION, mapped]}


def _facts(known: Known) -> Json:
    named = {"anyOf": [one_of(*known.vocabulary.kinds, *(name for name in SETTINGS)), _NAME]}
    return {
        **{form.name: form_schema(form) for form in (forms.RECORD, forms.ITEM, forms.FIELD, forms.RELATION)},
        "type": _type(named),
    }
