"""Codes of what is wrong with rules, facts and promises as a whole."""

from __future__ import annotations

from engine.problems.declared import Code

CODES = (
    Code(
        "unknown-action",
        "error",
        "No connector has such an action",
        "Actions are named role.action, as in marketplace.refund, and offered by the connectors that are installed.",
        """
        then: [{marketplace.refunds: {units: rma.units}}]
        """,
        """
        then: [{marketplace.cancel: {units: rma.units}}]
        """,
    ),
    Code(
        "unknown-kind",
        "error",
        "No such record",
        "`each`, derived facts, links and relations name records, all of which are declared in mappings/facts.yaml.",
        """
        each: rmas
        """,
        """
        each: rma
        """,
    ),
    Code(
        "circular-fact",
        "error",
        "Facts that read each other in a circle",
        "None of them could be worked out first. Break the circle: let one of them read records only.",
        """
        # rules/base/example.yaml
        facts:
          rma.early: not rma.tardy
          rma.tardy: not rma.early
        """,
        """
        # rules/base/example.yaml
        facts:
          rma.tardy: rma.received_at > rma.due_at
        """,
    ),
    Code(
        "bad-limit",
        "error",
        "A limit that cannot be read",
        "`at_most` says how many of the rule's actions may take place in any stretch of time of this length. What is over waits. The "
        "limits under a connector's `budget` in client.yaml are written the same way.",
        """
        group: sync
        each: rma
        at_most: once a day
        then: [{returns.comment: {rma: rma, text: "seen"}}]
        """,
        """
        group: sync
        each: rma
        at_most: 1 per 24h
        then: [{returns.comment: {rma: rma, text: "seen"}}]
        """,
    ),
    Code(
        "idle-limit",
        "error",
        "A limit for what never comes again",
        "A refund or a cancellation is made once for its pieces, and a raise or a forbid is no action: `at_most` would limit nothing.",
        """
        at_most: 1 per 24h
        then: [{marketplace.cancel: {units: rma.units}}]
        """,
        """
        group: sync
        each: rma
        at_most: 1 per 24h
        then: [{returns.comment: {rma: rma, text: "seen"}}]
        """,
    ),
    Code(
        "idle-forbid",
        "error",
        "A veto that binds nothing",
        "A forbid binds groups strictly below its own. If no rule there proposes the action, it protects nothing, though it looks as if "
        "it did. Move the rule into a higher group, or name the action that is meant.",
        """
        group: verdict
        then:
          - forbid: finance.post
            because: nothing to post
        """,
        """
        group: verdict
        then:
          - forbid: marketplace.refund
            because: already done
        """,
    ),
    Code(
        "two-questions",
        "error",
        "Two raises with answers in one rule",
        "An answer is read as answer.<rule>, so a rule asks one question. Split it into two rules.",
        """
        then:
          - raise: {owner: operations, severity: low, title: One, runbook: Ask., answers: {fine: it is fine}}
          - raise: {owner: operations, severity: low, title: Two, runbook: Ask., answers: {fine: it is fine}}
        """,
        """
        then:
          - raise: {owner: operations, severity: low, title: One, runbook: Ask., answers: {fine: it is fine}}
        """,
    ),
    Code(
        "answer-about",
        "error",
        "A question about something else than what is forbidden",
        "A person's answer has to be about exactly the units held back, and be asked again when they change: `about` names the same units.",
        """
        group: verdict
        when: [rma.rejected_units, missing(answer.example)]
        then:
          - forbid: {marketplace.refund: {units: rma.rejected_units}}
            because: rejected
          - raise: {owner: operations, severity: low, title: Rejected, runbook: Ask., answers: {keep: do not refund}}
        """,
        """
        group: verdict
        when: [rma.rejected_units, missing(answer.example)]
        then:
          - forbid: {marketplace.refund: {units: rma.rejected_units}}
            because: rejected
          - raise:
              {owner: operations, severity: low, title: Rejected, runbook: Ask., about: rma.rejected_units, answers: {keep: do not refund}}
        """,
    ),
)
