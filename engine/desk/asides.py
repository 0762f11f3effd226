"""`instep events`: what was set aside, why, and what can be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.decide.people import NotPossible
from engine.desk.doing import Wanted, asked_already, instant, journalled, noted_only, person, reason
from engine.desk.stored import NotFound, active_rule_set, minute, store_path, visited
from engine.facts.codec import loads
from engine.facts.outside import Event
from engine.language.mapping import SetAside, observe
from engine.language.misread import Misread, misread, pretty
from engine.language.ruleset import RuleSet
from engine.problems import did_you_mean
from engine.run.hearing.deeds import PERSON, Deed
from engine.run.hearing.intake import aside_of
from engine.store.aside import Aside
from engine.store.base import Store
from engine.store.rows import Journalled

Json = dict[str, Any]
STATES = ("waiting", "read", "discarded", "all")
LINES_SHOWN = 400


@dataclass(frozen=True, slots=True)
class Which:
    """Which of what was set aside: by number, or all that fit."""

    numbers: tuple[int, ...] = ()
    kind: str = ""
    connector: str = ""
    why: str = ""
    case: str = ""
    since: str = ""
    status: str = "waiting"
    every: bool = False

    @property
    def narrowed(self) -> bool:
        return bool(self.kind or self.connector or self.why or self.case or self.since)


def chosen(store: Store, which: Which) -> list[Aside]:
    """Raises `NotFound` for a number that is none, and for a kind or connector of which nothing was ever set aside."""
    every = store.asides.listed()
    if which.status not in STATES:
        raise NotFound(f'--status is one of {", ".join(STATES)}, not "{which.status}"{did_you_mean(which.status, STATES)}')
    if which.numbers:
        by_number = {one.seq: one for one in every}
        for number in which.numbers:
            if number not in by_number:
                raise NotFound(f"event {number} was never set aside: `instep events list --status all` shows what was")
        return [by_number[number] for number in dict.fromkeys(which.numbers)]
    for option, wanted, known in (
        ("--kind", which.kind, {one.kind for one in every}),
        ("--connector", which.connector, {one.connector for one in every}),
    ):
        if wanted and wanted not in known:
            near = did_you_mean(wanted, sorted(known))
            raise NotFound(f'nothing of {option} "{wanted}" was ever set aside{near}')
    since = instant("--since", which.since)
    return [one for one in every if _fits(store, one, which, since)]


def for_many(store: Store, which: Which) -> list[Aside]:
    """The same for those who change something: they have to say which. Raises `NotFound`."""
    if not which.numbers and not which.narrowed and not which.every:
        raise NotFound("say which: numbers of `instep events list`, --kind, --connector, --why, or --all")
    found = chosen(store, which)
    if not found:
        raise NotFound("nothing that was set aside fits; `instep events list` shows what waits")
    return found


def _fits(store: Store, one: Aside, which: Which, since: datetime | None) -> bool:
    if which.status not in ("all", one.state) or (which.kind and which.kind != one.kind):
        return False
    if which.connector and which.connector != one.connector:
        return False
    if which.why and which.why.casefold() not in one.reason.casefold():
        return False
    if since is not None and one.at < since:
        return False
    return not which.case or _speaks_of(store, one, which.case)


def _speaks_of(store: Store, one: Aside, text: str) -> bool:
    """No record was made of it, so that only its words tell which case it may be about."""
    entry = store.journal.one(one.seq)
    name = text.partition(":")[2] or text
    return name in one.about or (entry is not None and name.encode() in entry.event.payload)


def count_of(database: Path | None, client: str | None, which: Which) -> int:
    """How many those are. Raises as `for_many` does."""
    with visited(database, client) as store:
        return len(for_many(store, which))


def listed(database: Path | None, client: str | None, which: Which) -> list[Json]:
    """What was set aside, the oldest first."""
    with visited(database, client) as store:
        return [aside_json(one) for one in chosen(store, which)]


def aside_json(one: Aside) -> Json:
    told: Json = {
        "number": one.seq,
        "connector": one.connector,
        "kind": one.kind,
        "about": one.about,
        "status": one.state,
        "reason": one.reason,
        "place": one.place,
        "since": one.at.isoformat(),
        "observed_at": one.observed_at.isoformat(),
        "bytes": one.size,
    }
    if one.state == "read" and one.taken_in_at is not None:
        told["read_at"] = one.taken_in_at.isoformat()
    if one.state == "discarded" and one.discarded_at is not None:
        told["discarded"] = {"at": one.discarded_at.isoformat(), "by": one.discarded_by, "reason": one.discarded_for}
    return told


def table(rows: Sequence[Json]) -> Table | Text:
    if not rows:
        return Text("Nothing that was set aside fits: every event was taken in.", style="green")
    found = Table("", "kind", "what stood in the way", "status", "since", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        why = Text.assemble(row["reason"], (f"\n{row['place']}" if row["place"] else "", "dim"))
        found.add_row(str(row["number"]), _named(row), why, _state(row), minute(row["since"]))
    return found


def _named(row: Json) -> str:
    return f"{row['kind']} {row['about']}".strip()


def _state(row: Json) -> str:
    if row["status"] == "discarded":
        return f"discarded by {row['discarded']['by']}: {row['discarded']['reason']}"
    return str(row["status"])


def shown(database: Path | None, client: str | None, number: int) -> Json:
    """One event of the journal with its payload, and where it could not be read. Raises `NotFound`."""
    with visited(database, client) as store:
        entry = store.journal.one(number)
        if entry is None:
            raise NotFound(_not_there(store, number))
        one = store.asides.of(number)
        told = aside_json(one) if one is not None else _event_json(entry)
        told["received_at"] = entry.received_at.isoformat()
        told["requested"] = entry.event.requested
        told["delivery"] = entry.event.delivery
        told["payload"] = _payload(entry.event)
        if one is not None and one.state != "read" and entry.event.connector != PERSON:
            told["faults"] = [fault_json(*fault) for fault in faults(active_rule_set(store), entry.event)]
        told["trail"] = [{"at": e.at, "by": e.by, "did": e.did, "reason": e.reason} for e in store.audit.about(f"event:{number}")]
    return told


def _event_json(entry: Journalled) -> Json:
    event = entry.event
    return {
        "number": entry.seq,
        "connector": event.connector,
        "kind": event.kind,
        "about": event.about,
        "status": "taken in",
        "reason": "",
        "place": "",
        "observed_at": event.observed_at.isoformat(),
        "bytes": len(event.payload),
    }


def _not_there(store: Store, number: int) -> str:
    gone = store.retention.of_event(number)
    if gone is not None:
        return f"event {number} has left the store, into {gone.file}, on {gone.at:%Y-%m-%d} by {gone.by}"
    return f"there is no event {number}; the last one is {store.journal.position() + store.journal.behind()}"


def _payload(event: Event) -> Any:
    try:
        return loads(event.payload)
    except ValueError:
        return event.payload.decode("utf-8", "replace")


def faults(rule_set: RuleSet, event: Event) -> list[tuple[SetAside, Misread | None]]:
    """What stands in the way now, with the active rule set."""
    mappings = rule_set.mappings.get(event.kind, ())
    _, aside = observe(mappings, event)
    payload = _payload(event)
    found = []
    for no in aside:
        mapping = next((each for each in mappings if str(each.place) == str(no.place)), None)
        found.append((no, misread(mapping, no.path, payload) if mapping is not None else None))
    return found


def fault_json(no: SetAside, where: Misread | None) -> Json:
    told: Json = {"reason": no.reason, "path": no.path, "place": str(where.place if where else no.place)}
    return told | ({"reads": where.source, "spot": list(where.spot)} if where else {})


def shown_lines(told: Json) -> list[Text]:
    """For people: what it is, where it stopped, and the payload with that line marked."""
    lines = [Text(f"event {told['number']}: {_named(told)}", style="bold")]
    lines.append(
        Text(f"  received {minute(told['received_at'])}, observed {minute(told['observed_at'])}, {told['bytes']:,} bytes")
    )
    lines.append(Text(f"  {_state(told)}", style="yellow" if told["status"] == "waiting" else "dim"))
    faults = told.get("faults", [])
    if told["status"] == "waiting" and told["reason"] and not faults:
        lines.append(Text(f"  {told['reason']}", style="red"))
        if told["kind"].partition(".")[0] != PERSON:
            lines.append(Text("  The active rule set can read it: `instep events retry` takes it in.", style="green"))
    for fault in faults:
        lines.append(Text(f"  {fault['reason']}", style="red"))
        reads = f", which reads {fault['reads']}" if fault.get("reads") else ""
        lines.append(Text(f"  {fault['place']}{reads}", style="dim"))
    for done in told["trail"]:
        because = f": {done['reason']}" if done["reason"] else ""
        lines.append(Text(f"  {minute(done['at'])}  {done['did']} by {done['by']}{because}", style="dim"))
    spot = next((tuple(f["spot"]) for f in faults if f.get("spot")), None)
    payload = told["payload"]
    body = list(pretty(payload, spot)) if isinstance(payload, dict | list) else [(str(payload), False)]
    lines.append(Text(""))
    lines += [Text(f"> {line}" if here else f"  {line}", style="bold red" if here else "") for line, here in _around(body)]
    return lines


def _around(body: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """A payload of many lines is shown around the one that matters."""
    if len(body) <= LINES_SHOWN:
        return body
    marked = next((n for n, (_, here) in enumerate(body) if here), 0)
    first = max(0, min(marked - LINES_SHOWN // 2, len(body) - LINES_SHOWN))
    rest = len(body) - LINES_SHOWN
    return [*body[first : first + LINES_SHOWN], (f"({rest} more lines: --json prints them)", False)]


def retried(database: Path | None, client: str | None, which: Which, by: str, why: str) -> list[Json]:
    """Each is read again with the active rule set."""
    return _done(database, client, which, "person.read_again", person(by), why.strip())


def discarded(database: Path | None, client: str | None, which: Which, by: str, why: str) -> list[Json]:
    """Each is marked as nothing to be read. It stays in the journal, whole."""
    return _done(database, client, which, "person.discard", person(by), reason(why))


def _done(database: Path | None, client: str | None, which: Which, kind: Any, by: str, why: str) -> list[Json]:
    with visited(database, client) as store:
        already = asked_already(store)
        wanted: list[Wanted] = []
        rows: list[Json] = []
        for one in for_many(store, which):
            rows.append(row := {"number": one.seq, "kind": one.kind, "about": one.about, "fine": True})
            entry = store.journal.one(one.seq)
            if said := already.get(f"event:{one.seq}"):
                row |= {"fine": False, "outcome": said}
                continue
            if entry is None:
                row |= {"fine": False, "outcome": f"event {one.seq} is no longer in the store"}
                continue
            try:
                deed = Deed.about_event(kind, one.seq, entry.event, by, why)
                aside_of(store, deed)
            except NotPossible as no:
                row |= {"fine": False, "outcome": str(no)}
            else:
                wanted.append(Wanted(deed))
        came_of(store, store_path(database, client), wanted, rows)
    return rows


def came_of(store: Store, path: Path, wanted: Sequence[Wanted], rows: Sequence[Json]) -> None:
    """Journals what is wanted, and says of each what came of it."""
    if not wanted:
        return
    taken = journalled(store, path, wanted)
    done = {one.deed.event_seq: one.deed.kind for one in wanted}
    for row in rows:
        kind = done.get(row["number"])
        if kind is None:
            continue
        one = store.asides.of(row["number"])
        if not taken or one is None:
            row["outcome"] = noted_only(path)
        elif one.state == "read":
            row["outcome"] = "Taken in."
        elif one.state == "discarded":
            row["outcome"] = "Discarded. It stays in the journal, whole."
        else:
            row |= {"fine": False, "outcome": f"It still cannot be read: {one.reason}"}


def done_lines(rows: Sequence[Json]) -> list[Text]:
    return [
        Text(
            f"event {row['number']}  {row['kind']} {row['about']}".rstrip() + f": {row.get('outcome', '')}",
            style="" if row["fine"] else "red",
        )
        for row in rows
    ]
