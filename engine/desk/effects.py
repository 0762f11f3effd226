"""`instep effects`: what cannot go on by itself, the whole life of one, and what a person can do about it safely."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.decide.decision import Decision, decide
from engine.decide.memory import Memory
from engine.decide.people import NotPossible
from engine.desk.doing import Wanted, asked_already, instant, journalled, noted_only, person, reason
from engine.desk.stored import NotFound, active_rule_set, memory_of, one_case, second, store_path, stored_case, visited
from engine.facts.codec import loads
from engine.facts.effects import EffectState
from engine.language.ruleset import RuleSet
from engine.language.show import show
from engine.problems import did_you_mean
from engine.run.hearing.deeds import Deed
from engine.run.sending.steps import Step
from engine.store.base import Store
from engine.store.rows import EffectRow
from engine.store.safekeeping import Lateness, late_by

Json = dict[str, Any]
STATUSES = ("planned", "performing", "unsure", "settled", "settled_elsewhere", "refused", "acknowledged", "withdrawn")
ENDED = ("settled", "settled_elsewhere", "acknowledged", "withdrawn")  # nothing of them can be late any more
STUCK = ("performing", "unsure", "refused", "put off")
MOST = 100_000
TOLD = {
    "begun": "looked up, still asked for, and sent",
    "settled": "done",
    "settled_elsewhere": "looked up: somebody else had done it already",
    "refused": "refused",
    "unsure": "may or may not have happened",
    "later": "put off",
    "again": "looked up: no sign of it outside, so that it may be sent once more",
    "anew": "tried again by itself: such a refusal passes",
    "interrupted": "the service ended while it was being sent",
}


@dataclass(frozen=True, slots=True)
class Which:
    """Which effects: by key or number, or all that fit. Without a status those that cannot go on by themselves."""

    names: tuple[str, ...] = ()
    action: str = ""
    connector: str = ""
    why: str = ""
    case: str = ""
    since: str = ""
    status: str = ""
    every: bool = False

    @property
    def narrowed(self) -> bool:
        return bool(self.action or self.connector or self.why or self.case or self.since or self.status)


@dataclass(frozen=True, slots=True)
class Found:
    """An effect as the outbox has it, and what its case remembers of it."""

    row: EffectRow
    state: EffectState | None

    @property
    def status(self) -> str:
        """What the outbox says, and `acknowledged` for a refusal a person is done with."""
        acknowledged = self.row.entry.status == "refused" and self.state is not None and self.state.acknowledged
        return "acknowledged" if acknowledged else self.row.entry.status

    @property
    def stuck(self) -> str:
        """One of `STUCK` where it does not simply go its way; else nothing."""
        if self.status == "planned" and self.row.entry.not_before is not None and self.row.entry.due_at is not None:
            return "put off"
        return self.status if self.status in STUCK else ""


class _Reader:
    """Reads each case's memory once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._memories: dict[int, Memory | None] = {}

    def found(self, row: EffectRow) -> Found:
        if row.case_id not in self._memories:
            case = self._store.cases.get(row.case_id)
            self._memories[row.case_id] = memory_of(case) if case is not None else None
        memory = self._memories[row.case_id]
        return Found(row, memory.effect(row.entry.key) if memory is not None else None)


def chosen(store: Store, which: Which) -> list[Found]:
    """Raises `NotFound` for what is not there."""
    reader = _Reader(store)
    if which.names:
        return [reader.found(_one(store, name)) for name in dict.fromkeys(which.names)]
    wanted = which.status
    if wanted and wanted not in (*STATUSES, "all"):
        raise NotFound(f'--status is one of {", ".join((*STATUSES, "all"))}, not "{wanted}"{did_you_mean(wanted, STATUSES)}')
    statuses = (
        ("planned", "performing", "unsure", "refused") if not wanted else ("refused",) if wanted == "acknowledged" else (wanted,)
    )
    rows = store.outbox.listed([s for s in STATUSES if s != "acknowledged"] if wanted == "all" else statuses, MOST)
    case = one_case(store, which.case).id if which.case else None
    since = instant("--since", which.since)
    found = [reader.found(row) for row in reversed(rows) if _fits(row, which, case, since)]
    return [one for one in found if (wanted in ("all", one.status) if wanted else one.stuck)]


def _fits(row: EffectRow, which: Which, case: int | None, since: datetime | None) -> bool:
    entry = row.entry
    if which.action and which.action != entry.action:
        return False
    if which.connector and which.connector != entry.action.partition(".")[0]:
        return False
    if which.why and which.why.casefold() not in f"{entry.reason} {entry.detail}".casefold():
        return False
    if since is not None and (entry.settled_at or entry.sent_at or entry.planned_at) < since:
        return False
    return case is None or row.case_id == case


