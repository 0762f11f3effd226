"""Codes of what is wrong in mappings/: the words rules can use, and how payloads become them."""

from __future__ import annotations

from engine.problems.declared import Code

_FACTS = """
# mappings/facts.yaml
records:
  order:
    key: id
    plural: orders
    fields: {id: {type: text}}
"""
_SCAN = """
# mappings/portal/scan.yaml
from: portal.scan
to: parcel
key: number
version: at
"""

CODES = (
    Code(
        "duplicate-kind",
        "error",
        "Two kinds of one name",
        "Singular and plural names of records are what expressions begin with, so each means one thing.",
        _FACTS + "  rma: {key: id, plural: orders, fields: {id: {type: text}}}\n",
        _FACTS,
    ),
    Code(
        "duplicate-field",
        "error",
        "Two fields of one name",
        "A record has each field once, be it declared, derived, a relation or its parent. Choose another name.",
        """
        # rules/base/example.yaml
        facts:
          rma.status: '"done"'
        """,
        """
        # rules/base/example.yaml
        facts:
          rma.is_done: rma.status == "done"
        """,
    ),
    Code(
        "duplicate-member",
        "error",
        "A word listed twice",
        "An enum lists each of its words once.",
        """
        # rules/base/example.yaml
        params:
          speed: {type: {enum: [slow, fast, slow]}, default: fast}
        """,
        """
        # rules/base/example.yaml
        params:
          speed: {type: {enum: [slow, fast]}, default: fast}
        """,
    ),
    Code(
        "empty-enum",
        "error",
        "An enum without words",
        "A field that can hold no word can hold nothing.",
        """
        # rules/base/example.yaml
        params:
          speed: {type: {enum: []}, default: fast}
        """,
        """
        # rules/base/example.yaml
        params:
          speed: {type: {enum: [slow, fast]}, default: fast}
        """,
    ),
    Code(
        "unknown-type",
        "error",
        "No such type",
        "Types are text, number, money, boolean, timestamp, date, duration, {enum: [...]}, {list: ...} and, in mappings/facts.yaml, "
        "{record: ...}.",
        """
        # rules/base/example.yaml
        params:
          wide_margin: {type: durations, default: 2h}
        """,
        """
        # rules/base/example.yaml
        params:
          wide_margin: {type: duration, default: 2h}
        """,
    ),
    Code(
        "bad-relation",
        "error",
        "A relation tied from no side or from both",
        "`keys` names the field of this record that lists the others' keys; `back` the field of the others that names this one. It is one "
        "or the other.",
        _FACTS + "    relations: {parts: {to: order}}\n",
        _FACTS + "    relations: {parts: {to: order, back: id, many: true}}\n",
    ),
    Code(
        "bad-parent",
        "error",
        "An item that stands in no list, or in several",
        "`parent` gives each item a way back to what holds it, so exactly one kind must list it.",
        _FACTS + "items:\n  piece: {key: id, parent: order, fields: {id: {type: text}}}\n",
        _FACTS.replace("{id: {type: text}}", "{id: {type: text}, pieces: {list: piece}}")
        + "items:\n  piece: {key: id, parent: order, fields: {id: {type: text}}}\n",
    ),
    Code(
        "duplicate-mapping",
        "error",
        "Two mappings of one kind of event",
        "Which of the two would read a payload is nobody's guess: put both into one file.",
        """
        # mappings/portal/again.yaml
        from: portal.rma
        to: rma
        key: summary.id
        fields: {}
        """,
        """
        # mappings/portal/again.yaml
        from: portal.scan
        to: rma
        key: summary.id
        fields: {}
        """,
    ),
    Code(
        "field-owner",
        "error",
        "A field written by two mappings",
        "Two sources of one field would overwrite each other in the order their messages came in. Only a milestone, kept with `keep`, may "
        "come from several.",
        """
        # mappings/portal/again.yaml
        from: portal.scan
        to: rma
        key: id
        version: at
        fields: {weight: kilos}
        """,
        """
        # mappings/portal/again.yaml
        from: portal.scan
        to: rma
        key: id
        version: at
        fields: {received_at: {from: received, keep: earliest}}
        """,
    ),
    Code(
        "missing-version",
        "error",
        "Nothing tells which payload is the newer",
        "Messages come late and repeated. `version` names a field that moves with every change, so that an old payload never overwrites a "
        "newer one. Milestones need none.",
        _SCAN.replace("version: at\n", "") + "fields: {status: state}\n",
        _SCAN + "fields: {status: state}\n",
    ),
    Code(
        "pushed-version",
        "error",
        "observed_at of a payload that was pushed",
        "When a pushed message arrives says nothing about when it was true: it may be a retry from yesterday. observed_at is for what we "
        "requested ourselves.",
        _SCAN.replace("version: at", "version: observed_at\npushed: true") + "fields: {status: state}\n",
        _SCAN.replace("version: at", "version: at\npushed: true") + "fields: {status: state}\n",
    ),
    Code(
        "bad-keep",
        "error",
        "A keep that does not fit the field",
        "`keep: earliest` is for timestamps that mark when something first happened, `keep: ever` for a boolean that stays true, or a list "
        "whose items stay.",
        _SCAN + "fields: {first_scan_at: {from: scanned, keep: ever}}\n",
        _SCAN + "fields: {first_scan_at: {from: scanned, keep: earliest}}\n",
    ),
    Code(
        "no-code",
        "warning",
        "A word without a code",
        "What is sent in the outside's own codes has one for every word a rule writes down: there is no guessing what the other side "
        "would make of ours, and the action would be refused. Add the word under `codes`, in client.yaml or in mappings/<connector>/codes.yaml.",
        """
        group: refund
        each: rma
        then: [{marketplace.cancel: {units: rma.units}}, {marketplace.refund: {units: rma.units, reason: wrong_sise}}]
        """,
        """
        group: refund
        each: rma
        then: [{marketplace.cancel: {units: rma.units}}, {marketplace.refund: {units: rma.units, reason: wrong_size}}]
        """,
    ),
    Code(
        "unknown-code",
        "error",
        "Codes for a parameter that does not exist",
        "`codes` translates our words into the outside's, for one parameter of an action: marketplace.refund.reason.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        codes:
          marketplace.refund.reasons: {wrong_size: "18"}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        codes:
          marketplace.refund.reason: {wrong_size: "18"}
        """,
    ),
)
