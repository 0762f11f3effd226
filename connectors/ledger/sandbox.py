"""The books as a person in finance would add them up. A directory needs no server."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from connectors.ledger.books import Books
from connectors.ledger.postings import PostingLine
from engine.facts.values import Money


class LedgerSandbox:
    """Reads the postings in a directory; the connector writes them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._books = Books(directory)

    def settings(self) -> dict[str, Any]:
        """The connector settings for these books."""
        return {"path": self.directory}

    def lines(self) -> tuple[PostingLine, ...]:
        """Every line, by time."""
        return self._books.lines()

    def postings(self) -> tuple[str, ...]:
        """The ids of all postings, in the order they were booked."""
        return tuple(dict.fromkeys(line.posting for line in self.lines()))

    def totals(self, order_id: str = "") -> Mapping[tuple[str, str], Money]:
        """Sums by (component, currency), of one order or of all."""
        found: dict[tuple[str, str], Money] = {}
        for line in self.lines():
            if order_id in {"", line.order_id}:
                at = (line.component, line.amount.currency)
                found[at] = found.get(at, Money(Decimal(0), line.amount.currency)) + line.amount
        return found
