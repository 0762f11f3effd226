"""Every key an author can write, with what stands under it and what it means.

These declarations are the only list of keys there is: the readers refuse what is not in them, and the JSON Schemas for editors
are made from them. A shape is a piece of JSON Schema; where it depends on a project (its groups, records, actions), it refers
to a definition that `engine.language.json_schema` fills in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, get_args

from engine.facts.outside import Action
from engine.facts.schema import SETTINGS, Type
from engine.language.compiled import Mode, Severity
from engine.language.durations import PATTERN as DURATION_PATTERN
from engine.language.durations import WORKING_PATTERN
from engine.language.tables.policies import HITS
from engine.problems.codes import CODES

Shape = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `doc` is one line for people, `example` the YAML an editor shows beside it."""

    doc: str
    shape: Shape
    required: bool = False
    example: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """A mapping with these keys and no others. `also` is what JSON Schema has to say beyond them."""

    name: str
    doc: str
    keys: Mapping[str, Key]
    also: Shape = field(default_factory=lambda: MappingProxyType({}))

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(name for name, key in self.keys.items() if key.required)


def refer(definition: str) -> Shape:
    """What a definition of that name says."""
    return {"$ref": f"#/definitions/{definition}"}


def list_of(shape: Shape) -> Shape:
    return {"type": "array", "items": shape}


def map_of(shape: Shape, names: Shape | None = None) -> Shape:
    """A mapping whose keys the author chooses."""
    return {"type": "object", "additionalProperties": shape, **({} if names is None else {"propertyNames": names})}


def one_of(*words: str) -> Shape:
    return {"type": "string", "enum": list(words)}


TEXT: Shape = {"type": "string"}
DATE: Shape = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
BOOLEAN: Shape = {"type": "boolean"}
ID: Shape = {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}
DURATION: Shape = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["30m", "4h", "2d", "1d 12h"]}
WORKING_DURATION: Shape = {"type": "string", "pattern": WORKING_PATTERN, "examples": ["5 working days", "4 working hours"]}
EXPRESSION: Shape = {"type": ["string", "number", "boolean"]}
TEMPLATE: Shape = {"type": ["string", "number", "boolean"]}
WHEN = {"anyOf": [refer("condition"), {**list_of(refer("condition")), "minItems": 1}]}
EACH = refer("each")
TYPE = refer("type")

SILENCE = Key(
    "Doubts of `instep check` that are meant so here: the code, and why",
    map_of(TEXT, one_of(*sorted(code.name for code in CODES.values() if code.severity != "error"))),
    example='silence: {long-for: "because nobody knows when it began"}',
)

LABELLED = Form(
    "labelled",
    "An expression with words for people.",
    {
        "if": Key("The expression, where it has a label", EXPRESSION, required=True),
        "label": Key("What explain and the console say in place of the expression", TEXT),
    },
)

CONDITIONS = Form(
    "conditions",
    "Conditions that belong together, or one with words for people.",
    {
        "any": Key("At least one of these must hold", {**list_of(refer("condition")), "minItems": 1}),
        "all": Key("Every one of these must hold", {**list_of(refer("condition")), "minItems": 1}),
        "none": Key("None of these may hold", {**list_of(refer("condition")), "minItems": 1}),
        **{name: replace(key, required=False) for name, key in LABELLED.keys.items()},
    },
    also={"if": {"required": ["if"]}, "then": {"propertyNames": one_of("if", "label")}, "else": {"maxProperties": 1}},
)

