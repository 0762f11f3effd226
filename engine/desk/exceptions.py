"""`instep exceptions`: what people have to look at, whose it is, and what they decided."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.decide.people import NotPossible
from engine.desk.doing import Wanted, asked_already, journalled, noted_only, person
from engine.desk.stored import NotFound, active_rule_set, memory_of, minute, store_path, visited
from engine.problems import did_you_mean
from engine.run.hearing.deeds import Deed
from engine.store.base import Store
from engine.store.rows import ExceptionRow
from engine.store.safekeeping import Lateness, late_by

Json = dict[str, Any]
SEVERITIES = ("critical", "high", "medium", "low")
MOST = 100_000


def listed(
    database: Path | None, client: str | None, *, only_open: bool, owner: str = "", severity: str = "", case: str = ""
) -> list[Json]:
    """As plain rows, the most severe and oldest first."""
    fitting((), severity=severity)
    with visited(database, client) as store:
        cases = {row.id for row in store.cases.find(case)} if case else set()
        if case and not cases:
            raise NotFound(f"no case, order, RMA, parcel or other record is called {case!r}")
        rows = store.exceptions.listed(only_open=only_open, limit=MOST)
        late = store.safekeeping.late()
    wanted = [r for r in rows if not case or r.case_id in cases]
    found = [
        row_json(r, late) for r in sorted(wanted, key=lambda r: (SEVERITIES.index(r.entry.severity), r.entry.opened_at, r.id))
    ]
    return fitting(found, owner=owner, severity=severity)


def fitting(rows: Sequence[Json], *, owner: str = "", severity: str = "") -> list[Json]:
    """Those of this owner, or assigned to this person, and of this severity. Raises `NotFound` for one that is none."""
    if severity and severity not in SEVERITIES:
        raise NotFound(f'--severity is one of {", ".join(SEVERITIES)}, not "{severity}"{did_you_mean(severity, SEVERITIES)}')
    return [r for r in rows if (not owner or owner in (r["owner"], r["assigned_to"])) and severity in ("", r["severity"])]


def row_json(row: ExceptionRow, late: Lateness) -> Json:
    entry = row.entry
    return {
        "number": row.id,
        "key": entry.key,
        "case": row.case,
        "rule": entry.rule,
        "item": entry.item,
        "owner": entry.owner,
        "assigned_to": row.assigned_to,
        "severity": entry.severity,
        "title": entry.title,
        "runbook": entry.runbook,
        "answers": json.loads(entry.answers),
        "state": "closed" if row.closed_at else entry.state,
        "opened_at": entry.opened_at.isoformat(),
        "late_by": late_by(late.get(("exception", entry.key, entry.opened_at))),
        "until": entry.until.isoformat() if entry.until and not row.closed_at else None,
        "closed_at": row.closed_at.isoformat() if row.closed_at else None,
        "why_closed": row.why_closed,
    }


def table(rows: Sequence[Json]) -> Table | Text:
    if not rows:
        return Text("Nobody has to look at anything.", style="green")
    found = Table("", "owner", "severity", "what", "answers", "state", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        what = Text.assemble(row["title"], (f"\n{row['case'] or 'the client'}  {row['rule']}", "dim"))
        state = f"{row['state']}\n{row['why_closed']}" if row["why_closed"] else row["state"]
        state += f"\nlate by {row['late_by']}" if row["late_by"] else ""
        owner = f"{row['owner']}\n{row['assigned_to']}" if row["assigned_to"] else row["owner"]
        found.add_row(str(row["number"]), owner, row["severity"], what, ", ".join(row["answers"]) or "resolve", state)
    return found


def shown(database: Path | None, client: str | None, number: int) -> Json:
    """One of them, with the line of its rule and everything people did about it. Raises `NotFound`."""
    with visited(database, client) as store:
        row = _one(store, number)
        told = row_json(row, store.safekeeping.late(row.case_id))
        rule = active_rule_set(store).rule(row.entry.rule)
        told["place"] = str(rule.place) if rule is not None else ""
        told["about"] = row.entry.about
        told["trail"] = [
            {"at": e.at, "by": e.by, "did": e.did, "reason": e.reason, **json.loads(e.details)}
            for e in store.audit.about(row.entry.key, row.case)
        ]
        return told


def shown_lines(told: Json) -> list[Text]:
    lines = [Text(f"exception {told['number']}: {told['title']}", style="bold")]
    about = f", {told['item']}" if told["item"] else ""
    lines.append(Text(f"  {told['case'] or 'the client'}{about}; {told['severity']}, for {told['owner']}"))
    if told["assigned_to"]:
        lines.append(Text(f"  assigned to {told['assigned_to']}"))
    state = f"  {told['state']} since {minute(told['opened_at'])}"
    if told["until"]:
        state = f"  put off until {minute(told['until'])}, opened {minute(told['opened_at'])}"
    if told["closed_at"]:
        state = f"  closed {minute(told['closed_at'])}: {told['why_closed']}; opened {minute(told['opened_at'])}"
    lines.append(Text(state))
    if told["late_by"]:
        lines.append(Text(f"  late by {told['late_by']}: the service was not there when it fell due", style="yellow"))
    lines.append(Text(f"  rule {told['rule']}  {told['place']}".rstrip(), style="dim"))
    for done in told["trail"]:
        value = f' "{done["value"]}"' if done.get("value") else f" to {done['to'] or 'nobody'}" if "to" in done else ""
        because = f": {done['reason']}" if done["reason"] else ""
        lines.append(Text(f"  {minute(done['at'])}  {done['did']}{value} by {done['by']}{because}"))
    if told["runbook"]:
        lines.append(Text(f"  {told['runbook']}"))
    if told["state"] != "closed" and told["case"]:
        for answer, means in told["answers"].items():
            lines.append(Text(f"  instep answer {told['number']} {answer} --by NAME    {means}", style="green"))
        if not told["answers"]:
            lines.append(Text(f"  instep exceptions resolve {told['number']} --reason TEXT --by NAME", style="green"))
    return lines


def assigned(database: Path | None, client: str | None, number: int, to: str, by: str) -> str:
    """Whose it is from now on; nobody's, with an empty name. Raises `NotFound`."""
    who = person(by)
    whose = person(to) if to.strip() else ""
    with visited(database, client) as store, store.transaction():
        row = _open(store, number)
        store.exceptions.assign(row.id, whose)
        details = {"to": whose, "before": row.assigned_to}
        store.audit.append(datetime.now(UTC), who, "assigned", row.entry.key, case=row.case, details=details)
    return f"{row.entry.title}: {f'assigned to {whose}' if whose else 'assigned to nobody'}."


