"""What `instep run` shows: a line where something happened, the state below on a terminal, nothing but lines elsewhere."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from engine.cli.screen import panel, show

READ = {"at": "2026-11-01T12:00:00+00:00", "ok": True, "hash": "h1", "fault": "", "problems": []}
PROBLEM = {
    "file": "rules/a.yaml",
    "line": 3,
    "column": 7,
    "severity": "error",
    "code": "unknown-field",
    "message": "no such field",
}
EFFECT = {"case": "order:A", "key": "refund:A-1#1", "action": "marketplace.refund", "rule": "r", "due_at": READ["at"]}
WAITING = {
    "hash": "h2", "since": READ["at"], "reasons": ["it would at once send 30 effects in 30 cases; max_new_effects is 20"],
    "restart": False, "new_effects": 30, "effects": [EFFECT] * 30, "ended_vetoes": 0, "vetoes": [],
}  # fmt: skip


BUDGETS = [
    {"connector": connector, "operation": operation, "limit": limit, "most": most, "left": left, "resting_until": until}
    for connector, operation, limit, most, left, until in (
        ("returngo", "all", "2000 requests per 1d", 2000, 150, None),
        ("mirakl", "OR11", "1 request per 5m", 1, 0, None),
        ("shipbob", "all", "150 requests per 1m", 150, 150, READ["at"]),
    )
]


def status(**rules: Any) -> dict[str, Any]:
    whole = {
        "active": "h1", "activated_at": READ["at"], "activated_by": "instep", "why": "start", "catching_up": 0, "last_read": READ,
        "waiting": None, "passed_over": False, "needs_restart": [],
    }  # fmt: skip
    return {
        "client": "acme", "mode": "live", "rule_set": "h1", "counts": {"journal": 7, "cases": 3}, "behind": 0, "failing": [],
        "effects": {"planned": 2, "settled": 5}, "exceptions": {"high": 1}, "budgets": BUDGETS, "rules": {**whole, **rules},
        "clock": {"ahead_seconds": 5400, "nothing_sent_for_seconds": 600},
        "connectors": [
            {
                "connector": "mirakl", "look_up": {"state": "closed"},
                "perform": {"state": "open", "since": READ["at"], "next_try": READ["at"], "fault": "HTTP 503"},
            }
        ],
        "deadlines": {
            "unmet": [{"connector": "mirakl", "count": 3, "first": READ["at"], "said": "the budget of calls does not reach"}],
        },
    }  # fmt: skip


def shown(looks: list[dict[str, Any]], *, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("engine.cli.screen.EVERY", 0.001)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, soft_wrap=True, color_system=None)
    stop = asyncio.Event()

    def each(left: Iterator[dict[str, Any]]) -> dict[str, Any]:
        found = next(left, None)
        if found is None:
            stop.set()
            return looks[-1]
        return found

    left = iter(looks)
    asyncio.run(show(console, lambda: each(left), stop))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_elsewhere_there_is_a_line_for_what_happened_and_none_for_what_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {**READ, "ok": False, "hash": "", "problems": [PROBLEM] * 10}
    looks = [
        status(),
        status(),
        status(last_read=bad),
        status(last_read=bad),
        status(active="h3", activated_by="Ana", why="by hand"),
    ]
    lines = shown(looks, terminal=False, monkeypatch=monkeypatch).splitlines()
    assert lines[0].endswith("10 problems in the files; h1 stays active")
    assert lines[1] == "  rules/a.yaml:3:7: unknown-field: no such field"
    assert lines[9] == "  and 2 more: instep check"
    assert lines[10].endswith("rule set h3 is active by Ana: by hand")
    assert len(lines) == 11


def test_what_waits_says_why_for_which_cases_and_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown([status(), status(waiting=WAITING)], terminal=False, monkeypatch=monkeypatch).splitlines()
    assert lines[1] == f"  {WAITING['reasons'][0]}"
    assert lines[2] == "    order:A: refund:A-1#1 by r"
    assert lines[-2:] == ["    and 22 more effects", "  to activate it: instep rules activate --by NAME"]


def test_a_terminal_shows_the_state_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown([status(), status(waiting=WAITING)], terminal=True, monkeypatch=monkeypatch)
    assert "acme  live  rule set h1  as in the files" in text
    assert "h2 waits" in text
    assert "events 7 (0 waiting)  cases 3  effects 7 (2 under way)  exceptions 1 high" in text
    assert "mirakl takes nothing since" in text
    assert "3 effects for mirakl, the budget of calls does not reach" in text


def test_a_budget_that_runs_low_is_told_and_one_that_is_always_either_left_or_not_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    told = shown([status()], terminal=True, monkeypatch=monkeypatch)
    assert "budget low: returngo all: 150 of 2000 requests per 1d left" in told
    assert "left alone until" in told
    assert "OR11" not in told


def test_a_clock_that_went_back_and_a_restored_store_are_told() -> None:
    told = "\n".join(str(line) for line in panel(status()))
    assert "the service is 1h 30m ahead of it, at half speed" in told
    assert "the store was restored: nothing is sent for another 10m" in told


def test_a_candidate_in_shadow_has_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = {"hash": "h9", "looks": 7, "differing": 1, "waiting": 2, "problem": "", "fault": "order:A: it fell over"}
    text = shown([status(), {**status(), "candidate": candidate}], terminal=True, monkeypatch=monkeypatch)
    assert "in shadow h9: 7 decisions followed, 1 differing case (2 waiting)  order:A: it fell over" in text