RULE = Form(
    "rule",
    "A standing condition over what is known about a case. While it holds, something is done once, forbidden, or raised.",
    {
        "title": Key("What the rule does, in one line for people", TEXT, example="title: Refund on the first scan"),
        "doc": Key("Why the rule is there, and what to know about it", TEXT),
        "owner": Key("Who looks at what the rule raises, if its raise names nobody", TEXT, example="owner: customer service"),
        "silence": SILENCE,
        "runbook": Key("What to do about what the rule raises, if its raise says nothing", TEMPLATE),
        "group": Key("Its place in the precedence: a veto binds the groups below it", refer("group"), required=True),
        "each": Key("Evaluate once for each record of this kind, or each item of a list", EACH, example="each: rma"),
        "when": Key("All of these must hold", WHEN, required=True, example="when:\n  - exists(rma.scanned_at)"),
        "for": Key(
            "For how long `when` must have held without a break",
            {"anyOf": [DURATION, EXPRESSION]},
            example="for: 2h",
        ),
        "after": Key("Not before this instant", EXPRESSION, example="after: rma.refund_due - params.sla_margin"),
        "then": Key(
            "What it does, forbids and raises",
            {**list_of(refer("consequence")), "minItems": 1},
            required=True,
            example="then:\n  - marketplace.refund: {units: rma.units_to_refund}",
        ),
        "undecided_after": Key(
            "How long it may stay undecided for want of a fact before a person is told (24h unless said)", DURATION
        ),
        "mode": Key(
            "live; shadow: evaluated and recorded, nothing is sent or raised; off: not evaluated", one_of(*get_args(Mode))
        ),
        "at_most": Key(
            "How often its repeatable actions may take place for one item; what is over waits its turn",
            {"type": "string", "pattern": "^[1-9][0-9]{0,3} per .+$"},
            example="at_most: 1 per 24h",
        ),
        "was": Key("The id it had before it was renamed, so that it keeps its memory", ID),
    },
)

FORBID = Form(
    "forbid",
    "A veto on actions of every group below the rule's own, for as long as the rule holds.",
    {
        "forbid": Key(
            "The action that is forbidden, or {action: {units: ...}} for some units only",
            refer("forbidden"),
            required=True,
            example="forbid: {marketplace.refund: {units: rma.rejected_units}}\nbecause: rejected by the warehouse",
        ),
        "because": Key("The reason, as people read it", TEMPLATE, required=True),
    },
)

FORBID_UNITS = Form(
    "forbid_units",
    "What of the action is forbidden.",
    {
        "units": Key("Only these order-line units", EXPRESSION),
        "partial": Key("Whatever would take fewer pieces of a line than were ordered", BOOLEAN),
    },
    also={"minProperties": 1},
)

RAISE = Form(
    "raise",
    "An exception: something a person must look at. It opens while the rule holds, and closes by itself.",
    {
        "owner": Key("Who must look at it", TEXT, required=True, example="owner: customer service"),
        "severity": Key("How urgent it is", one_of(*get_args(Severity)), required=True),
        "title": Key(
            "What is the matter, in one line; {expressions} in braces are filled in",
            TEMPLATE,
            required=True,
            example='title: "RMA {rma.id}: {count(rma.rejected_units)} pieces rejected"',
        ),
        "runbook": Key("What to do about it, step by step", TEMPLATE),
        "about": Key("What it is about: when this changes it is a new occurrence", EXPRESSION),
        "answers": Key(
            "What a person may decide; the answer is read as answer.<rule id>",
            {**map_of(TEXT, {"pattern": "^[^\\W\\d]\\w*$"}), "minProperties": 1},
            example="answers: {refund: refund anyway, keep: do not refund}",
        ),
        "snooze": Key("For how long it stays away once somebody resolved it (48h unless said)", DURATION),
        "blocking": Key("Opens only while a forbid of the same rule blocks something", BOOLEAN),
    },
)

OVERRIDE = "override"
OVERRIDING = Key(
    "true: changes what a pack says under this id; only the keys that differ are written, and null takes one away",
    {"const": True},
)

PARAM = Form(
    "param",
    "A parameter: what a client may set, read as params.<name>.",
    {
        "type": Key("What kind of value it is", TYPE, required=True, example="type: {enum: [first_scan, receipt]}"),
        "default": Key("Its value where the client sets none; without one, every client must", {}),
        "doc": Key("What it decides, in one line", TEXT),
        "silence": SILENCE,
    },
)

