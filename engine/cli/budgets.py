"""`instep budgets`: how it stands with what the outside systems allow."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.desk.stored import visited
from engine.run.clock import SystemClock
from engine.run.hearing.polls import waits_for
from engine.run.limits.budget import read_ledger, told
from engine.store.rows import FeedRow


def budgets(database: Path | None, client: str | None) -> dict[str, Any]:
    """What is spent and left of each limit, and the feeds that wait for one. Raises `NotFound`."""
    now = SystemClock()()
    with visited(database, client) as store:
        ledgers = {name: read_ledger(store, name, limits, now) for name, limits in store.budgets.declared().items()}
        feeds = [row for row in store.rounds.feeds() if waits_for(row)]
    return {
        "budgets": told(ledgers, now),
        "waiting": [_waiting(row) for row in feeds],
    }


def _waiting(row: FeedRow) -> dict[str, str]:
    return {"connector": row.connector, "feed": row.feed, "until": row.next_at.isoformat(), "why": waits_for(row)}


def budget_lines(found: dict[str, Any]) -> list[Table | Text]:
    if not found["budgets"]:
        return [Text("No connector of this client has a limit.")]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, right in (("connector", False), ("operation", False), ("limit", False), ("spent", True), ("left", True)):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    table.add_column("next back (UTC)")
    table.add_column("spent for")
    for each in found["budgets"]:
        table.add_row(
            each["connector"], each["operation"], each["limit"], str(each["spent"]),
            Text(str(each["left"]), style="red" if not each["left"] else ""),
            _back(each),
            ", ".join(f"{purpose.replace('_', '-')} {units}" for purpose, units in each["by_purpose"].items()),
        )  # fmt: skip
    waiting = [
        Text(f"{each['connector']}.{each['feed']} waits until {_time(each['until'])} UTC: {each['why']}", style="yellow")
        for each in found["waiting"]
    ]
    return [table, *waiting]


def _back(each: dict[str, Any]) -> str:
    if each["resting_until"]:
        return f"left alone until {_time(each['resting_until'])}"
    return _time(each["back_at"]) if each["back_at"] else "-"


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S}"
