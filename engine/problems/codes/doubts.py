"""Codes of what compiles but is probably not meant: these are the lints, which a rule can silence with a reason."""

from __future__ import annotations

from engine.problems.declared import Code

CODES = (
    Code(
        "missing-record",
        "warning",
        "missing() of a record that may not have come itself",
        "While the record has not come, all of it is missing. If only the field is meant, ask for the record first.",
        """
        when: [missing(seller.balance), rma.escalated]
        """,
        """
        when: [exists(seller), missing(seller.balance), rma.escalated]
        """,
    ),
    Code(
        "unguarded-forbid",
        "warning",
        "A veto that binds because something has not come",
        "A comparison with a fact that has not come is unknown, and an unknown veto binds: every piece nobody has looked at would be held "
        "back. Ask for the fact first.",
        """
        group: verdict
        when: ['[u for u in rma.units if u.verdict == "rejected"]']
        then:
          - forbid: marketplace.refund
            because: rejected
        """,
        """
        group: verdict
        when: ['[u for u in rma.units if exists(u.verdict) and u.verdict == "rejected"]']
        then:
          - forbid: marketplace.refund
            because: rejected
        """,
    ),
)