FACT = Form(
    "fact",
    "A derived fact: one more field of a record, worked out from the others.",
    {
        "value": Key("The expression it is worked out by", EXPRESSION, required=True),
        "doc": Key("What it means, in one line", TEXT),
        "silence": SILENCE,
    },
)

PROMISE = Form(
    "promise",
    "What must be true of every case at every moment; a breach is an exception of severity critical.",
    {
        "doc": Key("What is promised, in one line", TEXT),
        "silence": SILENCE,
        "each": Key("Looked at for each record of this kind, or each item of a list", EACH),
        "when": Key("Where the promise counts", EXPRESSION),
        "never": Key("What must never be true", EXPRESSION, example="never: unit.times_refunded > 1"),
        "by": Key("The instant by which `must` has to be true", EXPRESSION),
        "must": Key(
            "What has to be true by then; owned(action) is true while a person is looking at it",
            EXPRESSION,
            example="must: rma.refunded or owned(marketplace.refund)",
        ),
    },
    also={
        "if": {"required": ["never"]},
        "then": {"propertyNames": one_of("doc", "silence", "each", "when", "never")},
        "else": {"required": ["by", "must"]},
    },
)

CALENDAR = Form(
    "calendar",
    "The working days and hours of one place.",
    {
        "country": Key("Its public holidays are no working days: two letters of ISO 3166", TEXT, example="country: GB"),
        "subdivision": Key("The part of the country, where it has holidays of its own", TEXT, example="subdivision: ENG"),
        "time_zone": Key(
            "Where its days and hours are counted; the client's unless said", TEXT, example="time_zone: Europe/London"
        ),
        "hours": Key(
            "Days and the spans in which work is done; Monday to Friday from midnight to midnight unless said",
            TEXT,
            example='hours: "mon-thu 09:00-12:00 13:00-17:30, fri 09:00-15:00"',
        ),
        "closed": Key(
            "Dates that are no working days either", {**list_of(DATE), "uniqueItems": True}, example="closed: [2026-12-24]"
        ),
        "open": Key(
            "Dates with hours of their own, whatever day it is",
            map_of(TEXT, DATE),
            example="open: {2026-12-26: 10:00-14:00}",
        ),
    },
    also={"dependencies": {"subdivision": ["country"]}},
)

CELL: Shape = {"type": ["string", "number", "boolean", "array"], "items": {"type": ["string", "number", "boolean"]}}
OUTPUT_TYPES = tuple(name for name in SETTINGS if name != "calendar")
OUTPUTS: Shape = {**map_of({"type": ["string", "number", "boolean"]}), "minProperties": 1}

TABLE = Form(
    "table",
    "A decision table: what holds for which inputs. It is a fact of the narrowest record its inputs read.",
    {
        "given": Key(
            "The inputs: a name for each, and the expression that gives it",
            {**map_of(EXPRESSION), "minProperties": 1},
            required=True,
            example="given: {channel: order.channel, value: rma.paid}",
        ),
        "hit": Key(
            "Which of the matching rows count, as in DMN (unique unless said)",
            one_of(*HITS),
            example="hit: first",
        ),
        "rows": Key(
            "Each with a cell for each input (any where it is left out), and what it gives",
            list_of(
                {
                    "type": "object",
                    "required": ["then"],
                    "properties": {"then": OUTPUTS},
                    "additionalProperties": CELL,
                }
            ),
            example='rows:\n  - {channel: [MACYS, BLOOM], value: "> 100 USD", then: {refund_on: first_scan}}',
        ),
        "otherwise": Key("What it gives where no row matches", OUTPUTS, example="otherwise: {refund_on: receipt}"),
        "outputs": Key(
            "For each output the values it may have, the highest priority first, or its type",
            {**map_of({"anyOf": [one_of(*OUTPUT_TYPES), {"type": "array", "minItems": 1}]}), "minProperties": 1},
            example="outputs: {refund_on: [inspection, receipt, first_scan], refund_within: duration}",
        ),
        "doc": Key("What it decides, in one line", TEXT),
        "silence": SILENCE,
    },
)

