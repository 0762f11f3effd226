"""Codes of what is wrong with a client: its settings, connectors and secrets."""

from __future__ import annotations

from engine.problems.declared import Code

CODES = (
    Code(
        "code-not-taken",
        "warning",
        "A code the outside does not take from us",
        "Operators choose their reason codes, and which of them a seller may use. What is sent with another one is refused. It is told by "
        "`instep check --live CLIENT`, which asks the operator.",
        """
        # instep check --live acme
        """,
        """
        # instep check --client acme
        """,
    ),
    Code(
        "idle-calendar",
        "error",
        "A calendar for a batch that asks for none",
        "A cadence names a calendar to say what its working days are. A batch of other days never looks at it, so holidays would not "
        "be left out though it looks as if they were.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        calendars:
          uk: {country: GB}
        cadence:
          finance.post: {batch: "daily 18:00", calendar: uk}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        calendars:
          uk: {country: GB}
        cadence:
          finance.post: {batch: "working days 18:00", calendar: uk}
        """,
    ),
    Code(
        "unknown-client",
        "error",
        "No such client",
        "A client is a folder rules/clients/<client> with a client.yaml in it.",
        "# instep check --client amce",
        "# instep check --client acme",
    ),
    Code(
        "missing-client",
        "error",
        "A client's folder without a client.yaml",
        "Without it nothing says what the client extends, and its rules would be passed over in silence.",
        """
        # rules/clients/northwind/rules.yaml
        params: {}
        """,
        """
        # rules/clients/northwind/client.yaml
        client: northwind
        """,
    ),
    Code(
        "unknown-pack",
        "error",
        "A pack that does not exist",
        "`extends` names folders of rules/, as base is one.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        extends: [bass]
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        extends: [base]
        """,
    ),
    Code(
        "unknown-connector",
        "error",
        "A connector that is not installed or has no mappings",
        "`use` names an installed connector, which has its YAML in mappings/<connector>.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        connectors:
          marketplace: {use: shopp}
          returns: {use: portal}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        connectors:
          marketplace: {use: shop}
          returns: {use: portal}
        """,
    ),
    Code(
        "wrong-role",
        "error",
        "A connector in another's role",
        "Each connector is made for one role: a carrier's cannot stand for the warehouse. Found when the service starts.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        connectors:
          warehouse: {use: mirakl}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        connectors:
          marketplace: {use: mirakl}
        """,
    ),
    Code(
        "connector-setting",
        "error",
        "A setting the connector does not accept",
        "Each connector knows its own settings and checks them when the service starts.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        connectors:
          marketplace: {use: mirakl, shop_id: first}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        connectors:
          marketplace: {use: mirakl, url: https://example.mirakl.net, api_key: {secret: MIRAKL_KEY}, shop_id: 2001}
        """,
    ),
    Code(
        "missing-param",
        "error",
        "A parameter the client has to set",
        "The pack declares it without a default, because no value is right for everyone.",
        """
        # rules/base/example.yaml
        params:
          refund_reason: {type: text}
        """,
        """
        # rules/base/example.yaml
        params:
          refund_reason: {type: text, default: returned}
        """,
    ),
    Code(
        "secret-missing",
        "error",
        "A secret that is not set",
        "Secrets are only named in client.yaml. Their values are looked up in the environment or a .env file as NAME, or in the file that "
        "NAME_FILE names.",
        "# api_key: {secret: MIRAKL_KEY}, and MIRAKL_KEY is set nowhere",
        "# api_key: {secret: MIRAKL_KEY}, with MIRAKL_KEY=... in .env",
    ),
    Code(
        "secret-in-file",
        "error",
        "A secret written out in a file",
        "Files are shown, sent around, put under version control and kept in the store with the rule set they made. So a secret is only ever "
        "named in them.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        connectors:
          marketplace: {use: mirakl, url: https://example.mirakl.net, api_key: 3f9a7c5e}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        connectors:
          marketplace: {use: mirakl, url: https://example.mirakl.net, api_key: {secret: MIRAKL_KEY}}
        """,
    ),
    Code(
        "secret-file",
        "error",
        "A secret's file that cannot be read",
        "NAME_FILE names a file whose text is the secret, as container platforms provide it. It is not there, or may not be read.",
        "# MIRAKL_KEY_FILE=/run/secrets/mirakl, which does not exist",
        "# MIRAKL_KEY_FILE=/run/secrets/mirakl, which exists and may be read",
    ),
)
