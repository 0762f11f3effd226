"""What can be looked at: each view as plain values, from which a page is drawn and which the API answers as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.console.deeds import number
from engine.desk import asides, effects, exceptions, rules, trail
from engine.desk.explained import Asked, explained, explained_json
from engine.desk.stored import NotFound, visited

Given = Mapping[str, str]
Json = dict[str, Any]
View = Callable[[Path, Given], Json]
MOST_CASES = 200
MOST_ROWS = 300


def exceptions_view(database: Path, given: Given) -> Json:
    rows = exceptions.listed(
        database,
        None,
        only_open=not given.get("all"),
        owner=given.get("owner", ""),
        severity=given.get("severity", ""),
        case=given.get("case", ""),
    )
    return {"exceptions": rows[:MOST_ROWS], "count": len(rows)}


def exception_view(database: Path, given: Given) -> Json:
    return exceptions.shown(database, None, number(given["number"]))


def cases_view(database: Path, given: Given) -> Json:
    """Those that are found by any name, or the latest."""
    wanted = given.get("q", "").strip()
    with visited(database, None) as store:
        only_open = not given.get("all")
        rows = store.cases.find(wanted) if wanted else store.cases.listed(only_open=only_open, limit=MOST_CASES)
    if wanted and not rows:
        raise NotFound(f"no case, order, RMA, parcel or other record is called {wanted!r}")
    return {
        "cases": [
            {
                "name": row.name,
                "open": row.open,
                "opened_at": row.opened_at.isoformat(),
                "wake_at": row.wake_at.isoformat() if row.wake_at else None,
            }
            for row in rows[:MOST_CASES]
        ]
    }


def case_view(database: Path, given: Given) -> Json:
    asked = Asked(
        given["case"], database=database, at=given.get("at", ""), unit=given.get("unit", ""), rule=given.get("rule", "")
    )
    found = explained(asked, life_wanted=False)
    return explained_json(found) | {"rules": {rule.id: rule.title for rule in found.rule_set.rules}}


def effects_view(database: Path, given: Given) -> Json:
    which = effects.Which(
        action=given.get("action", ""), why=given.get("why", ""), case=given.get("case", ""), status=given.get("status", "")
    )
    rows = effects.listed(database, None, which)
    return {"effects": rows[-MOST_ROWS:][::-1], "count": len(rows)}


def effect_view(database: Path, given: Given) -> Json:
    return effects.shown(database, None, given["effect"])


def events_view(database: Path, given: Given) -> Json:
    which = asides.Which(kind=given.get("kind", ""), why=given.get("why", ""), status=given.get("status") or "waiting")
    rows = asides.listed(database, None, which)
    return {"events": rows[-MOST_ROWS:][::-1], "count": len(rows)}


def event_view(database: Path, given: Given) -> Json:
    return asides.shown(database, None, number(given["number"]))


def rules_view(database: Path, _: Given) -> Json:
    return rules.rules_status(database, None) | {"history": rules.rules_history(database, None, 50)}


def rule_set_view(database: Path, given: Given) -> Json:
    return rules.rules_shown(database, None, given["hash"])


def audit_view(database: Path, given: Given) -> Json:
    asked = trail.Asked(
        since=given.get("since", ""), by=given.get("by", ""), did=given.get("did", ""), about=given.get("about", ""), limit=200
    )
    told: Json = {"entries": trail.listed(database, None, asked)[::-1]}
    return told | ({"trail": trail.verified(database, None, "")} if given.get("verify") else {})


VIEWS: Mapping[str, View] = {
    "exceptions": exceptions_view,
    "exceptions/{number}": exception_view,
    "cases": cases_view,
    "cases/{case:path}": case_view,
    "effects": effects_view,
    "effects/{effect:path}": effect_view,
    "events": events_view,
    "events/{number}": event_view,
    "rules": rules_view,
    "rules/{hash}": rule_set_view,
    "audit": audit_view,
}
