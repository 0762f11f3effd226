"""What monitoring reads says what the status says."""

from __future__ import annotations

from typing import Any

from engine.run.web.metrics import metrics_text

STATUS: dict[str, Any] = {
    "counts": {"journal": 7, "decisions": 5, "cases": 3},
    "behind": 2,
    "now": "2026-11-01T13:30:00+00:00",
    "waiting_since": "2026-11-01T13:29:20+00:00",
    "clock": {"ahead_seconds": 90, "nothing_sent_for_seconds": None},
    "set_aside": 1,
    "effects": {"settled": 4, "unsure": 1},
    "exceptions": {"high": 2},
    "connectors": [
        {"connector": "mirakl", "due": 9, "look_up": {"state": "closed"}, "perform": {"state": "open"}},
    ],
    "deadlines": {"ahead": 40, "unmet": [{"connector": "mirakl", "why": "budget", "count": 3}]},
    "failing": [{"connector": "mirakl", "feed": "orders", "failures": 3}],
    "budgets": [{"connector": "returngo", "operation": "all", "limit": "2000 requests per 1d", "most": 2000, "left": 750}],
    "requests": [{"connector": "returngo", "operation": "GET /rma", "purpose": "poll", "count": 1250}],
    "rules": {
        "active": "h1", "activated_by": "Ana", "activated_at": "2026-11-01T12:00:00+00:00", "catching_up": 6, "waiting": {},
        "passed_over": False, "last_read": {"at": "2026-11-01T13:00:00+00:00", "ok": False, "problems": [{}, {}]},
    },
}  # fmt: skip


def lines(status: dict[str, Any]) -> set[str]:
    return {line for line in metrics_text(status).decode().splitlines() if not line.startswith("#")}


def test_a_failed_reload_a_waiting_set_and_the_basics_are_told() -> None:
    assert lines(STATUS) >= {
        "instep_rules_last_reload_successful 0.0",
        "instep_rules_problems 2.0",
        "instep_rules_waiting 1.0",
        "instep_rules_cases_behind 6.0",
        'instep_rules_active_info{activated_by="Ana",hash="h1"} 1.0',
        "instep_rules_activated_timestamp_seconds 1.7935344e+09",
        "instep_events_total 7.0",
        "instep_decisions_total 5.0",
        "instep_events_waiting 2.0",
        "instep_events_waiting_seconds 40.0",
        "instep_clock_ahead_seconds 90.0",
        "instep_held_seconds 0.0",
        "instep_events_set_aside 1.0",
        'instep_effects{status="unsure"} 1.0',
        'instep_exceptions_open{severity="high"} 2.0',
        'instep_feed_failures{feed="mirakl.orders"} 3.0',
        'instep_effects_due{connector="mirakl"} 9.0',
        'instep_connector_left_alone{connector="mirakl",way="look_up"} 0.0',
        'instep_connector_left_alone{connector="mirakl",way="perform"} 1.0',
        "instep_deadlines_ahead 40.0",
        'instep_deadlines_unmet{connector="mirakl",why="budget"} 3.0',
        'instep_budget_units{connector="returngo",limit="2000 requests per 1d",operation="all"} 2000.0',
        'instep_budget_left_units{connector="returngo",limit="2000 requests per 1d",operation="all"} 750.0',
        'instep_requests_total{connector="returngo",operation="GET /rma",purpose="poll"} 1250.0',
    }


def test_an_event_that_does_not_wait_has_no_age() -> None:
    assert "instep_events_waiting_seconds 0.0" in lines({**STATUS, "behind": 0, "waiting_since": None})


def test_a_service_without_files_tells_the_rest() -> None:
    found = lines({**STATUS, "rules": {}})
    assert "instep_events_total 7.0" in found
    assert not any(line.startswith("instep_rules") for line in found)
