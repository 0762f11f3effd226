"""Codes of what is wrong with scenarios: files named `<name>.test.yaml`."""

from __future__ import annotations

from engine.problems.declared import Code

CODES = (
    Code(
        "untried-rule",
        "warning",
        "A rule without a scenario",
        "There are scenarios beside it, and none names this rule: nothing would notice if it did something else tomorrow. Name it where a "
        "scenario expects its action (`rule:`), its veto (`by:`) or its exception (`raise:`).",
        """
        # rules/base/example.test.yaml
        scenarios:
          A return is approved:
            given: {rma 1001: {status: approved}}
            then: nothing
        """,
        """
        # rules/base/example.test.yaml
        scenarios:
          A return is approved:
            given: {rma 1001: {status: approved}}
            then:
              not: [marketplace.refund: {rule: refund_on_scan}, forbid: {marketplace.refund: {by: rejected}}]
        """,
    ),
    Code(
        "nothing-expected",
        "error",
        "A scenario that expects nothing",
        "It could not fail, so it would prove nothing. Say what must come of it under `then`, or what must not under `never`; "
        "that nobody is to do anything is `nothing`.",
        """
        # rules/base/example.test.yaml
        scenarios:
          A return is approved:
            given: {rma 1001: {status: approved}}
        """,
        """
        # rules/base/example.test.yaml
        scenarios:
          A return is approved:
            given: {rma 1001: {status: approved}}
            then: nothing
        """,
    ),
    Code(
        "nothing-observed",
        "error",
        "A scenario in which nothing is known and nothing happens",
        "Whatever it expects would be expected of an empty case. Give records, or say what is seen under `when`; with `never` alone, "
        "say `until` when.",
        """
        # rules/base/example.test.yaml
        scenarios:
          A return is approved:
            then: nothing
        """,
        """
        # rules/base/example.test.yaml
        scenarios:
          A return is approved:
            given: {rma 1001: {status: approved}}
            then: nothing
        """,
    ),
    Code(
        "unknown-sample",
        "error",
        "No such sample",
        "Samples are declared under `samples:` in a scenario file of the same pack or client, or of a pack it extends.",
        """
        # rules/base/example.test.yaml
        samples:
          return: {rma 1001: {status: approved}}
        scenarios:
          A return is approved: {given: retrun, then: nothing}
        """,
        """
        # rules/base/example.test.yaml
        samples:
          return: {rma 1001: {status: approved}}
        scenarios:
          A return is approved: {given: return, then: nothing}
        """,
    ),
    Code(
        "circular-sample",
        "error",
        "A sample that is made of itself",
        "Samples may build on other samples, each on ones that are there without it.",
        """
        # rules/base/example.test.yaml
        samples:
          return: [return, {rma 1001: {status: approved}}]
        scenarios:
          A return is approved: {given: return, then: nothing}
        """,
        """
        # rules/base/example.test.yaml
        samples:
          return: {rma 1001: {status: approved}}
        scenarios:
          A return is approved: {given: return, then: nothing}
        """,
    ),
    Code(
        "computed-field",
        "error",
        "A given value for what is worked out",
        "Derived facts, units and what was refunded follow from other facts. Give those instead; what follows can be expected under "
        "`fact`.",
        """
        # rules/base/example.test.yaml
        scenarios:
          A piece is refunded: {given: {order A: {units: []}}, then: nothing}
        """,
        """
        # rules/base/example.test.yaml
        scenarios:
          A piece is refunded: {given: {order A: {currency: EUR}}, then: nothing}
        """,
    ),
    Code(
        "unknown-rule",
        "error",
        "No such rule",
        "A scenario names a rule that is not in the set it is tried under, or one that raises no exception where one is meant.",
        """
        # rules/base/example.test.yaml
        scenarios:
          A return is approved:
            given: {rma 1001: {status: approved}}
            then: {not: {raise: no_such_rule}}
        """,
        """
        # rules/base/example.test.yaml
        scenarios:
          A return is approved:
            given: {rma 1001: {status: approved}}
            then: {not: {raise: undecided}}
        """,
    ),
    Code(
        "unknown-payload",
        "error",
        "No mapping reads such a payload",
        "A payload is named by the kind of event its mapping reads, as in returngo.rma.",
        """
        # rules/base/example.test.yaml
        scenarios:
          A return is seen: {when: {payload: {portal.rmas: {id: "1001"}}}, then: nothing}
        """,
        """
        # rules/base/example.test.yaml
        scenarios:
          A return is seen: {given: {rma 1001: {status: approved}}, then: nothing}
        """,
    ),
)
