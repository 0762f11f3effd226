"""Codes of decision tables."""

from __future__ import annotations

from engine.problems.declared import Code

CODES = (
    Code(
        "bad-range",
        "error",
        "A range that holds nothing, or is not in quotes",
        'Ranges are written as in DMN, in quotes because YAML would read the bracket itself: "[10..20)" holds 10 and not 20.',
        """
        # rules/base/example.yaml
        tables:
          heavy:
            given: {weight: rma.weight}
            rows:
              - {weight: "[20..10]", then: {heavy: true}}
            otherwise: {heavy: false}
        """,
        """
        # rules/base/example.yaml
        tables:
          heavy:
            given: {weight: rma.weight}
            rows:
              - {weight: "[10..20]", then: {heavy: true}}
            otherwise: {heavy: false}
        promises:
          never_so: {each: rma, never: heavy.heavy}
        """,
    ),
    Code(
        "mixed-currencies",
        "error",
        "A cell or a sum with two currencies",
        "Amounts of two currencies neither compare nor add. Give the table an input for the currency, and a row for each.",
        """
        # rules/base/example.yaml
        tables:
          large:
            given: {total: order.total}
            rows:
              - {total: ["> 100 EUR", "> 110 USD"], then: {large: true}}
            otherwise: {large: false}
        """,
        """
        # rules/base/example.yaml
        tables:
          large:
            hit: first
            given: {currency: order.currency, total: order.total}
            rows:
              - {currency: EUR, total: "> 100 EUR", then: {large: true}}
              - {currency: USD, total: "> 110 USD", then: {large: true}}
            otherwise: {large: false}
        promises:
          never_so: {each: order, never: large.large}
        """,
    ),
    Code(
        "two-records",
        "error",
        "Inputs of a table that belong to no one record",
        "A table is a fact of the narrowest record its inputs read. Two records of which neither stands in the other have no such "
        "record in common: reach one through the other.",
        """
        # rules/base/example.yaml
        tables:
          moving:
            given: {status: rma.status, parcel: parcel.status}
            rows:
              - {status: approved, parcel: moving, then: {moving: true}}
            otherwise: {moving: false}
        """,
        """
        # rules/base/example.yaml
        tables:
          moving:
            given: {status: rma.status, parcel: 'any(p.status == "moving" for p in rma.parcels)'}
            rows:
              - {status: approved, parcel: true, then: {moving: true}}
            otherwise: {moving: false}
        promises:
          never_so: {each: rma, never: moving.moving}
        """,
    ),
    Code(
        "unknown-table",
        "error",
        "lookup of a table that is not there",
        "lookup names a table under `tables:` of a rule file the client reads.",
        """
        when: ['lookup(polcy, rma.weight).heavy']
        """,
        """
        when: [rma.weight > 10]
        """,
    ),
    Code(
        "table-overlap",
        "error",
        "Rows that contradict each other",
        "In a unique table no two rows may match the same inputs; in an any table, rows that do must give the same. Otherwise the "
        "result is undefined. Make the cells exclude each other, or say which row wins: hit: first, or hit: priority.",
        """
        # rules/base/example.yaml
        tables:
          heavy:
            given: {weight: rma.weight}
            rows:
              - {weight: "<= 10", then: {heavy: false}}
              - {weight: ">= 10", then: {heavy: true}}
        """,
        """
        # rules/base/example.yaml
        tables:
          heavy:
            given: {weight: rma.weight}
            rows:
              - {weight: "< 10", then: {heavy: false}}
              - {weight: ">= 10", then: {heavy: true}}
        promises:
          never_so: {each: rma, never: heavy.heavy}
        """,
    ),
    Code(
        "table-gap",
        "warning",
        "Inputs that no row covers",
        "Where no row matches, the outputs are missing, and a rule that compares them is undecided. Add a row, or say under "
        "`otherwise` what holds for everything else.",
        """
        # rules/base/example.yaml
        tables:
          heavy:
            given: {weight: rma.weight}
            rows:
              - {weight: "< 10", then: {heavy: false}}
              - {weight: "> 10", then: {heavy: true}}
        """,
        """
        # rules/base/example.yaml
        tables:
          heavy:
            given: {weight: rma.weight}
            rows:
              - {weight: "> 10", then: {heavy: true}}
            otherwise: {heavy: false}
        promises:
          never_so: {each: rma, never: heavy.heavy}
        """,
    ),
    Code(
        "dead-row",
        "warning",
        "A row that can never decide",
        "Rows that win over it cover all it matches, or it matches nothing. It is probably in the wrong place: the special case "
        "stands above the general one.",
        """
        # rules/base/example.yaml
        tables:
          heavy:
            hit: first
            given: {weight: rma.weight}
            rows:
              - {weight: "> 10", then: {heavy: true}}
              - {weight: "> 20", then: {heavy: false}}
            otherwise: {heavy: false}
        """,
        """
        # rules/base/example.yaml
        tables:
          heavy:
            hit: first
            given: {weight: rma.weight}
            rows:
              - {weight: "> 20", then: {heavy: false}}
              - {weight: "> 10", then: {heavy: true}}
            otherwise: {heavy: false}
        promises:
          never_so: {each: rma, never: heavy.heavy}
        """,
    ),
    Code(
        "unused-table",
        "warning",
        "A table nothing reads",
        "No rule and no promise reads what it gives, not even through facts: it is left over, or a rule that should read it does not.",
        """
        # rules/base/example.yaml
        tables:
          heavy:
            given: {weight: rma.weight}
            rows: [{weight: "> 10", then: {heavy: true}}]
            otherwise: {heavy: false}
        """,
        """
        # rules/base/example.yaml
        tables:
          heavy:
            given: {weight: rma.weight}
            rows: [{weight: "> 10", then: {heavy: true}}]
            otherwise: {heavy: false}
        promises:
          light: {each: rma, never: heavy.heavy}
        """,
    ),
    Code(
        "redundant-row",
        "warning",
        "A row that other rows make needless",
        "Without it every input has the same outcome. Leave it out, or mend it if it was meant to differ.",
        """
        # rules/base/example.yaml
        tables:
          heavy:
            hit: first
            given: {weight: rma.weight}
            rows:
              - {weight: "> 20", then: {heavy: true}}
              - {weight: "> 10", then: {heavy: true}}
            otherwise: {heavy: false}
        """,
        """
        # rules/base/example.yaml
        tables:
          heavy:
            hit: first
            given: {weight: rma.weight}
            rows:
              - {weight: "> 10", then: {heavy: true}}
            otherwise: {heavy: false}
        promises:
          never_so: {each: rma, never: heavy.heavy}
        """,
    ),
)