RULE_FILE = Form(
    "rule_file",
    "Parameters, derived facts, tables, rules and promises, of a pack or of one client.",
    {
        "params": Key("What a client may set", map_of(refer("param"))),
        "facts": Key(
            "Derived facts, each named like rma.scanned_at",
            map_of({"anyOf": [EXPRESSION, refer("fact")]}, {"pattern": "^[a-z_]\\w*\\.[^\\W\\d]\\w*$"}),
            example="facts:\n  rma.late: rma.refund_due < rma.requested_at",
        ),
        "tables": Key("Decision tables by name", map_of(refer("table"), ID)),
        "rules": Key("Rules by id", map_of(refer("rule"), ID)),
        "promises": Key("Promises by id", map_of(refer("promise"), ID)),
        "precedence": Key(
            "The groups of rules, highest first; one file of all that a client extends says it",
            {**list_of(TEXT), "uniqueItems": True},
        ),
    },
)

MAPPING = Form(
    "mapping",
    "How the payload of one kind of event becomes a record.",
    {
        "from": Key("The kind of event, as the connector names it", refer("event"), required=True, example="from: returngo.rma"),
        "to": Key("The record it becomes", refer("mapped_record"), required=True),
        "key": Key("Where the payload holds its key; `about` where the event itself names it", EXPRESSION, required=True),
        "fields": Key("The record's fields, each with where the payload holds it", {"type": "object"}, required=True),
        "version": Key(
            "Which of two payloads is the newer: a field that moves with every change, or observed_at for what we asked for",
            EXPRESSION,
            example="version: payload.updated_at",
        ),
        "links": Key("Keys of other records, whose case this record joins", refer("links"), example="links: {sale: order.id}"),
        "require": Key("A payload without these is set aside with the reason", list_of(EXPRESSION)),
        "each": Key("A list in the payload: each of its elements becomes a record", EXPRESSION),
        "zone": Key("The time zone of timestamps that name none", TEXT, example="zone: Europe/London"),
        "pushed": Key("Whether payloads are delivered to us, so that they may come late or twice", BOOLEAN),
    },
)

MAPPED_FIELD = Form(
    "mapped_field",
    "Where a field comes from, and how it is read.",
    {
        "from": Key("Where the payload holds it", EXPRESSION),
        "value": Key("The expression that gives it", EXPRESSION),
        "values": Key("Their words and ours; one that is not listed makes the field unknown, and is told", {"type": "object"}),
        "keep": Key("A milestone: the earliest time ever seen, or a boolean that stays true", one_of("earliest", "ever")),
    },
    also={"if": {"required": ["from"]}, "then": {"not": {"required": ["value"]}}, "else": {"required": ["value"]}},
)

MAPPED_LIST = Form(
    "mapped_list",
    "A list of items in the payload.",
    {
        "each": Key("The list in the payload", EXPRESSION, required=True),
        "key": Key("What tells one element from another", EXPRESSION, required=True),
        "fields": Key("The item's fields, each with where its element holds it", {"type": "object"}, required=True),
        "keep": Key("ever: an item once seen stays, though later payloads lack it", one_of("ever")),
    },
)

CODES_FILE = Form(
    "codes_file",
    "What our words are called at the other side.",
    {
        "to": Key("The connector this folder is named for", refer("connector"), required=True),
        "codes": Key(
            "For each parameter of an action, our word and their code; default is for everything else",
            refer("codes"),
            required=True,
            example='codes:\n  marketplace.refund.reason: {default: "17"}',
        ),
    },
)

