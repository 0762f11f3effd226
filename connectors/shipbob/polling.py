"""How far a poll has come, so that one cut short goes on where it was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from connectors.cursors import moment_of


@dataclass(frozen=True, slots=True)
class Poll:
    """Looks for what changed after `since`. The next poll goes on from when this one `began`; `search` and `page` are what is
    read next.
    """

    began: datetime
    since: datetime
    search: int = 0
    page: int = 1

    @classmethod
    def of(cls, cursor: str) -> Self | None:
        """The poll that a cursor stands in the middle of, None where it stands between two."""
        try:
            told = json.loads(cursor)
            began, since = moment_of(told["began"]), moment_of(told["since"])
            search, page = told["search"], told["page"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        fine = type(search) is int and type(page) is int and search >= 0 and page >= 1
        return cls(began, since, search, page) if fine and began and since else None

    @property
    def cursor(self) -> str:
        told = {"began": self.began.isoformat(), "since": self.since.isoformat(), "search": self.search, "page": self.page}
        return json.dumps(told)
