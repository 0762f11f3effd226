"""Codes of what is wrong with packs, and with what is changed of them."""

from __future__ import annotations

from engine.problems.declared import Code

CODES = (
    Code(
        "overrides-nothing",
        "error",
        "An override of something that is not there",
        "An override changes what a pack says under the same id. With a misspelt id the pack's own stays in force, unchanged.",
        """
        # rules/clients/acme/own.yaml
        rules:
          rejectd: {override: true, mode: off}
        """,
        """
        # rules/clients/acme/own.yaml
        rules:
          rejected: {override: true, mode: off}
        """,
    ),
    Code(
        "overrides-own",
        "error",
        "An override in the folder of the definition",
        "A client changes what a pack says, and a pack what an earlier one says. Within one folder there is nothing to override: "
        "the order of its files means nothing. Change the definition itself.",
        """
        # rules/base/example.yaml
        rules:
          rejected: {override: true, mode: off}
        """,
        """
        # rules/clients/acme/own.yaml
        rules:
          rejected: {override: true, mode: off}
        """,
    ),
    Code(
        "idle-override",
        "error",
        "An override that changes nothing",
        "Every key says what the pack says already. Either the pack was changed meanwhile and the override can go, or another key is "
        "meant.",
        """
        # rules/clients/acme/own.yaml
        rules:
          rejected: {override: true, group: verdict}
        """,
        """
        # rules/clients/acme/own.yaml
        rules:
          rejected: {override: true, title: Nothing for a rejected piece}
        """,
    ),
    Code(
        "unused-pack",
        "warning",
        "A pack that no client extends",
        "Packs are checked as part of the clients that extend them, because only together do they make a rule set.",
        """
        # rules/shoes/shoes.yaml
        params: {}
        """,
        """
        # rules/base/shoes.yaml
        params: {}
        """,
    ),
)
