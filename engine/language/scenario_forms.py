"""Every key of a scenario file, as `engine.language.forms` has those of all other files."""

from __future__ import annotations

from typing import get_args

from engine.facts.outside import Param
from engine.facts.schema import MONEY, NUMBER
from engine.facts.schema import TEXT as TEXT_TYPE
from engine.language.compiled import Severity
from engine.language.forms import BOOLEAN, TEXT, Form, Key, list_of, map_of, one_of, refer

TEXTS = {"anyOf": [TEXT, list_of(TEXT)]}
_NAMED = {"type": ["string", "number"]}
INSTANT = {"type": "string", "pattern": "^(start|now|[-+0-9].*)$", "examples": ["+2h", "2026-11-01T09:30:00Z"]}
STATUSES = ("settled", "settled_elsewhere", "refused", "unsure", "planned", "withdrawn")
_CLIENT = {
    "codes": "Our words and the operator's codes",
    "cadence": "What goes out in batches",
    "time_zone": "Where days and batches are counted",
    "calendars": "Working days and hours by name",
    "since": "Cases opened earlier are decided, but nothing is sent for them",
    "mode": "live or shadow",
}

ASSUMED = Form(
    "assumed",
    "Keys of client.yaml as this scenario assumes them.",
    {name: Key(doc, refer(f"client {name}")) for name, doc in _CLIENT.items()},
)

_SHARED = {
    "doc": Key("What is tried here, and why", TEXT),
    "start": Key("The instant it begins at; a Monday morning unless said", INSTANT, example="start: 2026-11-02T09:00:00Z"),
    "params": Key("Parameters as they are assumed here", refer("params"), example="params: {refund_on: inspection}"),
    "client": Key("Keys of client.yaml as they are assumed here", refer(ASSUMED.name)),
}

SCENARIO_FILE = Form(
    "scenario_file",
    "Scenarios: what is known, what happens, and what must come of it.",
    {
        **_SHARED,
        "samples": Key(
            "Records by a name of their own, to be given in scenarios of this folder",
            map_of(refer("given")),
            example="samples:\n  scanned:\n    parcel T1: {status: in_transit, first_scan_at: now}",
        ),
        "scenarios": Key("Scenarios, each by the promise it makes", {**map_of(refer("scenario")), "minProperties": 1}),
    },
    also={"anyOf": [{"required": ["samples"]}, {"required": ["scenarios"]}]},
)

SCENARIO = Form(
    "scenario",
    "One promise: given what is known, when something happens, then this must come of it.",
    {
        **_SHARED,
        "given": Key(
            "What is known at the start: names of samples, and records; later ones change earlier ones",
            refer("given"),
            example="given: [return, {rma 1001: {status: requested}}]",
        ),
        "when": Key(
            "What happens, and when", refer("happens"), example="when:\n  +1h: scanned\n  +2h: {settled: marketplace.refund}"
        ),
        "then": Key(
            "What must have come of it, and when; without an instant, at the end",
            refer("expected"),
            example="then:\n  +1h: {marketplace.refund: L1#1, exact: true}",
        ),
        "never": Key("What must not be at any time", refer("matched"), example="never: marketplace.refund"),
        "until": Key("How long it goes on, if longer than the last instant named", INSTANT),
        "exact": Key("Whether nothing else may be asked for or raised than what is expected", BOOLEAN),
    },
)

GIVEN = Form(
    "given",
    "Records by kind and key, as in rma 1001, or what they are read from.",
    {
        "file": Key("A file with records, beside this one", TEXT, example="file: case.json"),
        "payload": Key("Payloads by kind of event, read by their mapping", refer("payloads")),
    },
)