FIELD = Form(
    "field",
    "One field of a record. Exactly one of type, enum, list and record says what it holds.",
    {
        "type": Key("The type of its value", TYPE),
        "enum": Key("The words it may be", {**list_of(TEXT), "minItems": 1, "uniqueItems": True}),
        "list": Key("What each element of the list is", TYPE),
        "record": Key("The record or item it points to", TEXT),
        "doc": Key("What it means, in one line", TEXT),
        "computed": Key("Worked out by the engine; no mapping writes it", BOOLEAN),
    },
)
TYPE_FORMS = ("type", "enum", "list", "record")

RELATION = Form(
    "relation",
    "How records of one case belong together.",
    {
        "to": Key("The other record", TEXT, required=True),
        "keys": Key("Our field that holds the key, or keys, of the others", TEXT),
        "back": Key("The field of the other record that holds our key; more may come at any time", TEXT),
        "many": Key("Whether there may be several", BOOLEAN),
        "doc": Key("What it means, in one line", TEXT),
    },
    also={"if": {"required": ["keys"]}, "then": {"not": {"required": ["back"]}}, "else": {"required": ["back"]}},
)

_KIND = {
    "doc": Key("What it is, in one line", TEXT),
    "key": Key("The field that tells one from another", TEXT, required=True),
    "fields": Key("Its fields by name", map_of(refer("field")), required=True),
    "relations": Key("The records it belongs with", map_of(refer("relation"))),
}

RECORD = Form(
    "record",
    "A record: one thing of the outside, such as an order or an RMA.",
    {
        **_KIND,
        "plural": Key("The name under which a rule sees all of a case", TEXT),
        "scope": Key("case, or client for what is the same for every case of a client", one_of("case", "client")),
        "computed": Key("Worked out by the engine; no mapping writes it", BOOLEAN),
    },
)

ITEM = Form(
    "item",
    "An element of a list in a record, such as an order line.",
    {**_KIND, "parent": Key("The name under which it sees the record or item it stands in", TEXT)},
)

VOCABULARY = Form(
    "vocabulary",
    "Every word rules can read.",
    {
        "records": Key("Records by name", map_of(refer("record")), required=True),
        "items": Key("What lists in records hold, by name", map_of(refer("item"))),
    },
)

FORMS = (
    CALENDAR, RULE_FILE, RULE, CONDITIONS, FORBID, FORBID_UNITS, RAISE, PARAM, FACT, TABLE, PROMISE, MAPPING, MAPPED_FIELD,
    MAPPED_LIST,
    CODES_FILE, VOCABULARY, RECORD, ITEM, FIELD, RELATION,
)  # fmt: skip


def form_of(name: str, action: Action) -> Form:
    """The parameters of an action, as they stand under its name in `then`."""
    keys = {param: Key(spec.doc, parameter(spec.type), spec.required) for param, spec in action.params.items()}
    return Form(name, action.doc, keys)


def parameter(wanted: Type) -> Shape:
    """What may stand under a parameter of an action: text with {expressions}, a word of an enum, or an expression."""
    if wanted.name == "text":
        return TEMPLATE
    if wanted.name == "enum":
        return {"anyOf": [one_of(*wanted.values), {"type": "string", "pattern": "\\W"}]}
    return EXPRESSION


def written(wanted: Type) -> Shape:
    """A value of this type as it is written out, such as the setting of a parameter."""
    match wanted.name:
        case "enum":
            return one_of(*wanted.values)
        case "boolean" | "number" | "text":
            return {"type": {"text": "string"}.get(wanted.name, wanted.name)}
        case "duration":
            return DURATION
        case "working_duration":
            return WORKING_DURATION
        case "period":
            return {"anyOf": [DURATION, WORKING_DURATION]}
        case "calendar":
            return TEXT
        case "money":
            return {"type": "string", "pattern": r"^-?[0-9.]+ [A-Z]{3}$", "examples": ["12.50 EUR"]}
        case "timestamp":
            return {"type": "string", "examples": ["2026-11-01T09:30:00Z"]}
        case "list" if wanted.of is not None:
            return list_of(written(wanted.of))
    return {}