def _one(store: Store, name: str) -> EffectRow:
    """By number or key. A key that another case once had too is of the one where it went further."""
    found = store.effects.named(name)
    if not found:
        raise NotFound(f'there is no effect "{name}": `instep effects list --status all` shows every one')
    return min(found, key=lambda row: (row.entry.status == "withdrawn", -row.id))


def for_many(store: Store, which: Which) -> list[Found]:
    if not which.names and not which.narrowed and not which.every:
        raise NotFound("say which: keys of `instep effects list`, --action, --connector, --why, --case, --status, or --all")
    found = chosen(store, which)
    if not found:
        raise NotFound("no effect fits; `instep effects list` shows those that cannot go on by themselves")
    return found


def count_of(database: Path | None, client: str | None, which: Which) -> int:
    """How many those are. Raises as `for_many` does."""
    with visited(database, client) as store:
        return len(for_many(store, which))


def listed(database: Path | None, client: str | None, which: Which) -> list[Json]:
    """The oldest first."""
    with visited(database, client) as store:
        late = store.safekeeping.late()
        return [effect_json(one, late) for one in chosen(store, which)]


def effect_json(one: Found, late: Lateness) -> Json:
    entry = one.row.entry
    told: Json = {
        "number": one.row.id,
        "key": entry.key,
        "action": entry.action,
        "subject": entry.subject,
        "case": one.row.case,
        "status": one.status,
        "reason": entry.reason,
        "detail": entry.detail,
        "rule": entry.rule,
        "item": entry.item,
        "mode": entry.mode,
        "units": json.loads(entry.units),
        "params": loads(entry.params),
        "attempts": entry.attempts,
    }
    for name in ("planned_at", "sent_at", "settled_at"):
        at: datetime | None = getattr(entry, name)
        told[name] = at.isoformat() if at is not None else None
    told["late_by"] = late_by(late.get(("effect", entry.key, entry.planned_at)))
    told["next_at"] = entry.due_at.isoformat() if entry.due_at is not None else None
    told["deadline"] = one.row.deadline.isoformat() if one.row.deadline is not None else None
    return told | ({"acknowledged": one.state.acknowledged} if one.state is not None and one.state.acknowledged else {})