HAPPENING = Form(
    "happens",
    "What happens: records seen by kind and key, as in parcel T1, a person's answer, or what became of an effect.",
    {
        "settled": Key("These effects were sent and took place; everything: all of them", refer("effects")),
        "settled elsewhere": Key("These were found to be done already", refer("effects")),
        "refused": Key(
            "These were refused, and why",
            {"anyOf": [one_of("everything"), refer("refused")]},
            example="refused: {marketplace.refund: balance_too_low}",
        ),
        "unsure": Key("Of these it is not known whether they took place", refer("effects")),
        "retry": Key("A person has these tried again", refer("effects")),
        "answer": Key("What a person decided, by rule", map_of({"anyOf": [TEXT, refer("answered")]})),
        "resolve": Key("A person resolved these exceptions, by rule", {"anyOf": [TEXTS, map_of(TEXT)]}),
        "correct": Key("A person corrected these fields", refer("records")),
        "payload": GIVEN.keys["payload"],
    },
)
DEEDS = ("settled", "settled elsewhere", "refused", "unsure", "retry")

ANSWERED = Form(
    "answered",
    "An answer, where there is more to say than the answer itself.",
    {
        "answer": Key("One of the answers the rule asks for", TEXT, required=True),
        "for": Key("Which item it is about", TEXT),
        "by": Key("Who gave it", TEXT),
    },
)

MATCHED = Form(
    "matched",
    "Actions by name, or vetoes, exceptions, outcomes and facts.",
    {
        "forbid": Key("A veto on this action", refer("vetoes"), example="forbid: {marketplace.refund: {units: L1#1}}"),
        "raise": Key("An exception of this rule", refer("exceptions"), example="raise: deadline_missed"),
        "effect": Key("What became of an effect", refer("outcomes"), example="effect: {marketplace.refund: settled}"),
        "fact": Key("What is known, by record", refer("facts"), example="fact: {rma 1001: {refund_due: +48h}}"),
    },
)

EXPECTED = Form(
    "expected",
    "What must have come of it: actions by name, vetoes, exceptions, outcomes and facts.",
    {
        **MATCHED.keys,
        "closed": Key("The exception of this rule is not open", refer("exceptions")),
        "not": Key("What must not be", refer("matched"), example="not: marketplace.refund"),
        "exact": Key("Whether nothing else may be asked for or raised", BOOLEAN),
        "nothing": Key("Nothing is asked for and nothing raised", {}),
    },
)

EXPECTED_EXCEPTION = Form(
    "expected_exception",
    "What is known of the exception.",
    {
        "owner": Key("Whose it is", TEXT),
        "severity": Key("How urgent it is", one_of(*get_args(Severity))),
        "title": Key("What its title says", TEXT),
        "about": Key(
            "What it is about; of a record its own key is enough", {"anyOf": [_NAMED, list_of(_NAMED)]}, example="about: P1"
        ),
        "for": Key("Which item it is for", TEXT),
        "answers": Key("The answers it asks for", TEXTS),
        "facts": Key("The facts it names", TEXTS),
        "state": Key("open, or snoozed", one_of("open", "snoozed")),
    },
)

EXPECTED_VETO = Form(
    "expected_veto",
    "What is known of the veto.",
    {
        "units": Key("The units it binds", TEXTS),
        "by": Key("The rule that forbids it", TEXT),
        "because": Key("The reason people read", TEXT),
    },
)

EFFECT = Form(
    "effect",
    "What is known of an effect, besides its parameters.",
    {"rule": Key("The rule that asks for it", TEXT), "for": Key("The item it is for", TEXT)},
)
MADE_UP = {  # what a refund or cancellation says besides what its rule gave
    "amount": Param(MONEY, "The money it takes, without shipping"),
    "shipping_amount": Param(MONEY, "The shipping it takes"),
    "quantity": Param(NUMBER, "How many pieces"),
    "line": Param(TEXT_TYPE, "The order line"),
    "reason": Param(TEXT_TYPE, "The reason, in our words"),
}
TAXES = Key("Each tax it takes, by code", map_of(TEXT))
OUTCOME = {
    "status": Key("How it stands", one_of(*STATUSES), required=True),
    "reason": Key("Why it was refused", TEXT),
}
REFUSAL = {
    "reason": Key("Why: one of the stable words rules read", TEXT, required=True),
    "detail": Key("What the other side said", TEXT),
}

SCENARIO_FORMS = (
    SCENARIO_FILE, SCENARIO, ASSUMED, GIVEN, HAPPENING, ANSWERED, MATCHED, EXPECTED, EXPECTED_EXCEPTION, EXPECTED_VETO,
)  # fmt: skip
