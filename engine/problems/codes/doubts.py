"""Codes of what compiles but is probably not meant: these are the lints, which a rule can silence with a reason."""

from __future__ import annotations

from engine.problems.declared import Code

CODES = (
    Code(
        "silenced-error",
        "error",
        "An error that is to be silenced",
        "Only doubts, which are warnings and hints, can be meant so. What an error tells of does not work: mend it.",
        """
        silence: {unknown-field: "because it will come"}
        """,
        """
        silence: {no-runbook: "because the title says it all"}
        then: [{raise: {owner: operations, severity: low, title: "Send {rma.id} back"}}]
        """,
    ),
    Code(
        "empty-reason",
        "error",
        "A doubt silenced without a reason",
        "Whoever reads the rule next has to know why it is meant so.",
        """
        silence: {no-runbook: ""}
        then: [{raise: {owner: operations, severity: low, title: "Send {rma.id} back"}}]
        """,
        """
        silence: {no-runbook: "because the title says it all"}
        then: [{raise: {owner: operations, severity: low, title: "Send {rma.id} back"}}]
        """,
    ),
    Code(
        "unused-silence",
        "warning",
        "A silence for something that does not occur",
        "The doubt it was for is gone. Left in, it would hide the next one.",
        """
        silence: {no-runbook: "because the title says it all"}
        then: [{raise: {owner: operations, severity: low, title: "Send {rma.id} back", runbook: Send it back.}}]
        """,
        """
        then: [{raise: {owner: operations, severity: low, title: "Send {rma.id} back", runbook: Send it back.}}]
        """,
    ),
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
    Code(
        "unused-param",
        "warning",
        "A parameter nothing reads",
        "Whoever sets it expects something to change, and nothing does.",
        """
        # rules/base/example.yaml
        params:
          grace: {type: duration, default: 1h}
        """,
        """
        # rules/base/example.yaml
        params:
          grace: {type: duration, default: 1h}
        promises:
          soon: {each: rma, when: exists(rma.scanned_at), by: rma.due_at + params.grace, must: rma.status == "done"}
        """,
    ),
    Code(
        "unused-fact",
        "warning",
        "A derived fact nothing reads",
        "No rule and no promise reads it, not even through other facts: it is left over, or the rule that should read it names another.",
        """
        # rules/base/example.yaml
        facts:
          rma.is_done: rma.status == "done"
        """,
        """
        # rules/base/example.yaml
        facts:
          rma.is_done: rma.status == "done"
        promises:
          soon: {each: rma, when: exists(rma.scanned_at), by: rma.due_at, must: rma.is_done}
        """,
    ),
    Code(
        "no-runbook",
        "warning",
        "An exception that does not say what to do",
        "Somebody is told that something is wrong, often at night and not by the rule's author. The runbook is what they do next.",
        """
        then: [{raise: {owner: operations, severity: low, title: "RMA {rma.id} is stuck"}}]
        """,
        """
        then: [{raise: {owner: operations, severity: low, title: "RMA {rma.id} is stuck", runbook: Close it by hand.}}]
        """,
    ),
    Code(
        "unfilled-placeholder",
        "warning",
        "A placeholder nobody fills in",
        "{expressions} are filled in where a text is about one case: in what a raise says, why a forbid forbids, and what an action "
        "sends. A rule's own title, doc and owner and the answers to choose from are the same for every case.",
        """
        title: Close RMA {rma.id}
        """,
        """
        title: Close the RMA
        """,
    ),
    Code(
        "long-for",
        "warning",
        "A long clock where the start is known",
        "The clock of `for` starts when the condition is seen to hold, which after an outage is late, and anew after every break. Over a "
        "day or more that matters: count from the known start with `after`.",
        """
        when: [exists(rma.received_at), rma.status == "approved"]
        for: 3d
        """,
        """
        when: [exists(rma.received_at), rma.status == "approved"]
        after: rma.received_at + days(3)
        """,
    ),
    Code(
        "endless-hold",
        "warning",
        "Waiting without end",
        "A rule of the group hold waits for something. It has to end by itself: when what it waits for comes, by a deadline in a group above "
        "it, or at least by telling somebody. What is not waiting is a verdict.",
        """
        group: hold
        when: [params.refund_on == "receipt"]
        then:
          - forbid: marketplace.refund
            because: waiting for the goods
        """,
        """
        group: hold
        when: [params.refund_on == "receipt", missing(rma.received_at)]
        then:
          - forbid: marketplace.refund
            because: waiting for the goods
          - raise: {owner: operations, severity: low, title: "Where is {rma.id}?", runbook: Ask the carrier.}
        """,
    ),
    Code(
        "action-not-offered",
        "warning",
        "An action that is never sent",
        "No connector of the client has the role the action is asked of. Add the connector, or switch the rule off for this client.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        connectors: {returns: {use: portal}}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        connectors: {returns: {use: portal}, marketplace: {use: shop}}
        """,
    ),
    Code(
        "never-holds",
        "warning",
        "A condition that can never hold",
        "It asks two things of one fact that cannot both be, so what depends on it never happens. Of a client's own rules the client's "
        "parameters count as fixed.",
        """
        when: [rma.status == "done", rma.status == "approved"]
        """,
        """
        when: ['rma.status in ["done", "approved"]']
        """,
    ),
    Code(
        "always-holds",
        "warning",
        "A condition that decides nothing",
        "It holds wherever what it reads is known. Ask with exists(...) if that is what is meant, or take it out.",
        """
        when: [rma.weight > 10 or rma.weight <= 10]
        """,
        """
        when: [exists(rma.weight)]
        """,
    ),
    Code(
        "shadowed-rule",
        "warning",
        "A rule that changes nothing",
        "Whenever it holds, another rule of its own or a higher group holds too and asks for the same; a unit is settled once.",
        """
        # rules/base/example.yaml
        rules:
          tell: {group: sync, each: rma, when: [rma.escalated], then: [{returns.set_status: {rma: rma, status: done}}]}
          tell_late:
            group: sync
            each: rma
            when: [rma.escalated, rma.status == "approved"]
            then: [{returns.set_status: {rma: rma, status: done}}]
        """,
        """
        # rules/base/example.yaml
        rules:
          tell: {group: sync, each: rma, when: [rma.escalated], then: [{returns.set_status: {rma: rma, status: done}}]}
        """,
    ),
    Code(
        "conflicting-claims",
        "warning",
        "Two rules of one group that contradict each other",
        "Whenever the one holds, so does the other, and they ask for the same thing with different parameters. Neither is sent, and a "
        "person has to decide. Put one into a higher group, or let their conditions exclude each other.",
        """
        # rules/base/example.yaml
        rules:
          close: {group: sync, each: rma, when: [rma.escalated], then: [{returns.set_status: {rma: rma, status: done}}]}
          approve:
            group: sync
            each: rma
            when: [rma.escalated, rma.units]
            then: [{returns.set_status: {rma: rma, status: approved}}]
        """,
        """
        # rules/base/example.yaml
        rules:
          close: {group: sync, each: rma, when: [not rma.escalated], then: [{returns.set_status: {rma: rma, status: done}}]}
          approve:
            group: sync
            each: rma
            when: [rma.escalated, rma.units]
            then: [{returns.set_status: {rma: rma, status: approved}}]
        """,
    ),
    Code(
        "always-forbidden",
        "warning",
        "A rule whose action is always forbidden",
        "Whenever it holds, a rule of a higher group holds too and forbids what it asks for.",
        """
        # rules/base/example.yaml
        rules:
          stop: {group: verdict, when: [order.closed_early], then: [{forbid: marketplace.cancel, because: closed}]}
          cancel:
            group: refund
            each: order
            when: [order.closed_early, order.units]
            then: [{marketplace.cancel: {units: order.units}}]
        """,
        """
        # rules/base/example.yaml
        rules:
          stop: {group: verdict, when: [order.closed_early], then: [{forbid: marketplace.cancel, because: closed}]}
          cancel:
            group: refund
            each: order
            when: [order.state == "open", order.units]
            then: [{marketplace.cancel: {units: order.units}}]
        """,
    ),
)
