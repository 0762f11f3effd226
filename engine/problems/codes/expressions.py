"""Codes of what is wrong inside an expression."""

from __future__ import annotations

from engine.problems.declared import Code

CODES = (
    Code(
        "expression-syntax",
        "error",
        "Not an expression of the rule language",
        "Expressions are a part of Python's: names, fields, literals, comparisons, and, or, not, + - * /, one-clause comprehensions and "
        "the listed functions. In a YAML list written [...] a comma ends the entry, so a call with two arguments is quoted there.",
        """
        when:
          - rma.status = "done"
        """,
        """
        when:
          - rma.status == "done"
        """,
    ),
    Code(
        "expression-too-long",
        "error",
        "An expression nobody could read",
        "Give its parts names under `facts:`; they are shown with their values when a decision is explained.",
        "when:\n  - " + " or ".join(["rma.escalated"] * 1_000),
        "when:\n  - rma.escalated",
    ),
    Code(
        "expression-too-deep",
        "error",
        "Nested too deeply",
        "Give its parts names under `facts:`; they are shown with their values when a decision is explained.",
        "when:\n  - " + "not " * 120 + "rma.escalated",
        "when:\n  - not rma.escalated",
    ),
    Code(
        "unknown-name",
        "error",
        "A name that means nothing here",
        "An expression sees what `each` binds, the order, the case, all records in the plural (rmas, parcels), params and answer. There "
        "is no `now`: time enters through `for` and `after` alone, so that the engine knows when to look again.",
        """
        when: [rmaa.status == "done"]
        """,
        """
        when: [rma.status == "done"]
        """,
    ),
    Code(
        "unknown-field",
        "error",
        "A field that does not exist",
        "Only the fields declared in mappings/facts.yaml and under `facts:` can be read. A misspelt one would be missing for ever, and "
        "its rule never hold.",
        """
        when: [rma.statsu == "done"]
        """,
        """
        when: [rma.status == "done"]
        """,
    ),
    Code(
        "unknown-value",
        "error",
        "A word the field never holds",
        "The field lists the words it can hold, and this is none of them, so the comparison could never be true.",
        """
        when: [rma.status == "finished"]
        """,
        """
        when: [rma.status == "done"]
        """,
    ),
    Code(
        "unknown-function",
        "error",
        "A function that does not exist",
        "Only the functions of the language can be called, and values have no methods: write lower(text), not text.lower().",
        """
        when: [exist(rma.received_at)]
        """,
        """
        when: [exists(rma.received_at)]
        """,
    ),
    Code(
        "wrong-arguments",
        "error",
        "Too few or too many arguments",
        "The message shows how the function is called.",
        """
        when: ['exists(rma.received_at, rma.requested_at)']
        """,
        """
        when: [exists(rma.received_at)]
        """,
    ),
    Code(
        "unknown-param",
        "error",
        "A parameter no pack declares",
        "Parameters are declared under `params:` of a pack with their type, and set in client.yaml. A setting nothing declares would "
        "change nothing.",
        """
        after: rma.requested_at + params.margins
        """,
        """
        after: rma.requested_at + params.margin
        """,
    ),
    Code(
        "unknown-answer",
        "error",
        "No rule asks this",
        "answer.<rule> is what a person answered to the exception of that rule. The rule needs `answers` in its `raise`, and the same "
        "`each` as the rule that reads it.",
        """
        when: [rma.status == "done", 'default(answer.reject, "") == "keep"']
        """,
        """
        when: [rma.status == "done", 'default(answer.rejected, "") == "keep"']
        """,
    ),
    Code(
        "unknown-parameter",
        "error",
        "No parameter of an action",
        "mapped(role.action.parameter, word) asks for the outside's code of one parameter of an action.",
        """
        when: ['missing(mapped(marketplace.refund.why, "wrong_size"))']
        """,
        """
        when: ['missing(mapped(marketplace.refund.reason, rma.id))', rma.escalated]
        """,
    ),
    Code(
        "type-mismatch",
        "error",
        "Two types that do not go together",
        "Amounts compare with amounts, times with times, words with words. A comparison across types could only be false or a mistake.",
        """
        when: [order.total > 100]
        """,
        """
        when: ['order.total > money(100, "EUR")']
        """,
    ),
    Code(
        "name-taken",
        "error",
        "A name that already means something",
        "The name a comprehension gives each item hides nothing: choose one that is free.",
        """
        when: [any(order.escalated for order in rmas)]
        """,
        """
        when: [any(r.escalated for r in rmas)]
        """,
    ),
    Code(
        "bad-pattern",
        "error",
        "Not a regular expression of RE2",
        "matches() takes patterns of RE2, which are found in linear time: no look-around and no references back. The pattern is "
        "written out, so that it can be checked here.",
        """
        when: ['matches(rma.id, "RMA-(")']
        """,
        """
        when: ['matches(rma.id, "^RMA-")']
        """,
    ),
    Code(
        "open-relation",
        "error",
        "A conclusion about records that may still come",
        "Where only the other side points back, more records may join at any time: that all are received, or that there is none, is a "
        "guess until something says they have come. Guard it with exists(...) of the relation or of what must come with it.",
        """
        each: order
        when: [all(r.status == "done" for r in order.rmas)]
        then: [{raise: {owner: operations, severity: low, title: All done, runbook: Close it.}}]
        """,
        """
        each: order
        when: [exists(order.rmas), all(r.status == "done" for r in order.rmas)]
        then: [{raise: {owner: operations, severity: low, title: All done, runbook: Close it.}}]
        """,
    ),
    Code(
        "template-syntax",
        "error",
        "A brace without its other",
        "Text may hold {expressions}. A brace that is only a brace is written twice: {{ or }}.",
        """
        then: [{returns.comment: {rma: rma, text: "Return {rma.id is done"}}]
        """,
        """
        then: [{returns.comment: {rma: rma, text: "Return {rma.id} is done"}}]
        """,
    ),
)
