"""What can be looked at: each view as plain values, from which a page is drawn and which the API answers as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from engine.console.deeds import number
from engine.desk import asides, corrections, effects, exceptions, rules, trail
from engine.desk.explained import Asked, explained, explained_json
from engine.desk.stored import stored_decision, visited
from engine.run.kept.story import story

Given = Mapping[str, str]
Json = dict[str, Any]
View = Callable[[Path, Given], Json]
PAGE = 50  # rows of a list on one page
MOST_CASES = 10_000
MOST_ENTRIES = 10_000


def paged(name: str, rows: Sequence[Any], given: Given) -> Json:
    """The page of a list that was asked for, the last one where there are fewer, and how many there are in all."""
    pages = max(ceil(len(rows) / PAGE), 1)
    page = min(max(number(given.get("page") or "1"), 1), pages)
    return {name: list(rows[(page - 1) * PAGE : page * PAGE]), "count": len(rows), "page": page, "pages": pages}


def exceptions_view(database: Path, given: Given) -> Json:
    """`q` are words of the title, the rule or the case; `owner` may also be whom it is assigned to."""
    everyone = exceptions.listed(database, None, only_open=not given.get("all"), case=given.get("case", ""))
    rows, owner, severity = everyone, given.get("owner", ""), given.get("severity", "")
    if severity or owner:
        rows = exceptions.fitting(rows, owner=owner, severity=severity)
    for word in given.get("q", "").casefold().split():
        rows = [row for row in rows if word in f"{row['title']} {row['rule']} {row['case']}".casefold()]
    owners = sorted({name for row in everyone for name in (row["owner"], row["assigned_to"]) if name})
    severities = {one: sum(row["severity"] == one for row in rows) for one in exceptions.SEVERITIES}
    return paged("exceptions", rows, given) | {"owners": owners, "severities": severities}


def exception_view(database: Path, given: Given) -> Json:
    """With the pieces of its case and what that has sent and is to send, which is what people ask first."""
    told = exceptions.shown(database, None, number(given["number"]))
    if told["case"]:
        pieces = story(*stored_decision(None, database, None, told["case"]))
        told["pieces"] = [{"unit": one.unit, "sku": one.sku, "state": one.state} for one in pieces if one.unit]
        told["effects"] = effects.listed(database, None, effects.Which(case=told["case"], status="all"))
    return told


def cases_view(database: Path, given: Given) -> Json:
    """Those that are found by any name, or the latest."""
    wanted = given.get("q", "").strip()
    with visited(database, None) as store:
        only_open = not given.get("all")
        rows = store.cases.find(wanted) if wanted else store.cases.listed(only_open=only_open, limit=MOST_CASES)
    cases = [
        {
            "name": row.name,
            "open": row.open,
            "opened_at": row.opened_at.isoformat(),
            "wake_at": row.wake_at.isoformat() if row.wake_at else None,
        }
        for row in rows
    ]
    return paged("cases", cases, given)


def case_view(database: Path, given: Given) -> Json:
    """The decision with its trace and story, the case's exceptions by number, and its milestones."""
    asked = Asked(
        given["case"], database=database, at=given.get("at", ""), unit=given.get("unit", ""), rule=given.get("rule", "")
    )
    found = explained(asked, life_wanted=False)
    name = found.decision.case
    told = explained_json(found) | {"rules": {rule.id: rule.title for rule in found.rule_set.rules}}
    told["numbers"] = {row["key"]: row["number"] for row in exceptions.listed(database, None, only_open=True, case=name)}
    return told | {"milestones": corrections.listed(database, None, name)["milestones"]}


def effects_view(database: Path, given: Given) -> Json:
    which = effects.Which(
        action=given.get("action", ""), why=given.get("why", ""), case=given.get("case", ""), status=given.get("status", "")
    )
    rows = effects.listed(database, None, which)
    return paged("effects", rows[::-1], given)


def effect_view(database: Path, given: Given) -> Json:
    return effects.shown(database, None, given["effect"])


def events_view(database: Path, given: Given) -> Json:
    which = asides.Which(kind=given.get("kind", ""), why=given.get("why", ""), status=given.get("status") or "waiting")
    rows = asides.listed(database, None, which)
    return paged("events", rows[::-1], given)


def event_view(database: Path, given: Given) -> Json:
    return asides.shown(database, None, number(given["number"]))


def rules_view(database: Path, _: Given) -> Json:
    return rules.rules_status(database, None) | {"history": rules.rules_history(database, None, 50)}


def rule_set_view(database: Path, given: Given) -> Json:
    return rules.rules_shown(database, None, given["hash"])


def audit_view(database: Path, given: Given) -> Json:
    words = {name: given.get(name, "") for name in ("since", "by", "did", "about")}
    asked = trail.Asked(**words, limit=MOST_ENTRIES)
    told = paged("entries", trail.listed(database, None, asked)[::-1], given)
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