def decided(database: Path | None, client: str | None, number: int, what: str, by: str, why: str = "") -> str:
    """Answers or resolves. Raises `NotFound` where it cannot be decided that way."""
    who = person(by)
    with visited(database, client) as store:
        row = _open(store, number)
        case = store.cases.named(row.case)
        if case is None:
            raise NotFound(
                f"exception {number} is about the whole client: mend its cause, it closes by itself. `instep events list` shows"
                " what was set aside"
            )
        if said := asked_already(store).get(row.entry.key):
            raise NotFound(f"exception {number}: {said}")
        answers = json.loads(row.entry.answers)
        if what == "resolve" and "resolve" not in answers:
            deed = Deed("person.resolve", row.case, row.entry.key, who, reason=why.strip())
        else:
            deed = Deed("person.answer", row.case, row.entry.key, who, what, why.strip())
        try:
            deed.done_to(memory_of(case), datetime.now(UTC))
        except NotPossible as no:
            said = str(no).replace(row.entry.key, f"exception {number}")
            raise NotFound(f"{said}{did_you_mean(what, answers) if answers else ''}") from None
        path = store_path(database, client)
        said = f"{who} decided {what!r} about {row.entry.title}"
        return f"{said}. Taken in." if journalled(store, path, [Wanted(deed)]) else f"{said}. {noted_only(path)}"


def _one(store: Store, number: int) -> ExceptionRow:
    row = next((r for r in store.exceptions.listed(only_open=False, limit=MOST) if r.id == number), None)
    if row is None:
        raise NotFound(f"there is no exception {number}; `instep exceptions --all` lists them")
    return row


def _open(store: Store, number: int) -> ExceptionRow:
    row = _one(store, number)
    if row.closed_at is not None:
        raise NotFound(f"exception {number} is closed: {row.why_closed}")
    if row.entry.state == "shadow":
        raise NotFound(f"exception {number} is not open: its rule is in shadow, and only shows what it would raise")
    return row