def table(rows: Sequence[Json], *, everything: bool) -> Table | Text:
    if not rows:
        return Text(
            "No effect fits." if everything else "Every effect goes its way: none is refused, unsure or put off.", style="green"
        )
    found = Table("", "effect", "status", "why", "next", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        amount = row["params"].get("amount")
        paid = f", {_plain(amount)}" if isinstance(amount, dict) else ""
        what = Text.assemble(f"{row['action']} for {row['subject']}{paid}", (f"\n{row['key']}  {row['case']}", "dim"))
        why = ": ".join(text for text in (row["reason"], row["detail"]) if text)
        status = f"{row['status']}\n{row['acknowledged']}" if row.get("acknowledged") else row["status"]
        status += f"\nlate by {row['late_by']}" if row["late_by"] else ""
        times = [second(row["next_at"])] if row["next_at"] else []
        if row["deadline"] and row["status"] not in ENDED:
            times.append(f"by {second(row['deadline'])}")
        found.add_row(str(row["number"]), what, status, why, "\n".join(times))
    return found


def shown(database: Path | None, client: str | None, name: str) -> Json:
    """Everything that is known of one effect."""
    with visited(database, client) as store:
        one = _Reader(store).found(_one(store, name))
        rule_set = active_rule_set(store)
        row, entry = one.row, one.row.entry
        told = effect_json(one, store.safekeeping.late(one.row.case_id))
        rule = rule_set.rule(entry.rule)
        told["rule_place"] = str(rule.place) if rule is not None else ""
        told["rule_title"] = rule.title if rule is not None else ""
        told["group"] = entry.group
        told["life"] = _life(store, one)
        told["receipts"] = [
            {"at": r.at.isoformat(), "reference": r.reference, "details": loads(r.details)}
            for r in store.effects.receipts(row.id)
        ]
        open_ones = store.exceptions.listed(case_id=row.case_id)
        told["exceptions"] = [
            {"number": x.id, "owner": x.entry.owner, "severity": x.entry.severity, "title": x.entry.title}
            for x in open_ones
            if x.entry.item == f"effect:{entry.key}"
        ]
        told["next"] = _next(one, rule_set, store)
    return told


def _life(store: Store, one: Found) -> list[Json]:
    entry = one.row.entry
    life: list[Json] = [{"at": entry.planned_at.isoformat(), "what": "planned", "text": f"asked for by {entry.rule}"}]
    being_sent = False
    for row in store.effects.steps(one.row.id):
        step = Step.from_json(row.step)
        if step.what == "interrupted" and not being_sent:
            continue  # that was another effect of the case
        being_sent = step.what == "begun"
        why = ": ".join(text for text in (step.reason, step.detail) if text)
        reference = step.receipt.get("reference")
        text = (
            TOLD.get(step.what, step.what) + (f": {why}" if why else "") + (f", receipt {show(reference)}" if reference else "")
        )
        if step.what == "later" and step.wait:
            text += f", until {row.at + step.wait:%Y-%m-%d %H:%M:%S}Z"
        life.append({"at": row.at.isoformat(), "what": step.what, "text": text})
    for done in store.audit.about(entry.key):
        because = f": {done.reason}" if done.reason else ""
        life.append({"at": done.at, "what": "person", "text": f"{done.did} by {done.by}{because}"})
    return sorted(life, key=lambda each: datetime.fromisoformat(each["at"]))


def _next(one: Found, rule_set: RuleSet, store: Store) -> str:
    """What happens next by itself, and what a person can do."""
    entry = one.row.entry
    if said := asked_already(store).get(entry.key):
        return said[:1].upper() + said[1:] + "."
    at = f" at {entry.due_at:%Y-%m-%d %H:%M:%S}Z" if entry.due_at is not None else ""
    match one.status:
        case "planned" if entry.due_at is None:
            return "It is shown only: its rule or the client is in shadow, or its case is from before `since`."
        case "planned":
            return f"It is looked up{at}, decided on once more, and sent if it is still asked for."
        case "performing":
            return "It is being sent now, or the service ended meanwhile: the next start looks it up."
        case "unsure":
            return f"It is looked up again{at}; `instep effects retry` looks now. It is never simply sent again."
        case "refused" if entry.due_at is not None:
            return f"It passes by itself: it is tried again{at}. `retry` does that now, `discard` ends it."
        case "refused":
            preview = _asked(store, rule_set, one)
            return f"It stays as it is until somebody retries or discards it. If it were retried now: {preview}"
        case "acknowledged":
            return "Nothing: somebody is done with it. `instep effects retry` asks for it all the same."
        case "withdrawn":
            return "Nothing: no rule asks for it now. It comes back by itself when one does."
        case _:
            return "Nothing: it is done."


def shown_lines(told: Json) -> list[Text]:
    lines = [Text(f"effect {told['number']}: {told['action']} for {told['subject']}", style="bold")]
    lines.append(
        Text(f"  {told['key']} of {told['case']}, {told['status']}" + (" in shadow" if told["mode"] == "shadow" else ""))
    )
    place = f"  {told['rule_place']}" if told["rule_place"] else " (no rule of that id is active)"
    lines.append(Text(f"  rule {told['rule']}{place}", style="dim"))
    if told["units"]:
        lines.append(Text(f"  for {', '.join(told['units'])}", style="dim"))
    for name, value in told["params"].items():
        lines.append(Text(f"  {name}: {_plain(value)}", style="dim"))
    bad = ("refused", "unsure")
    lines += [Text(f"  {second(e['at'])}  {e['text']}", style="red" if e["what"] in bad else "") for e in told["life"]]
    lines += [Text(f"  receipt {r['reference']} {_plain(r['details'])}", style="green") for r in told["receipts"]]
    lines += [Text(f"  exception {x['number']} for {x['owner']}: {x['title']}", style="yellow") for x in told["exceptions"]]
    return [*lines, Text(f"  {told['next']}")]


def _plain(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        return f"{value['amount']} {value['currency']}"
    if isinstance(value, dict) and "key" in value:
        return str(value["key"])
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def retried(database: Path | None, client: str | None, which: Which, by: str, why: str) -> list[Json]:
    """What was refused is asked for again, what is unsure is looked up now, what was put off is tried now."""
    who = person(by)
    with visited(database, client) as store:
        rule_set, already = active_rule_set(store), asked_already(store)
        rows, wanted = [], []
        for one in for_many(store, which):
            rows.append(row := _row(one))
            deed = already.get(one.row.entry.key) or _retry(one, who, why.strip())
            if isinstance(deed, str):
                row |= {"fine": False, "outcome": deed}
                continue
            if deed.kind == "person.retry":
                row["rules_say"] = _asked(store, rule_set, one)
            wanted.append(Wanted(deed))
        _outcome(store, store_path(database, client), wanted, rows)
    return rows


def _retry(one: Found, by: str, why: str) -> Deed | str:
    """The deed, or why there is none."""
    entry = one.row.entry
    if entry.status == "refused":
        return Deed("person.retry", one.row.case, entry.key, by, reason=why)
    if one.stuck in ("unsure", "put off"):
        return Deed("person.look", one.row.case, entry.key, by, reason=why)
    return {
        "planned": "it is planned and goes its way: nothing stands in it",
        "performing": "it is being sent: if the service was cut off, its next start looks it up",
        "settled": "it is done: its receipt proves it",
        "settled_elsewhere": "it is done, by somebody else",
        "withdrawn": "no rule asks for it: `instep explain` says why not",
    }[entry.status]


def discarded(database: Path | None, client: str | None, which: Which, by: str, why: str) -> list[Json]:
    """A person is done with each refusal. Nothing else can be discarded; what can be done instead is said."""
    who, because = person(by), reason(why)
    with visited(database, client) as store:
        rule_set, already = active_rule_set(store), asked_already(store)
        rows, wanted = [], []
        for one in for_many(store, which):
            rows.append(row := _row(one))
            if said := already.get(one.row.entry.key):
                row |= {"fine": False, "outcome": said}
            elif one.status == "refused":
                wanted.append(Wanted(Deed("person.acknowledge", one.row.case, one.row.entry.key, who, reason=because)))
            else:
                row |= {"fine": False, "outcome": _not_discarded(one, rule_set)}
        _outcome(store, store_path(database, client), wanted, rows)
    return rows


def _not_discarded(one: Found, rule_set: RuleSet) -> str:
    entry = one.row.entry
    rule = rule_set.rule(entry.rule)
    match one.status:
        case "planned":
            where = f" ({rule.place})" if rule is not None else ""
            return (
                f"rule {entry.rule}{where} asks for it: discarded, it would be planned again in the next pass. To stop it, answer"
                " the question that vetoes it, add a `forbid` in a group above it, or change the rule"
            )
        case "unsure" | "performing":
            return "it may have happened: it is looked up until that is known, and `instep effects retry` looks now"
        case "acknowledged":
            return f"somebody is done with it already: {one.state.acknowledged if one.state else ''}"
        case "withdrawn":
            return "no rule asks for it: there is nothing to discard"
        case _:
            return "it is done: there is nothing to discard"


def _row(one: Found) -> Json:
    entry = one.row.entry
    return {"number": one.row.id, "key": entry.key, "case": one.row.case, "was": one.status, "fine": True}


def _asked(store: Store, rule_set: RuleSet, one: Found) -> str:
    """What the rules would say if it were asked for again now."""
    case = store.cases.get(one.row.case_id)
    entry = one.row.entry
    if case is None:
        return "its case is no longer there"
    now = datetime.now(UTC)
    try:
        memory = Deed("person.retry", one.row.case, entry.key, "").done_to(memory_of(case), now)
    except NotPossible as no:
        return str(no)
    decision = decide(rule_set, stored_case(store, rule_set, case), memory, now)
    return _said(decision, entry.key, entry.action, set(json.loads(entry.units)), entry.subject)


def _said(decision: Decision, key: str, action: str, units: set[str], subject: str) -> str:
    asked = next((e for e in decision.effects if e.key == key), None)
    if asked is not None:
        return f"{asked.rule} asks for it: it is looked up, and sent if nobody did it meanwhile."
    for blocked in decision.blocked:
        if blocked.action == action and (units & set(blocked.units) or blocked.subject == subject or not blocked.units):
            by = f"{blocked.by}: " if blocked.by else ""
            return f"it is not sent, withheld by {by}{blocked.because}."
    ended = decision.memory.effect(key)
    if ended is not None and ended.status not in ("planned", "withdrawn"):
        return f"the facts show what became of it: {ended.status}."
    return "no rule asks for it any more, so that nothing is sent."


def _outcome(store: Store, path: Path, wanted: Sequence[Wanted], rows: Sequence[Json]) -> None:
    if not wanted:
        return
    taken = journalled(store, path, wanted)
    done = {one.deed.key: one.deed.kind for one in wanted}
    reader = _Reader(store)
    for row in rows:
        kind = done.get(row["key"])
        if kind is None:
            continue
        row["outcome"] = noted_only(path)
        if taken:
            one = reader.found(_one(store, str(row["number"])))
            row["status"] = one.status
            row["outcome"] = _came(kind, one)


def _came(kind: str, one: Found) -> str:
    if kind == "person.acknowledge":
        return "Acknowledged: it stays refused, nothing is sent, and nobody is asked about it any more."
    if kind == "person.look" and one.status in ("unsure", "planned"):
        return "It is looked up now."
    return {
        "planned": "Asked for again: it is looked up, and sent if the rules still want it then.",
        "withdrawn": "Not sent: the rules do not ask for it now.",
        "refused": "It was refused again.",
        "settled": "Done.",
        "settled_elsewhere": "Somebody else had done it already: nothing was sent.",
    }.get(one.status, f"It is {one.status}.")


def done_lines(rows: Sequence[Json]) -> list[Text]:
    lines = []
    for row in rows:
        lines.append(Text(f"{row['key']} of {row['case']}: {row.get('outcome', '')}", style="" if row["fine"] else "red"))
        if row.get("rules_say"):
            lines.append(Text(f"  Rules: {row['rules_say']}", style="dim"))
    return lines
