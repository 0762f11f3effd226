"""Codes of what is wrong with a client's business calendars."""

from __future__ import annotations

from engine.problems.declared import Code

CODES = (
    Code(
        "unknown-calendar",
        "error",
        "A calendar that does not exist",
        "Working time is counted by one of the calendars in client.yaml, or by `weekdays` (Monday to Friday, no holidays), which every "
        "client has. A pack knows no client, so it names `weekdays`, or takes the calendar from a parameter of type calendar.",
        """
        # rules/base/example.yaml
        facts:
          rma.due_on: add_working(rma.scanned_at, "2 working days", "weekday")
        """,
        """
        # rules/base/example.yaml
        facts:
          rma.due_on: add_working(rma.scanned_at, "2 working days", "weekdays")
        """,
    ),
    Code(
        "unknown-country",
        "error",
        "A country whose holidays are not known",
        "A country is its two capital letters in ISO 3166, so that its public holidays can be looked up.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        calendars:
          uk: {country: UK}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        calendars:
          uk: {country: GB}
        """,
    ),
    Code(
        "unknown-subdivision",
        "error",
        "A part of a country whose holidays are not known",
        "States, provinces and nations with holidays of their own are named by their code: ENG for England, CA for California.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        calendars:
          uk: {country: GB, subdivision: England}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        calendars:
          uk: {country: GB, subdivision: ENG}
        """,
    ),
    Code(
        "bad-hours",
        "error",
        "Working hours that cannot be read",
        "Hours are days and their spans, with commas between: mon-thu 09:00-12:00 13:00-17:30, fri 09:00-15:00. Days without spans are "
        "worked from midnight to midnight. A span that ends before it begins goes into the next morning, and belongs to the day on "
        "which it begins.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        calendars:
          uk: {hours: mon-fri 9-17}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        calendars:
          uk: {hours: mon-fri 09:00-17:00}
        """,
    ),
    Code(
        "bad-date",
        "error",
        "Not a date",
        "A date is written year-month-day, with four and two digits: 2026-12-24.",
        """
        # rules/clients/acme/client.yaml
        client: acme
        calendars:
          uk: {country: GB, closed: [24.12.2026]}
        """,
        """
        # rules/clients/acme/client.yaml
        client: acme
        calendars:
          uk: {country: GB, closed: [2026-12-24]}
        """,
    ),
)
